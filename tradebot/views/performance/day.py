"""The profit of one day so far, from as few records as that takes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.cash import CashMovement
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.totals import Totals
from tradebot.views.performance.days import Days, day_of
from tradebot.views.performance.history import History
from tradebot.views.performance.lots import Owner
from tradebot.views.performance.pieces import breakdown
from tradebot.views.performance.pnl import Choice, Cut, pnl


class DayProfit(Struct, frozen=True):
    """What the bot's positions and the account's cash made on a day in New York, in signed USD; transfers apart.

    `open_usd` is by how much the gain of what is held changed, `other_usd` dividends, interest and what else moved
    cash. `unpriced` are symbols without a price of the day, whose gain isn't in it.
    """

    day: date
    realized_usd: Decimal
    open_usd: Decimal
    fees_usd: Decimal
    other_usd: Decimal
    total_usd: Decimal
    trades_closed: int
    unpriced: tuple[str, ...]


def begun(totals: Totals, day: date) -> Mapping[Owner, datetime]:
    """Return when each of our positions was opened that is held, or was closed on a day; the earliest of several."""
    opened = [(position.strategy, position.symbol, position.opened_at) for position in totals.own_positions()]
    trips = (trip for trip in totals.round_trips if day_of(trip.closed_at) == day)
    found = dict[Owner, datetime]()
    for strategy, symbol, at in (*opened, *((trip.strategy, trip.symbol, trip.opened_at) for trip in trips)):
        found[strategy, symbol] = min(at, found.get((strategy, symbol), at))
    return found


def day_profit(
    totals: Totals, day: date, fills: Iterable[OwnedFill], cash: Sequence[CashMovement], ends: Sequence[SessionEnd]
) -> DayProfit | None:
    """Return the profit of the last day of the books; None if nothing was held or moved, or if the records don't tell.

    `fills` are those since the first time in `begun`, and `ends` those of the day and of the session before it.
    """
    since = begun(totals, day)
    of_day = [owned for owned in fills if _since(owned, since)]
    if not of_day and not any(day_of(one.at) == day for one in cash):
        return None
    if Totals.of(of_day).own_quantities() != totals.own_quantities():
        return None
    history = History("", "", None, Decimal(0), tuple(of_day), tuple(cash), tuple(ends))
    found = pnl(breakdown(history), Cut.DAY, Choice(Days(day, day)))
    row = found.total
    return DayProfit(
        day=day,
        realized_usd=row.realized_usd,
        open_usd=row.open_usd,
        fees_usd=row.fees_usd,
        other_usd=row.dividends_usd + row.interest_usd + row.other_usd,
        total_usd=row.total_usd,
        trades_closed=row.trades_closed,
        unpriced=row.unpriced,
    )


def _since(owned: OwnedFill, since: Mapping[Owner, datetime]) -> bool:
    at = since.get((owned.strategy, owned.fill.symbol))
    return owned.strategy != FOREIGN and at is not None and owned.fill.at >= at
