"""Trade candidates submitted from outside. They pass the same checks and gates as any strategy's."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from tradebot.model.candidate import Submitted
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason
from tradebot.model.view import NOTHING, Open, StrategyView


class SubmittedStrategy:
    """Proposes the candidates submitted under one strategy's name, refusing signals that are too old."""

    needs = NOTHING
    times = ""

    def __init__(self, name: str, submitted: Sequence[Submitted], limits: Limits) -> None:
        self.name = name
        self._submitted = submitted
        self._limits = limits

    @property
    def sources(self) -> frozenset[str]:
        return frozenset(each.source for each in self._submitted)

    def propose(self, view: StrategyView) -> Sequence[Open]:
        """Return a proposed entry for each submission whose symbol the venue lists, strongest first."""
        wants = []
        for each in self._submitted:
            if each.symbol not in view.universe:
                continue
            fresh = (self._fresh(each, view.now),)
            wants.append(Open(each.symbol, each.side, each.score, each.coverage, source=each.source, decisions=fresh))
        return sorted(wants, key=lambda want: (-abs(want.score), want.symbol))

    def _fresh(self, submitted: Submitted, now: datetime) -> Decision:
        """Apply the age limit of flow to a signal with a time; a signal without one counts as new."""
        if submitted.at is None:
            return Decision(Gate.STRATEGY, Verdict.PASS, None, "no time given")
        age, limit = (now - submitted.at).total_seconds(), self._limits.max_flow_age_s
        if -self._limits.max_clock_skew_s <= age <= limit:
            return Decision(Gate.STRATEGY, Verdict.PASS, None, age, limit, age)
        return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.CANDIDATE_STALE, age, limit, age)


def strategies_of(candidates: Iterable[Submitted], limits: Limits) -> tuple[SubmittedStrategy, ...]:
    by_name: dict[str, list[Submitted]] = {}
    for candidate in candidates:
        by_name.setdefault(candidate.strategy, []).append(candidate)
    return tuple(SubmittedStrategy(name, submitted, limits) for name, submitted in by_name.items())
