"""The timetable of the simulated year, and its slots computed again without the bot's own code."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.kit.values import VENUE_DAY, us_sessions
from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.timetable import lines
from tradebot.timetable.lines import Timetable

GRACE_S = 90
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
EVERY_M = {Job.FETCH_FLOW: 30, Job.SCORE: 30, Job.EVALUATE_EXITS: 15, Job.TRADE_ONCE: 30, Job.RECONCILE: 60}
FIRST_M = {Job.FETCH_FLOW: 2, Job.SCORE: 2, Job.EVALUATE_EXITS: 1, Job.TRADE_ONCE: 2, Job.RECONCILE: 1}
BEFORE_CLOSE_M = {Job.TRADE_ONCE: 15}
"""The jobs as the year has them: rarer than in the shipped timetable, with the same beginnings and ends."""
CHORES: dict[str, dict[str, object]] = {
    "backup": {"verb": "backup --session", "when": "close+5m", "late": "always", "limit": "30m"},
    "audit": {"when": "close+10m", "late": "once until 12h", "limit": "5m"},
    "morning": {"verb": "status", "when": "pre-market 08:00", "late": "skip"},
    "monthly": {"verb": "report", "when": "first session of month at open+5m", "late": "once until 2h"},
    "spring": {"verb": "doctor", "when": 'cron "30 2 * * Sun"', "late": "always"},
    "fall": {"verb": "doctor", "when": 'cron "30 1 * * Sun"', "late": "always"},
}
Key = tuple[str, date, str]


class Planned(NamedTuple):
    """A slot by its key, with the moment at which it begins."""

    key: Key
    start: datetime


def timetable() -> Timetable:
    """Return the timetable of the year, parsed as the configuration is."""
    jobs: dict[str, object] = {
        job: f"every {EVERY_M[job]}m from open+{FIRST_M[job]}m until {_until(job)}" for job in Job
    }
    parsed = [lines.parse(name, value, VENUE_DAY) for name, value in {**jobs, **CHORES}.items()]
    return Timetable(line for line in parsed if line is not None)


def slots_of(sessions: Sequence[Session], before: Session | None = None) -> Iterator[Planned]:
    """Yield every slot of these sessions and of the days between them; `before` is the session before the first."""
    first = sessions[0].date
    if before is None and first.day > 1:
        before = next(iter(us_sessions(first.replace(day=1), first - DAY)), None)
    months = {(before.date.year, before.date.month)} if before else set()
    for session in sessions:
        for job in Job:
            last = session.close - BEFORE_CLOSE_M.get(job, 0) * MINUTE
            minute = FIRST_M[job]
            while session.open + minute * MINUTE < last:
                yield Planned((job.value, session.date, f"open+{minute}m"), session.open + minute * MINUTE)
                minute += EVERY_M[job]
        yield Planned(("backup", session.date, "close+5m"), session.close + 5 * MINUTE)
        yield Planned(("audit", session.date, "close+10m"), session.close + 10 * MINUTE)
        if "morning" in CHORES:
            yield Planned(("morning", session.date, "pre-market 08:00"), of_day(session.date, 8, 0))
        if (session.date.year, session.date.month) not in months:
            months.add((session.date.year, session.date.month))
            name = "first session of month open+5m"
            yield Planned(("monthly", session.date, name), session.open + 5 * MINUTE)
    day = sessions[0].date
    while day <= sessions[-1].date:
        if day.weekday() == 6:
            yield Planned(("spring", day, f"02:30 {VENUE_DAY.label}"), of_day(day, 2, 30))
            yield Planned(("fall", day, f"01:30 {VENUE_DAY.label}"), of_day(day, 1, 30))
        day += DAY


def of_day(day: date, hour: int, minute: int) -> datetime:
    """Return a time of day at the venue in UTC."""
    return datetime.combine(day, time(hour, minute), ZoneInfo(VENUE_DAY.zone)).astimezone(UTC)


def _until(job: Job) -> str:
    return f"close-{BEFORE_CLOSE_M[job]}m" if job in BEFORE_CLOSE_M else "close"
