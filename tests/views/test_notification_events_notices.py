"""Notices: which channel is told what and when, and that nothing from outside can act where it is read."""

import re
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import VENUE_DAY
from tradebot.model.event import Severity
from tradebot.model.notice import Channel, NoticeEvent, QuietHours, Topic, quiet_hours
from tradebot.model.venue_day import VenueDay
from tradebot.views.notification_events import (
    LONGEST,
    MOST_LINES,
    compose_notification,
    due_at,
    ends,
    is_selected,
    safe,
)

AT = datetime(2026, 11, 16, 15, 31, 7, tzinfo=UTC)
EVERYTHING = Channel("phone", frozenset(Topic), frozenset(), Severity.INFO, None, 12)
NIGHT = QuietHours(time(22), time(7), "Europe/Berlin")


def told(text: str, topic: Topic = Topic.BOOKS, severity: Severity = Severity.WARN, at: datetime = AT) -> NoticeEvent:
    return NoticeEvent(at, topic, severity, "differences", text)


@given(st.text(max_size=400))
def test_no_text_can_be_read_as_a_link_a_command_a_mention_or_markup(text: str) -> None:
    line = safe(text)
    assert re.fullmatch(r"[A-Za-z0-9 .,:;%$+()'-]*", line)
    assert not re.search(r"[a-z0-9]\.[a-z]{2}", line, re.IGNORECASE), "a client would make a link of it"
    assert len(line) <= LONGEST


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("/unhalt now", "unhalt now"),
        ("@everyone look <b>here</b>", "everyone look b here b"),
        ("go to https://evil.example/x?y=1", "go to https: evil. example x y 1"),
        ("[pay](tg://resolve?domain=x)", "pay (tg: resolve domain x)"),
        ("*bold* _it_ `code` ~no~ |x|", "bold it code no x"),
        ("BRK.B: 12.50 USD, +3.1%", "BRK.B: 12.50 USD, +3.1%"),
        ("one\ntwo\u202e\x1b[31m", "one two 31m"),
    ],
)
def test_text_keeps_its_words_and_loses_what_could_act(text: str, line: str) -> None:
    assert safe(text) == line


def test_channel_is_told_its_topics_from_its_severity_on_alarms_at_once_and_in_quiet_hours_what_is_critical() -> None:
    books = Channel("desk", frozenset({Topic.BOOKS}), frozenset(), Severity.WARN, None, 12)
    chosen = [told("x"), told("x", severity=Severity.INFO), told("x", Topic.SLOTS)]
    assert [is_selected(books, each) for each in chosen] == [True, False, False]
    assert due_at(EVERYTHING, told("x"), AT, VENUE_DAY) == AT
    gathered = due_at(EVERYTHING, told("x", Topic.POSITIONS, Severity.INFO), AT, VENUE_DAY)
    assert gathered == datetime(2026, 11, 16, 16, 0, tzinfo=UTC)
    quiet = Channel("phone", frozenset(Topic), frozenset(), Severity.INFO, NIGHT, 12)
    late = datetime(2026, 11, 16, 22, 30, tzinfo=UTC)
    assert due_at(quiet, told("x"), late, VENUE_DAY) == datetime(2026, 11, 17, 6, 0, tzinfo=UTC)
    assert due_at(quiet, told("x", severity=Severity.CRITICAL), late, VENUE_DAY) == late
    assert due_at(quiet, told("x"), AT, VENUE_DAY) == AT


@pytest.mark.parametrize(
    ("zone", "until", "clock"), [("UTC", 7, "15:31"), ("America/Chicago", 13, "09:31"), ("Asia/Tokyo", 22, "00:31")]
)
def test_quiet_hours_without_a_zone_and_the_times_in_a_notice_are_the_venues(zone: str, until: int, clock: str) -> None:
    quiet, venue = quiet_hours("22:00-07:00"), VenueDay(zone)
    late = venue.at(date(2026, 11, 16), time(22, 30))
    assert ends(quiet, late, venue) == datetime(2026, 11, 16 if until == 22 else 17, until, tzinfo=UTC)
    named = quiet_hours("22:00-07:00 Europe/Berlin")
    assert ends(named, datetime(2026, 11, 16, 22, tzinfo=UTC), venue) == datetime(2026, 11, 17, 6, tzinfo=UTC)
    assert compose_notification("bot", [told("gone")], venue).text == f"{clock} gone"


@given(st.integers(0, 7 * 24 * 60), st.integers(0, 23), st.integers(1, 23))
def test_quiet_hours_end_at_their_end_and_hold_back_nothing_outside(minute: int, since: int, hours: int) -> None:
    at, quiet = AT + timedelta(minutes=minute), QuietHours(time(since), time((since + hours) % 24), "UTC")
    end = ends(quiet, at, VENUE_DAY)
    assert at <= end <= at + timedelta(hours=hours)
    assert ends(quiet, end, VENUE_DAY) == end
    assert end == at or end.timetz().replace(tzinfo=None) == quiet.until


@pytest.mark.parametrize("text", ["22-07", "25:00-07:00", "22:00-07:00 Mars/Base", "", "22:00 07:00"])
def test_quiet_hours_that_cannot_be_read_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="22:00-07:00 Europe/Berlin"):
        quiet_hours(text)


def test_many_alike_become_one_line_with_their_number_and_the_first() -> None:
    many = [told(f"AAPL: {number} shares", at=AT + timedelta(minutes=number)) for number in range(17)]
    notice = compose_notification("tradebot paper ...1234", many, VENUE_DAY)
    assert notice.text == "17 differences, first 10:31, last 10:47: AAPL: 16 shares"
    assert notice.title == "tradebot paper ...1234: a warning"


def test_most_severe_comes_first_and_gives_the_title_and_the_rest_is_counted() -> None:
    several = [
        NoticeEvent(AT + timedelta(seconds=n), Topic.SLOTS, Severity.INFO, f"kind {n}", f"slot {n}") for n in range(30)
    ]
    notice = compose_notification(
        "tradebot", [*several, told("the books are damaged", severity=Severity.CRITICAL)], VENUE_DAY
    )
    lines = notice.text.split("\n")
    assert (notice.title, notice.severity) == ("tradebot: CRITICAL", Severity.CRITICAL)
    assert lines[0] == "10:31 the books are damaged"
    assert lines[MOST_LINES:] == ["and 11 more lines: tradebot notify last"]


def test_text_of_several_lines_keeps_them_each_safe_and_says_why_it_was_held_back() -> None:
    one = NoticeEvent(AT, Topic.SUMMARY, Severity.INFO, "summaries", "Monday: +1.2%\nsee https://evil.example")
    notice = compose_notification("tradebot", [one], VENUE_DAY)
    assert (notice.text, notice.title) == ("10:31 Monday: +1.2%\nsee https: evil. example", "tradebot")
    late = compose_notification("tradebot", [told("x")], VENUE_DAY, AT)
    assert late.text.endswith("Held back since 10:31, because the hourly limit on notices was reached")
