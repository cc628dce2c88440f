"""Parse the times at which a strategy wants to run: "first session of month at open+5m for 3 sessions, at close-30m".

They can express everything that a job's times can, and may also name the sessions, and how long a slot stays due.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise, zip_longest
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.bar import Session, StrategySlot
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.ports.stores import Calendar
from tradebot.timetable import job_times
from tradebot.timetable.job_times import JobTimes, Times, whole_day
from tradebot.timetable.sessions import CALENDAR_KNOWN

MOST_SESSIONS = 5
"""The most sessions for which a slot may stay due, so that its end is always within the stored calendar."""
LONGEST_CLOSURE = timedelta(days=7)
"""The most days from one session to the next; a longer distance is a hole in the stored calendar."""
NEAR = timedelta(days=10)
_PART = re.compile(
    r"(?:every session |(?P<days>(?P<which>first|last|\d{1,2}(?:st|nd|rd|th)) session of (?:week|month)) )?"
    r"(?P<moment>.*?)"
    r"(?: for (?P<limit>\d{1,6}[smh]|\d{1,3} sessions?))?"
)
_EXPECTED = (
    "'every 5m', 'every 30m from open+30m until close-30m', 'at close-10m' or "
    "'first session of month at open+5m for 3 sessions', separated by commas"
)


class SessionChoice(Struct, frozen=True):
    """The first, the last or the `number`th session of every week or month.

    If a week or month has fewer sessions, its last session counts instead.
    """

    text: str
    first: bool
    monthly: bool
    number: int = 1

    def hold(self, sessions: Sequence[Session], index: int) -> bool | None:
        """Return True if the session at this index is due; None if that depends on sessions that aren't known."""
        if self.number == 1:
            return self._ends(sessions, index, first=self.first)
        count = self._count(sessions, index)
        if count is None or count >= self.number:
            return None if count is None else count == self.number
        return self._ends(sessions, index, first=False)

    def _count(self, sessions: Sequence[Session], index: int) -> int | None:
        """Return which session of its week or month this one is, counted from 1; None if that isn't known."""
        for start in range(index, -1, -1):
            if (first := self._ends(sessions, start, first=True)) is not False:
                return None if first is None else index - start + 1
        return None

    def _ends(self, sessions: Sequence[Session], index: int, *, first: bool) -> bool | None:
        """Return True if the session at this index is the first or the last of its week or month, None if unknown."""
        day, neighbor = sessions[index].date, index - 1 if first else index + 1
        if 0 <= neighbor < len(sessions):
            return self._period(sessions[neighbor].date) != self._period(day)
        away = -1 if first else 1
        if self._period(day + timedelta(days=away)) != self._period(day):
            return True
        return False if self._period(day + away * LONGEST_CLOSURE) == self._period(day) else None

    def _period(self, day: date) -> tuple[int, int]:
        return (day.year, day.month) if self.monthly else day.isocalendar()[:2]


class OwnPart(Struct, frozen=True):
    """Times in some sessions, or in all of them if `days` is None.

    A slot is due for `lasting`, or until the close of `sessions` sessions. If both are None, a slot of a series is due
    until the next one, and a single slot until the session's close.
    """

    days: SessionChoice | None
    times: job_times.TimePart
    lasting: timedelta | None
    sessions: int | None


class OwnTimes(Times, frozen=True):
    """All times of a strategy, with the text they were parsed from."""

    parts: tuple[OwnPart, ...]

    @property
    def reach(self) -> timedelta:
        """Return how far the calendar has to be known before and after a moment to find the strategy's slots at that
        moment.
        """
        return CALENDAR_KNOWN if any(part.days for part in self.parts) else NEAR

    @property
    def longest(self) -> int:
        """Return the largest number of sessions for which a slot of the strategy may stay due."""
        return max(part.sessions or 1 for part in self.parts)


class ClockState(Struct, frozen=True):
    """The state of a strategy's own clock at a moment.

    `current` is the slot that is due, and `next` the one after this moment; either is None if there is none in the
    stored calendar. `over` are the slots that ended before, latest first. If `known` is False, the calendar doesn't
    reach far enough to say whether a slot is due.
    """

    current: StrategySlot | None
    next: StrategySlot | None
    over: tuple[StrategySlot, ...]
    known: bool = True


class _PossibleSlot(NamedTuple):
    """A slot, and whether its session is known to have it."""

    slot: StrategySlot
    known: bool


class _Day(NamedTuple):
    """The slots of a session: `before` has those that count except the last, whose end depends on later sessions.

    `start` is when the session's first slot starts, whether that counts or not.
    """

    before: tuple[_PossibleSlot, ...]
    start: datetime
    last: _PossibleSlot


class _Slots(NamedTuple):
    """Slots in order, their starts, and the indices of those whose session may not have them."""

    slots: tuple[StrategySlot, ...]
    starts: tuple[datetime, ...]
    unknown: tuple[int, ...]


def parse(text: str, venue: VenueDay) -> OwnTimes:
    """Parse a strategy's times; raise ValueError with the expected format, or with the part that is never due."""
    return OwnTimes(*job_times.in_parts(text, venue, _part))


def _problems(times: OwnTimes, entries: JobTimes, usual: Session) -> Iterator[str]:
    """Yield the slots of a usual session that can never be used, because no entry pass starts while they are due.

    A series is allowed to have slots before the first and after the last entry pass, so that "every 5m" doesn't need to
    state hours.
    """
    passes = [due.start for due in entries.in_session(usual)]
    for part in times.parts:
        within = {due.name: due for due in job_times.due_times(part.times, usual)}
        slots = [(name, _end(part, due, [usual])) for name, due in within.items()]
        unused = [name for name, end in slots if not any(within[name].start <= at < end for at in passes)]
        between = [name for name in unused if passes and passes[0] <= within[name].start <= passes[-1]]
        if part.sessions is None and (between or len(unused) == len(slots)):
            name = (between or unused)[0]
            yield f"{times}: the slot {name} would end before any pass of entries begins (trade-once: {entries})"


@lru_cache(maxsize=64)
def usable(text: str, entries: JobTimes, venue: VenueDay) -> OwnTimes:
    """Parse a strategy's times; raise ValueError if they are invalid, or don't fit the times at which entries
    are made.
    """
    times = parse(text, venue)
    for problem in _problems(times, entries, whole_day(venue)):
        raise ValueError(problem)
    return times


def clock_state(strategy: str, times: OwnTimes, calendar: Calendar, entries: JobTimes, now: datetime) -> ClockState:
    """Return the slot of a strategy that is due at `now`, the earlier ones, and the next one."""
    sessions = _unbroken(calendar.sessions((now - times.reach).date(), (now + times.reach).date()), now)
    slots = _slots(strategy, times, tuple(sessions), entries)
    begun = bisect_right(slots.starts, now)
    due = begun > 0 and now < slots.slots[begun - 1].end
    is_known = not due or begun - 1 not in slots.unknown
    following = (slots.slots[index] for index in range(begun, len(slots.slots)) if index not in slots.unknown)
    # Slots before an unknown one would end when it begins.
    unknown = bisect_left(slots.unknown, begun)
    since = slots.unknown[unknown - 1] + 1 if unknown else 0
    over = slots.slots[since : begun - due][::-1]
    return ClockState(slots.slots[begun - 1] if due and is_known else None, next(following, None), over, is_known)


def slots_in_session(
    strategy: str, times: OwnTimes, calendar: Calendar, entries: JobTimes, session: Session
) -> tuple[StrategySlot, ...]:
    """Return the slots of a strategy that start in a session, as far as the stored calendar reaches."""
    around = calendar.sessions((session.open - times.reach).date(), (session.open + times.reach).date())
    slots = _slots(strategy, times, tuple(_unbroken(around, session.open)), entries)
    certain = (slot for index, slot in enumerate(slots.slots) if index not in slots.unknown)
    return tuple([slot for slot in certain if slot.session == session.date])


def in_days(text: str) -> tuple[SessionChoice | None, str]:
    """Split times into the sessions that they name (None for every session) and the remaining text.

    Raise ValueError if they are invalid.
    """
    match = _PART.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time; use {_EXPECTED}")
    named = _days(match["days"], match["which"]) if match["days"] else None
    return named, text[match.start("moment") :]


def _part(text: str, venue: VenueDay) -> OwnPart:
    named, rest = in_days(text)
    match = _PART.fullmatch(rest)
    if match is None or not job_times.is_time(match["moment"]):
        raise ValueError(f"{text!r} is not a time; use {_EXPECTED}")
    return OwnPart(named, job_times.parse_part(match["moment"], venue), *_limit(text, match["limit"]))


def _days(text: str, which: str) -> SessionChoice:
    if which in ("first", "last"):
        return SessionChoice(text, which == "first", text.endswith("month"))
    number, monthly = int(which[:-2]), text.endswith("month")
    if not 2 <= number <= _MOST[monthly]:
        raise ValueError(f"{text!r}: a number must be from 2nd to {_ORDINALS[_MOST[monthly] - 1]}; use first or last")
    return SessionChoice(text, True, monthly, number)


def _limit(text: str, limit: str | None) -> tuple[timedelta | None, int | None]:
    """Return for how long, or for how many sessions, a slot stays due; both are None without a limit.

    Raise ValueError if the limit is out of range.
    """
    if limit is None:
        return None, None
    if "session" in limit:
        count = int(limit.split()[0])
        if not 1 <= count <= MOST_SESSIONS:
            raise ValueError(f"{text!r}: a slot can stay due for 1 to {MOST_SESSIONS} sessions")
        return None, count
    lasting = timedelta(seconds=job_times.seconds(limit))
    if not lasting:
        raise ValueError(f"{text!r}: a slot that stays due for no time is never due")
    return lasting, None


def _unbroken(sessions: Sequence[Session], now: datetime) -> Sequence[Session]:
    """Return the sessions around `now` that follow each other without a gap in the stored calendar."""
    gaps = [later for earlier, later in pairwise(sessions) if later.date - earlier.date > LONGEST_CLOSURE]
    behind = {gap.date for gap in gaps if gap.date <= now.date() or gap.open <= now}
    first, last = max(behind, default=date.min), min({gap.date for gap in gaps} - behind, default=date.max)
    return [session for session in sessions if first <= session.date < last]


@lru_cache(maxsize=64)
def _slots(strategy: str, times: OwnTimes, sessions: tuple[Session, ...], entries: JobTimes) -> _Slots:
    """Return the slots that count, in order; each ends before the next one starts."""
    days, founds = list[tuple[int, _Day]](), list[_PossibleSlot]()
    for index in range(len(sessions)):
        holds = tuple([part.days.hold(sessions, index) if part.days else True for part in times.parts])
        last_end = days[-1][1].last.slot.end if days and None in holds else None
        if day := _day(strategy, times, holds, sessions[index : index + times.longest], entries, last_end):
            days.append((index, day))
    for (index, day), later in zip_longest(days, days[1:]):
        last = _until(day.last, later[1].start) if later else day.last
        founds += day.before
        founds += [last] if _counts(last, sessions[index : index + MOST_SESSIONS], entries) else []
    unknown = tuple([index for index, each in enumerate(founds) if not each.known])
    return _Slots(tuple([each.slot for each in founds]), tuple([each.slot.start for each in founds]), unknown)


@lru_cache(maxsize=256)
def _day(
    strategy: str,
    times: OwnTimes,
    holds: tuple[bool | None, ...],
    sessions: tuple[Session, ...],
    entries: JobTimes,
    last_end: datetime | None,
) -> _Day | None:
    """Return the slots of the first of these sessions, at most one for each start time; None if it has none.

    `last_end` is when the last slot of the earlier sessions ends if no other slot starts before then. It is only needed
    if it isn't known which slots the session has, and None otherwise.
    """
    by_start: dict[datetime, _PossibleSlot] = {}
    for slot in sorted(_all(strategy, times, holds, sessions), key=lambda each: (each.slot.start, each.slot.name)):
        first = by_start.setdefault(slot.slot.start, slot)
        if not first.known:
            # If its session doesn't have it, another slot of the same start is due, or the one before it.
            end = max(slot.slot.end, first.slot.end, last_end or slot.slot.end)
            by_start[slot.slot.start] = first._replace(slot=replace(first.slot, end=end))
        last_end = by_start[slot.slot.start].slot.end
    ordered = list(by_start.values())
    if not ordered:
        return None
    before = (_until(each, later.slot.start) for each, later in pairwise(ordered))
    counting = tuple([each for each in before if _counts(each, sessions[:1], entries)])
    return _Day(counting, ordered[0].slot.start, ordered[-1])


def _until(slot: _PossibleSlot, end: datetime) -> _PossibleSlot:
    return slot if slot.slot.end <= end else _PossibleSlot(replace(slot.slot, end=end), slot.known)


def _all(
    strategy: str, times: OwnTimes, holds: Sequence[bool | None], sessions: Sequence[Session]
) -> Iterator[_PossibleSlot]:
    session = sessions[0]
    for part, hold in zip(times.parts, holds, strict=True):
        for due in job_times.due_times(part.times, session) if hold is not False else ():
            name = f"{part.days.text} {due.name}" if part.days else due.name
            yield _PossibleSlot(
                StrategySlot(strategy, session.date, name, due.start, _end(part, due, sessions)), bool(hold)
            )


def _end(part: OwnPart, due: job_times.Due, sessions: Sequence[Session]) -> datetime:
    """Return when a slot of the first of these sessions ends, if no other starts before."""
    if part.sessions is not None:
        return sessions[: part.sessions][-1].close
    return min(due.start + part.lasting, sessions[0].close) if part.lasting else due.end


def _counts(slot: _PossibleSlot, sessions: Sequence[Session], entries: JobTimes) -> bool:
    """Return True if an entry pass starts in one of these sessions while a slot is due.

    A slot that isn't known counts too: the session may have it, and then the slot before ends when it starts.
    """
    during = (_starts(entries, session) for session in sessions if session.open < slot.slot.end)
    return not slot.known or any(_starts_within(starts, slot.slot) for starts in during)


def _starts_within(starts: Sequence[datetime], slot: StrategySlot) -> bool:
    index = bisect_left(starts, slot.start)
    return index < len(starts) and starts[index] < slot.end


@lru_cache(maxsize=128)
def _starts(times: JobTimes, session: Session) -> tuple[datetime, ...]:
    return tuple(due.start for due in times.in_session(session))


_ORDINALS = ("first", "2nd", "3rd", *(f"{number}th" for number in range(4, 21)), "21st", "22nd", "23rd")
SESSIONS_OF_MONTH = _ORDINALS[:21]
"""The sessions of the month to choose from. A month with fewer sessions uses its last one instead of later ones."""
_MOST = {True: 23, False: 5}
"""The most sessions that a month and a week can have."""


def session_of_month(times: OwnTimes) -> str | None:
    """Return the session of the month that all of a strategy's times name, such as "first"; None if they don't."""
    named = {part.days.text.split()[0] if part.days and part.days.monthly else "" for part in times.parts}
    return named.pop() or None if len(named) == 1 else None


def in_session_of_month(times: OwnTimes, which: str) -> str:
    """Return these times with another session of the month; valid only if `session_of_month` returns one for them."""
    return _move_days(times, lambda days: f"{which} session of month")


def a_session_later(times: OwnTimes) -> str | None:
    """Return the same times one session later; None unless all of them name a session of the week or month.

    After the last session comes the first of the next week or month.
    """
    if not all(part.days for part in times.parts):
        return None
    return _move_days(times, _next)


def _move_days(times: OwnTimes, to: Callable[[SessionChoice], str]) -> str:
    words = [word.strip() for word in times.text.split(",")]
    named = [(word, part.days) for word, part in zip(words, times.parts, strict=True)]
    return ", ".join(word.replace(days.text, to(days), 1) if days else word for word, days in named)


def _next(days: SessionChoice) -> str:
    period = "month" if days.monthly else "week"
    index = days.number if days.first and days.number < _MOST[days.monthly] else 0
    return f"{_ORDINALS[index]} session of {period}"
