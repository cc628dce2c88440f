"""What a kind of exit rule has: its settings, its reason, when it closes a position, and the level at which it does.

Each kind is a class called `RULE` in its own file in `kinds`. The file's name is the rule's name in the configuration.
"""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, NamedTuple

from tradebot.exits.held import Held
from tradebot.limits import Frozen
from tradebot.model.reasons import Reason


class Measure(NamedTuple):
    """What a rule measured: whether it closes the position, the value it looked at, and its limit."""

    closes: bool
    observed: Decimal | float
    limit: Decimal | float


@dataclass(frozen=True, slots=True)
class Stop:
    """The level of one exit rule: it closes at `price` (USD) or at the time `at`; if it isn't `armed`, it only arms.

    `ahead` says that the price gets there by moving in the position's favor.
    """

    rule: Reason
    price: Decimal | None
    at: datetime | None
    armed: bool = True
    ahead: bool = False


class ExitRule(Frozen):
    """One exit rule with its settings. It's either a `PriceRule` or a `TimeRule`."""

    reason: ClassVar[Reason]
    """Why it closes a position; each kind has a reason of its own."""
    column: ClassVar[str]
    """The heading of its column in `tradebot positions`."""
    reads: ClassVar[frozenset[str]] = frozenset()
    """The fields of `Outlook` that it looks at; nothing else is read for it."""

    @abstractmethod
    def level(self, held: Held) -> Stop:
        """Return the price or time at which it closes the position."""

    def contradiction(self, others: "Iterable[ExitRule]") -> str | None:
        """Return why it makes no sense in a list with these other rules, or None if it does."""
        return None


class PriceRule(ExitRule):
    """A rule that looks at the price at which the position could be closed now."""

    @property
    def gain(self) -> Decimal | None:
        """Return the gain at which it always closes, as a fraction of the entry price; below zero is a loss.

        None if there is no such fixed fraction.
        """
        return None

    @abstractmethod
    def measure(self, held: Held, price: Decimal) -> Measure:
        """Judge the position at `price`, in USD."""


class TimeRule(ExitRule):
    """A rule that looks at the time only, and needs no price."""

    @abstractmethod
    def measure(self, held: Held, now: datetime) -> Measure:
        """Judge the position at `now`."""


def distance(stop: Stop, mark: Decimal, direction: int) -> Decimal | None:
    """Return the distance from the price `mark` to the rule's price as a fraction of `mark`; None for a time rule.

    The distance is positive before the price reaches the rule and negative after. `direction` is +1 for a long, -1 for
    a short.
    """
    if stop.price is None:
        return None
    return (direction if stop.ahead else -direction) * (stop.price - mark) / mark
