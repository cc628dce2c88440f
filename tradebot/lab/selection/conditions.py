"""Define a promotion condition: its number and bound, what is missing, and when it could be met."""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

LONGEST = 2_520
"""If a condition wouldn't be met after this many more sessions (ten years), waiting counts as useless."""


class Comparator(StrEnum):
    """How a number must compare with its bound."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    ABOVE = "above"

    def holds(self, number: float, bound: float) -> bool:
        return (
            number <= bound
            if self is Comparator.AT_MOST
            else number > bound or (number == bound and self is not Comparator.ABOVE)
        )


class RungCondition(Struct, frozen=True):
    """One condition of a rung: its number and bound, and whether it is met; without evidence the number is None.

    `left` is how many more sessions it takes to meet the condition if they are like those so far; None if the condition
    is met, or if waiting doesn't help. `lacks` names the missing evidence.
    """

    name: str
    number: float | None
    must: Comparator
    bound: float
    met: bool
    left: int | None = None
    lacks: str = ""


class ConditionCheck(Struct, frozen=True):
    """A condition to check.

    `after` takes a number of further sessions and returns the condition's number after them, if they are like those so
    far.
    """

    name: str
    bound: float
    after: Callable[[int], float | None]
    lacks: str
    must: Comparator

    def is_met(self, more: int = 0) -> bool:
        number = self.after(more)
        return number is not None and self.must.holds(number, self.bound)

    def answer(self) -> RungCondition:
        number, met = self.after(0), self.is_met()
        lacks = "" if number is not None else self.lacks
        return RungCondition(
            self.name, number, self.must, self.bound, met, None if met else self._sessions_left(), lacks
        )

    def _sessions_left(self) -> int | None:
        """Return how many more sessions it takes to meet the condition, by bisection; None if waiting doesn't help."""
        low, high = 0, LONGEST
        if not self.is_met(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.is_met(middle) else (middle, high)
        return high
