"""Schedule strategies' own slots: which are due in a pass, and which have begun, ended or been missed.

Each slot is claimed twice in the ledger: when its candidates are about to be evaluated, and when it has ended. If a
slot has begun but not ended, it was interrupted or its targets aren't reached yet; each pass resumes it until its
deadline.

In its slot, a strategy sees the bars that were closed when the slot began. Order ids are derived from the slot instead
of the pass, so each want is sent only once, however many passes and sessions the slot spans. If the stored calendar
doesn't show which session is the first of its month, nothing is due.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, takewhile
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.bar import StrategySlot, WaitingStrategy
from tradebot.model.candidate import Purpose, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.event import EventKind
from tradebot.model.reasons import MAKING_ROOM, Reason
from tradebot.model.record import CandidateRecord, Job, StrategyRefusal
from tradebot.ports.stores import Ledger
from tradebot.ports.strategy import Strategy, is_outside
from tradebot.ports.world import Call, Rules, World
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.strategy_times import clock_state, usable

MOST_MISSED = 20
"""How many missed slots of a strategy one pass records. After a longer outage, the older ones are left out."""
BEGUN, ENDED = "strategy {}", "strategy {} ended"
"""The names under which a strategy's slots and their ends are claimed. No job or strategy has a space in its name."""
TAKEN = Decision(Gate.JOB, Verdict.FAIL, Reason.SLOT_TAKEN, "another pass was faster")
FIRST_SEEN, SEEN = date.min, "first seen"
"""The session and slot under which the ledger records when a strategy's clock was first seen.

Earlier slots aren't missed.
"""
OF_THE_BOT = frozenset(gate for gate in Gate if Gate.PERMISSION.place <= gate.place <= Gate.RECONCILED.place)
"""Gates that block entries altogether, whatever the candidate. A slot that ends at one of them is tried again."""
FOR_NOW = MAKING_ROOM | {Reason.APPROVAL_WAITING, Reason.APPROVAL_PRICE_WORSE}
"""Reasons for which a candidate merely waits."""
TARGET_DONE = frozenset({Reason.TARGET_REACHED, Reason.APPROVAL_REFUSED, Reason.APPROVAL_EXPIRED, Reason.SHADOW})
"""Reasons after which a target needs no more orders.

Shadow mode sends none, so a simulated order completes a target.
"""


class SlotPlan(NamedTuple):
    """The strategies that a pass runs, each with its own slot if the strategy has a clock, and those that it doesn't
    run.

    `missed` are the slots that ended without being done, oldest first. `new` are the strategies whose clock is new, and
    `refused` those whose times are invalid. `asked` are the slots for which strategies were run, and whose candidates
    must be evaluated.
    """

    strategies: tuple[tuple[Strategy, StrategySlot | None], ...] = ()
    waiting: tuple[WaitingStrategy, ...] = ()
    missed: tuple[StrategySlot, ...] = ()
    new: tuple[str, ...] = ()
    refused: tuple[StrategyRefusal, ...] = ()
    asked: tuple[StrategySlot, ...] = ()


def schedule_text(strategy: Strategy, rules: Rules) -> str:
    """Return a strategy's schedule, from the configuration or else its own; if it is empty, the strategy runs in every
    pass.
    """
    return "" if is_outside(strategy) else rules.of(strategy.name).times or strategy.times


def plan_slots(world: World, entries: JobTimes | None, now: datetime) -> SlotPlan:
    """Decide which strategies to run at `now`; without `entries`, all of them. Nothing is claimed."""
    texts = [schedule_text(strategy, world.rules) for strategy in world.strategies]
    if entries is None or not any(texts):
        return SlotPlan(tuple([(strategy, None) for strategy in world.strategies]))
    claims, plans = Claims(world.ledger), list[SlotPlan]()
    for strategy, text in zip(world.strategies, texts, strict=True):
        plans.append(_plan(world, claims, strategy, text, entries, now) if text else SlotPlan(((strategy, None),)))
    return SlotPlan(*(tuple(chain.from_iterable(parts)) for parts in zip(*plans, strict=True)))


def _plan(world: World, claims: "Claims", strategy: Strategy, text: str, entries: JobTimes, now: datetime) -> SlotPlan:
    try:
        times = usable(text, entries, world.venue.day)
    except ValueError as error:
        decision = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_INVALID, f"its times: {error}")
        return SlotPlan((), refused=(StrategyRefusal(strategy.name, decision),))
    stands = clock_state(strategy.name, times, world.ledger, entries, now)
    since = claims.first_seen(strategy.name)
    new, seen_from = (() if since else (strategy.name,)), since or now
    standing_slots = takewhile(lambda slot: slot.end > seen_from and not claims.ended(slot), stands.over[:MOST_MISSED])
    missed = tuple(reversed(list(standing_slots)))
    if stands.current is None or claims.ended(stands.current):
        return SlotPlan((), (WaitingStrategy(strategy.name, stands.next),), missed, new)
    return SlotPlan(((strategy, stands.current),), (), missed, new)


class Claims(Struct):
    """Reads from the ledger which strategy slots have begun or ended."""

    ledger: Ledger

    def has_begun(self, slot: StrategySlot) -> bool:
        return self.ledger.slot_claim(BEGUN.format(slot.strategy), slot.session, slot.name) is not None

    def ended(self, slot: StrategySlot) -> bool:
        return self.ledger.slot_claim(ENDED.format(slot.strategy), slot.session, slot.name) is not None

    def first_seen(self, strategy: str) -> datetime | None:
        """Return when a pass first saw the strategy's clock, or None."""
        claim = self.ledger.slot_claim(BEGUN.format(strategy), FIRST_SEEN, SEEN)
        return claim.at if claim else None


def claim_slots(world: World, call: Call, own: SlotPlan, now: datetime) -> tuple[SlotPlan, tuple[StrategyRefusal, ...]]:
    """Claim the slots to be evaluated now; return them, and what to record about the others.

    The caller has the pass lock. A slot that another pass has already done is left out, and so is a slot past its
    deadline. Each missed slot is recorded only once.
    """
    if world.dry_run:
        return own, ()
    for strategy in own.new:
        world.ledger.claim_slot(BEGUN.format(strategy), FIRST_SEEN, SEEN, call.by, now)
    claims = Claims(world.ledger)
    late = tuple(slot for slot in own.asked if slot.end <= now)
    strategy_refusals = tuple(_tell_missed(world, call, claims, (*own.missed, *late), now))
    due = [slot for slot in own.asked if slot not in late]
    for slot in due:
        if not claims.ended(slot):
            world.ledger.claim_slot(BEGUN.format(slot.strategy), slot.session, slot.name, call.by, now)
    taken = tuple(slot for slot in due if claims.ended(slot))
    remaining = own._replace(asked=tuple(slot for slot in due if slot not in taken))
    return remaining, (*strategy_refusals, *(StrategyRefusal(slot.strategy, TAKEN, slot=slot.name) for slot in taken))


def _tell_missed(
    world: World, call: Call, claims: Claims, missed: Iterable[StrategySlot], now: datetime
) -> Iterator[StrategyRefusal]:
    by = f"{call.by}, as missed"
    for slot in missed:
        if claims.has_begun(slot) and _was_done_since(world, slot):
            finish(world, call, slot, now)
            continue
        reason, kind = Reason.SLOT_MISSED, EventKind.OWN_SLOT_MISSED
        if claims.has_begun(slot):
            reason, kind = Reason.SLOT_UNFINISHED, EventKind.OWN_SLOT_UNFINISHED
        claim = world.ledger.claim_slot(ENDED.format(slot.strategy), slot.session, slot.name, by, now)
        # A pass that yielded and resumes finds its own claim.
        if claim.won or claim.by == by:
            late_s, due_s = int((now - slot.start).total_seconds()), int((slot.end - slot.start).total_seconds())
            details = {"strategy": slot.strategy, "slot": slot.name, "session": slot.session.isoformat()}
            world.events.emit(kind.at(now, details))
            decision = Decision(Gate.JOB, Verdict.FAIL, reason, late_s, due_s)
            yield StrategyRefusal(slot.strategy, decision, slot=slot.name)


def _was_done_since(world: World, slot: StrategySlot) -> bool:
    """Return True if only orders were left of the slot's last pass, and these have filled and reach the targets.

    A slot may have a single entry pass, so no later pass could notice that its targets are reached.
    """
    cycles = world.facts.cycles(job=Job.TRADE_ONCE, since=slot.start)
    passes = [records for cycle in cycles if (records := list(records_in_slot(slot, cycle.candidates)))]
    filled = {order.client_order_id: order.filled_quantity for order in world.ledger.orders(since=slot.start)}
    return bool(passes) and all(_is_judged(record) or _has_reached(record, filled) for record in passes[-1])


def _has_reached(record: CandidateRecord, filled: Mapping[str, Decimal]) -> bool:
    """Return True if a target's order has filled, wasn't cut by a limit, and isn't the first half of a reversal."""
    candidate, shares = record.candidate, filled.get(record.client_order_id or "")
    wanted = next((each.limit for each in record.decisions if each.gate is Gate.TARGET), None)
    return shares == candidate.quantity and (candidate.purpose is not Purpose.CLOSE or not wanted)


def finish(world: World, call: Call, slot: StrategySlot, now: datetime) -> None:
    """Record that a slot is done, so that no pass resumes it; a dry run records nothing."""
    if not world.dry_run:
        world.ledger.claim_slot(ENDED.format(slot.strategy), slot.session, slot.name, call.by, now)


def finish_strategy_slots(
    world: World, call: Call, slots: Iterable[StrategySlot], records: Collection[CandidateRecord], now: datetime
) -> None:
    """Record slots as finished once their targets are reached and their other candidates were evaluated."""
    for slot in slots:
        if all(map(_is_judged, records_in_slot(slot, records))):
            finish(world, call, slot, now)


def records_in_slot(slot: StrategySlot, records: Iterable[CandidateRecord]) -> Iterator[CandidateRecord]:
    """Yield the records of the candidates that a strategy proposed in one of its slots."""
    for record in records:
        candidate = record.candidate
        if (candidate.strategy, candidate.slot_session, candidate.slot) == (slot.strategy, slot.session, slot.name):
            yield record


def _is_judged(record: CandidateRecord) -> bool:
    terminal = record.terminal
    if record.candidate.want is WantKind.TARGET:
        return terminal is not None and terminal.reason in TARGET_DONE
    return terminal is None or not (terminal.gate in OF_THE_BOT or terminal.reason in FOR_NOW)
