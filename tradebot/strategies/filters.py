"""A strategy's own filters. All of them run even after a refusal, so that a record shows every reason."""

from msgspec import Struct

from tradebot.model.decision import Decision, Gate, Number, Verdict
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason


class StrategyFilter(Struct, frozen=True):
    """A strategy's own filter: its name in records, and the unit of its numbers."""

    name: str
    unit: Unit = Unit.NONE

    def answer(
        self,
        passed: bool,
        reason: Reason | None,
        observed: Number | str | None = None,
        limit: Number | str | None = None,
    ) -> Decision:
        """Return PASS, or FAIL with the reason; both include the observed value and the limit."""
        return self._decision(Verdict.PASS if passed else Verdict.FAIL, None if passed else reason, observed, limit)

    def unknown(self, reason: Reason, observed: Number | str | None, limit: Number | str | None) -> Decision:
        """Return UNKNOWN, which doesn't pass."""
        return self._decision(Verdict.UNKNOWN, reason, observed, limit)

    def _decision(
        self, verdict: Verdict, why: Reason | None, observed: Number | str | None, limit: Number | str | None
    ) -> Decision:
        unit = "" if self.unit is Unit.NONE else self.unit.code
        return Decision(Gate.STRATEGY, verdict, why, observed, limit, about=self.name, unit=unit)
