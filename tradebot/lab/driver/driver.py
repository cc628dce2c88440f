"""Run sessions: advance the market from slot to slot, and run the jobs that are due, as `serve` does.

A pass is skipped only if it would change nothing (see `idle_periods`). The time of the last comparison and booked
interest are recorded even if the passes that would record them are skipped. The account's state is recorded at the
close of each session, at closing prices. If a pass fails because of a bug, the backtest ends, whereas a bot would halt
itself.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from msgspec import Struct

from tradebot.cycle import decline_all, evaluate_exits, trade_once
from tradebot.desk.fetching import fetch_flow
from tradebot.desk.pass_events import tell_caught_up
from tradebot.desk.prepare_desk import desk_for_entries, desk_for_exits
from tradebot.desk.proposals import READ_FROM_SCORES, Proposals, claim_strategy_slots, is_declined, propose, score
from tradebot.desk.strategy_slots import finish_strategy_slots
from tradebot.desk.strategy_views import uses_slot_time
from tradebot.lab.driver.idle_periods import IdlePeriod, IdlePeriods
from tradebot.lab.driver.price_triggers import MICROSECOND, MarketAhead, in_us
from tradebot.model.bar import ClockReading, Session, StrategySlot
from tradebot.model.decision import Gate, Verdict
from tradebot.model.record import AT_CLOSE, CandidateRecord, CycleRecord, ExitPrice, Job, SessionEnd, session_end
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ReconcileMark
from tradebot.ports.world import Call, World
from tradebot.reconciliation.activity_booking import BooksBefore, book_all
from tradebot.reconciliation.protection import ProtectionWatch
from tradebot.reconciliation.reconcile import Reconciled, reconcile
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.sessions import CHAIN, slots

READ_EQUITY = frozenset({Job.EVALUATE_EXITS, Job.TRADE_ONCE})
"""The jobs whose passes read the account's equity and its positions' prices."""


class SlotGrid(Struct, frozen=True, dict=True):
    """When jobs are due: times measured from the open, in order, with the jobs and the names of their slots.

    Jobs due at the same time are in the order in which they run.
    """

    offsets: tuple[timedelta, ...]
    due: tuple[tuple[tuple[Job, str], ...], ...]

    @cached_property
    def indexes(self) -> Mapping[Job, tuple[int, ...]]:
        return {job: tuple(n for n, due in enumerate(self.due) if job in dict(due)) for job in CHAIN}

    @cached_property
    def count(self) -> int:
        return sum(map(len, self.due))

    def index_from(self, offset: timedelta) -> int:
        """Return the index of the first slot at or after an offset from the open."""
        return bisect_left(self.offsets, offset)

    def next_of(self, job: Job, first_index: int) -> int:
        """Return the index of the job's first slot at or after a given index; the number of slots if there is none."""
        own = self.indexes[job]
        index = bisect_left(own, first_index)
        return own[index] if index < len(own) else len(self.offsets)

    def last_of(self, job: Job, end_index: int) -> int:
        """Return the index of the job's last slot before a given index; -1 if there is none."""
        own = self.indexes[job]
        index = bisect_left(own, end_index)
        return own[index - 1] if index else -1

    @cached_property
    def exits_us(self) -> tuple[int, ...]:
        """Return the due times of exit passes, in microseconds after the open."""
        return tuple(self.offsets[index] // MICROSECOND for index in self.indexes[Job.EVALUATE_EXITS])


def grid_of(timetable: Mapping[Job, JobTimes], session: Session) -> SlotGrid:
    by_start: dict[datetime, list[tuple[Job, str]]] = {}
    for job in CHAIN:
        for slot in slots(job, timetable[job], session) if job in timetable else ():
            by_start.setdefault(slot.start, []).append((job, slot.name))
    starts = sorted(by_start)
    return SlotGrid(tuple(start - session.open for start in starts), tuple(tuple(by_start[start]) for start in starts))


UNTIL_NEXT_SESSION = frozenset({Gate.SESSION_ENTRIES, Gate.OWN_SESSION_ENTRIES, Gate.SYMBOL_ENTRIES})
"""Gates whose refusals last until the session is over."""
UNTIL_SOMETHING_CHANGES = frozenset(
    {
        Gate.TRADING_STATE,
        Gate.TARGET,
        Gate.SIZE,
        Gate.OPEN_POSITIONS,
        Gate.OWN_OPEN_POSITIONS,
        Gate.ORDER_NOTIONAL,
        Gate.SYMBOL_NOTIONAL,
        Gate.SECTOR_NOTIONAL,
        Gate.GROSS_NOTIONAL,
        Gate.OWN_SYMBOL_NOTIONAL,
        Gate.OWN_SECTOR_NOTIONAL,
        Gate.OWN_GROSS_NOTIONAL,
        Gate.BUYING_POWER,
    }
)
"""Gates that fail again at a later time of the same session, unless a price, the account or the books have changed."""
IGNORE_ACCOUNT = frozenset({Job.FETCH_FLOW, Job.SCORE})
"""The jobs that don't read the account."""
CLAIMED_BY = "backtest"
"""The name under which slots are claimed."""
ALWAYS_NOW = datetime.min.replace(tzinfo=UTC)


class DriverTerms(Struct, frozen=True):
    """How to run sessions: when jobs are due, and whether passes may be skipped.

    With `only_due`, an entry pass is skipped if no strategy is due or none wants anything; other passes then record the
    fills. Before the date `first_session`, no passes run. `before_asking` is called before strategies run, so that
    failed plug-ins may run again. `after_entries` is called with the record of each pass that may have sent orders.
    """

    timetable: Mapping[Job, JobTimes]
    every_pass: bool = False
    only_due: bool = False
    first_session: date | None = None
    before_asking: Callable[[], None] = lambda: None
    after_entries: Callable[[CycleRecord], None] = lambda cycle: None


class Count(Struct):
    """How many passes were due, and how many ran; those skipped would have changed nothing."""

    due: int = 0
    ran: int = 0


class _Day(Struct, dict=True):
    """A session while it runs.

    `compared` is the index of the last slot whose comparison was written, `exits_claimed` that of the last claimed exit
    slot.
    """

    session: Session
    grid: SlotGrid
    compared: int = -1
    exits_claimed: int = -1

    @cached_property
    def exits_us(self) -> Sequence[int]:
        """Return when exit passes are due, in microseconds since 1970."""
        open_us, close_us = in_us(self.session.open), in_us(self.session.close)
        return [at for offset in self.grid.exits_us if (at := open_us + offset) < close_us]

    def at(self, index: int) -> datetime:
        return self.session.open + self.grid.offsets[index]

    def index_from(self, moment: datetime) -> int:
        return self.grid.index_from(moment - self.session.open)


State = tuple[Count, datetime | None, object, object]
"""A driver's state between two sessions, as plain values."""


class Driver:
    """Runs the sessions of one bot. `advance` moves the market to a moment.

    Passes that can't change anything are skipped. Until `_idle_period` ends, no price or scheduled action can trigger
    one of the bot's rules, and no strategy runs before `_next_strategy_run`. A stamp changes whenever the account does
    (`MarketAhead.stamp`). `_stamp_at_exits` is the stamp after the last exit pass, and `_stamp_at_reconcile` the stamp
    after the last comparison. `_trade_stamp_at_reconcile` was taken after that comparison too, but doesn't change with
    a position's price.
    """

    def __init__(
        self, world: World, advance: Callable[[datetime], None], ahead: MarketAhead, terms: DriverTerms
    ) -> None:
        self._world = world
        self._advance = advance
        self._ahead = ahead
        self._terms = terms
        self._grids: dict[timedelta, SlotGrid] = {}
        self._passes = DriverPasses(world, terms.timetable[Job.TRADE_ONCE], terms.before_asking)
        self._idle_periods = IdlePeriods(world, ahead)
        self._never_skipped = _never_skipped(world)
        self._idle_period = IdlePeriod(ALWAYS_NOW, nothing_pending=False)
        self._next_strategy_run: datetime | None = None
        self._stamp_at_reconcile: object = None
        self._stamp_at_exits: object = None
        self._trade_stamp_at_reconcile: object = None
        self.count = Count()

    @property
    def state(self) -> State:
        """Return the driver's state between two sessions."""
        return self.count, self._next_strategy_run, _lasting(self._stamp_at_reconcile), _lasting(self._stamp_at_exits)

    @state.setter
    def state(self, state: State) -> None:
        self.count, self._next_strategy_run, self._stamp_at_reconcile, self._stamp_at_exits = state

    def play(self, session: Session) -> SessionEnd:
        """Run one session: run the passes that could change anything, and return the account's state at the close."""
        day = _Day(session, self._grid(session))
        if self._is_before_first_session(session) or self._session_changes_nothing(day):
            return self._skip_session(day)
        self._advance(session.open)
        if not self._is_idle_at(session.open):
            # Search from a microsecond before the open, so that prices at the open itself are included.
            self._find_idle_period(day, session.open - MICROSECOND)
            # The new idle period may reach beyond the close.
            if self._session_changes_nothing(day):
                return self._skip_session(day)
        index = 0
        while (index := self._next_slot(day, index)) < len(day.grid.offsets):
            self._advance(day.at(index))
            for job, slot_name in day.grid.due[index]:
                if not self._result_is_unused(job):
                    self._run_or_skip(day, index, Call(job, session.date, slot_name, CLAIMED_BY))
            index += 1
        return self._end_session(day)

    def _is_before_first_session(self, session: Session) -> bool:
        first = self._terms.first_session
        return first is not None and session.date < first

    def _is_idle_at(self, moment: datetime) -> bool:
        """Return True if the idle period found last reaches beyond a moment, and the account is still as it was."""
        return moment < self._idle_period.until and self._stamp_at_exits == self._ahead.stamp

    def _result_is_unused(self, job: Job) -> bool:
        """Return True for a fetch or a score whose result no pass reads."""
        return job in IGNORE_ACCOUNT and job not in self._never_skipped and not self._terms.every_pass

    def _grid(self, session: Session) -> SlotGrid:
        """Return a session's slots; sessions of the same length share them."""
        length = session.close - session.open
        if length not in self._grids:
            self._grids[length] = grid_of(self._terms.timetable, session)
        return self._grids[length]

    def _session_changes_nothing(self, day: _Day) -> bool:
        """Return True if no pass of a whole session would change anything."""
        if self._terms.every_pass or self._never_skipped or self._next_strategy_run is None:
            return False
        reached = min(self._idle_period.until, self._next_strategy_run)
        return reached >= day.session.close and self._stamp_at_exits == self._stamp_at_reconcile == self._ahead.stamp

    def _skip_session(self, day: _Day) -> SessionEnd:
        """Skip a session that comes before the first traded one, or in which only posted interest changes anything."""
        self._advance(day.session.close)
        first = day.grid.next_of(Job.RECONCILE, 0)
        if first < len(day.grid.offsets) and self._books_still_agree(day.at(first)):
            self._stamp_at_exits = self._ahead.stamp
        return self._end_session(day)

    def _end_session(self, day: _Day) -> SessionEnd:
        """Write the records of the session's skipped passes, and record the account at the close."""
        session, world = day.session, self._world
        self._write_skipped(day, len(day.grid.offsets))
        self._advance(session.close)
        self.count.due += day.grid.count
        equity, prices = self._ahead.closing()
        marks = tuple(ExitPrice(symbol, price) for symbol, price in prices.items())
        call, at, mode = Call(Job.RECONCILE, session.date, AT_CLOSE, CLAIMED_BY), session.close, world.mode_name
        close = CycleRecord(call.cycle_id, call.job, call.session, call.slot, at, mode, equity=equity, marks=marks)
        world.facts.record(close)
        return session_end(close, None)

    def _next_slot(self, day: _Day, index: int) -> int:
        """Return the index of the next slot, at or after `index`, whose passes may change something."""
        grid = day.grid
        if self._terms.every_pass:
            return index
        after_idle_period = max(index, day.index_from(self._idle_period.until))
        next_asked = max(index, day.index_from(self._next_strategy_run)) if self._next_strategy_run else index
        next_indexes = [after_idle_period, grid.next_of(Job.TRADE_ONCE, next_asked)]
        next_indexes += [grid.next_of(job, index) for job in self._never_skipped]
        if self._stamp_at_reconcile != self._ahead.stamp:
            next_indexes.append(grid.next_of(Job.RECONCILE, index))
        return min(next_indexes)

    def _run_or_skip(self, day: _Day, index: int, call: Call) -> None:
        """Run a slot's pass, or skip it if it would change nothing."""
        job, now = call.job, day.at(index)
        if job in IGNORE_ACCOUNT:
            self._claim(call, now)
            (self._passes.fetch if job is Job.FETCH_FLOW else self._passes.score)(call)
            return
        quiet = self._is_quiet(day, index, job)
        if job is Job.RECONCILE:
            if self._trade_stamp_at_reconcile is not None and self._trade_stamp_at_reconcile == self._ahead.trade_stamp:
                return
            if quiet and self._books_still_agree(day.at(index)):
                return
            self._write_marks(day, index + 1)
            self._write_skipped(day, index)
            self._claim(call, now)
            self.reconcile()
            day.compared = index
        elif job is Job.EVALUATE_EXITS:
            if quiet:
                return
            self._write_skipped(day, index)
            if self._claim(call, now):
                self._run_exits(day, index, call)
        else:
            self._run_or_skip_entries(day, index, call, quiet=quiet)

    def _books_still_agree(self, now: datetime) -> bool:
        """Return True if books and venue still agree as in the last comparison, once interest is booked."""
        if self._stamp_at_reconcile != self._ahead.stamp:
            if not (self._ahead.only_interest_since(self._stamp_at_reconcile) and self._passes.book_interest(now)):
                return False
            self._stamp_at_reconcile = self._ahead.stamp
        return True

    def _run_exits(self, day: _Day, index: int, call: Call) -> None:
        before = self._ahead.stamp
        self._passes.exits(call)
        # A pass that sends an order, such as a new position's stop, is followed by one that checks it.
        self._stamp_at_exits = before if self._ahead.stamp == before else None
        self._find_idle_period(day, day.at(index))

    def _is_quiet(self, day: _Day, index: int, job: Job) -> bool:
        """Return True if a pass would change nothing beyond new marks and a new peak, which are recorded here."""
        now = day.at(index)
        if self._terms.every_pass or self._stamp_at_exits != self._ahead.stamp:
            return False
        if now >= self._idle_period.until and self._idle_period.nothing_pending and job in READ_EQUITY:
            self._write_marks(day, index)
            self._idle_period = self._idle_periods.record_and_find(
                now, day.session, self._until(day), marking=job is Job.EVALUATE_EXITS
            )
        return now < self._idle_period.until

    def _run_or_skip_entries(self, day: _Day, index: int, call: Call, *, quiet: bool) -> None:
        now, unchanged = day.at(index), quiet
        quiet = quiet or self._terms.only_due
        if quiet and self._next_strategy_run is not None and now < self._next_strategy_run:
            return
        proposed = self._passes.ask(now)
        self._next_strategy_run = _next_evaluation(self._world, proposed)
        wanted = proposed.candidates or proposed.refused or proposed.own.missed or proposed.own.new
        if quiet and not (wanted or self._never_skipped):
            self._passes.note_no_wants(call, proposed)
            self._wait_for_next_slots(proposed)
            return
        # The exit pass at the same time comes before this one.
        self._write_marks(day, index + 1)
        self._write_skipped(day, index)
        if not self._claim(call, now):
            return
        if unchanged and self._passes.is_declined(proposed):
            self._passes.decline(call, proposed)
        else:
            before = self._ahead.stamp
            cycle = self._passes.enter(call, proposed)
            self._terms.after_entries(cycle)
            if self._next_strategy_run is None and self._ahead.stamp == before:
                self._next_strategy_run = _refused_until(self._world, self._ahead, proposed, cycle, day.session.close)
            if cycle.candidates and all(map(_is_refused_until_next_session, cycle.candidates)):
                self._wait_for_next_slots(proposed)
            self._find_idle_period(day, now)

    def _wait_for_next_slots(self, proposed: Proposals) -> None:
        """With `only_due`, don't run strategies again before the slots that they answered are over."""
        if self._terms.only_due and self._next_strategy_run is None:
            self._next_strategy_run = min((slot.end for slot in proposed.own.asked), default=None)

    def _find_idle_period(self, day: _Day, now: datetime) -> None:
        """Find out until when no pass would change anything.

        Nothing is skipped before an exit pass has seen the account's current state.
        """
        if not self._terms.every_pass:
            if self._stamp_at_exits == self._ahead.stamp:
                self._idle_period = self._idle_periods.idle_from(now, day.session, self._until(day))
            elif self._idle_period.nothing_pending and self._ahead.only_interest_since(self._stamp_at_exits):
                # For the next pass, only the equity is new.
                self._stamp_at_exits, self._idle_period = self._ahead.stamp, IdlePeriod(now)
            else:
                self._idle_periods.forget()
                self._idle_period = IdlePeriod(now, nothing_pending=False)

    def _until(self, day: _Day) -> datetime:
        """Return how far to look ahead: until strategies run again, but at least to the session's end."""
        return max(day.session.close, self._next_strategy_run or day.session.close)

    def _claim(self, call: Call, now: datetime) -> bool:
        """Claim a slot; return False if it was claimed before."""
        self.count.ran += 1
        return self._world.ledger.claim_slot(call.job, call.session, call.slot, call.by, now).won

    def reconcile(self) -> Reconciled:
        """Compare books and venue; this is also called before the first session and after the last one."""
        compared = self._passes.reconcile()
        # Check a difference each time, because it may be gone.
        self._stamp_at_reconcile = None if compared.findings else self._ahead.stamp
        self._trade_stamp_at_reconcile = (
            self._ahead.trade_stamp if self._terms.only_due and not compared.findings else None
        )
        return compared

    def _write_skipped(self, day: _Day, index: int) -> None:
        """Write the records of skipped passes before an index: the last comparison, and the last claim.

        A comparison is skipped only if neither side has changed since one that found no difference.
        """
        self._write_marks(day, index)
        compared = day.grid.last_of(Job.RECONCILE, index)
        if compared > day.compared:
            self._world.ledger.mark_reconciled(ReconcileMark(day.at(compared), 0, 0))
            day.compared = compared
        exits = day.grid.last_of(Job.EVALUATE_EXITS, index)
        if exits > day.exits_claimed:
            name = dict(day.grid.due[exits])[Job.EVALUATE_EXITS]
            call = Call(Job.EVALUATE_EXITS, day.session.date, name, CLAIMED_BY)
            self._world.ledger.claim_slot(call.job, call.session, call.slot, call.by, day.at(exits))
            day.exits_claimed = exits

    def _write_marks(self, day: _Day, index: int) -> None:
        if not self._terms.every_pass:
            before = bisect_left(day.grid.indexes[Job.EVALUATE_EXITS], index)
            self._idle_periods.marking.write(day.exits_us[:before])


def _lasting(stamp: object) -> object:
    """Return a stamp as a checkpoint stores it: None for one that only this process can compare."""
    return None if type(stamp) is object else stamp


def _never_skipped(world: World) -> frozenset[Job]:
    """Return the jobs of which no slot may be skipped, whatever the account does."""
    in_use = (world.rules.exits_of(strategy.name) for strategy in world.strategies)
    read = {name for exits in in_use for rule in exits for name in rule.reads}
    fetched = {Job.FETCH_FLOW} if world.needed_facts else set()
    # Evaluating coins changes the registry, and a score evaluates them.
    scored = bool(read & READ_FROM_SCORES) or world.rules.registry is not None
    return frozenset(fetched | ({Job.SCORE} if scored else set()))


def _next_evaluation(world: World, proposed: Proposals) -> datetime | None:
    """Return when a strategy is due next; None if one may be due in any pass, or if that is unknown."""
    waiting = {waiting.strategy: waiting.next for waiting in proposed.own.waiting}
    next_slots = [waiting.get(strategy.name) for strategy in world.strategies]
    starts = [slot.start for slot in next_slots if slot is not None]
    return min(starts) if starts and len(starts) == len(next_slots) else None


def _refused_until(
    world: World, ahead: MarketAhead, proposed: Proposals, cycle: CycleRecord, close: datetime
) -> datetime | None:
    """Return until when these candidates would be refused again; None if the next pass may send one.

    A slot whose targets aren't reached is evaluated in each pass until it ends. While nothing that its candidates
    depend on has changed, the strategy would give the same result, and the same gates would refuse it. So the pass must
    have left account and orders unchanged. Later sessions are left to their own passes.
    """
    slots = _evaluated_slots(world, proposed)
    if not slots or not all(map(_is_refused_until_something_changes, cycle.candidates)):
        return None
    waiting = (waiting.next.start for waiting in proposed.own.waiting if waiting.next)
    return min((close, ahead.next_price(cycle.at), *(slot.end for slot in slots), *waiting))


def _evaluated_slots(world: World, proposed: Proposals) -> Sequence[StrategySlot]:
    """Return the slots that were evaluated; none if some strategy depends on values that change with time."""
    waiting, slots = {waiting.strategy: waiting.next for waiting in proposed.own.waiting}, proposed.own.asked
    answered = {slot.strategy for slot in slots}
    for strategy in world.strategies:
        is_asked = (
            uses_slot_time(strategy.needs) if strategy.name in answered else waiting.get(strategy.name) is not None
        )
        if not is_asked:
            return ()
    return slots


def _is_refused_until_something_changes(record: CandidateRecord) -> bool:
    terminal = record.terminal
    return terminal is not None and terminal.verdict is Verdict.FAIL and terminal.gate in UNTIL_SOMETHING_CHANGES


def _is_refused_until_next_session(record: CandidateRecord) -> bool:
    terminal = record.terminal
    return terminal is not None and terminal.verdict is Verdict.FAIL and terminal.gate in UNTIL_NEXT_SESSION


class DriverPasses:
    """Runs the jobs of one bot. `before_asking` is called before strategies run, as at the start of every pass."""

    def __init__(self, world: World, entries: JobTimes, before_asking: Callable[[], None]) -> None:
        self._world_with_strategies = world
        # Only passes that run strategies need them; an exit pass must work without a missing one.
        self._world = replace(world, strategies=())
        self._entries = entries
        self._before_asking = before_asking
        self._watch = ProtectionWatch(
            world.market, world.rules.exits_of, world.rules.limits.exit_life_s, world.rules.exits
        )

    def fetch(self, call: Call) -> None:
        fetch_flow(self._world, call, self._clocks())

    def score(self, call: Call) -> None:
        """Score the universe from the facts known now."""
        self._before_asking()
        score(self._world_with_strategies, call, self._world.reader.clock())

    def exits(self, call: Call) -> CycleRecord:
        """Close positions by exit rules, and manage working orders."""
        return evaluate_exits(self._world, call, desk_for_exits(self._world, self._clocks()))

    def ask(self, now: datetime) -> Proposals:
        self._before_asking()
        return propose(self._world_with_strategies, now, self._entries)

    def enter(self, call: Call, proposed: Proposals) -> CycleRecord:
        """Evaluate the strategies' wants, and send the orders that pass."""
        return trade_once(self._world, call, desk_for_entries(self._world, proposed, self._clocks()), proposed)

    def note_no_wants(self, call: Call, proposed: Proposals) -> None:
        """Record, as a pass would, that strategies want nothing in their slots."""
        now = self._world.reader.clock().now
        finish_strategy_slots(
            self._world, call, claim_strategy_slots(self._world, call, proposed, now).own.asked, (), now
        )

    def is_declined(self, proposed: Proposals) -> bool:
        """Return True if the pass would only record that strategies decline: no entry is wanted, and no contract in the
        universe might have to roll.
        """
        world, candidates = self._world, proposed.candidates
        return (
            bool(candidates)
            and not world.rules.standing
            and all(is_declined(world, candidate) for candidate in candidates)
        )

    def decline(self, call: Call, proposed: Proposals) -> None:
        """Record entries that strategies declined, as a pass would if it evaluated nothing else."""
        decline_all(self._world, call, proposed, self._world.reader.clock().now)

    def reconcile(self) -> Reconciled:
        world = self._world
        compared = reconcile(world.reader, world.ledger, self._watch)
        tell_caught_up(world.events, world.ledger, compared.applied, compared.at)
        return compared

    def book_interest(self, now: datetime) -> bool:
        """Book new interest as a comparison with the venue would; return True if our cash then equals the venue's."""
        reader, ledger = self._world.reader, self._world.ledger
        before = ledger.account_state()
        assert before.reconciled is not None, "books and venue were never compared"
        for booking in book_all(
            BooksBefore((), {}), {}, reader.activities(before.reconciled.at), reader.capabilities.day
        ).proven:
            ledger.book(booking, now)
        cash = ledger.totals().cash(ledger.opening_cash(), before.settlement) + ledger.cash_adjustments()
        return cash == reader.account().cash

    def _clocks(self) -> ClockReading:
        stopwatch_s = self._world.stopwatch()
        return ClockReading(self._world.reader.clock(), self._world.second_clock(), stopwatch_s)
