"""Profit in its smallest pieces: each has a day, a kind, an owner and a symbol, and together they are all profit."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.candidate import Side
from tradebot.model.cash import CashKind, CashMovement
from tradebot.model.position import Key
from tradebot.views.performance.day_ends import DayEnd, Gain, day_ends
from tradebot.views.performance.days import day_of
from tradebot.views.performance.fees import Allotted, cash_kind
from tradebot.views.performance.history import NOT_OURS, History
from tradebot.views.performance.lots import ClosedLot, Lots

ACCOUNT = "account"
"""Where profit belongs that no position made: interest, and fees and dividends that no position explains."""
_ZERO = Decimal(0)


class Kind(StrEnum):
    """What a piece of profit is; transfers are no profit, and are kept apart."""

    REALIZED = "realized"
    OPEN = "open"
    FEES = "fees"
    DIVIDENDS = "dividends"
    INTEREST = "interest"
    OTHER = "other"
    TRANSFERS = "transfers"


_CASH = {
    CashKind.DIVIDEND: Kind.DIVIDENDS,
    CashKind.INTEREST: Kind.INTEREST,
    CashKind.TRANSFER: Kind.TRANSFERS,
    CashKind.ADJUSTMENT: Kind.OTHER,
}


class Piece(NamedTuple):
    """A piece of profit in signed USD.

    `trade` names the position behind it, and `lot` is what was closed; None if there is none. `ended` is True for the
    piece that ended a position of the bot's.
    """

    day: date
    kind: Kind
    usd: Decimal
    strategy: str = ACCOUNT
    symbol: str = ACCOUNT
    trade: Key | None = None
    side: Side | None = None
    lot: ClosedLot | None = None
    ended: bool = False


class Breakdown(Struct, frozen=True):
    """All profit of an account in pieces, and the account at the end of each day."""

    history: History
    ends: tuple[DayEnd, ...]
    pieces: tuple[Piece, ...]


def breakdown(history: History) -> Breakdown:
    """Take an account's profit apart."""
    ends = day_ends(history)
    kinds = [(one, cash_kind(one)) for one in history.cash]
    others = [(one, _CASH[kind]) for one, kind in kinds if kind in _CASH]
    pieces = (
        *_realized(history.lots),
        *_open(ends),
        *_fees(history.fees),
        *_paid(others, ends, history),
    )
    return Breakdown(history, ends, pieces)


def _realized(lots: Lots) -> Iterator[Piece]:
    """Yield what each lot made when it was closed, on the day it was."""
    over = (trip for trip in lots.trips if trip.trade.closed_at and trip.trade.strategy != NOT_OURS)
    ends = {id(trip.closed[-1]) for trip in over}
    for lot in lots.closed:
        yield Piece(
            day=day_of(lot.closed_at),
            kind=Kind.REALIZED,
            usd=lot.gross_usd,
            strategy=lot.strategy,
            symbol=lot.symbol,
            trade=lot.trade,
            side=lot.side,
            lot=lot,
            ended=id(lot) in ends,
        )


def _open(ends: Sequence[DayEnd]) -> Iterator[Piece]:
    """Yield by how much the gain of each open position changed each day."""
    before = dict[Key, Gain]()
    for end in ends:
        now = {gain.trade: gain for gain in end.gains}
        for trade, gain in {**before, **now}.items():
            change = (now[trade].usd if trade in now else _ZERO) - (before[trade].usd if trade in before else _ZERO)
            if change:
                yield Piece(end.day, Kind.OPEN, change, *gain.owner, trade, gain.side)
        before = now


def _fees(found: Allotted) -> Iterator[Piece]:
    """Yield each lot's share of each fee, on the day of the fee, and the fees that no sale explains."""
    for share in found.shares:
        lot = share.lot
        closed = lot if isinstance(lot, ClosedLot) else None
        yield Piece(day_of(share.fee.at), Kind.FEES, share.usd, lot.strategy, lot.symbol, lot.trade, lot.side, closed)
    for fee in found.left:
        yield Piece(day_of(fee.at), Kind.FEES, fee.amount_usd)


def _paid(movements: Sequence[tuple[CashMovement, Kind]], ends: Sequence[DayEnd], history: History) -> Iterator[Piece]:
    """Yield each other movement of cash; one that is about a symbol goes to its only owner on that day."""
    held = {end.day: end.held for end in ends}
    names = history.former_names if any(one.symbol for one, _ in movements) else {}
    for one, kind in movements:
        day = day_of(one.at)
        owners = [owner for owner in held[day] if one.symbol in (owner[1], *names.get(owner, ()))]
        owner = owners[0] if len(owners) == 1 else (ACCOUNT, one.symbol or ACCOUNT)
        yield Piece(day, kind, one.amount_usd, *owner)
