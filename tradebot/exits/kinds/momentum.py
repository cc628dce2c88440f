"""Close a position that the price runs away from."""

from tradebot.exits.held import Held
from tradebot.exits.kind import Absent, ExitRule, Input, Measure, Moment
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

    def judge(self, held: Held, moment: Moment) -> Measure | Absent:
        if held.outlook.momentum is None:
            return Absent(Input.MOMENTUM)
        momentum = held.outlook.momentum * held.direction
        return Measure(momentum <= -self.adverse_fraction, momentum, -self.adverse_fraction)


RULE = Momentum
