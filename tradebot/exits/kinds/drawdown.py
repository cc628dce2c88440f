"""Close a position that gave back too much from its best price."""

from decimal import Decimal

from tradebot.exits.kind import Held, Measure, PriceRule, Stop
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason


class Drawdown(PriceRule):
    """Close a position once its gain is this much below its best gain, both as fractions of its entry price.

    Unlike a trailing stop, it acts from the start. A position that never gained anything is closed at this loss.
    """

    reason = Reason.POSITION_DRAWDOWN
    column = "drawdown"
    rank = 40
    word = "drawdown"
    fraction: Fraction

    @property
    def gain(self) -> Decimal:
        """Return the largest loss that it leaves, as a gain below zero."""
        return -self.fraction

    def measure(self, held: Held, price: Decimal) -> Measure:
        lost = self._best(held) - held.gain(price)
        return Measure(lost >= self.fraction, lost, self.fraction)

    def level(self, held: Held) -> Stop:
        return Stop(self.reason, held.price_at(self._best(held) - self.fraction), None)

    def _best(self, held: Held) -> Decimal:
        # Shares that were added later at a worse price may leave the best price behind the average.
        return max(held.gain(held.best), Decimal(0))


RULES = {"drawdown": Drawdown}
