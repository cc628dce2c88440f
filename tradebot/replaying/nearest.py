"""Find the nearest value of one setting with which something holds, by asking: a guess first, then bisection."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import exp, inf, log
from typing import NamedTuple

from msgspec import Struct

from tradebot.replaying.scale import Scale

Path = tuple[str, ...]
"""The names of the sections that a setting is in, and its own."""
Value = Decimal | bool | str | None
"""A number, a switch, a word, or None for what is off."""
FAR = 100.0
"""How far a change is that isn't from one number to another: a switch, or a limit that is turned off."""
TO_ZERO = 50.0
"""How far it is from zero, or to it."""


class Setting(Struct, frozen=True):
    """A setting by its path, with its value now; a switch has no scale, and a limit may be off.

    `toward` is 1 if only higher values can help, and -1 if only lower ones can; 0 if nobody can tell. `choices` are the
    other values of what is no number.
    """

    path: Path
    value: Value
    scale: Scale | None = None
    may_be_off: bool = False
    toward: int = 0
    choices: tuple[Value, ...] = ()

    @property
    def key(self) -> str:
        """Return its dotted name."""
        return ".".join(self.path)


class Change(Struct, frozen=True):
    """A setting's new value, and the one that is one step nearer to the value now: that value itself, if none is."""

    setting: Setting
    value: Value
    nearer: Value

    @property
    def size(self) -> float:
        """Return how large the change is: the logarithm of the factor between two numbers."""
        return distance(self.setting.value, self.value)


def distance(before: Value, after: Value) -> float:
    """Return how far two values of a setting are from each other."""
    if not isinstance(before, Decimal) or not isinstance(after, Decimal):
        return FAR
    return abs(log(after / before)) if before > 0 and after > 0 else TO_ZERO


Holds = Callable[[Value], bool]


class Guess(NamedTuple):
    """A number near the answer. One that is `likely` is tried before anything else."""

    number: Decimal
    likely: bool


def nearest(setting: Setting, holds: Holds, guess: Guess | None = None, within: float = inf) -> Change | None:
    """Return the smallest change with which it holds; None if there is none, or none that is smaller than `within`.

    What holds at a number must hold beyond it too.
    """
    before, scale = setting.value, setting.scale
    if isinstance(before, bool):
        return Change(setting, not before, before) if within > FAR and holds(not before) else None
    if setting.choices and within > FAR:
        return next((Change(setting, one, before) for one in setting.choices if holds(one)), None)
    if not isinstance(before, Decimal) or scale is None:
        return None
    found: Change | None = None
    up_first = guess is None or guess.number >= before
    for step in (setting.toward,) if setting.toward else (1, -1) if up_first else (-1, 1):
        change = _toward(setting, before, scale, step, holds, guess, found.size if found else within)
        found = change or found
    if found is None and setting.may_be_off and within > FAR and holds(None):
        return Change(setting, None, scale.at(scale.last))
    return found


def _toward(
    setting: Setting, before: Decimal, scale: Scale, step: int, holds: Holds, guess: Guess | None, within: float
) -> Change | None:
    """Return the smallest change in one direction with which it holds."""
    start, end = scale.next_to(before, step), _end(before, scale, step, within)
    place = _place(scale, start, end, step, lambda at: holds(scale.at(at)), guess)
    if place is None:
        return None
    change = Change(setting, scale.at(place), before if place == start else scale.at(place - step))
    return change if change.size < within else None


def _end(before: Decimal, scale: Scale, step: int, within: float) -> int:
    """Return the place of the farthest number that is to be looked at."""
    end = scale.last if step > 0 else scale.first
    if before <= 0 or within >= TO_ZERO:
        return end
    bound = scale.place(before * Decimal(exp(step * within)), ROUND_FLOOR if step > 0 else ROUND_CEILING)
    return min(end, bound) if step > 0 else max(end, bound)


def _place(
    scale: Scale, start: int, end: int, step: int, holds: Callable[[int], bool], guess: Guess | None
) -> int | None:
    """Return the first place from `start` to `end` at which it holds, None if it doesn't at the end."""
    if (end - start) * step < 0:
        return None
    failing, holding = start - step, end + step
    hopes = _hopes(scale, step, guess)
    for place in (*hopes, end) if guess and guess.likely else (end, *hopes):
        if not 0 < (place - failing) * step < (holding - failing) * step:
            continue
        if holds(place):
            holding = place
        elif place == end:
            return None
        else:
            failing = place
    # A good guess is the answer, or next to it.
    middle = holding - step
    while (holding - failing) * step > 1:
        failing, holding = (failing, middle) if holds(middle) else (middle, holding)
        middle = (holding + failing) // 2
    return holding


def _hopes(scale: Scale, step: int, guess: Guess | None) -> tuple[int, ...]:
    """Return the places to try first: that of the guess, and the next one, for what has to be exceeded."""
    if guess is None:
        return ()
    place = scale.place(guess.number, ROUND_CEILING if step > 0 else ROUND_FLOOR)
    return place, place + step
