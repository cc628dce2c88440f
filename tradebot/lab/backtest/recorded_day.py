"""Replay a recorded session: the passes at their times, with their settings, on an engine without faults.

The engine and the books start in their state at the session's open. From then on, the backtest doesn't follow the
record: its own orders fill, and it sees their results. Halts and manual closes still happen at their recorded times,
and flow becomes known when the bot fetched it. Slots that the bot missed are run too. Exchange and books are restored
outside the bot's folder.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from papervenue.exchange import open_exchange
from papervenue.jsontext import encode
from papervenue.log import NOTE, REQUEST, RESTORE_BOTH, read_event
from papervenue.market.daily import DailyBars, kept_days
from papervenue.market.spec import MarketError
from papervenue.state import ACTIONS_FILE, BARS_FILE, DAYS_FILE, LOG_FILE, MARKET_FILE, read_market
from papervenue.times import from_datetime, parse_time, to_datetime
from tradebot import cycle
from tradebot.adapters.ledger.rows import IntentRow, MarksRow, StoredOrder
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents, MemorySendLock
from tradebot.adapters.plugins.plugin import begin_pass, code_in_force
from tradebot.app.null_ports import NoFlow
from tradebot.app.sandbox import translate_exchange_errors
from tradebot.app.venues import driver_for
from tradebot.app.what_if_rules import rules_of_record, settings_of
from tradebot.desk.prepare_desk import desk_for_entries, desk_for_exits
from tradebot.desk.proposals import Proposals, propose, score
from tradebot.desk.snapshot import take_desk
from tradebot.errors import OperatorError
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.historical_flow import PastFlow
from tradebot.lab.backtest.http_exchange import ports_at
from tradebot.lab.backtest.setup import COUNTED_BY_THE_RECORDER, USUAL
from tradebot.lab.backtest.venue import EngineVenue
from tradebot.lab.driver.driver import DriverPasses
from tradebot.model.position import Marks
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, ReconcileMark, Request
from tradebot.ports.world import Call, World
from tradebot.replaying.cycle_comparison import PassSeen
from tradebot.replaying.passes import do_request
from tradebot.replaying.port_recording import RecordedPorts, UnrecordedCallError
from tradebot.timetable.sessions import CHAIN, slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.adapters.ledger.tables import LedgerTables
    from tradebot.app.settings import Settings
    from tradebot.model.bar import Session
    from tradebot.model.books import Books
    from tradebot.model.desk import Desk
    from tradebot.ports.broker import OrderPort
    from tradebot.ports.stores import Bars
    from tradebot.ports.strategy import Strategy
    from tradebot.replaying.passes import ManualClose, RecordedCycle, RecordEnvironment
    from tradebot.venues.door import Reader

FILES = (MARKET_FILE, BARS_FILE, DAYS_FILE, ACTIONS_FILE)

"""The files of an exchange's market."""

LONG_AGO, MOMENT = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

REACH_DAYS = 70

"""How many days back a strategy's slot may have begun and still count."""


class ReplayPorts(NamedTuple):
    """What a replay of a recorded session connects to: an exchange, its bars, and its clock, which `advance` moves."""

    reader: Reader
    orders: OrderPort
    bars: Bars
    now: Callable[[], datetime]
    advance: Callable[[datetime], None]
    slippage_bps: Decimal


@contextmanager
def exchange_at(path: Path, at: datetime) -> Iterator[Path]:
    """Rebuild an exchange's state just before a time from its log, and yield a folder with that copy.

    Raise OperatorError if the log can't be read.
    """
    with TemporaryDirectory(prefix="parity-") as folder, translate_exchange_errors():
        copy = Path(folder)
        for name in FILES:
            if (path / name).exists():
                (copy / name).write_bytes((path / name).read_bytes())
        (copy / LOG_FILE).write_bytes(b"".join(_lines_before(path / LOG_FILE, at)))
        yield copy


def ground_at(path: Path, settings: Settings, ledger: MemoryLedger) -> ReplayPorts:
    """Open the exchange of a folder, and return the ports for a bot with these settings."""
    spec = read_market(path).spec
    if spec.venue.dialect != USUAL:
        reader, orders, bars, time = ports_at(path, settings, ledger)
        moves: Callable[[datetime], None] = lambda to: time.advance(from_datetime(to))  # noqa: E731
        return ReplayPorts(reader, orders, bars, lambda: to_datetime(time.now_us), moves, spec.fill.slippage_bps)
    exchange = open_exchange(path)
    engine, calendar = exchange.engine, exchange.market.calendar
    days = DailyBars(kept_days(path / DAYS_FILE), calendar, spec.day_prices) if spec.source == "daily" else None
    venue = EngineVenue(engine, engine.main, feed=settings.alpaca.feed or "")

    def advance(to: datetime) -> None:
        if (to_us := from_datetime(to)) > engine.now_us:
            engine.advance(to_us)

    now: Callable[[], datetime] = lambda: to_datetime(engine.now_us)  # noqa: E731
    return ReplayPorts(venue, venue, EngineBars(engine, days), now, advance, spec.fill.slippage_bps)


def is_played(folder: Path, settings: Settings) -> bool:
    """Return True if the exchange of a folder can run in this process."""
    with translate_exchange_errors():
        return read_market(folder).spec.venue.dialect == USUAL or driver_for(settings.venue).in_process


def last_moment(path: Path) -> datetime:
    """Return the engine's time in the last line of an exchange's log."""
    log = path / LOG_FILE
    with translate_exchange_errors():
        if not log.is_file() or not log.stat().st_size:
            raise MarketError(
                f"{log} is missing or empty: it holds every order and fill of this exchange", RESTORE_BOTH
            )
        with log.open("rb") as file:
            ((number, line),) = deque(enumerate(file, start=1), maxlen=1)
        return to_datetime(parse_time(str(read_event(line, number)["at"])))


def _lines_before(log: Path, at: datetime) -> Iterator[bytes]:
    """Yield a log's lines before the first command at or after a time, and one that says that no more time passed."""
    next_one, last = 1, ""
    with log.open("rb") as file:
        for number, line in enumerate(file, start=1):
            event = read_event(line, number)
            begins = event.get("event") == REQUEST or event.get(NOTE)
            if begins and to_datetime(parse_time(str(event["at"]))) >= at:
                break
            next_one, last = number + 1, str(event["at"])
            yield line
    yield encode({"seq": next_one, "at": last, "event": "time_reserved", NOTE: True, "until": last}) + b"\n"


def books_at(books: SqliteLedger, then: Books, at: datetime) -> MemoryLedger:
    """Restore a bot's books as of a time, in memory; `then` are the books that the first pass after that time read.

    Values that were overwritten later, such as an order's state or a position's best price, come from `then`.
    """
    memory_ledger = MemoryLedger(books.account_number)
    old, new = books.tables, memory_ledger.tables
    opening = old.book.get()
    assert opening is not None, "a pass ran on these books"
    new.book.put(opening)
    _copy_orders(old, new, then, at)
    for fill in old.fills.after(0).values():
        if fill.owned.fill.at < at:
            new.fills.add(fill)
    for movement in old.cash.after(0).values():
        if movement.at < at:
            new.cash.add(movement)
    for noted in old.acknowledged.after(0).values():
        if noted.at < at:
            new.acknowledged.add(noted)
    for key, entry_terms in then.kept.items():
        if entry_terms.best is not None and key[2] < at:
            new.marks.put(MarksRow(key, Marks(entry_terms.best, entry_terms.worst)))
    if then.standing.peak is not None:
        new.peak.put(then.standing.peak)
    if then.standing.reconciled is not None:
        new.reconciled.put(_compared_before(then.standing.reconciled, opening.at, at))
    _copy_calendar(old, new, at)
    for state in books.states_since(LONG_AGO, at - MOMENT):
        memory_ledger.set_trading_state(state)
    return memory_ledger


def _copy_orders(old: LedgerTables, new: LedgerTables, then: Books, at: datetime) -> None:
    orders = {record.intent.client_order_id: record for record in (*then.intents, *then.intents_by_id.values())}
    for intent in old.intents.after(0).values():
        record = intent.record
        if record.intent.at < at:
            new.intents.add(IntentRow(orders.get(record.intent.client_order_id, record)))
    orders_by_id = {order.venue_id: order for order in (*chain.from_iterable(then.chains.values()), *then.orders)}
    for row in old.orders.after(0).values():
        submitted = row.order.submitted_at
        if submitted is None or submitted < at:
            order = orders_by_id.get(row.order.venue_id, row.order)
            new.orders.add(StoredOrder(order, min(row.applied_at, at), row.is_ours))


def _copy_calendar(old: LedgerTables, new: LedgerTables, at: datetime) -> None:
    for session in old.sessions.span("date", LONG_AGO.date()).values():
        new.sessions.put(session)
    days = [(at - timedelta(days=back)).date() for back in range(-1, REACH_DAYS)]
    for claim in old.slots.among("session", days).values():
        if claim.at < at:
            new.slots.add(claim)
    for listing in old.listings.after(0).values():
        if listing.listing.read_at < at:
            new.listings.put(listing)


def _compared_before(mark: ReconcileMark, opened: datetime, at: datetime) -> ReconcileMark:
    """Return the last comparison before a time; if only a later one is known, one without differences."""
    return mark if mark.at < at else ReconcileMark(opened, 0, 0)


BY = "parity"

"""The name under which slots are claimed that the bot didn't run."""


class RecordedDay(NamedTuple):
    """A recorded session to replay up to some time: its passes, oldest first, and the other jobs that ran."""

    session: Session
    recorded: Sequence[RecordedCycle]
    until: datetime
    strategies: Callable[[Settings], Sequence[Strategy]]
    heads: Sequence[CycleRecord] = ()


class PlayedDay(NamedTuple):
    """The result of a replayed session: its passes, the books afterward, and final prices in USD.

    Orders that took liquidity were assumed to pay `assumed_bps` more than the quote.
    """

    passes: tuple[PassSeen, ...]
    ledger: MemoryLedger
    prices: Mapping[str, Decimal]
    assumed_bps: Decimal
    bars: Bars


class RecordedApprovals:
    """Replays what people answered to requests for approval, as each recorded pass saw it.

    A request that the recorded pass didn't make has no answer.
    """

    def __init__(self, tape: RecordedPorts | None = None) -> None:
        self._tape = tape

    def last(self, strategy: str, symbol: str) -> Request | None:
        """Return the last request about a strategy and symbol, or None."""
        request: Request | None = None
        if self._tape is not None:
            with suppress(UnrecordedCallError):
                request = self._tape.answer("approvals.last", (strategy, symbol))
        return request

    def ask(self, request: Request) -> None:
        """Ignore a request: nobody is asked during a replay."""


class _Due(NamedTuple):
    """Something to run at a time; at equal times, `place` gives the order."""

    at: datetime
    place: int
    run: Callable[[], None]


def replay_session(folder: Path, exchange: Path, books: SqliteLedger, day: RecordedDay) -> PlayedDay:
    """Replay a recorded session as a backtest; the bot's folder is only read."""
    first = day.recorded[0].given.desk
    opened = first.books.standing.opened_at
    start = max(day.session.open, opened) if opened else day.session.open
    with exchange_at(exchange, start) as path:
        ledger = books_at(books, first.books, start)
        ground = ground_at(path, settings_of(day.recorded[0].surroundings), ledger)
        playing = _Playing(folder, ground, ledger, day)
        playing.run(start)
        return PlayedDay(tuple(playing.seen), ledger, playing.prices(), ground.slippage_bps, ground.bars)


class _Playing:
    """A bot on an exchange of its own, during the replay of a recorded session."""

    def __init__(self, folder: Path, ground: ReplayPorts, ledger: MemoryLedger, day: RecordedDay) -> None:
        self._day, self._ground, self._ledger = day, ground, ledger
        self._worlds: dict[RecordEnvironment, tuple[Settings, World]] = {}
        self._facts, self._events = MemoryFacts(), MemoryEvents(besides=COUNTED_BY_THE_RECORDER)
        for head in day.heads:
            self._facts.record(head)
        try:
            self._arriving: Callable[[datetime], None] = PastFlow(folder).arriving(self._facts)
        except OperatorError:
            # A bot without flow has fetched none.
            self._arriving = lambda now: None
        self.seen: list[PassSeen] = []

    def run(self, start: datetime) -> None:
        for due in sorted(self._due(), key=lambda row: row[:2]):
            if start <= due.at <= self._day.until:
                self._advance(due.at)
                due.run()
        self._advance(min(self._day.until, self._day.session.close))
        settings, world = self._world(self._day.recorded[-1].surroundings)
        DriverPasses(world, settings.timetable[Job.TRADE_ONCE], lambda: None).reconcile()

    def prices(self) -> Mapping[str, Decimal]:
        """Return the last midpoint of each symbol that a pass saw, in USD."""
        return {symbol: quote.middle for pass_seen in self.seen for symbol, quote in pass_seen.desk.quotes.items()}

    def _advance(self, to: datetime) -> None:
        self._ground.advance(to)
        self._arriving(to)

    def _due(self) -> Iterator[_Due]:
        """Yield what the bot ran, and the slots that it missed."""
        ran = {(cycle.given.call.job, cycle.given.call.slot) for cycle in self._day.recorded}
        for recorded_cycle in self._day.recorded:
            yield from self._recorded_due(recorded_cycle)
        around = self._day.recorded[-1].surroundings
        timetable = settings_of(around).timetable
        for job in (job for job in CHAIN if job in timetable and job is not Job.FETCH_FLOW):
            for slot in slots(job, timetable[job], self._day.session):
                if (job, slot.name) not in ran:
                    call = Call(job, slot.session, slot.name, BY)
                    yield _Due(slot.start, CHAIN.index(job), partial(self._run_unrecorded, call, around))

    def _recorded_due(self, recorded: RecordedCycle) -> Iterator[_Due]:
        inputs, proposed = recorded.given, list[Proposals]()
        if inputs.proposed is not None and inputs.universe is None:
            at = min((candidate.at for candidate in inputs.proposed.candidates), default=inputs.desk.now)
            yield _Due(
                at, CHAIN.index(Job.TRADE_ONCE), lambda: proposed.append(self._propose_again(recorded.surroundings))
            )
        elif inputs.proposed is not None:
            # A person's submitted candidates are part of the record.
            proposed.append(inputs.proposed)
        yield _Due(inputs.desk.now, CHAIN.index(Job(inputs.call.job)), lambda: self._again(recorded, proposed))

    def _propose_again(self, around: RecordEnvironment) -> Proposals:
        settings, world = self._world(around)
        begin_pass(world.strategies)
        return propose(world, world.reader.clock().now, settings.timetable[Job.TRADE_ONCE])

    def _again(self, recorded: RecordedCycle, proposed: Sequence[Proposals]) -> None:
        """Run a recorded pass, in the trading state that a person had set by then."""
        inputs = recorded.given
        _, world = self._world(recorded.surroundings)
        world = replace(
            world,
            permission=inputs.permission,
            orders=self._ground.orders if inputs.sends else None,
            shadow=inputs.shadow,
            ask_declined=inputs.ask_declined,
            approvals=lambda: RecordedApprovals(recorded.tape()),
            rules=world.rules if inputs.universe is None else replace(world.rules, universe=inputs.universe),
        )
        state = inputs.desk.books.state
        if not state.causes and state != self._ledger.trading_state() and state.at is not None:
            self._ledger.set_trading_state(state)
        if inputs.by_hand is not None:
            self._do_request(world, inputs.call, inputs.by_hand)
        else:
            self._run(world, inputs.call, proposed[0] if proposed else None)

    def _do_request(self, world: World, call: Call, by_hand: ManualClose) -> None:
        desk = take_desk(world, for_entries=False)
        looks = iter((desk,))
        look = lambda: next(looks, None) or take_desk(world, for_entries=False)  # noqa: E731
        self._note(do_request(world, call, by_hand, look), desk)

    def _run_unrecorded(self, call: Call, around: RecordEnvironment) -> None:
        """Run a slot without a recorded pass: a job that isn't recorded, or a missed one."""
        settings, world = self._world(around)
        if call.job is Job.RECONCILE:
            DriverPasses(world, settings.timetable[Job.TRADE_ONCE], lambda: None).reconcile()
        elif call.job is Job.SCORE:
            begin_pass(world.strategies)
            score(world, call, world.reader.clock())
        else:
            self._run(world, call, self._propose_again(around) if call.job is Job.TRADE_ONCE else None)

    def _run(self, world: World, call: Call, proposed: Proposals | None) -> None:
        self._ledger.claim_slot(call.job, call.session, call.slot, call.by, world.reader.clock().now)
        if proposed is None:
            desk = desk_for_exits(world)
            self._note(cycle.evaluate_exits(world, call, desk), desk)
        else:
            desk = desk_for_entries(world, proposed)
            self._note(cycle.trade_once(world, call, desk, proposed), desk, proposed)

    def _note(self, cycle: CycleRecord, desk: Desk, proposed: Proposals | None = None) -> None:
        self.seen.append(PassSeen(cycle, desk, proposed))

    def _world(self, around: RecordEnvironment) -> tuple[Settings, World]:
        """Return settings and ports of a pass with this environment."""
        if around not in self._worlds:
            settings = settings_of(around)
            strategies = self._day.strategies(settings)
            world = World(
                rules=rules_of_record(around),
                permission=Permission(),
                reader=self._ground.reader,
                market=self._ground.reader,
                bars=self._ground.bars,
                orders=self._ground.orders,
                send_lock=MemorySendLock(),
                flow=NoFlow(),
                ledger=self._ledger,
                facts=self._facts,
                events=self._events,
                strategies=strategies,
                approvals=RecordedApprovals,
                code=partial(code_in_force, strategies),
                second_clock=self._ground.now,
            )
            self._worlds[around] = settings, world
        return self._worlds[around]
