"""Rules that take profits, all at one price or in steps."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, NamedTuple

from pydantic import Field, field_validator

from tradebot.exits.exit_rule import ExitRule, Measure, PriceRule, PriceTarget, RuleInput, StopLevel, WatchedPosition
from tradebot.model.limits import Fraction, Frozen
from tradebot.model.reasons import Reason


class ProfitTarget(PriceRule):
    """Close a position once it has gained this fraction of its entry price."""

    reason = Reason.PROFIT_TARGET
    column = "target"
    rank = 20
    fraction: Annotated[Decimal, Field(gt=0, le=10)]

    @property
    def gain(self) -> Decimal:
        return self.fraction

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure:
        gain = watched.gain(price)
        return Measure(gain >= self.fraction, gain, self.fraction)

    def level(self, watched: WatchedPosition) -> StopLevel:
        return StopLevel(self.reason, watched.price_at(self.fraction), None, ahead=True)


class TargetTicks(PriceRule):
    """Close a position once it has gained this many of its instrument's ticks, measured from its entry price."""

    reason = Reason.TICK_TARGET
    column = "tick target"
    needs = (RuleInput.QUOTE, RuleInput.TICK)
    rank = 21
    ticks: Annotated[int, Field(ge=1, le=100_000)]

    def gain_at(self, price: Decimal, tick: Decimal) -> Decimal:
        return self.ticks * tick / price

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure | RuleInput:
        if watched.tick is None:
            return RuleInput.TICK
        gained = (price - watched.entry) * watched.direction / watched.tick
        return Measure(gained >= self.ticks, gained, self.ticks)

    def level(self, watched: WatchedPosition) -> StopLevel:
        if watched.tick is None:
            return StopLevel(self.reason, None, None)
        return StopLevel(self.reason, watched.entry + watched.direction * self.ticks * watched.tick, None, ahead=True)


class GainLevel(Frozen):
    """A gain as a fraction of the entry price, and the share of the original quantity to close there."""

    fraction: Annotated[Decimal, Field(gt=0, le=10)]
    share: Fraction


class ScaleOut(PriceRule):
    """Close part of the original quantity at each level of gain, only once, rounded down to whole lots.

    If the shares add up to 1, the last level closes whatever remains. A level is done once the position is no larger
    than what that level leaves open. If the price returns to the level later, nothing more is closed.
    """

    reason = Reason.SCALE_OUT
    column = "scale out"
    needs = (RuleInput.QUOTE, RuleInput.ORIGINAL_QUANTITY)
    rank = 60
    levels: Annotated[tuple[GainLevel, ...], Field(min_length=1, max_length=10)]

    @field_validator("levels")
    @classmethod
    def _rises(cls, levels: tuple[GainLevel, ...]) -> tuple[GainLevel, ...]:
        if any(later.fraction <= earlier.fraction for earlier, later in pairwise(levels)):
            raise ValueError("must have levels that rise from one to the next")
        if sum(level.share for level in levels) > 1:
            raise ValueError("must have shares that add up to 1 at most")
        return levels

    @property
    def gain(self) -> Decimal | None:
        """Return the gain of the last level if that closes the whole position, otherwise None."""
        return self.levels[-1].fraction if self._closes_all(self.levels) else None

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure | RuleInput:
        original, gain = watched.original_quantity, watched.gain(price)
        if original is None:
            return RuleInput.ORIGINAL_QUANTITY
        reached = [level for level in self.levels if level.fraction <= gain]
        if not reached:
            return Measure(False, gain, self.levels[0].fraction)
        due = self._due(watched, original, reached)
        whole = due == abs(watched.position.quantity)
        return Measure(due > 0, gain, reached[-1].fraction, None if whole else due)

    def level(self, watched: WatchedPosition) -> StopLevel:
        price = next((target.price for target in self.targets(watched)), None)
        return StopLevel(self.reason, price, None, ahead=True)

    def targets(self, watched: WatchedPosition) -> tuple[PriceTarget, ...]:
        original, done = watched.original_quantity, Decimal(0)
        targets = list[PriceTarget]()
        for index, level in enumerate(self.levels if original is not None else ()):
            assert original is not None, "targets need the position's original quantity"
            due = self._due(watched, original, self.levels[: index + 1])
            if due > done:
                targets.append(PriceTarget(watched.price_at(level.fraction), due - done))
                done = due
        return tuple(targets)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        target = min((rule.fraction for rule in others if isinstance(rule, ProfitTarget)), default=None)
        if target is None or self.levels[-1].fraction < target:
            return None
        return (
            f"scale_out's level {self.levels[-1].fraction} is not below profit_target's fraction {target}: the target "
            "closes first, so the level could never act"
        )

    def _due(self, watched: WatchedPosition, original: Decimal, reached: Sequence[GainLevel]) -> Decimal:
        """Return how many of the position's current shares the reached levels close."""
        quantity = abs(watched.position.quantity)
        if self._closes_all(reached):
            return quantity
        closed = sum((watched.whole_lots(original * level.share) for level in reached), Decimal(0))
        return watched.whole_lots(max(quantity - (original - closed), Decimal(0)))

    @staticmethod
    def _closes_all(reached: Sequence[GainLevel]) -> bool:
        return sum(level.share for level in reached) == 1


class TargetRung(Frozen):
    """A gain as a multiple of the initial risk, and the share of the original quantity to close there."""

    r: Annotated[Decimal, Field(gt=0, le=100)]
    share: Fraction


class _Step(NamedTuple):
    """A rung that closes something: its gain as a fraction of the entry, and the total shares closed up to it."""

    gain: Decimal
    done: Decimal


class Ladder(PriceRule):
    """Close part of the original quantity at each level, measured in R; what remains is called the runner.

    R is the distance of the entry's own stop from its average fill price. Each part is rounded down to whole lots; a
    part below the venue's smallest order joins the runner. Suppose that a pass first sees the entry filled when the
    price has already passed a level, or come within `near_fraction` of it. Then that level is skipped, and its part
    joins the runner too. Skipping a level doesn't skip any other. A profit target beyond the last level closes the
    runner; a nearer one closes nothing.
    """

    # Which levels are skipped only depends on `first_gain`. The first pass that sees the fill stores the midpoint with
    # the entry's order and in the journal, so it survives a restart and a rebuilt ledger. Without it (in a dry run, or
    # if an earlier version saw the fill), no level is skipped.

    reason = Reason.LADDER
    column = "ladder"
    needs = (RuleInput.QUOTE, RuleInput.ORIGINAL_QUANTITY, RuleInput.ENTRY_STOP)
    rank = 55
    levels: Annotated[tuple[TargetRung, ...], Field(min_length=1, max_length=10)]
    near_fraction: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal("0.003")

    @field_validator("levels")
    @classmethod
    def _rises(cls, levels: tuple[TargetRung, ...]) -> tuple[TargetRung, ...]:
        if any(later.r <= earlier.r for earlier, later in pairwise(levels)):
            raise ValueError("must have levels that rise from one to the next")
        if sum(level.share for level in levels) > 1:
            raise ValueError("must have shares that add up to 1 at most")
        return levels

    def measure(self, watched: WatchedPosition, price: Decimal) -> Measure | RuleInput:
        original, risk, gain = watched.original_quantity, watched.kept.stop_loss_fraction, watched.gain(price)
        if original is None or risk is None:
            return RuleInput.ENTRY_STOP if original else RuleInput.ORIGINAL_QUANTITY
        reached = [step for step in self._steps(watched, original, risk) if step.gain <= gain]
        if not reached:
            return Measure(False, gain, self.levels[0].r * risk)
        due = self._due(watched, original, reached[-1])
        return Measure(due > 0, gain, reached[-1].gain, None if due == abs(watched.position.quantity) else due)

    def level(self, watched: WatchedPosition) -> StopLevel:
        price = next((target.price for target in self.targets(watched)), None)
        return StopLevel(self.reason, price, None, ahead=True)

    def targets(self, watched: WatchedPosition) -> tuple[PriceTarget, ...]:
        original, risk, done = watched.original_quantity, watched.kept.stop_loss_fraction, Decimal(0)
        if original is None or risk is None:
            return ()
        targets = list[PriceTarget]()
        for step in self._steps(watched, original, risk):
            due = self._due(watched, original, step)
            if due > done:
                targets.append(PriceTarget(watched.price_at(step.gain), due - done))
                done = due
        return tuple(targets)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        if any(isinstance(rule, ScaleOut) for rule in others):
            return "ladder and scale_out both close parts of the same quantity: list one of them"
        return None

    def reaches(self, gain: Decimal, risk: Decimal | None) -> bool:
        """Return True if a gain is at most that of the ladder's last level, for a position with this initial risk.

        The initial risk is None if unknown.
        """
        return risk is not None and gain <= self.levels[-1].r * risk

    def _steps(self, watched: WatchedPosition, original: Decimal, risk: Decimal) -> Iterator[_Step]:
        """Yield the levels that weren't skipped and close at least the smallest order."""
        done, least = Decimal(0), watched.kept.minimum or Decimal(0)
        for level in self.levels:
            part = watched.whole_lots(original * level.share)
            if part and part >= least and self._is_ahead(watched, level.r * risk):
                done += part
                yield _Step(level.r * risk, done)

    def _is_ahead(self, watched: WatchedPosition, gain: Decimal) -> bool:
        """Return True if the price wasn't at or near a level yet when it was first seen after the fill."""
        first, price = watched.kept.first_gain, 1 + watched.direction * gain
        if price <= 0:
            return False
        first_price = None if first is None else 1 + watched.direction * first
        return first_price is None or (price - first_price) * watched.direction > price * self.near_fraction

    @staticmethod
    def _due(watched: WatchedPosition, original: Decimal, step: _Step) -> Decimal:
        """Return how many of the current shares are closed once the price gets to a step."""
        return watched.whole_lots(max(abs(watched.position.quantity) - (original - step.done), Decimal(0)))


RULES = {
    "ladder": Ladder,
    "profit_target": ProfitTarget,
    "scale_out": ScaleOut,
    "target_ticks": TargetTicks,
}
