"""Which bars had ended: a daily bar begins at the venue's midnight, and minutes lie in sessions of any hours."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.kit.core.sessions import DAY, HOUR, globex
from tradebot.adapters.bars.series import days_from, window_of
from tradebot.model.bar import Session
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import BarNeed

EVENING = VenueDay("America/New_York", -6 * HOUR, 23 * HOUR)
AROUND = VenueDay("UTC")
MINUTE = timedelta(minutes=1)
MONDAY = date(2026, 11, 23)


def around(first: date, last: date) -> list[Session]:
    """Return sessions that follow on each other at midnight UTC."""
    return [AROUND.usual(first + count * DAY) for count in range((last - first).days + 1)]


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("known", "ends", "final"),
    [
        (at(23, 2), 22, 22),
        (at(23, 15), 23, 23),
        (at(23, 22), 24, 23),
        (at(24, 2, 14), 24, 23),
        (at(24, 2, 15), 24, 24),
        (at(24, 12), 24, 24),
    ],
)
def test_daily_bar_of_a_session_from_the_evening_before_ends_with_it(known: datetime, ends: int, final: int) -> None:
    window = days_from(date(2026, 11, 2), known, globex, EVENING)
    midnight = {day: EVENING.begins_s(date(2026, 11, day)) for day in (22, 23, 24)}
    assert (window.end_s, window.final_s) == (midnight[ends], midnight[final])


@pytest.mark.parametrize(
    ("known", "ends", "final"),
    [(at(23, 23, 59), 23, 23), (at(24, 0), 24, 23), (at(24, 0, 14), 24, 23), (at(24, 0, 15), 24, 24)],
)
def test_daily_bar_around_the_clock_ends_at_midnight_and_is_final_once_late_trades_are_in(
    known: datetime, ends: int, final: int
) -> None:
    window = days_from(date(2026, 11, 2), known, around, AROUND)
    assert (window.end_s, window.final_s) == (at(ends, 0).timestamp(), at(final, 0).timestamp())


def test_minutes_reach_into_the_session_that_began_the_evening_before() -> None:
    window = window_of(BarNeed("1Min", 30), at(23, 0), 1, globex, EVENING)
    assert window is not None
    assert (window.hours[-1].date, window.bars_in((0, window.end_s))) == (MONDAY, 60)
    assert window.last == at(23, 0)


@pytest.mark.parametrize(("venue", "calendar", "known"), [(EVENING, globex, at(23, 22)), (AROUND, around, at(24, 0))])
def test_a_need_of_one_session_of_minutes_asks_for_that_and_the_one_before(
    venue: VenueDay, calendar: object, known: datetime
) -> None:
    need = BarNeed("1Min", int(venue.lasts / MINUTE))
    window = window_of(need, known, 1, calendar, venue)  # type: ignore[arg-type]
    assert window is not None
    assert len(window.hours) == 2
    assert window.bars_in((0, window.end_s)) == need.depth
