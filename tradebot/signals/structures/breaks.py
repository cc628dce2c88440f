"""Breaks of structure, in the terms of a long; mirrored bars give those of a short."""

from collections.abc import Sequence

from tradebot.signals.structures.bars import Bars
from tradebot.signals.structures.reading import Found, StructureSettings


def breaks(bars: Bars, settings: StructureSettings) -> list[Found]:
    """Return each bar at whose close the last few bars have been higher than the ones before those.

    It is asked of each bar anew, so every bar has a break for itself. Of bars with a hole among them nobody knows how
    high the missing ones were, so these have none.
    """
    recent, before = settings.break_bars, settings.break_before
    levels = _highest(bars.high, before)
    # The bars that are compared with a level start right after its own.
    highest = _highest(bars.high, recent)[before:]
    first = recent + before - 1
    pairs = enumerate(zip(levels, highest, strict=False), first)
    return [Found(i, i, level, high) for i, (level, high) in pairs if high > level and bars.run[i] > first]


def _highest(highs: Sequence[float], count: int) -> list[float]:
    """Return the highest of each `count` highs in a row, oldest first."""
    return list(map(max, *(highs[start:] for start in range(count)))) if count > 1 else list(highs)
