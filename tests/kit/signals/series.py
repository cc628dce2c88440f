"""Series and frames for structures and features: written out, drawn by hypothesis, or walked from a seed."""

import random
from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import strategies as st

from tradebot.model.bar import Session
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.signals.features.frame import Frame, NewsTimes, ReleaseList, frame_of
from tradebot.signals.structures.bars import Smoothing
from tradebot.signals.structures.structures import StructureSettings
from tradebot.signals.subjects.market import Category

# Frames for the tests of features: sessions of hourly bars, walked from a seed, with all that may be known besides.

HOUR_S, BARS_A_SESSION = 3_600, 23
FIRST = date(2026, 9, 14)
ONE_DAY = timedelta(days=1)
ENOUGH = 560
"""So many bars are enough for every feature."""
BarRow = tuple[float, float, float, float, float]
"""Open, high, low, close and volume."""


def hours(count: int, first: date = FIRST) -> list[Session]:
    """Return sessions of 23 hours that open the evening before, Monday to Friday."""
    days = (first + place * ONE_DAY for place in range(count * 2))
    return [
        Session(day, opens, opens + timedelta(hours=BARS_A_SESSION))
        for day in days
        if day.weekday() < 5 and (opens := datetime.combine(day - ONE_DAY, datetime.min.time(), UTC).replace(hour=22))
    ][:count]


def walked(seed: int, count: int = ENOUGH) -> list[BarRow]:
    """Return bars of a price that wanders, at any level, smooth or in ticks, with some bars flat or without volume."""
    chance = random.Random(seed)
    price, rough, flat = 10 ** chance.uniform(-3, 6), chance.uniform(0.001, 0.02), chance.choice((0, 0.05))
    tick, rows = price * chance.choice((0.0, 0.001)), list[BarRow]()

    def written(value: float) -> float:
        return max(round(value / tick), 1) * tick if tick else value

    for _ in range(count):
        opened = written(price * (1 + chance.gauss(0, rough / 4)))
        if chance.random() < flat:
            rows.append((opened, opened, opened, opened, 0.0))
            continue
        price = opened * (1 + chance.gauss(0, rough))
        close = written(price)
        high = max(written(max(opened, close) * (1 + abs(chance.gauss(0, rough / 2)))), opened, close)
        low = min(written(min(opened, close) * (1 - abs(chance.gauss(0, rough / 2)))), opened, close)
        rows.append((opened, high, low, close, chance.choice((chance.uniform(0, 1e6), float(chance.randint(0, 50))))))
    return rows


def hourly_series(rows: Sequence[BarRow], sessions: Sequence[Session], *, skipped: int = 0) -> Series:
    """Return hourly bars in these sessions, the first `skipped` hours of the first one left out."""
    starts = [int(one.open.timestamp()) + bar * HOUR_S for one in sessions for bar in range(BARS_A_SESSION)][skipped:]
    assert len(starts) >= len(rows), "more sessions are needed"
    opens, highs, lows, closes, volumes = (array("d", [row[place] for row in rows]) for place in range(5))
    return Series("ESZ6", "1Hour", True, array("q", starts[: len(rows)]), opens, highs, lows, closes, volumes)


def bare(rows: Sequence[BarRow], *, skipped: int = 0) -> Frame:
    """Return the frame of bars in sessions, without anything else that may be known."""
    sessions = hours(len(rows) // BARS_A_SESSION + 2)
    return frame_of(hourly_series(rows, sessions, skipped=skipped), sessions, (date(2026, 9, 21), date(2027, 3, 9)))


def full(seed: int, count: int = ENOUGH) -> Frame:
    """Return a frame with quotes, a new list of releases every day, and news."""
    chance, frame = random.Random(seed), bare(walked(seed, count))
    first, last = int(frame.starts[0]), int(frame.starts[-1])
    due = sorted(chance.sample(range(first, last, 1_800), 9))
    lists = [ReleaseList(at, tuple(one for one in due if one > at)) for at in range(first + HOUR_S * 3, last, 86_400)]
    told: dict[str, tuple[int, ...]] = {
        each: tuple(sorted(chance.choices(range(first, last), k=200))) for each in Category
    }
    spread = np.array([chance.choice((1.0, 2.0, float("nan"))) for _ in range(count)])
    return replace(frame, spread=spread, releases=tuple(lists), news=NewsTimes(first, told))


FOUR_HOURS_S = 14_400
SPEC = StructureSettings(
    impulse_multiple=Decimal("1.5"),
    impulse_bars=20,
    block_lookback=50,
    gap_minimum=Decimal("0.0007"),
    break_bars=3,
    break_before=7,
    hold_tolerance=Decimal("0.005"),
    confirming_bars=1,
    confirming_bars_volatile=2,
    volatile_multiple=Decimal("1.5"),
    volatile_bars=20,
    atr_length=14,
    smoothing=Smoothing.EMA,
)
"""The numbers of the specification."""
FEW_BARS = replace(SPEC, impulse_bars=5, block_lookback=12, break_bars=2, break_before=3, volatile_bars=4, atr_length=3)
"""The same over fewer bars, so that a few drawn bars show every kind of structure."""
Row = tuple[float, float, float, float]
"""Open, high, low and close."""


def series_of(rows: Iterable[Row], starts: Sequence[int] | None = None, timeframe: str = "4Hour") -> Series:
    bars = list(rows)
    opens, highs, lows, closes = (array("d", [bar[place] for bar in bars]) for place in range(4))
    places = array("q", [FOUR_HOURS_S * place for place in range(len(bars))] if starts is None else starts)
    volume = array("d", [1.0] * len(bars))
    return Series("BTC/USD", timeframe, False, places, opens, highs, lows, closes, volume)


def written(text: str) -> list[Row]:
    """Return bars written as `open high low close | open high low close`."""
    rows = [tuple(map(float, bar.split())) for bar in text.split("|")]
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def first(series: Series, count: int) -> Series:
    """Return the oldest bars of a series."""
    prices = {name: getattr(series, name)[:count] for name in ("open", "high", "low", "close", "volume")}
    return replace(series, starts=series.starts[:count], **prices)


def in_ticks(rows: Iterable[Sequence[int]], tick: Decimal) -> list[Row]:
    """Return bars of whole ticks as the floats that a venue's decimal prices become."""
    return [(*(float(price * tick) for price in row),) for row in rows]  # type: ignore[misc]


def ticks(seed: int, count: int = 60) -> list[tuple[int, int, int, int]]:
    """Return bars in whole ticks around 10,000, with many ties, some bars without a range, and jumps."""
    chance, rows, price = random.Random(seed), [], 10_000
    for _ in range(count):
        opened = price + chance.randint(-3, 3)
        price = opened + chance.randint(-6, 6)
        top, bottom = max(opened, price), min(opened, price)
        rows.append((opened, top + chance.randint(0, 3), bottom - chance.randint(0, 3), price))
    return rows


TICKS = st.integers(0, 2**32).map(ticks)


def walk(chance: random.Random, count: int) -> Series:
    """Return bars of a market of its own: some with a coarse tick, some in trends, and a few with bars missing."""
    price, places = 10 ** chance.uniform(-2, 4), chance.choice((2, 3, 4))
    rough, drift, missing = chance.uniform(0.002, 0.03), chance.uniform(-0.001, 0.001), chance.choice((0, 0, 0.01))
    tick = Decimal(10) ** (Decimal(f"{price:.0e}").adjusted() - places)
    rows, starts, start = [], [], 0
    ticks = int(Decimal(price) / tick)
    for _ in range(count):
        opened = ticks + round(ticks * chance.gauss(0, rough / 8))
        closed = max(round(opened * (1 + chance.gauss(drift, rough))), 2)
        above, below = (round(abs(chance.gauss(0, rough / 3)) * opened) for _ in "ud")
        rows.append((opened, max(opened, closed) + above, max(min(opened, closed) - below, 1), closed))
        start += FOUR_HOURS_S * (1 if chance.random() >= missing else chance.randint(2, 5))
        starts.append(start)
        ticks = closed
    return series_of(in_ticks(rows, tick), starts)
