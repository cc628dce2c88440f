"""How much an account was invested and traded, what that cost, and its way beside a benchmark and cash."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.position import Origin, OwnedFill
from tradebot.views.performance.curve import Benchmark, Rates, frame
from tradebot.views.performance.days import MarketTime
from tradebot.views.performance.history import NOT_OURS, History
from tradebot.views.performance.lots import Lots
from tradebot.views.performance.report import Figure, Unit
from tradebot.views.performance.returns import Path
from tradebot.views.slippage import TotalSlippage

if TYPE_CHECKING:
    import pandas as pd

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


def exposure_of(pieces: Iterable[Held], path: Path, market: MarketTime) -> Exposure | None:
    """Return the average exposure of pieces of positions along a path.

    None if there is no equity, no open time, or an unknown session.
    """
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


SEEN, FILLS = "sessions", "fills of the bot's orders"
NO_TIME = "no equity is known, or no session in which it could be invested"


def activity_figures(
    path: Path,
    exposed: Exposure | None,
    traded_usd: Decimal,
    fees_usd: Decimal | None,
    costs: Sequence[TotalSlippage],
) -> tuple[Figure, ...]:
    """Return exposure, turnover and cost along a path. `fees_usd` is what was paid, as a positive amount."""
    average, seen = average_equity(path), len(path.steps)
    turned = float(traded_usd) / 2 / average if average else None

    def figure(name: str, label: str, unit: Unit, value: float | None) -> Figure:
        note = NO_TIME if value is None and seen else ""
        return Figure(name, label, unit, value, seen, 1, SEEN, note=note)

    return (
        figure("exposure", "Average exposure", Unit.FRACTION, exposed.gross if exposed else None),
        figure("net_exposure", "Long less short", Unit.FRACTION, exposed.net if exposed else None),
        figure("turnover", "Turnover", Unit.RATIO, turned),
        figure("traded", "Bought and sold", Unit.USD, float(traded_usd) if seen else None),
        figure("fees", "Fees", Unit.USD, float(fees_usd) if seen and fees_usd is not None else None),
        *(_slippage(each) for each in costs),
    )


def _slippage(of: TotalSlippage) -> Figure:
    value = float(of.total.usd) if of.total else None
    note = f"{of.total.bps:+.1f} bps" if of.total else "no midpoint is known"
    label = f"Slippage at {of.against}"
    return Figure(f"slippage_{of.against}", label, Unit.USD, value, of.known, 1, FILLS, note=note if of.of else "")


class Measured(Struct, frozen=True):
    """A path, the pieces of positions that were held along it, and its frame beside a benchmark and cash.

    `exposed` is None if it isn't known, and `rows` if the path has no step. `rates` have the average exposure as the
    leverage of the leveled benchmark.
    """

    way: Path
    market: MarketTime
    held: tuple[Held, ...]
    exposed: Exposure | None
    rates: Rates
    rows: "pd.DataFrame | None"


def measure(history: History, way: Path, sessions: Sequence[Session], benchmark: Benchmark, rates: Rates) -> Measured:
    """Measure a path by the exchange's sessions, a benchmark and the rates of cash."""
    market = MarketTime(sessions)
    held = tuple(held_pieces(history.lots, way.steps[-1].after.at, market)) if way.steps else ()
    exposed = exposure_of(held, way, market)
    leveled = rates._replace(leverage=exposed.gross if exposed else None)
    return Measured(way, market, held, exposed, leveled, frame(way, benchmark, leveled) if way.steps else None)
