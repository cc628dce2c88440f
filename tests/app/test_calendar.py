"""Sessions come from the ledger, which has the broker's, and from the venue where the ledger may lack some."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ACCOUNT, there
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.app.calendar import AHEAD, BEHIND, LEAST, ask, ensure, sessions
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session, VenueClock
from tradebot.model.values import replace
from tradebot.timetable.sessions import NEAR_END_DAYS, calendar_end, difference, last_asked

FIRST = date(2026, 1, 1)
days = st.integers(0, 120).map(lambda count: FIRST + timedelta(days=count))
HOLIDAYS = (FIRST, date(2026, 1, 19), date(2026, 2, 16), date(2026, 4, 3))


def venue(first: date, last: date) -> list[Session]:
    """Return what the venue says."""
    between = (first + timedelta(days=count) for count in range((last - first).days + 1))
    trading = (day for day in between if day.weekday() < 5 and day not in HOLIDAYS)
    opens = (datetime.combine(day, time(14, 30), UTC) for day in trading)
    return [Session(at.date(), at, at + timedelta(hours=6)) for at in opens]


@given(st.sets(st.integers(0, 12)), days, st.integers(0, 60))
def test_sessions_missing_from_the_ledger_come_from_the_venue(held: set[int], first: date, length: int) -> None:
    ledger, last = MemoryLedger(ACCOUNT), first + timedelta(days=length)
    for block in held:
        start = FIRST + timedelta(days=14 * block)
        ledger.put_sessions(venue(start, start + timedelta(days=9)))
    assert list(sessions(ledger, venue, first, last)) == venue(first, last)


def test_venue_is_not_asked_if_the_ledger_holds_every_session() -> None:
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions(venue(FIRST, FIRST + timedelta(days=60)))

    def asked(first: date, last: date) -> list[Session]:
        raise AssertionError("the venue was asked")

    first = FIRST + timedelta(days=14)
    assert list(sessions(ledger, asked, first, first)) == venue(first, first)
    assert list(sessions(ledger, asked, first, first + timedelta(days=30))) == venue(first, first + timedelta(days=30))


# What follows asks a broker whose calendar is that of exchange_calendars but for what a test changes.
TODAY = exchange_sessions(date(2026, 11, 16), date(2026, 11, 16))[0]
MORNING = TODAY.open - timedelta(hours=1)
HOUR, A_DAY = timedelta(hours=1), timedelta(days=1)
EXPECTED = exchange_sessions((MORNING - BEHIND).date(), (MORNING + AHEAD).date())
COMING = [session for session in EXPECTED if session.date >= TODAY.date]
SATURDAY = Session(date(2026, 11, 21), TODAY.open + 5 * A_DAY, TODAY.close + 5 * A_DAY)


class Broker:
    """A broker's calendar and clock; a day of `changes` has another session, or none."""

    def __init__(self, changes: Mapping[date, Session | None], until: date = date.max) -> None:
        self.changes = changes
        self.until = until
        self.asked = 0

    def __call__(self, first: date, last: date) -> Sequence[Session]:
        self.asked += 1
        days = {session.date: session for session in EXPECTED} | dict(self.changes)
        return [each for day, each in sorted(days.items()) if each and first <= day <= min(last, self.until)]

    def clock(self, now: datetime) -> VenueClock:
        """Return the clock that goes with this calendar."""
        every = self(date.min, date.max)
        current = next((each for each in every if each.contains(now)), None)
        ahead = next(each for each in every if each.open > now)
        return VenueClock(now, current is not None, ahead.open, (current or ahead).close)


class Desk:
    """The ledger and the events of one bot."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger(ACCOUNT)
        self.events = MemoryEvents()

    def asks(self, broker: Broker, now: datetime = MORNING, clock: VenueClock | None = None) -> list[str]:
        """Ask, and return the events of it."""
        before = len(self.events.emitted)
        ask(self.ledger, broker, clock or broker.clock(now), self.events, "test")
        return [event.event_type for event in self.events.emitted[before:]]

    def stored(self) -> dict[date, Session]:
        """Return the stored sessions to come."""
        return {session.date: session for session in self.ledger.sessions(TODAY.date, date.max)}


CHANGES: list[Callable[[Session], Session | None]] = [
    lambda session: replace(session, close=session.close + HOUR),
    lambda session: replace(session, close=session.close - HOUR),
    lambda session: replace(session, open=session.open + HOUR),
]


@given(st.dictionaries(st.integers(0, 50), st.sampled_from(CHANGES), max_size=4), st.booleans())
def test_stored_calendar_is_the_brokers_and_each_difference_is_an_event(
    changed: dict[int, Callable[[Session], Session | None]], saturday: bool
) -> None:
    changes = {COMING[place].date: change(COMING[place]) for place, change in changed.items()}
    changes |= {SATURDAY.date: SATURDAY} if saturday else {}
    desk, broker, usual = Desk(), Broker(changes), Broker({})
    assert desk.asks(broker) == ["calendar_changed"] * len(changes)
    assert list(desk.stored().values()) == list(broker(TODAY.date, COMING[-1].date))
    assert {day for day in (*desk.stored(), SATURDAY.date) if difference(desk.ledger, day)} == changes.keys()
    assert desk.asks(broker, MORNING + HOUR) == [], "nothing is told twice"
    assert desk.asks(usual, MORNING + 2 * HOUR) == ["calendar_changed"] * len(changes), "the broker took it all back"
    assert [day for day in desk.stored() if difference(desk.ledger, day)] == []
    assert list(desk.stored().values()) == COMING


def test_event_of_a_difference_names_both_hours_and_the_consequence() -> None:
    desk = Desk()
    desk.asks(Broker({TODAY.date: replace(TODAY, close=TODAY.close + HOUR)}))
    (event,) = desk.events.emitted
    assert event.details["message"] == (
        "Mon 2026-11-16 has 14:30 to 22:00 UTC now, before it had 14:30 to 21:00 UTC: the broker's calendar has 14:30 "
        "to 22:00 UTC, exchange_calendars 14:30 to 21:00 UTC. Entries stay closed that day; exits go by the broker's "
        "clock"
    )


def test_session_is_dropped_only_if_the_brokers_clock_agrees() -> None:
    called_off = Broker({TODAY.date: None})
    for clock, kept in ((Broker({}).clock(MORNING), True), (called_off.clock(MORNING), False)):
        desk = Desk()
        assert desk.asks(called_off, clock=clock) == ["calendar_changed"]
        assert (TODAY.date in desk.stored()) is kept, "a list that forgets must not take the slots of exits away"
        assert difference(desk.ledger, TODAY.date).startswith("the broker's calendar has no session")
    later = Desk()
    later.asks(Broker({COMING[5].date: None}))
    assert COMING[5].date in later.stored(), "the clock says nothing of days that far ahead"


def test_past_session_is_never_changed() -> None:
    desk, after = Desk(), TODAY.close + 2 * HOUR
    assert desk.asks(Broker({TODAY.date: replace(TODAY, close=TODAY.close + HOUR)}), after) == []
    assert desk.asks(Broker({TODAY.date: None}), after) == []
    assert desk.stored()[TODAY.date] == TODAY


def test_empty_calendar_of_the_broker_is_ignored() -> None:
    desk, usual = Desk(), Broker({})
    with pytest.raises(TemporaryError, match="lists no session from 2026-11-16"):
        ask(desk.ledger, lambda first, last: [], usual.clock(MORNING), desk.events, "test")
    assert list(desk.stored().values()) == COMING
    assert last_asked(desk.ledger, MORNING) is None


def test_calendar_near_its_end_is_reported_once_a_day_with_the_days_left() -> None:
    desk, ends = Desk(), COMING[10]
    broker = Broker({}, until=ends.date)
    assert desk.asks(broker, clock=Broker({}).clock(MORNING)) == ["calendar_ends"]
    assert desk.events.emitted[0].details["message"] == "it ends on 2026-12-01, in 15 days: tradebot schedule check"
    assert desk.asks(broker, clock=Broker({}).clock(MORNING + HOUR)) == []
    assert desk.asks(broker, clock=Broker({}).clock(MORNING + A_DAY)) == ["calendar_ends"]
    assert calendar_end(desk.ledger, MORNING + A_DAY) == ends.date
    assert list(desk.stored().values()) == COMING, "what the broker doesn't list yet isn't called off"
    assert desk.asks(Broker({}), MORNING + A_DAY + HOUR) == []
    assert calendar_end(desk.ledger, MORNING + A_DAY + HOUR) == COMING[-1].date


def test_calendar_is_extended_early_and_keeps_the_brokers_changes() -> None:
    desk, longer = Desk(), replace(COMING[40], close=COMING[40].close + HOUR)
    desk.asks(Broker({longer.date: longer}))
    later = MORNING + AHEAD - LEAST + timedelta(days=10)
    end = there(calendar_end(desk.ledger, later))
    assert (end - later.date()).days > NEAR_END_DAYS
    ensure(desk.ledger, later, LEAST)
    assert desk.stored()[longer.date] == longer
    assert max(desk.stored()) > end
