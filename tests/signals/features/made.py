"""Frames for the tests of features: sessions of hourly bars, walked from a seed, with all that may be known besides."""

import random
from array import array
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from tradebot.model.bar import Session
from tradebot.model.series import Series
from tradebot.model.values import replace
from tradebot.signals.features.frame import Frame, Listed, Told, frame_of
from tradebot.signals.kinds.news import Category

HOUR_S, BARS_A_SESSION = 3_600, 23
FIRST = date(2026, 9, 14)
ONE_DAY = timedelta(days=1)
ENOUGH = 560
"""So many bars are enough for every feature."""
Row = tuple[float, float, float, float, float]
"""Open, high, low, close and volume."""


def hours(count: int, first: date = FIRST) -> list[Session]:
    """Return sessions of 23 hours that open the evening before, Monday to Friday."""
    days = (first + place * ONE_DAY for place in range(count * 2))
    return [
        Session(day, opens, opens + timedelta(hours=BARS_A_SESSION))
        for day in days
        if day.weekday() < 5 and (opens := datetime.combine(day - ONE_DAY, datetime.min.time(), UTC).replace(hour=22))
    ][:count]


def walked(seed: int, count: int = ENOUGH) -> list[Row]:
    """Return bars of a price that wanders, at any level, smooth or in ticks, with some bars flat or without volume."""
    chance = random.Random(seed)  # noqa: S311 - replayable
    price, rough, flat = 10 ** chance.uniform(-3, 6), chance.uniform(0.001, 0.02), chance.choice((0, 0.05))
    tick, rows = price * chance.choice((0.0, 0.001)), list[Row]()

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


def series_of(rows: Sequence[Row], sessions: Sequence[Session], *, skipped: int = 0) -> Series:
    """Return hourly bars in these sessions, the first `skipped` hours of the first one left out."""
    starts = [int(one.open.timestamp()) + bar * HOUR_S for one in sessions for bar in range(BARS_A_SESSION)][skipped:]
    assert len(starts) >= len(rows), "more sessions are needed"
    opens, highs, lows, closes, volumes = (array("d", [row[place] for row in rows]) for place in range(5))
    return Series("ESZ6", "1Hour", True, array("q", starts[: len(rows)]), opens, highs, lows, closes, volumes)


def bare(rows: Sequence[Row], *, skipped: int = 0) -> Frame:
    """Return the frame of bars in sessions, without anything else that may be known."""
    sessions = hours(len(rows) // BARS_A_SESSION + 2)
    return frame_of(series_of(rows, sessions, skipped=skipped), sessions, (date(2026, 9, 21), date(2027, 3, 9)))


def full(seed: int, count: int = ENOUGH) -> Frame:
    """Return a frame with quotes, a new list of releases every day, and news."""
    chance, frame = random.Random(seed), bare(walked(seed, count))  # noqa: S311 - replayable
    first, last = int(frame.starts[0]), int(frame.starts[-1])
    due = sorted(chance.sample(range(first, last, 1_800), 9))
    lists = [Listed(at, tuple(one for one in due if one > at)) for at in range(first + HOUR_S * 3, last, 86_400)]
    told: dict[str, tuple[int, ...]] = {
        each: tuple(sorted(chance.choices(range(first, last), k=200))) for each in Category
    }
    spread = np.array([chance.choice((1.0, 2.0, float("nan"))) for _ in range(count)])
    return replace(frame, spread=spread, releases=tuple(lists), news=Told(first, told))
