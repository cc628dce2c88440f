"""Ask each strategy what it wants, and turn its wants into candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradebot.desk.answers import OWN_SOURCE, checked
from tradebot.desk.own_slots import NO_CLOCKS, OwnSlots, begin, plan
from tradebot.desk.views import Sights, UnmetNeedError
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.instrument import Instrument, whole_lots
from tradebot.model.reasons import Reason
from tradebot.model.record import StrategyRefusal
from tradebot.model.slot import StrategySlot
from tradebot.model.wants import Close, Open, Reduce, Target, Want
from tradebot.ports.strategy import OutsideSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from tradebot.model.position import Position
    from tradebot.model.view import StrategyView
    from tradebot.ports.strategy import Strategy
    from tradebot.ports.world import Call, World
    from tradebot.timetable.job_times import JobTimes


@dataclass(frozen=True, slots=True)
class Proposals:
    """The candidates of all strategies, strongest first, and what was refused: whole answers, or single symbols.

    `own` is what the strategies' own clocks mean for this pass.
    """

    candidates: tuple[Candidate, ...]
    refused: tuple[StrategyRefusal, ...]
    own: OwnSlots = NO_CLOCKS


def propose(world: World, now: datetime, entries: JobTimes | None = None) -> Proposals:
    """Ask every strategy what it wants; one with a bad answer loses its own turn in this pass and no other's.

    With the times of entries, a strategy with a clock of its own is asked only while one of its slots is due.
    """
    planned = plan(world, entries, now)
    sights = Sights(world, now, [strategy for strategy, _ in planned.asked])
    candidates, refused, failed = list[Candidate](), list[StrategyRefusal](), list(planned.refused)
    answered = list[StrategySlot]()
    for strategy, slot in planned.asked:
        try:
            seen = sights.of(strategy, slot=slot.name, as_of=slot.start) if slot else sights.of(strategy)
        except UnmetNeedError as error:
            failed.append(_unasked(strategy, error))
            continue
        refused.extend(seen.left_out)
        answer = strategy.propose(seen.view)
        result = answer if isinstance(answer, Decision) else checked(seen.view, answer, _sources(strategy))
        if isinstance(result, Decision):
            failed.append(StrategyRefusal(strategy.name, result))
        else:
            candidates.extend(_candidate(strategy, seen.view, want, slot) for want in result)
            # A strategy whose needs are met for no symbol gets another chance while its slot is due.
            answered.extend([slot] if slot and seen.view.universe else [])
    if not world.dry_run:
        for refusal in failed:
            world.events.emit(_event(now, refusal))
    own = OwnSlots(tuple(answered), planned.waiting, planned.missed, planned.new)
    return Proposals(tuple(sorted(candidates, key=_strength)), (*failed, *refused), own)


def _unasked(strategy: Strategy, error: UnmetNeedError) -> StrategyRefusal:
    why = Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_UNAVAILABLE, error.message)
    return StrategyRefusal(strategy.name, why)


def begun(world: World, call: Call, proposed: Proposals, now: datetime) -> Proposals:
    """Claim the slots of strategies' own clocks; return the proposals without those that another pass has judged.

    The caller holds the pass lock, and is about to judge the candidates.
    """
    own, refused = begin(world, call, proposed.own, now)
    gone = {_slot_of(slot) for slot in proposed.own.asked} - {_slot_of(slot) for slot in own.asked}
    left = tuple(each for each in proposed.candidates if (each.strategy, each.slot_session, each.slot) not in gone)
    return Proposals(left, (*proposed.refused, *refused), own)


def _slot_of(slot: StrategySlot) -> tuple[str, date | None, str]:
    return slot.strategy, slot.session, slot.name


def _sources(strategy: Strategy) -> frozenset[str]:
    """Return the sources a strategy's wants may name. Plug-ins can't name any but 'strategy'."""
    return strategy.sources if isinstance(strategy, OutsideSource) else OWN_SOURCE


def _candidate(strategy: Strategy, view: StrategyView, want: Want, slot: StrategySlot | None) -> Candidate:
    """Return the candidate of one want. The core works out a target's side and quantity when it knows the account."""
    common = {"strategy": strategy.name, "instrument": Instrument(want.symbol), "at": view.now}
    common |= {"slot": slot.name, "slot_session": slot.session} if slot else {}
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
    held, instrument = lots[want.symbol].quantity, Instrument(want.symbol)
    partly = isinstance(want, Reduce) and want.quantity < abs(held)
    return Candidate(
        **common,  # type: ignore[arg-type]
        side=Side.SELL if held > 0 else Side.BUY,
        purpose=Purpose.REDUCE if partly else Purpose.CLOSE,
        quantity=whole_lots(instrument, want.quantity) if isinstance(want, Reduce) and partly else abs(held),
        want=WantKind.REDUCE if isinstance(want, Reduce) else WantKind.CLOSE,
        why=want.why,
    )


def _strength(candidate: Candidate) -> tuple[float, str, str]:
    return -abs(candidate.score or 0.0), candidate.symbol, candidate.strategy


def _event(now: datetime, refusal: StrategyRefusal) -> SystemEvent:
    result = refusal.decision
    details = {"strategy": refusal.strategy, "reason": str(result.reason), "observed": str(result.observed)}
    return SystemEvent(now, "strategy", "proposal_refused", Severity.ERROR, None, details)
