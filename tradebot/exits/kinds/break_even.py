"""Give back no more than the gain, once a part of a position has been closed."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.exits.kind import ExitRule, Held, Input, Measure, PriceRule, Stop
from tradebot.exits.kinds.ladder import Ladder
from tradebot.exits.kinds.scale_out import ScaleOut
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason


class BreakEven(PriceRule):
    """Close what is left of a position at its entry price, once `after_share` of the original quantity is closed.

    Whatever closed it counts, unless it was closed at a loss, as by a stop that filled in part. The stop is
    `keep_fraction` of the entry price on the side of a gain, which may pay fees.
    """

    reason = Reason.BREAK_EVEN
    column = "break even"
    needs = (Input.QUOTE, Input.ORIGINAL_QUANTITY)
    rank = 25
    after_share: Fraction
    keep_fraction: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal(0)

    def measure(self, held: Held, price: Decimal) -> Measure | Input:
        if held.original_quantity is None:
            return Input.ORIGINAL_QUANTITY
        gain = held.gain(price)
        return Measure(self._armed(held) and gain <= self.keep_fraction, gain, self.keep_fraction)

    def level(self, held: Held) -> Stop:
        if self._armed(held):
            return Stop(self.reason, held.price_at(self.keep_fraction), None)
        return Stop(self.reason, None, None, armed=False)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        others = tuple(others)
        steps = next((rule for rule in others if isinstance(rule, Ladder | ScaleOut)), None)
        shares = sum(level.share for level in steps.levels) if steps else Decimal(1)
        if steps and self.after_share > shares:
            name = "ladder" if isinstance(steps, Ladder) else "scale_out"
            return (
                f"break_even's after_share {self.after_share} is above {shares}, the sum of {name}'s shares: its "
                "levels never close as much"
            )
        gains = (rule.gain for rule in others if rule.gain is not None)
        target = min((gain for gain in gains if gain > 0), default=None)
        if target is None or self.keep_fraction < target:
            return None
        return (
            f"break_even's keep_fraction {self.keep_fraction} is not below the target {target}: the target closes "
            "first, so break_even could never act"
        )

    def _armed(self, held: Held) -> bool:
        original, position = held.original_quantity, held.position
        if original is None:
            return False
        return original - abs(position.quantity) - position.lost_quantity >= self.after_share * original


RULES = {"break_even": BreakEven}
