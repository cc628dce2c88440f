"""What doesn't answer is asked less and less often, up to a ceiling; exits never wait, and one answer ends the wait."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jobs.backoff import DEPENDS_ON, Backoff
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.model.record import Job

NOON = datetime(2026, 11, 16, 17, 0, tzinfo=UTC)
FIRST_S, MOST_S = 15, 300


def waits(job: Job, seconds: int) -> list[int]:
    """Return after how many seconds a job asks something that never answers, looking every second."""
    backoff, asked = Backoff(FIRST_S, MOST_S, MemoryEvents()), list[int]()
    for second in range(seconds):
        now = NOON + timedelta(seconds=second)
        if backoff.may_try(job, now):
            asked.append(second)
            backoff.note_failure(job, now)
    return asked


def test_each_wait_is_twice_as_long_up_to_the_ceiling() -> None:
    asked = waits(Job.RECONCILE, 1500)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == [15, 30, 60, 120, 240, 300, 300, 300]


def test_exits_that_fail_meanwhile_make_no_wait_longer() -> None:
    backoff = Backoff(FIRST_S, MOST_S, MemoryEvents())
    backoff.note_failure(Job.TRADE_ONCE, NOON)
    for second in range(15):
        backoff.note_failure(Job.EVALUATE_EXITS, NOON + timedelta(seconds=second))
    assert not backoff.may_try(Job.TRADE_ONCE, NOON + timedelta(seconds=14))
    assert backoff.may_try(Job.TRADE_ONCE, NOON + timedelta(seconds=15))


def test_what_needs_something_else_does_not_wait_and_neither_does_a_chore() -> None:
    backoff = Backoff(FIRST_S, MOST_S, MemoryEvents())
    backoff.note_failure(Job.FETCH_FLOW, NOON)
    backoff.note_failure("backup", NOON)
    assert [job for job in (*Job, "backup") if not backoff.may_try(job, NOON)] == [Job.FETCH_FLOW]
    backoff.note_failure(Job.SCORE, NOON)
    assert {job for job in (*Job, "backup") if backoff.may_try(job, NOON)} == {Job.EVALUATE_EXITS, "backup"}


def test_one_answer_ends_the_wait_of_all_that_need_it() -> None:
    events = MemoryEvents()
    backoff = Backoff(FIRST_S, MOST_S, events)
    for second in (0, 15, 45, 105):
        backoff.note_failure(Job.RECONCILE, NOON + timedelta(seconds=second))
    later = NOON + timedelta(seconds=120)
    assert not backoff.may_try(Job.TRADE_ONCE, later)
    backoff.note_answer(Job.FETCH_FLOW, later)
    assert not backoff.may_try(Job.TRADE_ONCE, later)
    backoff.note_answer(Job.EVALUATE_EXITS, later)
    backoff.note_answer(Job.EVALUATE_EXITS, later)
    assert all(backoff.may_try(job, later) for job in Job)
    expected = [("dependency_away", "broker"), ("dependency_back", "broker")]
    assert [(event.event_type, event.details["dependency"]) for event in events.emitted] == expected
    assert "after 120 s" in events.emitted[-1].details["message"]


def test_one_failure_alone_is_no_event_and_neither_is_its_end() -> None:
    events = MemoryEvents()
    backoff = Backoff(FIRST_S, MOST_S, events)
    backoff.note_failure(Job.SCORE, NOON)
    backoff.note_answer(Job.SCORE, NOON)
    assert events.emitted == []


@given(st.lists(st.tuples(st.sampled_from(list(Job)), st.integers(0, 400), st.booleans()), max_size=40))
def test_no_job_ever_waits_longer_than_the_ceiling(steps: list[tuple[Job, int, bool]]) -> None:
    backoff, now = Backoff(FIRST_S, MOST_S, MemoryEvents()), NOON
    for job, seconds, works in steps:
        now += timedelta(seconds=seconds)
        (backoff.note_answer if works else backoff.note_failure)(job, now)
        assert all(backoff.may_try(each, now + timedelta(seconds=MOST_S)) for each in DEPENDS_ON)


def test_a_wait_that_began_before_the_brokers_clock_was_set_back_is_over() -> None:
    backoff, earlier = Backoff(FIRST_S, MOST_S, MemoryEvents()), NOON - timedelta(hours=2)
    backoff.note_failure(Job.RECONCILE, NOON)
    assert not backoff.may_try(Job.RECONCILE, NOON)
    assert backoff.may_try(Job.RECONCILE, earlier)
    backoff.note_failure(Job.RECONCILE, earlier)
    assert not backoff.may_try(Job.RECONCILE, earlier)
