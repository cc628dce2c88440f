"""The error that a model isn't used, with the reason in records and the next command for a person."""

from tradebot.errors import OperatorError
from tradebot.learning.saying import refusal
from tradebot.model.reasons import REASONS, Reason


class RefusedModelError(OperatorError):
    """Raised when a model can't be used. The decision says why in a record, the hint is the next command."""

    def __init__(self, reason: Reason, what: str, observed: str) -> None:
        row = REASONS[reason]
        super().__init__(f"{what}: {observed}. {row.meaning}", row.remedy)
        self.decision = refusal(reason, f"{what}: {observed}")
