"""How much an account was invested and traded, and what that cost."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.origin import Origin
from tradebot.model.position import OwnedFill
from tradebot.views.performance.history import NOT_OURS
from tradebot.views.performance.lots import Lots
from tradebot.views.performance.market_time import MarketTime
from tradebot.views.performance.returns import Path

_ZERO = Decimal(0)


class Held(NamedTuple):
    """A piece of a position while it was held: its cost in USD, positive if long, and from when to when.

    `open_s` is for how many seconds the market was open meanwhile; None if a session isn't known.
    """

    cost_usd: float
    start: datetime
    end: datetime
    open_s: float | None


class Exposure(NamedTuple):
    """The average exposure at cost over the time in which the exchange was open, as fractions of average equity.

    `gross` adds up long and short positions, `net` is long less short.
    """

    gross: float
    net: float


def exposure(lots: Lots, path: Path, market: MarketTime) -> Exposure | None:
    """Return our average exposure along a path; None if there is no equity, no open time, or an unknown session."""
    return exposure_of(tuple(held_pieces(lots, path.steps[-1].after.at, market)), path, market) if path.steps else None


def exposure_of(pieces: Iterable[Held], path: Path, market: MarketTime) -> Exposure | None:
    """Return the average exposure of pieces of positions along a path, as `exposure` does."""
    average = average_equity(path)
    if path.start is None or not path.steps or average is None:
        return None
    start, end = path.start.at, path.steps[-1].after.at
    whole = market.between_s(start, end)
    if not whole:
        return None
    gross = net = 0.0
    for piece in pieces:
        if start <= piece.start and piece.end <= end:
            open_s = piece.open_s
        else:
            first, last = max(piece.start, start), min(piece.end, end)
            open_s = market.between_s(first, last) if first < last else None
        weighted = piece.cost_usd * (open_s or 0.0)
        gross, net = gross + abs(weighted), net + weighted
    return Exposure(gross / whole / average, net / whole / average)


def average_equity(path: Path) -> float | None:
    """Return the mean of the equities at the two ends of each step, in USD; None if it isn't above zero."""
    ends = [float(step.before.equity_usd + step.after.equity_usd) / 2 for step in path.steps]
    average = sum(ends) / len(ends) if ends else 0.0
    return average if average > 0 else None


def held_pieces(lots: Lots, end: datetime, market: MarketTime) -> Iterator[Held]:
    """Yield the pieces of our positions until a moment; what is held then is held until it."""
    for lot in lots.closed:
        if lot.strategy != NOT_OURS:
            start, until = lot.opened_at, lot.closed_at
            cost_usd = float(lot.quantity * lot.entry_price) * lot.side.sign
            yield Held(cost_usd, start, until, market.between_s(start, until))
    for piece in lots.held:
        if piece.strategy != NOT_OURS and piece.opened_at < end:
            start = piece.opened_at
            yield Held(float(piece.cost_usd) * piece.side.sign, start, end, market.between_s(start, end))


def traded_usd(fills: Sequence[OwnedFill], path: Path) -> Decimal:
    """Return the value of all executions at the broker along a path, bought and sold, in USD."""
    if path.start is None or not path.steps:
        return _ZERO
    start, end = path.start.at, path.steps[-1].after.at
    executed = [each.fill for each in fills if each.origin is Origin.VENUE and start < each.fill.at <= end]
    return sum([fill.quantity * fill.price for fill in executed], _ZERO)
