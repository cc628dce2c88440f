"""The entries of the timetable: each with its command, times, handling of delays, needs, and time limit.

The five jobs that trade are passes inside `serve`. Every other entry is a chore: a command that runs as a separate
process in the upkeep lane, and is stopped after its time limit.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.model.venue_day import VenueDay
from tradebot.timetable import chore_times, job_times
from tradebot.timetable.chore_times import ChoreTimes
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.sessions import FETCHING, Slot, slots

CHORES = frozenset({
    "archive push", "audit", "backtest", "backup", "bars check", "bars fetch", "bars list", "compare", "config check",
    "demote", "doctor", "events", "fetch-flow", "fills", "journal verify", "learn", "learn policy walk", "orders",
    "parity", "pnl", "positions", "promote", "reconcile", "report", "schedule", "score", "shadow", "signals", "status",
    "strategy list", "summary", "trades", "why-no-orders",
})  # fmt: skip
"""The verbs that a chore can run: they send no orders, and they start nothing that requires a person."""
NEVER_ENDS, ITS_OWN_BOT = "never ends", "isn't available: a chore runs on the bot whose timetable it is in"
NOT_IN_CHORES: Mapping[tuple[str, str], str] = {
    ("doctor", "--order"): "sends an order",
    ("reconcile", "--apply"): "accepts a plan, which only a person may do",
    ("promote", "--to"): "promotes, which only a person may do; promote --by-itself follows promotion.by_itself",
    ("promote", "--without-evidence"): "promotes without evidence, which only a person may do",
    ("schedule", "run"): "runs a chore, and only one runs at a time",
    ("status", "--watch"): NEVER_ENDS,
    ("events", "--follow"): NEVER_ENDS,
    ("events", "-f"): NEVER_ENDS,
    **{(verb, option): ITS_OWN_BOT for verb in CHORES for option in ("--state-dir", "--config")},
}
"""Options that a chore's verb can't have, with reasons."""
SESSION = "{session}"
"""The placeholder for the date of the slot's session in a chore's options."""
LONGEST_UNTIL = timedelta(days=7)
ALWAYS = timedelta(days=35)
"""How far back a chore with `late: always` is searched for: longer than the time between two monthly slots."""
LONGEST_LIMIT_S = 6 * 3600
_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
_DURATION = re.compile(r"(\d{1,6})([smh])")
_ONCE = re.compile(r"once until (\d{1,6}[smh])")
_DEFAULTS: Mapping[str, object] = {"late": "once until 12h", "limit": "10m"}
ENDS = ENDED, FAILED = " ended", " failed"
"""The suffixes of a chore's name for claiming the end of its slot; chore names contain no spaces."""


class EntryNeed(StrEnum):
    """A dependency of an entry: facts fetched at its time, or a comparison of books and broker."""

    FLOW = "flow"
    RECONCILED = "reconciled"


PROVIDERS: Mapping[EntryNeed, Job] = {EntryNeed.FLOW: Job.FETCH_FLOW, EntryNeed.RECONCILED: Job.RECONCILE}
ALWAYS_NEEDED: Mapping[str, frozenset[EntryNeed]] = {Job.TRADE_ONCE: frozenset({EntryNeed.RECONCILED})}


class Lane(StrEnum):
    """The lanes of `serve`: groups of entries that run independently of each other.

    Each lane runs in a thread of its own. Only in lock-step with the embedded exchange, one thread runs them all.
    """

    EXITS = "exits"
    ENTRIES = "entries"
    FETCHING = "fetching"
    UPKEEP = "upkeep"


class LateStart(Struct, frozen=True):
    """How late a slot that didn't run on time may still begin: by `until` or, if that is None, by the grace period.

    `text` is the configuration's wording: skip, once until 2h, or always (until the next slot begins).
    """

    text: str
    until: timedelta | None


SKIP, UNTIL_NEXT = LateStart("skip", None), LateStart("always", ALWAYS)


class TimetableEntry(Struct, frozen=True):
    """One entry of the timetable. `limit_s` is None for a pass inside `serve`, which has no time limit."""

    job: str
    verb: str
    options: tuple[str, ...]
    times: JobTimes | ChoreTimes
    late: LateStart
    needs: frozenset[EntryNeed]
    limit_s: int | None
    lane: Lane

    @property
    def is_chore(self) -> bool:
        return self.lane is Lane.UPKEEP

    @property
    def names_sessions(self) -> bool:
        return isinstance(self.times, ChoreTimes) and self.times.names_sessions

    @property
    def reach(self) -> timedelta:
        return (self.late.until or timedelta(days=1)) if self.is_chore else timedelta(days=1)

    def slots(self, day: date, sessions: Sequence[Session], grace_s: int) -> Sequence[Slot]:
        """Return the slots that belong to a day, in order, given the sessions around it."""
        if isinstance(self.times, JobTimes):
            session = next((session for session in sessions if session.date == day), None)
            return slots(Job(self.job), self.times, session) if session else ()
        until = timedelta(seconds=grace_s) if self.late.until is None else self.late.until
        return [Slot(self.job, day, name, start, start + until) for name, start in self.times.starts(day, sessions)]

    def command(self, session: date) -> tuple[str, ...]:
        return (*self.verb.split(), *(option.replace(SESSION, session.isoformat()) for option in self.options))

    def to_setting(self) -> str | dict[str, object]:
        if not self.is_chore:
            needs = sorted(self.needs - ALWAYS_NEEDED.get(self.job, frozenset()))
            return {"when": str(self.times), "needs": needs} if needs else str(self.times)
        verb = " ".join((self.verb, *self.options))
        limit = f"{(self.limit_s or 0) // job_times.MINUTE_S}m"
        setting: dict[str, object] = {"verb": verb, "when": str(self.times), "late": self.late.text, "limit": limit}
        return {**setting, "needs": sorted(self.needs)} if self.needs else setting


class Timetable(Mapping[Job, JobTimes]):
    """The timetable: maps each job that trades to its times; `lines` has all entries in order, including chores."""

    def __init__(self, lines: Iterable[TimetableEntry], off: Iterable[str] = ()) -> None:
        self.lines = tuple(lines)
        self.off = tuple(off)
        """The chores that are turned off."""
        self._jobs = MappingProxyType({
            Job(line.job): line.times for line in self.lines if isinstance(line.times, JobTimes)
        })  # fmt: skip

    @property
    def chores(self) -> Sequence[TimetableEntry]:
        return tuple(line for line in self.lines if line.is_chore)

    def of(self, lanes: Iterable[Lane]) -> Sequence[TimetableEntry]:
        wanted = frozenset(lanes)
        return tuple(line for line in self.lines if line.lane in wanted)

    def to_settings(self) -> dict[str, str | dict[str, object] | None]:
        return {**{line.job: line.to_setting() for line in self.lines}, **dict.fromkeys(self.off)}

    def __getitem__(self, job: Job) -> JobTimes:
        return self._jobs[job]

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timetable) and (self.lines, self.off) == (other.lines, other.off)

    __hash__ = None  # type: ignore[assignment]


def parse(job: str, value: object, venue: VenueDay) -> TimetableEntry | None:
    """Parse an entry, which is a text with its times or a mapping.

    Return None if the entry is off; raise ValueError if it is invalid.
    """
    if job in set(Job):
        return _job(Job(job), value, venue)
    if not _NAME.fullmatch(job):
        raise ValueError("use a name of small letters, digits and dashes, such as nightly-report")
    if value is None:
        return None
    fields = _parts(job, value, {"verb", "when", "late", "needs", "limit"})
    verb, *options = _words(fields.get("verb", job))
    times = chore_times.parse(_text(fields.get("when"), "when", "close+5m"), venue)
    late, limit_s = _late(fields["late"]), _limit(fields["limit"])
    line = TimetableEntry(job, verb, tuple(options), times, late, _needs(fields.get("needs")), limit_s, Lane.UPKEEP)
    _fits(line)
    return line


def _job(job: Job, value: object, venue: VenueDay) -> TimetableEntry:
    fields = _parts(job, value, {"when", "needs"})
    times, needs = job_times.parse(fields.get("when"), venue), _needs(fields.get("needs"))
    allowed = {Job.SCORE: {EntryNeed.FLOW}, Job.TRADE_ONCE: {EntryNeed.FLOW, EntryNeed.RECONCILED}}.get(job, set())
    if needs - allowed:
        raise ValueError(
            f"{job} can't have the condition {', '.join(sorted(needs - allowed))}: fetching, exits and"
            " reconciling always run, and score can only have the condition flow"
        )
    late, lane = (SKIP, Lane.ENTRIES) if job is Job.TRADE_ONCE else (UNTIL_NEXT, Lane.EXITS)
    lane = Lane.FETCHING if job in FETCHING else lane
    return TimetableEntry(
        job.value, job.value, (), times, late, needs | ALWAYS_NEEDED.get(job, frozenset()), None, lane
    )


def _parts(job: str, value: object, parts: set[str]) -> dict[str, object]:
    fields = dict(value) if isinstance(value, Mapping) else {"when": value}
    unknown = sorted(str(key) for key in fields.keys() - parts)
    if unknown:
        times = job_times.EXPECTED if job in set(Job) else chore_times.EXPECTED
        raise ValueError(
            f"there is no setting {', '.join(unknown)} here; use {', '.join(sorted(parts))}, or write just the"
            f" times: {times}"
        )
    return {**_DEFAULTS, **fields}


def _words(value: object) -> list[str]:
    """Return a verb, which may have up to three words, and its options; raise ValueError if a chore can't run it."""
    words = _text(value, "verb", "score --outcomes").split()
    for length in (3, 2, 1):
        verb = " ".join(words[:length])
        if verb in CHORES:
            _require_usable(verb, words[length:])
            return [verb, *words[length:]]
    jobs = ", ".join(repr(job.value) for job in Job)
    raise ValueError(
        f"{' '.join(words)!r} is neither a job ({jobs}) nor a verb that a chore can run ({', '.join(sorted(CHORES))})"
    )


def _require_usable(verb: str, options: Sequence[str]) -> None:
    option_names = [option.partition("=")[0] for option in options]
    # Single-letter options may be combined, as in -fn 5.
    option_names += [
        f"-{letter}" for option in option_names if option[:1] == "-" != option[1:2] for letter in option[1:]
    ]
    for option in option_names:
        if why := NOT_IN_CHORES.get((verb, option)):
            raise ValueError(f"a chore can't run {f'{verb} {option}'!r}: it {why}")


def _text(value: object, what: str, example: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} has to be a text, such as {example!r}")
    return value


def _late(value: object) -> LateStart:
    text = " ".join(_text(value, "late", "once until 2h").split())
    if text in (SKIP.text, UNTIL_NEXT.text):
        return SKIP if text == SKIP.text else UNTIL_NEXT
    match = _ONCE.fullmatch(text)
    if not match:
        raise ValueError(f"late is {text!r}; use 'skip', 'once until 2h' or 'always'")
    until = timedelta(seconds=job_times.seconds(match[1]))
    if not timedelta(0) < until <= LONGEST_UNTIL:
        raise ValueError(f"late is {text!r}; a deadline is from 1m to {LONGEST_UNTIL.days * 24}h")
    return LateStart(text, until)


def _limit(value: object) -> int:
    text = _text(value, "limit", "10m")
    found_s = job_times.seconds(text) if _DURATION.fullmatch(text) else 0
    if not 0 < found_s <= LONGEST_LIMIT_S:
        raise ValueError(f"limit is {text!r}; use a time from 1m to {LONGEST_LIMIT_S // 3600}h, such as 10m")
    return found_s


def _needs(value: object) -> frozenset[EntryNeed]:
    named = [] if value is None else value if isinstance(value, list | tuple) else [value]
    unknown = [each for each in named if each not in set(EntryNeed)]
    if unknown:
        raise ValueError(f"needs {unknown[0]!r}; use {' or '.join(EntryNeed)}")
    return frozenset(EntryNeed(str(each)) for each in named)


def _fits(line: TimetableEntry) -> None:
    """Raise ValueError if a chore could still be due, or running, when its next slot begins.

    Also raise it if the chore's options contain the session's date although all its times are cron times, which also
    occur on days without a session.
    """
    assert isinstance(line.times, ChoreTimes)
    gap_s = chore_times.least_gap_s(line.times)
    if gap_s is None:
        return
    if line.limit_s is not None and line.limit_s >= gap_s:
        raise ValueError(
            f"limit {line.limit_s} s is not below the {gap_s} s between two of its slots ({line.times}): a run"
            " could still be going when the next one is due"
        )
    if line.late.until is not None and line.late is not UNTIL_NEXT and line.late.until.total_seconds() > gap_s:
        raise ValueError(
            f"late {line.late.text!r} lasts longer than the {gap_s} s between two of its slots ({line.times}):"
            " to run it until the next one begins, write 'always'"
        )
    if SESSION in " ".join(line.options) and not line.times.needs_sessions:
        raise ValueError(f"{SESSION} stands for the slot's session, but {line.times} names days without one")
