"""Put a backtest's world together: the bot's rules and strategies on an engine in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from msgspec import Struct

from papervenue.engine.account import Account, Configuration
from papervenue.engine.engine import Engine
from papervenue.market.action_sources import beside
from papervenue.shares.actions import schedule
from papervenue.shares.dialect import ALPACA
from papervenue.times import from_datetime, to_datetime
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.send_lock import MemorySendLock
from tradebot.adapters.plugins.plugin import begin_pass, close, strategies
from tradebot.app.plugin_surroundings import plugin_surroundings
from tradebot.app.rules import rules_of
from tradebot.app.stand_ins import NoFlow
from tradebot.app.venues import door_to
from tradebot.desk.fetching import needed_facts
from tradebot.lab.backtest.ahead import EngineAhead
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.foreseen import features_ahead
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.translating import session_of
from tradebot.lab.backtest.venue import EngineVenue, EquityAt
from tradebot.model.event import EventKind
from tradebot.model.trading import Permission
from tradebot.model.values import replace
from tradebot.ports.world import World
from tradebot.signals.normalize import Rereading

if TYPE_CHECKING:
    from papervenue.events import Emit, Event
    from papervenue.market.spec import MarketSpec
    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.past_flow import PastFlow
    from tradebot.lab.driver.touching import Ahead
    from tradebot.model.bar import Session
    from tradebot.ports.stores import Bars
    from tradebot.ports.strategy import Strategy

Margin = Literal["reg_t", "free"]
"""How much may be bought: twice the equity beyond initial margin, as brokers lend, or anything without a limit."""
FREE_MULTIPLIER = 1_000
"""A multiplier of the buying power that no order ever reaches."""
USUAL = "alpaca"
"""The dialect of the engine that is played in this process."""
MAIN = "main"
"""The name of an exchange's first account, from which its number is derived."""


def _untold(event: Event) -> None:
    """Keep no log."""


COUNTED_BY_THE_RECORDER = (EventKind.GATE_BLOCKED,)
"""The events that a study of years would hold a million of; its recorder counts them as it is told to."""


class Assembled(Struct, frozen=True):
    """A bot on an engine at the beginning of its market, with its books open and armed.

    `sessions` are those that can be played, oldest first. Time only moves with `advance`, and `ahead` is for what plays
    them alone. `arriving` stores what comes from elsewhere by a moment. A bot that is `served` has an exchange in a
    folder of its own in place of the engine, which `close` removes; it can't be kept unfinished.
    """

    world: World
    engine: Engine
    ledger: MemoryLedger
    facts: MemoryFacts
    events: MemoryEvents
    sessions: tuple[Session, ...]
    ahead: Ahead
    arriving: Callable[[datetime], None] = lambda now: None
    served: bool = False
    close: Callable[[], None] = lambda: None

    def before_asking(self) -> None:
        """Let plug-ins that erred in an earlier pass be asked again."""
        begin_pass(self.world.strategies)

    def now(self) -> datetime:
        return to_datetime(self.engine.now_us)

    def advance(self, to: datetime) -> None:
        """Let time pass up to and including a moment, with everything that happens until then."""
        self.engine.advance(from_datetime(to))
        self.arriving(to)


@contextmanager
def loaded_strategies(settings: Settings, folder: Path, environ: Mapping[str, str]) -> Iterator[Sequence[Strategy]]:
    """Yield the configured strategies; each plug-in runs in a separate process until the end of the block.

    `folder` is kept from plug-ins, as a bot's folder is, and so are the files that the market is made from, which hold
    the future. Raises OperatorError if a strategy isn't installed.
    """
    chosen, surroundings = settings.strategies, plugin_surroundings(settings, folder, environ)
    surroundings = replace(surroundings, private=(*surroundings.private, *_files_of(settings)))
    in_use = strategies(chosen.in_use(), surroundings, chosen.installed_as())
    try:
        yield in_use
    finally:
        close(in_use)


def _files_of(settings: Settings) -> Iterator[Path]:
    sandbox = settings.sandbox
    for path in (sandbox.path, sandbox.flow_folder, sandbox.costs.rates_path):
        if path is not None:
            yield Path(path).absolute()
    if sandbox.path is not None:
        yield beside(Path(sandbox.path)).absolute()


def assemble(
    settings: Settings,
    spec: MarketSpec,
    in_use: Sequence[Strategy],
    recorder: MemoryFacts,
    *,
    market: OpenedMarket | None = None,
    with_flow: bool = False,
    flow_from: OpenedMarket | PastFlow | None = None,
    log: Emit = _untold,
    equity_at: EquityAt = "market",
    margin: Margin = "reg_t",
) -> Assembled:
    """Return the bot of these settings, which count as accepted, with these strategies, on a specification's market.

    The market is opened unless `market` is given. Only a bot `with_flow` can fetch flow; what is generated predicts the
    prices of `flow_from` instead of the market's own, if it is given. If that is flow of the past, nothing is fetched,
    and each reply is known from when it came. `recorder` keeps what the passes decide, and `log` receives every event
    of the engine. Orders, fills and account have the numbers that an exchange made with the same specification would
    give them. `equity_at` and `margin` differ from the sandbox's only in studies. OperatorError for unusable files.
    """
    opened = market or open_market_in_memory(spec)
    if spec.venue.dialect != USUAL:
        made_of = _of_contracts if door_to(settings.venue).months else _served
        return made_of(settings, opened, in_use, recorder)
    engine = engine_of(opened, spec, log)
    account = _account_of(engine, margin)
    venue = EngineVenue(engine, account, feed=settings.alpaca.feed or "", equity_at=equity_at)
    ledger, events = MemoryLedger(account.number), MemoryEvents(besides=COUNTED_BY_THE_RECORDER)
    ledger.open_books(account.cash, to_datetime(engine.now_us), venue.account().settlement)
    ledger.put_sessions(map(session_of, opened.calendar.all))
    world = World(
        rules=replace(rules_of(settings, settings.exits, asks=False), own_exits=settings.strategies.own_exits()),
        permission=Permission(),
        reader=venue,
        market=venue,
        bars=EngineBars(engine, opened.days),
        orders=venue,
        send_lock=MemorySendLock(),
        flow=NoFlow(),
        ledger=ledger,
        facts=recorder,
        events=events,
        strategies=in_use,
        second_clock=lambda: to_datetime(engine.now_us),
    )
    world = _with_features(world, EngineBars(engine, opened.days))
    ahead = EngineAhead(engine, account, daily=opened.days is not None, equity_moves=equity_at == "market")
    made = Assembled(world, engine, ledger, recorder, events, tuple(map(session_of, opened.calendar.market)), ahead)
    return _with_flow(made, spec, flow_from) if with_flow else made


def _with_features(world: World, bars: Bars) -> World:
    """Return the world with the features of whole sessions, from bars that know the rest of one, if any are needed."""
    needed = any(strategy.needs.features for strategy in world.strategies)
    return replace(world, features=features_ahead(bars, world)) if needed else world


def _account_of(engine: Engine, margin: Margin) -> Account:
    account = engine.main
    if margin == "free":
        account.configuration = Configuration(max_margin_multiplier=FREE_MULTIPLIER, granted=FREE_MULTIPLIER)
    return account


def _served(settings: Settings, opened: OpenedMarket, in_use: Sequence[Strategy], recorder: MemoryFacts) -> Assembled:
    """Return a bot at another venue than the usual one, which an exchange of its own serves."""
    from tradebot.lab.backtest.served import Served, ServedAhead, world_of

    served = Served(opened, in_process=door_to(settings.venue).in_process)
    events = MemoryEvents(besides=COUNTED_BY_THE_RECORDER)
    with ExitStack() as undone:
        undone.callback(served.close)
        world, ledger, time = world_of(settings, opened, served, in_use, (recorder, events))
        undone.pop_all()
    sessions = tuple(map(session_of, opened.calendar.market))
    # Only the time of the engine is asked for, and what keeps an unfinished run asks `served` first.
    engine, ahead = cast("Engine", time), ServedAhead(world.reader, served.account)
    return Assembled(world, engine, ledger, recorder, events, sessions, ahead, served=True, close=served.close)


def _of_contracts(
    settings: Settings, opened: OpenedMarket, in_use: Sequence[Strategy], recorder: MemoryFacts
) -> Assembled:
    """Return a bot of futures on an engine in this process."""
    from tradebot.lab.backtest.contracts_venue import Played, world_of
    from tradebot.lab.backtest.served import ServedAhead

    played, events = Played(opened), MemoryEvents(besides=COUNTED_BY_THE_RECORDER)
    world, ledger = world_of(settings, played, in_use, (recorder, events))
    sessions, ahead = tuple(map(session_of, opened.calendar.market)), ServedAhead(world.reader, played.engine.main)
    close = played.link.close
    return Assembled(world, played.engine, ledger, recorder, events, sessions, ahead, served=True, close=close)


def engine_of(opened: OpenedMarket, spec: MarketSpec, log: Emit = _untold) -> Engine:
    """Return an engine at the beginning of its market, with the account and the actions of a new exchange."""
    market, start_us = opened.market(), opened.calendar.start_us
    engine = Engine(market, start_us, log, spec.fill, spec.to_json(), spec.costs, opened.rates, dialect=ALPACA)
    for action in engine.market.actions:
        schedule(engine, action)
    engine.open_account(MAIN, MAIN, MAIN, spec.cash)
    return engine


def _with_flow(made: Assembled, spec: MarketSpec, source: OpenedMarket | PastFlow | None) -> Assembled:
    """Return a bot that knows flow; a run without it doesn't import what makes it."""
    from tradebot.lab.backtest.flow import EngineFlow
    from tradebot.lab.backtest.past_flow import PastFlow

    if isinstance(source, PastFlow):
        return replace(made, arriving=source.arriving(made.facts))
    flow, world = EngineFlow(made.engine, spec, source.market() if source else None), made.world
    needed = needed_facts(world.strategies, world.rules)
    return replace(made, world=replace(world, flow=flow, needed_facts=needed, reading=Rereading()))
