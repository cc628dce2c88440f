"""Series for the tests of structures: written out, drawn by hypothesis, or walked from a seed."""

import random
from array import array
from collections.abc import Iterable, Sequence
from decimal import Decimal

from hypothesis import strategies as st

from tradebot.model.series import Series
from tradebot.model.values import replace
from tradebot.signals.structures.indicators import Smoothing
from tradebot.signals.structures.reading import StructureSettings

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
    chance, rows, price = random.Random(seed), [], 10_000  # noqa: S311 - replayable
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
