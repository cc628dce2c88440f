"""Ask each strategy what it wants, and turn its wants into candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradebot.desk.answers import OWN_SOURCE, checked
from tradebot.desk.views import Sights
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.instrument import Instrument
from tradebot.model.record import StrategyRefusal
from tradebot.model.wants import Close, Open, Reduce, Target, Want
from tradebot.ports.strategy import OutsideSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tradebot.model.position import Position
    from tradebot.model.view import StrategyView
    from tradebot.ports.strategy import Strategy
    from tradebot.ports.world import World


@dataclass(frozen=True, slots=True)
class Proposals:
    """The candidates of all strategies, strongest first, and what was refused: whole answers, or single symbols."""

    candidates: tuple[Candidate, ...]
    refused: tuple[StrategyRefusal, ...]


def propose(world: World, now: datetime) -> Proposals:
    """Ask every strategy what it wants; one with a bad answer loses its own turn in this pass and no other's."""
    sights = Sights(world, now, world.strategies)
    candidates, refused, failed = list[Candidate](), list[StrategyRefusal](), list[StrategyRefusal]()
    for strategy in world.strategies:
        seen = sights.of(strategy)
        refused.extend(seen.left_out)
        answer = strategy.propose(seen.view)
        result = answer if isinstance(answer, Decision) else checked(seen.view, answer, _sources(strategy))
        if isinstance(result, Decision):
            failed.append(StrategyRefusal(strategy.name, result))
        else:
            candidates.extend(_candidate(strategy, seen.view, want) for want in result)
    if not world.dry_run:
        for refusal in failed:
            world.events.emit(_event(now, refusal))
    return Proposals(tuple(sorted(candidates, key=_strength)), (*failed, *refused))


def _sources(strategy: Strategy) -> frozenset[str]:
    """Return the sources a strategy's wants may name. Plug-ins can't name any but 'strategy'."""
    return strategy.sources if isinstance(strategy, OutsideSource) else OWN_SOURCE


def _candidate(strategy: Strategy, view: StrategyView, want: Want) -> Candidate:
    """Return the candidate of one want. The core works out a target's side and quantity when it knows the account."""
    common = {"strategy": strategy.name, "instrument": Instrument(want.symbol), "at": view.now, "slot": view.slot}
    if isinstance(want, Open):
        return Candidate(
            **common,  # type: ignore[arg-type]
            side=want.side,
            purpose=Purpose.OPEN,
            score=want.score,
            coverage=want.coverage,
            components=want.components,
            quantity=want.quantity,
            source=want.source,
            decisions=want.decisions,
            reads_flow=bool(strategy.needs.facts),
            stop_loss_fraction=want.stop_loss_fraction,
            profit_target_fraction=want.profit_target_fraction,
        )
    if isinstance(want, Target):
        sign = want.weight if want.weight is not None else want.quantity
        return Candidate(
            **common,  # type: ignore[arg-type]
            side=Side.SELL if sign is not None and sign < 0 else Side.BUY,
            purpose=Purpose.OPEN,
            score=want.score,
            quantity=want.quantity,
            decisions=want.decisions,
            reads_flow=bool(strategy.needs.facts),
            want=WantKind.TARGET,
            weight=want.weight,
        )
    return _closing(common, view.lots, want)


def _closing(common: Mapping[str, object], lots: Mapping[str, Position], want: Reduce | Close) -> Candidate:
    held = lots[want.symbol].quantity
    partly = isinstance(want, Reduce) and want.quantity < abs(held)
    return Candidate(
        **common,  # type: ignore[arg-type]
        side=Side.SELL if held > 0 else Side.BUY,
        purpose=Purpose.REDUCE if partly else Purpose.CLOSE,
        quantity=min(want.quantity, abs(held)) if isinstance(want, Reduce) else abs(held),
        want=WantKind.REDUCE if isinstance(want, Reduce) else WantKind.CLOSE,
        why=want.why,
    )


def _strength(candidate: Candidate) -> tuple[float, str, str]:
    return -abs(candidate.score or 0.0), candidate.symbol, candidate.strategy


def _event(now: datetime, refusal: StrategyRefusal) -> SystemEvent:
    result = refusal.decision
    details = {"strategy": refusal.strategy, "reason": str(result.reason), "observed": str(result.observed)}
    return SystemEvent(now, "strategy", "proposal_refused", Severity.ERROR, None, details)
