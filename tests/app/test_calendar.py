"""Sessions come from the ledger, which has the broker's, and from the venue where the ledger may lack some."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.sessions import globex
from tests.kit.values import ACCOUNT, VENUE_DAY, there, us_sessions
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.app.calendar import AHEAD, BEHIND, LEAST, ask, ensure_sessions, sessions, sessions_at_rest
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session, VenueClock
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.timetable.sessions import NEAR_END_DAYS, calendar_end, difference, last_calendar_fetch
from tradebot.venues.alpaca.capabilities import ALPACA

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


def test_sessions_from_before_the_stored_ones_are_the_usual_ones_or_else_left_out() -> None:
    ledger, (first, *stored) = MemoryLedger(ACCOUNT), us_sessions(date(2026, 11, 2), date(2026, 11, 20))
    ledger.put_sessions(stored[5:])
    for capabilities, known in ((ALPACA, [first, *stored]), (replace(ALPACA, calendar="NONE"), stored[5:])):
        assert list(sessions_at_rest(ledger, capabilities, first.date, stored[-1].date)) == known


# What follows asks a broker whose calendar is that of exchange_calendars but for what a test changes.
TODAY = us_sessions(date(2026, 11, 16), date(2026, 11, 16))[0]
MORNING = TODAY.open - timedelta(hours=1)
HOUR, A_DAY = timedelta(hours=1), timedelta(days=1)
EXPECTED = us_sessions((MORNING - BEHIND).date(), (MORNING + AHEAD).date())
COMING = [session for session in EXPECTED if session.date >= TODAY.date]
SATURDAY = Session(date(2026, 11, 21), TODAY.open + 5 * A_DAY, TODAY.close + 5 * A_DAY)


class Broker:
    """A broker's calendar and clock; a day of `changes` has another session, or none."""

    def __init__(self, changes: Mapping[date, Session | None], until: date = date.max) -> None:
        self.changes = changes
        self.until = until
        self.asked = 0

    def __call__(self, first: date, last: date, name: str = "") -> Sequence[Session]:
        self.asked += 1
        days = {session.date: session for session in EXPECTED} | dict(self.changes)
        return [each for day, each in sorted(days.items()) if each and first <= day <= min(last, self.until)]

    def clock(self, now: datetime) -> VenueClock:
        """Return the clock that goes with this calendar."""
        every = self(date.min, date.max)
        current = next((each for each in every if each.contains(now)), None)
        ahead = next(each for each in every if each.open > now)
        return VenueClock(now, current is not None, ahead.open, (current or ahead).close)


class CalendarBooks:
    """The ledger and the events of one bot."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger(ACCOUNT)
        self.events = MemoryEvents()

    def asks(self, broker: Broker, now: datetime = MORNING, clock: VenueClock | None = None) -> list[str]:
        """Ask, and return the events of it."""
        before = len(self.events.emitted)
        ask(self.ledger, ALPACA, broker, clock or broker.clock(now), self.events, "test")
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
    desk, broker, usual = CalendarBooks(), Broker(changes), Broker({})
    assert desk.asks(broker) == ["calendar_changed"] * len(changes)
    assert list(desk.stored().values()) == list(broker(TODAY.date, COMING[-1].date))
    assert {day for day in (*desk.stored(), SATURDAY.date) if difference(desk.ledger, day)} == changes.keys()
    assert desk.asks(broker, MORNING + HOUR) == [], "nothing is told twice"
    assert desk.asks(usual, MORNING + 2 * HOUR) == ["calendar_changed"] * len(changes), "the broker took it all back"
    assert [day for day in desk.stored() if difference(desk.ledger, day)] == []
    assert list(desk.stored().values()) == COMING


def test_event_of_a_difference_names_both_hours_and_the_consequence() -> None:
    desk = CalendarBooks()
    desk.asks(Broker({TODAY.date: replace(TODAY, close=TODAY.close + HOUR)}))
    (event,) = desk.events.emitted
    assert event.details["message"] == (
        "Mon 2026-11-16 now has 14:30 to 22:00 UTC instead of 14:30 to 21:00 UTC: the broker's calendar has 14:30 "
        "to 22:00 UTC, exchange_calendars 14:30 to 21:00 UTC. Entries stay blocked that day; exits follow the broker's "
        "clock"
    )


def test_session_is_dropped_only_if_the_brokers_clock_agrees() -> None:
    called_off = Broker({TODAY.date: None})
    for clock, kept in ((Broker({}).clock(MORNING), True), (called_off.clock(MORNING), False)):
        desk = CalendarBooks()
        assert desk.asks(called_off, clock=clock) == ["calendar_changed"]
        assert (TODAY.date in desk.stored()) is kept, "a list that forgets must not take the slots of exits away"
        assert difference(desk.ledger, TODAY.date).startswith("the broker's calendar has no session")
    later = CalendarBooks()
    later.asks(Broker({COMING[5].date: None}))
    assert COMING[5].date in later.stored(), "the clock says nothing of days that far ahead"


def test_past_session_is_never_changed() -> None:
    desk, after = CalendarBooks(), TODAY.close + 2 * HOUR
    assert desk.asks(Broker({TODAY.date: replace(TODAY, close=TODAY.close + HOUR)}), after) == []
    assert desk.asks(Broker({TODAY.date: None}), after) == []
    assert desk.stored()[TODAY.date] == TODAY


def test_empty_calendar_of_the_broker_is_ignored() -> None:
    desk, usual = CalendarBooks(), Broker({})
    with pytest.raises(TemporaryError, match="lists no session from 2026-11-16"):
        ask(desk.ledger, ALPACA, lambda first, last, name: [], usual.clock(MORNING), desk.events, "test")
    assert list(desk.stored().values()) == COMING
    assert last_calendar_fetch(desk.ledger, MORNING) is None


def test_calendar_near_its_end_is_reported_once_a_day_with_the_days_left() -> None:
    desk, ends = CalendarBooks(), COMING[10]
    broker = Broker({}, until=ends.date)
    assert desk.asks(broker, clock=Broker({}).clock(MORNING)) == ["calendar_ends"]
    assert desk.events.emitted[0].details["message"] == "it ends on 2026-12-01, in 15 days: tradebot schedule check"
    assert desk.asks(broker, clock=Broker({}).clock(MORNING + HOUR)) == []
    assert desk.asks(broker, clock=Broker({}).clock(MORNING + A_DAY)) == ["calendar_ends"]
    assert calendar_end(desk.ledger, MORNING + A_DAY, VENUE_DAY) == ends.date
    assert list(desk.stored().values()) == COMING, "what the broker doesn't list yet isn't called off"
    assert desk.asks(Broker({}), MORNING + A_DAY + HOUR) == []
    assert calendar_end(desk.ledger, MORNING + A_DAY + HOUR, VENUE_DAY) == COMING[-1].date


def test_calendar_is_extended_early_and_keeps_the_brokers_changes() -> None:
    desk, longer = CalendarBooks(), replace(COMING[40], close=COMING[40].close + HOUR)
    longer_broker = Broker({longer.date: longer})
    desk.asks(longer_broker)
    later = MORNING + AHEAD - LEAST + timedelta(days=10)
    end = there(calendar_end(desk.ledger, later, VENUE_DAY))
    assert (end - later.date()).days > NEAR_END_DAYS
    ensure_sessions(desk.ledger, ALPACA, longer_broker, later, LEAST)
    assert desk.stored()[longer.date] == longer
    assert max(desk.stored()) > end


NIGHTS = replace(ALPACA, calendar="nights", day=VenueDay("America/New_York", timedelta(hours=-6), timedelta(hours=23)))
"""A venue whose calendar exchange_calendars doesn't have."""


class Teller:
    """A broker that lists calendars by name, so many days ahead; it may be away."""

    def __init__(self, ahead: int = 400, **changes: Session) -> None:
        self.ahead, self.changes, self.away = ahead, changes, False
        self.asked: list[str] = []

    def __call__(self, first: date, last: date, name: str) -> Sequence[Session]:
        self.asked.append(name)
        if self.away:
            raise TemporaryError("no answer")
        if name not in ("", "metals"):
            return []
        until = min(last, TODAY.date + timedelta(days=self.ahead))
        usual = {one.date: one for one in globex(first, until)} | {one.date: one for one in self.changes.values()}
        return [usual[day] for day in sorted(usual) if first <= day <= until]


def keep(ledger: MemoryLedger, broker: Teller, now: datetime = MORNING, *others: str) -> None:
    ensure_sessions(ledger, NIGHTS, broker, now, LEAST, others)


def test_calendar_that_exchange_calendars_does_not_have_comes_from_the_broker_and_others_by_their_name() -> None:
    ledger, broker = MemoryLedger(ACCOUNT), Teller()
    keep(ledger, broker, MORNING, "metals", "XLON", "unheard of")
    assert broker.asked == ["", "metals", "unheard of"], "exchange_calendars has London's"
    found = ledger.calendars(TODAY.date, TODAY.date + 40 * A_DAY)
    assert found[""] == found["metals"] == globex(TODAY.date, TODAY.date + 40 * A_DAY)
    assert (found["XLON"][0].open, set(found)) == (datetime(2026, 11, 16, 8, tzinfo=UTC), {"", "metals", "XLON"})
    keep(ledger, broker, MORNING + A_DAY)
    assert len(broker.asked) == 3, "what is stored reaches far enough"


def test_broker_that_is_away_or_tells_few_days_is_not_asked_in_each_pass() -> None:
    ledger, broker = MemoryLedger(ACCOUNT), Teller(ahead=4)
    broker.away = True
    keep(ledger, broker)
    assert ledger.sessions(TODAY.date, date.max) == ()
    broker.away = False
    for _ in range(3):
        keep(ledger, broker)
    assert broker.asked == ["", ""]
    assert [one.date.day for one in ledger.sessions(TODAY.date, date.max)] == [16, 17, 18, 19, 20]


def test_what_the_broker_tells_of_its_own_days_is_stored_and_only_changes_are_told() -> None:
    ledger, events, broker = MemoryLedger(ACCOUNT), MemoryEvents(), Teller(ahead=4)
    keep(ledger, broker, MORNING, "metals")
    clock = VenueClock(MORNING, True, globex(TODAY.date, TODAY.date + A_DAY)[1].open, TODAY.close + HOUR)
    broker.ahead = 10
    ask(ledger, NIGHTS, broker, clock, events, "test")
    assert events.emitted == [], "a day that wasn't known before is no change"
    assert len(ledger.sessions(TODAY.date, date.max)) == 8
    friday = globex(TODAY.date, date(2026, 11, 20))[-1]
    broker.changes["friday"] = replace(friday, close=friday.close - HOUR)
    ask(ledger, NIGHTS, broker, replace(clock, now=MORNING + HOUR), events, "test")
    assert [event.details["message"] for event in events.emitted] == [
        "Fri 2026-11-20 now has 23:00 to 21:00 UTC instead of 23:00 to 22:00 UTC",
        "metals: Fri 2026-11-20 now has 23:00 to 21:00 UTC instead of 23:00 to 22:00 UTC",
    ]
    assert difference(ledger, friday.date) == "", "there is no second calendar to differ from"
    assert ledger.sessions(friday.date, friday.date, "metals") == (broker.changes["friday"],)


def test_sessions_that_overlap_are_refused() -> None:
    ledger, events, broker = MemoryLedger(ACCOUNT), MemoryEvents(), Teller()
    monday, tuesday = globex(TODAY.date, TODAY.date + A_DAY)
    broker.changes["monday"] = replace(monday, close=tuesday.open + HOUR)
    clock = VenueClock(MORNING, True, tuesday.open, monday.close)
    with pytest.raises(TemporaryError, match="sessions of 2026-11-16 and 2026-11-17 overlap"):
        ask(ledger, NIGHTS, broker, clock, events, "test")
