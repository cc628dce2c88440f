"""Backtest venues other than the default one: the embedded exchange simulates the venue, and the bot uses the venue's
adapter.

The bot makes the same requests about the account as in a sandbox, so orders, fills and equity are the same as there.
This takes longer than calling an engine, because each pass makes all its requests; a pass is skipped only if there are
neither positions nor orders. If the adapter works without a server, the exchange answers in this process, and bars are
read from its charts. A server would add access checks, limits, and a log that survives a power failure. None of these
changes a reply here, because nobody else uses this exchange and no fault script is armed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from urllib3 import HTTPResponse

from papervenue import process
from papervenue.engine.engine import Engine
from papervenue.exchange import open_exchange, tick_to
from papervenue.faces.face import Serving
from papervenue.faces.kraken import read_routes
from papervenue.faces.kraken.read_routes import Candle, Charts
from papervenue.faces.web import Call, PathEndpoint, Route
from papervenue.faults.streaming import StreamFaults
from papervenue.market_loader import open_market
from papervenue.state import read_market
from papervenue.times import SECOND, from_datetime, to_datetime
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.bars.roll_adjusted import join_over_rolls
from tradebot.adapters.bars.series import Sessions
from tradebot.adapters.bars.store import BarSource, CorporateAction
from tradebot.adapters.memory.bars import MemoryBars
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.state.state_folder import EXCHANGE
from tradebot.adapters.time.clock import LockStepClock
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app import sandbox
from tradebot.app.venues import driver_for
from tradebot.auditing.bar_findings import RawBar
from tradebot.lab.backtest.full_session_bars import FullSessionBars, known_sessions, opened_books, played_world
from tradebot.lab.driver.price_triggers import FAR, INTEREST, VisiblePrices
from tradebot.model.series import PriceKind
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World
from tradebot.venues.door import Access
from tradebot.venues.kraken.bars import RESOLUTIONS

if TYPE_CHECKING:
    from papervenue.engine.account import Account
    from papervenue.market.bars import Market
    from tradebot.adapters.memory.facts import MemoryFacts
    from tradebot.adapters.memory.recorder import MemoryEvents
    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.market import OpenedMarket
    from tradebot.ports.broker import BrokerReader, OrderPort
    from tradebot.ports.stores import Bars
    from tradebot.ports.strategy import Strategy
    from tradebot.venues.door import Reader


class ServedTime:
    """The time of a served exchange, which advances only on request.

    Until time advances again, the exchange's replies stay the same, so they are cached in `known`.
    """

    def __init__(self, exchange: InProcess | OverHttp) -> None:
        self._exchange = exchange
        self.known: dict[tuple[object, ...], Any] = {}
        self.now_us = exchange.now_us

    def advance(self, until_us: int) -> None:
        """Advance time to a moment in microseconds since 1970."""
        if until_us > self.now_us:
            self.known.clear()
            self._exchange.tick_to(until_us)
            self.now_us = self._exchange.now_us

    def follow(self) -> None:
        """Continue from an exchange that was restored to a later state."""
        self.known.clear()
        self.now_us = self._exchange.now_us


class ServedAhead:
    """The driver's view of a market's future, for a market whose future this process doesn't know.

    Passes are therefore skipped only while the `account` has neither positions nor working orders, because prices don't
    matter then. Without an account, no pass is skipped.
    """

    equity_moves, still, next_deed = True, False, None

    def __init__(self, reader: BrokerReader, account: Account | None) -> None:
        self._reader = reader
        self._account = account

    @property
    def stamp(self) -> object:
        """Return a value that changes whenever anything may have changed; with a position or order, it changes at each
        call.
        """
        account = self._account
        if account is None or account.open or account.positions:
            return object()
        return len(account.orders), account.version, len(account.activities)

    @property
    def trade_stamp(self) -> object:
        """Return a value that changes whenever an order or a booking may have changed; prices don't count."""
        account = self._account
        if account is None or account.open:
            return object()
        return len(account.orders), account.version, len(account.activities)

    def closing(self) -> tuple[Decimal, Mapping[str, Decimal]]:
        view = self._reader.view()
        prices = {
            position.symbol: position.current_price for position in view.positions if position.current_price is not None
        }
        return view.account.equity, prices

    def only_interest_since(self, stamp: object) -> bool:
        return False

    def upcoming_prices(self, symbol: str, after: datetime, until: datetime) -> Iterator[VisiblePrices]:
        """Yield no interest, because an account without positions has none. No other symbol's prices are known."""
        if symbol != INTEREST:
            raise _unseen(symbol)
        return iter(())

    def shows(self, symbol: str) -> VisiblePrices | None:
        raise _unseen(symbol)

    def next_price(self, after: datetime) -> datetime:
        return after

    def close(self, after_us: int) -> int:
        return FAR


def _unseen(what: str) -> AssertionError:
    return AssertionError(f"{what} isn't read ahead while there is a position")


class OverHttp:
    """Represents an exchange in a separate process, for adapters that need a server."""

    def __init__(self, folder: Path) -> None:
        self.url = process.ensure_running(folder).url
        self._clock = LockStepClock(self.url, lambda: sandbox.control_headers(folder))
        self.now_us = from_datetime(self._clock.now())

    def tick_to(self, until_us: int) -> None:
        """Advance time to a moment in microseconds since 1970."""
        self.now_us = from_datetime(self._clock.tick_to(to_datetime(until_us)).now)


class Served:
    """An exchange that serves a market in a temporary folder, until it is closed."""

    def __init__(self, opened: OpenedMarket, *, in_process: bool) -> None:
        self._closing = ExitStack()
        self.folder = Path(self._closing.enter_context(TemporaryDirectory(prefix="backtest-")))
        path = self.folder / EXCHANGE
        with sandbox.translate_exchange_errors():
            process.create(path, opened.spec)
            self.exchange = InProcess(path) if in_process else OverHttp(path)
        self._closing.callback(process.stop, path)

    @property
    def account(self) -> Account | None:
        """Return the bot's account; None if the exchange is in a separate process."""
        return self.exchange.engine.main if isinstance(self.exchange, InProcess) else None

    def market(self) -> Market:
        """Return the exchange's market, including its future."""
        if isinstance(self.exchange, InProcess):
            return self.exchange.engine.market
        path = self.folder / EXCHANGE
        return open_market(path, read_market(path))

    def close(self) -> None:
        """End the exchange and remove its folder."""
        self._closing.close()


def world_of(
    settings: Settings,
    opened: OpenedMarket,
    served: Served,
    in_use: Sequence[Strategy],
    stores: tuple[MemoryFacts, MemoryEvents],
) -> tuple[World, MemoryLedger, ServedTime]:
    """Build a bot with these settings at a served exchange; return its world, its books, and the time."""
    door, tally, time = driver_for(settings.venue), DriftTally(), ServedTime(served.exchange)
    connection = door.connect(_access(settings, served, time.known))
    reader = door.reader(connection, tally)
    ledger = opened_books(reader, reader.account().number, time.now_us, opened.calendar.market)
    sessions = known_sessions(ledger, reader)
    bars = _bars(settings, served, lambda: door.bars(connection, tally), sessions)

    def over_rolls(bars: Bars) -> Bars:
        return join_over_rolls(bars, door.months, door.coin, settings.day)

    world = played_world(
        settings,
        in_use,
        (ledger, *stores),
        (reader, door.orders(connection, tally), over_rolls(bars)),
        lambda: time.now_us,
        lambda: over_rolls(FullSessionBars(served.market(), bars, sessions, settings.day)),
    )
    return world, ledger, time


def ports_at(path: Path, settings: Settings, books: MemoryLedger) -> tuple[Reader, OrderPort, StoredBars, ServedTime]:
    """Return the ports to a folder's exchange that answers in this process: reader, orders, closed bars, and time."""
    exchange, door, tally = InProcess(path), driver_for(settings.venue), DriftTally()
    time = ServedTime(exchange)
    connection = door.connect(Access(settings, {}, exchange.url, known=time.known, connection=exchange))
    charts: Callable[[], BarSource] = lambda: ChartedBars(Charts(exchange.engine))  # noqa: E731
    reader = door.reader(connection, tally)
    bars = StoredBars(MemoryBars, charts, known_sessions(books, reader), settings.day, final=True)
    return reader, door.orders(connection, tally), bars, time


def _bars(settings: Settings, served: Served, adapter: Callable[[], BarSource], sessions: Sessions) -> StoredBars:
    """Return closed bars stored in memory; ended bars never change at this exchange."""
    exchange = served.exchange
    source = (lambda: ChartedBars(Charts(exchange.engine))) if isinstance(exchange, InProcess) else adapter
    return StoredBars(MemoryBars, source, sessions, settings.day, final=True)


def _access(settings: Settings, served: Served, accesses: dict[tuple[object, ...], Any] | None) -> Access:
    exchange = served.exchange
    if isinstance(exchange, InProcess):
        # Nobody else uses these keys, so the venue's data about them needs no file.
        return Access(settings, {}, exchange.url, known=accesses, connection=exchange)
    return Access(settings, {}, exchange.url, folder=served.folder, known=accesses)


@contextmanager
def other_future(settings: Settings, opened: OpenedMarket, world: World, now: datetime) -> Iterator[World]:
    """Yield the bot's world at this time, but with the bars and quotes of an exchange whose prices differ after this
    time.

    The books and the account stay the bot's.
    """
    now_us = from_datetime(now)
    opened = opened._replace(spec=replace(opened.spec, other_us=now_us))
    served = Served(opened, in_process=driver_for(settings.venue).in_process)
    try:
        ServedTime(served.exchange).advance(now_us)
        door, tally = driver_for(settings.venue), DriftTally()
        connection = door.connect(_access(settings, served, None))
        reader = door.reader(connection, tally)
        sessions = known_sessions(world.ledger, reader)
        bars = _bars(settings, served, lambda: door.bars(connection, tally), sessions)
        joined_bars = join_over_rolls(bars, door.months, door.coin, settings.day)
        yield replace(world, market=reader, bars=joined_bars, features=None)
    finally:
        served.close()


class ChartedBars:
    """A source of bars that reads the exchange's charts of the whole market; a bar is available as soon as it has
    ended.
    """

    name, delay = "kraken_futures", timedelta(0)
    timeframes, refused_symbols = frozenset(RESOLUTIONS), frozenset[str]()

    def __init__(self, of: Charts) -> None:
        self._charts = of

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the bars of each symbol that begin in a time range, one symbol after another."""
        span_us = read_routes.RESOLUTIONS[RESOLUTIONS[timeframe]]
        for symbol in symbols:
            candles = self._charts.between(symbol, price.value, span_us, from_datetime(first), from_datetime(last))
            yield {symbol: list(map(_bar, candles))}

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return nothing: perpetuals have no splits and no dividends."""
        return dict.fromkeys(symbols, ())


def _bar(of: Candle) -> RawBar:
    opening, high, low, close = map(float, (of.open, of.high, of.low, of.close))
    return RawBar(of.start_us // SECOND, opening, high, low, close, float(of.volume))


class InProcess:
    """A folder's exchange, and the connection over which `wire.http.exchange` sends requests to it."""

    url = "http://127.0.0.1"
    """An address on this machine where nothing listens."""

    def __init__(self, folder: Path) -> None:
        self._exchange = exchange = open_exchange(folder)
        serving = Serving(exchange, None, StreamFaults(exchange.engine, exchange.faults.book), None)
        self._routes = [route for face in exchange.faces for route in face.serve(serving).routes]
        self._found: dict[str, tuple[PathEndpoint, Mapping[str, str]]] = {}

    @property
    def engine(self) -> Engine:
        return self._exchange.engine

    @property
    def now_us(self) -> int:
        return self.engine.now_us

    def tick_to(self, until_us: int) -> None:
        """Advance time to a moment in microseconds since 1970."""
        status, answer = self._exchange.run(tick_to(until_us))
        assert status == 200, answer
        self._exchange.record()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> HTTPResponse:
        """Return the reply to a request; as with a server, its log lines are written first."""
        parts = urlsplit(url)
        if parts.path not in self._found:
            self._found[parts.path] = _route_of(self._routes, unquote(parts.path))
        endpoint, names = self._found[parts.path]
        named = {name.lower(): value for name, value in headers.items()}
        call = Call(method, parts.path, parts.query, names, named, (body or b"").decode())
        reply = endpoint.answer(call)
        self._exchange.record()
        return HTTPResponse(BytesIO(reply.body), reply.headers, reply.status, preload_content=False)


def _route_of(routes: list[Route], path: str) -> tuple[PathEndpoint, Mapping[str, str]]:
    for route in routes:
        names = route.names(path)
        if names is not None:
            assert isinstance(route.app, PathEndpoint), path
            return route.app, names
    raise AssertionError(f"no bot requests {path}")
