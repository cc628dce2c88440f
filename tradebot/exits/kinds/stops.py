"""Rules that cut a loss, protect a gain, or keep away from liquidation."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from tradebot.exits.exit_rule import ExitRule, Measure, PriceRule, RuleInput, StopLevel, WatchedPosition
from tradebot.exits.kinds.targets import Ladder, ScaleOut
from tradebot.model.limits import Fraction, Frozen
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

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure:
        gain = watched.gain(price)
        return Measure(gain <= -self.fraction, gain, -self.fraction)

    def level(self, watched: WatchedPosition) -> StopLevel:
        return StopLevel(self.reason, watched.price_at(-self.fraction), None)


class StopTicks(PriceRule):
    """Close a position once it has lost this many of its instrument's ticks, measured from its entry price."""

    reason = Reason.TICK_STOP
    column = "tick stop"
    needs = (RuleInput.QUOTE, RuleInput.TICK)
    rank = 11
    ticks: Annotated[int, Field(ge=1, le=10_000)]

    @property
    def is_stop(self) -> bool:
        return True

    def gain_at(self, price: Decimal, tick: Decimal) -> Decimal:
        return -self.ticks * tick / price

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure | RuleInput:
        if watched.tick is None:
            return RuleInput.TICK
        gained = (price - watched.entry) * watched.direction / watched.tick
        return Measure(gained <= -self.ticks, gained, -self.ticks)

    def level(self, watched: WatchedPosition) -> StopLevel:
        if watched.tick is None:
            return StopLevel(self.reason, None, None)
        return StopLevel(self.reason, watched.entry - watched.direction * self.ticks * watched.tick, None)


class TrailingStop(PriceRule):
    """Close a position once it has gained `arm_fraction` and then pulled back by `fraction` from its best price."""

    reason = Reason.TRAILING_STOP
    column = "trailing"
    rank = 30
    word = "trail_stop"
    fraction: Fraction
    arm_fraction: Fraction

    @property
    def nearest(self) -> Decimal:
        return self.fraction

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure:
        pullback = watched.pullback(price)
        return Measure(self._is_armed(watched) and pullback >= self.fraction, pullback, self.fraction, shown=-pullback)

    def level(self, watched: WatchedPosition) -> StopLevel:
        if self._is_armed(watched):
            return StopLevel(self.reason, watched.best * (1 - watched.direction * self.fraction), None)
        return StopLevel(self.reason, watched.price_at(self.arm_fraction), None, armed=False, ahead=True)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        gains = (rule.gain for rule in others if rule.gain is not None)
        target = min((gain for gain in gains if gain > 0), default=None)
        if target is None or self.arm_fraction < target:
            return None
        return (
            f"trailing_stop's arm_fraction {self.arm_fraction} is not below the target {target}: the target closes "
            "first, so the trailing stop could never act"
        )

    def _is_armed(self, watched: WatchedPosition) -> bool:
        return watched.gain(watched.best) >= self.arm_fraction


Multiple = Annotated[Decimal, Field(gt=0, le=20)]


class Tightening(Frozen):
    """A step of a trailing stop: once the best gain reaches `r` times the initial risk, the stop trails by `multiple`
    ATR.
    """

    r: Annotated[Decimal, Field(gt=0, le=100)]
    multiple: Multiple


class AtrTrail(PriceRule):
    """Close a position that has pulled back `multiple` average true ranges from its best price.

    The average true range is the one stored with the entry, and R is the distance of the entry's own stop. The rule
    acts once the best gain has reached `arm_r` times R. A step of `tighten` applies once the best gain has reached its
    `r` times R. The smallest multiple that applies is used, so the stop never loosens. `exits.stop_step_fraction` is
    the smallest move for which a resting stop is replaced.
    """

    reason = Reason.ATR_TRAIL
    column = "ATR trail"
    needs = (RuleInput.QUOTE, RuleInput.ENTRY_STOP, RuleInput.ENTRY_ATR)
    rank = 28
    multiple: Multiple
    arm_r: Annotated[Decimal, Field(ge=0, le=100)]
    tighten: Annotated[tuple[Tightening, ...], Field(max_length=10)] = ()

    @field_validator("tighten")
    @classmethod
    def _rises(cls, steps: tuple[Tightening, ...]) -> tuple[Tightening, ...]:
        if any(later.r <= earlier.r for earlier, later in pairwise(steps)):
            raise ValueError("must have values of r that rise from one to the next")
        return steps

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure | RuleInput:
        risk, atr = watched.kept.stop_loss_fraction, watched.kept.atr_fraction
        if risk is None or atr is None:
            return RuleInput.ENTRY_ATR if risk else RuleInput.ENTRY_STOP
        back = (watched.best - price) * watched.direction / watched.entry
        behind = self._multiple(watched, risk) * atr
        return Measure(self._is_armed(watched, risk) and back >= behind, back, behind, shown=-back)

    def level(self, watched: WatchedPosition) -> StopLevel:
        risk, atr = watched.kept.stop_loss_fraction, watched.kept.atr_fraction
        if risk is None or atr is None:
            return StopLevel(self.reason, None, None, armed=False)
        if self._is_armed(watched, risk):
            return StopLevel(
                self.reason,
                watched.best - watched.direction * self._multiple(watched, risk) * atr * watched.entry,
                None,
            )
        arming = watched.price_at(self.arm_r * risk)
        return StopLevel(self.reason, arming, None, armed=False, ahead=True)

    def _is_armed(self, watched: WatchedPosition, risk: Decimal) -> bool:
        return watched.gain(watched.best) >= self.arm_r * risk

    def _multiple(self, watched: WatchedPosition, risk: Decimal) -> Decimal:
        """Return how many average true ranges behind the best price the stop is."""
        gain = watched.gain(watched.best)
        reached = (step.multiple for step in self.tighten if step.r * risk <= gain)
        return min((self.multiple, *reached))


class BreakEven(PriceRule):
    """Close the rest of a position at its entry price, once `after_share` of the original quantity is closed.

    Any close counts, except one at a loss, such as a partially filled stop. To cover fees, the stop isn't exactly at
    the entry price, but better than it by `keep_fraction` of that price.
    """

    reason = Reason.BREAK_EVEN
    column = "break even"
    needs = (RuleInput.QUOTE, RuleInput.ORIGINAL_QUANTITY)
    rank = 25
    after_share: Fraction
    keep_fraction: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal(0)

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure | RuleInput:
        if watched.original_quantity is None:
            return RuleInput.ORIGINAL_QUANTITY
        gain = watched.gain(price)
        return Measure(self._is_armed(watched) and gain <= self.keep_fraction, gain, self.keep_fraction)

    def level(self, watched: WatchedPosition) -> StopLevel:
        if self._is_armed(watched):
            return StopLevel(self.reason, watched.price_at(self.keep_fraction), None)
        return StopLevel(self.reason, None, None, armed=False)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        others = tuple(others)
        steps = next((rule for rule in others if isinstance(rule, Ladder | ScaleOut)), None)
        shares = sum(level.share for level in steps.levels) if steps else Decimal(1)
        if steps and self.after_share > shares:
            name = "ladder" if isinstance(steps, Ladder) else "scale_out"
            return (
                f"break_even's after_share {self.after_share} is above {shares}, the sum of {name}'s shares: its "
                "levels never close that much"
            )
        gains = (rule.gain for rule in others if rule.gain is not None)
        target = min((gain for gain in gains if gain > 0), default=None)
        if target is None or self.keep_fraction < target:
            return None
        return (
            f"break_even's keep_fraction {self.keep_fraction} is not below the target {target}: the target closes "
            "first, so break_even could never act"
        )

    def _is_armed(self, watched: WatchedPosition) -> bool:
        original, position = watched.original_quantity, watched.position
        if original is None:
            return False
        return original - abs(position.quantity) - position.lost_quantity >= self.after_share * original


class DrawdownStop(PriceRule):
    """Close a position once its gain is this much below its best gain, both as fractions of its entry price.

    Unlike a trailing stop, the rule acts from the start: a position that never gained is closed once its loss is this
    large.
    """

    reason = Reason.POSITION_DRAWDOWN
    column = "drawdown"
    rank = 40
    word = "drawdown"
    fraction: Fraction

    @property
    def gain(self) -> Decimal:
        """Return the largest loss that the rule allows, as a negative gain."""
        return -self.fraction

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure:
        lost = self._best(watched) - watched.gain(price)
        return Measure(lost >= self.fraction, lost, self.fraction)

    def level(self, watched: WatchedPosition) -> StopLevel:
        return StopLevel(self.reason, watched.price_at(self._best(watched) - self.fraction), None)

    def _best(self, watched: WatchedPosition) -> Decimal:
        # Shares that were added at a worse price may put the average past the best price.
        return max(watched.gain(watched.best), Decimal(0))


class LiquidationDistance(ExitRule):
    """Close part of a position while its mark is nearer to liquidation than `trim_below`; below `close_below`, close
    all of it.

    The distance is a fraction of the mark. The part is `trim_share` of the current position, rounded down to whole
    lots. Once that order has filled, the next pass closes the same share again, until the distance is large enough. The
    rule needs a margin account.
    """

    reason = Reason.LIQUIDATION_NEAR
    column = "liquidation"
    reads = frozenset({"liquidation"})
    needs = (RuleInput.LIQUIDATION,)
    rank = 5
    trim_below: Fraction
    trim_share: Fraction
    close_below: Fraction

    @model_validator(mode="after")
    def _trims_first(self) -> Self:
        if self.trim_below <= self.close_below:
            raise ValueError("must have a trim_below above close_below, or it would never trim")
        return self

    def measure(self, watched: WatchedPosition, distance: Decimal) -> Measure:
        if distance < self.close_below:
            return Measure(True, distance, self.close_below)
        shares = watched.whole_lots(abs(watched.position.quantity) * self.trim_share)
        return Measure(distance < self.trim_below and shares > 0, distance, self.trim_below, shares)


RULES = {
    "atr_trail": AtrTrail,
    "break_even": BreakEven,
    "drawdown": DrawdownStop,
    "liquidation_distance": LiquidationDistance,
    "stop_loss": StopLoss,
    "stop_ticks": StopTicks,
    "trailing_stop": TrailingStop,
}
