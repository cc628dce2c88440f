"""The money of a report: what was earned in its span, and by what that is divided."""

from tradebot.views.performance import pnl
from tradebot.views.performance.days import Days
from tradebot.views.performance.pieces import Breakdown
from tradebot.views.performance.report import Cut, CutRow, Earned

CUTS = (pnl.Cut.STRATEGY, pnl.Cut.SYMBOL, pnl.Cut.REASON, pnl.Cut.COMPONENT, pnl.Cut.HOUR)
LABELS = {pnl.Cut.REASON: "exit reason", pnl.Cut.COMPONENT: "entry component", pnl.Cut.HOUR: "hour of exit"}


def earned_in(known: Breakdown, days: Days) -> Earned:
    """Return what was earned in some days; `profit_usd` is the change of the account's value without transfers."""
    found = pnl.pnl(known, pnl.Cut.STRATEGY, pnl.Choice(days))
    row, is_known = found.total, found.before_usd is not None
    return Earned(
        start_usd=found.before_usd,
        end_usd=found.after_usd,
        transfers_usd=found.transfers_usd,
        profit_usd=row.total_usd if is_known else None,
        realized_usd=row.realized_usd,
        open_usd=row.open_usd,
        fees_usd=row.fees_usd,
        dividends_usd=row.dividends_usd,
        interest_usd=row.interest_usd,
        other_usd=row.other_usd,
    )


def cuts_of(known: Breakdown, days: Days) -> tuple[Cut, ...]:
    """Return the whole profit of some days, divided in several ways."""
    return tuple(_cut(pnl.pnl(known, by, pnl.Choice(days)), by) for by in CUTS)


def _cut(found: pnl.Pnl, by: pnl.Cut) -> Cut:
    return Cut(by.value, LABELS.get(by, by.value), tuple(map(_row, found.rows)), found.total.total_usd)


def _row(row: pnl.Row) -> CutRow:
    return CutRow(
        name=row.name,
        trades=row.trades_closed,
        realized_usd=row.realized_usd,
        open_usd=row.open_usd,
        fees_usd=row.fees_usd,
        dividends_usd=row.dividends_usd,
        interest_usd=row.interest_usd,
        other_usd=row.other_usd,
        total_usd=row.total_usd,
    )
