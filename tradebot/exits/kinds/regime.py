"""Close a losing position in a market that is bad for its side."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.exits.kinds.stop_loss import StopLoss
from tradebot.exits.why import Part
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason

Regimes = tuple[Annotated[str, Field(pattern="^[a-z]+(_[a-z]+)*$", max_length=40)], ...]
"""Names of market regimes, such as high_vol_neg_gamma."""


class Regime(ExitRule):
    """Close a position that has lost `loss_fraction` of its entry price while the regime is one of those for its side.

    `longs` are the regimes that close longs, `shorts` those that close shorts.
    """

    reason = Reason.REGIME
    column = "regime"
    reads = frozenset({"regime"})
    needs = (Input.QUOTE, Input.REGIME)
    longs: Regimes
    shorts: Regimes
    loss_fraction: Fraction

    def measure(self, held: Held, price: Decimal, regime: str) -> Measure:
        gain = held.gain(price)
        against = regime in (self.longs if held.direction > 0 else self.shorts)
        return Measure(against and gain <= -self.loss_fraction, gain, -self.loss_fraction)

    def part(self, held: Held, measure: Measure) -> Part:
        """Return the name of the regime, such as regime_high_vol_neg_gamma."""
        return Part(f"regime_{held.outlook.regime}")

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        stop = min((rule.fraction for rule in others if isinstance(rule, StopLoss)), default=None)
        if stop is None or self.loss_fraction < stop:
            return None
        return (
            f"regime's loss_fraction {self.loss_fraction} is not below stop_loss's fraction {stop}: the stop closes "
            "first, so regime could never act"
        )


RULES = {"regime": Regime}
