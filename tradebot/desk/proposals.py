"""What the strategies propose: each is asked apart from the others, and its answer is checked before it counts."""

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
"""Characters of any text that a strategy may hand over."""

OWN_REASONS = frozenset(
    {
        Reason.NO_DIRECTION,
        Reason.LONG_ONLY,
        Reason.CLUSTER_TOO_SMALL,
        Reason.CANDIDATE_STALE,
        Reason.STRATEGY_DECLINED,
    }
)
"""Why a strategy may refuse a candidate of its own; every other reason is a gate's to give."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """The candidates of all strategies, strongest first, and the strategies whose whole answer was refused."""

    candidates: tuple[Candidate, ...]
    refused: tuple[StrategyRefusal, ...]


def propose(world: World, desk: StrategyDesk) -> Proposals:
    """Ask every strategy; one that answers badly loses this cycle of its own, and no other's."""
    # What a strategy is handed cannot be changed, so that the next one and the gates see what was read.
    view = FlowDesk(desk.now, tuple(desk.universe), MappingProxyType(dict(desk.facts)), desk.tide)
    candidates, refused = list[Candidate](), list[StrategyRefusal]()
    for strategy in world.strategies:
        answer = strategy.propose(view)
        found = answer if isinstance(answer, Decision) else checked(strategy.name, view, answer, _sources(strategy))
        if isinstance(found, Decision):
            refused.append(StrategyRefusal(strategy.name, found))
        else:
            candidates.extend(found)
    if not world.dry_run:
        for refusal in refused:
            world.events.emit(_event(view, refusal))
    return Proposals(tuple(sorted(candidates, key=_strength)), tuple(refused))


def _sources(strategy: Strategy) -> frozenset[str]:
    """Only what we wrote ourselves may name another source: a plug-in is asked through a proxy that has none."""
    return strategy.sources if isinstance(strategy, OutsideSource) else OWN_SOURCE


def checked(
    name: str, desk: StrategyDesk, answer: object, sources: frozenset[str] = OWN_SOURCE
) -> tuple[Candidate, ...] | Decision:
    """Return a strategy's candidates, or why its whole answer is refused: one that errs once is not to be trusted."""
    if not isinstance(answer, Iterable):
        return _refused(Reason.STRATEGY_INVALID, f"a {type(answer).__name__} is no sequence of candidates")
    limit = len(desk.universe)
    # An answer without end is read no further than one past the limit.
    candidates = tuple(islice(answer, limit + 1))
    if len(candidates) > limit:
        observed = len(answer) if isinstance(answer, Sized) else len(candidates)
        return _refused(Reason.STRATEGY_TOO_MANY, observed, limit)
    check = _Check(name, desk, frozenset(desk.universe), sources)
    seen: set[str] = set()
    for candidate in candidates:
        fault = check.fault(candidate) or ("its symbol stands twice" if candidate.instrument.symbol in seen else None)
        if fault:
            return _refused(Reason.STRATEGY_INVALID, f"{_named(candidate)}: {fault}")
        seen.add(candidate.instrument.symbol)
    return candidates


@dataclass(frozen=True, slots=True)
class _Check:
    """What every candidate of one strategy is held against; types first, because anything may have been returned."""

    name: str
    desk: StrategyDesk
    universe: frozenset[str]
    sources: frozenset[str]

    def fault(self, candidate: Candidate) -> str | None:
        """Return what is wrong with a candidate, or None."""
        rules: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("it is no Candidate", lambda: type(candidate) is Candidate),
            ("it names another strategy", lambda: candidate.strategy == self.name),
            ("its instrument is no symbol of the universe", lambda: self._is_listed(candidate.instrument)),
            ("its side is no Side", lambda: type(candidate.side) is Side),
            ("a strategy only opens", lambda: candidate.purpose is Purpose.OPEN),
            ("its time is not the desk's", lambda: candidate.at == self.desk.now),
            ("its score is not within -1 to 1", lambda: _optional(candidate.score, -1)),
            ("its score points the other way than its side", lambda: _agrees(candidate)),
            ("its coverage is not within 0 to 1", lambda: _optional(candidate.coverage, 0)),
            ("its components are not all finite", lambda: _each(candidate.components, _is_component)),
            ("the size is not a strategy's to choose", lambda: candidate.quantity is None),
            ("its source is not 'strategy'", lambda: any(candidate.source == known for known in self.sources)),
            ("its decisions are not a strategy's", lambda: _each(candidate.decisions, _is_own_decision)),
        )
        return next((sentence for sentence, holds in rules if not holds()), None)

    def _is_listed(self, instrument: object) -> bool:
        known = type(instrument) is Instrument and type(instrument.symbol) is str
        return known and instrument.symbol in self.universe and instrument == Instrument(instrument.symbol)  # type: ignore[attr-defined]


def _optional(value: object, low: int) -> bool:
    return value is None or _within(value, low, 1)


def _within(value: object, low: float, high: float) -> bool:
    """Tell whether a number is within bounds; NaN is within none."""
    return type(value) in (float, int) and low <= value <= high  # type: ignore[operator]


def _is_finite(value: object) -> bool:
    return _within(value, -1e15, 1e15)


def _agrees(candidate: Candidate) -> bool:
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


def _named(candidate: object) -> str:
    symbol = candidate.instrument.symbol if _has_symbol(candidate) else candidate  # type: ignore[attr-defined]
    return repr(symbol)[:40]


def _has_symbol(candidate: object) -> bool:
    return type(candidate) is Candidate and type(candidate.instrument) is Instrument


def _strength(candidate: Candidate) -> tuple[float, str, str]:
    return -abs(candidate.score or 0.0), candidate.symbol, candidate.strategy


def _refused(reason: Reason, observed: int | str, limit: int | None = None) -> Decision:
    return Decision(Gate.STRATEGY, Verdict.FAIL, reason, observed, limit)


def _event(desk: StrategyDesk, refusal: StrategyRefusal) -> SystemEvent:
    found = refusal.decision
    details = {"strategy": refusal.strategy, "reason": str(found.reason), "observed": str(found.observed)}
    return SystemEvent(desk.now, "strategy", "proposal_refused", Severity.ERROR, None, details)
