"""Claim the slot that contains the current time. The first process to claim it runs it; others learn who did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from tradebot.model.bar import Session
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import SlotClaim
from tradebot.ports.stores import Ledger
from tradebot.ports.world import Call
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.sessions import last_session, session_of
from tradebot.timetable.slots import next_slot, slot_at

REPEATABLE = frozenset({Job.SCORE, Job.RECONCILE})
"""Jobs that only look and compare. If their slot is taken, they run again in an extra slot, which is recorded."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The refusal of a slot, with the reason."""

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
    look: bool = False,
    part: str = "",
    unfinished: Callable[[Call], bool] = lambda call: False,
) -> Call | Refused:
    """Claim the slot for a job and return the call to run, or the reason it is refused.

    A dry run claims nothing and is never refused. A `part` names something that shares the slot with the timetable's
    own run, such as a file of candidates; each part can be claimed once. If the slot is taken but `unfinished` says its
    pass was cut short, the call resumes it, except for entries that are written as missed. The caller holds the pass
    lock, so nobody else is working on that slot.

    With `look`, nothing is claimed: the answer is what a claim would get now, and the caller needs no lock.
    """
    session = session_of(ledger, now)
    slot = slot_at(job, timetable[job], session, now) if session else None
    in_session = session is not None and session.contains(now)
    if slot is None:
        if in_session and not (force or dry_run or job in REPEATABLE or job is Job.FETCH_FLOW):
            return Refused(
                Decision(Gate.JOB, Verdict.FAIL, Reason.OUTSIDE_TIMETABLE, _next(job, timetable[job], session, now))
            )
        # Jobs that need an open session record that it is closed. The others run at any hour.
        return Call(job, last_session(ledger, now), f"at {now:%H:%M:%SZ}", by)
    call = Call(job, slot.session, f"{slot.name}/{part}" if part else slot.name, by)
    if dry_run:
        return call
    first = _claimed(ledger, call) if look else ledger.claim_slot(job, slot.session, call.slot, by, now)
    written_off = job is Job.TRADE_ONCE and first is not None and first.missed is not None
    if first is None or first.won or (not written_off and unfinished(call)):
        return call
    if force or job in REPEATABLE:
        return call if look else _extra(ledger, call, now)
    after = _next(job, timetable[job], session, now)
    taken = f"{call.slot} by {first.by} at {first.at:%Y-%m-%d %H:%M:%S} UTC; {after}"
    return Refused(Decision(Gate.JOB, Verdict.FAIL, Reason.SLOT_TAKEN, taken))


def claim_by_hand(ledger: Ledger, job: Job, what: str, now: datetime, by: str) -> Call:
    """Claim an extra slot outside the timetable, for something that a person runs by hand at any time."""
    call = Call(job, last_session(ledger, now), f"{what} {now:%H:%M:%SZ}", by)
    won = ledger.claim_slot(job, call.session, call.slot, by, now).won
    return call if won else _extra(ledger, call, now)


def _claimed(ledger: Ledger, call: Call) -> SlotClaim | None:
    claims = ledger.slot_claims(call.session)
    return next((claim for claim in claims if (claim.job, claim.slot) == (call.job, call.slot)), None)


def _next(job: Job, times: JobTimes, session: Session | None, now: datetime) -> str:
    slot = next_slot(job, times, session, now) if session else None
    return f"the next slot is at {slot.start:%Y-%m-%d %H:%M} UTC" if slot else "no slot is left in this session"


def _extra(ledger: Ledger, call: Call, now: datetime) -> Call:
    """Claim the first free extra slot next to a taken one."""
    taken = {claim.slot for claim in ledger.slot_claims(call.session) if claim.job == call.job}
    names = (f"{call.slot}#{number}" for number in count(2))
    name = next(
        name
        for name in names
        if name not in taken and ledger.claim_slot(call.job, call.session, name, call.by, now).won
    )
    return Call(call.job, call.session, name, call.by)
