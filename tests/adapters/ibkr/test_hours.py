"""The venue's hours are read, and what differs from the calendar is told."""

from datetime import UTC, date, datetime

import pytest

from tradebot.adapters.ibkr.hours import hours_differ, spans_of
from tradebot.adapters.time.calendar import exchange_sessions

WEEK = "20261125:1700-20261126:1200;20261126:1700-20261127:1215;20261128:CLOSED;20261129:1700-20261130:1600"
SESSIONS = exchange_sessions(date(2026, 11, 25), date(2026, 12, 2), "CME Globex Equity")
THANKSGIVING, FRIDAY = datetime(2026, 11, 26, 15, tzinfo=UTC), datetime(2026, 11, 26, 19, tzinfo=UTC)
LAST = date(2026, 12, 18)


@pytest.mark.parametrize("zone", ["US/Central", "America/Chicago", "CST (Central Standard Time)"])
def test_hours_are_in_the_contracts_zone_and_closed_days_have_none(zone: str) -> None:
    assert [str(span) for span in spans_of(WEEK, zone)] == [
        "2026-11-25T23:00Z to 2026-11-26T18:00Z",
        "2026-11-26T23:00Z to 2026-11-27T18:15Z",
        "2026-11-29T23:00Z to 2026-11-30T22:00Z",
    ]


def test_older_forms_have_several_spans_a_day_and_ends_without_a_date() -> None:
    old = "20261125:0830-1515,1530-1600;20261126:1700-1215"
    assert [str(span) for span in spans_of(old, "CST")] == [
        "2026-11-25T14:30Z to 2026-11-25T21:15Z",
        "2026-11-25T21:30Z to 2026-11-25T22:00Z",
        "2026-11-26T23:00Z to 2026-11-27T18:15Z",
    ]
    assert spans_of("20261125:0830-20261125:1515,20261125:1530-20261125:1600", "CST") == spans_of(old, "CST")[:2]


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("", "US/Central"),
        ("20261128:CLOSED", "US/Central"),
        (WEEK, ""),
        (WEEK, "Mars/Olympus"),
        (WEEK, "../zone"),
        ("20261125:17:00-16:00", "CST"),
        ("20261126:1700-20261126:1600", "CST"),
        ("20261340:1700-1600", "CST"),
        ("20261125:2500-1600", "CST"),
    ],
)
def test_what_is_no_hours_is_refused(text: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        spans_of(text, zone)
    assert hours_differ(text, zone, SESSIONS, THANKSGIVING, LAST).startswith("trading hours can't be read: ")


def test_hours_that_are_the_calendars_differ_in_nothing() -> None:
    assert [hours_differ(WEEK, "US/Central", SESSIONS, now, LAST) for now in (THANKSGIVING, FRIDAY)] == ["", ""]


def test_a_difference_in_the_session_of_now_or_else_the_next_is_told() -> None:
    early = WEEK.replace("1215", "1200")
    assert hours_differ(early, "CST", SESSIONS, THANKSGIVING, LAST) == ""
    found = hours_differ(early, "CST", SESSIONS, FRIDAY, LAST)
    assert found == "trades 2026-11-26T23:00Z to 2026-11-27T18:00Z, not 2026-11-26T23:00Z to 2026-11-27T18:15Z"
    assert "at no known time" in hours_differ(WEEK, "CST", SESSIONS, datetime(2026, 11, 30, 23, tzinfo=UTC), LAST)
    # A contract may end before the session does.
    assert hours_differ(early, "CST", SESSIONS, FRIDAY, date(2026, 11, 27)) == ""
