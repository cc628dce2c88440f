"""Break profit down into its smallest pieces, each with a day, a kind, an owner and a symbol.

The pieces add up to the whole profit.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.account import CashKind, CashMovement
from tradebot.model.candidate import Side
from tradebot.model.position import Key
from tradebot.model.record import SessionEnd
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.days import EVER, DateRange
from tradebot.views.trades.fees import FeeAllocation, cash_kind
from tradebot.views.trades.history import NOT_OURS, History
from tradebot.views.trades.lots import ClosedLot, LotStep, Owner


class Gain(Struct, frozen=True):
    """An open position's gain since it was opened, in USD before fees, at the prices known at that moment."""

    owner: Owner
    trade: Key
    side: Side
    usd: Decimal


class DayEnd(Struct, frozen=True):
    """The account at the end of one day of the venue.

    `value_usd` is cash plus positions, and `gains` the unrealized part of it. `held` are the positions that were open
    at the end of the day or were traded on it. `unpriced` are the symbols without a price of that day. Their shares are
    valued at the last earlier price, or at cost if they were bought after it.
    """

    day: date
    value_usd: Decimal
    gains: tuple[Gain, ...]
    held: frozenset[Owner]
    unpriced: frozenset[str]


def day_ends(history: History) -> tuple[DayEnd, ...]:
    """Return the end of each day with a fill, a payment or a recorded price, oldest first.

    A position is valued at the last price recorded in the day's session. A renamed position is counted under its last
    symbol.
    """
    account, cash, date_of = _Account(history), defaultdict[date, Decimal](Decimal), history.day.date_of
    for at, amount in _cash(history):
        cash[date_of(at)] += amount
    traded = defaultdict[date, dict[Owner, LotStep]](dict)
    for owner, steps in history.lots.steps.items():
        for step in steps:
            # The last step of a day counts, in the same order as other owners' steps.
            traded[date_of(step.at)][owner] = step
    marks_by_session = {end.session: end.marks for end in history.ends}
    days = sorted({*traded, *cash, *marks_by_session})
    return tuple(account.end(day, traded.get(day, {}), cash.get(day, _ZERO), marks_by_session.get(day)) for day in days)


def value_at(history: History, moment: datetime, marks: Mapping[str, Decimal]) -> DayEnd:
    """Return the account at a moment; a symbol without a price counts at its cost."""
    cash = sum((amount for at, amount in _cash(history) if at <= moment), _ZERO)
    reached = {
        owner: steps[index - 1]
        for owner, steps in history.lots.steps.items()
        if (index := bisect_right(steps, moment, key=lambda step: step.at))
    }
    return _Account(history).end(history.day.date_of(moment), reached, cash, marks)


def is_booked_after(history: History, moment: datetime, days: DateRange = EVER) -> bool:
    """Return True if the books changed in these days, but after a moment."""
    return any(at > moment and days.includes(history.day.date_of(at)) for at, _ in _cash(history))


def _cash(history: History) -> Iterator[tuple[datetime, Decimal]]:
    """Yield each change of cash, with payments for shares first."""
    for steps in history.lots.steps.values():
        for step in steps:
            yield step.at, step.cash_usd
    for movement in history.movements:
        yield movement.at, movement.amount_usd


class _Account:
    """The account's positions, day by day; `marked` is each position's last price, with its day."""

    def __init__(self, history: History) -> None:
        self.cash, self.names, self.date_of = history.opening_cash, history.former_names, history.day.date_of
        self.open, self.marked = dict[Owner, LotStep](), dict[Owner, tuple[date, Decimal]]()

    def end(
        self, day: date, traded: Mapping[Owner, LotStep], cash: Decimal, marks: Mapping[str, Decimal] | None
    ) -> DayEnd:
        """Advance by a day and return its end; `traded` are positions that changed, and `cash` is the change in
        cash.
        """
        self.cash += cash
        for owner, step in traded.items():
            self.open.pop(owner, None)
            if step.held:
                self.open[owner] = step
        gains = tuple(self._gains(day, marks or {}))
        cost = sum((lot.cost_usd * lot.side.sign for step in self.open.values() for lot in step.held), _ZERO)
        late = (owner for owner in self.open if self.marked.get(owner, (None,))[0] != day)
        unpriced = frozenset(owner[1] for owner in late if marks is not None or owner in traded)
        value = self.cash + cost + sum((gain.usd for gain in gains), _ZERO)
        return DayEnd(day, value, gains, frozenset({*self.open, *traded}), unpriced)

    def _gains(self, day: date, marks: Mapping[str, Decimal]) -> Iterator[Gain]:
        for owner, step in self.open.items():
            names = owner[1], *self.names.get(owner, ())
            price = next((marks[name] for name in names if name in marks), None)
            if price is not None:
                self.marked[owner] = day, price
            yield Gain(owner, step.held[0].trade, step.held[0].side, self._gain(owner, step))

    def _gain(self, owner: Owner, step: LotStep) -> Decimal:
        day, price = self.marked.get(owner, (None, _ZERO))
        if day is None or (step.restated_at and self.date_of(step.restated_at) > day):
            return _ZERO
        there = (lot for lot in step.held if self.date_of(lot.opened_at) <= day)
        return sum((lot.gain_at(price) for lot in there), _ZERO)


ACCOUNT = "account"
"""The owner of profit without a position: interest, and fees and dividends that no position explains."""
_ZERO = Decimal(0)


class ProfitKind(StrEnum):
    """The kinds of profit; transfers aren't profit and are separate."""

    REALIZED = "realized"
    OPEN = "open"
    FEES = "fees"
    DIVIDENDS = "dividends"
    INTEREST = "interest"
    FUNDING = "funding"
    OTHER = "other"
    TRANSFERS = "transfers"


_CASH = {
    CashKind.DIVIDEND: ProfitKind.DIVIDENDS,
    CashKind.INTEREST: ProfitKind.INTEREST,
    CashKind.FUNDING: ProfitKind.FUNDING,
    CashKind.TRANSFER: ProfitKind.TRANSFERS,
    CashKind.ADJUSTMENT: ProfitKind.OTHER,
}


class ProfitPiece(NamedTuple):
    """A piece of profit in signed USD.

    `trade` is the position behind it, and `lot` the closed lot; None if there is none. `ended` is True for the piece
    that ended a position of the bot. A rolled position hasn't ended: it continues in the next contract.
    """

    day: date
    kind: ProfitKind
    usd: Decimal
    strategy: str = ACCOUNT
    symbol: str = ACCOUNT
    trade: Key | None = None
    side: Side | None = None
    lot: ClosedLot | None = None
    ended: bool = False


class Breakdown(Struct, frozen=True):
    """An account's profit, broken down into its sources, and the account at the end of each day."""

    history: History
    ends: tuple[DayEnd, ...]
    pieces: tuple[ProfitPiece, ...]


def break_down_profit(history: History) -> Breakdown:
    ends = day_ends(history)
    kinds = [(movement, cash_kind(movement)) for movement in history.cash]
    others = [(movement, _CASH[kind]) for movement, kind in kinds if kind in _CASH]
    pieces = (
        *_realized_pieces(history),
        *_open(ends),
        *_fees(history.fees, history.day),
        *_cash_pieces(others, ends, history),
    )
    return Breakdown(history, ends, pieces)


def _realized_pieces(history: History) -> Iterator[ProfitPiece]:
    over = (trip for trip in history.lots.trips if trip.trade.closed_at and trip.trade.strategy != NOT_OURS)
    ends = {id(trip.closed[-1]) for trip in over if trip.trade.key not in history.rolled_positions}
    for lot in history.lots.closed:
        at, ended = history.day.date_of(lot.closed_at), id(lot) in ends
        yield ProfitPiece(
            at, ProfitKind.REALIZED, lot.gross_usd, lot.strategy, lot.symbol, lot.trade, lot.side, lot, ended
        )


def _open(ends: Sequence[DayEnd]) -> Iterator[ProfitPiece]:
    """Yield the change of each open position's gain, day by day."""
    before = dict[Key, Gain]()
    for end in ends:
        now = {gain.trade: gain for gain in end.gains}
        for trade, gain in {**before, **now}.items():
            change = (now[trade].usd if trade in now else _ZERO) - (before[trade].usd if trade in before else _ZERO)
            if change:
                yield ProfitPiece(end.day, ProfitKind.OPEN, change, *gain.owner, trade, gain.side)
        before = now


def _fees(allotted: FeeAllocation, day: VenueDay) -> Iterator[ProfitPiece]:
    """Yield each lot's share of each fee, on the day of the fee, and the fees that no sale explains."""
    for share in allotted.shares:
        lot = share.lot
        closed = lot if isinstance(lot, ClosedLot) else None
        at = day.date_of(share.fee.at)
        yield ProfitPiece(at, ProfitKind.FEES, share.usd, lot.strategy, lot.symbol, lot.trade, lot.side, closed)
    for fee in allotted.left:
        yield ProfitPiece(day.date_of(fee.at), ProfitKind.FEES, fee.amount_usd)


def _cash_pieces(
    movements: Sequence[tuple[CashMovement, ProfitKind]], ends: Sequence[DayEnd], history: History
) -> Iterator[ProfitPiece]:
    """Yield each other cash movement.

    One about a symbol belongs to the symbol's owner on that day, if there is only one.
    """
    owners_by_day = {end.day: end.held for end in ends}
    names = history.former_names if any(movement.symbol for movement, _ in movements) else {}
    for cash_movement, kind in movements:
        day = history.day.date_of(cash_movement.at)
        owners = [owner for owner in owners_by_day[day] if cash_movement.symbol in (owner[1], *names.get(owner, ()))]
        owner = owners[0] if len(owners) == 1 else (ACCOUNT, cash_movement.symbol or ACCOUNT)
        yield ProfitPiece(day, kind, cash_movement.amount_usd, *owner)


REACH = timedelta(days=12)
"""How far back the end of the previous session is searched for."""


class EquityAround(NamedTuple):
    """The broker's equity before a range of days and at its end, in USD, and when the equity at the end was read."""

    before_usd: Decimal
    after_usd: Decimal
    at: datetime


def equity_before_and_after(
    ends: Sequence[SessionEnd], opening_usd: Decimal | None, days: DateRange = EVER
) -> EquityAround | None:
    """Return the broker's equity before these days and at their end.

    Return None if no pass read the equity on these days, or if the equity before them isn't known.

    The equity at the end is that of the session's close if it was recorded, and otherwise the last reading. `ends` are
    oldest first and begin with the session before the days, or with the first session of the books, when the account's
    value was `opening_usd`.
    """
    valued = [end for end in ends if end.equity is not None]
    chosen = [end for end in valued if days.includes(end.session)]
    if not chosen:
        return None
    earlier = [end.equity for end in valued if end.session < chosen[0].session]
    start = chosen[0].last_close or earlier[-1] if earlier else opening_usd or chosen[0].last_close
    last = chosen[-1]
    if start is None or last.equity is None or last.equity_at is None:
        return None
    return EquityAround(start, last.equity, last.equity_at)
