"""Which session a moment belongs to, and when the broker's calendar is asked, ends, or differs from what is stored.

Drawn calendars are compared with a model that looks at every session.
"""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.sessions import Drawn, calendars, globex
from tests.kit.values import ACCOUNT, NOW, SESSION, VENUE_DAY, there, venue_clock
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.bar import Session, VenueClock
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.timetable.job_times import parse
from tradebot.timetable.sessions import (
    AGAIN,
    CalendarRequest,
    Slot,
    begun_by,
    calendar_end,
    claim_calendar_fetch,
    clock_contradicts,
    compare_sessions,
    difference,
    differences,
    due_at,
    is_due,
    last_calendar_fetch,
    last_morning,
    last_session,
    next_open,
    note_difference,
    session_date,
    session_of,
    slot_at,
    slots,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOMORROW = Session(SESSION.date + DAY, SESSION.open + DAY, SESSION.close + DAY)


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
    assert last_morning(now, VENUE_DAY) == morning


def test_the_calendar_is_due_once_each_morning_whichever_job_asked() -> None:
    books, clock = ledger(), venue_clock()
    assert is_due(books, clock, VENUE_DAY)
    claim_calendar_fetch(books, CalendarRequest(last_morning(NOW, VENUE_DAY) - HOUR), "cron")
    assert is_due(books, clock, VENUE_DAY), "that was before this morning"
    claim_calendar_fetch(books, CalendarRequest(NOW), "cron")
    assert not is_due(books, clock, VENUE_DAY)
    assert last_calendar_fetch(books, NOW) == CalendarRequest(NOW)
    closed = VenueClock(NIGHT + 13 * HOUR, False, TOMORROW.open, TOMORROW.close)
    assert is_due(books, closed, VENUE_DAY), "a new morning"
    ahead = ledger()
    claim_calendar_fetch(ahead, CalendarRequest(NOW + HOUR), "serve")
    assert is_due(ahead, clock, VENUE_DAY), "a request under a clock that was ahead doesn't count"


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


@pytest.mark.parametrize("clock", WRONG.values(), ids=WRONG.keys())
def test_a_clock_that_says_otherwise_makes_it_due_again_after_a_while(clock: VenueClock) -> None:
    assert not any(clock_contradicts(ledger(), right) for right in RIGHT)
    books = ledger()
    claim_calendar_fetch(books, CalendarRequest(clock.now), "serve")
    assert not is_due(books, clock, VENUE_DAY)
    assert is_due(books, replace(clock, now=clock.now + AGAIN), VENUE_DAY)


def test_the_last_word_about_a_day_counts() -> None:
    books, text = ledger(), compare_sessions(TOMORROW, SESSION)
    assert text == "the broker's calendar has 14:30 to 21:00 UTC, exchange_calendars 14:30 to 21:00 UTC"
    assert compare_sessions(SESSION, SESSION) == ""
    assert compare_sessions(None, SESSION).startswith("the broker's calendar has no session, ex")
    words = ["", text, "", text, text]
    for minute, word in enumerate(words):
        note_difference(books, TOMORROW.date, word, NOW + minute * HOUR)
        assert difference(books, TOMORROW.date) == word
    assert list(differences(books, SESSION.date, TOMORROW.date)) == [(TOMORROW.date, text)]


def test_the_calendar_ends_where_the_first_of_the_two_does() -> None:
    books = ledger()
    assert calendar_end(books, NOW + 9 * DAY, VENUE_DAY) is None
    assert calendar_end(books, NOW, VENUE_DAY) == TOMORROW.date
    claim_calendar_fetch(books, CalendarRequest(NOW, SESSION.date), "serve")
    claim_calendar_fetch(books, CalendarRequest(NOW + HOUR / 2, SESSION.date), "cron")
    assert calendar_end(books, NOW + HOUR, VENUE_DAY) == SESSION.date
    claim_calendar_fetch(books, CalendarRequest(NOW + HOUR, None), "serve")
    assert calendar_end(books, NOW + HOUR, VENUE_DAY) == TOMORROW.date
    assert last_calendar_fetch(books, NOW + 3 * DAY) is None


def test_the_next_open_is_told_only_while_no_session_is_open() -> None:
    books, second = ledger(), timedelta(seconds=1)
    moments = (SESSION.open - second, SESSION.open, SESSION.close - second, SESSION.close, TOMORROW.close)
    assert [next_open(books, at) for at in moments] == [SESSION.open, None, None, TOMORROW.open, None]


@pytest.mark.parametrize(("hour", "in_new_york", "in_tokyo"), [(2, 23, 24), (22, 24, 25)])
def test_between_sessions_the_date_is_the_venues_not_utcs(hour: int, in_new_york: int, in_tokyo: int) -> None:
    now = datetime(2026, 11, 24, hour, tzinfo=UTC)
    for venue, day in ((VENUE_DAY, in_new_york), (VenueDay("Asia/Tokyo"), in_tokyo)):
        assert session_date(MemoryLedger(ACCOUNT), now, venue) == date(2026, 11, day)
        assert last_session(MemoryLedger(ACCOUNT), now, venue) == date(2026, 11, day)


@pytest.mark.parametrize(
    ("now", "session", "opens"),
    [
        ("22T22:59:59", None, "22T23:00"),
        *(("22T23:00", 23, None), ("23T21:59:59", 23, None), ("23T22:30", 23, "23T23:00"), ("23T23:30", 24, None)),
        *(("25T23:00", 27, None), ("26T12:00", 27, None), ("27T18:15", 27, "29T23:00")),
    ],
)
def test_an_evening_belongs_to_the_next_session_as_a_holiday(now: str, session: int | None, opens: str | None) -> None:
    drawn = Drawn(VenueDay("America/New_York"), tuple(globex(date(2026, 11, 20), date(2026, 12, 2))))
    at, ahead = (each and datetime.fromisoformat(f"2026-11-{each}+00:00") for each in (now, opens))
    assert isinstance(at, datetime)
    found = session_of(stored(drawn), at, drawn.venue)
    assert ((found and found.date.day), next_open(stored(drawn), at)) == (session, ahead)


def stored(drawn: Drawn) -> MemoryLedger:
    books = MemoryLedger(ACCOUNT)
    books.put_sessions(drawn.sessions)
    return books


def only_session(drawn: Drawn, now: datetime) -> Session | None:
    """Return the only session that holds a moment; None if there is none."""
    holding = [session for session in drawn.sessions if session.contains(now)]
    assert len(holding) <= 1, "no moment belongs to two sessions"
    return next(iter(holding), None)


@given(calendars(), st.data())
def test_sessions_of_a_drawn_calendar_are_those_of_a_model_that_sees_all(drawn: Drawn, data: st.DataObject) -> None:
    books, venue, now = stored(drawn), drawn.venue, data.draw(drawn.moments)
    current, today = only_session(drawn, now), now.astimezone(ZoneInfo(venue.zone)).date()
    of_today = next((session for session in drawn.sessions if session.date == today), None)
    assert session_of(books, now, venue) == (current or of_today)
    assert session_date(books, now, venue) == (current.date if current else today)
    assert venue.knowing(drawn.sessions).date_of(now) == session_date(books, now, venue)
    begun = [session.date for session in drawn.sessions if session.open <= now]
    assert last_session(books, now, venue) == max(begun, default=today)
    ahead = [session.open for session in drawn.sessions if session.open > now]
    assert next_open(books, now) == (None if current else min(ahead, default=None))
    assert begun_by(books, now, timedelta(days=99)) == [one for one in drawn.sessions if one.open <= now]


every, edges = st.integers(1, 400), st.integers(0, 300)


@settings(max_examples=settings().max_examples // 2)
@given(calendars(), every, edges, edges, st.data())
def test_each_slot_of_a_drawn_calendar_comes_once_and_is_named_by_its_offset(
    drawn: Drawn, minutes: int, after: int, before: int, data: st.DataObject
) -> None:
    longest = VenueDay("UTC")
    times = parse(f"every {minutes}m from open+{after}m until close-{before}m, at close-{before + 1}m", longest)
    books, found = stored(drawn), dict[tuple[str, date, str], Slot]()
    for session in drawn.sessions:
        for slot in slots(Job.RECONCILE, times, session):
            assert slot.key not in found
            found[slot.key] = slot
            assert slot.start == moment_of(slot.name, session)
            assert session.open <= slot.start < slot.end <= session.close
    for slot in data.draw(st.lists(st.sampled_from(list(found.values())), max_size=20)) if found else ():
        current = there(session_of(books, slot.start, drawn.venue))
        assert slot_at(Job.RECONCILE, times, current, slot.start) == slot
        assert due_at(dict.fromkeys(Job, times), current, slot.start)[-1].key == slot.key
    now = data.draw(drawn.moments)
    holding = [slot for slot in found.values() if slot.start <= now < slot.end]
    of_now = session_of(books, now, drawn.venue)
    assert (slot_at(Job.RECONCILE, times, of_now, now) if of_now else None) in [holding[-1] if holding else None]


def moment_of(name: str, session: Session) -> datetime:
    """Return the moment that a slot's name says."""
    edge, sign, offset = re.fullmatch(r"(open|close)([+-])(\d+)m", name).groups()  # type: ignore[union-attr]
    return (session.open if edge == "open" else session.close) + timedelta(minutes=int(f"{sign}{offset}"))


def test_sessions_of_another_calendar_are_found_by_its_name() -> None:
    books, early = ledger(), replace(SESSION, close=SESSION.close - 3 * HOUR)
    books.put_sessions([early], calendar="metals")
    assert session_of(books, NOW, VENUE_DAY) == SESSION
    assert session_of(books, NOW, VENUE_DAY, "metals") == early
    assert session_of(books, NOW, VENUE_DAY, "grains") is None
    assert books.calendars(SESSION.date, SESSION.date) == {"": [SESSION], "metals": [early]}
    books.put_sessions([], gone=[SESSION.date], calendar="metals")
    assert books.calendars(SESSION.date, SESSION.date) == {"": [SESSION]}
