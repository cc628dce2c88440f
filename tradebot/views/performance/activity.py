"""How much an account was invested and traded, what that cost, and its way beside a benchmark and cash."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.position import Origin, OwnedFill
from tradebot.views.performance.curve import Benchmark, Rates, frame
from tradebot.views.performance.days import MarketTime
from tradebot.views.performance.exposure import Exposure, average, exposures
from tradebot.views.performance.history import History
from tradebot.views.performance.report import Figure, Unit
from tradebot.views.performance.return_figures import figure
from tradebot.views.performance.returns import Path
from tradebot.views.slippage import TotalSlippage

if TYPE_CHECKING:
    import pandas as pd

_ZERO = Decimal(0)


def average_equity(path: Path) -> float | None:
    """Return the mean of the equities at the two ends of each step, in USD; None if it isn't above zero."""
    ends = [float(step.before.equity_usd + step.after.equity_usd) / 2 for step in path.steps]
    average = sum(ends) / len(ends) if ends else 0.0
    return average if average > 0 else None


def traded_usd(fills: Sequence[OwnedFill], path: Path) -> Decimal:
    """Return the value of all executions at the broker along a path, bought and sold, in USD."""
    if path.start is None or not path.steps:
        return _ZERO
    start, end = path.start.at, path.steps[-1].after.at
    executed = [each.fill for each in fills if each.origin is Origin.VENUE and start < each.fill.at <= end]
    return sum([abs(fill.notional) for fill in executed], _ZERO)


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

    rows = (
        ("exposure", "Average exposure", Unit.FRACTION, exposed.gross if exposed else None),
        ("net_exposure", "Long less short", Unit.FRACTION, exposed.net if exposed else None),
        ("turnover", "Turnover", Unit.RATIO, turned),
        ("traded", "Bought and sold", Unit.USD, float(traded_usd)),
        ("fees", "Fees", Unit.USD, None if fees_usd is None else float(fees_usd)),
    )
    return (
        *(figure(seen, name, label, unit, 1, value, NO_TIME, SEEN) for name, label, unit, value in rows),
        *(_slippage(each) for each in costs),
    )


def _slippage(of: TotalSlippage) -> Figure:
    value = float(of.total.usd) if of.total else None
    note = f"{of.total.bps:+.1f} bps" if of.total else "no midpoint is known"
    label = f"Slippage at {of.against}"
    return Figure(f"slippage_{of.against}", label, Unit.USD, value, of.known, 1, FILLS, note=note if of.of else "")


class Measured(Struct, frozen=True):
    """A path with its exposure over each step, and its frame beside a benchmark and cash.

    `exposed` is the average of `exposures`; both are None if they aren't known. `rows` is None if the path has no step.
    """

    way: Path
    exposures: tuple[Exposure, ...] | None
    exposed: Exposure | None
    rows: "pd.DataFrame | None"


def measure(history: History, way: Path, sessions: Sequence[Session], benchmark: Benchmark, rates: Rates) -> Measured:
    """Measure a path by the exchange's sessions, a benchmark and the rates of cash."""
    found = exposures(history, way, MarketTime(sessions))
    leverage = [each.gross for each in found or ()]
    return Measured(way, found, average(found), frame(way, benchmark, rates, leverage) if way.steps else None)
