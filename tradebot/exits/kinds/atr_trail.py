"""Close a position that has pulled back from its best price by a multiple of its average true range."""

from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from tradebot.exits.kind import Held, Input, Measure, PriceRule, Stop
from tradebot.model.limits import Frozen
from tradebot.model.reasons import Reason

Multiple = Annotated[Decimal, Field(gt=0, le=20)]


class Tightening(Frozen):
    """From a best gain of `r` times the initial risk on, the stop follows this many average true ranges behind."""

    r: Annotated[Decimal, Field(gt=0, le=100)]
    multiple: Multiple


class AtrTrail(PriceRule):
    """Close a position that has pulled back `multiple` average true ranges from its best price.

    The range is the one that its entry was opened with, and R is the distance of the entry's own stop. It acts once the
    best gain was `arm_r` times R. From each `r` of `tighten` on, it uses the smallest multiple so far, so it never
    loosens. `exits.stop_step_fraction` says by how much a resting stop has to move before it is replaced.
    """

    reason = Reason.ATR_TRAIL
    column = "ATR trail"
    needs = (Input.QUOTE, Input.ENTRY_STOP, Input.ENTRY_ATR)
    rank = 28
    multiple: Multiple
    arm_r: Annotated[Decimal, Field(ge=0, le=100)]
    tighten: Annotated[tuple[Tightening, ...], Field(max_length=10)] = ()

    @field_validator("tighten")
    @classmethod
    def _rises(cls, steps: tuple[Tightening, ...]) -> tuple[Tightening, ...]:
        if any(later.r <= earlier.r for earlier, later in pairwise(steps)):
            raise ValueError("must have an r that rises from one to the next")
        return steps

    def measure(self, held: Held, price: Decimal) -> Measure | Input:
        risk, atr = held.kept.stop_loss_fraction, held.kept.atr_fraction
        if risk is None or atr is None:
            return Input.ENTRY_ATR if risk else Input.ENTRY_STOP
        back = (held.best - price) * held.direction / held.entry
        behind = self._multiple(held, risk) * atr
        return Measure(self._is_armed(held, risk) and back >= behind, back, behind, shown=-back)

    def level(self, held: Held) -> Stop:
        risk, atr = held.kept.stop_loss_fraction, held.kept.atr_fraction
        if risk is None or atr is None:
            return Stop(self.reason, None, None, armed=False)
        if self._is_armed(held, risk):
            return Stop(self.reason, held.best - held.direction * self._multiple(held, risk) * atr * held.entry, None)
        arming = held.price_at(self.arm_r * risk)
        return Stop(self.reason, arming, None, armed=False, ahead=True)

    def _is_armed(self, held: Held, risk: Decimal) -> bool:
        return held.gain(held.best) >= self.arm_r * risk

    def _multiple(self, held: Held, risk: Decimal) -> Decimal:
        """Return how many average true ranges behind the best price the stop is."""
        gain = held.gain(held.best)
        reached = (step.multiple for step in self.tighten if step.r * risk <= gain)
        return min((self.multiple, *reached))


RULES = {"atr_trail": AtrTrail}
