"""Take profits in parts."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from tradebot.exits.kind import ExitRule, Held, Input, Measure, PriceRule, PriceTarget, Stop
from tradebot.exits.kinds.profit_target import ProfitTarget
from tradebot.model.limits import Fraction, Frozen
from tradebot.model.reasons import Reason


class Level(Frozen):
    """A gain as a fraction of the entry price, and the share of the original quantity that is closed there."""

    fraction: Annotated[Decimal, Field(gt=0, le=10)]
    share: Fraction


class ScaleOut(PriceRule):
    """Close a share of the original quantity at each level of gain, once, rounded down to whole lots.

    If the shares add up to 1, the last level closes whatever is left. A level counts as done once no more than its rest
    is held, so a price that comes back to it closes nothing again.
    """

    reason = Reason.SCALE_OUT
    column = "scale out"
    needs = (Input.QUOTE, Input.ORIGINAL_QUANTITY)
    rank = 60
    levels: Annotated[tuple[Level, ...], Field(min_length=1, max_length=10)]

    @field_validator("levels")
    @classmethod
    def _rises(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        if any(later.fraction <= earlier.fraction for earlier, later in pairwise(levels)):
            raise ValueError("must have levels that rise from one to the next")
        if sum(level.share for level in levels) > 1:
            raise ValueError("must have shares that add up to 1 at most")
        return levels

    @property
    def gain(self) -> Decimal | None:
        """Return the gain of the last level, if nothing is left after that."""
        return self.levels[-1].fraction if self._closes_all(self.levels) else None

    def measure(self, held: Held, price: Decimal) -> Measure | Input:
        original, gain = held.original_quantity, held.gain(price)
        if original is None:
            return Input.ORIGINAL_QUANTITY
        reached = [level for level in self.levels if level.fraction <= gain]
        if not reached:
            return Measure(False, gain, self.levels[0].fraction)
        due = self._due(held, original, reached)
        whole = due == abs(held.position.quantity)
        return Measure(due > 0, gain, reached[-1].fraction, None if whole else due)

    def level(self, held: Held) -> Stop:
        price = next((target.price for target in self.targets(held)), None)
        return Stop(self.reason, price, None, ahead=True)

    def targets(self, held: Held) -> tuple[PriceTarget, ...]:
        original, done = held.original_quantity, Decimal(0)
        targets = list[PriceTarget]()
        for place, level in enumerate(self.levels if original is not None else ()):
            assert original is not None, "without it there are no levels"
            due = self._due(held, original, self.levels[: place + 1])
            if due > done:
                targets.append(PriceTarget(held.price_at(level.fraction), due - done))
                done = due
        return tuple(targets)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        target = min((rule.fraction for rule in others if isinstance(rule, ProfitTarget)), default=None)
        if target is None or self.levels[-1].fraction < target:
            return None
        return (
            f"scale_out's level {self.levels[-1].fraction} is not below profit_target's fraction {target}: the target "
            "closes first, so the level could never act"
        )

    def _due(self, held: Held, original: Decimal, reached: Sequence[Level]) -> Decimal:
        """Return how many shares the levels reached close of those that are held now."""
        quantity = abs(held.position.quantity)
        if self._closes_all(reached):
            return quantity
        closed = sum((held.whole_lots(original * level.share) for level in reached), Decimal(0))
        return held.whole_lots(max(quantity - (original - closed), Decimal(0)))

    @staticmethod
    def _closes_all(reached: Sequence[Level]) -> bool:
        return sum(level.share for level in reached) == 1


RULES = {"scale_out": ScaleOut}
