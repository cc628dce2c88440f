"""Explain the days of a schedule: half days, holidays, and nights in which the venue's clocks change."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from types import MappingProxyType

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.venue_day import VenueDay
from tradebot.timetable.chore_times import ChoreTimes, Cron
from tradebot.timetable.entries import TimetableEntry
from tradebot.timetable.job_times import whole_day

DAY = timedelta(days=1)
SATURDAY = 5


class Note(Struct, frozen=True):
    """A note on an unusual day, in one sentence."""

    day: date
    said: str


def notes(
    first: date,
    last: date,
    sessions: Sequence[Session],
    lines: Sequence[TimetableEntry],
    venue: VenueDay,
    differences: Mapping[date, str] = MappingProxyType({}),
) -> Sequence[Note]:
    """Return notes on unusual days from `first` through `last`, in order.

    `differences` says on which days the broker's calendar differs from exchange_calendars, and how.
    """
    notes = list[Note]()
    for day in (first + count * DAY for count in range((last - first).days + 1)):
        if day in differences:
            sentence = "These times follow the broker's, and so do exits; entries are blocked that day."
            notes.append(Note(day, f"On {day:%a %Y-%m-%d} {differences[day]}. {sentence}"))
        notes += [Note(day, sentence) for sentence in _of_day(day, sessions, lines, venue)]
    return notes


def is_half(session: Session, venue: VenueDay) -> bool:
    """Return True if a session is shorter than a usual one."""
    return session.close - session.open < venue.lasts and not venue.never_ends


def _of_day(day: date, sessions: Sequence[Session], lines: Sequence[TimetableEntry], venue: VenueDay) -> Iterator[str]:
    session = next((each for each in sessions if each.date == day), None)
    if session is None and day.weekday() < SATURDAY:
        yield f"{day:%a %Y-%m-%d} is a holiday: there is no session, so nothing timed by a session runs."
    if session is not None and is_half(session, venue):
        yield _half_day(session, sessions, lines, venue)
    yield from _clocks(day, lines, venue)


def _half_day(session: Session, sessions: Sequence[Session], lines: Sequence[TimetableEntry], venue: VenueDay) -> str:
    close, usual = venue.local(session.close), whole_day(venue)
    earlier = duration(venue.lasts - (session.close - session.open))
    lost = [line.job for line in lines if _comes(line, usual, [usual]) and not _comes(line, session, sessions)]
    missing = f" {', '.join(lost)} {'does' if len(lost) == 1 else 'do'}n't run at all." if lost else ""
    return (
        f"{session.date:%a %Y-%m-%d} is a half day: the session closes at {close:%H:%M} in {venue.zone_name}, so "
        f"times relative to the close are {earlier} earlier.{missing}"
    )


def _comes(line: TimetableEntry, session: Session, sessions: Sequence[Session]) -> bool:
    # Which session of the month it is doesn't matter here.
    names_sessions = isinstance(line.times, ChoreTimes) and line.times.names_sessions
    return names_sessions or bool(line.slots(session.date, sessions, 0))


def _clocks(day: date, lines: Sequence[TimetableEntry], venue: VenueDay) -> Iterator[str]:
    before, after = (venue.usual(each).open for each in (day - DAY, day))
    change = after - before - DAY
    if not change:
        return
    way = "back" if change > timedelta(0) else "forward"
    yield (
        f"On {day:%a %Y-%m-%d} the clocks in {venue.zone_name} go {way} {duration(abs(change))}: sessions open at "
        f"{after:%H:%M} UTC from then on, not at {before:%H:%M} UTC."
    )
    for line in lines:
        for at in _cron_times(line, day):
            shifted = venue.local(venue.at(day, at)).time()
            if shifted != at:
                yield f"{line.job} runs at {shifted:%H:%M} that day: the clocks skip {at:%H:%M}."
            elif venue.at(day, at.replace(fold=0)) != venue.at(day, at.replace(fold=1)):
                yield f"{line.job} runs once that day, although the clocks show {at:%H:%M} twice."


def _cron_times(line: TimetableEntry, day: date) -> Iterator[time]:
    if isinstance(line.times, ChoreTimes):
        for part in line.times.parts:
            if isinstance(part.times, Cron):
                yield from (time(int(name[:2]), int(name[3:5])) for name, _ in part.times.starts(day))


def duration(span: timedelta) -> str:
    """Return hours and minutes in words: an hour, 3 hours, 2 h 30 min."""
    hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
    if minutes:
        return f"{hours} h {minutes} min"
    return "an hour" if hours == 1 else f"{hours} hours"
