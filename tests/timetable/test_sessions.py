"""When the market opens next, and when the broker's calendar is asked, ends, or differs from what is stored."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import ACCOUNT, NOW, SESSION, venue_clock
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.bar import Session, VenueClock
from tradebot.model.values import replace
from tradebot.timetable.sessions import (
    AGAIN,
    Asked,
    calendar_end,
    compared,
    contradicts,
    difference,
    differences,
    is_due,
    last_asked,
    last_morning,
    next_open,
    note_asked,
    note_difference,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOMORROW = Session(SESSION.date + DAY, SESSION.open + DAY, SESSION.close + DAY)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (SESSION.open - timedelta(seconds=1), SESSION.open),
        (SESSION.open, None),
        (SESSION.close - timedelta(seconds=1), None),
        (SESSION.close, TOMORROW.open),
        (TOMORROW.close, None),
        (datetime(2030, 1, 1, tzinfo=UTC), None),
    ],
)
def test_the_next_open_is_told_only_while_no_session_is_open(now: datetime, opens: datetime | None) -> None:
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions([SESSION, TOMORROW])
    assert next_open(ledger, now) == opens


NIGHT = SESSION.close + 4 * HOUR


def ledger() -> MemoryLedger:
    books = MemoryLedger(ACCOUNT)
    books.put_sessions([SESSION, TOMORROW])
    return books


@pytest.mark.parametrize(
    ("now", "morning"),
    [
        (datetime(2026, 11, 16, 12, 59, tzinfo=UTC), datetime(2026, 11, 15, 13, tzinfo=UTC)),
        (datetime(2026, 11, 16, 13, 0, tzinfo=UTC), datetime(2026, 11, 16, 13, tzinfo=UTC)),
        (datetime(2026, 11, 17, 3, 0, tzinfo=UTC), datetime(2026, 11, 16, 13, tzinfo=UTC)),
        (datetime(2026, 7, 6, 12, 0, tzinfo=UTC), datetime(2026, 7, 6, 12, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_eight_in_new_york(now: datetime, morning: datetime) -> None:
    assert last_morning(now) == morning


def test_the_calendar_is_due_once_each_morning_whichever_job_asked() -> None:
    books, clock = ledger(), venue_clock()
    assert is_due(books, clock)
    note_asked(books, Asked(last_morning(NOW) - HOUR), "cron")
    assert is_due(books, clock), "that was before this morning"
    note_asked(books, Asked(NOW), "cron")
    assert not is_due(books, clock)
    assert last_asked(books, NOW) == Asked(NOW)
    closed = VenueClock(NIGHT + 13 * HOUR, False, TOMORROW.open, TOMORROW.close)
    assert is_due(books, closed), "a new morning"


def test_a_request_under_a_clock_that_was_ahead_does_not_count() -> None:
    books = ledger()
    note_asked(books, Asked(NOW + HOUR), "serve")
    assert is_due(books, venue_clock())


RIGHT = [
    VenueClock(NOW, True, TOMORROW.open, SESSION.close),
    VenueClock(SESSION.open - HOUR, False, SESSION.open, SESSION.close),
    VenueClock(NIGHT, False, TOMORROW.open, TOMORROW.close),
    VenueClock(TOMORROW.close, False, TOMORROW.open + 3 * DAY, TOMORROW.close + 3 * DAY),
]
WRONG = {
    "extended": replace(RIGHT[0], next_close=SESSION.close + HOUR),
    "closed suddenly": replace(RIGHT[0], is_open=False),
    "opens late": replace(RIGHT[1], next_open=SESSION.open + HOUR),
    "called off": replace(RIGHT[1], next_open=TOMORROW.open),
    "added": replace(RIGHT[2], next_open=NIGHT + HOUR),
    "open at night": replace(RIGHT[2], is_open=True),
}


@pytest.mark.parametrize("clock", RIGHT)
def test_a_clock_that_says_what_is_stored_contradicts_nothing(clock: VenueClock) -> None:
    assert not contradicts(ledger(), clock)


@pytest.mark.parametrize("clock", WRONG.values(), ids=WRONG.keys())
def test_a_clock_that_says_otherwise_makes_it_due_again_after_a_while(clock: VenueClock) -> None:
    books = ledger()
    note_asked(books, Asked(clock.now), "serve")
    assert not is_due(books, clock)
    assert is_due(books, replace(clock, now=clock.now + AGAIN))


def test_the_last_word_about_a_day_counts() -> None:
    books, text = ledger(), compared(TOMORROW, SESSION)
    assert text == "the broker's calendar has 14:30 to 21:00 UTC, exchange_calendars 14:30 to 21:00 UTC"
    assert (compared(SESSION, SESSION), compared(None, SESSION)[:40]) == (
        "",
        "the broker's calendar has no session, ex",
    )
    words = ["", text, "", text, text]
    for minute, word in enumerate(words):
        note_difference(books, TOMORROW.date, word, NOW + minute * HOUR)
        assert difference(books, TOMORROW.date) == word
    assert list(differences(books, SESSION.date, TOMORROW.date)) == [(TOMORROW.date, text)]


def test_the_calendar_ends_where_the_first_of_the_two_does() -> None:
    books = ledger()
    assert calendar_end(books, NOW + 9 * DAY) is None
    assert calendar_end(books, NOW) == TOMORROW.date
    note_asked(books, Asked(NOW, SESSION.date), "serve")
    note_asked(books, Asked(NOW + HOUR / 2, SESSION.date), "cron")
    assert calendar_end(books, NOW + HOUR) == SESSION.date
    note_asked(books, Asked(NOW + HOUR, None), "serve")
    assert calendar_end(books, NOW + HOUR) == TOMORROW.date
    assert last_asked(books, NOW + 3 * DAY) is None
