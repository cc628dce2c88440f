"""Close a position that has gained enough ticks."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.exits.kind import Held, Input, Measure, PriceRule, Stop
from tradebot.model.reasons import Reason


class TargetTicks(PriceRule):
    """Close a position once it has gained this many of its instrument's ticks, measured from its entry price."""

    reason = Reason.TICK_TARGET
    column = "tick target"
    needs = (Input.QUOTE, Input.TICK)
    rank = 21
    ticks: Annotated[int, Field(ge=1, le=100_000)]

    def gain_at(self, price: Decimal, tick: Decimal) -> Decimal:
        return self.ticks * tick / price

    def measure(self, held: Held, price: Decimal) -> Measure | Input:
        if held.tick is None:
            return Input.TICK
        gained = (price - held.entry) * held.direction / held.tick
        return Measure(gained >= self.ticks, gained, self.ticks)

    def level(self, held: Held) -> Stop:
        if held.tick is None:
            return Stop(self.reason, None, None)
        return Stop(self.reason, held.entry + held.direction * self.ticks * held.tick, None, ahead=True)


RULES = {"target_ticks": TargetTicks}
