"""Play a recorded session again: the passes at their times, by the settings of each, on an engine without faults.

The engine and the books begin as they were at the session's open. From then on the backtest goes its own way: it fills
its own orders, and sees what they leave. Halts and what was closed by hand come as they did, and flow is known from
when it was fetched. A slot that the bot never ran is played too.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tradebot import cycle
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.memory.send_lock import MemorySendLock
from tradebot.adapters.plugins.plugin import begin_pass, code_in_force
from tradebot.app.null_ports import NoFlow
from tradebot.app.what_if_rules import rules_of_record, settings_of
from tradebot.desk.prepare_desk import for_entries, for_exits
from tradebot.desk.proposals import Proposals, propose, score
from tradebot.desk.snapshot import take_desk
from tradebot.errors import OperatorError
from tradebot.lab.backtest.historical_flow import PastFlow
from tradebot.lab.backtest.session_restore import books_at, exchange_at, ground_at
from tradebot.lab.backtest.setup import COUNTED_BY_THE_RECORDER
from tradebot.lab.driver.driver import DriverPasses
from tradebot.model.record import Job
from tradebot.model.trading import Permission
from tradebot.model.values import replace
from tradebot.ports.world import Call, World
from tradebot.replaying.cycle_comparison import PassSeen
from tradebot.replaying.port_recording import OffTapeError
from tradebot.timetable.sessions import CHAIN, slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.adapters.memory.ledger import MemoryLedger
    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.session_restore import ReplayPorts
    from tradebot.model.bar import Session
    from tradebot.model.desk import Desk
    from tradebot.model.record import CycleRecord
    from tradebot.model.trading import Request
    from tradebot.ports.stores import Bars
    from tradebot.ports.strategy import Strategy
    from tradebot.replaying.passes import RecordedCycle, RecordEnvironment
    from tradebot.replaying.port_recording import RecordedPorts

BY = "parity"
"""In whose name slots are claimed that the bot didn't run."""


class RecordedDay(NamedTuple):
    """A recorded session: its passes, oldest first, and the other jobs that ran; it is played up to a moment."""

    session: Session
    recorded: Sequence[RecordedCycle]
    until: datetime
    strategies: Callable[[Settings], Sequence[Strategy]]
    heads: Sequence[CycleRecord] = ()


class PlayedDay(NamedTuple):
    """A session as it was played: its passes, the books afterward, and prices in USD at the end.

    An order that took liquidity paid `assumed_bps` beyond the quote.
    """

    passes: tuple[PassSeen, ...]
    ledger: MemoryLedger
    prices: Mapping[str, Decimal]
    assumed_bps: Decimal
    bars: Bars


class Answered:
    """People's answers known at a recorded pass; a question that the pass didn't ask has none."""

    def __init__(self, tape: RecordedPorts | None = None) -> None:
        self._tape = tape

    def last(self, strategy: str, symbol: str) -> Request | None:
        """Return the last request about a strategy and symbol, or None."""
        found: Request | None = None
        if self._tape is not None:
            with suppress(OffTapeError):
                found = self._tape.answer("approvals.last", (strategy, symbol))
        return found

    def ask(self, request: Request) -> None:
        """Ask nobody."""


class _Due(NamedTuple):
    """Something to run at a moment; what is due at the same moment runs in the order of `place`."""

    at: datetime
    place: int
    run: Callable[[], None]


def replay_session(folder: Path, exchange: Path, books: SqliteLedger, day: RecordedDay) -> PlayedDay:
    """Return a recorded session as a backtest plays it; the bot's folder is only read."""
    first = day.recorded[0].given.desk
    opened = first.books.standing.opened_at
    start = max(day.session.open, opened) if opened else day.session.open
    with exchange_at(exchange, start) as place:
        ledger = books_at(books, first.books, start)
        ground = ground_at(place, settings_of(day.recorded[0].surroundings), ledger)
        playing = _Playing(folder, ground, ledger, day)
        playing.run(start)
        return PlayedDay(tuple(playing.seen), ledger, playing.prices(), ground.slippage_bps, ground.bars)


class _Playing:
    """A bot on an exchange of its own, while a recorded session is played."""

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
        for due in sorted(self._due(), key=lambda one: one[:2]):
            if start <= due.at <= self._day.until:
                self._advance(due.at)
                due.run()
        self._advance(min(self._day.until, self._day.session.close))
        settings, world = self._world(self._day.recorded[-1].surroundings)
        DriverPasses(world, settings.timetable[Job.TRADE_ONCE], lambda: None).reconcile()

    def prices(self) -> Mapping[str, Decimal]:
        """Return the last midpoint in USD that a pass saw of each symbol."""
        return {symbol: quote.middle for one in self.seen for symbol, quote in one.desk.quotes.items()}

    def _advance(self, to: datetime) -> None:
        self._ground.advance(to)
        self._arriving(to)

    def _due(self) -> Iterator[_Due]:
        """Yield what the bot ran, and the slots that it didn't."""
        ran = {(one.given.call.job, one.given.call.slot) for one in self._day.recorded}
        for one in self._day.recorded:
            yield from self._recorded(one)
        around = self._day.recorded[-1].surroundings
        timetable = settings_of(around).timetable
        for job in (job for job in CHAIN if job in timetable and job is not Job.FETCH_FLOW):
            for slot in slots(job, timetable[job], self._day.session):
                if (job, slot.name) not in ran:
                    call = Call(job, slot.session, slot.name, BY)
                    yield _Due(slot.start, CHAIN.index(job), partial(self._unrecorded, call, around))

    def _recorded(self, recorded: RecordedCycle) -> Iterator[_Due]:
        given, proposed = recorded.given, list[Proposals]()
        if given.proposed is not None and given.universe is None:
            at = min((one.at for one in given.proposed.candidates), default=given.desk.now)
            yield _Due(at, CHAIN.index(Job.TRADE_ONCE), lambda: proposed.append(self._asked(recorded.surroundings)))
        elif given.proposed is not None:
            # What a person submitted is part of the record.
            proposed.append(given.proposed)
        yield _Due(given.desk.now, CHAIN.index(Job(given.call.job)), lambda: self._again(recorded, proposed))

    def _asked(self, around: RecordEnvironment) -> Proposals:
        settings, world = self._world(around)
        begin_pass(world.strategies)
        return propose(world, world.reader.clock().now, settings.timetable[Job.TRADE_ONCE])

    def _again(self, recorded: RecordedCycle, proposed: Sequence[Proposals]) -> None:
        """Run a recorded pass, in the trading state that a person had put the bot into by then."""
        given = recorded.given
        _, world = self._world(recorded.surroundings)
        world = replace(
            world,
            permission=given.permission,
            orders=self._ground.orders if given.sends else None,
            shadow=given.shadow,
            approvals=lambda: Answered(recorded.tape()),
            rules=world.rules if given.universe is None else replace(world.rules, universe=given.universe),
        )
        state = given.desk.books.state
        if not state.causes and state != self._ledger.trading_state() and state.at is not None:
            self._ledger.set_trading_state(state)
        if given.by_hand is not None:
            self._flattened(world, given.call, given.by_hand.symbols)
        else:
            self._run(world, given.call, proposed[0] if proposed else None)

    def _flattened(self, world: World, call: Call, symbols: tuple[str, ...] | None) -> None:
        desk = take_desk(world, with_flow=False)
        looks = iter((desk,))
        look = lambda: next(looks, None) or take_desk(world, with_flow=False)  # noqa: E731
        self._note(cycle.flatten(world, call, None if symbols is None else frozenset(symbols), look), desk)

    def _unrecorded(self, call: Call, around: RecordEnvironment) -> None:
        """Run a slot of which no pass is recorded: a job that isn't, or one that the bot missed."""
        settings, world = self._world(around)
        if call.job is Job.RECONCILE:
            DriverPasses(world, settings.timetable[Job.TRADE_ONCE], lambda: None).reconcile()
        elif call.job is Job.SCORE:
            begin_pass(world.strategies)
            score(world, call, world.reader.clock())
        else:
            self._run(world, call, self._asked(around) if call.job is Job.TRADE_ONCE else None)

    def _run(self, world: World, call: Call, proposed: Proposals | None) -> None:
        self._ledger.claim_slot(call.job, call.session, call.slot, call.by, world.reader.clock().now)
        if proposed is None:
            desk = for_exits(world)
            self._note(cycle.evaluate_exits(world, call, desk), desk)
        else:
            desk = for_entries(world, proposed)
            self._note(cycle.trade_once(world, call, desk, proposed), desk, proposed)

    def _note(self, found: CycleRecord, desk: Desk, proposed: Proposals | None = None) -> None:
        self.seen.append(PassSeen(found, desk, proposed))

    def _world(self, around: RecordEnvironment) -> tuple[Settings, World]:
        """Return settings and ports of a pass that decided by these."""
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
                approvals=Answered,
                code=partial(code_in_force, strategies),
                second_clock=self._ground.now,
            )
            self._worlds[around] = settings, world
        return self._worlds[around]
