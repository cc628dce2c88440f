"""Claim the slot that contains the current time. The first process to claim it runs it; later claims are refused.

A slot is (job, session, offset from the open). A missed slot is claimed too, with the reason. A chore claims its slot
when it begins and again when it ends, so a claim without an end was interrupted. `score` and `reconcile` don't trade,
so they may run again in an extra slot.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from itertools import count

from msgspec import Struct

from jobs.due_slots import ENTRIES
from tradebot.model.bar import Session
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import SlotClaim, as_missed
from tradebot.model.venue_day import VenueDay
from tradebot.ports.stores import Ledger, Slots
from tradebot.ports.world import Call
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.sessions import last_session, next_slot, session_of, slot_at

REPEATABLE = frozenset({Job.SCORE, Job.RECONCILE})
"""Jobs that send no orders. If their slot is taken, they run again in an extra slot, which is recorded."""


class SlotRefused(Struct, frozen=True):
    """Why a slot was refused; `missed` is the slot that is recorded as missed because of that, if any."""

    decision: Decision
    missed: Call | None = None


def claim(
    ledger: Ledger,
    timetable: Mapping[Job, JobTimes],
    job: Job,
    now: datetime,
    day: VenueDay,
    by: str,
    *,
    force: bool = False,
    dry_run: bool = False,
    look: bool = False,
    part: str = "",
    grace_s: int | None = None,
    unfinished: Callable[[Call], bool] = lambda call: False,
) -> Call | SlotRefused:
    """Claim the slot for a job and return the call to run, or the reason why it is refused.

    A dry run claims nothing and is never refused. A `part` names something that shares the slot with the timetable's
    own run, such as a file of candidates; each part can be claimed once. If the slot is taken but `unfinished` says
    that its pass was interrupted, the call resumes that pass, unless it is for entries and the slot was recorded as
    missed. The caller has the pass lock, so no other process is working on that slot.

    An entry that comes more than `grace_s` after the start of its slot is refused, and its slot is missed. An entry is
    never too late if `grace_s` is None, with `force`, or for a `part`.

    With `look`, nothing is claimed. The result is what a claim would return now, and the caller needs no lock.
    """
    session = session_of(ledger, now, day)
    slot = slot_at(job, timetable[job], session, now) if session else None
    if slot is None:
        if session and session.contains(now) and not (force or dry_run or job in REPEATABLE or job is Job.FETCH_FLOW):
            return SlotRefused(
                Decision(Gate.JOB, Verdict.FAIL, Reason.OUTSIDE_TIMETABLE, _next(job, timetable[job], session, now))
            )
        # Jobs that need an open session record that it is closed. The others run at any hour.
        return Call(job, last_session(ledger, now, day), f"at {now:%H:%M:%SZ}", by)
    call = Call(job, slot.session, f"{slot.name}/{part}" if part else slot.name, by)
    if dry_run:
        return call
    late_s = int((now - slot.start).total_seconds())
    is_late = job is ENTRIES and grace_s is not None and late_s > grace_s and not (force or part)
    holder = as_missed(by, Reason.SLOT_MISSED) if is_late else by
    first = _existing_claim(ledger, call) if look else ledger.claim_slot(job, slot.session, call.slot, holder, now)
    if is_late and (first is None or first.won):
        return SlotRefused(Decision(Gate.JOB, Verdict.FAIL, Reason.SLOT_MISSED, late_s, grace_s), call)
    if first is None or first.won or (not (is_late or (job is ENTRIES and first.missed_reason)) and unfinished(call)):
        return call
    if force or job in REPEATABLE:
        return call if look else _extra(ledger, call, now)
    taken = f"{call.slot} by {first.by} at {first.at:%Y-%m-%d %H:%M:%S} UTC; {_next(job, timetable[job], session, now)}"
    return SlotRefused(Decision(Gate.JOB, Verdict.FAIL, Reason.SLOT_TAKEN, taken))


def claim_by_hand(ledger: Ledger, job: Job, what: str, now: datetime, day: VenueDay, by: str) -> Call:
    """Claim an extra slot outside the timetable, for a command that the user may run at any time."""
    call = Call(job, last_session(ledger, now, day), f"{what} {now:%H:%M:%SZ}", by)
    won = ledger.claim_slot(job, call.session, call.slot, by, now).won
    return call if won else _extra(ledger, call, now)


def _existing_claim(ledger: Slots, call: Call) -> SlotClaim | None:
    claims = ledger.slot_claims(call.session)
    return next((claim for claim in claims if (claim.job, claim.slot) == (call.job, call.slot)), None)


def _next(job: Job, times: JobTimes, session: Session | None, now: datetime) -> str:
    slot = next_slot(job, times, session, now) if session else None
    return f"the next slot is at {slot.start:%Y-%m-%d %H:%M} UTC" if slot else "no slot is left in this session"


def _extra(ledger: Ledger, call: Call, now: datetime) -> Call:
    return Call(call.job, call.session, claim_extra(ledger, (call.job, call.session, call.slot), call.by, now), call.by)


def claim_extra(ledger: Slots, taken: tuple[str, date, str], by: str, now: datetime) -> str:
    """Claim the first free extra slot next to one that is taken, and return the name of the extra slot.

    `taken` is the taken slot's job, session and name.
    """
    job, session, slot = taken
    used = {claim.slot for claim in ledger.slot_claims(session) if claim.job == job}
    names = (f"{slot}#{number}" for number in count(2))
    return next(name for name in names if name not in used and ledger.claim_slot(job, session, name, by, now).won)
