"""All structures of a coin's bars, read at once, and the newest ones that still hold at the last bar."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

from tradebot.model.series import Series
from tradebot.signals.structures.bars import Bars, bars_of
from tradebot.signals.structures.breaks import breaks
from tradebot.signals.structures.changes import Turn, changes, turns
from tradebot.signals.structures.indicators import Column, atr
from tradebot.signals.structures.reading import Direction, Ended, Found, Reading, ReadingKind, StructureSettings
from tradebot.signals.structures.zones import blocks, ends, gaps

Dated = tuple[ReadingKind, Found, int | None]
"""A reading in the making, and the place of the bar that ended it."""


class Structures(NamedTuple):
    """Everything that was read from a series, and what of it holds at the close of the last bar.

    `readings` are in the order in which they became known, and `ended` in the order in which they ended. Later bars add
    to both and change neither. `living` are the readings without an end, newest last. Blocks before place
    `first_block` are too old to be looked at.
    """

    readings: tuple[Reading, ...]
    ended: tuple[Ended, ...]
    living: tuple[Reading, ...]
    first_block: int

    def newest(self, kind: ReadingKind, direction: Direction) -> Reading | None:
        """Return the newest living reading of a kind and direction at the last bar, or None.

        A break lives for its own bar only: if there is one, the last bar has it.
        """
        of_kind = (one for one in reversed(self.living) if one.kind is kind and one.direction is direction)
        newest = next(of_kind, None)
        if newest is not None and kind is ReadingKind.BLOCK and newest.bar < self.first_block:
            return None
        return newest


def structures(series: Series, settings: StructureSettings) -> Structures:
    """Read all structures, long and short, from the closed bars of a series.

    ValueError if bars are out of order or there twice. Bars that are missing leave a hole: no structure reaches across
    one, and what happened in it is unknown.
    """
    bars = bars_of(series)
    turned = turns(bars)
    ranges = atr(series, settings.atr_length, settings.smoothing)
    upside_down = bars.mirrored(), [turn.mirrored() for turn in turned]
    both = (
        *_read(bars, _dated(bars, turned, ranges, settings), Direction.LONG),
        *_read(bars, _dated(*upside_down, ranges, settings), Direction.SHORT),
    )
    in_order = sorted(both, key=lambda pair: (pair[0].known_at, pair[0].bar))
    over = sorted([Ended(reading, at) for reading, at in in_order if at is not None], key=lambda end: end.at)
    living = [reading for reading, at in in_order if at is None]
    first_block = len(series) - settings.block_lookback
    return Structures(tuple([reading for reading, _ in in_order]), tuple(over), tuple(living), first_block)


def _read(bars: Bars, dated: Iterable[Dated], direction: Direction) -> Iterator[tuple[Reading, int | None]]:
    """Yield the readings of a direction, and when each ended, in seconds since 1970 UTC."""
    long = direction is Direction.LONG
    for kind, (bar, known, below, above), end in dated:
        low, high = (below, above) if long else (-above, -below)
        reading = Reading(kind, direction, bar, bars.starts_s[bar], low, high, bars.ends_s[known])
        yield reading, None if end is None else bars.ends_s[end]


def _dated(bars: Bars, turned: Sequence[Turn], ranges: Column, settings: StructureSettings) -> Iterator[Dated]:
    """Yield what there is for longs in these bars, each with the place of the bar that ended it."""
    found = blocks(bars, settings)
    ended = ends(_known(found), [block.low for block in found], bars.close, touching=False)
    yield from zip(repeat(ReadingKind.BLOCK), found, ended, strict=False)
    found = gaps(bars, settings)
    ended = ends(_known(found), [gap.high for gap in found], bars.low, touching=True)
    yield from zip(repeat(ReadingKind.GAP), found, ended, strict=False)
    last = len(bars.run) - 1
    for one in breaks(bars, settings):
        yield ReadingKind.BREAK, one, one.known + 1 if one.known < last else None
    for change in changes(bars, turned, ranges, settings):
        yield ReadingKind.CHANGE, *change


def _known(found: Iterable[Found]) -> list[int]:
    return [one.known for one in found]
