"""Make a position smaller as its price comes near to where the broker liquidates it, and close it before that."""

from decimal import Decimal
from typing import Self

from pydantic import model_validator

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason


class LiquidationDistance(ExitRule):
    """Close a share of a position while its mark is nearer to liquidation than `trim_below`, all below `close_below`.

    The distance is a fraction of the mark. `trim_share` is of what is held, rounded down to whole lots. Each pass
    closes as much again once the last order has filled, until the distance is large enough. It needs an account with
    margin.
    """

    reason = Reason.LIQUIDATION_NEAR
    column = "liquidation"
    reads = frozenset({"liquidation"})
    needs = (Input.LIQUIDATION,)
    rank = 5
    trim_below: Fraction
    trim_share: Fraction
    close_below: Fraction

    @model_validator(mode="after")
    def _trims_first(self) -> Self:
        if self.trim_below <= self.close_below:
            raise ValueError("must have a trim_below above close_below, or it would never trim")
        return self

    def measure(self, held: Held, distance: Decimal) -> Measure:
        if distance < self.close_below:
            return Measure(True, distance, self.close_below)
        shares = held.whole_lots(abs(held.position.quantity) * self.trim_share)
        return Measure(distance < self.trim_below and shares > 0, distance, self.trim_below, shares)


RULES = {"liquidation_distance": LiquidationDistance}
