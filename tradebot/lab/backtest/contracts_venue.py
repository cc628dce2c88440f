"""Use an engine of futures as the bot's broker, with the adapter's own reader and orders but without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from papervenue.commands.control import MAIN
from papervenue.engine.engine import Engine
from papervenue.market_loader import dialect_of
from papervenue.times import SECOND, from_datetime
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.bars.roll_adjusted import join_over_rolls
from tradebot.adapters.memory.bars import MemoryBars
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.app.venues import driver_for
from tradebot.lab.backtest.full_session_bars import FullSessionBars, known_sessions, opened_books, played_world
from tradebot.lab.backtest.in_process_gateway import EngineLine
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.ports.world import World
from tradebot.venues.ibkr import prices
from tradebot.venues.ibkr.capabilities import TRADING_ID
from tradebot.venues.ibkr.link import IbkrConnection, IbkrVenue, LinkTimeouts
from tradebot.venues.ibkr.orders import IbkrOrders
from tradebot.venues.ibkr.prices import IbkrBars
from tradebot.venues.ibkr.reader import IbkrReader

if TYPE_CHECKING:
    from datetime import date

    from papervenue.events import Event
    from tradebot.adapters.memory.facts import MemoryFacts
    from tradebot.adapters.memory.recorder import MemoryEvents
    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.market import OpenedMarket
    from tradebot.model.account import BrokerView
    from tradebot.model.bar import Quote, Session, VenueClock
    from tradebot.model.instrument import Listing, MarginLevel
    from tradebot.ports.stores import Bars
    from tradebot.ports.strategy import Strategy
    from tradebot.venues.ibkr.order_reports import OrderReports

    Sessions = Callable[[date, date], Sequence[Session]]

T = TypeVar("T")


class EngineLink:
    """Replaces the adapter's connection to the venue."""

    place: tuple[str, int, int] = ("", 0, TRADING_ID)
    dropped_count, last_problem = 0, ""

    def __init__(self, engine: Engine) -> None:
        self._loop = asyncio.new_event_loop()
        self.line = EngineLine(engine, LinkTimeouts(), self._loop)

    def read(self, question: Callable[[IbkrConnection], Awaitable[T]]) -> T:
        """Send a request to the in-process connection, which never waits."""
        coroutine = cast("Any", question(self.ready()))
        try:
            coroutine.send(None)
        except StopIteration as answer:
            return cast("T", answer.value)
        raise AssertionError("a backtest never waits")

    def ready(self) -> IbkrConnection:
        return cast("IbkrConnection", self.line)

    @contextmanager
    def sending(self) -> Iterator[IbkrConnection]:
        """Yield the in-process connection, which has no other users."""
        yield self.ready()

    def run(self, send: Callable[[IbkrConnection], Awaitable[T]], line: IbkrConnection) -> T:
        """Run a request on the link's event loop, whose clock it may use, and return its result."""
        done: T = self._loop.run_until_complete(cast("Any", send(line)))
        return done

    def close(self) -> None:
        self._loop.close()


class EngineReader(IbkrReader):
    """The adapter's reader on an engine; replies are rebuilt only after a change."""

    def __init__(self, link: EngineLink) -> None:
        self.venue = IbkrVenue(Mode.SANDBOX, cast("Any", link))
        super().__init__(self.venue, DriftTally())
        self._line = link.line
        self._known: tuple[object, OrderReports] | None = None
        self._seen: tuple[object, BrokerView] | None = None
        self._turns: VenueClock | None = None

    def _read_reports(self) -> OrderReports:
        stamp = self._line.changes, self._line.today_us
        if self._known is None or self._known[0] != stamp:
            self._known = stamp, super()._read_reports()
        return self._known[1]

    def view(self) -> BrokerView:
        """Return account, positions and open orders; nothing changes while they are read."""
        stamp = self._line.changes, self._line.engine.now_us
        if self._seen is None or self._seen[0] != stamp:
            self._seen = stamp, super().view()
        return self._seen[1]

    def clock(self) -> VenueClock:
        """Return the exchange's time; the next open and close are looked up again only once they have passed."""
        turns, now = self._turns, self._now()
        if turns is None or not turns.now <= now < min(turns.next_open, turns.next_close):
            turns = self._turns = super().clock()
        return replace(turns, now=now)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._line.engine.now_us // SECOND, UTC)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest usable quote of each symbol."""
        now, by_symbol, rejected = self._now(), dict[str, "Quote"](), dict[str, str]()
        for symbol in symbols:
            try:
                by_symbol[symbol] = prices.quote(symbol, self._line.ticks(symbol), now)
            except RowError as error:
                rejected[symbol] = str(error)
        self.rejected_quotes = rejected
        return by_symbol

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        """Return the exchange's listings of these contracts."""
        now, by_symbol = self._now(), dict[str, "Listing"]()
        today = self.capabilities.day.date_of(now)
        for symbol in dict.fromkeys(symbols):
            details = self._read(partial(prices.details_of, symbol=symbol, today=today))
            if details is None:
                continue
            try:
                by_symbol[symbol] = prices.listing(details, now, self._levels(symbol, details))
            except RowError as error:
                self._tally.note("listing", error.field_name, f"row refused: {error.problem}")
        return by_symbol

    def _levels(self, symbol: str, details: Any) -> tuple[MarginLevel, ...]:
        changes = [self._line.margin_change(symbol, action) for action in prices.SIDES]
        try:
            return prices.levels_of(details, prices.last_price(self._line.ticks(symbol)), changes)
        except RowError as error:
            self._tally.note("margin", error.field_name, error.problem)
            return ()


class ContractOrders(IbkrOrders):
    """The adapter's order port, connected to an engine in this process."""

    def __init__(self, reader: EngineReader) -> None:
        super().__init__(reader.venue, DriftTally())
        self._reader = reader


class PlayedMarket:
    """A market of contracts that runs in this process: it is at its start, and the bot has an account there."""

    def __init__(self, opened: OpenedMarket) -> None:
        market, spec = opened.market(), opened.spec
        (dialect, _), start_us = dialect_of(spec.venue), market.calendar.start_us
        identity, rates = spec.to_json(), opened.rates
        self.engine = Engine(market, start_us, _untold, spec.fill, identity, spec.costs, rates, dialect=dialect)
        self.engine.open_account(MAIN, MAIN, MAIN, spec.cash)
        self.link = EngineLink(self.engine)
        self.reader = EngineReader(self.link)

    def source(self) -> IbkrBars:
        """Return the source of the market's bars."""
        return IbkrBars(self.reader.venue, DriftTally())

    def bars(self, settings: Settings, sessions: Sessions) -> Bars:
        """Return a store of closed bars in memory, in which a contract's bars continue those of earlier contracts.

        Bars that have ended never change.
        """
        door = driver_for(settings.venue)
        stored = StoredBars(MemoryBars, self.source, sessions, settings.day, final=True)
        return join_over_rolls(stored, door.months, door.coin, settings.day)


def _untold(event: Event) -> None:
    """Discard the event: no log is written."""


def world_of(
    settings: Settings,
    played: PlayedMarket,
    in_use: Sequence[Strategy],
    stores: tuple[MemoryFacts, MemoryEvents],
) -> tuple[World, MemoryLedger]:
    """Return the world of a bot with these settings on a market of contracts, and the bot's books."""
    reader, engine, door = played.reader, played.engine, driver_for(settings.venue)
    ledger = opened_books(reader, engine.main.number, engine.now_us, engine.market.calendar.market)

    sessions = known_sessions(ledger, reader)

    def ahead() -> Bars:
        stored = StoredBars(MemoryBars, played.source, sessions, settings.day, final=True)
        foreseen = FullSessionBars(engine.market, stored, sessions, settings.day)
        return join_over_rolls(foreseen, door.months, door.coin, settings.day)

    ports = reader, ContractOrders(reader), played.bars(settings, sessions)
    return played_world(settings, in_use, (ledger, *stores), ports, lambda: engine.now_us, ahead), ledger


@contextmanager
def other_future(settings: Settings, opened: OpenedMarket, world: World, now: datetime) -> Iterator[World]:
    """Yield the bot's world at this time, but with the bars and quotes of a market whose prices differ after this time.

    The books and the account are still the bot's.
    """
    now_us = from_datetime(now)
    elsewhere = PlayedMarket(opened.with_other_future(now_us))
    try:
        elsewhere.engine.advance(now_us)
        sessions = known_sessions(world.ledger, elsewhere.reader)
        yield replace(world, market=elsewhere.reader, bars=elsewhere.bars(settings, sessions), features=None)
    finally:
        elsewhere.link.close()
