"""Close a position whose signal has faded."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.exits.kinds.time_exit import too_late
from tradebot.model.limits import Seconds
from tradebot.model.reasons import Reason


class SignalDecay(ExitRule):
    """Close a position whose score has dropped from that of its entry, measured in that signal's own noise.

    The signal counts as faded from the pass in which the drop reaches `noise_multiple` until the drop is below
    `recovery_multiple` again. The rule acts once that has lasted `confirm_passes` passes, and never before the position
    has been held for `min_hold_s`. So a score that only jitters closes nothing.
    """

    reason = Reason.SIGNAL_DECAY
    column = "decay"
    reads = frozenset({"scores", "noise"})
    needs = (Input.CLOCK, Input.ENTRY_SCORE, Input.SCORES, Input.NOISE)
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

    def measure(self, held: Held, now: datetime, entry: float, scores: Sequence[float], noise: float) -> Measure:
        drops = [(entry - score) * held.direction / noise for score in scores]
        age_s = (now - held.position.opened_at).total_seconds()
        closes = age_s >= self.min_hold_s and self._faded_for(drops) >= self.confirm_passes
        return Measure(closes, drops[-1], self.noise_multiple, shown=scores[-1] / entry)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        return too_late("signal_decay's min_hold_s", self.min_hold_s, others)

    def _faded_for(self, drops: Iterable[float]) -> int:
        """Return for how many passes up to the last one the signal has counted as faded."""
        passes = 0
        for drop in drops:
            faded = drop >= (self.recovery_multiple if passes else self.noise_multiple)
            passes = passes + 1 if faded else 0
        return passes


RULES = {"signal_decay": SignalDecay}
