"""Candidates from outside enter here, by the door of every strategy, and are asked for nothing less."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from tradebot.limits import Limits
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import Instrument
from tradebot.model.reasons import Reason
from tradebot.model.submitted import Submitted
from tradebot.ports.strategy import StrategyDesk


class SubmittedStrategy:
    """Proposes what was submitted under one strategy's name, refusing signals that are too old."""

    def __init__(self, name: str, wanted: Sequence[Submitted], limits: Limits) -> None:
        self._name = name
        self._wanted = wanted
        self._limits = limits

    @property
    def name(self) -> str:
        """Return the name that its orders and lots carry."""
        return self._name

    @property
    def sources(self) -> frozenset[str]:
        """Return the sources that its candidates may name."""
        return frozenset(wanted.source for wanted in self._wanted)

    def propose(self, desk: StrategyDesk) -> Sequence[Candidate]:
        """Return one candidate for each that was submitted, strongest first."""
        found = [self._candidate(wanted, desk.now) for wanted in self._wanted]
        return sorted(found, key=lambda candidate: (-abs(candidate.score or 0.0), candidate.symbol))

    def _candidate(self, wanted: Submitted, now: datetime) -> Candidate:
        return Candidate(
            strategy=self._name,
            instrument=Instrument(wanted.symbol),
            side=wanted.side,
            purpose=Purpose.OPEN,
            at=now,
            score=wanted.score,
            coverage=wanted.coverage,
            source=wanted.source,
            decisions=(self._fresh(wanted, now),),
        )

    def _fresh(self, wanted: Submitted, now: datetime) -> Decision:
        """A signal that states its time must be as young as flow must be; one that states none is taken as now's."""
        if wanted.at is None:
            return Decision(Gate.STRATEGY, Verdict.PASS, None, "no time given")
        age, limit = (now - wanted.at).total_seconds(), self._limits.max_flow_age_s
        if -self._limits.max_clock_skew_s <= age <= limit:
            return Decision(Gate.STRATEGY, Verdict.PASS, None, age, limit, age)
        return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.CANDIDATE_STALE, age, limit, age)


def strategies_of(candidates: Iterable[Submitted], limits: Limits) -> tuple[SubmittedStrategy, ...]:
    """Return a strategy for each name among the candidates."""
    by_name: dict[str, list[Submitted]] = {}
    for wanted in candidates:
        by_name.setdefault(wanted.strategy, []).append(wanted)
    return tuple(SubmittedStrategy(name, wanted, limits) for name, wanted in by_name.items())
