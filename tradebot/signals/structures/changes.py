"""Changes of structure: swings that both fell and now both rise, or the other way around."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tradebot.signals.structures.bars import Bars
from tradebot.signals.structures.comparing import reaches
from tradebot.signals.structures.indicators import Column
from tradebot.signals.structures.reading import Found, StructureSettings
from tradebot.signals.structures.swings import Extreme, swings_of

SLACK = 1 + 1e-12
"""What rounding may add to an average that equals its limit."""


class Turn(NamedTuple):
    """The bar at whose close the structure had turned, the level that was broken, and the swing beyond it."""

    bar: int
    rising: bool
    broken: float
    extreme: float

    def mirrored(self) -> "Turn":
        """Return the same turn of bars whose prices are negated."""
        return Turn(self.bar, not self.rising, -self.broken, -self.extreme)


class Change(NamedTuple):
    """A confirmed change, and the place of the bar at which the structure turned back, if it has."""

    found: Found
    ended: int | None


def turns(bars: Bars) -> list[Turn]:
    """Return where the structure turned, oldest first, up and down by turns.

    The structure rises while the last two swing highs and the last two swing lows rise, falls while both fall, and is a
    range otherwise. A range between rising and falling is part of the turn. The first trend of all is no turn. What a
    turn upward broke is the older of the last two swing highs; what a turn downward broke, the older of the two lows.
    """
    highs: list[float] = []
    lows: list[float] = []
    trend: bool | None = None
    found = []
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
            found.append(Turn(swing.bar + 1, rising, broken, extreme))
        trend = rising
    return found


def _rising(highs: Sequence[float], lows: Sequence[float]) -> bool | None:
    """Return whether the last two swings of both kinds rise or both fall; None for a range, or if there are too few."""
    if len(highs) < 2 or len(lows) < 2:
        return None
    if highs[-1] > highs[-2] and lows[-1] > lows[-2]:
        return True
    return False if highs[-1] < highs[-2] and lows[-1] < lows[-2] else None


def changes(bars: Bars, turned: Sequence[Turn], ranges: Column, settings: StructureSettings) -> list[Change]:
    """Return which turns from falling to rising were confirmed, with the turn back that ended each.

    `turned` are all turns of these bars, and `ranges` is the ATR. For shorts, both bars and turns are mirrored. A turn
    is confirmed if each of the next few bars keeps its low near the broken level or above. It is known when the last of
    these closes. It stays unconfirmed if one of them is missing, or if the structure has turned back by then.
    """
    found = []
    for turn, back in pairwise([*turned, None]):
        if turn is None or not turn.rising:
            continue
        known = turn.bar + _bars_needed(ranges, turn.bar, settings)
        if known >= len(bars.run) or (back is not None and back.bar <= known):
            continue
        if bars.run[known] > known - turn.bar and _holds(bars.low[turn.bar + 1 : known + 1], turn.broken, settings):
            change = Found(turn.bar, known, turn.broken, turn.extreme)
            found.append(Change(change, back.bar if back else None))
    return found


def _bars_needed(ranges: Column, bar: int, settings: StructureSettings) -> int:
    """Return how many bars confirm a turn: more of them where the ATR is far above its mean, or where nobody knows."""
    recent = [value for value in ranges[max(bar + 1 - settings.volatile_bars, 0) : bar + 1] if value is not None]
    if len(recent) < settings.volatile_bars:
        return settings.confirming_bars_volatile
    limit = float(settings.volatile_multiple) * sum(recent) / len(recent)
    return settings.confirming_bars_volatile if recent[-1] > limit * SLACK else settings.confirming_bars


def _holds(lows: Sequence[float], level: float, settings: StructureSettings) -> bool:
    """Return whether each low is at most the tolerance below the level."""
    tolerance = settings.hold_tolerance
    return all(reaches(low, level, -float(tolerance), -tolerance, level) for low in lows)
