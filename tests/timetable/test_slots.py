"""Slots stand at offsets from the open or close, on whole and on half days alike, and jobs run in the chain's order."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import SESSION
from tradebot.app.settings import load
from tradebot.model.record import Job
from tradebot.model.values import replace
from tradebot.timetable.job_times import parse
from tradebot.timetable.slots import CHAIN, due_at, next_slot, slot_at, slots

HALF_DAY = replace(SESSION, close=SESSION.open + timedelta(hours=3, minutes=30))
TIMETABLE = load(None, {}).settings.timetable


@given(
    every=st.integers(1, 120),
    start=st.integers(0, 120),
    end=st.integers(0, 120),
    second=st.integers(-600, 24_000),
    half=st.booleans(),
)
def test_the_slot_at_a_moment_is_the_last_that_has_begun(
    every: int, start: int, end: int, second: int, half: bool
) -> None:
    times = parse(f"every {every}m from open+{start}m until close-{end}m")
    session = HALF_DAY if half else SESSION
    now = session.open + timedelta(seconds=second)
    every_slot = list(slots(Job.SCORE, times, session))
    begun = [slot for slot in every_slot if slot.start <= now]
    over = now >= session.close - timedelta(minutes=end)
    assert slot_at(Job.SCORE, times, session, now) == (begun[-1] if begun and not over else None)
    ahead = [slot for slot in every_slot if slot.start > now]
    assert next_slot(Job.SCORE, times, session, now) == (ahead[0] if ahead else None)


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
