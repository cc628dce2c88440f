"""Build a backtest's bot, and let it compute features once for a whole session from that session's later bars.

The features are then looked up by time. Intraday bars are available in advance only if they are made from trades; they
equal the bars that the backtest's venue serves later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from papervenue.times import DAY, SECOND, from_datetime, to_datetime
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.memory.bars import MemoryBars
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemorySendLock
from tradebot.app import calendar
from tradebot.app.null_ports import NoFlow
from tradebot.app.rules import rules_of
from tradebot.auditing.bar_findings import RawBar
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.model.series import DAY as DAYS
from tradebot.model.series import WIDTHS, PriceKind, Series
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission
from tradebot.ports.world import World

if TYPE_CHECKING:
    from papervenue.market.bars import Bar, Market
    from papervenue.market.sessions import Session as MarketSession
    from tradebot.adapters.bars.series import Sessions
    from tradebot.adapters.bars.store import CorporateAction
    from tradebot.adapters.memory.facts import MemoryFacts
    from tradebot.adapters.memory.recorder import MemoryEvents
    from tradebot.app.settings import Settings
    from tradebot.model.bar import Session
    from tradebot.model.venue_day import VenueDay
    from tradebot.model.view import BarNeed
    from tradebot.ports.broker import BrokerReader, OrderPort
    from tradebot.ports.stores import Bars, Calendar, Features
    from tradebot.ports.strategy import Strategy
    from tradebot.venues.door import Reader

MICROSECOND = timedelta(microseconds=1)


KNOWN_BEFORE, KNOWN_AFTER = timedelta(days=60), timedelta(days=120)
"""How far the books' calendar reaches before the market's first session and after its last one."""


def opened_books(reader: BrokerReader, number: str, now_us: int, sessions: Sequence[MarketSession]) -> MemoryLedger:
    """Return the books of a new account in a market, with the calendar for the time around the market's sessions."""
    account, ledger = reader.account(), MemoryLedger(number)
    ledger.open_books(account.cash, to_datetime(now_us), account.settlement)
    first, last = session_of(sessions[0]).date - KNOWN_BEFORE, session_of(sessions[-1]).date + KNOWN_AFTER
    ledger.put_sessions(reader.calendar(first, last))
    return ledger


def known_sessions(books: Calendar, reader: BrokerReader) -> Sessions:
    """Return the sessions that the bot's bars have.

    Its books' calendar begins shortly before its first session, so the venue's is needed for older bars.
    """
    return partial(calendar.sessions, books, reader.calendar)


def played_world(
    settings: Settings,
    in_use: Sequence[Strategy],
    stores: tuple[MemoryLedger, MemoryFacts, MemoryEvents],
    ports: tuple[Reader, OrderPort, Bars],
    now_us: Callable[[], int],
    ahead: Callable[[], Bars],
) -> World:
    """Build a bot with these settings; `ahead` opens bars that include the rest of a session, for computing its
    features.

    The settings count as accepted, and engine time serves as the machine's clock too.
    """
    (ledger, facts, events), (reader, orders, bars) = stores, ports
    world = World(
        rules=replace(rules_of(settings, settings.exits, asks=False), own_exits=settings.strategies.own_exits()),
        permission=Permission(),
        reader=reader,
        market=reader,
        bars=bars,
        orders=orders,
        send_lock=MemorySendLock(),
        flow=NoFlow(),
        ledger=ledger,
        facts=facts,
        events=events,
        strategies=in_use,
        second_clock=lambda: to_datetime(now_us()),
    )
    needed = any(strategy.needs.features for strategy in in_use)
    return replace(world, features=precomputed_features(ahead(), world)) if needed else world


def precomputed_features(bars: Bars, world: World) -> Features:
    """Return an object that computes a whole session's features at once, from bars that include the rest of the
    session.
    """
    from tradebot.desk.features import BarFeatures

    return BarFeatures(bars, world.ledger.sessions, world.venue.day, whole=True)


class FullSessionBars:
    """Serves bars that include the rest of a session. Daily bars are the venue's own, from `bars`."""

    def __init__(
        self, market: Market, bars: Bars, sessions: Callable[[date, date], Sequence[Session]], day: VenueDay
    ) -> None:
        self._told = bars
        self._ahead = StoredBars(MemoryBars, lambda: _Ahead(market), sessions, day, final=True)

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that are complete at `until`, which may be in the future."""
        return (self._told if need.timeframe == DAYS else self._ahead).closed(need, symbols, until)


class _Ahead:
    """A source of all bars of a market, regardless of the time."""

    name, delay = "market", timedelta(0)
    timeframes, refused_symbols = frozenset(WIDTHS), frozenset[str]()

    def __init__(self, market: Market) -> None:
        self._market = market

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the bars of each symbol that begin in a time range, one symbol after another."""
        assert price is PriceKind.TRADE, "only trade bars are known ahead"
        span_us, first_us, last_us = WIDTHS[timeframe] // MICROSECOND, from_datetime(first), from_datetime(last)
        for symbol in symbols:
            if symbol in self._market.grids:
                parts = self._parts(symbol, span_us, first_us, last_us + span_us)
                merged = groupby(parts, lambda bar: bar.start_us // span_us * span_us)
                bars = (self._bar(symbol, start_us // SECOND, of) for start_us, of in merged)
                yield {symbol: [bar for bar in bars if first_us <= bar.start_s * SECOND <= last_us]}

    def _parts(self, symbol: str, span_us: int, first_us: int, end_us: int) -> Iterator[Bar]:
        calendar = self._market.calendars[symbol]
        for number, session in enumerate(calendar.played):
            if session.close_us <= first_us or session.open_us >= end_us:
                continue
            index = number - calendar.first
            if index < 0 and calendar.contiguous:
                yield from self._market.past_candles(symbol, index, min(span_us, DAY), wicks=True)
            elif index >= -self._market.past_minutes:
                yield from self._market.day(symbol, index).bars

    def _bar(self, symbol: str, start_s: int, parts: Iterator[Bar]) -> RawBar:
        bars, usd = list(parts), self._market.grids[symbol].usd
        prices = bars[0].open, max(bar.high for bar in bars), min(bar.low for bar in bars), bars[-1].close
        opening, high, low, close = (float(usd(units)) for units in prices)
        return RawBar(start_s, opening, high, low, close, float(sum(bar.volume for bar in bars)))

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return nothing: these instruments have no splits and no dividends."""
        return dict.fromkeys(symbols, ())
