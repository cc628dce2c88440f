"""Connect ports to adapters. Everything is opened on first use, so quick verbs stay quick."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tradebot.adapters.flow.headlines import FlowWithHeadlines
from tradebot.adapters.recovery import integrity_check
from tradebot.adapters.state import evidence, state_folder
from tradebot.adapters.state.send_lock import FolderSendLock
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.state.state_locks import WAIT_S, ExitPriority
from tradebot.adapters.time import machine_clock
from tradebot.adapters.time.machine_clock import stopwatch
from tradebot.app import calendar
from tradebot.app.keys import Secrets
from tradebot.app.loading import Options, load_for, permission_inputs_of
from tradebot.app.news import HTTP_SOURCES, open_headlines, open_service
from tradebot.app.plugin_surroundings import plugin_surroundings
from tradebot.app.settings import Loaded, Settings
from tradebot.app.venue_connection import (
    ANSWER_TOOK,
    FlowTalk,
    drift_tally,
    engine_time_of,
    flow_source_of,
    ports_of_exchange,
    require_sending,
    secrets_for,
    started_exchange,
)
from tradebot.app.venues import driver_for
from tradebot.errors import OperatorError, TradebotError
from tradebot.gates.permission import PermissionInputs, permission_of
from tradebot.model.flow import NEWS
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Baseline, Mode, Permission, RungReached, mode_name
from tradebot.venues.door import Access, Connection, VenueDriver

if TYPE_CHECKING:
    from tradebot.adapters.bars.read_through import StoredBars
    from tradebot.adapters.facts.facts import SqliteFacts
    from tradebot.adapters.facts.recorded_passes import KeptPasses
    from tradebot.adapters.flow.reply_archive import KeptReplies
    from tradebot.adapters.flow.unusual_whales import UnusualWhales
    from tradebot.adapters.ledger.file import LedgerFile
    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.adapters.state.approvals import SqliteApprovals
    from tradebot.adapters.state.events import JsonlEvents
    from tradebot.adapters.time.clock import LockStepClock
    from tradebot.adapters.wire.http import HttpReply
    from tradebot.adapters.wire.json_fields import DriftTally
    from tradebot.app.required_facts import Readers
    from tradebot.app.rules import CurrentRules
    from tradebot.model.event import SystemEvent
    from tradebot.model.fact_kind import AnyKind
    from tradebot.model.venue_day import VenueDay
    from tradebot.ports.broker import OrderPort
    from tradebot.ports.stores import Bars
    from tradebot.ports.strategy import Strategy
    from tradebot.ports.world import FlowSource, HeadlineSource, Progress, Rules, World
    from tradebot.replaying.strategy_replay import PastStores
    from tradebot.venues.door import Reader


Kept = TypeVar("Kept", "SqliteLedger", "SqliteFacts", "SqliteApprovals", "KeptReplies", "KeptPasses", "StoredBars")


class BotStores:
    """The stores of one bot, each opened at most once and closed together."""

    folder: StateFolder
    loaded: Loaded
    hear: Callable[[SystemEvent], None]
    stamp_time: Callable[[], datetime]
    _closing: ExitStack

    @property
    def settings(self) -> Settings:
        """Return the settings in force."""
        return self.loaded.settings

    @cached_property
    def replies(self) -> KeptReplies:
        """Return the archived replies of the flow source; the file is opened on first use."""
        from tradebot.adapters.flow.reply_archive import KeptReplies

        return self._close_later(
            KeptReplies(self.folder.path, self.events, self.settings.unusual_whales.keep_raw_sessions)
        )

    @cached_property
    def ledger(self) -> SqliteLedger:
        """Return the ledger, open for writing."""
        return self._ledger(read_only=False)

    @cached_property
    def ledger_view(self) -> SqliteLedger:
        """Return the ledger opened read-only, which changes nothing in the folder; raise an error if it is damaged."""
        return self._ledger(read_only=True)

    @cached_property
    def facts(self) -> SqliteFacts:
        """Return the store of facts and decisions, creating it if it is missing."""
        from tradebot.adapters.facts.facts import SqliteFacts

        return self._close_later(SqliteFacts(self.folder.path, self.events, self.stamp_time()))

    @cached_property
    def passes(self) -> KeptPasses:
        """Return the records of passes; the file is opened on first use."""
        from tradebot.adapters.facts.recorded_passes import KeptPasses

        return self._close_later(KeptPasses(self.folder.path, self.events, self.settings.storage.replay_sessions))

    @cached_property
    def approvals(self) -> SqliteApprovals:
        """Return the store of approval requests and replies, creating it if it is missing."""
        from tradebot.adapters.state.approvals import SqliteApprovals

        return self._close_later(SqliteApprovals(self.folder.path, self.events, self.stamp_time()))

    @property
    def books(self) -> SqliteLedger:
        """Return the ledger for reading, which needs no lock; if the writable ledger is open, return that."""
        return self.ledger if "ledger" in self.__dict__ else self.ledger_view

    @property
    def existing_facts(self) -> SqliteFacts | None:
        """Return the store of facts, or None if it doesn't exist: a read-only verb must not create it."""
        return self.facts if (self.folder.path / state_folder.FACTS).exists() else None

    @cached_property
    def bars_at_rest(self) -> StoredBars | None:
        """Return the stored bars, without a source for fetching more; None if there never were any."""
        from tradebot.adapters.bars.read_through import bars_at_rest

        sessions = partial(calendar.sessions_at_rest, self.ledger_view, self.settings.capabilities)
        stored_bars = bars_at_rest(self.folder.path, self.events, sessions, self.settings.day)
        return stored_bars and self._close_later(stored_bars)

    @cached_property
    def stored(self) -> PastStores | None:
        """Return the stores needed to run strategies again on a past pass; None without a store of facts."""
        from tradebot.replaying.strategy_replay import PastStores

        facts = self.existing_facts
        return PastStores(facts, self.bars_at_rest, self.ledger_view) if facts else None

    @cached_property
    def events(self) -> JsonlEvents:
        """Return the log of operational events."""
        from tradebot.adapters.state.events import JsonlEvents

        storage = self.settings.storage
        return JsonlEvents(
            self.folder.path / state_folder.EVENTS, storage.events_mb * 10**6, storage.events_files, self.hear
        )

    def _ledger(self, *, read_only: bool) -> SqliteLedger:
        from tradebot.adapters.ledger.ledger import SqliteLedger

        opened = SqliteLedger.view if read_only else SqliteLedger.open
        return self._close_later(opened(self.folder.path, self.folder.account_number))

    def _close_later(self, store: Kept) -> Kept:
        """Close a store together with this bot, and return it."""
        self._closing.callback(store.close)
        return store


T = TypeVar("T")
FolderLook = Callable[[Path, Mapping[str, str]], StateFolder]
Loads = Callable[[StateFolder, "Options", Mapping[str, str]], Loaded]


class App(BotStores):
    """One bot: its folder, its settings, and its adapters, each created once and closed together.

    An App belongs to one thread, because SQLite connections do, and because plug-ins end with the thread that started
    them. `let_pass` advances the sandbox's time by the seconds that a request took; `serve` and the demo then run
    whatever is due. `hear` is called with each event that is written.
    """

    timed = True
    """Whether slots of its timetable are due; a strategy in shadow follows its bot's."""

    def __init__(self, folder: StateFolder, loaded: Loaded, environ: Mapping[str, str]) -> None:
        self.folder, self.loaded = folder, loaded
        self.environ, self._closing = environ, ExitStack()
        self.hear: Callable[[SystemEvent], None] = lambda event: None
        self.let_pass: Callable[[float], object] = lambda seconds: self.engine.sleep(seconds)  # noqa: PLW0108
        self._engine_time: datetime | None = None
        self.stamp_time = partial(machine_clock.stamp_time, folder.path, folder.mode)

    @property
    def mode(self) -> Mode:
        """Return the mode, which decides where orders go."""
        return self.settings.mode

    @property
    def day(self) -> VenueDay:
        """Return the venue's day."""
        return self.settings.day

    @property
    def mode_name(self) -> str:
        """Return the mode as documents name it: "paper", or "paper shadow" if no orders are sent."""
        return mode_name(self.mode, shadow=self.settings.shadow)

    @property
    def permission(self) -> Permission:
        """Return what currently blocks orders. In shadow nothing is checked, because no order is ever sent."""
        return Permission() if self.settings.shadow else permission_of(self.permission_inputs)

    @property
    def permission_inputs(self) -> PermissionInputs:
        """Gather what the permission checks read from file, environment and ledger; what can't be read isn't
        permitted.
        """
        armed = self._books_say(lambda ledger: ledger.armings.last()) if self.mode is Mode.LIVE else None
        accepted, unread = None, None
        try:
            accepted = self.books.baselines.last()
        except TradebotError as error:
            unread = error.message
        inputs = permission_inputs_of(self.loaded, self.folder, self.environ, armed, accepted)
        in_shadow = self.settings.strategies.in_shadow()
        waiting = self.awaiting_promotion
        return replace(
            inputs, books_unread=unread, climbed=self.reached_rungs, in_shadow=in_shadow, awaiting_promotion=waiting
        )

    @property
    def reached_rungs(self) -> Mapping[str, RungReached] | None:
        """Return whether each strategy was promoted to real money; None in modes other than live, and in shadow.

        If the books can't be read, no strategy counts as promoted.
        """
        return self._rungs() if self.mode is Mode.LIVE and not self.settings.shadow else None

    @property
    def awaiting_promotion(self) -> Mapping[str, RungReached]:
        """Return the strategies that are in shadow until they are promoted, and aren't promoted yet.

        The mapping is empty in a backtest, if the whole bot is in shadow, and in live mode, where `reached_rungs`
        covers every strategy. If the books can't be read, no strategy counts as promoted.
        """
        chosen = self.settings.strategies.until_promoted()
        if not chosen or self.mode is Mode.LIVE or self.settings.shadow:
            return {}
        return {name: rung for name, rung in self._rungs().items() if rung.reason is not None}

    @property
    def bound_to_promotions(self) -> Collection[str]:
        """Return the names of the strategies that may enter only with what was promoted: their code and models."""
        chosen = self.settings.strategies
        return chosen.in_use() if self.mode is Mode.LIVE and not self.settings.shadow else chosen.until_promoted()

    def _rungs(self) -> Mapping[str, RungReached]:
        from tradebot.app.promotion_status import reached_rungs

        return reached_rungs(self.loaded, self._books_say(lambda ledger: ledger.promotions.every()) or ())

    @property
    def rules(self) -> Rules:
        """Return the rules that the core needs.

        Exits follow the configuration that a person accepted last, whatever the file says now.
        """
        discovered = self.in_force.find_discovered(lambda: self.existing_facts)
        rules = self.in_force.rules(self.accepted_configuration, discovered)
        return rules.with_shares(self.reached_rungs)

    @cached_property
    def in_force(self) -> CurrentRules:
        """Return the cache of the rules in force and their sources."""
        from tradebot.app.rules import CurrentRules

        return CurrentRules(self.settings)

    @property
    def accepted_configuration(self) -> Baseline | None:
        """Return the configuration accepted last; None if there is none or the books can't be read."""
        return self._books_say(lambda ledger: ledger.baselines.last())

    def _books_say(self, ask: Callable[[SqliteLedger], T]) -> T | None:
        """Query the books; None if they can't be opened, because then nothing is armed or approved."""
        try:
            return ask(self.books)
        except TradebotError:
            return None

    @property
    def account_tail(self) -> str:
        """Return the last four characters of the account's number."""
        return self.folder.account_number[-4:]

    @cached_property
    def secrets(self) -> Secrets:
        """Return the keys that the bot's mode and venue require."""
        return secrets_for(self.settings, self.environ)

    @cached_property
    def exchange_url(self) -> str:
        """Return the embedded exchange's address, starting the exchange if it isn't running."""
        return started_exchange(evidence.trading(self.folder).exchange)

    @cached_property
    def turns(self) -> ExitPriority:
        """Return the object that makes passes yield to exits."""
        return ExitPriority(self.folder.path)

    @property
    def driver(self) -> VenueDriver:
        """Return the driver of the account's venue."""
        return driver_for(self.settings.venue)

    @cached_property
    def connection(self) -> Connection:
        """Return the connection to the account that mode, address and keys select; raise OperatorError if these don't
        match.
        """
        evidence.trading(self.folder)
        url = self.exchange_url if self.mode is Mode.SANDBOX else None
        keys, give_way = self.secrets.venue, self.turns.give_way
        ports = partial(ports_of_exchange, evidence.trading(self.folder).exchange)
        access = Access(self.settings, keys, url, give_way, self._keep_exchange_time, self.folder.path, ports=ports)
        return self.driver.connect(access)

    @cached_property
    def reader(self) -> Reader:
        """Return the port for reading from the venue."""
        return self.driver.reader(self.connection, self.drift)

    @cached_property
    def bars(self) -> StoredBars:
        """Return the closed bars; no bars are read or fetched until they are needed."""
        from tradebot.adapters.bars.read_through import stored_bars

        return self._close_later(stored_bars(
            self.folder.path, self.events, lambda: self.driver.bars(self.connection, self.drift),
            lambda first, last: calendar.sessions(self.books, self.reader.calendar, first, last), self.day,
        ))  # fmt: skip

    @cached_property
    def _seen_bars(self) -> Bars:
        """Return the bars that strategies see: those of expiring contracts are joined over rolls."""
        from tradebot.adapters.bars.roll_adjusted import join_over_rolls

        return join_over_rolls(self.bars, self.driver.months, self.driver.coin, self.day)

    @cached_property
    def orders(self) -> OrderPort:
        """Return the port for sending orders to the venue; raise OperatorError in shadow."""
        require_sending(self.settings)
        return self.driver.orders(self.connection, self.drift)

    @cached_property
    def drift(self) -> DriftTally:
        """Return the tally of differences between the venue's replies and the known format; each new difference is
        logged.
        """
        return drift_tally(self.events, self.stamp_time)

    @cached_property
    def flow(self) -> UnusualWhales:
        """Return the flow source; raise OperatorError if its key isn't set."""
        url = self.exchange_url if self.mode is Mode.SANDBOX else self.settings.unusual_whales.url
        talk = FlowTalk(self.now, self.let_pass, self._keep_exchange_time, self._engine_time_of)
        return flow_source_of(self.settings, url, self.secrets.uw_key, self.folder.path, talk)

    @cached_property
    def headlines(self) -> HeadlineSource:
        """Return the source of headlines, for a bot whose headlines don't come with the flow.

        Raise OperatorError if the source can't be used.
        """
        source = self.settings.news.source
        if source not in HTTP_SOURCES:
            return open_headlines(self.settings, self.connection)
        key, file = self.secrets.news.get(source, ""), self.folder.path / state_folder.NEWS_QUOTA
        return open_service(self.settings, key, file, lambda: datetime.now(UTC))

    def _flow_for(self, kinds: Collection[AnyKind], without: FlowSource) -> FlowSource:
        """Return the source of some kinds of facts; the flow's key is needed only if some come from the flow."""
        flow = self.flow if self.rules.flow_kinds(frozenset(kind.name for kind in kinds)) else without
        if not self.rules.news_apart:
            return flow
        simulated = self.mode is Mode.SANDBOX
        now = self.now if simulated else lambda: datetime.now(UTC)
        last = partial(self.facts.last_fetch, NEWS, None)
        return FlowWithHeadlines(flow, lambda: self.headlines, now, last, simulated=simulated)

    @cached_property
    def engine(self) -> LockStepClock:
        """Return the embedded exchange's clock; raise OperatorError at a real venue."""
        from tradebot.adapters.time.clock import LockStepClock
        from tradebot.app.sandbox import control_headers

        if self.mode is not Mode.SANDBOX:
            raise OperatorError(
                f"mode {self.mode} trades in real time: there is no exchange clock to advance", "tradebot status"
            )
        return LockStepClock(self.exchange_url, lambda: control_headers(self.folder.exchange))

    @cached_property
    def strategies(self) -> tuple[Strategy, ...]:
        """Return the strategies in use; raise OperatorError if none of them is installed."""
        from tradebot.adapters.plugins.plugin import close, strategies_to_ask

        folder, chosen = self.folder.path, self.settings.strategies
        surroundings = replace(
            plugin_surroundings(self.settings, folder, self.environ),
            noted=folder / state_folder.MODELS,
            promoted_only=frozenset(self.bound_to_promotions),
        )
        in_use = strategies_to_ask(chosen.in_use(), surroundings, chosen.installed_as())
        self._closing.callback(close, in_use)
        return in_use

    @property
    def needed_facts(self) -> Mapping[AnyKind, Sequence[str]]:
        """Return the kinds of facts that the installed strategies need, each with its symbols."""
        return self._readers.needed_facts(self.rules)

    @cached_property
    def _readers(self) -> Readers:
        from tradebot.app.required_facts import Readers

        surroundings = plugin_surroundings(self.settings, self.folder.path, self.environ)
        return Readers(self.settings.strategies.in_use(), surroundings, self.settings.strategies.installed_as())

    def twin(self, loaded: Loaded | None = None) -> App:
        """Open the same bot again, for another thread (SQLite connections belong to one thread) or with other
        settings.
        """
        twin = App(self.folder, loaded or self.loaded, self.environ)
        twin.hear = self.hear
        return twin

    def _keep_exchange_time(self, answer: HttpReply) -> None:
        """Let the duration of an embedded exchange's reply pass, and store the time that it states."""
        took = answer.headers.get(ANSWER_TOOK) if self.mode is Mode.SANDBOX else None
        if took is not None:
            self.let_pass(float(took))
        self._engine_time = self._engine_time_of(answer)

    def _engine_time_of(self, answer: HttpReply) -> datetime | None:
        """Return the embedded exchange's time of a reply; None from any other service."""
        return engine_time_of(answer.headers) if self.mode is Mode.SANDBOX else None

    def now(self) -> datetime:
        """Return trading time, which is the venue's clock."""
        return self.reader.clock().now

    def second_time(self) -> datetime | None:
        """Return a second clock's time: this machine's or, in the sandbox, the engine's; None if it is unavailable.

        If a reply already included the engine's time, as the reply with the venue's clock does, no further request is
        made.
        """
        moment, self._engine_time = self._engine_time, None
        return (moment or self.engine.now_or_none()) if self.mode is Mode.SANDBOX else datetime.now(UTC)

    def world(
        self,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
        proposing: bool = True,
        with_flow: bool = False,
        asking: bool = False,
    ) -> World:
        """Return the ports for one pass; in a dry run or in shadow, the order port is missing.

        If the pass isn't `proposing`, it gets no strategies, so that a missing plug-in can't delay exits. With
        `asking`, the ports only read the books, and plug-ins that failed in an earlier pass may run again.
        """
        from tradebot.app.null_ports import NoBars, NoFlow, ShutOrders
        from tradebot.ports.world import World

        silent, permission = dry_run or self.settings.shadow, self.permission
        needed_facts, strategies = self.needed_facts if with_flow else {}, self.strategies if proposing else ()
        world = World(
            rules=self.rules,
            permission=permission,
            reader=self.reader,
            market=self.reader,
            bars=self._seen_bars if proposing or asking else NoBars(),
            orders=None if silent else self.orders if permission.open else ShutOrders(),
            send_lock=FolderSendLock(self.folder.path),
            flow=self._flow_for(needed_facts, NoFlow()),
            ledger=self.books if asking else self.ledger,
            facts=self.facts,
            events=self.events,
            strategies=strategies,
            shadow=self.settings.shadow and not dry_run,
            stopwatch=stopwatch,
            second_clock=self.second_time,
            give_way=self.turns.give_way,
            undisturbed=self.turns.without_yielding,
            needed_facts=needed_facts,
            approvals=lambda: self.approvals,
            contracts=partial(ask, self.connection, self.drift) if (ask := self.driver.contracts) else None,
        )
        if asking:
            from tradebot.adapters.plugins.plugin import begin_pass, code_in_force, end_changed

            world = self._with_contracts(world) if proposing and self.driver.months else world
            begin_pass(strategies)
            # Promotions belong to the code in the files, so that code has to run.
            bound = self.bound_to_promotions
            end_changed(strategy for strategy in strategies if strategy.name in bound)
            world = replace(world, code=partial(code_in_force, strategies))
        if needed_facts:
            world = replace(world, keep_reply=self.replies.keep)
        return replace(world, progress=progress) if progress else world

    def _with_contracts(self, world: World) -> World:
        """Return a world with the contracts that roots stand for in this session."""
        from tradebot.desk.contract_rolls import choose

        assert self.driver.months is not None
        chosen = choose(world, self.driver.months, self.settings.universe, self.now()).symbols
        return replace(
            world, rules=self.in_force.rules(self.accepted_configuration, chosen).with_shares(self.reached_rungs)
        )

    def pass_lock(self, verb: str, *, gives_way: bool = False, wait_s: float = WAIT_S) -> AbstractContextManager[None]:
        """Return the lock for a pass; taking it also checks that the books are intact.

        A second pass waits `wait_s` and then exits with code 6. An exit pass waits longer for a pass that `gives_way`.
        """
        books = self._open_books
        return integrity_check.hold(self.folder, verb, self.events, books, gives_way=gives_way, wait_s=wait_s)

    def exit_lock(self, verb: str, first: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
        """Return the lock for an exit pass, which has priority; `first` runs before the books are checked."""
        return integrity_check.hold(self.folder, verb, self.events, self._open_books, first, ahead=True)

    def _open_books(self) -> LedgerFile | None:
        return self.ledger.file if "ledger" in self.__dict__ else None

    def ensure_calendar(self, now: datetime, ahead: timedelta = calendar.LEAST) -> None:
        """Store the missing sessions up to `ahead`, for the venue's calendar and the other calendars of the
        universe.
        """
        read: calendar.Read = lambda *arguments: self.reader.calendar(*arguments)  # noqa: E731, PLW0108
        venue = self.settings.capabilities
        others = {*map(self.driver.calendar, self.settings.universe)} - {calendar.OWN, venue.calendar}
        calendar.ensure_sessions(self.ledger, venue, read, now, ahead, sorted(others))

    def close(self) -> None:
        """Close everything that was opened."""
        self._closing.close()


@contextmanager
def open_app(
    options: Options, environ: Mapping[str, str], look: FolderLook = state_folder.open_state, loads: Loads | None = None
) -> Iterator[App]:
    """Open the bot that options and environment select, and close it afterward; an OperatorError says what to do
    next.
    """
    folder = look(state_folder.resolve(options.state_dir, environ), environ)
    app = App(folder, (loads or load_for)(folder, options, environ), environ)
    try:
        yield app
    finally:
        app.close()
