"""Close a position that the price runs away from."""

from decimal import Decimal

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason


class Momentum(ExitRule):
    """Close a position once the return of the last hour goes against it by at least this fraction."""

    reason = Reason.MOMENTUM_REVERSAL
    column = "momentum"
    reads = frozenset({"momentum"})
    needs = (Input.MOMENTUM,)
    numbered = False
    adverse_fraction: Fraction

    def measure(self, held: Held, momentum: Decimal) -> Measure:
        favor = momentum * held.direction
        return Measure(favor <= -self.adverse_fraction, favor, -self.adverse_fraction)


RULES = {"momentum": Momentum}
