"""The venue's day: the date of a moment, where a day begins, and what its zone is called."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.kit.core.sessions import ZONES, Drawn, calendars
from tradebot.model.bar import Session
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHICAGO = VenueDay("America/Chicago", timedelta(hours=-7), timedelta(hours=23))
"""Globex: from 17:00 on the evening before to 16:00."""
moments = st.integers(1_100_000_000, 2_100_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))


@example(datetime(2026, 11, 16, 15, tzinfo=UTC), "Asia/Tokyo")
@example(datetime(2026, 7, 6, 4, tzinfo=UTC), "America/New_York")
@example(datetime(2026, 11, 16, 4, 59, tzinfo=UTC), "America/New_York")
@given(moments, st.sampled_from((*ZONES, "Asia/Kolkata", "Pacific/Kiritimati", "America/Caracas")))
def test_the_date_of_a_moment_is_what_the_zones_calendar_shows(at: datetime, zone: str) -> None:
    venue = VenueDay(zone)
    assert (
        venue.date_of(at)
        == venue.date_of(at.astimezone(ZoneInfo("Asia/Tokyo")))
        == at.astimezone(ZoneInfo(zone)).date()
    )
    assert venue.begins(venue.date_of(at)) <= at < venue.begins(venue.date_of(at) + DAY)


@pytest.mark.parametrize(
    ("zone", "label", "place"),
    [
        ("America/New_York", "ET", "New York"),
        ("America/Chicago", "CT", "Chicago"),
        ("UTC", "UTC", "UTC"),
        ("Asia/Tokyo", "JST", "Tokyo"),
        ("Europe/Berlin", "Berlin", "Berlin"),
        ("America/Sao_Paulo", "Sao Paulo", "Sao Paulo"),
        ("Australia/Sydney", "Sydney", "Sydney"),
    ],
)
def test_a_zone_has_one_name_all_year_round(zone: str, label: str, place: str) -> None:
    assert (VenueDay(zone).label, VenueDay(zone).zone_name) == (label, place)


def test_a_usual_session_follows_the_clock_and_not_utc() -> None:
    day = VenueDay("America/New_York", timedelta(hours=9, minutes=30), timedelta(hours=6, minutes=30))
    winter, summer = day.usual(date(2026, 11, 16)), day.usual(date(2026, 7, 6))
    assert (winter.open, winter.close) == (
        datetime(2026, 11, 16, 14, 30, tzinfo=UTC),
        datetime(2026, 11, 16, 21, tzinfo=UTC),
    )
    assert summer.open == datetime(2026, 7, 6, 13, 30, tzinfo=UTC)
    assert CHICAGO.usual(date(2026, 11, 23)).open == datetime(2026, 11, 22, 23, tzinfo=UTC)
    assert (day.crosses_midnight, CHICAGO.crosses_midnight, VenueDay("UTC").crosses_midnight) == (False, True, False)
    assert (day.never_ends, CHICAGO.never_ends, VenueDay("UTC").never_ends) == (False, False, True)


def test_a_time_that_the_clocks_skip_comes_an_hour_later_and_a_repeated_one_the_first_time() -> None:
    day = VenueDay("America/New_York")
    assert day.local(day.at(date(2027, 3, 14), time(2, 30))).time() == time(3, 30)
    assert day.at(date(2026, 11, 1), time(1, 30)) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-11-22T22:59:59.999999Z", date(2026, 11, 22)),
        ("2026-11-22T23:00:00Z", date(2026, 11, 23)),
        ("2026-11-23T21:59:59Z", date(2026, 11, 23)),
        ("2026-11-23T22:30:00Z", date(2026, 11, 23)),
        ("2026-11-23T23:30:00Z", date(2026, 11, 24)),
        ("2026-11-24T22:30:00Z", date(2026, 11, 24)),
        ("2026-11-25T12:00:00Z", date(2026, 11, 25)),
    ],
)
def test_an_evening_counts_for_the_session_that_begins_in_it(at: str, day: date) -> None:
    knows = CHICAGO.knowing([CHICAGO.usual(date(2026, 11, 23)), CHICAGO.usual(date(2026, 11, 24))])
    assert knows.date_of(datetime.fromisoformat(at)) == day


@given(calendars(), st.data())
def test_each_moment_of_a_session_has_its_trade_date_and_dates_never_go_back(drawn: Drawn, data: st.DataObject) -> None:
    venue = drawn.venue.knowing(drawn.sessions)
    one, other = sorted((data.draw(drawn.moments), data.draw(drawn.moments)))
    assert venue.date_of(one) <= venue.date_of(other)
    holding = [session for session in drawn.sessions if session.contains(one)]
    assert len(holding) <= 1
    local = one.astimezone(ZoneInfo(drawn.venue.zone)).date()
    assert venue.date_of(one) == (holding[0].date if holding else local)


def test_a_venue_whose_sessions_are_on_their_own_dates_has_nothing_to_know() -> None:
    day = VenueDay("America/New_York", timedelta(hours=9, minutes=30), timedelta(hours=6, minutes=30))
    sessions = [day.usual(date(2026, 10, 26) + count * DAY) for count in range(20)]
    assert day.knowing(sessions) is day
    late = Session(date(2026, 11, 16), day.usual(date(2026, 11, 16)).open, day.begins(date(2026, 11, 17)) + HOUR)
    assert day.knowing([late]).apart == (late,)


def test_what_a_shortened_holiday_trades_counts_for_the_next_business_day() -> None:
    globex = replace(CHICAGO, holidays_end=time(12))
    closes = {25: time(16), 26: time(12), 27: time(12, 15), 30: time(16)}
    sessions = [
        Session(day, globex.usual(day).open, globex.at(day, close))
        for day, close in ((date(2026, 11, number), close) for number, close in closes.items())
    ]
    knows = globex.knowing(sessions)
    assert [knows.trade_date(one.date).day for one in sessions] == [25, 27, 27, 30]
    assert knows.trade_date_of(datetime(2026, 11, 26, 1, tzinfo=UTC)) == date(2026, 11, 27)
    assert knows.date_of(datetime(2026, 11, 26, 1, tzinfo=UTC)) == date(2026, 11, 26)
    assert CHICAGO.knowing(sessions).belonging == ()
    # Which day follows the last one that is known isn't known.
    assert globex.knowing(sessions[:2]).belonging == ()
