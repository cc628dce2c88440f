"""Order blocks and fair value gaps, in the terms of a long; mirrored bars give those of a short."""

from bisect import insort
from collections.abc import Sequence

from tradebot.signals.structures.bars import Bars
from tradebot.signals.structures.comparing import outranges, reaches
from tradebot.signals.structures.reading import Found, StructureSettings


def blocks(bars: Bars, settings: StructureSettings) -> list[Found]:
    """Return the falling bars that the next bar closes above, if that bar's range is large; known at its close.

    The ranges it is compared with are those of the last `impulse_bars` bars up to and including itself, and not the
    newest ones of today: otherwise an old block would come and go. They may be on both sides of a hole. A block ends
    with a close below its low.
    """
    multiple, count = float(settings.impulse_multiple), settings.impulse_bars
    found = []
    for i in range(max(count - 2, 0), len(bars.run) - 1):
        if not (bars.close[i] < bars.open[i] and bars.close[i + 1] > bars.high[i] and bars.run[i + 1] >= 2):
            continue
        recent = slice(i + 2 - count, i + 2)
        if outranges(bars.high[recent], bars.low[recent], multiple, settings.impulse_multiple):
            found.append(Found(i, i + 1, bars.low[i], bars.high[i]))
    return found


def gaps(bars: Bars, settings: StructureSettings) -> list[Found]:
    """Return the gaps between a bar's high and the low of the second bar after it; known at that bar's close.

    A gap is named after its first bar. It is at least `gap_minimum` wide, as a fraction of the middle bar's close, and
    ends with the first later low that touches its upper edge.
    """
    minimum, found = float(settings.gap_minimum), []
    for i in range(len(bars.run) - 2):
        low, high = bars.high[i], bars.low[i + 2]
        if high <= low or bars.run[i + 2] < 3:
            continue
        if reaches(high, low, minimum, settings.gap_minimum, bars.close[i + 1]):
            found.append(Found(i, i + 2, low, high))
    return found


def ends(known: Sequence[int], levels: Sequence[float], prices: Sequence[float], *, touching: bool) -> list[int | None]:
    """Return the bar at which each zone ends: the first after it was known with a price below its level, or None.

    `known` are the places of the bars at whose close the zones were known, in order. With `touching`, a price at the
    level ends a zone too.
    """
    ended: list[int | None] = [None] * len(known)
    waiting: list[tuple[float, int]] = []
    new = 0
    for bar, price in enumerate(prices):
        # The zone with the highest level is last, and the first to end.
        while waiting and (waiting[-1][0] > price or (touching and waiting[-1][0] == price)):
            ended[waiting.pop()[1]] = bar
        while new < len(known) and known[new] == bar:
            insort(waiting, (levels[new], new))
            new += 1
    return ended
