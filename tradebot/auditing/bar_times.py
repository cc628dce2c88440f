"""Judge the times of bars against the exchange's sessions: gaps, holes, wrong zones, and bars stamped at their end."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tradebot.auditing.bar_findings import BarFinding, Flaw, Numbers, Stored, StoredBar, finding
from tradebot.model.bar import Session
from tradebot.text import counted

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
SHORTEST_DAY_S = 23 * HOUR_S
EARLY, LATE = time(4), time(20)
"""When extended trading begins and ends in New York."""
LIQUID_SHARE = 0.95
"""A symbol is liquid if its median session has a bar in this share of its minutes."""
CHANCE = 0.01
"""A run of missing minutes is a hole if chance makes less than this many such runs in all sessions looked at."""
FEED_SYMBOLS, FEED_SHARE = 3, 0.2
"""A minute was lost by the source if so many liquid symbols lack it, and this share of them."""
FEWEST_BARS = 10
"""With fewer bars in a week, the week says nothing about its zone."""
EXPLAINED, BETTER = 0.8, 0.9
"""Another zone explains a week if this share of its volume falls into the session there, and no more than the second
share of that falls into it here.
"""
FEWEST_STRANGE = 3
"""With fewer daily bars on days without a session, the dates aren't all moved."""
_NEW_YORK = ZoneInfo("America/New_York")
_SHIFTS_H = [hours for hours in range(-14, 15) if hours]


class Hours(NamedTuple):
    """A session in seconds since 1970 UTC: New York's midnight, the extended hours, and the regular ones."""

    midnight_s: int
    early_s: int
    open_s: int
    close_s: int
    late_s: int

    @property
    def minutes(self) -> int:
        """Return the number of regular minutes."""
        return (self.close_s - self.open_s) // MINUTE_S


def midnight_s(day: date) -> int:
    """Return midnight in New York in seconds since 1970 UTC: the start of the daily bar."""
    return _at(day, time())


def hours_of(sessions: Iterable[Session]) -> tuple[Hours, ...]:
    """Return the hours of sessions, oldest first."""
    return tuple(
        Hours(
            midnight_s(session.date),
            _at(session.date, EARLY),
            int(session.open.timestamp()),
            int(session.close.timestamp()),
            _at(session.date, LATE),
        )
        for session in sessions
    )


def _at(day: date, clock: time) -> int:
    return int(datetime.combine(day, clock, _NEW_YORK).timestamp())


@dataclass(frozen=True, slots=True)
class Day:
    """The bars of one session, extended hours included, and how many there are.

    `missing` are the starts of the regular minutes without a bar.
    """

    hours: Hours
    bars: Sequence[StoredBar]
    count: int
    missing: tuple[int, ...]

    @property
    def slim(self) -> "Day":
        """Return the day without its bars, which would fill the memory if those of all symbols were kept."""
        return Day(self.hours, (), self.count, self.missing)

    @property
    def share(self) -> float:
        """Return the share of regular minutes that have a bar."""
        return 1 - len(self.missing) / self.hours.minutes


def days(stored: Stored, hours: Sequence[Hours]) -> tuple[Day, ...]:
    """Return each session from the first to the last minute bar, those without a bar too.

    Only minutes between the first and the last bar can be missing.
    """
    starts = [bar.start_s for bar in stored.bars]
    if not starts:
        return ()
    known = set(starts)
    inside = (each for each in hours if each.late_s > starts[0] and each.early_s <= starts[-1])
    return tuple(_day(stored.bars, starts, known, each) for each in inside)


def _day(bars: Sequence[StoredBar], starts: Sequence[int], known: set[int], hours: Hours) -> Day:
    first = max(hours.open_s, starts[0] - starts[0] % MINUTE_S)
    minutes = range(first, min(hours.close_s, starts[-1] + 1), MINUTE_S)
    found = bars[bisect_left(starts, hours.early_s) : bisect_left(starts, hours.late_s)]
    return Day(hours, found, len(found), tuple(minute for minute in minutes if minute not in known))


def filled(every: Sequence[Day]) -> float:
    """Return the share of minutes that have a bar in the median session with any."""
    return median(day.share for day in every if day.count) if any(day.count for day in every) else 0.0


def gaps(stored: Stored, absent: Iterable[bool], hours: Sequence[Hours]) -> Iterator[BarFinding]:
    """Find runs of sessions without a bar; `absent` says for each of `hours` whether it has none."""
    for missing, run in groupby(zip(absent, hours, strict=True), key=lambda each: each[0]):
        if missing:
            lost = [each for _, each in run]
            span = lost[0].midnight_s, lost[-1].midnight_s
            found = f"{counted(len(lost), 'session')} without a bar"
            yield finding(stored, Flaw.GAP, span, Numbers(len(lost), 0, len(lost)), found)


def minute_gaps(stored: Stored, every: Sequence[Day]) -> Iterator[BarFinding]:
    """Find sessions without a minute bar."""
    return gaps(stored, (not day.count for day in every), [day.hours for day in every])


def daily_gaps(stored: Stored, hours: Sequence[Hours]) -> Iterator[BarFinding]:
    """Find sessions without a daily bar, from the first bar to the last."""
    known = {bar.start_s for bar in stored.bars}
    inside = [each for each in hours if stored.bars[0].start_s <= each.midnight_s <= stored.bars[-1].start_s]
    return gaps(stored, (each.midnight_s not in known for each in inside), inside)


def holes(stored: Stored, every: Sequence[Day], lost_by_feed: frozenset[int]) -> Iterator[BarFinding]:
    """Find runs of missing minutes that chance doesn't explain, and minutes that the source lost, of a liquid symbol.

    A symbol that lacks a share q of its minutes has a run of k missing ones about n·q^k times in n minutes.
    """
    share = filled(every)
    seen = [day for day in every if day.count]
    minutes = sum(day.hours.minutes for day in seen)
    for day in seen:
        rate = max(1 - share, 1 / day.hours.minutes)
        for run in _runs(day.missing):
            if minutes * rate ** len(run) < CHANCE:
                yield _hole(stored, day, run, f"{counted(len(run), 'minute')} in a row without a bar")
            else:
                lost = [minute for minute in run if minute in lost_by_feed]
                if lost:
                    found = f"{counted(len(lost), 'minute')} that other liquid symbols lack too: the source lost it"
                    yield _hole(stored, day, lost, found)


def _hole(stored: Stored, day: Day, run: Sequence[int], found: str) -> BarFinding:
    return finding(stored, Flaw.HOLE, (run[0], run[-1]), Numbers(len(run), len(run), day.hours.minutes), found)


def _runs(missing: Sequence[int]) -> Iterator[list[int]]:
    """Yield minutes that follow each other."""
    for _, run in groupby(enumerate(missing), key=lambda each: each[1] - each[0] * MINUTE_S):
        yield [minute for _, minute in run]


def lost_by_feed(liquid: Iterable[Sequence[Day]]) -> frozenset[int]:
    """Return the minutes that several liquid symbols lack at once."""
    covering: dict[int, int] = {}
    lacking: dict[int, int] = {}
    for every in liquid:
        for day in every:
            if day.count:
                covering[day.hours.open_s] = covering.get(day.hours.open_s, 0) + 1
                for minute in day.missing:
                    lacking[minute] = lacking.get(minute, 0) + 1
    opens = sorted(covering)
    return frozenset(
        minute
        for minute, count in lacking.items()
        if count >= max(FEED_SYMBOLS, FEED_SHARE * covering[opens[bisect_left(opens, minute + 1) - 1]])
    )


def end_stamped(stored: Stored, every: Sequence[Day]) -> Iterator[BarFinding]:
    """Find minute bars of regular hours that are stamped at their end: one at each close, and none at any open.

    Only liquid symbols tell: a thin one often has no trade in the first minute, but one in the closing auction.
    """
    full = [day for day in every if day.bars and day.share >= LIQUID_SHARE] if filled(every) >= LIQUID_SHARE else []
    moved = [day for day in full if _ends_at_close(day)]
    if moved and len(moved) == len(full):
        found = f"a bar at the close of {counted(len(moved), 'session')} and none at an open: stamped at the end?"
        span = moved[0].hours.open_s, moved[-1].hours.close_s
        yield finding(stored, Flaw.END_STAMP, span, Numbers(len(moved), 0, len(moved)), found)


def _ends_at_close(day: Day) -> bool:
    return day.bars[0].start_s == day.hours.open_s + MINUTE_S and day.bars[-1].start_s == day.hours.close_s


def wrong_zone(stored: Stored, hours: Sequence[Hours]) -> tuple[BarFinding, ...]:
    """Find weeks whose minute bars would fit the sessions if they were some whole number of hours earlier or later."""
    weeks = [(_shift_h(bars, hours), bars) for bars in _cut(stored.bars, _week)]
    found = []
    for shift, run in groupby(weeks, key=lambda each: each[0]):
        if shift:
            moved = [bar for _, bars in run for bar in bars]
            words = f"{counted(len(moved), 'bar')} fit the sessions if they are {counted(abs(shift), 'hour')} "
            words += "later" if shift > 0 else "earlier"
            span = moved[0].start_s, moved[-1].start_s
            found.append(finding(stored, Flaw.WRONG_ZONE, span, Numbers(len(moved), -shift, 0), words))
    return tuple(found)


def _cut(bars: Sequence[StoredBar], part: Callable[[StoredBar], int]) -> Iterator[list[StoredBar]]:
    return (list(run) for _, run in groupby(bars, key=part))


def _week(bar: StoredBar) -> int:
    """Return a bar's week. It ends on a Sunday, when there is no session and summer time begins and ends."""
    return (bar.start_s // DAY_S + 4) // 7


def _day_utc(bar: StoredBar) -> int:
    return bar.start_s // DAY_S


def _shift_h(bars: Sequence[StoredBar], hours: Sequence[Hours]) -> int:
    """Return by how many hours bars would have to move to fit; 0 if they fit, or if no shift explains them."""
    if len(bars) < FEWEST_BARS or not _looks_moved(bars, hours):
        return 0
    shares = {shift: _share_in_sessions(bars, hours, shift * HOUR_S) for shift in _SHIFTS_H}
    best = max(shares, key=lambda shift: (shares[shift], -abs(shift)))
    here = _share_in_sessions(bars, hours, 0)
    return best if shares[best] >= EXPLAINED and here <= BETTER * shares[best] else 0


def _looks_moved(bars: Sequence[StoredBar], hours: Sequence[Hours]) -> bool:
    """Return True if bars are outside of all extended hours, or none is in the first or in the last regular hour."""
    if any(_session_at(bar.start_s, hours) is None for bar in bars):
        return True
    sessions = {session for bar in bars if (session := _session_at(bar.start_s, hours))}
    return any(
        not any(edge <= bar.start_s < edge + HOUR_S for bar in bars)
        for session in sessions
        for edge in (session.open_s, session.close_s - HOUR_S)
    )


def _session_at(at_s: int, hours: Sequence[Hours]) -> Hours | None:
    """Return the session in whose extended hours a moment lies."""
    place = bisect_left(hours, at_s + 1, key=lambda each: each.early_s) - 1
    return hours[place] if place >= 0 and at_s < hours[place].late_s else None


def _share_in_sessions(bars: Sequence[StoredBar], hours: Sequence[Hours], moved_s: int) -> float:
    """Return the share of the volume, or of the bars if there is none, that would lie in regular hours."""
    total = inside = 0.0
    by_volume = any(bar.volume > 0 for bar in bars)
    for bar in bars:
        weight = max(bar.volume, 0.0) if by_volume else 1.0
        session = _session_at(bar.start_s + moved_s, hours)
        total += weight
        if session and session.open_s <= bar.start_s + moved_s < session.close_s:
            inside += weight
    return inside / total if total else 0.0


def outside(stored: Stored, hours: Sequence[Hours]) -> Iterator[BarFinding]:
    """Find minute bars outside of all extended hours, by day."""
    for bars in _cut(strange(stored, hours), _day_utc):
        found = f"{counted(len(bars), 'bar')} outside of every session"
        yield finding(stored, Flaw.NO_SESSION, (bars[0].start_s, bars[-1].start_s), Numbers(len(bars)), found)


def strange(stored: Stored, hours: Sequence[Hours]) -> list[StoredBar]:
    """Return the daily bars without a session, or the minute bars outside of all extended hours."""
    if stored.daily:
        known = {each.midnight_s for each in hours}
        return [bar for bar in stored.bars if bar.start_s not in known]
    return [bar for bar in stored.bars if _session_at(bar.start_s, hours) is None]


def daily_times(stored: Stored, hours: Sequence[Hours]) -> Iterator[BarFinding]:
    """Find daily bars that don't start at midnight in New York on the date of a session."""
    odd = strange(stored, hours)
    moved_days = _moved_days(stored, {each.midnight_s for each in hours}) if len(odd) >= FEWEST_STRANGE else 0
    if moved_days:
        words = f"{counted(len(stored.bars), 'bar')} fit the sessions if they are a day "
        words += "later" if moved_days > 0 else "earlier"
        span = stored.bars[0].start_s, stored.bars[-1].start_s
        yield finding(stored, Flaw.WRONG_ZONE, span, Numbers(len(stored.bars), -24.0 * moved_days, 0), words)
        return
    for bar in odd:
        at = datetime.fromtimestamp(bar.start_s, UTC).astimezone(_NEW_YORK)
        words = (
            f"no session on this {at:%A}"
            if at.time() == time()
            else f"starts at {at:%H:%M} in New York, not at midnight"
        )
        yield finding(stored, Flaw.NO_SESSION, (bar.start_s, bar.start_s), Numbers(1), words)


def _moved_days(stored: Stored, known: set[int]) -> int:
    """Return by how many days all dates would have to move to be sessions; 0 if neither way fits."""
    dates = [_date_of(bar.start_s) for bar in stored.bars]
    fits = (move for move in (1, -1) if all(midnight_s(day + timedelta(days=move)) in known for day in dates))
    return next(fits, 0)


def _date_of(at_s: int) -> date:
    return datetime.fromtimestamp(at_s, UTC).astimezone(_NEW_YORK).date()


def duplicates(stored: Stored) -> Iterator[BarFinding]:
    """Find bars with the same start, and daily bars of the same date."""
    for before, bar in pairwise(stored.bars):
        if before.start_s == bar.start_s or (stored.daily and _same_date(before.start_s, bar.start_s)):
            words = "the same bar twice" if before.close == bar.close else "two bars of one time with different prices"
            yield finding(
                stored, Flaw.DUPLICATE, (before.start_s, bar.start_s), Numbers(2, bar.close, before.close), words
            )


def _same_date(one_s: int, other_s: int) -> bool:
    return other_s - one_s < SHORTEST_DAY_S and _date_of(one_s) == _date_of(other_s)


def not_closed(stored: Stored, hours: Sequence[Hours], now: datetime) -> Iterator[BarFinding]:
    """Find bars that can't be complete yet at `now`; a daily bar is complete when its session has closed."""
    now_s = now.timestamp()
    closes = {each.midnight_s: each.close_s for each in hours if each.close_s > now_s} if stored.daily else {}
    recent = stored.bars[bisect_left(stored.bars, now_s - 2 * DAY_S, key=lambda bar: bar.start_s) :]
    width_s = 0 if stored.daily else MINUTE_S
    early = [bar.start_s for bar in recent if closes.get(bar.start_s, bar.start_s + width_s) > now_s]
    if early:
        found = f"{counted(len(early), 'bar')} not complete at {now:%Y-%m-%d %H:%M} UTC"
        yield finding(stored, Flaw.NOT_CLOSED, (early[0], early[-1]), Numbers(len(early)), found)


def day_over_s(start_s: int) -> int:
    """Return when the New York date of a moment is over, in seconds since 1970 UTC."""
    return midnight_s(_date_of(start_s) + timedelta(days=1))
