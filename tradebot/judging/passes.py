"""What recorded passes and claimed slots are evidence of."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta

from tradebot.judging.evidence import (
    Broker,
    ChoreRun,
    Clocks,
    Facts,
    Missed,
    Passes,
    Prices,
    Schedule,
    Strategies,
)
from tradebot.model.decision import Gate
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import ReconcileMark, SlotClaim
from tradebot.timetable.lines import Line
from tradebot.timetable.slots import Slot

TO_END = timedelta(minutes=1)
"""How much longer than its limit a chore may take until its end is claimed."""
UNANSWERED = frozenset({Reason.VENUE_UNREACHABLE, Reason.KEYS_REFUSED})


def is_finished(cycle: CycleRecord) -> bool:
    """Return True if a pass did its work to the end, which may be to find that the market is closed.

    A pass that was cut short, refused or only recorded as missed has looked at nothing.
    """
    if "/" in cycle.slot or cycle.dry_run:
        # Someone's own candidates; the strategies and their slot have another pass.
        return False
    return cycle.job_decision is None or cycle.job_decision.reason is Reason.MARKET_CLOSED


def passes_of(job: Job, cycles: Sequence[CycleRecord], slots: Sequence[Slot], claims: Sequence[SlotClaim]) -> Passes:
    """Return the passes of a job, and how many of its slots that are due were claimed."""
    done = [cycle for cycle in cycles if cycle.job is job and is_finished(cycle)]
    run = {_key(claim) for claim in claims if claim.job == job and claim.missed is None}
    last = max((cycle.at for cycle in done), default=None)
    gaps = next((cycle.gaps for cycle in reversed(done) if cycle.gaps is not None), ())
    return Passes(len(done), last, len(slots), sum(slot.key in run for slot in slots), gaps)


def broker_of(cycles: Sequence[CycleRecord], mark: ReconcileMark | None) -> Broker | None:
    """Return when the broker answered last about the account; a comparison of the books is such an answer."""
    answers = [cycle.at for cycle in cycles if cycle.equity is not None] + ([mark.at] if mark else [])
    failed = [each for each in cycles if each.job_decision and each.job_decision.reason in UNANSWERED]
    if not answers:
        return None
    last = max(reversed(failed), key=lambda cycle: cycle.at, default=None)
    if last is None or last.job_decision is None:
        return Broker(len(answers), max(answers))
    why = str(last.job_decision.observed or last.job_decision.reason)
    return Broker(len(answers), max(answers), last.at, why)


def prices_of(
    cycles: Sequence[CycleRecord], positions: Collection[Position], priced_at: Callable[[datetime], Collection[str]]
) -> Prices | None:
    """Return the prices of the last pass of exits that read the account, and the positions that it had none for.

    `priced_at` names the symbols whose prices the pass of a time saw.
    """
    read = [each for each in cycles if each.job is Job.EVALUATE_EXITS and is_finished(each) and each.equity is not None]
    if not read:
        return None
    last = max(reversed(read), key=lambda cycle: cycle.at)
    priced = set(priced_at(last.at))
    held = [each for each in positions if each.quantity and each.opened_at and each.opened_at <= last.at]
    without = sorted({position.symbol for position in held} - priced)
    return Prices(len(read), last.at, len({position.symbol for position in held}), tuple(without))


def clocks_of(cycles: Sequence[CycleRecord]) -> Clocks | None:
    """Return when two clocks were last compared: every pass begins with that, and is refused if they differ."""
    apart = [each for each in cycles if each.job_decision and each.job_decision.reason is Reason.CLOCKS_DISAGREE]
    agreed = [cycle.at for cycle in cycles if is_finished(cycle)]
    newest = max([*agreed, *(cycle.at for cycle in apart)], default=None)
    if newest is None:
        return None
    last = max(reversed(apart), key=lambda cycle: cycle.at, default=None)
    if last is None or last.job_decision is None or last.at < newest:
        return Clocks(len(agreed), newest)
    return Clocks(len(agreed) + len(apart), newest, f"two clocks are {last.job_decision.observed} s apart")


def facts_of(cycles: Sequence[CycleRecord]) -> Facts | None:
    """Return the last recorded pass of any kind."""
    return Facts(len(cycles), max(cycle.at for cycle in cycles)) if cycles else None


def strategies_of(names: Sequence[str], cycles: Sequence[CycleRecord]) -> Strategies:
    """Return when the strategies were last asked for entries, and those whose whole answer was refused then."""
    asked = [cycle for cycle in cycles if cycle.job is Job.TRADE_ONCE and is_finished(cycle)]
    last = max(reversed(asked), key=lambda cycle: cycle.at, default=None)
    refused = [each for each in last.refused_strategies if each.decision.gate is Gate.STRATEGY] if last else []
    broken = tuple(f"{each.strategy} is BROKEN ({each.decision.reason})" for each in refused)
    return Strategies(tuple(names), last.at if last else None, broken)


def schedule_of(
    slots: Mapping[Job, Sequence[Slot]], chores: Collection[str], claims: Sequence[SlotClaim], now: datetime
) -> Schedule:
    """Return the slots that nobody ran: those that are accounted for, and those that are over and that nobody claimed.

    A slot that never came, because the session closed early, wasn't missed. Slots of a strategy's own clock are told of
    by its passes.
    """
    ours = [claim for claim in claims if claim.job in slots or claim.job in chores]
    claimed = {_key(claim) for claim in ours}
    missed = [
        (claim.at, Missed(claim.job, claim.slot, str(claim.missed)))
        for claim in ours
        if claim.missed not in (None, Reason.CLOSED_EARLY)
    ]
    missed += [
        (slot.end, Missed(slot.job, slot.name, "nobody ran it"))
        for due in slots.values()
        for slot in due
        if slot.end <= now and slot.key not in claimed
    ]
    found = tuple(each for _, each in sorted(missed, key=lambda pair: pair[0]))
    return Schedule(sum(len(due) for due in slots.values()) + sum(claim.job in chores for claim in ours), found)


def last_run(
    line: Line, begun: SlotClaim | None, ended: SlotClaim | None, *, well: bool, now: datetime
) -> ChoreRun | None:
    """Return the last run of a chore by the claims of its beginning and its end; None if there is none that ended.

    One that has no end well after its time limit was cut short; until then, the run before it counts.
    """
    assert line.limit_s is not None, "chores have a limit"
    is_open = begun is not None and begun.missed is None and (ended is None or ended.at < begun.at)
    if begun is not None and is_open and now > begun.at + timedelta(seconds=line.limit_s) + TO_END:
        return ChoreRun(line.job, begun.at, well=False, outcome="cut short")
    return ChoreRun(line.job, ended.at, well, ended.by) if ended else None


def came(slots: Sequence[Slot], claims: Sequence[SlotClaim]) -> tuple[Slot, ...]:
    """Return those of these slots that came: all but those of a session that closed early."""
    never = {_key(claim) for claim in claims if claim.missed is Reason.CLOSED_EARLY}
    return tuple(slot for slot in slots if slot.key not in never)


def _key(claim: SlotClaim) -> tuple[str, date, str]:
    return claim.job, claim.session, claim.slot


def calendar_differs(cycles: Sequence[CycleRecord]) -> str:
    """Return how the broker's word about the session differs from the calendar, by the newest pass; empty if not."""
    judged = [each for each in cycles if each.job in (Job.EVALUATE_EXITS, Job.TRADE_ONCE)]
    last = max(reversed(judged), key=lambda cycle: cycle.at, default=None)
    ended = last.job_decision if last else None
    return str(ended.observed) if ended and ended.reason is Reason.CALENDAR_DISAGREES else ""
