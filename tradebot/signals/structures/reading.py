"""What is read from bars: readings, which never change once they are known, and their ends, which are records too."""

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from tradebot.signals.structures.indicators import Smoothing


class Direction(StrEnum):
    """Which way a reading points: long if it speaks for rising prices."""

    LONG = "long"
    SHORT = "short"


class ReadingKind(StrEnum):
    """The kind of structure that a reading describes."""

    BLOCK = "block"
    GAP = "gap"
    BREAK = "break"
    CHANGE = "change"


class StructureReading(NamedTuple):
    """A structure that bars show, with the moment at which its last bar closed and it became known.

    `bar` is the place in the series of the bar it is named after, and `start_s` that bar's start. `low` and `high` are
    prices: the zone of a block or gap; for a break and a change the level that was broken and the extreme that broke
    it. Times are in seconds since 1970 UTC.
    """

    kind: ReadingKind
    direction: Direction
    bar: int
    start_s: int
    low: float
    high: float
    known_at: int


class StructureEnd(NamedTuple):
    """The end of a reading: `at` is the close of the bar that ended it, in seconds since 1970 UTC."""

    reading: StructureReading
    at: int


class StructureSettings(Struct, frozen=True):
    """The numbers that readings depend on. Fractions are of a price; everything else counts bars or is a multiple.

    A block's impulse has a range of at least `impulse_multiple` times the upper median of the last `impulse_bars`
    ranges, and blocks older than `block_lookback` bars are not looked at. A gap is at least `gap_minimum` wide. A break
    compares the last `break_bars` bars with the `break_before` bars before those. A change is confirmed by
    `confirming_bars` bars that keep within `hold_tolerance` of the broken level, or by `confirming_bars_volatile` where
    the ATR is over `volatile_multiple` times its mean of `volatile_bars` bars.
    """

    impulse_multiple: Decimal
    impulse_bars: int
    block_lookback: int
    gap_minimum: Decimal
    break_bars: int
    break_before: int
    hold_tolerance: Decimal
    confirming_bars: int
    confirming_bars_volatile: int
    volatile_multiple: Decimal
    volatile_bars: int
    atr_length: int
    smoothing: Smoothing


class DraftStructure(NamedTuple):
    """A reading in the making, in the bars' own or mirrored prices.

    `bar` is the place of the bar it is named after, and `known` that of the bar at whose close it is known.
    """

    bar: int
    known: int
    low: float
    high: float
