"""What makes a feature: one number for each closed bar, made of what was known when the bar closed."""

from collections.abc import Callable
from enum import StrEnum
from math import inf

from msgspec import Struct

from tradebot.signals.features.frame import Measures
from tradebot.signals.features.rolling import Column


class FeatureInputs(StrEnum):
    """The input data of a feature."""

    OPEN = "open"
    HIGH = "high"
    LOW = "low"
    CLOSE = "close"
    VOLUME = "volume"
    SESSIONS = "sessions"
    ROLLS = "rolls"
    SPREAD = "spread"
    RELEASES = "releases"
    NEWS = "news"


OF_THE_MOMENT = frozenset({FeatureInputs.SPREAD, FeatureInputs.RELEASES, FeatureInputs.NEWS})
"""What is read when a decision is made: it isn't in the bars."""


class Absence(StrEnum):
    """Why a feature has no value at a bar.

    WARMING_UP: too few bars came before. NOT_GIVEN: what it reads has no source, or wasn't known. UNDEFINED: its
    formula has no finite value there, such as a division by zero, or a bar isn't usable.
    """

    WARMING_UP = "warming up"
    NOT_GIVEN = "not given"
    UNDEFINED = "undefined"


class Feature(Struct, frozen=True, eq=False):
    """One feature. Its number is its place in an observation, and its name is what strategies and models call it.

    `formula` is how documents state it. `bars` is how many bars it takes for the first value, and `sessions` how many
    earlier sessions it takes besides. Values are between `low` and `high`, before anything scales or clips them.
    `absent` says what it means if there is none. `of` returns a value for each bar; what isn't a finite number is
    absent. The value of a bar depends on that bar and those before it. The `version` is raised whenever values change,
    so that no model sees others than it was trained on.
    """

    number: int
    name: str
    formula: str
    reads: tuple[FeatureInputs, ...]
    bars: int
    of: Callable[[Measures], Column]
    absent: str
    low: float = -inf
    high: float = inf
    sessions: int = 0
    version: int = 1

    @property
    def of_the_moment(self) -> bool:
        """Return True if it reads more than closed bars and calendars."""
        return not OF_THE_MOMENT.isdisjoint(self.reads)
