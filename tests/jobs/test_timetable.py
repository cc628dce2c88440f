"""Slots stand at offsets from the open, inside the session, on whole and on half days alike."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.timetable import CHAIN, due_at, slot_at, slots
from tests.core.builders import SESSION
from tradebot.model.record import Job
from tradebot.settings import JobTimes, load

HALF_DAY = replace(SESSION, close=SESSION.open + timedelta(hours=3, minutes=30))
TIMETABLE = load(None, {}).settings.timetable
minutes = st.integers(0, 120).map(lambda n: n * 60)
times = st.builds(
    JobTimes, every_s=st.integers(1, 120).map(lambda n: n * 60), after_open_s=minutes, before_close_s=minutes
)


@given(job_times=times, half=st.booleans())
def test_slots_stand_in_order_inside_the_session(job_times: JobTimes, half: bool) -> None:
    session = HALF_DAY if half else SESSION
    found = list(slots(Job.SCORE, job_times, session))
    starts = [slot.start for slot in found]
    assert starts == sorted(set(starts))
    assert len({slot.name for slot in found}) == len(found)
    for start in starts:
        assert start >= session.open + timedelta(seconds=job_times.after_open_s)
        assert start < session.close - timedelta(seconds=job_times.before_close_s)


@given(job_times=times, second=st.integers(-600, 24_000), half=st.booleans())
def test_the_slot_at_a_moment_is_the_last_that_has_begun(job_times: JobTimes, second: int, half: bool) -> None:
    session = HALF_DAY if half else SESSION
    now = session.open + timedelta(seconds=second)
    begun = [slot for slot in slots(Job.SCORE, job_times, session) if slot.start <= now]
    over = now >= session.close - timedelta(seconds=job_times.before_close_s)
    assert slot_at(Job.SCORE, job_times, session, now) == (begun[-1] if begun and not over else None)


def test_a_half_day_has_the_first_slots_of_a_whole_one() -> None:
    whole = [s.name for s in slots(Job.TRADE_ONCE, TIMETABLE[Job.TRADE_ONCE], SESSION)]
    half = [s.name for s in slots(Job.TRADE_ONCE, TIMETABLE[Job.TRADE_ONCE], HALF_DAY)]
    assert half == whole[: len(half)]
    assert (whole[0], whole[-1], half[-1]) == ("open+2m", "open+372m", "open+192m")


@pytest.mark.parametrize(
    ("minute", "jobs"),
    [
        (0, []),
        (1, [Job.EVALUATE_EXITS, Job.RECONCILE]),
        (2, [Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE]),
        (3, [Job.EVALUATE_EXITS]),
        (377, [Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS]),
        (389, [Job.EVALUATE_EXITS]),
        (390, []),
    ],
)
def test_jobs_due_together_run_in_the_order_of_the_chain(minute: int, jobs: list[Job]) -> None:
    found = due_at(TIMETABLE, SESSION, SESSION.open + timedelta(minutes=minute))
    assert [slot.job for slot in found] == jobs


def test_every_slot_of_a_session_is_due_exactly_once() -> None:
    due = [slot for m in range(391) for slot in due_at(TIMETABLE, SESSION, SESSION.open + timedelta(minutes=m))]
    planned = [slot for job in CHAIN for slot in slots(job, TIMETABLE[job], SESSION)]
    assert sorted(due, key=str) == sorted(planned, key=str)


def test_the_chain_holds_every_job_once() -> None:
    assert sorted(CHAIN) == sorted(Job)
