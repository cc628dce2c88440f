"""A year of slots from a seed: all sessions, with closures, sleeps, kills, a second daemon, and cron."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import pairwise

from msgspec import Struct, field

from tests.kit.values import ACCOUNT, CASH, Killed, us_sessions
from tests.year.bot import AWAY, DAY, GRACE_S, JOBS, MINUTE, Act, Key, Outside, Planned, YearBot, slots_of
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import SlotClaim
from tradebot.ports.stores import Ledger

CRON = "cron"
SECOND = timedelta(seconds=1)
RESTART = timedelta(seconds=2)
"""How long a supervisor takes to start a killed process again."""
AGAIN = timedelta(seconds=16)
"""When lanes look again after a due moment: what waited or failed is tried then."""
SLOW_LINE = timedelta(seconds=GRACE_S + 30)
"""How much later than its slot cron starts an entry whose line begins with a slow fetch."""
UNEASY = timedelta(hours=1)
"""For how long after a trouble something may still wait, or fail."""


class YearTrouble(StrEnum):
    """What happens to the bot in this year."""

    DOWN = "down"
    ASLEEP = "asleep"
    BROKER_AWAY = "broker away"
    CLOSES_EARLY = "closes early"
    OPENS_LATE = "opens late"
    SLOW_FETCH = "slow fetch"
    MACHINE_CLOCK_WRONG = "the machine's clock is wrong"
    BROKER_CLOCK_WRONG = "the broker's clock is wrong"


WRONG_CLOCKS = frozenset({YearTrouble.MACHINE_CLOCK_WRONG, YearTrouble.BROKER_CLOCK_WRONG})
JUMPS_M = (3.0, 20.0, 100.0, 400.0, 1600.0)
"""By how many minutes clocks jump, forward or backward."""


class Event(Struct, frozen=True):
    """One trouble: when it begins, and when it ends. A changed session becomes known when it begins.

    A wrong clock jumps `ahead` then, which may be backward, and jumps back at the end.
    """

    at: datetime
    until: datetime
    trouble: YearTrouble
    ahead: timedelta = timedelta(0)


class Year(Struct):
    """What is to happen, and what came of it."""

    sessions: Sequence[Session]
    events: Sequence[Event]
    lanes: bool
    second_daemon: bool
    cron: bool
    outside: Outside
    planned: dict[Key, Planned] = field(default_factory=dict)
    dropped: set[Key] = field(default_factory=set)
    """Slots that a changed session doesn't have any more; they may have been accounted for before."""
    restarts: int = 0


def drawn(
    seed: int,
    first: date,
    last: date,
    *,
    kills: int = 0,
    races: int = 0,
    troubles: int = 0,
    lanes: bool = True,
    second_daemon: bool = False,
    cron: bool = False,
    ledger: Ledger | None = None,
) -> Year:
    """Return what is to happen in the sessions between two dates."""
    chance = random.Random(seed)  # noqa: S311 - troubles, not secrets
    sessions = us_sessions(first, last)
    ledger = ledger or MemoryLedger(ACCOUNT)
    ledger.put_sessions(us_sessions(first - 50 * DAY, last + 10 * DAY))
    begin = sessions[0].open - 12 * 60 * MINUTE
    ledger.open_books(CASH, begin)
    writes = 3 * len(list(slots_of(sessions)))
    fated = [chance.choice((-1, 1)) * chance.randrange(20, max(writes, 21)) for _ in range(kills)]
    outside = Outside(ledger, begin, frozenset(fated), frozenset(chance.sample(range(writes), races)))
    events = sorted(_troubles(chance, sessions, troubles), key=lambda event: event.at)
    return Year(sessions, events, lanes, second_daemon, cron, outside)


def _troubles(chance: random.Random, sessions: Sequence[Session], count: int) -> Iterator[Event]:
    """Yield troubles, each in its own session, none of them lasting to the next one."""
    days = chance.sample(range(len(sessions) - 1), min(count, len(sessions) - 1))
    lengths = {
        YearTrouble.DOWN: (2, 4 * 1440),
        YearTrouble.ASLEEP: (2, 3 * 1440),
        YearTrouble.BROKER_AWAY: (1, 90),
        YearTrouble.SLOW_FETCH: (1, 60),
        YearTrouble.CLOSES_EARLY: (0, 0),
        YearTrouble.OPENS_LATE: (0, 0),
        YearTrouble.MACHINE_CLOCK_WRONG: (1, 180),
        YearTrouble.BROKER_CLOCK_WRONG: (1, 180),
    }
    ended = sessions[0].open - DAY
    for place in sorted(days):
        session, trouble = sessions[place], chance.choice(list(YearTrouble))
        at = session.open + chance.randrange(-60, 400) * MINUTE + chance.randrange(60) * SECOND
        if trouble is YearTrouble.OPENS_LATE:
            at = session.open - chance.randrange(1, 40) * MINUTE
        until = at + chance.randrange(*lengths[trouble]) * MINUTE if lengths[trouble][1] else at
        if at > ended:
            ended = until
            # A machine's clock that is set by seconds is still believed.
            jumps = JUMPS_M if trouble is YearTrouble.BROKER_CLOCK_WRONG else (*JUMPS_M, 0.5)
            ahead = chance.choice((-1, 1)) * chance.choice(jumps) * MINUTE if trouble in WRONG_CLOCKS else timedelta(0)
            yield Event(at, until, trouble, ahead)


class Player:
    """Plays a year: from one due moment to the next."""

    def __init__(self, year: Year) -> None:
        self.year = year
        self.outside = year.outside
        self._names = ["serve a/1", "serve b/2"] if year.second_daemon else ["serve a/1"]
        self._bots: dict[str, YearBot | None] = dict.fromkeys(self._names)
        self._cron = YearBot(self.outside, CRON, lanes=False)
        self.outside.rival = partial(self._cron.one_shot, alone=False) if year.cron else None
        self._starts_at: dict[str, datetime] = dict.fromkeys(self._names, self.outside.now)
        self._chance = random.Random(len(year.events))  # noqa: S311 - an order, no secret
        self._events = list(year.events)
        self._asleep_until = self.outside.now
        self._down_until = self.outside.now
        self.away_until = self.slow_until = self.outside.now
        year.planned = {planned.key: planned for planned in slots_of(year.sessions)}
        self._by_start = _by_start(year.planned.values()) if year.cron else {}
        self._crontab = sorted(self._by_start)
        self._clocks_right_at: datetime | None = None
        self._look_at: datetime | None = None
        self._uneasy_until = self.outside.now

    def play(self) -> Year:
        """Play until after the last session, by when every slot of it is over."""
        end = max((self.year.sessions[-1].close + 2 * DAY, *(event.until + DAY for event in self._events)))
        while self.outside.now < end:
            self._tick_all()
            self._step(self._next_moment(end))
        return self.year

    def _next_moment(self, end: datetime) -> datetime:
        now = self.outside.now
        moments = [end, _midnight(now)]
        moments += [due for bot in self._bots.values() if bot for due in (bot.next_due(),) if due]
        moments += [self._starts_at[name] for name, bot in self._bots.items() if bot is None]
        moments += [event.at for event in self._events[:1]]
        moments += [moment - self.outside.machine_ahead for moment in self._crontab[:1]]
        moments += [moment for moment in (self._clocks_right_at, self._look_at) if moment]
        return min((moment for moment in moments if moment > now), default=now + SECOND)

    def _step(self, to: datetime) -> None:
        """Let time pass: look just before the next moment, and near a trouble again soon, as what ticks would."""
        again = (self.outside.now + AGAIN,) if self.outside.now < self._uneasy_until else ()
        for moment in (*again, to - SECOND):
            if self.outside.now < moment < to:
                self.outside.now = moment
                self._tick_all(cron=False)
        self.outside.now = max(to, self.outside.now)
        self._begin_events()

    def _tick_all(self, *, cron: bool = True) -> None:
        now = self.outside.now
        if now < self._asleep_until:
            # The whole machine sleeps, cron included.
            self.outside.slept = now, self._asleep_until
            self.outside.now = self._asleep_until
            self._crontab = [m for m in self._crontab if m >= self._asleep_until + self.outside.machine_ahead]
        everyone = [*self._names, CRON] if cron else [*self._names]
        self._chance.shuffle(everyone)
        for name in everyone:
            if name == CRON:
                self._run_cron()
            else:
                self._tick(name)

    def _tick(self, name: str) -> None:
        bot, now = self._bots[name], self.outside.now
        try:
            if bot is None:
                if now < max(self._starts_at[name], self._down_until):
                    self._starts_at[name] = max(self._starts_at[name], self._down_until)
                    return
                bot = self._bots[name] = YearBot(self.outside, name, lanes=self.year.lanes)
                self._fit(bot)
                bot.start()
                self.year.restarts += 1
            self._fit(bot)
            bot.tick()
        except Killed:
            self._bots[name], self._starts_at[name] = None, self.outside.now + RESTART

    def _fit(self, bot: YearBot) -> None:
        """Let the broker be away, or the fetches slow, for as long as they are."""
        away = self.outside.now < self.away_until
        bot.fails = dict.fromkeys(JOBS, AWAY) if away else {}
        # Where others would look meanwhile, a pass that lets time pass would look like a sleep to them.
        slow = self.outside.now < self.slow_until and not (self.year.lanes or self.year.second_daemon)
        bot.takes = {Job.FETCH_FLOW: 11 * MINUTE} if slow else {}

    def _run_cron(self) -> None:
        while self._crontab and self._crontab[0] <= self.outside.now + self.outside.machine_ahead:
            for job in self._by_start[self._crontab.pop(0)]:
                if self.outside.now < self.away_until:
                    continue
                try:
                    self._cron.one_shot(job, alone=not any(self._bots.values()))
                except (Killed, TemporaryError):
                    continue

    def _set_clocks(self, machine_ahead: timedelta, broker_ahead: timedelta) -> None:
        """Set both clocks; if the machine's was set back, cron starts again what it has started before."""
        self.outside.machine_ahead, self.outside.broker_ahead = machine_ahead, broker_ahead
        # When it has asked the broker again, a process knows what is due next.
        self._look_at = self.outside.now + AGAIN
        by_machine = self.outside.now + machine_ahead
        again = sorted(moment for moment in self._by_start if moment > by_machine)
        self._crontab = again if len(again) > len(self._crontab) else self._crontab

    def _begin_events(self) -> None:
        if self._clocks_right_at and self._clocks_right_at <= self.outside.now:
            self._clocks_right_at = None
            self._set_clocks(timedelta(0), timedelta(0))
        while self._events and self._events[0].at <= self.outside.now:
            event = self._events.pop(0)
            self._uneasy_until = event.until + UNEASY
            match event.trouble:
                case YearTrouble.ASLEEP:
                    self._asleep_until = event.until
                case YearTrouble.DOWN:
                    self._down_until = event.until
                    self._bots = dict.fromkeys(self._names)
                    self._starts_at = dict.fromkeys(self._names, event.until)
                case YearTrouble.BROKER_AWAY:
                    self.away_until = event.until
                case YearTrouble.SLOW_FETCH:
                    self.slow_until = event.until
                case YearTrouble.MACHINE_CLOCK_WRONG:
                    self._clocks_right_at = event.until
                    self._set_clocks(event.ahead, timedelta(0))
                case YearTrouble.BROKER_CLOCK_WRONG:
                    self._clocks_right_at = event.until
                    self._set_clocks(timedelta(0), event.ahead)
                case YearTrouble.CLOSES_EARLY | YearTrouble.OPENS_LATE:
                    self._change_session(event)

    def _change_session(self, event: Event) -> None:
        """Change today's session, as the broker reports it: it closes now, or opens an hour late."""
        now, year = self.outside.now, self.year
        place, session = next((p, s) for p, s in enumerate(year.sessions) if s.close > event.at)
        day = session.date
        if event.trouble is YearTrouble.OPENS_LATE:
            changed = replace(session, open=session.open + 60 * MINUTE)
        elif now > session.open + 5 * MINUTE and now < session.close:
            changed = replace(session, close=now)
        else:
            return
        self.outside.ledger.put_sessions([changed])
        year.sessions = [*year.sessions[:place], changed, *year.sessions[place + 1 :]]
        kept = {planned.key: planned for planned in slots_of([changed], year.sessions[place - 1] if place else None)}
        before = {key for key in year.planned if key[1] == day}
        year.dropped |= before - kept.keys()
        year.planned = {key: one for key, one in year.planned.items() if key not in before} | kept


def _by_start(planned: Iterable[Planned]) -> dict[datetime, list[Job]]:
    """Return when cron starts each job; every third entry waits for the verbs before it in its line."""
    found: dict[datetime, list[Job]] = {}
    for number, each in enumerate(planned):
        if each.key[0] in JOBS:
            waits = SLOW_LINE if each.key[0] == Job.TRADE_ONCE and not number % 3 else timedelta(0)
            # As long as it takes a process to start, and as far as `serve` stays behind the broker's clock.
            found.setdefault(each.start + SECOND + waits, []).append(Job(each.key[0]))
    return found


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + DAY


def table(year: Year) -> Counter[str]:
    """Return what became of the slots of a year, by what happened."""
    claims = [claim for day in days(year) for claim in year.outside.ledger.slot_claims(day)]
    own = [claim for claim in claims if (claim.job, claim.session, claim.slot) in year.planned]
    counts = Counter(
        str(claim.missed_reason) if claim.missed_reason else f"run by {claim.by.split()[0]}" for claim in own
    )
    counts["sessions"], counts["slots"] = len(year.sessions), len(year.planned)
    counts["kills"], counts["starts of serve"] = year.outside.killed, year.restarts
    return counts


def days(year: Year) -> Iterator[date]:
    """Yield every day from the first session to the last one."""
    day = year.sessions[0].date
    while day <= year.sessions[-1].date:
        yield day
        day += DAY


# What must hold for every slot of a year, whatever happened in it.

LATEST = timedelta(minutes=31)
"""How long after a trouble a slot may still suffer from it: its job comes every half hour."""
APART = {Reason.CLOCKS_DISAGREE, Reason.PASS_FAILED, Reason.STAGE_FAILED, Reason.SLOT_MISSED, Reason.SLOT_SUPERSEDED}
WHY: Mapping[YearTrouble, set[Reason]] = {
    YearTrouble.DOWN: {Reason.NOT_RUNNING, Reason.SLOT_MISSED},
    YearTrouble.ASLEEP: {Reason.ASLEEP, Reason.SLOT_MISSED},
    YearTrouble.BROKER_AWAY: {Reason.PASS_FAILED, Reason.STAGE_FAILED, Reason.SLOT_MISSED, Reason.SLOT_SUPERSEDED},
    YearTrouble.SLOW_FETCH: {Reason.SLOT_MISSED, Reason.SLOT_SUPERSEDED, Reason.PASS_FAILED},
    YearTrouble.CLOSES_EARLY: {Reason.CLOSED_EARLY},
    YearTrouble.OPENS_LATE: {Reason.CLOSED_EARLY},
    YearTrouble.MACHINE_CLOCK_WRONG: APART,
    YearTrouble.BROKER_CLOCK_WRONG: APART,
}
KILLED = {Reason.NOT_RUNNING, Reason.SLOT_MISSED}
TRADING = {Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE}
EXTRA = (" ended", "times of ", " again ")


def judge(year: Year) -> None:
    """Check all that must hold; AssertionError names the slots for which it doesn't."""
    claims = _claims(year)
    acts: defaultdict[Key, list[Act]] = defaultdict(list)
    for act in year.outside.acts:
        acts[act.key].append(act)
    silent = sorted(year.planned.keys() - claims.keys(), key=str)
    assert not silent, f"{len(silent)} slots were silently missed, such as {silent[:5]}"
    unplanned = sorted(claims.keys() - year.planned.keys() - year.dropped, key=str)
    assert not unplanned, f"{len(unplanned)} slots that nobody planned were claimed, such as {unplanned[:5]}"
    _each_at_most_once(acts, claims)
    _each_in_its_time(year, acts)
    _reasons(year, claims)
    _compared_first(year)


def _claims(year: Year) -> Mapping[Key, SlotClaim]:
    every = [claim for day in days(year) for claim in year.outside.ledger.slot_claims(day)]
    own = [claim for claim in every if not any(extra in claim.job for extra in EXTRA)]
    # A second run of what only looks or compares, and a comparison outside the timetable, have their own slots.
    own = [claim for claim in own if "#" not in claim.slot and not claim.slot.startswith("at ")]
    return {(claim.job, claim.session, claim.slot): claim for claim in own}


def _each_at_most_once(acts: Mapping[Key, list[Act]], claims: Mapping[Key, SlotClaim]) -> None:
    for key, done in acts.items():
        # A chore that was killed with its process begins again; nothing else is done twice.
        again = [second for first, second in pairwise(done) if first.kills == second.kills]
        assert not again, f"{key} was acted on {len(done)} times: {done}"
        assert len(done) == 1 or key[0] not in JOBS, f"{key} was acted on {len(done)} times: {done}"
        if key in claims:
            missed = claims[key].missed_reason
            assert missed is None, f"{key} was acted on at {done[0].at}, and is written as missed: {missed}"


def _each_in_its_time(year: Year, acts: Mapping[Key, list[Act]]) -> None:
    sessions = {session.date: session for session in year.sessions}
    for key, done in acts.items():
        job, day, slot = key
        if key not in year.planned:
            continue
        late = done[0].at - year.planned[key].start
        assert late >= timedelta(0), f"{key} was acted on {-late} early"
        if job == Job.TRADE_ONCE:
            assert late <= timedelta(seconds=GRACE_S), f"the entry of {key} came {late} late"
        if job in JOBS and not slot.startswith("at "):
            assert _open(sessions[day].open, done[0].at, sessions[day].close), f"{key} was acted on outside its session"


def _reasons(year: Year, claims: Mapping[Key, SlotClaim]) -> None:
    """Compare why a slot was missed with what happened when it began."""
    for key, claim in claims.items():
        if claim.missed_reason is None or key not in year.planned:
            continue
        start = year.planned[key].start
        near = {event.trouble for event in year.events if event.at <= start <= event.until + LATEST}
        possible = {reason for trouble in near for reason in WHY[trouble]} | (KILLED if year.outside.killed else set())
        assert claim.missed_reason in possible, (
            f"{key} is written as {claim.missed_reason}, but there was {near or 'no trouble'}"
        )


def _compared_first(year: Year) -> None:
    """After a sleep, `serve` compares books and broker before it trades."""
    for event in year.events:
        if event.trouble is not YearTrouble.ASLEEP:
            continue
        passes = (act for act in year.outside.acts if act.key[0] in TRADING and act.by.startswith("serve"))
        first = next((act for act in passes if act.at >= event.until), None)
        # Two daemons that compare in the same second outside a session share the name of that comparison.
        assert first is None or first.key[0] == Job.RECONCILE, f"{first} came first after the sleep until {event.until}"


def _open(opens: datetime, at: datetime, closes: datetime) -> bool:
    return opens <= at < closes
