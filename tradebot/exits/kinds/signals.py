"""Rules that close a position when its signal or the market turns against it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Struct
from pydantic import Field, ValidationInfo, field_validator

from tradebot.exits.exit_reasons import ReasonPart
from tradebot.exits.exit_rule import ExitRule, Measure, RuleInput, WatchedPosition
from tradebot.exits.kinds.stops import StopLoss
from tradebot.exits.kinds.times import too_late
from tradebot.model.bar import Session
from tradebot.model.limits import Fraction, Seconds
from tradebot.model.reasons import Reason


class SignalDecay(ExitRule):
    """Close a position whose score has dropped since its entry, measured in multiples of the signal's own noise.

    The signal counts as faded from the pass in which the drop reaches `noise_multiple` until the drop is below
    `recovery_multiple` again. The rule closes the position once the signal has been faded for `confirm_passes` passes,
    but not before the position is `min_hold_s` seconds old. So a score that merely fluctuates closes nothing.
    """

    reason = Reason.SIGNAL_DECAY
    column = "decay"
    reads = frozenset({"scores", "noise"})
    needs = (RuleInput.CLOCK, RuleInput.ENTRY_SCORE, RuleInput.SCORES, RuleInput.NOISE)
    noise_multiple: Annotated[float, Field(gt=0, le=100)]
    recovery_multiple: Annotated[float, Field(ge=0, le=100)]
    confirm_passes: Annotated[int, Field(ge=1, le=1000)]
    min_hold_s: Seconds

    @field_validator("recovery_multiple")
    @classmethod
    def _below_the_drop(cls, value: float, info: ValidationInfo) -> float:
        if value >= info.data.get("noise_multiple", value + 1):
            raise ValueError("must be below noise_multiple, or a faded signal would count as recovered at once")
        return value

    def measure(
        self, watched: WatchedPosition, now: datetime, entry: float, scores: Sequence[float], noise: float
    ) -> Measure:
        drops = [(entry - score) * watched.direction / noise for score in scores]
        age_s = (now - watched.position.opened_at).total_seconds()
        closes = age_s >= self.min_hold_s and self._faded_for(drops) >= self.confirm_passes
        return Measure(closes, drops[-1], self.noise_multiple, shown=scores[-1] / entry)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        return too_late("signal_decay's min_hold_s", self.min_hold_s, others)

    def _faded_for(self, drops: Iterable[float]) -> int:
        """Return for how many passes in a row, up to the last one, the signal has counted as faded."""
        passes = 0
        for drop in drops:
            faded = drop >= (self.recovery_multiple if passes else self.noise_multiple)
            passes = passes + 1 if faded else 0
        return passes


class FlowReversal(ExitRule):
    """Close a position once options flow points against it with at least this strength, from 0 to 1."""

    reason = Reason.FLOW_REVERSAL
    column = "flow"
    reads = frozenset({"flow"})
    needs = (RuleInput.FLOW,)
    numbered = False
    min_flow: Annotated[float, Field(gt=0, le=1)]

    def measure(self, watched: WatchedPosition, flow: float) -> Measure:
        favor = flow * watched.direction
        return Measure(favor <= -self.min_flow, favor, -self.min_flow)


class Momentum(ExitRule):
    """Close a position once the return of the last hour goes against it by at least this fraction."""

    reason = Reason.MOMENTUM_REVERSAL
    column = "momentum"
    reads = frozenset({"momentum"})
    needs = (RuleInput.MOMENTUM,)
    numbered = False
    adverse_fraction: Fraction

    def measure(self, watched: WatchedPosition, momentum: Decimal) -> Measure:
        favor = momentum * watched.direction
        return Measure(favor <= -self.adverse_fraction, favor, -self.adverse_fraction)


class OpenInterestGone(ExitRule):
    """Close a position if less than this fraction of the contracts behind its entry was still open the next morning.

    On the day of the entry there is nothing to compare yet, so the rule doesn't close the position.
    """

    reason = Reason.OPEN_INTEREST_GONE
    column = "interest"
    reads = frozenset({"open_interest_kept"})
    needs = (RuleInput.SESSION, RuleInput.OPEN_INTEREST)
    min_kept_fraction: Fraction

    def measure(self, watched: WatchedPosition, session: Session) -> Measure | RuleInput:
        if watched.position.opened_at >= session.open:
            return Measure(False, None, self.min_kept_fraction)
        still_open = watched.outlook.open_interest_kept
        if still_open is None:
            return RuleInput.OPEN_INTEREST
        return Measure(still_open < self.min_kept_fraction, still_open, self.min_kept_fraction)


Regimes = tuple[Annotated[str, Field(pattern="^[a-z]+(_[a-z]+)*$", max_length=40)], ...]
"""Names of market regimes, such as high_vol_neg_gamma."""


class RegimeExit(ExitRule):
    """Close a position that has lost `loss_fraction` of its entry price in a market regime listed for its side.

    `longs` are the regimes that close longs, `shorts` those that close shorts.
    """

    reason = Reason.REGIME
    column = "regime"
    reads = frozenset({"regime"})
    needs = (RuleInput.QUOTE, RuleInput.REGIME)
    longs: Regimes
    shorts: Regimes
    loss_fraction: Fraction

    def measure(self, watched: WatchedPosition, price: Decimal, regime: str) -> Measure:
        gain = watched.gain(price)
        against = regime in (self.longs if watched.direction > 0 else self.shorts)
        return Measure(against and gain <= -self.loss_fraction, gain, -self.loss_fraction)

    def part(self, watched: WatchedPosition, measure: Measure) -> ReasonPart:
        """Return the name of the regime, such as regime_high_vol_neg_gamma."""
        return ReasonPart(f"regime_{watched.outlook.regime}")

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        stop = min((rule.fraction for rule in others if isinstance(rule, StopLoss)), default=None)
        if stop is None or self.loss_fraction < stop:
            return None
        return (
            f"regime's loss_fraction {self.loss_fraction} is not below stop_loss's fraction {stop}: the stop closes "
            "first, so regime could never act"
        )


MOST = 10.0
"""The highest possible urgency."""


class AdverseEvidence(Struct, frozen=True):
    """The evidence against a position. Percentages are of the entry price, and hours include nights.

    `score_kept` is the current score as a fraction of the entry's; `flow_reversed` is True if options flow now points
    against the position; `momentum_pct` is the price's momentum in the position's direction.
    """

    score_kept: float
    gain_pct: float
    best_pct: float
    age_h: float
    flow_reversed: bool
    momentum_pct: float


def contributions(against: AdverseEvidence) -> dict[str, float]:
    """Return each factor's contribution to the urgency.

    The formula and its weights come from an earlier bot with recorded decisions: a score below 70 % of the entry's adds
    its decline; reversed flow adds 2.4; a gain more than 3 points below its best adds up to 4.5, less for an old
    position; each two days after the third add 0.8, up to 1.6; momentum of more than half a percent against the
    position adds 1.3 times that; and a loss of more than 5 % adds 2.
    """
    given_back, days = against.best_pct - against.gain_pct, max(1.0, against.age_h / 24)
    return {
        "signal_decay": 1.0 - against.score_kept if against.score_kept < 0.7 else 0.0,
        "flow_reversal": 2.0 * 1.2 if against.flow_reversed else 0.0,
        "drawdown": min(3.0, 0.5 * given_back / days) * 1.5 if given_back > 3.0 else 0.0,
        "time": min(2.0, (against.age_h - 72) / 48) * 0.8 if against.age_h > 72 else 0.0,
        "momentum": -against.momentum_pct * 1.3 if against.momentum_pct < -0.5 else 0.0,
        "loss": 2.0 if against.gain_pct < -5.0 else 0.0,
    }


def urgency_of(against: AdverseEvidence) -> float:
    """Return the urgency of closing the position, from 0 to 10."""
    return min(MOST, sum(contributions(against).values()))


class Urgency(ExitRule):
    """Score all evidence against a position from 0 to 10; close the position at `exit_at`, and part of it at
    `reduce_at`.

    The part is closed only once. It is `reduce_share` of the original quantity, in whole lots.
    """

    reason = Reason.URGENCY
    column = "urgency"
    reads = frozenset({"scores", "flow", "momentum"})
    needs = (
        RuleInput.CLOCK,
        RuleInput.QUOTE,
        RuleInput.ENTRY_SCORE,
        RuleInput.SCORES,
        RuleInput.FLOW,
        RuleInput.MOMENTUM,
        RuleInput.ORIGINAL_QUANTITY,
    )
    reduce_at: Annotated[float, Field(gt=0, le=MOST)]
    exit_at: Annotated[float, Field(gt=0, le=MOST)]
    reduce_share: Fraction

    @field_validator("exit_at")
    @classmethod
    def _above_the_reduction(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("reduce_at", value - 1):
            raise ValueError("must be above reduce_at, or it would never close only a part")
        return value

    def measure(
        self,
        watched: WatchedPosition,
        now: datetime,
        price: Decimal,
        entry: float,
        scores: Sequence[float],
        flow: float,
        momentum: Decimal,
    ) -> Measure | RuleInput:
        against = AdverseEvidence(
            scores[-1] / entry,
            float(watched.gain(price) * 100),
            float(watched.gain(watched.best) * 100),
            (now - watched.position.opened_at).total_seconds() / 3600,
            flow * watched.direction < 0,
            float(momentum * watched.direction * 100),
        )
        urgency, original = urgency_of(against), watched.original_quantity
        if urgency >= self.exit_at:
            return Measure(True, urgency, self.exit_at)
        if original is None:
            return RuleInput.ORIGINAL_QUANTITY
        keep = original - watched.whole_lots(original * self.reduce_share)
        remaining = watched.whole_lots(abs(watched.position.quantity) - keep)
        return Measure(urgency >= self.reduce_at and remaining > 0, urgency, self.reduce_at, remaining)


RULES = {
    "flow_reversal": FlowReversal,
    "momentum": Momentum,
    "open_interest_gone": OpenInterestGone,
    "regime": RegimeExit,
    "signal_decay": SignalDecay,
    "urgency": Urgency,
}
