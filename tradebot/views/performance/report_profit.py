"""The money of a report: what was earned in its span, and by what that is divided."""

from collections.abc import Iterator

from tradebot.views.performance import pnl
from tradebot.views.performance.report import Cut, CutRow, Earned

CUTS = (pnl.Cut.STRATEGY, pnl.Cut.SYMBOL, pnl.Cut.REASON, pnl.Cut.COMPONENT, pnl.Cut.HOUR)
PROFIT = "Profit is from the books: cash, and positions at the last prices that passes saw."
LABELS = {pnl.Cut.REASON: "exit reason", pnl.Cut.COMPONENT: "entry component", pnl.Cut.HOUR: "hour of exit"}


def earned(profit: pnl.Profit) -> Earned:
    """Return the profit that is asked for, and the account's value around it."""
    row, (before, after) = profit.total, profit.values_usd
    return Earned(
        start_usd=before,
        end_usd=after,
        transfers_usd=profit.transfers_usd,
        profit_usd=row.total_usd,
        realized_usd=row.realized_usd,
        open_usd=row.open_usd,
        fees_usd=row.fees_usd,
        dividends_usd=row.dividends_usd,
        interest_usd=row.interest_usd,
        other_usd=row.other_usd,
    )


def cuts_of(profit: pnl.Profit) -> tuple[Cut, ...]:
    """Return the profit that is asked for, divided in several ways."""
    total = profit.total.total_usd
    return tuple(Cut(by.value, LABELS.get(by, by.value), tuple(map(_row, profit.rows(by))), total) for by in CUTS)


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


def what_differs(profit: pnl.Profit) -> Iterator[str]:
    """Yield in sentences how the books' value differs from the broker's last equity, and what has no price."""
    compared, unpriced = profit.compared, profit.total.unpriced
    if compared is None:
        if unpriced:
            unseen = f"No price of {profit.ends[-1].day} was seen for {', '.join(unpriced)}"
            yield f"{unseen}; the books count the last one before or what was paid."
        return
    if compared.difference_usd:
        side = "above" if compared.difference_usd > 0 else "below"
        amount = f"{abs(compared.difference_usd):,.2f} USD {side}"
        yield f"At {compared.at:%Y-%m-%d %H:%M}Z the broker's equity, at its own prices, was {amount} the books' value."
    if compared.unpriced:
        yield f"No price was seen for {', '.join(compared.unpriced)}; the books count what was paid."
    if compared.left_out:
        yield f"The books don't value {', '.join(compared.left_out)}, which the bot doesn't manage."
