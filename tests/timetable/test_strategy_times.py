"""A strategy's own times: strictly read, one slot for each period, and never a guess beyond the stored calendar."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.kit.core.sessions import globex
from tests.kit.values import SESSION, VENUE_DAY, there
from tradebot.model.bar import Session, StrategySlot
from tradebot.model.struct_tools import replace
from tradebot.timetable import job_times
from tradebot.timetable.strategy_times import (
    SESSIONS_OF_MONTH,
    ClockState,
    OwnTimes,
    a_session_later,
    clock_state,
    in_session_of_month,
    parse,
    session_of_month,
    slots_in_session,
    usable,
)

WEEKS = 80


def sessions() -> list[Session]:
    days = (timedelta(weeks=week, days=day) for week in range(WEEKS) for day in range(5))
    monday = timedelta(days=-SESSION.date.weekday())
    moved = [monday + day for day in days]
    return [Session(SESSION.date + by, SESSION.open + by, SESSION.close + by) for by in moved]


def held(times: OwnTimes) -> set[int]:
    """Return the places of the sessions in which a strategy with one time is called, away from the ends."""
    (part,), known = times.parts, sessions()
    assert part.days
    return {place for place in range(30, len(known) - 30) if part.days.hold(known, place)}


@pytest.mark.parametrize(
    ("text", "named", "later"),
    [
        ("first session of month at open+5m for 3 sessions", "first", "2nd session of month at open+5m for 3 sessions"),
        ("20th session of month at open", "20th", "21st session of month at open"),
        ("22nd session of month at open", "22nd", "23rd session of month at open"),
        ("23rd session of month at open", "23rd", "first session of month at open"),
        ("11th session of month at open", "11th", "12th session of month at open"),
        ("last session of month at close-5m", "last", "first session of month at close-5m"),
        ("5th session of week at open", None, "first session of week at open"),
        (
            "2nd session of month at open, 2nd session of month at close-5m",
            "2nd",
            "3rd session of month at open, 3rd session of month at close-5m",
        ),
        (
            "first session of month at open, 10th session of month at open",
            None,
            "2nd session of month at open, 11th session of month at open",
        ),
        ("first session of month at open, every session at close-5m", None, None),
        ("every 5m", None, None),
    ],
)
def test_times_that_name_sessions_can_be_moved(text: str, named: str | None, later: str | None) -> None:
    times = parse(text, VENUE_DAY)
    assert session_of_month(times) == named
    assert a_session_later(times) == later
    if named:
        assert in_session_of_month(times, named) == text


@given(st.sampled_from([*SESSIONS_OF_MONTH[:19], "last"]))
def test_a_session_later_is_the_next_session_in_every_month_that_has_it(which: str) -> None:
    times = parse(f"{which} session of month at open", VENUE_DAY)
    later = a_session_later(times)
    assert later
    assert held(parse(later, VENUE_DAY)) - {30} == {place + 1 for place in held(times)} - {len(sessions()) - 30}


@given(st.sampled_from(SESSIONS_OF_MONTH), st.sampled_from(SESSIONS_OF_MONTH))
def test_wherever_times_are_moved_they_can_be_moved_back(one: str, other: str) -> None:
    text = f"{one} session of month at open+5m for 3 sessions"
    moved = in_session_of_month(parse(text, VENUE_DAY), other)
    assert session_of_month(parse(moved, VENUE_DAY)) == other
    assert in_session_of_month(parse(moved, VENUE_DAY), one) == text


ENTRIES = job_times.parse("every 5m from open+2m until close-15m", VENUE_DAY)
FIRST, LAST = date(2025, 11, 3), date(2026, 4, 30)
HOLIDAYS = ("2025-11-27", "2025-12-25", "2026-01-01", "2026-01-19", "2026-02-16", "2026-04-03")
HALF_DAYS = ("2025-11-28", "2025-12-24")


def session(day: date, *, half: bool = False) -> Session:
    opened = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    return Session(day, opened, opened + timedelta(minutes=210 if half else 390))


def calendar(holidays: Sequence[str] = HOLIDAYS, half_days: Sequence[str] = HALF_DAYS) -> "Stored":
    days = (FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1))
    open_days = (day for day in days if day.weekday() < 5 and day.isoformat() not in holidays)
    return Stored([session(day, half=day.isoformat() in half_days) for day in open_days])


class Stored:
    def __init__(self, known: Sequence[Session]) -> None:
        self.known = known

    def sessions(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        return [each for each in self.known if start <= each.date <= end]


YEAR = calendar()
days = st.dates(date(2025, 12, 20), date(2026, 3, 10)).map(date.isoformat)
calendars = st.builds(calendar, st.lists(days, max_size=6), st.lists(days, max_size=6)).filter(
    lambda made: all(later.date - earlier.date <= timedelta(days=7) for earlier, later in pairwise(made.known))
)
moments = st.builds(
    lambda day, minute: datetime(2025, 12, 20, 14, tzinfo=UTC) + timedelta(days=day, minutes=minute),
    st.integers(0, 80),
    st.integers(0, 480),
)
which = st.sampled_from(
    [
        *("", "every session ", "2nd session of week ", "9th session of month ", "22nd session of month "),
        *(f"{e} session of {p} " for e in ("first", "last") for p in ("week", "month")),
    ]
)
limits = st.sampled_from(["", " for 10m", " for 1h", " for 1 session", " for 3 sessions", " for 5 sessions"])
times_of_day = st.one_of(
    st.integers(0, 200).map(lambda n: f"at open+{n}m"),
    st.integers(20, 200).map(lambda n: f"at close-{n}m"),
    st.integers(5, 120).map(lambda n: f"every {n}m"),
    st.integers(5, 120).map(lambda n: f"every {n}m from open+10m until close-30m"),
)
texts = st.lists(st.builds(lambda *parts: "".join(parts), which, times_of_day, limits), min_size=1, max_size=3)
own_times = texts.map(lambda parts: parse(", ".join(parts), VENUE_DAY))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def stands(text: str, now: datetime, known: Stored = YEAR) -> ClockState:
    return clock_state("mine", parse(text, VENUE_DAY), known, ENTRIES, now)


def slots_of(times: OwnTimes, known: Stored) -> list[StrategySlot]:
    """Return all slots that the clock tells of, in order, asked once a week."""
    found = set[StrategySlot]()
    for day in range(0, (LAST - FIRST).days, 7):
        told = clock_state("mine", times, known, ENTRIES, at(f"{FIRST + timedelta(days=day)}T22:00"))
        found |= {*told.over, *([told.current] if told.current else [])}
    return sorted(found, key=lambda slot: slot.start)


@pytest.mark.parametrize(
    ("text", "now", "session_of_slot", "name", "until"),
    [
        ("every 5m", "2026-01-02T14:42", "2026-01-02", "open+10m", "2026-01-02T14:45"),
        ("at close-30m", "2025-11-28T17:31", "2025-11-28", "close-30m", "2025-11-28T18:00"),
        ("at open+5m", "2025-11-28T14:40", "2025-11-28", "open+5m", "2025-11-28T18:00"),
        ("every session at open+5m for 30m", "2026-01-02T14:40", "2026-01-02", "open+5m", "2026-01-02T15:05"),
        ("first session of month at open+5m", "2026-01-02T14:40", "2026-01-02",
         "first session of month open+5m", "2026-01-02T21:00"),
        ("first session of month at open+5m for 3 sessions", "2026-01-06T20:00", "2026-01-02",
         "first session of month open+5m", "2026-01-06T21:00"),
        ("last session of month at close-30m", "2026-01-30T20:40", "2026-01-30",
         "last session of month close-30m", "2026-01-30T21:00"),
        ("3rd session of month at open+5m", "2026-01-06T14:40", "2026-01-06",
         "3rd session of month open+5m", "2026-01-06T21:00"),
        ("23rd session of month at open+5m", "2026-01-30T14:40", "2026-01-30",
         "23rd session of month open+5m", "2026-01-30T21:00"),
        ("first session of week at open+5m", "2026-01-20T14:40", "2026-01-20",
         "first session of week open+5m", "2026-01-20T21:00"),
        ("last session of week at close-1h", "2026-04-02T20:10", "2026-04-02",
         "last session of week close-60m", "2026-04-02T21:00"),
    ],
)  # fmt: skip
def test_a_slot_is_due_until_its_deadline(text: str, now: str, session_of_slot: str, name: str, until: str) -> None:
    due, after = there(stands(text, at(now)).current), stands(text, at(until))
    assert (str(due.session), due.name, due.end) == (session_of_slot, name, at(until))
    assert (after.known, after.current is None or after.current.start == at(until)) == (True, True)
    assert there(after.next).start > at(until)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a time"),
        ("first session of month", "is not a time"),
        ("first session of year at open", "is not a time"),
        ("second session of month at open", "is not a time"),
        ("1st session of month at open", "a number must be from 2nd to 23rd; use first or last"),
        ("6th session of week at open", "a number must be from 2nd to 5th"),
        ("24th session of month at open", "a number must be from 2nd to 23rd"),
        ("at open for 3 days", "is not a time"),
        ("at open, ", "is not a time"),
        ("at open for 0m", "never due"),
        ("at close", "is never due"),
        ("at open for 90s", "multiple of 60s"),
        ("at open for 0 sessions", "1 to 5 sessions"),
        ("at open for 6 sessions", "1 to 5 sessions"),
        (", ".join(["at open"] * 21), "at most 20 parts"),
    ],
)
def test_a_text_that_is_not_a_time_is_refused_with_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text, VENUE_DAY)


@pytest.mark.parametrize(
    ("text", "unusable"),
    [
        ("every 5m", None),
        ("every 7m", None),
        ("at close-20m", None),
        ("every session at close-5m for 2 sessions", None),
        ("every 1m", "open+3m"),
        ("at close-5m", "close-5m"),
        ("at open+3m for 2m", "open+3m"),
        ("at open+30m, every 2m from close-10m", "open+380m"),
    ],
)
def test_times_that_no_pass_of_entries_could_meet_are_named(text: str, unusable: str | None) -> None:
    if unusable is None:
        assert usable(text, ENTRIES, VENUE_DAY) == parse(text, VENUE_DAY)
    else:
        with pytest.raises(ValueError, match=re.escape(f"the slot {unusable} would end before any pass")):
            usable(text, ENTRIES, VENUE_DAY)


@given(times=own_times, known=calendars)
@example(times=parse("at close-20m, first session of week every 5m", VENUE_DAY), known=calendar([], []))
@settings(max_examples=15)
def test_slots_never_overlap_and_are_written_as_they_were_read(times: OwnTimes, known: Stored) -> None:
    assert parse(str(times), VENUE_DAY) == times
    slots = slots_of(times, known)
    assert all(slot.start < slot.end for slot in slots)
    assert all(earlier.end <= later.start for earlier, later in pairwise(slots))
    assert len({(slot.session, slot.name) for slot in slots}) == len(slots)


NINTH = "9th session of month at open"
WHICH = {"first": 1, "2nd": 2, "3rd": 3, "5th": 5, "last": 99}


@given(known=calendars, which=st.sampled_from(list(WHICH)), monthly=st.booleans(), minute=st.integers(0, 180))
def test_each_period_has_exactly_one_slot(known: Stored, which: str, monthly: bool, minute: int) -> None:
    text = f"{which} session of {'month' if monthly else 'week'} at open+{minute}m"
    told = [
        slot.session
        for slot in slots_of(parse(text, VENUE_DAY), known)
        if date(2025, 12, 1) <= slot.session <= date(2026, 3, 29)
    ]
    by_period = groupby(
        (each.date for each in known.known if date(2025, 12, 1) <= each.date <= date(2026, 3, 29)),
        key=lambda day: (day.year, day.month) if monthly else day.isocalendar()[:2],
    )
    periods = [list(days) for _, days in by_period]
    expected = [days[: WHICH[which]][-1] for days in periods]
    # The last days end in the middle of a month, so which of its sessions is the last one isn't among them.
    assert told == (expected if which != "last" or not monthly else expected[:-1])


@given(times=own_times, known=calendars, place=st.integers(20, 70))
def test_slots_of_a_session_are_those_that_become_due_in_it(times: OwnTimes, known: Stored, place: int) -> None:
    at = known.known[place]
    expected = [slot for slot in slots_of(times, known) if slot.session == at.date]
    assert list(slots_in_session("mine", times, known, ENTRIES, at)) == expected


@given(times=own_times, known=calendars, now=moments)
def test_at_any_moment_one_slot_at_most_is_due(times: OwnTimes, known: Stored, now: datetime) -> None:
    found = clock_state("mine", times, known, ENTRIES, now)
    assert found.known
    assert found.current is None or found.current.start <= now < found.current.end
    assert found.next is None or found.next.start > now
    assert all(slot.end <= now for slot in found.over)
    assert list(found.over) == sorted(found.over, key=lambda slot: slot.start, reverse=True)


@given(times=own_times, known=calendars, now=moments, lost=st.integers(0, 60), hole=st.integers(0, 20))
@settings(max_examples=60)
def test_a_calendar_with_gaps_has_no_other(times: OwnTimes, known: Stored, now: datetime, lost: int, hole: int) -> None:
    whole = clock_state("mine", times, known, ENTRIES, now)
    ends = now.date() - timedelta(days=lost)
    begins = ends - timedelta(days=hole + 8)
    left = Stored([each for each in known.known if not begins < each.date <= ends])
    assume(any(each.date == now.date() for each in left.known))
    found = clock_state("mine", times, left, ENTRIES, now)
    if found.current is None:
        assert whole.current is None or whole.current.session <= ends or not found.known
    else:
        assert whole.current is not None
        # Where it isn't known whether the next slot exists, this one ends with it.
        assert found.current.end <= whole.current.end
        assert replace(found.current, end=whole.current.end) == whole.current


@pytest.mark.parametrize(
    ("since", "text", "when", "known"),
    [
        (date(2026, 1, 5), "first session of month at open+5m for 3 sessions", "2026-01-05T15:00", False),
        (date(2026, 1, 5), "first session of month at open+5m for 3 sessions", "2026-01-20T15:00", True),
        (date(2025, 12, 22), f"at open for 3 sessions, {NINTH}", "2025-12-23T14:00", False),
        (date(2025, 12, 22), f"first session of week at open+1m for 3 sessions, {NINTH}", "2025-12-23T22:00", False),
    ],
)
def test_without_the_days_before_it_nothing_is_known_of_a_session_or_of_what_an_unknown_one_ended(
    since: date, text: str, when: str, known: bool
) -> None:
    found = stands(text, at(when), Stored([each for each in YEAR.known if each.date >= since]))
    assert (found.current, found.known) == (None, known)


@pytest.mark.parametrize(
    ("last", "first", "known"), [("2025-12-31", "2026-01-20", True), ("2025-12-26", "2026-01-06", False)]
)
def test_the_first_session_after_a_gap_is_not_taken_for_its_months_first(last: str, first: str, known: bool) -> None:
    """A week into the month it can't be; before that, nobody knows."""
    with_gap = Stored([each for each in YEAR.known if not last < each.date.isoformat() < first])
    found = stands("first session of month at open+5m", at(f"{first}T15:00"), with_gap)
    assert (found.current, found.known) == (None, known)


def test_a_session_that_began_the_evening_before_has_its_own_slots_also_after_a_gap() -> None:
    known = Stored(globex(date(2026, 10, 5), date(2026, 12, 18)))
    text, evening = "first session of week at open+30m", at("2026-11-22T23:45")
    monday = there(stands(text, evening, known).current)
    assert (monday.session, monday.start) == (date(2026, 11, 23), at("2026-11-22T23:30"))
    behind_a_gap = Stored([each for each in known.known if not "2026-11-09" <= each.date.isoformat() < "2026-11-23"])
    assert stands(text, evening, behind_a_gap).current == monday


def test_slot_ends_at_early_close_as_soon_as_calendar_has_it() -> None:
    now, day = at("2026-01-06T15:00"), date(2026, 1, 6)
    early = Stored([replace(one, close=at("2026-01-06T18:00")) if one.date == day else one for one in YEAR.known])
    ends = [slot.end for known in (YEAR, early) if (slot := stands("at open+5m", now, known).current)]
    assert ends == [at("2026-01-06T21:00"), at("2026-01-06T18:00")]
