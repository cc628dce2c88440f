"""Build a backtest's world: the bot's rules and strategies on an engine in this process, starting when strategies have
the bars they need.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, cast

from msgspec import Struct

from papervenue.engine.account import Account, Activity, Configuration
from papervenue.engine.engine import Engine
from papervenue.market.action_sources import actions_file_for
from papervenue.market.actions import DIVIDEND, Action
from papervenue.market.bars import Bar, usd
from papervenue.market.perpetual_files import HeldPerpetuals
from papervenue.shares import charges
from papervenue.shares.actions import schedule
from papervenue.shares.dialect import ALPACA
from papervenue.snapshot.state import KEPT
from papervenue.times import MINUTE, from_datetime, to_datetime
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.plugins.plugin import begin_pass, close, strategies
from tradebot.app.plugin_surroundings import plugin_surroundings
from tradebot.app.venues import driver_for
from tradebot.desk.fetching import needed_facts
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.engine_conversion import exact, session_of
from tradebot.lab.backtest.full_session_bars import played_world
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.session_answers import SessionPlugin, session_plugins
from tradebot.lab.backtest.venue import EngineVenue, EquityAt
from tradebot.lab.driver.price_triggers import INTEREST, MarketAhead, VisiblePrices
from tradebot.model.event import EventKind
from tradebot.model.series import DAY, WIDTHS
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World
from tradebot.signals.normalize import Rereading

if TYPE_CHECKING:
    from decimal import Decimal

    from papervenue.events import Emit, Event
    from papervenue.market.spec import MarketSpec
    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.historical_flow import PastFlow
    from tradebot.model.bar import Session
    from tradebot.model.venue_day import VenueDay
    from tradebot.model.view import BarNeed, Needs
    from tradebot.ports.strategy import Strategy

Margin = Literal["reg_t", "free"]
"""How much may be bought: twice the equity beyond initial margin, as brokers lend, or any amount."""
FREE_MULTIPLIER = 1_000
"""A multiplier of buying power that no order ever reaches."""
USUAL = "alpaca"
"""The rules of the engine that runs in this process."""
MAIN = "main"
"""The name of an exchange's first account, from which its number is derived."""


def _untold(event: Event) -> None:
    """Discard the event: no log is written."""


COUNTED_BY_THE_RECORDER = (EventKind.GATE_BLOCKED,)
"""Events of which a study of years would have a million; its recorder counts them instead."""


class RestorableParts(Struct, frozen=True):
    """The parts of an exchange that a run changes: attributes, each by its path from `root`, which has the engine and
    its market.

    `after_restoring` updates everything that depends on these attributes.
    """

    root: Any
    names_by_path: Mapping[str, tuple[str, ...]]
    after_restoring: Callable[[], object] = lambda: None


ENGINE_PARTS = {path: KEPT[path] for path in ("engine", "engine.agenda", "engine.book", "market", "market.actions")}
"""The attributes of an engine and its market that commands and time change, by path."""


def parts_of(engine: Engine) -> RestorableParts:
    return RestorableParts(SimpleNamespace(engine=engine, market=engine.market), ENGINE_PARTS)


class BacktestSetup(Struct, frozen=True):
    """A bot on an engine at the start of its market, with its books open and armed.

    `sessions` are the sessions that can run, oldest first. Time moves only with `advance`, and only the driver may use
    `ahead`. `arriving` stores the replayed data that had arrived by a time. If the bot is `served`, it has an exchange
    in a temporary folder instead of the engine; `close` removes that folder. `parts` are needed for saving an
    unfinished run. They are None if the exchange is in another process; such a run can't be saved.
    """

    world: World
    engine: Engine
    ledger: MemoryLedger
    facts: MemoryFacts
    events: MemoryEvents
    sessions: tuple[Session, ...]
    ahead: MarketAhead
    arriving: Callable[[datetime], None] = lambda now: None
    served: bool = False
    close: Callable[[], None] = lambda: None
    parts: RestorableParts | None = None

    def before_asking(self) -> None:
        """Let plug-ins that failed in an earlier pass run again."""
        begin_pass(self.world.strategies)

    def now(self) -> datetime:
        return to_datetime(self.engine.now_us)

    def advance(self, to: datetime) -> None:
        """Advance time to a given moment, including all events up to that moment."""
        self.engine.advance(from_datetime(to))
        self.arriving(to)


@contextmanager
def loaded_strategies(
    settings: Settings, folder: Path, environ: Mapping[str, str], *, prove_all: bool = False
) -> Iterator[Sequence[Strategy]]:
    """Yield the configured strategies; each plug-in runs in a separate process until the end of the block.

    Plug-ins can't access `folder`, as with a bot's folder, or the market's files, which contain the future. With
    `prove_all`, every answer that a plug-in gives for a whole session is proven (`session_answers`). Raise
    OperatorError if a strategy isn't installed.
    """
    chosen, surroundings = settings.strategies, plugin_surroundings(settings, folder, environ)
    surroundings = replace(surroundings, private=(*surroundings.private, *_files_of(settings)))
    in_use = strategies(chosen.in_use(), surroundings, chosen.installed_as(), plugin_type=SessionPlugin)
    for plugin in session_plugins(in_use):
        plugin.proves_all = prove_all
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
        yield actions_file_for(Path(sandbox.path)).absolute()


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
) -> BacktestSetup:
    """Build a bot with these settings, which count as accepted, and these strategies, on the market that `spec`
    describes.

    The market is opened unless `market` is set. Only a bot `with_flow` can fetch flow. If `flow_from` is another
    market, generated flow predicts that market's prices. If it is past flow, nothing is fetched, and each reply becomes
    known at its original time. `recorder` records the passes' decisions, and `log` is called with every event of the
    engine. Orders, fills and account equal those at an exchange with the same specification. `equity_at` and `margin`
    differ from the sandbox's only in studies. Raise OperatorError if the market's files can't be used.
    """
    opened = market or open_market_in_memory(spec)
    if spec.venue.dialect != USUAL:
        made_of = _of_contracts if driver_for(settings.venue).months else _served_setup
        return made_of(settings, opened, in_use, recorder)
    engine = engine_of(opened, spec, log)
    account = _account_of(engine, margin)
    venue = EngineVenue(engine, account, feed=settings.alpaca.feed or "", equity_at=equity_at)
    ledger, events = MemoryLedger(account.number), MemoryEvents(besides=COUNTED_BY_THE_RECORDER)
    ledger.open_books(account.cash, to_datetime(engine.now_us), venue.account().settlement)
    ledger.put_sessions(map(session_of, opened.calendar.all))
    stores, ports = (ledger, recorder, events), (venue, venue, EngineBars(engine, opened.days))
    world = played_world(
        settings, in_use, stores, ports, lambda: engine.now_us, lambda: EngineBars(engine, opened.days)
    )
    ahead = EngineAhead(engine, account, daily=opened.days is not None, equity_moves=equity_at == "market")
    sessions = tuple(map(session_of, opened.calendar.market))
    backtest_setup = BacktestSetup(world, engine, ledger, recorder, events, sessions, ahead, parts=parts_of(engine))
    return _with_flow(backtest_setup, spec, flow_from) if with_flow else backtest_setup


def _account_of(engine: Engine, margin: Margin) -> Account:
    account = engine.main
    if margin == "free":
        account.configuration = Configuration(max_margin_multiplier=FREE_MULTIPLIER, granted=FREE_MULTIPLIER)
    return account


def _served_setup(
    settings: Settings, opened: OpenedMarket, in_use: Sequence[Strategy], recorder: MemoryFacts
) -> BacktestSetup:
    """Build a bot at another venue than the default one, which an exchange of its own serves."""
    from tradebot.lab.backtest.http_exchange import InProcess, Served, ServedAhead, world_of

    served = Served(opened, in_process=driver_for(settings.venue).in_process)
    events = MemoryEvents(besides=COUNTED_BY_THE_RECORDER)
    with ExitStack() as undone:
        undone.callback(served.close)
        world, ledger, time = world_of(settings, opened, served, in_use, (recorder, events))
        undone.pop_all()
    sessions = tuple(map(session_of, opened.calendar.market))
    # Only the engine's time is used here; an unfinished run is saved by its parts.
    engine, ahead, exchange = cast("Engine", time), ServedAhead(world.reader, served.account), served.exchange
    setup = BacktestSetup(world, engine, ledger, recorder, events, sessions, ahead, served=True, close=served.close)
    if not isinstance(exchange, InProcess):
        return setup

    return replace(setup, parts=replace(parts_of(exchange.engine), after_restoring=time.follow))


def _of_contracts(
    settings: Settings, opened: OpenedMarket, in_use: Sequence[Strategy], recorder: MemoryFacts
) -> BacktestSetup:
    """Return a bot of futures on an engine in this process."""
    from tradebot.lab.backtest.contracts_venue import PlayedMarket, world_of
    from tradebot.lab.backtest.http_exchange import ServedAhead

    played, events = PlayedMarket(opened), MemoryEvents(besides=COUNTED_BY_THE_RECORDER)
    world, ledger = world_of(settings, played, in_use, (recorder, events))
    sessions, ahead = tuple(map(session_of, opened.calendar.market)), ServedAhead(world.reader, played.engine.main)
    engine, link = played.engine, played.link
    root = SimpleNamespace(engine=engine, market=engine.market, client=link.line.client)
    parts = RestorableParts(root, {**ENGINE_PARTS, "client": ("last_id",)}, link.line.follow)
    return BacktestSetup(
        world, engine, ledger, recorder, events, sessions, ahead, served=True, close=link.close, parts=parts
    )


def engine_of(opened: OpenedMarket, spec: MarketSpec, log: Emit = _untold) -> Engine:
    """Return an engine at the beginning of its market, with the account and the actions of a new exchange."""
    market, start_us = opened.market(), opened.calendar.start_us
    engine = Engine(market, start_us, log, spec.fill, spec.to_json(), spec.costs, opened.rates, dialect=ALPACA)
    for action in engine.market.actions:
        schedule(engine, action)
    engine.open_account(MAIN, MAIN, MAIN, spec.cash)
    return engine


def _with_flow(
    backtest_setup: BacktestSetup, spec: MarketSpec, source: OpenedMarket | PastFlow | None
) -> BacktestSetup:
    """Add flow to a bot; a run without it doesn't import the code that generates it."""
    from tradebot.lab.backtest.flow import EngineFlow
    from tradebot.lab.backtest.historical_flow import PastFlow

    if isinstance(source, PastFlow):
        return replace(backtest_setup, arriving=source.arriving(backtest_setup.facts))
    flow, world = EngineFlow(backtest_setup.engine, spec, source.market() if source else None), backtest_setup.world
    needed = needed_facts(world.strategies, world.rules)
    return replace(backtest_setup, world=replace(world, flow=flow, needed_facts=needed, reading=Rereading()))


KEPT_PRICES = 65_536
CHUNK = 32
"""How many sessions of daily prices are prepared at once."""
KEPT_CHUNKS = 256
CASH_ONLY = frozenset({"INT", "FEE"})
"""Activities that only move cash: interest, and the costs of borrowing shares or trading."""


_Foreseen = tuple[object, list[tuple[int, "Decimal"]], "Iterator[tuple[int, Decimal]]"]
"""The stamp up to which the forecast was right, the interest known so far, and what computes the rest."""


class EngineAhead:
    """Looks ahead at what one of an engine's accounts will see.

    `daily` is True if all bars are daily, so that nothing is visible between two sessions. `equity_moves` is False if
    the account's equity is computed from the prices of its last fills.
    """

    def __init__(self, engine: Engine, account: Account, *, daily: bool = False, equity_moves: bool = True) -> None:
        self._engine = engine
        self._account = account
        self._daily = daily
        self._renames = bool(engine.market.actions.renaming)
        self._closes_us = [session.close_us for session in engine.market.calendar.market]
        self._bid = lru_cache(KEPT_PRICES)(engine.model.bid)
        self._ask = lru_cache(KEPT_PRICES)(engine.model.ask)
        self._span = lru_cache(KEPT_CHUNKS)(self._new_span)
        self._chunk = lru_cache(KEPT_CHUNKS)(self._new_chunk)
        self._foreseen: _Foreseen = None, [], iter(())
        self.equity_moves = equity_moves

    def upcoming_prices(self, symbol: str, after: datetime, until: datetime) -> Iterator[VisiblePrices]:
        """Yield a symbol's quotes after a time and up to another, oldest first."""
        after_us, until_us, chunks = self._span(after, until)
        if symbol == INTEREST:
            return self._interest(after_us, until_us)
        if not self._daily:
            market = self._engine.market
            day = market.day(symbol, market.calendar.last_reached(until_us))
            return map(self._visible_prices, day.bars[day.complete(after_us) : day.complete(until_us)])
        parts = [self._chunk(symbol, number) for number in chunks]
        return chain.from_iterable(
            shown[bisect_right(times, after_us) : bisect_right(times, until_us)] for times, shown in parts
        )

    def next_price(self, after: datetime) -> datetime:
        at_us, calendar = from_datetime(after), self._engine.market.calendar
        if not self._daily:
            return to_datetime((at_us // MINUTE + 1) * MINUTE)
        session = calendar.market[calendar.last_reached(at_us)]
        first_us = session.open_us + MINUTE
        return to_datetime(first_us if at_us < first_us else session.close_us)

    def shows(self, symbol: str) -> VisiblePrices | None:
        bar = self._engine.market.last_bar(symbol, self._engine.now_us)
        return None if bar is None else self._visible_prices(bar)

    def closing(self) -> tuple[Decimal, Mapping[str, Decimal]]:
        engine, account = self._engine, self._account
        return exact(account.closing.equity), {
            symbol: usd(engine.price(symbol)) for symbol in sorted(account.positions)
        }

    def close(self, after_us: int) -> int:
        return self._closes_us[min(bisect_left(self._closes_us, after_us), len(self._closes_us) - 1)]

    @property
    def still(self) -> bool:
        return self._daily and charges.is_foreseeable(self._engine, self._account)

    @property
    def next_deed(self) -> datetime | None:
        for at_us, name, about in self._engine.agenda.upcoming():
            if not (name == "take_effect" and self._is_foreign(about[0])):
                return to_datetime(at_us)
        return None

    def _is_foreign(self, action: Action) -> bool:
        """Return True if an action is a dividend that neither pays the account nor changes one of its orders."""
        if action.kind != DIVIDEND or self._renames:
            return False
        account = self._account
        return action.symbol not in account.positions and not account.open

    @property
    def stamp(self) -> tuple[int, tuple[object, ...], int, int]:
        account = self._account
        working = tuple((order.id, order.status, order.updated_us) for order in account.open.values())
        return len(account.orders), working, account.version, len(account.activities)

    @property
    def trade_stamp(self) -> object:
        return self.stamp

    def only_interest_since(self, stamp: object) -> bool:
        if not isinstance(stamp, tuple):
            return False
        orders, working, version, read = stamp
        new = self._account.activities[read:]
        # Each activity changes the account's version.
        explained = orders, working, version + len(new), read + len(new)
        return self.stamp == explained and all(
            isinstance(activity, Activity) and activity.kind in CASH_ONLY for activity in new
        )

    def _interest(self, after_us: int, until_us: int) -> Iterator[VisiblePrices]:
        since, foreseen, coming = self._foreseen
        if not self.only_interest_since(since):
            foreseen, coming = [], charges.upcoming_interest(self._engine, self._account)
        # As long as nothing else moves the cash, the forecast holds and isn't computed again.
        while (not foreseen or foreseen[-1][0] <= until_us) and (activity := next(coming, None)):
            foreseen.append(activity)
        self._foreseen, cents = (self.stamp, foreseen, coming), 0
        for at_us, paid in foreseen[_after(foreseen, after_us) : _after(foreseen, until_us)]:
            cents += int(paid * 100)
            yield VisiblePrices(at_us, cents, 0, 0, 0, 0)

    def _new_span(self, after: datetime, until: datetime) -> tuple[int, int, range]:
        """Return two times in engine time, and the chunks of sessions between them."""
        after_us, until_us, calendar = from_datetime(after), from_datetime(until), self._engine.market.calendar
        first, last = max(calendar.last_reached(after_us), 0), calendar.last_reached(until_us)
        return after_us, until_us, range(first // CHUNK, last // CHUNK + 1)

    def _new_chunk(self, symbol: str, number: int) -> tuple[Sequence[int], Sequence[VisiblePrices]]:
        market = self._engine.market
        sessions = range(number * CHUNK, min((number + 1) * CHUNK, len(market.calendar.market)))
        chunk = [self._visible_prices(bar) for index in sessions for bar in market.day(symbol, index).bars]
        return [prices.at_us for prices in chunk], chunk

    def _visible_prices(self, bar: Bar) -> VisiblePrices:
        return VisiblePrices(
            bar.end_us, bar.close, self._bid(bar.close), self._ask(bar.close), self._bid(bar.low), self._ask(bar.high)
        )


def _after(foreseen: Sequence[tuple[int, Decimal]], at_us: int) -> int:
    return bisect_right(foreseen, at_us, key=itemgetter(0))


class MissingBars(Struct, frozen=True):
    """Bars that a strategy needs but doesn't have in the first session.

    `since` is the first session in which the strategy has them; None if it never does. Without a `symbol`, this applies
    to all of the strategy's symbols. If the strategy `can_decide` without these bars, it just sees less until then.
    """

    strategy: str
    symbol: str | None
    depth: int
    timeframe: str
    since: date | None
    can_decide: bool = False


def missing_bars(settings: Settings, strategies: Sequence[Strategy], market: OpenedMarket) -> tuple[MissingBars, ...]:
    """Return which bars are missing in a market's first session, and when they become available.

    In a generated market, no bars are missing unless the venue is the default one.
    """
    if isinstance(market.source, HeldPerpetuals):
        return (*_waits_of_perpetuals(settings, strategies, market, market.source),)
    if market.spec.venue.dialect != USUAL:
        return ()
    bars, sessions = EngineBars(engine_of(market, market.spec), market.days), [*map(session_of, market.calendar.market)]
    universes = ((strategy, _universe(settings, strategy)) for strategy in strategies)
    return tuple(waits for each, universe in universes for waits in _of(each, universe, settings.day, bars, sessions))


def _waits_of_perpetuals(
    settings: Settings, strategies: Sequence[Strategy], market: OpenedMarket, source: HeldPerpetuals
) -> Iterator[MissingBars]:
    """Yield the bars that files lack at first; a session's own bars count from the next session on."""
    days = [session_of(session).date for session in market.calendar.market]
    for strategy in strategies:
        for need in (*strategy.needs.bars, *_of_features(strategy.needs, settings.day)):
            symbols = need.symbols or tuple(_universe(settings, strategy))
            for depth in dict.fromkeys((need.enough, need.depth)):
                due = {symbol: _sessions_without(source, need, symbol, depth, len(days)) for symbol in symbols}
                late = {symbol: days[count] if count < len(days) else None for symbol, count in due.items() if count}
                can_decide = depth > need.enough
                if len(late) == len(symbols) and not can_decide:
                    since = min((day for day in late.values() if day), default=None)
                    yield MissingBars(strategy.name, None, depth, need.timeframe, since)
                for symbol, day in late.items():
                    yield MissingBars(strategy.name, symbol, depth, need.timeframe, day, can_decide)


def _sessions_without(source: HeldPerpetuals, need: BarNeed, symbol: str, depth: int, sessions: int) -> int:
    """Return in how many sessions of a market the files have fewer closed bars than `depth` for a need."""
    span_us, name = WIDTHS.get(need.timeframe, timedelta(days=1)) // timedelta(microseconds=1), symbol
    if (own := f"{symbol} {need.price.value}") in source.series:
        name = own
    closed = sum(source.count(name, index, span_us) for index in range(-source.past_days, 0))
    for index in range(sessions):
        if closed >= depth:
            return index
        closed += source.count(name, index, span_us)
    return sessions


def _universe(settings: Settings, strategy: Strategy) -> Sequence[str]:
    section = settings.strategies.sections().get(strategy.name)
    return (section.universe if section else None) or settings.universe


def _of(
    strategy: Strategy, universe: Sequence[str], day: VenueDay, bars: EngineBars, sessions: Sequence[Session]
) -> Iterator[MissingBars]:
    """Yield a strategy's missing bars: one entry per symbol, or a single one if no symbol has its bars at first."""
    for need in (*strategy.needs.bars, *_of_features(strategy.needs, day)):
        symbols = need.symbols or tuple(universe)
        late = [symbol for symbol in symbols if not _has(bars, need, symbol, sessions[0])]
        since = {symbol: _first(bars, need, symbol, sessions) for symbol in late}
        if len(late) == len(symbols):
            days = [day for day in since.values() if day]
            yield MissingBars(strategy.name, None, need.enough, need.timeframe, min(days, default=None))
        for symbol in late if len(symbols) > 1 else ():
            yield MissingBars(strategy.name, symbol, need.enough, need.timeframe, since[symbol])


def _of_features(needs: Needs, day: VenueDay) -> Sequence[BarNeed]:
    if not needs.features:
        return ()
    from tradebot.desk.features import bars_for

    return [bars_for(need, day) for need in needs.features]


def _has(bars: EngineBars, need: BarNeed, symbol: str, session: Session) -> bool:
    """Return True if a symbol has all bars for a session's decisions; minutes of the session itself come during it."""
    until = session.open if need.timeframe == DAY else session.close
    series = bars.closed(need, [symbol], until).get(symbol)
    return series is not None and len(series.starts) >= need.enough


def _first(bars: EngineBars, need: BarNeed, symbol: str, sessions: Sequence[Session]) -> date | None:
    index = bisect_left(sessions, True, key=lambda session: _has(bars, need, symbol, session))
    return sessions[index].date if index < len(sessions) else None
