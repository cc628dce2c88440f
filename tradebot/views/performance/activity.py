"""How much an account was invested and traded, and what that cost."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import NamedTuple

from tradebot.model.bar import Session
from tradebot.model.origin import Origin
from tradebot.model.position import OwnedFill
from tradebot.views.performance.lots import ClosedLot, OpenLot, closed_lots, open_lots
from tradebot.views.performance.returns import Path

_ZERO = Decimal(0)


class SessionClock:
    """Time in which the exchange is open, in seconds since the first of some sessions."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = sessions
        self._opens = [session.open for session in sessions]
        lengths = ((session.close - session.open).total_seconds() for session in sessions)
        self._before = list(accumulate(lengths, initial=0.0))

    def reached(self, at: datetime) -> float:
        """Return how many seconds of sessions have passed at a moment."""
        place = bisect_right(self._opens, at) - 1
        if place < 0:
            return 0.0
        session = self._sessions[place]
        return self._before[place] + (min(at, session.close) - session.open).total_seconds()

    def between(self, start: datetime, end: datetime) -> float:
        """Return how many seconds of sessions lie between two moments."""
        return max(self.reached(end) - self.reached(start), 0.0)


class Held(NamedTuple):
    """A piece of a position while it was held: its cost in USD, positive if long, and from when to when."""

    cost_usd: float
    start: datetime
    end: datetime


class Exposure(NamedTuple):
    """The average exposure at cost over the time in which the exchange was open, as fractions of average equity.

    `gross` adds up long and short positions, `net` is long less short.
    """

    gross: float
    net: float


def exposure(fills: Sequence[OwnedFill], path: Path, sessions: Sequence[Session]) -> Exposure | None:
    """Return the average exposure along a path; None if there is no open time, or no equity."""
    average = average_equity(path)
    if path.start is None or not path.steps or average is None:
        return None
    start, end, clock = path.start.at, path.steps[-1].after.at, SessionClock(sessions)
    whole = clock.between(start, end)
    if not whole:
        return None
    gross = net = 0.0
    for piece in _pieces(fills, end):
        weighted = piece.cost_usd * clock.between(max(piece.start, start), min(piece.end, end))
        gross, net = gross + abs(weighted), net + weighted
    return Exposure(gross / whole / average, net / whole / average)


def average_equity(path: Path) -> float | None:
    """Return the mean of the equities at the two ends of each step, in USD; None if it isn't above zero."""
    ends = [float(step.before.equity_usd + step.after.equity_usd) / 2 for step in path.steps]
    average = sum(ends) / len(ends) if ends else 0.0
    return average if average > 0 else None


def _pieces(fills: Sequence[OwnedFill], end: datetime) -> list[Held]:
    def held(lot: ClosedLot | OpenLot, until: datetime) -> Held:
        return Held(float(lot.quantity * lot.entry_price) * lot.side.sign, lot.opened_at, until)

    return [held(lot, lot.closed_at) for lot in closed_lots(fills)] + [held(lot, end) for lot in open_lots(fills)]


def traded_usd(fills: Sequence[OwnedFill], path: Path) -> Decimal:
    """Return the value of all executions at the broker along a path, bought and sold, in USD."""
    if path.start is None or not path.steps:
        return _ZERO
    start, end = path.start.at, path.steps[-1].after.at
    executed = (each.fill for each in fills if each.origin is Origin.VENUE and start < each.fill.at <= end)
    return sum((fill.quantity * fill.price for fill in executed), _ZERO)
