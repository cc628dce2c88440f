"""Half days, holidays and changes of the clocks are explained in sentences."""

from datetime import date

import pytest

from tests.kit.values import VENUE_DAY, there, us_sessions
from tradebot.app.settings import load
from tradebot.timetable import entries
from tradebot.timetable.entries import TimetableEntry
from tradebot.views.schedule_notes import notes

SHIPPED = load(None, {}).settings.timetable.lines


def line(when: str) -> TimetableEntry:
    return there(entries.parse("pnl", {"when": when, "late": "always"}, VENUE_DAY))


def said(first: date, last: date, *own: TimetableEntry) -> list[str]:
    return [note.said for note in notes(first, last, us_sessions(first, last), own or SHIPPED, VENUE_DAY)]


def test_ordinary_weeks_and_weekends_have_no_note() -> None:
    assert said(date(2026, 11, 9), date(2026, 11, 22)) == []


def test_half_day_note_says_when_it_closes_and_what_is_skipped() -> None:
    (half,) = said(date(2026, 11, 27), date(2026, 11, 27), line("open+5h"))
    assert half == (
        "Fri 2026-11-27 is a half day: the session closes at 13:00 in New York, so times relative to the close are 3 "
        "hours earlier. pnl doesn't run at all."
    )


@pytest.mark.parametrize(
    ("day", "way", "opens", "before"),
    [(date(2026, 11, 1), "back", "14:30", "13:30"), (date(2027, 3, 14), "forward", "13:30", "14:30")],
)
def test_clock_change_note_says_what_it_means_for_a_session(day: date, way: str, opens: str, before: str) -> None:
    (change,) = said(day, day)
    assert change == (
        f"On {day:%a %Y-%m-%d} the clocks in New York go {way} an hour: sessions open at {opens} UTC from then on, "
        f"not at {before} UTC."
    )


def test_cron_times_in_clock_change_nights_are_explained() -> None:
    spring, fall = date(2027, 3, 14), date(2026, 11, 1)
    assert said(spring, spring, line('cron "30 2 * * *"'))[1] == "pnl runs at 03:30 that day: the clocks skip 02:30."
    assert said(fall, fall, line('cron "30 1 * * *"'))[1:] == [
        "pnl runs once that day, although the clocks show 01:30 twice."
    ]
    assert len(said(fall, fall, line('cron "30 3 * * *"'))) == 1


def test_calendar_difference_names_both_days_and_the_consequence() -> None:
    day = date(2026, 11, 16)
    found = notes(day, day, us_sessions(day, day), SHIPPED, VENUE_DAY, {day: "the broker's calendar has more"})
    assert [note.said for note in found] == [
        "On Mon 2026-11-16 the broker's calendar has more. These times follow the broker's, and so do exits; entries "
        "are blocked that day."
    ]
