"""Ask each strategy for its candidates separately, and check its answer before using it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from tradebot.model.candidate import STRATEGY_SOURCE, Candidate, Component, ComponentName, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import FlowDesk
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.instrument import Instrument
from tradebot.model.reasons import Reason
from tradebot.model.record import StrategyRefusal
from tradebot.ports.strategy import OutsideSource

if TYPE_CHECKING:
    from tradebot.ports.strategy import Strategy, StrategyDesk
    from tradebot.ports.world import World

OWN_SOURCE = frozenset({STRATEGY_SOURCE})
MAX_TEXT = 200
"""The longest text a strategy may return, in characters."""

OWN_REASONS = frozenset(
    {
        Reason.NO_DIRECTION,
        Reason.LONG_ONLY,
        Reason.CLUSTER_TOO_SMALL,
        Reason.CANDIDATE_STALE,
        Reason.STRATEGY_DECLINED,
    }
)
"""Reasons a strategy may give for refusing its own candidate; only gates may give the others."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """The candidates of all strategies, strongest first, and the strategies whose whole answer was refused."""

    candidates: tuple[Candidate, ...]
    refused: tuple[StrategyRefusal, ...]


def propose(world: World, desk: StrategyDesk) -> Proposals:
    """Ask every strategy for candidates; one with a bad answer loses its own turn in this pass and no other's."""
    # Strategies get a read-only view, so that the next strategy and the gates see what was actually read.
    view = FlowDesk(desk.now, tuple(desk.universe), MappingProxyType(dict(desk.facts)), desk.tide)
    candidates, refused = list[Candidate](), list[StrategyRefusal]()
    for strategy in world.strategies:
        answer = strategy.propose(view)
        result = answer if isinstance(answer, Decision) else checked(strategy.name, view, answer, _sources(strategy))
        if isinstance(result, Decision):
            refused.append(StrategyRefusal(strategy.name, result))
        else:
            candidates.extend(result)
    if not world.dry_run:
        for refusal in refused:
            world.events.emit(_event(view, refusal))
    return Proposals(tuple(sorted(candidates, key=_strength)), tuple(refused))


def _sources(strategy: Strategy) -> frozenset[str]:
    """Return the sources a strategy's candidates may name. Plug-ins can't name any but 'strategy'."""
    return strategy.sources if isinstance(strategy, OutsideSource) else OWN_SOURCE


def checked(
    name: str, desk: StrategyDesk, answer: object, sources: frozenset[str] = OWN_SOURCE
) -> tuple[Candidate, ...] | Decision:
    """Return a strategy's candidates, or why its whole answer is refused: one bad candidate discredits them all."""
    if not isinstance(answer, Iterable):
        return _refused(Reason.STRATEGY_INVALID, f"expected a sequence of candidates, got {type(answer).__name__}")
    limit = len(desk.universe)
    # The answer may be endless, so read only one candidate past the limit.
    candidates = tuple(islice(answer, limit + 1))
    if len(candidates) > limit:
        observed = len(answer) if isinstance(answer, Sized) else len(candidates)
        return _refused(Reason.STRATEGY_TOO_MANY, observed, limit)
    check = _CandidateCheck(name, desk, frozenset(desk.universe), sources)
    seen: set[str] = set()
    for candidate in candidates:
        fault = check.fault(candidate) or ("its symbol appears twice" if candidate.instrument.symbol in seen else None)
        if fault:
            return _refused(Reason.STRATEGY_INVALID, f"{_describe(candidate)}: {fault}")
        seen.add(candidate.instrument.symbol)
    return candidates


@dataclass(frozen=True, slots=True)
class _CandidateCheck:
    """The checks on every candidate of one strategy. Types come first, because a strategy may return anything."""

    name: str
    desk: StrategyDesk
    universe: frozenset[str]
    sources: frozenset[str]

    def fault(self, candidate: Candidate) -> str | None:
        """Return what is wrong with a candidate, or None."""
        rules: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("it is not a Candidate", lambda: type(candidate) is Candidate),
            ("it names another strategy", lambda: candidate.strategy == self.name),
            ("its symbol is not in the universe", lambda: self._is_listed(candidate.instrument)),
            ("its side is not a Side", lambda: type(candidate.side) is Side),
            ("its purpose must be to open a position", lambda: candidate.purpose is Purpose.OPEN),
            ("its time is not the desk's", lambda: candidate.at == self.desk.now),
            ("its score is not between -1 and 1", lambda: _optional(candidate.score, -1)),
            ("its score and its side disagree", lambda: _score_matches_side(candidate)),
            ("its coverage is not between 0 and 1", lambda: _optional(candidate.coverage, 0)),
            ("its components are not all valid", lambda: _each(candidate.components, _is_component)),
            ("it sets a quantity, which strategies may not do", lambda: candidate.quantity is None),
            ("its source is not 'strategy'", lambda: any(candidate.source == known for known in self.sources)),
            ("its decisions are not ones a strategy may make", lambda: _each(candidate.decisions, _is_own_decision)),
        )
        return next((fault for fault, holds in rules if not holds()), None)

    def _is_listed(self, instrument: object) -> bool:
        known = type(instrument) is Instrument and type(instrument.symbol) is str
        return known and instrument.symbol in self.universe and instrument == Instrument(instrument.symbol)  # type: ignore[attr-defined]


def _optional(value: object, low: int) -> bool:
    return value is None or _within(value, low, 1)


def _within(value: object, low: float, high: float) -> bool:
    """Return True if a number is within bounds; NaN never is."""
    return type(value) in (float, int) and low <= value <= high  # type: ignore[operator]


def _is_finite(value: object) -> bool:
    return _within(value, -1e15, 1e15)


def _score_matches_side(candidate: Candidate) -> bool:
    return (candidate.score or 0.0) * candidate.side.sign >= 0


def _each(items: object, holds: Callable[[object], bool]) -> bool:
    return type(items) is tuple and len(items) <= len(ComponentName) and all(map(holds, items))


def _is_component(item: object) -> bool:
    return (
        type(item) is Component
        and type(item.name) is ComponentName
        and _optional(item.value, -1)
        and _within(item.weight, 0, 100)
        and _is_text(item.source)
    )


def _is_own_decision(item: object) -> bool:
    return (
        type(item) is Decision
        and item.gate is Gate.STRATEGY
        and type(item.verdict) is Verdict
        and (item.reason in OWN_REASONS or (item.passed and item.reason is None))
        and all(value is None or _is_finite(value) or _is_text(value) for value in (item.observed, item.limit))
        and (item.age_s is None or _is_finite(item.age_s))
    )


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= MAX_TEXT


def _describe(candidate: object) -> str:
    symbol = candidate.instrument.symbol if _has_symbol(candidate) else candidate  # type: ignore[attr-defined]
    return repr(symbol)[:40]


def _has_symbol(candidate: object) -> bool:
    return type(candidate) is Candidate and type(candidate.instrument) is Instrument


def _strength(candidate: Candidate) -> tuple[float, str, str]:
    return -abs(candidate.score or 0.0), candidate.symbol, candidate.strategy


def _refused(reason: Reason, observed: int | str, limit: int | None = None) -> Decision:
    return Decision(Gate.STRATEGY, Verdict.FAIL, reason, observed, limit)


def _event(desk: StrategyDesk, refusal: StrategyRefusal) -> SystemEvent:
    result = refusal.decision
    details = {"strategy": refusal.strategy, "reason": str(result.reason), "observed": str(result.observed)}
    return SystemEvent(desk.now, "strategy", "proposal_refused", Severity.ERROR, None, details)
