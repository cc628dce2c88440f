"""A strategy's times in other sessions: which of them can be moved, and where to."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import SESSION
from tradebot.model.bar import Session
from tradebot.timetable.moving import SESSIONS_OF_MONTH, a_session_later, in_session_of_month, session_of_month
from tradebot.timetable.own_clock import OwnTimes, parse

WEEKS = 80


def sessions() -> list[Session]:
    """Return the sessions of some weeks without holidays."""
    days = (timedelta(weeks=week, days=day) for week in range(WEEKS) for day in range(5))
    monday = timedelta(days=-SESSION.date.weekday())
    moved = [monday + day for day in days]
    return [Session(SESSION.date + by, SESSION.open + by, SESSION.close + by) for by in moved]


def held(times: OwnTimes) -> set[int]:
    """Return the places of the sessions in which a strategy with one time is called, away from the ends."""
    (part,), known = times.parts, sessions()
    assert part.days
    return {place for place in range(30, len(known) - 30) if part.days.hold(known, place)}


@pytest.mark.parametrize(
    ("text", "named", "later"),
    [
        ("first session of month at open+5m for 3 sessions", "first", "2nd session of month at open+5m for 3 sessions"),
        ("20th session of month at open", "20th", "21st session of month at open"),
        ("22nd session of month at open", "22nd", "23rd session of month at open"),
        ("23rd session of month at open", "23rd", "first session of month at open"),
        ("11th session of month at open", "11th", "12th session of month at open"),
        ("last session of month at close-5m", "last", "first session of month at close-5m"),
        ("5th session of week at open", None, "first session of week at open"),
        (
            "2nd session of month at open, 2nd session of month at close-5m",
            "2nd",
            "3rd session of month at open, 3rd session of month at close-5m",
        ),
        (
            "first session of month at open, 10th session of month at open",
            None,
            "2nd session of month at open, 11th session of month at open",
        ),
        ("first session of month at open, every session at close-5m", None, None),
        ("every 5m", None, None),
    ],
)
def test_times_that_name_sessions_can_be_moved(text: str, named: str | None, later: str | None) -> None:
    times = parse(text)
    assert session_of_month(times) == named
    assert a_session_later(times) == later
    if named:
        assert in_session_of_month(times, named) == text


@given(st.sampled_from([*SESSIONS_OF_MONTH[:19], "last"]))
def test_a_session_later_is_the_next_session_in_every_month_that_has_it(which: str) -> None:
    times = parse(f"{which} session of month at open")
    later = a_session_later(times)
    assert later
    assert held(parse(later)) - {30} == {place + 1 for place in held(times)} - {len(sessions()) - 30}


@given(st.sampled_from(SESSIONS_OF_MONTH), st.sampled_from(SESSIONS_OF_MONTH))
def test_wherever_times_are_moved_they_can_be_moved_back(one: str, other: str) -> None:
    text = f"{one} session of month at open+5m for 3 sessions"
    moved = in_session_of_month(parse(text), other)
    assert session_of_month(parse(moved)) == other
    assert in_session_of_month(parse(moved), one) == text
