"""Profit of an account, computed from its ledger: of all its time, and of the last day of the books."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.account import CashMovement
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.totals import Totals
from tradebot.model.venue import Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.days import DateRange
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import Owner
from tradebot.views.trades.pieces import breakdown
from tradebot.views.trades.pnl import Cut, pnl
from tradebot.views.trades.trade_row import Choice


class Profit(Struct, frozen=True, omit_defaults=True):
    """Profit in USD, computed from the ledger; `fees` were paid with fills.

    `position_value` is what positions add to the cash: their value, or in a margined account their unrealized profit.
    """

    opening_cash: Decimal
    cash: Decimal
    position_value: Decimal
    realized: Decimal
    unrealized: Decimal
    fees: Decimal = Decimal(0)

    @property
    def equity(self) -> Decimal:
        return self.cash + self.position_value

    @property
    def total(self) -> Decimal:
        return self.realized + self.unrealized - self.fees


def profit(
    opening_cash: Decimal,
    totals: Totals,
    marks: Mapping[str, Decimal],
    adjustments: Decimal = Decimal(0),
    settlement: Settlement = Settlement.PAID,
) -> Profit:
    """Return the profit of all fills, valuing open positions at `marks` (USD per share, one for each held symbol)."""
    positions = totals.positions.values()
    value = sum((p.value_at(marks[p.symbol]) for p in positions if p.quantity), Decimal(0))
    realized, unrealized = sum((p.realized_pnl for p in positions), Decimal(0)), value - totals.cost
    cash = totals.cash(opening_cash, settlement) + adjustments
    added = unrealized if settlement is Settlement.MARGINED else value
    return Profit(opening_cash, cash, added, realized, unrealized, totals.fees)


class DayProfit(Struct, frozen=True, omit_defaults=True):
    """What the account made on one day, in signed USD; transfers apart. What others traded in it counts too.

    `open_usd` is by how much the gain of what is held changed, `other_usd` dividends, interest, funding and what else
    moved cash. `trades_closed` counts the bot's. `unpriced` are symbols without a price of the day, whose gain isn't in
    it, and `unknown_fees` counts fills whose fee isn't known yet. `funding_usd` is what of `other_usd` is funding, if
    any. `difference_usd` is how much of the total, which is by the broker's equity, the books don't have.
    """

    day: date
    realized_usd: Decimal
    open_usd: Decimal
    fees_usd: Decimal
    other_usd: Decimal
    total_usd: Decimal
    trades_closed: int
    unpriced: tuple[str, ...]
    unknown_fees: int = 0
    funding_usd: Decimal | None = None
    difference_usd: Decimal = Decimal(0)


def opening_times(
    totals: Totals, day: date, venue: VenueDay, with_others: Iterable[OwnedFill] = ()
) -> Mapping[Owner, datetime]:
    """Return when each position was opened that is held, or was closed on a day; the earliest of several.

    What others traded, as far as the fills `with_others` tell, is told from the beginning of the day, or since they
    have what they held then.
    """
    held = [position.key for position in totals.own_positions()]
    trips = (trip for trip in totals.round_trips if venue.date_of(trip.closed_at) == day)
    ended = [(trip.strategy, trip.symbol, trip.opened_at) for trip in trips]
    # Of several, the earliest comes last, and stays.
    ours = {key[:2]: key[2] for key in sorted(held + ended, key=lambda key: key[2], reverse=True)}
    return {**ours, **_of_others(with_others, venue.begins(day))}


def _of_others(with_others: Iterable[OwnedFill], start: datetime) -> Mapping[Owner, datetime]:
    """Return since when others have what they hold or traded; nobody keeps each of their trades apart."""
    foreign = [owned for owned in with_others if owned.strategy == FOREIGN]
    before = Totals.of(owned for owned in foreign if owned.fill.at < start).positions
    traded = {(owned.strategy, owned.fill.symbol) for owned in foreign}
    opened = {whose: before[whose].entered_at for whose in traded if whose in before}
    return {whose: opened.get(whose) or start for whose in traded}


def belongs(owned: OwnedFill, since: Mapping[Owner, datetime]) -> bool:
    """Return True if a fill belongs to a position in `begun` rather than to one closed before it."""
    at = since.get((owned.strategy, owned.fill.symbol))
    return at is not None and owned.fill.at >= at


def day_profit(
    totals: Totals,
    day: date,
    venue: VenueDay,
    since: Mapping[Owner, datetime],
    fills: Iterable[OwnedFill],
    cash: Sequence[CashMovement],
    ends: Sequence[SessionEnd],
    opening: tuple[datetime, Decimal] | None = None,
) -> DayProfit | None:
    """Return the profit of the last day of the books; None if nothing was held or moved, or if the records don't tell.

    `since` is what has `begun`, `fills` are those since the first time in it, and `ends` those of the day and of the
    session before it. `opening` is when the books were opened, and with how much, if nothing else was held then.
    """
    of_day = [owned for owned in fills if belongs(owned, since)]
    if not of_day and not any(venue.date_of(one.at) == day for one in cash):
        return None
    known = Totals.of(of_day)
    if (known.own_quantities(), known.quantities({})) != (totals.own_quantities(), totals.quantities({})):
        return None
    opened_at, opening_cash = opening or (None, Decimal(0))
    history = History("", "", venue, opened_at, opening_cash, tuple(of_day), tuple(cash), tuple(ends))
    found = pnl(breakdown(history), Cut.DAY, Choice(DateRange(day, day)))
    row, funding = found.total, found.total.funding_usd
    other = row.dividends_usd + row.interest_usd + funding + row.other_usd
    amounts = row.realized_usd, row.open_usd, row.fees_usd, other, found.profit_usd
    rest = row.trades_closed, row.unpriced, found.unknown_fees, funding or None, found.difference_usd
    return DayProfit(day, *amounts, *rest)
