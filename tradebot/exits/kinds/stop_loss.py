"""Close a position that has lost too much."""

from decimal import Decimal

from tradebot.exits.kind import Held, Measure, PriceRule, Stop
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason


class StopLoss(PriceRule):
    """Close a position once it has lost this fraction of its entry price."""

    reason = Reason.STOP_LOSS
    column = "stop"
    rank = 10
    fraction: Fraction

    @property
    def gain(self) -> Decimal:
        return -self.fraction

    def measure(self, held: Held, price: Decimal) -> Measure:
        gain = held.gain(price)
        return Measure(gain <= -self.fraction, gain, -self.fraction)

    def level(self, held: Held) -> Stop:
        return Stop(self.reason, held.price_at(-self.fraction), None)


RULES = {"stop_loss": StopLoss}
