"""Close a position whose gain is melting away."""

from collections.abc import Iterable
from decimal import Decimal

from tradebot.exits.kind import ExitRule, Held, Measure, PriceRule, Stop
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason


class TrailingStop(PriceRule):
    """Close a position that has pulled back `fraction` from its best price, once it had gained `arm_fraction`."""

    reason = Reason.TRAILING_STOP
    column = "trailing"
    rank = 30
    word = "trail_stop"
    fraction: Fraction
    arm_fraction: Fraction

    @property
    def nearest(self) -> Decimal:
        return self.fraction

    def measure(self, held: Held, price: Decimal) -> Measure:
        pullback = held.pullback(price)
        return Measure(self._armed(held) and pullback >= self.fraction, pullback, self.fraction, shown=-pullback)

    def level(self, held: Held) -> Stop:
        if self._armed(held):
            return Stop(self.reason, held.best * (1 - held.direction * self.fraction), None)
        return Stop(self.reason, held.price_at(self.arm_fraction), None, armed=False, ahead=True)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        gains = (rule.gain for rule in others if rule.gain is not None)
        target = min((gain for gain in gains if gain > 0), default=None)
        if target is None or self.arm_fraction < target:
            return None
        return (
            f"trailing_stop's arm_fraction {self.arm_fraction} is not below the target {target}: the target closes "
            "first, so the trailing stop could never act"
        )

    def _armed(self, held: Held) -> bool:
        return held.gain(held.best) >= self.arm_fraction


RULES = {"trailing_stop": TrailingStop}
