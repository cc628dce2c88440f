"""Close a position that has gained enough."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.exits.kind import Held, Measure, PriceRule, Stop
from tradebot.model.reasons import Reason


class ProfitTarget(PriceRule):
    """Close a position once it has gained this fraction of its entry price."""

    reason = Reason.PROFIT_TARGET
    column = "target"
    rank = 20
    fraction: Annotated[Decimal, Field(gt=0, le=10)]

    @property
    def gain(self) -> Decimal:
        return self.fraction

    def measure(self, held: Held, price: Decimal) -> Measure:
        gain = held.gain(price)
        return Measure(gain >= self.fraction, gain, self.fraction)

    def level(self, held: Held) -> Stop:
        return Stop(self.reason, held.price_at(self.fraction), None, ahead=True)


RULES = {"profit_target": ProfitTarget}
