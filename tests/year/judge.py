"""What must hold for every slot of a year, whatever happened in it."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from tests.year.bot import JOBS, Act
from tests.year.plan import GRACE_S, Key
from tests.year.year import Year, YearTrouble, days
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import SlotClaim

LATEST = timedelta(minutes=31)
"""How long after a trouble a slot may still suffer from it: its job comes every half hour."""
APART = {Reason.PASS_FAILED, Reason.STAGE_FAILED, Reason.SLOT_MISSED, Reason.SLOT_SUPERSEDED}
WHY: Mapping[YearTrouble, set[Reason]] = {
    YearTrouble.DOWN: {Reason.NOT_RUNNING, Reason.SLOT_MISSED},
    YearTrouble.ASLEEP: {Reason.ASLEEP, Reason.SLOT_MISSED},
    YearTrouble.BROKER_AWAY: {Reason.PASS_FAILED, Reason.STAGE_FAILED, Reason.SLOT_MISSED, Reason.SLOT_SUPERSEDED},
    YearTrouble.SLOW_FETCH: {Reason.SLOT_MISSED, Reason.SLOT_SUPERSEDED, Reason.PASS_FAILED},
    YearTrouble.CLOSES_EARLY: {Reason.CLOSED_EARLY},
    YearTrouble.OPENS_LATE: {Reason.CLOSED_EARLY},
    YearTrouble.MACHINE_CLOCK_WRONG: APART,
    YearTrouble.BROKER_CLOCK_WRONG: APART,
}
KILLED = {Reason.NOT_RUNNING, Reason.SLOT_MISSED}
TRADING = {Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE}
EXTRA = (" ended", "times of ")


def judge(year: Year) -> None:
    """Check all that must hold; AssertionError names the slots for which it doesn't."""
    claims = _claims(year)
    acts: defaultdict[Key, list[Act]] = defaultdict(list)
    for act in year.outside.acts:
        acts[act.key].append(act)
    silent = sorted(year.planned.keys() - claims.keys(), key=str)
    assert not silent, f"{len(silent)} slots were silently missed, such as {silent[:5]}"
    unplanned = sorted(claims.keys() - year.planned.keys() - year.dropped, key=str)
    assert not unplanned, f"{len(unplanned)} slots that nobody planned were claimed, such as {unplanned[:5]}"
    _each_at_most_once(acts, claims)
    _each_in_its_time(year, acts)
    _reasons(year, claims)
    _compared_first(year)


def _claims(year: Year) -> Mapping[Key, SlotClaim]:
    every = [claim for day in days(year) for claim in year.outside.ledger.slot_claims(day)]
    own = [claim for claim in every if not any(extra in claim.job for extra in EXTRA)]
    # A second run of what only looks or compares, and a comparison outside the timetable, have their own slots.
    own = [claim for claim in own if "#" not in claim.slot and not claim.slot.startswith("at ")]
    return {(claim.job, claim.session, claim.slot): claim for claim in own}


def _each_at_most_once(acts: Mapping[Key, list[Act]], claims: Mapping[Key, SlotClaim]) -> None:
    for key, done in acts.items():
        # A chore that was killed with its process begins again; nothing else is done twice.
        again = [second for first, second in pairwise(done) if first.kills == second.kills]
        assert not again, f"{key} was acted on {len(done)} times: {done}"
        assert len(done) == 1 or key[0] not in JOBS, f"{key} was acted on {len(done)} times: {done}"
        if key in claims:
            missed = claims[key].missed
            assert missed is None, f"{key} was acted on at {done[0].at}, and is written as missed: {missed}"


def _each_in_its_time(year: Year, acts: Mapping[Key, list[Act]]) -> None:
    sessions = {session.date: session for session in year.sessions}
    for key, done in acts.items():
        job, day, slot = key
        if key not in year.planned:
            continue
        late = done[0].at - year.planned[key].start
        assert late >= timedelta(0), f"{key} was acted on {-late} early"
        if job == Job.TRADE_ONCE:
            assert late <= timedelta(seconds=GRACE_S), f"the entry of {key} came {late} late"
        if job in JOBS and not slot.startswith("at "):
            assert _open(sessions[day].open, done[0].at, sessions[day].close), f"{key} was acted on outside its session"


def _reasons(year: Year, claims: Mapping[Key, SlotClaim]) -> None:
    """Compare why a slot was missed with what happened when it began."""
    for key, claim in claims.items():
        if claim.missed is None or key not in year.planned:
            continue
        start = year.planned[key].start
        near = {event.trouble for event in year.events if event.at <= start <= event.until + LATEST}
        possible = {reason for trouble in near for reason in WHY[trouble]} | (KILLED if year.outside.killed else set())
        assert claim.missed in possible, f"{key} is written as {claim.missed}, but there was {near or 'no trouble'}"


def _compared_first(year: Year) -> None:
    """After a sleep, `serve` compares books and broker before it trades."""
    for event in year.events:
        if event.trouble is not YearTrouble.ASLEEP:
            continue
        passes = (act for act in year.outside.acts if act.key[0] in TRADING and act.by.startswith("serve"))
        first = next((act for act in passes if act.at >= event.until), None)
        # Two daemons that compare in the same second outside a session share the name of that comparison.
        assert first is None or first.key[0] == Job.RECONCILE, f"{first} came first after the sleep until {event.until}"


def _open(opens: datetime, at: datetime, closes: datetime) -> bool:
    return opens <= at < closes
