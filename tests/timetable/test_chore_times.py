"""The times of chores: all that jobs and strategies can say, and times outside the session, on whole and half days.

Times as cron writes them: strict, with weekdays by name, and once in each night in which the clocks change.
"""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import USUAL, VENUE_DAY, us_sessions
from tests.timetable.test_job_times import HALF_DAY
from tradebot.model.fact_kind import NEW_YORK
from tradebot.model.struct_tools import replace
from tradebot.timetable import chore_times
from tradebot.timetable.chore_times import ChoreTimes, Cron, least_gap_s, parse_cron


def parse(text: str) -> ChoreTimes:
    return chore_times.parse(text, VENUE_DAY)


AUTUMN = us_sessions(date(2026, 9, 1), date(2026, 12, 31))


@pytest.mark.parametrize(
    ("text", "whole", "half"),
    [
        ("close+5m", [("close+5m", 395)], [("close+5m", 215)]),
        ("at close+2h", [("close+120m", 510)], [("close+120m", 330)]),
        ("open-30m", [("open-30m", -30)], [("open-30m", -30)]),
        ("pre-market 08:00", [("pre-market 08:00", -90)], [("pre-market 08:00", -90)]),
        ("at close-10m, open-1m", [("open-1m", -1), ("close-10m", 380)], [("open-1m", -1), ("close-10m", 200)]),
        ("open+5h", [("open+300m", 300)], []),
        ('cron "0,30 18 * * Mon,Fri", close+1h', [("close+60m", 450), ("18:00 ET", 510), ("18:30 ET", 540)],
         [("close+60m", 270), ("18:00 ET", 510), ("18:30 ET", 540)]),
    ],
)  # fmt: skip
def test_times_stand_beside_and_in_sessions(
    text: str, whole: list[tuple[str, int]], half: list[tuple[str, int]]
) -> None:
    for session, expected in ((USUAL, whole), (HALF_DAY, half)):
        found = parse(text).starts(session.date, [session])
        assert [(name, (start - session.open) // timedelta(minutes=1)) for name, start in found] == expected


def test_a_day_without_a_session_has_the_times_of_cron_and_the_first_session_of_a_month_is_not_guessed() -> None:
    every = parse('close+5m, pre-market 08:00, every 1h, cron "0 12 * * *"')
    assert [name for name, _ in every.starts(USUAL.date, [])] == ["12:00 ET"]
    times = parse("first session of month close+5m")
    days = [session.date for session in AUTUMN if times.starts(session.date, AUTUMN)]
    assert days == [date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 2), date(2026, 12, 1)]
    assert times.starts(date(2026, 11, 2), AUTUMN)[0][0] == "first session of month close+5m"
    (alone,) = [session for session in AUTUMN if session.date == date(2026, 11, 10)]
    assert times.starts(alone.date, [alone]) == []


def test_two_times_at_one_moment_are_one_and_a_moved_open_moves_what_is_counted_from_it() -> None:
    assert [name for name, _ in parse("close+5m, at close+300s").starts(USUAL.date, [USUAL])] == ["close+5m"]
    late = replace(USUAL, open=USUAL.open + timedelta(hours=2))
    found = parse("open-30m, close+5m").starts(late.date, [late])
    assert [start for _, start in found] == [late.open - timedelta(minutes=30), late.close + timedelta(minutes=5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("close+9h", "use up to 8h before the open or after the close"),
        ("close+90s", "multiple of 60s"),
        ("open-5", "is not a time; use 'close+5m'"),
        ("pre-market 09:30", "is not before the open"),
        ("first session of month", "is not a time"),
        ('cron "30 18 * * 1-5"', "by name"),
        ("at close", "never due"),
        (", ".join(["close+5m"] * 21), "at most 20 parts"),
    ],
)
def test_a_text_that_is_not_a_time_is_refused_with_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "gap_s"),
    [
        ("close+5m", 86400),
        ("open-30m, pre-market 08:00", 3600),
        ("every 30m while open", 1800),
        ('cron "0 12 * * Sat"', 7 * 86400),
        ("first session of month close+5m", 31 * 86400),
        ('cron "0 12 1 Jan *"', None),
    ],
)
def test_the_least_time_between_two_slots(text: str, gap_s: int | None) -> None:
    assert least_gap_s(parse(text)) == gap_s


def cron(text: str) -> Cron:
    return parse_cron(text, VENUE_DAY)


SPRING, FALL = date(2027, 3, 14), date(2026, 11, 1)


def times(text: str, day: date) -> list[tuple[str, str]]:
    return [(name, f"{start:%H:%M}") for name, start in cron(text).starts(day)]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("30 18 * * Mon-Fri", [16, 17, 18, 19, 20]),
        ("30 18 * * mon,WED", [16, 18]),
        ("30 18 * * *", [16, 17, 18, 19, 20, 21, 22]),
        ("30 18 17-20/2 11 *", [17, 19]),
        ("30 18 20 * Mon", [16, 20]),
        ("30 18 */10 Nov *", [21]),
    ],
)
def test_a_time_of_cron_comes_on_the_days_that_its_fields_name(text: str, days: list[int]) -> None:
    week = [date(2026, 11, day) for day in range(16, 23)]
    assert [day.day for day in week if times(text, day)] == days
    assert all(found == [("18:30 ET", "23:30")] for day in week if (found := times(text, day)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("30 18 * * 1-5", "write weekdays by name, such as Mon-Fri: schedulers number them differently"),
        ("30 18 * *", "has 4 fields, not 5"),
        ("60 18 * * *", "'60' is not within 0 to 59"),
        ("30-10 18 * * *", "'30-10' ends before it begins"),
        ("*/0 18 * * *", "'*/0' has a step of zero"),
        ("30 18 * * Fri-Mon", "'Fri-Mon' ends before it begins"),
        ("x 18 * * *", "'x' is not a field of cron"),
        ("30 18 31 2 *", "is never due"),
        ("30 18 31 Apr,Jun *", "is never due"),
    ],
)
def test_a_text_that_is_not_a_time_of_cron_is_refused_with_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        cron(text)


def test_a_leap_day_is_due_an_hour_that_the_clocks_skip_comes_later_and_one_they_show_twice_comes_once() -> None:
    assert times("0 12 29 2 *", date(2028, 2, 29)) == [("12:00 ET", "17:00")]
    assert times("30 2 * * *", SPRING) == [("02:30 ET", "07:30")]
    assert datetime(2027, 3, 14, 7, 30, tzinfo=UTC).astimezone(NEW_YORK).hour == 3
    assert times("30 1 * * *", FALL) == [("01:30 ET", "05:30")]


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 800))
def test_each_day_of_years_has_each_time_once(hour: int, minute: int, day: int) -> None:
    today = date(2026, 1, 1) + timedelta(days=day)
    ((name, start),) = cron(f"{minute} {hour} * * *").starts(today)
    assert name == f"{hour:02}:{minute:02} ET"
    assert start.astimezone(NEW_YORK).date() == today
