"""Measure what features cost: all of them over a year of bars, for one decision, and in a pass of a backtest."""

import random
import statistics
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tradebot.desk.features import BarFeatures
from tradebot.model.bar import Session
from tradebot.model.series import Series
from tradebot.model.values import replace
from tradebot.model.view import BarNeed, FeatureNeed
from tradebot.signals.features import columns, features, frame_of
from tradebot.venues.ibkr.capabilities import IBKR

SESSIONS, DECISIONS = sized((252, 200), (30, 5))
WIDTH_S, BARS_A_SESSION = 300, 276
FIRST = datetime(2026, 1, 4, 23, tzinfo=UTC)
BOUND_YEAR_MS, BOUND_DECISION_MS, BOUND_PASS_MS = 2_000, 100, 2
NAMES = tuple(name for name, each in features().items() if not each.of_the_moment)
NEED = FeatureNeed("5Min", (), optional=NAMES)
HOURS = [
    Session((opens + timedelta(days=1)).date(), opens, opens + timedelta(hours=23))
    for opens in (FIRST + timedelta(days=day) for day in range(SESSIONS * 2))
    if opens.weekday() not in (4, 5)
][:SESSIONS]


def walked() -> Series:
    """Return bars of five minutes in ticks, as a future's."""
    chance, price = random.Random(7), 20_000  # noqa: S311 - the same each time
    opens, highs, lows, closes, volumes = (array("d") for _ in "ohlcv")
    starts = array("q", [int(one.open.timestamp()) + WIDTH_S * bar for one in HOURS for bar in range(BARS_A_SESSION)])
    for _ in starts:
        opened = price + chance.randint(-3, 3)
        price = opened + chance.randint(-6, 6)
        opens.append(opened / 4)
        highs.append((max(opened, price) + chance.randint(0, 3)) / 4)
        lows.append((min(opened, price) - chance.randint(0, 3)) / 4)
        closes.append(price / 4)
        volumes.append(chance.randint(1, 5_000))
    return Series("ES", "5Min", True, starts, opens, highs, lows, closes, volumes)


class Stored:
    """Bars that are in memory."""

    def __init__(self, series: Series) -> None:
        self._series = series

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        series, until_s = self._series, int(until.timestamp()) - WIDTH_S
        end = bisect_right(series.starts, until_s)
        of = (each[max(end - need.depth, 0) : end] for each in (series.open, series.high, series.low, series.close))
        opens, highs, lows, closes = of
        first = max(end - need.depth, 0)
        starts, volume = series.starts[first:end], series.volume[first:end]
        return {
            symbols[0]: replace(series, starts=starts, open=opens, high=highs, low=lows, close=closes, volume=volume)
        }


def listed(first: date, last: date, calendar: str) -> Sequence[Session]:
    return [one for one in HOURS if first <= one.date <= last]


def cpu_ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return 1_000 * (time.process_time() - began)


def figures() -> Iterator[Figure]:
    """Yield a line for each measurement."""
    series = walked()
    year = statistics.median(cpu_ms(lambda: columns(frame_of(series, HOURS, ()), NAMES)) for _ in range(3))
    yield Figure(f"{len(series):,} bars, {len(NAMES)} features", "", year, "ms CPU", BOUND_YEAR_MS)
    bars, last = Stored(series), HOURS[-1]
    moments = [last.open + timedelta(seconds=WIDTH_S * (1 + place % BARS_A_SESSION)) for place in range(DECISIONS)]
    fresh = BarFeatures(bars, listed, IBKR.day)
    taken = sorted(cpu_ms(partial(fresh.row, NEED, "ES", at, "", None)) for at in moments)
    found = f"median {statistics.median(taken):.1f} ms"
    yield Figure("one decision from bars, p99", found, taken[int(0.99 * len(taken))], "ms CPU", BOUND_DECISION_MS)
    ahead = BarFeatures(bars, listed, IBKR.day, whole=True)
    every = [last.open + timedelta(seconds=WIDTH_S * place) for place in range(1, BARS_A_SESSION + 1)]
    passes = cpu_ms(lambda: [ahead.row(NEED, "ES", at, "", None) for at in every])
    yield Figure("a pass of a backtest, the mean of a session", "", passes / len(every), "ms CPU", BOUND_PASS_MS)


if __name__ == "__main__":
    show("features", figures())
