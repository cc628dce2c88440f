"""The error that a model isn't used, with the reason in records and the next command for a person."""

from pathlib import Path
from shlex import quote

from tradebot.errors import OperatorError
from tradebot.learning.saying import refusal
from tradebot.model.reasons import REASONS, Reason


class RefusedModelError(OperatorError):
    """Raised when a model can't be used. The decision says why in a record, the hint is the next command."""

    def __init__(self, reason: Reason, what: str, observed: str) -> None:
        row = REASONS[reason]
        super().__init__(f"{what}: {observed}. {row.meaning}", row.remedy)
        self.reason, self.observed = reason, observed
        self.decision = refusal(reason, f"{what}: {observed}")


class RefusedDraftError(OperatorError):
    """Raised when a draft can't be signed: no bot uses it, and nobody has signed it yet."""

    def __init__(self, place: Path, reason: Reason, observed: str) -> None:
        self.reason = reason
        if reason is Reason.MODEL_ABSENT:
            super().__init__(f"there is no draft at {place}: {observed}", "tradebot learn policy train makes drafts")
            return
        super().__init__(
            f"the draft {place} can't be signed: {observed}. {REASONS[reason].meaning}",
            f"look at what is named there (ls -l {quote(str(place))}), or train it again: tradebot learn policy train",
        )
