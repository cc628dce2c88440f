"""An account's way through a span, with what its figures are measured by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.views.performance.activity import Exposure, Held, exposure_of, held_pieces
from tradebot.views.performance.curve import Benchmark, Rates, frame
from tradebot.views.performance.history import History
from tradebot.views.performance.market_time import MarketTime
from tradebot.views.performance.returns import Path

if TYPE_CHECKING:
    import pandas as pd


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
