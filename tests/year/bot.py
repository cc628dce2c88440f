"""A bot whose verbs only note what they did, with the real duty, runner, claims and chores, in a mortal body."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from jobs.backoff import Backoff
from jobs.chores import Chores
from jobs.chores import is_unfinished as cut_short
from jobs.due_slots import SlotTracker
from jobs.runner import Done, LogLine, Runner, RunnerContext
from jobs.slot_claims import SlotRefused, claim
from tests.kit.values import VENUE_DAY, Killed, us_sessions
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.time.clock import Clocks, RealTime
from tradebot.errors import ClocksDisagreeError, ExitCode, TemporaryError
from tradebot.model.bar import Session
from tradebot.model.record import CycleRecord, Job
from tradebot.model.serving import ChoreEnd, Pause
from tradebot.model.trading import SlotClaim
from tradebot.ports.stores import Ledger
from tradebot.ports.world import Call
from tradebot.timetable import entries as lines
from tradebot.timetable.entries import Lane, Timetable
from tradebot.timetable.entries import TimetableEntry as TimetableLine
from tradebot.timetable.sessions import Slot

# The timetable of the simulated year, and its slots computed again without the bot's own code.

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


JOBS = frozenset(job.value for job in Job)
NEVER = datetime.min.replace(tzinfo=UTC)
APART = timedelta(seconds=60)
"""As `limits.max_clock_disagreement_s` is shipped."""
RETRY_S, RETRY_MOST_S = 15, 600
RECORDED = frozenset({Job.EVALUATE_EXITS, Job.TRADE_ONCE})
"""The jobs whose record begins before they act, so that one that was cut short can be told."""


class Act(NamedTuple):
    """What a verb did to the world, for which slot, when, in whose process, and after how many kills."""

    key: Key
    at: datetime
    by: str
    kills: int


class Outside(Struct):
    """What no kill erases: the books, what was recorded, and what was done; and what will happen to the processes.

    A process is killed before the write of a number in `kills`, or after it if the number is negative. At the claims
    of `races` a rival is first.
    """

    ledger: Ledger
    now: datetime
    kills: frozenset[int] = frozenset()
    races: frozenset[int] = frozenset()
    rival: Callable[[Job], object] | None = None
    acts: list[Act] = field(default_factory=list)
    begun: dict[str, bool] = field(default_factory=dict)
    effects: set[str] = field(default_factory=set)
    records: list[CycleRecord] = field(default_factory=list)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    slept: tuple[datetime, datetime] = (NEVER, NEVER)
    machine_ahead: timedelta = timedelta(0)
    """How far the machine's clock is ahead of the right time, `now`."""
    broker_ahead: timedelta = timedelta(0)
    """How far the broker's clock is."""
    writes: int = 0
    killed: int = 0

    @property
    def by_broker(self) -> datetime:
        """Return the time by the broker's clock, which is trading time."""
        return self.now + self.broker_ahead

    @property
    def clocks_agree(self) -> bool:
        """Return True unless the two clocks are too far apart to trust either."""
        return abs(self.machine_ahead - self.broker_ahead) <= APART

    def write(self, change: Callable[[], object]) -> None:
        """Make one change that lasts, unless the process is killed before; it may also be killed right after."""
        self.writes += 1
        number = self.writes
        if number in self.kills:
            self._kill()
        change()
        if -number in self.kills:
            self._kill()

    def overtake(self, job: str) -> None:
        """Let the rival run a job first, if this is a moment for it."""
        rival = self.rival
        if rival is not None and job in JOBS and self.writes in self.races:
            self.rival = None
            rival(Job(job))
            self.rival = rival

    def _kill(self) -> None:
        self.killed += 1
        raise Killed


class Books:
    """The ledger as one process uses it: each of its writes may be its last."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        """Claim a slot."""
        found: list[SlotClaim] = []
        ledger = self._outside.ledger
        self._outside.overtake(job)
        self._outside.write(lambda: found.append(ledger.claim_slot(job, session, slot, by, at)))
        return found[0]

    def miss_slots(self, slots: Iterable[Key], by: str, at: datetime) -> Sequence[SlotClaim]:
        """Claim slots that nobody ran."""
        found: list[SlotClaim] = []
        ledger, slots = self._outside.ledger, list(slots)
        self._outside.write(lambda: found.extend(ledger.miss_slots(slots, by, at)))
        return found

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        """Return the claims of a session."""
        return self._outside.ledger.slot_claims(session)

    def sessions(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return stored sessions."""
        return self._outside.ledger.sessions(start, end, calendar)

    def books_opened_at(self) -> datetime | None:
        """Return when the books were opened."""
        return self._outside.ledger.books_opened_at()


class Pace(RealTime):
    """Trading time as `serve` has it, from the clocks of this world; between two due moments nothing ticks here."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._rested_at: datetime | None = None
        self._counted_at, self._counted_s = NEVER, 0.0
        clocks = Clocks(self._machine, self._counted, self._counted)
        super().__init__(lambda: outside.by_broker, APART.total_seconds(), clocks)

    def rest(self) -> None:
        """Note when nothing was left to do."""
        self._rested_at = self._outside.now

    def pause(self) -> Pause | None:
        """Return the machine's sleep since then."""
        (began, ended), rested = self._outside.slept, self._rested_at
        return Pause(began, ended, 0) if rested and rested <= began < ended <= self._outside.now else None

    def _machine(self) -> float:
        return self._counted() + self._outside.machine_ahead.total_seconds()

    def _counted(self) -> float:
        if self._outside.now is not self._counted_at:
            self._counted_at = self._outside.now
            self._counted_s = self._counted_at.timestamp()
        return self._counted_s


class YearBot:
    """One process of `serve`, its lanes ticked one after the other; or the verbs that cron starts, one at a time."""

    def __init__(self, outside: Outside, name: str, *, lanes: bool) -> None:
        self.outside = outside
        self.name = name
        self.lines: list[LogLine] = []
        self.fails: dict[str, Exception] = {}
        self.takes: dict[Job, timedelta] = {}
        self._books = Books(outside)
        self._timetable = timetable()
        self._runners: list[Runner] = []
        self._duties: list[tuple[SlotTracker, Pace]] = []
        self._backoff = Backoff(RETRY_S, RETRY_MOST_S, outside.events)
        self._lanes = lanes

    def start(self) -> None:
        """Begin as `serve` does: compare first, then look for what is due."""
        if not self._lanes:
            self._runners = [self._runner(tuple(Lane))]
            self._runners[0].begin()
            return
        first = self._runner(tuple(Lane))
        first.begin()
        self._runners, self._duties = [], []
        fetching = self._runner([Lane.FETCHING], reconciled=first.is_reconciled)
        exits = self._runner([Lane.EXITS], reconciled=first.is_reconciled)
        entries = self._runner([Lane.ENTRIES], reconciled=first.is_reconciled, facts=fetching, exits=exits)
        upkeep = self._runner([Lane.UPKEEP], reconciled=first.is_reconciled)
        self._runners = [fetching, exits, entries, upkeep]

    def tick(self) -> None:
        """Let each lane look once."""
        for runner in self._runners:
            runner.tick()

    def next_due(self) -> datetime | None:
        """Return when the next slot begins, as this process knows it."""
        times = [(duty, pace.now) for duty, pace in self._duties]
        waits = [due - now for duty, now in times for due in (duty.next_start(now),) if due]
        return self.outside.now + min(waits) if waits else None

    def one_shot(self, job: Job, *, alone: bool) -> Done:
        """Run one verb by itself, as cron does; without a `serve`, it also accounts for what nobody ran."""
        done, now = self._pass(job), self.outside.by_broker
        if alone:
            duty = self._duty(self._timetable.lines)
            over = [missed for missed in duty.look(now).missed if missed.slot.end <= now]
            duty.write(over, now, self.name)
        return done

    def _duty(self, lines: Sequence[TimetableLine]) -> SlotTracker:
        return SlotTracker(self._books, lines, GRACE_S, VENUE_DAY, lambda now: None, self._cut_short)  # type: ignore[arg-type]

    def _runner(
        self,
        lanes: Sequence[Lane],
        *,
        reconciled: bool = False,
        facts: Runner | None = None,
        exits: Runner | None = None,
    ) -> Runner:
        lines = self._timetable.of(lanes)
        duty, pace = self._duty(lines), Pace(self.outside)
        self._duties.append((duty, pace))
        verbs = {Job(line.job): partial(self._pass, Job(line.job)) for line in lines if not line.is_chore}
        chores = Chores(
            self._books,  # type: ignore[arg-type]
            {line.job: line for line in self._timetable.chores},
            self.outside.events,
            self.name,
            self._run_chore,
        )
        context = RunnerContext(
            verbs, self.name, "year", self.outside.records.append, self.outside.events, self.lines.append, lambda: 0.0,
            lambda slot: self._chore(chores, slot),
        )  # fmt: skip
        return Runner(context, duty, pace, reconciled=reconciled, facts=facts, exits=exits, backoff=self._backoff)

    def _pass(self, job: Job) -> Done:
        """Do what a verb does: claim, record that it begins, act under an id that follows from the slot, and record."""
        outside = self.outside
        if job.value in self.fails:
            raise self.fails[job.value]
        outside.now += self.takes.get(job, timedelta(0))
        if not outside.clocks_agree:
            if job is Job.EVALUATE_EXITS:
                return Done("looked at prices alone, without a slot", ExitCode.DONE)
            raise CLOCKS_APART
        now = outside.by_broker
        known = self._books, self._timetable, job, now, VENUE_DAY, self.name
        call = claim(*known, grace_s=GRACE_S, unfinished=self._unfinished)  # type: ignore[arg-type]
        if isinstance(call, SlotRefused):
            return Done(str(call.decision.reason), ExitCode.DONE)
        if job in RECORDED:
            outside.write(lambda: outside.begun.setdefault(call.cycle_id, False))
        outside.write(partial(self._act, call))
        if job in RECORDED:
            outside.write(lambda: outside.begun.update({call.cycle_id: True}))
        return Done(f"{call.slot} done", ExitCode.DONE)

    def _act(self, call: Call) -> None:
        """Send what this slot sends: an id that the venue knows already changes nothing."""
        if call.cycle_id not in self.outside.effects:
            self.outside.effects.add(call.cycle_id)
            self._note((call.job.value, call.session, call.slot))

    def _unfinished(self, call: Call) -> bool:
        return call.job in RECORDED and not self.outside.begun.get(call.cycle_id, False)

    def _cut_short(self, slot: Slot, now: datetime) -> bool:
        if slot.job not in JOBS:
            return cut_short(self._books, slot)  # type: ignore[arg-type]
        return self._unfinished(Call(Job(slot.job), slot.session, slot.name, self.name))

    def _chore(self, chores: Chores, slot: Slot) -> Done:
        if slot.job in self.fails:
            raise self.fails[slot.job]
        self._slot = slot
        if not self.outside.clocks_agree:
            raise CLOCKS_APART
        return chores(slot, self.outside.by_broker)

    def _run_chore(self, words: Sequence[str], limit_s: float, stopping: Callable[[], bool]) -> ChoreEnd:
        self.outside.write(lambda: self._note(self._slot.key))
        return ChoreEnd(0, None, 1.0, "done")

    def _note(self, key: Key) -> None:
        self.outside.acts.append(Act(key, self.outside.now, self.name, self.outside.killed))


AWAY = TemporaryError("the broker doesn't answer")
CLOCKS_APART = ClocksDisagreeError("CLOCKS_DISAGREE")
