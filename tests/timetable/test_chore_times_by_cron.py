"""Times as cron writes them: strict, with weekdays by name, and once in each night in which the clocks change."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import VENUE_DAY
from tradebot.model.fact_kind import NEW_YORK
from tradebot.timetable.chore_times import Cron, parse_cron


def parse(text: str) -> Cron:
    return parse_cron(text, VENUE_DAY)


SPRING, FALL = date(2027, 3, 14), date(2026, 11, 1)


def times(text: str, day: date) -> list[tuple[str, str]]:
    return [(name, f"{start:%H:%M}") for name, start in parse(text).starts(day)]


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
        ("30-10 18 * * *", "'30-10' is not within 0 to 59"),
        ("*/0 18 * * *", "'*/0' is not within 0 to 59"),
        ("30 18 * * Fri-Mon", "'Fri-Mon' is not within 0 to 6"),
        ("x 18 * * *", "'x' is not a field of cron"),
        ("30 18 31 2 *", "is never due"),
        ("30 18 31 Apr,Jun *", "is never due"),
    ],
)
def test_a_text_that_is_not_a_time_of_cron_is_refused_with_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


def test_a_leap_day_is_due_an_hour_that_the_clocks_skip_comes_later_and_one_they_show_twice_comes_once() -> None:
    assert times("0 12 29 2 *", date(2028, 2, 29)) == [("12:00 ET", "17:00")]
    assert times("30 2 * * *", SPRING) == [("02:30 ET", "07:30")]
    assert datetime(2027, 3, 14, 7, 30, tzinfo=UTC).astimezone(NEW_YORK).hour == 3
    assert times("30 1 * * *", FALL) == [("01:30 ET", "05:30")]


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 800))
def test_each_day_of_years_has_each_time_once(hour: int, minute: int, day: int) -> None:
    today = date(2026, 1, 1) + timedelta(days=day)
    ((name, start),) = parse(f"{minute} {hour} * * *").starts(today)
    assert name == f"{hour:02}:{minute:02} ET"
    assert start.astimezone(NEW_YORK).date() == today
