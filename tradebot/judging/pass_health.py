"""Judge recorded passes and slot claims, and define the table of all judgments.

If nothing was examined, a subject is UNKNOWN and never OK; while nothing was due yet, it is NOT_DUE. Every command
shows a selection of the same judgments, so commands can't contradict each other.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from tradebot.judging import component_health
from tradebot.judging.component_health import DEGRADED, FAILED, NOT_DUE, OK, UNKNOWN, HealthVerdict, Judge, by_slots
from tradebot.judging.evidence import (
    ChoreEvidence,
    HealthEvidence,
    PriceEvidence,
    Replays,
    SessionEvidence,
    UnreadablePart,
)
from tradebot.judging.judgment import HealthState, Judgment
from tradebot.model.decision import Gate, format_comparison
from tradebot.model.position import Position
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import DOUBTED, RESUMABLE, CycleRecord, Gap, Job
from tradebot.model.sentences import pluralize, span
from tradebot.model.trading import SlotClaim
from tradebot.timetable.entries import ENDS, TimetableEntry
from tradebot.timetable.sessions import Slot

TO_END = timedelta(minutes=1)
"""How long after its time limit a chore's end may be recorded."""
UNANSWERED = frozenset({Reason.VENUE_UNREACHABLE, Reason.KEYS_REFUSED})


def is_finished(cycle: CycleRecord) -> bool:
    """Return True if a pass completed its work.

    A pass that was interrupted, refused (also because the market is closed) or only recorded as missed has examined
    nothing.
    """
    # Submitted candidates have a pass of their own; strategies and their slot have another one.
    return "/" not in cycle.slot and not cycle.dry_run and cycle.job_decision is None


def finished_passes(past: SessionEvidence, job: Job) -> list[CycleRecord]:
    return [cycle for cycle in past.cycles if cycle.job is job and is_finished(cycle)]


def latest_pass(cycles: Iterable[CycleRecord]) -> CycleRecord | None:
    """Return the latest pass; of several at the same time, the one recorded last."""
    return max(reversed([*cycles]), key=lambda cycle: cycle.at, default=None)


def unfinished_claims(past: SessionEvidence) -> Sequence[SlotClaim]:
    """Return each job's and chore's newest claim without a recorded end: it is still running, or was interrupted."""
    ended = {(cycle.job.value, cycle.session, cycle.slot) for cycle in past.cycles if not _goes_on(cycle)}
    chores = {f"{job}{end}": job for job in past.chores for end in ENDS}
    ended |= {(chores[claim.job], claim.session, claim.slot) for claim in past.claims if claim.job in chores}
    compared_at = past.compared.at if past.compared else component_health.NEVER
    last = {
        claim.job: claim for claim in past.claims if claim.missed_reason is None and claim.job in {*Job, *past.chores}
    }
    return [
        claim
        for claim in last.values()
        if _key(claim) not in ended and not (claim.job == Job.RECONCILE and claim.at <= compared_at)
    ]


def _goes_on(cycle: CycleRecord) -> bool:
    return cycle.job_decision is not None and cycle.job_decision.reason in RESUMABLE


def of_job(job: Job) -> Judge:
    """Return a function that judges a job by its last finished pass: that pass mustn't be older than the job's last
    slot.
    """

    def judge(evidence: HealthEvidence, past: SessionEvidence) -> HealthVerdict:
        done, due = finished_passes(past, job), past.due[job]
        run = {_key(claim) for claim in past.claims if claim.job == job and claim.missed_reason is None}
        ran = f"ran in {sum(slot.key in run for slot in due):,} of {pluralize(len(due), 'slot')}"
        finished = f"finished {pluralize(len(done), 'pass', 'passes')}"
        finding, last = f"{ran if due else 'no slot was due yet'}; {finished}", latest_pass(done)
        fresh = by_slots(evidence, last.at if last else None, job)
        stuck = [each for each in last.refused_strategies if each.decision.gate is Gate.EXIT] if last else []
        if stuck:
            stuck_text = ", ".join(f"{each.symbol} of {each.strategy}" for each in stuck[: component_health.SHOWN])
            return HealthVerdict(
                FAILED, f"{finding}; can't be closed: {stuck_text}", len(done), fresh, "tradebot reconcile"
            )
        gaps, unlike = _gaps(job, done, past), _differing(job, past)
        if gaps and last:
            bare_gaps = (_bare(gap, last.at, evidence.now or last.at) for gap in gaps[: component_health.SHOWN])
            bare = "; ".join([*bare_gaps, *unlike])
            return HealthVerdict(DEGRADED, f"{finding}; {bare}", len(done), fresh, "tradebot positions")
        if unlike:
            return HealthVerdict(DEGRADED, f"{finding}; {'; '.join(unlike)}", len(done), fresh, "tradebot reconcile")
        if last and last.closed:
            why = "; ".join(f"entries are blocked ({gate.reason}, {format_comparison(gate)})" for gate in last.closed)
            remedy = REASONS[last.closed[0].reason or Reason.EQUITY_UNKNOWN].remedy
            return HealthVerdict(DEGRADED, f"{finding}; {why}", len(done), fresh, remedy)
        return HealthVerdict(OK if last else UNKNOWN, finding, len(done), fresh)

    return judge


def _gaps(job: Job, done: Sequence[CycleRecord], past: SessionEvidence) -> Sequence[Gap]:
    """Return the gaps in protection that a job's passes left last, of positions that weren't closed since; those of
    entries until the next exit pass.
    """
    cycle_record = latest_pass(cycle for cycle in done if cycle.gaps is not None)
    looked = latest_pass(cycle for cycle in past.cycles if cycle.job is Job.EVALUATE_EXITS and cycle.gaps is not None)
    if cycle_record is None or (job is not Job.EVALUATE_EXITS and looked is not None and looked.at >= cycle_record.at):
        return ()
    gaps, positions = cycle_record.gaps or (), past.positions
    return [gap for gap in gaps if not _is_closed(positions.get((gap.strategy, gap.symbol)), gap, cycle_record.at)]


def _is_closed(position: Position | None, gap: Gap, looked: datetime) -> bool:
    """Return True if the position that had a gap was closed, even if it was opened again after the pass that looked.

    A position whose entry isn't booked yet is still open.
    """
    if position is None:
        return False
    return position.closed_at >= gap.since if position.closed_at else position.opened_at > looked


def _differing(job: Job, past: SessionEvidence) -> Sequence[str]:
    differences = component_health.positions_that_differ(past) if job is Job.EVALUATE_EXITS else ()
    return [difference.words for difference in differences[: component_health.SHOWN]]


def _bare(gap: Gap, looked: datetime, now: datetime) -> str:
    what, lasted_s = f"{gap.shares:f} {gap.symbol}", ((looked if gap.sent else now) - gap.since).total_seconds()
    if gap.sent:
        past = f"after {lasted_s:,.0f} s without one ({gap.why})"
        return f"a stop was sent for {what} {past}; the next pass checks whether it rests"
    if gap.why == DOUBTED:
        return f"{what} perhaps without a stop for {lasted_s:,.0f} s: the broker's replies about it disagree"
    return f"{what} without a stop at the broker for {lasted_s:,.0f} s ({gap.why})"


def broker(evidence: HealthEvidence, past: SessionEvidence) -> HealthVerdict | None:
    """Judge the broker by its last reply about the account; a comparison of the books counts as one."""
    answers = [cycle.at for cycle in past.cycles if cycle.equity is not None]
    answers += [past.compared.at] if past.compared else []
    if not answers:
        return None
    fresh = by_slots(evidence, max(answers), Job.EVALUATE_EXITS)
    failed = latest_pass(each for each in past.cycles if each.job_decision and each.job_decision.reason in UNANSWERED)
    if failed and failed.job_decision and failed.at >= max(answers):
        why = str(failed.job_decision.observed or failed.job_decision.reason)
        return HealthVerdict(FAILED, why, len(answers), fresh)
    return HealthVerdict(OK, f"{pluralize(len(answers), 'answer')} about the account", len(answers), fresh)


def prices_of(
    cycles: Sequence[CycleRecord], positions: Collection[Position], priced_at: Callable[[datetime], Collection[str]]
) -> PriceEvidence | None:
    """Return the prices of the last exit pass that read the account, and the positions without one.

    `priced_at` returns the symbols whose prices were read by the pass at a given time. A quote that wasn't confirmed
    doesn't count.
    """
    read = [each for each in cycles if each.job is Job.EVALUATE_EXITS and is_finished(each) and each.equity is not None]
    last = latest_pass(read)
    if last is None:
        return None
    held_symbols = {p.symbol for p in positions if p.quantity and p.opened_at and p.opened_at <= last.at}
    age_s = (last.at - last.quoted_at).total_seconds() if last.quoted_at else None
    priced = set(priced_at(last.at)).difference(last.doubted)
    return PriceEvidence(len(read), last.at, len(held_symbols), tuple(sorted(held_symbols - priced)), age_s)


def replays_of(cycles: Sequence[CycleRecord], record_ids: Collection[str]) -> Replays | None:
    """Return how many passes that decided about orders can be replayed, given the ids of the stored records."""
    decided = [cycle for cycle in cycles if cycle.job in (EXITS, ENTRIES) and not (cycle.dry_run or cycle.job_decision)]
    if not decided:
        return None
    in_order = sorted(decided, key=lambda cycle: cycle.at)
    has = [cycle.id in record_ids for cycle in in_order]
    lacking = next((number for number, index in enumerate(reversed(has)) if index), len(has))
    return Replays(len(has), in_order[-1].at, sum(has), lacking)


def judge_clocks(evidence: HealthEvidence, past: SessionEvidence) -> HealthVerdict | None:
    """Judge the clocks by the last pass that compared two. If they differed, that pass was refused or used only
    prices.
    """
    apart = [cycle for cycle in past.cycles if _clock_ahead_s(cycle) is not None]
    # The market's hours are checked after the clocks.
    compared = [cycle for cycle in past.cycles if is_finished(cycle) or _is_of_closed_market(cycle)]
    agreed = [cycle for cycle in compared if cycle.clock_ahead_s is None]
    last, last_apart = latest_pass([*agreed, *apart]), latest_pass(apart)
    if last is None:
        return None
    fresh = by_slots(evidence, last.at, Job.EVALUATE_EXITS)
    ahead_s = (last.at - (evidence.now or last.at)).total_seconds()
    if ahead_s > evidence.budgets.skew_s:
        # A record with a later date can't be seen to be too old.
        finding = f"the last pass is dated {ahead_s:,.0f} s after this machine's time"
        return HealthVerdict(FAILED, finding, len(agreed) + len(apart), fresh)
    if last_apart is None or last_apart.at < last.at:
        finding = f"two clocks agreed in {pluralize(len(agreed), 'pass', 'passes')}"
        return HealthVerdict(OK, finding, len(agreed), fresh)
    finding = f"two clocks are {abs(_clock_ahead_s(last_apart) or 0.0):,.1f} s apart"
    return HealthVerdict(FAILED, finding, len(agreed) + len(apart), fresh)


def _is_of_closed_market(cycle: CycleRecord) -> bool:
    return cycle.job_decision is not None and cycle.job_decision.reason is Reason.MARKET_CLOSED


def _clock_ahead_s(cycle: CycleRecord) -> float | None:
    """Return how far the venue's clock was ahead of the second one in a pass; None unless they disagreed."""
    ended = cycle.job_decision
    return float(str(ended.observed)) if ended and ended.reason is Reason.CLOCKS_DISAGREE else cycle.clock_ahead_s


def facts(evidence: HealthEvidence, past: SessionEvidence) -> HealthVerdict | None:
    """Judge the store of facts by the last pass of any job recorded in it."""
    last = latest_pass(past.cycles)
    if last is None:
        return None
    fresh, count = by_slots(evidence, last.at, Job.EVALUATE_EXITS), len(past.cycles)
    return HealthVerdict(OK, f"{pluralize(count, 'pass', 'passes')} recorded", count, fresh)


def strategies(evidence: HealthEvidence, past: SessionEvidence) -> HealthVerdict:
    """Judge the strategies by the last entry pass that ran them: refused results, and code that wasn't backtested."""
    last, names = latest_pass(finished_passes(past, Job.TRADE_ONCE)), past.strategies
    fresh = by_slots(evidence, last.at if last else None, Job.TRADE_ONCE)
    if not names:
        return HealthVerdict(UNKNOWN, "none is in use", 0, component_health.UNKNOWABLE)
    if last is None:
        return HealthVerdict(UNKNOWN, "not run yet", 0, fresh)
    refused = [each for each in last.refused_strategies if each.decision.gate is Gate.STRATEGY]
    if refused:
        broken = (f"{each.strategy} is BROKEN ({each.decision.reason})" for each in refused[: component_health.SHOWN])
        return HealthVerdict(DEGRADED, "; ".join(broken), len(names), fresh)
    code = last.code or {}
    untested = [*filter(None, (untested_code(name, code.get(name), past.tested.get(name)) for name in names))]
    if untested:
        return HealthVerdict(
            DEGRADED, "; ".join(untested[: component_health.SHOWN]), len(names), fresh, "tradebot backtest"
        )
    return HealthVerdict(OK, f"{', '.join(names[: component_health.SHOWN])} answered", len(names), fresh)


def untested_code(name: str, code: str | None, tested: Mapping[str, str] | None) -> str:
    """Return a sentence if only another version of a strategy's code was backtested; empty otherwise."""
    if not code or not tested or code in tested:
        return ""
    last = [*tested][-1]
    return f"{name} runs code {code}, which no backtest here has used; the last one, {tested[last]}, used {last}"


def missed_slots(past: SessionEvidence) -> list[tuple[str, str, str]]:
    """Return the missed slots, each with its job and reason: those recorded as missed, and those that ended unclaimed.

    If a slot didn't take place because the session closed early, it wasn't missed. Strategies' own slots are reported
    by their passes.
    """
    ours = [claim for claim in past.claims if claim.job in past.due or claim.job in past.chores]
    claimed = {_key(claim) for claim in ours}
    noted = [claim for claim in ours if claim.missed_reason not in (None, Reason.CLOSED_EARLY)]
    missed = [(claim.at, (claim.job, claim.slot, str(claim.missed_reason))) for claim in noted]
    over = (slot for due in past.due.values() for slot in due if slot.end <= past.now)
    missed += [(slot.end, (slot.job, slot.name, "it wasn't run")) for slot in over if slot.key not in claimed]
    return [slot for _, slot in sorted(missed, key=lambda pair: pair[0])]


def schedule(evidence: HealthEvidence, past: SessionEvidence) -> HealthVerdict:
    """Judge the timetable by the missed slots of the last session."""
    count = sum(map(len, past.due.values())) + sum(claim.job in past.chores for claim in past.claims)
    if not count:
        coming = min((slot.start for slot in past.coming.values()), default=None)
        return HealthVerdict(NOT_DUE if coming else UNKNOWN, "no slot was due yet", 0, until=coming)
    slots, due = missed_slots(past), pluralize(count, "slot")
    if not slots:
        return HealthVerdict(OK, f"{due} due, none missed", count)
    job, slot, why = slots[-1]
    finding = f"{len(slots):,} of {due} missed; the last was {job} {slot}: {why}"
    # Only slots with a recorded reason are in the records that why-no-orders reads.
    following = "tradebot why-no-orders" if why in set(Reason) else SERVE
    return HealthVerdict(DEGRADED, finding, count, next=following)


def last_run(
    line: TimetableEntry, begun: SlotClaim | None, ended: SlotClaim | None, *, well: bool, now: datetime
) -> ChoreEvidence | None:
    """Return the last run of a chore, given the claims of its begin and end; None if no run has ended.

    If a run has no end well after its time limit, it was interrupted; until then, the previous run counts.
    """
    assert line.limit_s is not None, "chores have a limit"
    is_open = begun is not None and begun.missed_reason is None and (ended is None or ended.at < begun.at)
    if begun is not None and is_open and now > begun.at + timedelta(seconds=line.limit_s) + TO_END:
        return ChoreEvidence(line.job, begun.at, well=False, outcome="cut short")
    return ChoreEvidence(line.job, ended.at, well, ended.by) if ended else None


def slots_that_took_place(slots: Sequence[Slot], claims: Sequence[SlotClaim]) -> tuple[Slot, ...]:
    """Return the slots that took place, leaving out those after an early close."""
    never = {_key(claim) for claim in claims if claim.missed_reason is Reason.CLOSED_EARLY}
    return tuple(slot for slot in slots if slot.key not in never)


def _key(claim: SlotClaim) -> tuple[str, date, str]:
    return claim.job, claim.session, claim.slot


def calendar_differs(cycles: Sequence[CycleRecord]) -> str:
    last = latest_pass(each for each in cycles if each.job in (Job.EVALUATE_EXITS, Job.TRADE_ONCE))
    ended = last.job_decision if last else None
    return str(ended.observed) if ended and ended.reason is Reason.CALENDAR_DISAGREES else ""


class Subject(NamedTuple):
    """How to judge a part of the bot: from which evidence, and which remedy to name unless the verdict has its own.

    If the evidence isn't read each time, the passes of the job `renewed_by` renew it. A `store` that can't be read has
    FAILED; any other unreadable evidence makes the subject UNKNOWN.
    """

    judge: Judge
    looked_at: str
    next: str
    renewed_by: Job | None = None
    store: bool = False


RECONCILE, RECOVER, DOCTOR, SERVE = "tradebot reconcile", "tradebot recover", "tradebot doctor", "tradebot serve"
EXITS, ENTRIES, FETCH = Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.FETCH_FLOW
TABLE: Mapping[str, Subject] = {
    "ledger": Subject(component_health.ledger, "pages of ledger.db", RECOVER, store=True),
    "journal": Subject(component_health.journal, "records", RECOVER, store=True),
    "books": Subject(component_health.books, "comparison", RECONCILE, Job.RECONCILE),
    "backup": Subject(component_health.backup, "backups", "tradebot backup"),
    "orders": Subject(component_health.orders, "records", RECONCILE),
    "halts": Subject(component_health.halts, "trading state", "tradebot unhalt"),
    "serve": Subject(component_health.serve, "notes and claims", SERVE),
    "exits": Subject(of_job(EXITS), "passes", f"tradebot {EXITS}", EXITS),
    "entries": Subject(of_job(ENTRIES), "passes", f"tradebot {ENTRIES}", ENTRIES),
    "flow": Subject(of_job(FETCH), "passes", f"tradebot {FETCH}", FETCH),
    "scores": Subject(of_job(Job.SCORE), "passes", f"tradebot {Job.SCORE}", Job.SCORE),
    "schedule": Subject(schedule, "slots", "tradebot schedule"),
    "chores": Subject(component_health.chores, "chores", "tradebot schedule"),
    "strategies": Subject(strategies, "strategies", "tradebot strategy list", ENTRIES),
    "models": Subject(component_health.judge_models, "models", "tradebot model check"),
    "broker": Subject(broker, "answers", DOCTOR, EXITS),
    "prices": Subject(component_health.prices, "passes", "tradebot positions", EXITS),
    "stream": Subject(component_health.judge_stream, "look", "tradebot events"),
    "notices": Subject(component_health.notices, "channels", "tradebot notify last"),
    "chat": Subject(component_health.chat, "listener", "tradebot chat status"),
    "clock": Subject(judge_clocks, "passes", DOCTOR, EXITS),
    "calendar": Subject(component_health.calendar, "sessions", RECONCILE),
    "signals": Subject(component_health.signals, "replies", "tradebot signals", FETCH),
    "replay": Subject(component_health.replay, "passes", "tradebot events, then tradebot status --stores", EXITS),
    "parity": Subject(component_health.parity, "sessions", "tradebot parity"),
    "facts": Subject(facts, "passes", DOCTOR, EXITS, store=True),
    "config": Subject(component_health.config, "settings", "tradebot config check"),
    "disk": Subject(
        component_health.disk, "disk", "Move the state folder to a local disk, then use --state-dir NEW", store=True
    ),
    "storage": Subject(component_health.storage, "stores", "tradebot status --stores"),
}
"""Every subject that the bot's own records are evidence of, most urgent first."""


FINISHED = ("ledger", "journal", "books", "orders", "halts", "config")
"""The parts of health that apply to a finished backtest, in which nothing runs and nothing is due."""


def judge_passes(evidence: HealthEvidence, subjects: Iterable[str] | None = None) -> tuple[Judgment, ...]:
    """Judge these subjects; by default all, or, for a finished backtest, those that apply to it."""
    subjects = (FINISHED if evidence.finished else TABLE) if subjects is None else subjects
    return tuple(judge_subject(name, evidence) for name in subjects if name in evidence.parts)


def _remedy(name: str, evidence: HealthEvidence) -> str:
    """Return a part's usual remedy. While the market is closed, a pass by hand is refused, but `serve` waits."""
    past = evidence.past
    if name in ("exits", "entries") and isinstance(past, SessionEvidence) and "schedule" in evidence.parts:
        sessions = (*past.sessions, *past.later)
        if sessions and not any(session.open <= past.now < session.close for session in sessions):
            return SERVE
    return TABLE[name].next


def judge_subject(name: str, evidence: HealthEvidence) -> Judgment:
    """Judge the subject of this name by the evidence about it."""
    subject, part = TABLE[name], evidence.parts[name]
    if isinstance(part, UnreadablePart):
        state = HealthState.FAILED if subject.store else HealthState.UNKNOWN
        return Judgment(name, state, subject.looked_at, 0, part.why, part.next or subject.next)
    health_verdict, job = None if part is None else subject.judge(evidence, part), subject.renewed_by
    renewed = by_slots(evidence, None, job) if job else component_health.UNKNOWABLE
    verdict = health_verdict or HealthVerdict(HealthState.UNKNOWN, "there is nothing to examine", 0, renewed)
    fresh = verdict.fresh or component_health.by_clock(evidence, evidence.at)
    state, finding = verdict.state, verdict.found
    if fresh.is_overdue and health_verdict is not None:
        state = HealthState.FAILED
        finding += f"; nothing newer for {span(fresh.late_s or 0)}, although it was due"
    until = verdict.until
    if state is HealthState.UNKNOWN and job and not verdict.count and fresh.late_s is not None and not fresh.is_overdue:
        until = component_health.due_by(evidence, job)
        state = HealthState.NOT_DUE if until else state
    if state is HealthState.NOT_DUE and until:
        finding = f"{finding}; not due until {until:%Y-%m-%d %H:%M} UTC"
    freshness = fresh if health_verdict else component_health.UNKNOWABLE
    following = (verdict.next or _remedy(name, evidence)) if state.is_finding else ""
    return Judgment(name, state, subject.looked_at, verdict.count, finding, following, *freshness, until)
