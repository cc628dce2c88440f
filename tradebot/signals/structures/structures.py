"""Read all structures of a coin's bars at once, and select those still valid at the last bar.

Structures for longs are read from the bars themselves, and structures for shorts from mirrored bars. Readings never
change once they are known; their ends are recorded separately.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise, repeat
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.series import Series
from tradebot.signals.structures.bars import BarColumns, Column, Smoothing, atr, bars_of, exact, outranges, reaches


class Direction(StrEnum):
    """The direction of a reading: long if it suggests rising prices."""

    LONG = "long"
    SHORT = "short"


class ReadingKind(StrEnum):
    """The kind of structure that a reading describes."""

    BLOCK = "block"
    GAP = "gap"
    BREAK = "break"
    CHANGE = "change"


class StructureReading(NamedTuple):
    """A structure found in bars, with the moment at which its last bar closed and it became known.

    `bar` is the index of the bar it is dated by, and `start_s` that bar's start. `low` and `high` are prices: the zone
    of a block or gap; for a break or a change, the broken level and the extreme that broke it. Times are in seconds
    since 1970 UTC.
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
    """The parameters of readings. Fractions are of a price; everything else counts bars or is a multiple.

    A block's impulse has a range of at least `impulse_multiple` times the upper median of the last `impulse_bars`
    ranges, and blocks older than `block_lookback` bars are ignored. A gap is at least `gap_minimum` wide. A break
    compares the last `break_bars` bars with the `break_before` bars before those. A change is confirmed by
    `confirming_bars` bars that stay within `hold_tolerance` of the broken level, or by `confirming_bars_volatile` where
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
    """An unfinished reading, in original or mirrored prices.

    `bar` is the index of the bar it is dated by, and `known` the index of the bar at whose close it is known.
    """

    bar: int
    known: int
    low: float
    high: float


class Extreme(StrEnum):
    """Whether a swing is at its bar's high or its low."""

    HIGH = "high"
    LOW = "low"


class Swing(NamedTuple):
    """A turning point of price, known when the next bar closes. Times are in seconds since 1970 UTC.

    `bar` is the index of the bar with the extreme, and `start_s` that bar's start.
    """

    extreme: Extreme
    bar: int
    start_s: int
    price: float
    known_at: int


def swings(series: Series) -> list[Swing]:
    """Return all swings of a series, oldest first; a high comes before a low of the same bar.

    Raise ValueError like `bars_of`.

    Equal prices make no swing. Three bars with a hole between them make none either.
    """
    return swings_of(bars_of(series))


def swings_of(bars: BarColumns) -> list[Swing]:
    """Return all swings of these bars, oldest first."""
    swings = []
    high, low = bars.high, bars.low
    for i, run in enumerate(bars.run[2:], 1):
        # Most bars make no swing, so this avoids function calls.
        top, bottom = high[i], low[i]
        if high[i - 1] < top > high[i + 1] and run > 2:
            swings.append(Swing(Extreme.HIGH, i, bars.starts_s[i], top, bars.ends_s[i + 1]))
        if low[i - 1] > bottom < low[i + 1] and run > 2:
            swings.append(Swing(Extreme.LOW, i, bars.starts_s[i], bottom, bars.ends_s[i + 1]))
    return swings


def blocks(bars: BarColumns, settings: StructureSettings) -> list[DraftStructure]:
    """Return the falling bars whose next bar has a large range and closes above their high; each is known at that
    close.

    The range is compared with the ranges of the `impulse_bars` bars up to and including that next bar. With the newest
    bars instead, an old block would appear and disappear. The compared bars may be on both sides of a hole. A block
    ends with a close below its low.
    """
    multiple, count = float(settings.impulse_multiple), settings.impulse_bars
    drafts = []
    for i in range(max(count - 2, 0), len(bars.run) - 1):
        if not (bars.close[i] < bars.open[i] and bars.close[i + 1] > bars.high[i] and bars.run[i + 1] >= 2):
            continue
        recent = slice(i + 2 - count, i + 2)
        if outranges(bars.high[recent], bars.low[recent], multiple, settings.impulse_multiple):
            drafts.append(DraftStructure(i, i + 1, bars.low[i], bars.high[i]))
    return drafts


def gaps(bars: BarColumns, settings: StructureSettings) -> list[DraftStructure]:
    """Return the gaps between a bar's high and the low of the second bar after it; each is known when the second bar
    closes.

    A gap is dated by its first bar. It is at least `gap_minimum` wide, as a fraction of the middle bar's close, and
    ends with the first later low that touches its upper edge.
    """
    minimum, drafts = float(settings.gap_minimum), []
    for i in range(len(bars.run) - 2):
        low, high = bars.high[i], bars.low[i + 2]
        if high <= low or bars.run[i + 2] < 3:
            continue
        if reaches(high, low, minimum, settings.gap_minimum, bars.close[i + 1]):
            drafts.append(DraftStructure(i, i + 2, low, high))
    return drafts


def ends(bars: Sequence[int], levels: Sequence[float], prices: Sequence[float], *, touching: bool) -> list[int | None]:
    """Return, for each zone, the index of the bar that ends it, or None.

    That is the first bar with a price below the zone's level after the zone became known.

    `bars` are the indices of the bars at whose close the zones became known, in order. With `touching`, a price at the
    level ends a zone too.
    """
    ended: list[int | None] = [None] * len(bars)
    waiting: list[tuple[float, int]] = []
    new = 0
    for bar, price in enumerate(prices):
        # The zone with the highest level is last, and ends first.
        while waiting and (waiting[-1][0] > price or (touching and waiting[-1][0] == price)):
            ended[waiting.pop()[1]] = bar
        while new < len(bars) and bars[new] == bar:
            insort(waiting, (levels[new], new))
            new += 1
    return ended


def breaks(bars: BarColumns, settings: StructureSettings) -> list[DraftStructure]:
    """Return a break for each bar at which the highest price of the last few bars is above that of the bars before
    them.

    Each bar is tested by itself, so several bars in a row can have a break. A bar has no break if one of the compared
    bars is missing, because its prices are unknown.
    """
    recent, before = settings.break_bars, settings.break_before
    levels = _highest(bars.high, before)
    # A level is compared with the bars that follow its own.
    highest = _highest(bars.high, recent)[before:]
    first = recent + before - 1
    pairs = enumerate(zip(levels, highest, strict=False), first)
    return [DraftStructure(i, i, level, high) for i, (level, high) in pairs if high > level and bars.run[i] > first]


def _highest(highs: Sequence[float], count: int) -> list[float]:
    """Return the highest of each `count` highs in a row, oldest first."""
    return list(map(max, *(highs[start:] for start in range(count)))) if count > 1 else list(highs)


SLACK = 1 + 1e-12

"""The rounding error allowed for an average that equals its limit."""


class StructureTurn(NamedTuple):
    """A turn of structure: the bar at whose close it was known, the broken level, and the swing beyond it."""

    bar: int
    rising: bool
    broken: float
    extreme: float

    def mirror(self) -> "StructureTurn":
        """Return the same turn of bars whose prices are negated."""
        return StructureTurn(self.bar, not self.rising, -self.broken, -self.extreme)


class StructureChange(NamedTuple):
    """A confirmed change, and the index of the bar at which the structure turned back, if it has."""

    found: DraftStructure
    ended: int | None


def turns(bars: BarColumns) -> list[StructureTurn]:
    """Return the turns of structure, oldest first, alternating up and down.

    The structure rises while the last two swing highs and the last two swing lows rise, falls while both fall, and is a
    range otherwise. A range between rising and falling is part of the turn. The first trend is no turn. An upward turn
    broke the older of the last two swing highs; a downward turn the older of the two lows.
    """
    highs: list[float] = []
    lows: list[float] = []
    trend: bool | None = None
    structure_turns = []
    points = swings_of(bars)
    for number, swing in enumerate(points, 1):
        (highs if swing.extreme is Extreme.HIGH else lows).append(swing.price)
        if number < len(points) and points[number].bar == swing.bar:
            # This bar is a swing at both ends, and both are known at once.
            continue
        rising = _rising(highs, lows)
        if rising is None or rising is trend:
            continue
        if trend is not None:
            broken, extreme = (highs if rising else lows)[-2:]
            structure_turns.append(StructureTurn(swing.bar + 1, rising, broken, extreme))
        trend = rising
    return structure_turns


def _rising(highs: Sequence[float], lows: Sequence[float]) -> bool | None:
    """Return whether the last two swings of both kinds rise or both fall; None for a range, or if there are too few."""
    if len(highs) < 2 or len(lows) < 2:
        return None
    if highs[-1] > highs[-2] and lows[-1] > lows[-2]:
        return True
    return False if highs[-1] < highs[-2] and lows[-1] < lows[-2] else None


def changes(
    bars: BarColumns, turned: Sequence[StructureTurn], ranges: Column, settings: StructureSettings
) -> list[StructureChange]:
    """Return the turns from falling to rising that were confirmed, with the turn back that ended each.

    `turned` are all turns of these bars, and `ranges` is the ATR. For shorts, both bars and turns are mirrored. A turn
    is confirmed if each of the next few bars keeps its low near the broken level or above. It is known when the last of
    these closes. It stays unconfirmed if one of them is missing, or if the structure has turned back by then.
    """
    drafts = []
    for turn, back in pairwise([*turned, None]):
        if turn is None or not turn.rising:
            continue
        at_bar = turn.bar + _bars_needed(ranges, turn.bar, settings)
        if at_bar >= len(bars.run) or (back is not None and back.bar <= at_bar):
            continue
        if bars.run[at_bar] > at_bar - turn.bar and _holds(bars.low[turn.bar + 1 : at_bar + 1], turn.broken, settings):
            change = DraftStructure(turn.bar, at_bar, turn.broken, turn.extreme)
            drafts.append(StructureChange(change, back.bar if back else None))
    return drafts


def _bars_needed(ranges: Column, bar: int, settings: StructureSettings) -> int:
    """Return how many bars confirm a turn: more of them where the ATR is far above its mean, or unknown."""
    recent = [value for value in ranges[max(bar + 1 - settings.volatile_bars, 0) : bar + 1] if value is not None]
    if len(recent) < settings.volatile_bars:
        return settings.confirming_bars_volatile
    limit = float(settings.volatile_multiple) * sum(recent) / len(recent)
    return settings.confirming_bars_volatile if recent[-1] > limit * SLACK else settings.confirming_bars


def _holds(lows: Sequence[float], level: float, settings: StructureSettings) -> bool:
    """Return whether each low is at most the tolerance below the level."""
    tolerance = settings.hold_tolerance
    return all(reaches(low, level, -float(tolerance), -tolerance, level) for low in lows)


Dated = tuple[ReadingKind, DraftStructure, int | None]

"""A reading that isn't dated yet, and the index of the bar that ended it."""


class Structures(NamedTuple):
    """All readings of a series, and those valid at the close of the last bar.

    `readings` are in the order in which they became known, and `ended` in the order in which they ended. Later bars add
    to both and change neither. `living` are the readings without an end, newest last. Blocks before index `first_block`
    are too old to be used.
    """

    readings: tuple[StructureReading, ...]
    ended: tuple[StructureEnd, ...]
    living: tuple[StructureReading, ...]
    first_block: int

    def newest(self, kind: ReadingKind, direction: Direction) -> StructureReading | None:
        """Return the newest valid reading of a kind and direction at the last bar, or None.

        A break is only valid at its own bar, so only a break at the last bar is returned.
        """
        of_kind = (
            reading for reading in reversed(self.living) if reading.kind is kind and reading.direction is direction
        )
        newest = next(of_kind, None)
        if newest is not None and kind is ReadingKind.BLOCK and newest.bar < self.first_block:
            return None
        return newest


def structures(series: Series, settings: StructureSettings) -> Structures:
    """Read all structures, long and short, from the closed bars of a series.

    Raise ValueError if bars are out of order or repeated. Missing bars leave a hole: no structure reaches across one,
    and what happened in it is unknown.
    """
    bars = bars_of(series)
    turned = turns(bars)
    ranges = atr(series, settings.atr_length, settings.smoothing)
    upside_down = bars.mirror(), [turn.mirror() for turn in turned]
    both = (
        *_read(bars, _date_structures(bars, turned, ranges, settings), Direction.LONG),
        *_read(bars, _date_structures(*upside_down, ranges, settings), Direction.SHORT),
    )
    in_order = sorted(both, key=lambda pair: (pair[0].known_at, pair[0].bar))
    over = sorted([StructureEnd(reading, at) for reading, at in in_order if at is not None], key=lambda end: end.at)
    living = [reading for reading, at in in_order if at is None]
    first_block = len(series) - settings.block_lookback
    return Structures(tuple([reading for reading, _ in in_order]), tuple(over), tuple(living), first_block)


def _read(
    bars: BarColumns, dated: Iterable[Dated], direction: Direction
) -> Iterator[tuple[StructureReading, int | None]]:
    """Yield the readings of a direction, and when each ended, in seconds since 1970 UTC."""
    long = direction is Direction.LONG
    for kind, (bar, seen_at, below, above), end in dated:
        low, high = (below, above) if long else (-above, -below)
        reading = StructureReading(kind, direction, bar, bars.starts_s[bar], low, high, bars.ends_s[seen_at])
        yield reading, None if end is None else bars.ends_s[end]


def _date_structures(
    bars: BarColumns, turned: Sequence[StructureTurn], ranges: Column, settings: StructureSettings
) -> Iterator[Dated]:
    """Yield the readings for longs in these bars, each with the index of the bar that ended it."""
    drafts = blocks(bars, settings)
    ended = ends(_known_indices(drafts), [block.low for block in drafts], bars.close, touching=False)
    yield from zip(repeat(ReadingKind.BLOCK), drafts, ended, strict=False)
    drafts = gaps(bars, settings)
    ended = ends(_known_indices(drafts), [gap.high for gap in drafts], bars.low, touching=True)
    yield from zip(repeat(ReadingKind.GAP), drafts, ended, strict=False)
    last = len(bars.run) - 1
    for draft_structure in breaks(bars, settings):
        yield ReadingKind.BREAK, draft_structure, draft_structure.known + 1 if draft_structure.known < last else None
    for change in changes(bars, turned, ranges, settings):
        yield ReadingKind.CHANGE, *change


def _known_indices(drafts: Iterable[DraftStructure]) -> list[int]:
    return [structure.known for structure in drafts]


class FibonacciRange(NamedTuple):
    """The lowest low and the highest high of some bars, as exact decimals."""

    low: Decimal
    high: Decimal

    def level(self, ratio: Decimal, direction: Direction) -> Decimal:
        """Return a level: for a long, high - ratio (high - low); for a short, low + ratio (high - low).

        Ratios over 1 are extensions, which are beyond the far end of the range: below the low for a long.
        """
        distance = ratio * (self.high - self.low)
        return self.high - distance if direction is Direction.LONG else self.low + distance

    def zone(self, near: Decimal, far: Decimal, direction: Direction) -> tuple[Decimal, Decimal]:
        """Return the prices between two levels, the lower one first; the optimal trade entry is 0.618 to 0.786."""
        low, high = sorted((self.level(near, direction), self.level(far, direction)))
        return low, high


def fibonacci_range(series: Series, bars: int) -> FibonacciRange | None:
    """Return the range of the last `bars` bars, or None if there are fewer."""
    if len(series) < bars or not bars:
        return None
    return FibonacciRange(exact(min(series.low[-bars:])), exact(max(series.high[-bars:])))
