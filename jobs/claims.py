"""Claiming the slot that contains now: whoever comes first fills it, the next one is told by whom."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from jobs.timetable import next_slot, slot_at
from tradebot.model.bar import Session
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.ports.stores import Ledger
from tradebot.ports.world import Call
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.sessions import last_session, session_of

MAX_EXTRA = 1000
REPEATABLE = frozenset({Job.SCORE, Job.RECONCILE})
"""Jobs that only look and compare: asked again in a taken slot, they run again in a recorded extra one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A slot that was not given, and why."""

    decision: Decision


def claim(
    ledger: Ledger,
    timetable: Mapping[Job, JobTimes],
    job: Job,
    now: datetime,
    by: str,
    *,
    force: bool = False,
    dry_run: bool = False,
    part: str = "",
    unfinished: Callable[[Call], bool] = lambda call: False,
) -> Call | Refused:
    """Return the call that fills the slot, or why there is none. A dry run claims nothing and is never refused.

    A `part` names what shares the slot with the timetable's own run, such as a file of candidates: each is claimed
    once beside it. A taken slot whose pass was cut short goes on: `unfinished` tells, and the caller holds the pass
    lock, so that nobody else is at work in it.
    """
    session = session_of(ledger, now)
    slot = slot_at(job, timetable[job], session, now) if session else None
    in_session = session is not None and session.contains(now)
    if slot is None:
        if in_session and not (force or dry_run or job in REPEATABLE or job is Job.FETCH_FLOW):
            return Refused(
                Decision(Gate.JOB, Verdict.FAIL, Reason.OUTSIDE_TIMETABLE, _next(job, timetable[job], session, now))
            )
        # The session's own verbs record that it is closed; the others work at any hour.
        return Call(job, last_session(ledger, now), f"at {now:%H:%M:%SZ}", by)
    call = Call(job, slot.session, f"{slot.name}/{part}" if part else slot.name, by)
    if dry_run:
        return call
    first = ledger.claim_slot(job, slot.session, call.slot, by, now)
    if first.won or unfinished(call):
        return call
    if force or job in REPEATABLE:
        return _extra(ledger, call, now)
    after = _next(job, timetable[job], session, now)
    taken = f"{call.slot} by {first.by} at {first.at:%H:%M:%SZ}; {after}"
    return Refused(Decision(Gate.JOB, Verdict.FAIL, Reason.SLOT_TAKEN, taken))


def claim_by_hand(ledger: Ledger, job: Job, what: str, now: datetime, by: str) -> Call:
    """Claim a recorded slot beside the timetable, for what a person asks for at any time of a session."""
    call = Call(job, last_session(ledger, now), f"{what} {now:%H:%M:%SZ}", by)
    won = ledger.claim_slot(job, call.session, call.slot, by, now).won
    return call if won else _extra(ledger, call, now)


def _next(job: Job, times: JobTimes, session: Session | None, now: datetime) -> str:
    found = next_slot(job, times, session, now) if session else None
    return f"the next slot is at {found.start:%H:%M} UTC" if found else "no slot is left in this session"


def _extra(ledger: Ledger, call: Call, now: datetime) -> Call:
    """Mint the first free extra slot beside a taken one."""
    for number in range(2, MAX_EXTRA):
        name = f"{call.slot}#{number}"
        if ledger.claim_slot(call.job, call.session, name, call.by, now).won:
            return Call(call.job, call.session, name, call.by)
    raise AssertionError(f"{MAX_EXTRA} extra slots were minted beside {call.slot}")
