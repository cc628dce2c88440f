"""Who is due now: one claim for each slot whoever comes, late entries missed, everything else run once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.due_slots import DueSlots, SlotTracker
from tests.kit.core.sessions import Drawn, calendars
from tests.kit.values import ACCOUNT, CASH, SESSION, VENUE_DAY, lines_of, there
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.bar import Session
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.timetable import entries
from tradebot.timetable.entries import TimetableEntry
from tradebot.timetable.job_times import JobTimes, parse
from tradebot.timetable.sessions import slots

TIMETABLE = {
    Job.FETCH_FLOW: parse("every 10m from open+2m", VENUE_DAY),
    Job.SCORE: parse("every 10m from open+2m", VENUE_DAY),
    Job.EVALUATE_EXITS: parse("every 5m from open+2m", VENUE_DAY),
    Job.TRADE_ONCE: parse("every 10m from open+2m until close-20m", VENUE_DAY),
    Job.RECONCILE: parse("at open+1m, at close-10m", VENUE_DAY),
}
GRACE_S = 90


def duty(ledger: MemoryLedger, opened_at: datetime = SESSION.open, *, unfinished: Sequence[Job] = ()) -> SlotTracker:
    ledger.put_sessions([SESSION])
    ledger.open_books(CASH, opened_at)
    return another(ledger, unfinished=unfinished)


def another(
    ledger: MemoryLedger, timetable: Mapping[Job, JobTimes] = TIMETABLE, *, unfinished: Sequence[Job] = ()
) -> SlotTracker:
    return SlotTracker(
        ledger, lines_of(timetable), GRACE_S, VENUE_DAY, lambda now: None, lambda slot, now: slot.job in unfinished
    )


def at(minute: float) -> datetime:
    return SESSION.open + timedelta(minutes=minute)


def names(due: DueSlots, job: Job) -> list[tuple[str, Reason]]:
    return [(missed.slot.name, missed.reason) for missed in due.missed if missed.slot.job == job]


def claim_all(ledger: MemoryLedger, found: SlotTracker, now: datetime) -> list[tuple[str, str]]:
    due = found.look(now)
    for slot in due.run:
        ledger.claim_slot(slot.job, slot.session, slot.name, "serve", now)
    assert list(found.write(due.missed, now, "serve")) == list(due.missed)
    found.rest(now)
    return [(slot.job, slot.name) for slot in due.run]


def test_slots_that_passed_while_the_clocks_disagreed_say_so_and_later_ones_run() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    claim_all(ledger, found, at(2))
    for minute in (7, 12, 13):
        assert Job.EVALUATE_EXITS in {slot.job for slot in found.look(at(minute)).run}
        found.rest(at(minute), believed=False)
    due = found.look(at(17))
    assert names(due, Job.EVALUATE_EXITS) == [(f"open+{m}m", Reason.CLOCKS_DISAGREE) for m in (7, 12)]
    assert names(due, Job.TRADE_ONCE) == [("open+12m", Reason.CLOCKS_DISAGREE)]
    claim_all(ledger, found, at(17))
    found.rest(at(26))
    assert names(found.look(at(27)), Job.EVALUATE_EXITS) == [("open+22m", Reason.SLOT_SUPERSEDED)]


def test_a_claimed_slot_whose_pass_was_cut_short_is_due_until_it_is_finished_and_entries_never_are() -> None:
    ledger, cut_short = MemoryLedger(ACCOUNT), [Job.EVALUATE_EXITS, Job.TRADE_ONCE]
    found = duty(ledger, unfinished=cut_short)
    claim_all(ledger, found, at(2))
    assert [slot.job for slot in found.look(at(2.5)).run] == [Job.EVALUATE_EXITS]
    cut_short.clear()
    assert found.look(at(3)).run == ()


def test_after_a_sleep_each_job_runs_once_for_its_latest_slot_and_entries_are_missed() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    due = found.look(at(64))
    assert [(slot.job, slot.name) for slot in due.run] == [
        (Job.FETCH_FLOW, "open+62m"),
        (Job.SCORE, "open+62m"),
        (Job.EVALUATE_EXITS, "open+62m"),
        (Job.RECONCILE, "open+1m"),
    ]
    assert names(due, Job.TRADE_ONCE) == [(f"open+{n}m", Reason.NOT_RUNNING) for n in range(2, 62, 10)] + [
        ("open+62m", Reason.SLOT_MISSED)
    ]
    assert names(due, Job.EVALUATE_EXITS) == [(f"open+{n}m", Reason.NOT_RUNNING) for n in range(2, 62, 5)]
    assert names(due, Job.RECONCILE) == []
    assert found.look(at(64)).missed == due.missed, "what isn't written yet is told again"
    found.write(due.missed, at(64), "serve")
    assert found.look(at(64)).missed == ()


def test_an_entry_within_the_grace_is_run_and_one_beyond_it_is_missed() -> None:
    for second, late in ((GRACE_S, False), (GRACE_S + 1, True)):
        due = duty(MemoryLedger(ACCOUNT)).look(at(2) + timedelta(seconds=second))
        assert (Job.TRADE_ONCE in [slot.job for slot in due.run], bool(due.missed)) == (not late, late)


def test_a_missed_slot_is_claimed_and_recorded_with_how_late_it_was() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    (missed,) = found.look(at(5)).missed
    record = found.record(missed, at(5), "sandbox")
    assert record is not None
    assert record.job_decision is not None
    assert record.job_decision.reason == Reason.SLOT_MISSED
    assert record.job_decision.observed == 180
    assert record.job_decision.limit == GRACE_S
    assert found.write([missed], at(5), "serve me/1") == [missed]
    (claim,) = ledger.slot_claims(SESSION.date)
    assert (claim.by, claim.missed_reason) == ("serve me/1, as missed: SLOT_MISSED", Reason.SLOT_MISSED)
    assert found.write([missed], at(5), "serve me/1") == []


@given(looks=st.lists(st.integers(0, 400 * 60), min_size=1, max_size=40))
def test_however_the_looks_fall_no_slot_runs_twice_and_no_entry_outside_its_time(looks: list[int]) -> None:
    ledger = MemoryLedger(ACCOUNT)
    found, ran = duty(ledger), []
    planned = {
        (slot.job, slot.name): slot for job in TIMETABLE for slot in slots(job, TIMETABLE[job], SESSION)
    }  # fmt: skip
    for second in sorted(looks):
        now = SESSION.open + timedelta(seconds=second)
        for key in claim_all(ledger, found, now):
            ran.append(key)
            assert planned[key].start <= now < planned[key].end
            if key[0] is Job.TRADE_ONCE:
                assert now - planned[key].start <= timedelta(seconds=GRACE_S)
    assert len(ran) == len(set(ran))
    last = SESSION.open + timedelta(seconds=max(looks))
    # Each slot that had begun at the last look was run or missed, none was forgotten.
    claims = [(claim.job, claim.slot) for claim in ledger.slot_claims(SESSION.date)]
    assert sorted(claims) == sorted(key for key, slot in planned.items() if slot.start <= last)


def test_each_reason_for_a_slot_that_nobody_ran() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    claim_all(ledger, found, at(2))
    # A pass took from the second minute to the fourteenth, so the exits of the seventh have a later slot already.
    found.rest(at(14))
    assert names(found.look(at(14)), Job.EVALUATE_EXITS) == [("open+7m", Reason.SLOT_SUPERSEDED)]
    claim_all(ledger, found, at(14))
    # Nothing looked for twenty minutes, although nothing was running.
    expected = [("open+17m", Reason.ASLEEP), ("open+22m", Reason.ASLEEP), ("open+27m", Reason.ASLEEP)]
    assert names(found.look(at(34)), Job.EVALUATE_EXITS) == expected
    # What was tried in vain says why.
    (entry,) = [slot for slot in found.look(at(32)).run if slot.job == Job.TRADE_ONCE]
    found.note_failure(entry, Reason.STAGE_FAILED)
    assert (entry.name, Reason.STAGE_FAILED) in names(found.look(at(34)), Job.TRADE_ONCE)


def test_a_session_that_closes_suddenly_loses_its_later_slots_with_that_reason_and_a_late_open_gains_new_ones() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    claim_all(ledger, found, at(52))
    ledger.put_sessions([replace(SESSION, close=at(60))])
    due = found.look(at(62))
    assert due.run == ()
    assert {missed.reason for missed in due.missed if missed.slot.start >= at(60)} == {Reason.CLOSED_EARLY}
    assert names(due, Job.TRADE_ONCE) == [("open+62m", Reason.CLOSED_EARLY)]


def test_a_session_that_the_broker_extends_gets_its_slots_within_a_minute() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    last = 390
    claim_all(ledger, found, at(last - 1))
    found.rest(at(last + 3))
    assert found.look(at(last + 3)).run == ()
    # The close had passed already, so nothing is due that could notice.
    ledger.put_sessions([replace(SESSION, close=at(last + 60))])
    assert Job.EVALUATE_EXITS in {slot.job for slot in found.look(at(last + 7)).run}


def test_a_session_that_the_broker_adds_is_found_on_the_day_itself() -> None:
    ledger = MemoryLedger(ACCOUNT)
    ledger.open_books(CASH, at(-600))
    found = another(ledger)
    assert found.look(at(-60)).run == ()
    ledger.put_sessions([SESSION])
    assert [slot.name for slot in found.look(at(2)).run if slot.job == Job.TRADE_ONCE] == ["open+2m"]


def test_what_slept_through_days_is_accounted_for_one_day_at_a_look_and_only_once() -> None:
    ledger = MemoryLedger(ACCOUNT)
    days = [SESSION.date + timedelta(days=count) for count in range(12)]
    shifted = [(day, day - SESSION.date) for day in days if day.weekday() < 5]
    sessions = [Session(day, SESSION.open + by, SESSION.close + by) for day, by in shifted]
    found = duty(ledger)
    ledger.put_sessions(sessions)
    claim_all(ledger, found, at(1))
    last = sessions[-1].open
    for again in (found, another(ledger)):
        looks = [claim_all(ledger, again, last + timedelta(seconds=second)) for second in range(20)]
        assert not any(looks[1:])
    planned = {(job.value, session.date, slot.name) for session in sessions[:-1] for job in TIMETABLE
               for slot in slots(job, TIMETABLE[job], session)}  # fmt: skip
    claims = [claim for session in sessions[:-1] for claim in ledger.slot_claims(session.date)]
    assert {(claim.job, claim.session, claim.slot) for claim in claims} == planned
    slept = [claim.missed_reason for claim in claims if claim.session > SESSION.date + timedelta(days=1)]
    assert set(slept) == {Reason.ASLEEP}


def test_who_comes_after_days_without_anyone_accounts_for_them_back_to_the_day_that_is_complete() -> None:
    ledger = MemoryLedger(ACCOUNT)
    sessions = [Session(SESSION.date + timedelta(days=n), at(1440 * n), at(1440 * n + 390)) for n in range(4)]
    ledger.put_sessions(sessions)
    first = duty(ledger)
    claim_all(ledger, first, at(1))
    second = another(ledger)
    for minute in range(1440 * 3, 1440 * 3 + 5):
        claim_all(ledger, second, at(minute))
    for session in sessions[:-1]:
        planned = {(job.value, slot.name) for job in TIMETABLE for slot in slots(job, TIMETABLE[job], session)}
        claims = ledger.slot_claims(session.date)
        assert {(claim.job, claim.slot) for claim in claims} == planned
        assert {claim.missed_reason for claim in claims} <= {None, Reason.NOT_RUNNING}


def test_a_line_that_is_new_or_was_changed_has_missed_nothing_before() -> None:
    ledger = MemoryLedger(ACCOUNT)
    claim_all(ledger, duty(ledger), at(12))
    slower = {**TIMETABLE, Job.EVALUATE_EXITS: parse("every 6m from open+3m", VENUE_DAY)}
    for _ in range(2):
        due = another(ledger, slower).look(at(28))
        assert names(due, Job.EVALUATE_EXITS) == []
        assert names(due, Job.TRADE_ONCE) == [("open+22m", Reason.SLOT_MISSED)]


@pytest.mark.parametrize(
    ("late", "minutes", "ran"),
    [
        ("skip", 1, True),
        ("skip", 2, False),
        ("once until 2h", 119, True),
        ("once until 2h", 120, False),
        ("always", 1200, True),
        ("always", 3 * 1440, True),
    ],
)
def test_a_chore_outside_the_session_is_due_for_as_long_as_its_line_says(late: str, minutes: int, ran: bool) -> None:
    ledger = MemoryLedger(ACCOUNT)
    line = entries.parse("audit", {"when": "close+10m", "late": late}, VENUE_DAY)
    assert line is not None
    ledger.put_sessions([SESSION])
    ledger.open_books(CASH, SESSION.open)
    found = SlotTracker(ledger, [line], GRACE_S, VENUE_DAY, lambda now: None, lambda slot, now: False)
    assert found.look(SESSION.close) == DueSlots((), ())
    found.rest(SESSION.close)
    assert found.next_start(SESSION.close) == SESSION.close + timedelta(minutes=10)
    due = found.look(SESSION.close + timedelta(minutes=10 + minutes))
    assert ([slot.name for slot in due.run], [missed.slot.name for missed in due.missed]) == (
        (["close+10m"], []) if ran else ([], ["close+10m"])
    )


def test_of_two_slots_of_a_chore_that_both_may_still_begin_only_the_later_one_runs() -> None:
    ledger = MemoryLedger(ACCOUNT)
    line = entries.parse("audit", {"when": "open-30m, close+10m", "late": "always"}, VENUE_DAY)
    assert line is not None
    ledger.put_sessions([SESSION])
    ledger.open_books(CASH, SESSION.open - timedelta(days=1))
    found = SlotTracker(ledger, [line], GRACE_S, VENUE_DAY, lambda now: None, lambda slot, now: False)
    due = found.look(SESSION.close + timedelta(hours=1))
    assert [slot.name for slot in due.run] == ["close+10m"]
    assert [(missed.slot.name, missed.reason) for missed in due.missed] == [("open-30m", Reason.NOT_RUNNING)]


def test_lines_first_seen_under_a_clock_that_was_ahead_lose_no_slot_when_it_is_right_again() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger, at(-60))
    assert found.look(at(1440)).run == ()
    for each in (found, another(ledger)):
        assert Job.EVALUATE_EXITS in {slot.job for slot in each.look(at(2)).run}


def lines_at(venue: VenueDay) -> list[TimetableEntry]:
    """Return lines inside and beside sessions, and one that goes by the venue's clock alone."""
    written: dict[str, object] = {
        Job.EVALUATE_EXITS.value: "every 2h from open until close",
        Job.TRADE_ONCE.value: "at open+30m, at close-30m",
        "audit": {"when": "close+10m", "late": "always"},
        "status": {"when": "open-45m", "late": "always"},
        "doctor": {"when": 'cron "30 2 * * *"', "late": "always"},
    }
    return [there(entries.parse(name, value, venue)) for name, value in written.items()]


@settings(max_examples=settings().max_examples // 2)
@given(calendars(length=15))
def test_serve_runs_each_slot_of_a_drawn_calendar_once_and_in_time(drawn: Drawn) -> None:
    planned, first = lines_at(drawn.venue), drawn.sessions[0].date
    days = [first + timedelta(days=count) for count in range(-5, 30)]
    start, end = drawn.sessions[0].open - timedelta(days=1), drawn.sessions[-1].close + timedelta(days=1)
    slots_ahead = [slot for line in planned for day in days for slot in line.slots(day, drawn.sessions, GRACE_S)]
    expected = {slot.key: slot.start for slot in slots_ahead if start < slot.start < end}
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions(drawn.sessions)
    ledger.open_books(CASH, start)
    found, ran, now = duty_of(ledger, planned, drawn.venue), dict[tuple[str, date, str], datetime](), start
    while now < end:
        due = found.look(now)
        assert due.missed == ()
        for slot in due.run:
            assert slot.key not in ran
            ran[slot.key] = now
            ledger.claim_slot(slot.job, slot.session, slot.name, "serve", now)
        found.rest(now)
        now = min(found.next_start(now) or end, now + timedelta(hours=12))
    assert ran == expected


def duty_of(ledger: MemoryLedger, planned: Sequence[TimetableEntry], venue: VenueDay) -> SlotTracker:
    return SlotTracker(ledger, planned, GRACE_S, venue, lambda now: None, lambda slot, now: False)


def test_the_first_slot_of_a_session_that_begins_days_before_its_date_is_known_the_day_before() -> None:
    ledger = MemoryLedger(ACCOUNT)
    opened = datetime(2026, 10, 15, 3, tzinfo=UTC)
    ledger.put_sessions([Session(date(2026, 10, 20), opened, opened + timedelta(days=5))])
    found = duty(ledger, opened - timedelta(days=2))
    before = opened - timedelta(hours=12)
    assert found.look(before) == DueSlots((), ())
    assert found.next_start(before) == opened + timedelta(minutes=1)
