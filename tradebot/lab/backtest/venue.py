"""Use the engine as the bot's broker: read and send the same data as through the exchange's API, without a server.

All values equal those that Alpaca's adapter parses from the exchange's replies; a test compares the two.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import islice, takewhile
from operator import attrgetter
from typing import Literal, NamedTuple, TypeVar

from papervenue.engine import account as engine_account
from papervenue.engine import orders as engine_orders
from papervenue.engine.account import Activity as EngineActivity
from papervenue.engine.engine import Engine
from papervenue.engine.engine_state import EngineState
from papervenue.engine.orders import Fill as EngineFill
from papervenue.events import Event
from papervenue.faces.data.rows import listing
from papervenue.market.bars import Bar, Day, usd
from papervenue.market.sessions import full_calendar
from papervenue.market.ticks import last_quote, last_trade
from papervenue.shares.options import shares_of
from papervenue.times import from_datetime
from tradebot.lab.backtest.engine_conversion import (
    activity_of,
    exact,
    fill_of,
    moment,
    order_of,
    position_of,
    session_of,
    shown_price,
    shown_size,
)
from tradebot.lab.backtest.order_requests import EngineOrders
from tradebot.model.account import Account, Activity, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.instrument import Listing, notional
from tradebot.model.intent import Intent
from tradebot.model.order import Fill, Order, OrdersReported
from tradebot.model.venue import Proof
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.venues.alpaca.parsers import end_of, has_outlived, listings

T = TypeVar("T")


class LastTrade(NamedTuple):
    """The price of a symbol's last fill in the engine's units, and when it happened."""

    price: int
    at_us: int


class EngineHistory:
    """The executions and other activities of an account, each list sorted by time and then id."""

    def __init__(self, account: engine_account.Account) -> None:
        self._account = account
        self._read = 0
        self._fills: list[Fill] = []
        self._fills_us: list[int] = []
        self._others: list[Activity] = []
        self._others_us: list[int] = []
        self.traded: dict[str, LastTrade] = {}

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return executions later than `after` (None: all), oldest first, without busts and corrections."""
        self.catch_up()
        return self._fills[_after(self._fills_us, after) :]

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return activities other than executions later than `after`, oldest first."""
        self.catch_up()
        return self._others[_after(self._others_us, after) :]

    def catch_up(self) -> None:
        activities = self._account.activities
        if len(activities) == self._read:
            return
        fills, others = len(self._fills), len(self._others)
        for activity in activities[self._read :]:
            if isinstance(activity, EngineFill):
                self.traded[activity.order.symbol] = LastTrade(activity.price, activity.at_us)
                self._fills.append(fill_of(activity))
                self._fills_us.append(activity.at_us)
            elif isinstance(activity, EngineActivity):
                self._others.append(activity_of(activity))
                self._others_us.append(activity.at_us)
        self._read = len(activities)
        _sort_from(self._fills, self._fills_us, fills, "activity_id")
        _sort_from(self._others, self._others_us, others, "id")


def _after(times_us: Sequence[int], after: datetime | None) -> int:
    return 0 if after is None else bisect_right(times_us, from_datetime(after))


def _sort_from(rows: list[T], times_us: Sequence[int], new: int, name: str) -> None:
    """Sort the new rows, with earlier ones of the same time, by time and then by id."""
    while 0 < new < len(rows) and times_us[new - 1] == times_us[new]:
        new -= 1
    rows[new:] = sorted(rows[new:], key=attrgetter("at", name))


EquityAt = Literal["market", "last_fill"]
"""How equity values positions: at the market's price, or at the price of each position's last fill."""
SANDBOX_FEED = "sandbox"
"""The name of the embedded exchange's prices."""
MOST_LISTED = 2_000
"""The most orders in a list other than that of open ones: four pages of the API."""
_EARLIER_US = 1_000
"""How much earlier a list of orders begins than requested, because the API's bound is exclusive."""
_SEQUENCE, _DATE = attrgetter("sequence"), attrgetter("date")


class EngineVenue:
    """Implements the ports to a broker (BrokerReader, OrderPort and Market) for one account at an engine.

    Nothing here waits or fails. If `equity_at` is "last_fill", the account's equity values each position at the price
    of its last fill instead of the market's. This exists only to reproduce studies that compute sizes from such an
    equity.
    """

    capabilities = ALPACA
    has_outlived = staticmethod(has_outlived)

    def __init__(
        self,
        engine: Engine,
        account: engine_account.Account,
        *,
        feed: str = SANDBOX_FEED,
        equity_at: EquityAt = "market",
    ) -> None:
        self._engine = engine
        self._account = account
        self._stale = equity_at == "last_fill"
        self._quotes = EngineQuotes(engine, feed)
        requests = EngineOrders(engine, account, self.order)
        self._history = EngineHistory(account)
        self._told = 0
        self._clock = VenueClock(moment(0), False, moment(0), moment(0))
        self._clock_us = self._turned_us = self._turns_us = -1
        self._figures: tuple[object, ...] = ()
        self._closing: tuple[object, Decimal] | None = None
        self._shown: Account | None = None
        self._looked: tuple[int, int, int] | None = None
        self._view: BrokerView | None = None
        self._held: dict[str, tuple[tuple[object, ...], BrokerPosition]] = {}
        self._open: dict[tuple[str, str | None], tuple[tuple[object, ...], Order]] = {}
        self._log, engine.emit = engine.emit, self._hear
        self.quotes = self._quotes.quotes
        self.quotes_again = self._quotes.quotes_again
        self.submit = requests.submit
        self.replace = requests.replace
        self.cancel = requests.cancel

    def _hear(self, event: Event) -> None:
        """Count a change: each change of an account or its orders has an event."""
        self._told += 1
        self._log(event)

    def depth(self, symbol: str) -> Depth | None:
        """Return None, like the adapter."""
        return None

    @property
    def rejected_quotes(self) -> Mapping[str, str]:
        """Return why each symbol is missing from the last result of `quotes`."""
        return self._quotes.rejected

    @property
    def unreadable_fills(self) -> int:
        """Return 0: all of the engine's fills can be read."""
        return 0

    def clock(self) -> VenueClock:
        now_us = self._engine.now_us
        if now_us != self._clock_us:
            self._clock_us, reading = now_us, self._clock
            if not self._turned_us <= now_us < self._turns_us:
                reading = self._turn(now_us)
            self._clock = VenueClock(moment(now_us), reading.is_open, reading.next_open, reading.next_close)
        return self._clock

    def _turn(self, now_us: int) -> VenueClock:
        calendar = self._engine.market.calendar
        opens_us, closes_us = calendar.next_open(now_us), calendar.next_close(now_us)
        self._turned_us, self._turns_us = now_us, min(opens_us, closes_us)
        return VenueClock(moment(now_us), closes_us < opens_us, moment(opens_us), moment(closes_us))

    def account(self) -> Account:
        account, engine = self._account, self._engine
        settings = account.configuration
        figures = (
            engine.now_us if account.positions else 0,
            account.version,
            account.reserved,
            account.closing,
            settings.multiplier,
            settings.suspend_trade,
        )
        if self._shown is None or figures != self._figures:
            self._figures, self._shown = figures, self._read_account()
        return self._shown

    def _read_account(self) -> Account:
        account, engine = self._account, self._engine
        return Account(
            number=account.number,
            status="ACTIVE",
            cash=exact(account.cash),
            equity=exact(self._stale_equity() if self._stale else engine.balances(account).equity),
            last_equity=self._last_equity(),
            buying_power=exact(engine.buying_power(account)),
            blocked=("trade_suspended_by_user",) if account.configuration.suspend_trade else (),
        )

    def _last_equity(self) -> Decimal:
        closing = self._account.closing
        if self._closing is None or self._closing[0] is not closing:
            self._closing = closing, exact(closing.equity)
        return self._closing[1]

    def _stale_equity(self) -> Decimal:
        """Return cash plus each position at its last fill's price, in today's shares."""
        self._history.catch_up()
        return self._account.cash + sum(map(self._stale_value, self._account.positions.values()), Decimal(0))

    def _stale_value(self, position: engine_account.Position) -> Decimal:
        engine, traded = self._engine, self._history.traded.get(position.symbol)
        multiplier = Decimal(shares_of(position.symbol))
        if traded is None:
            return notional(position.qty, usd(engine.price(position.symbol)), multiplier)
        split = engine.market.split_factor(position.symbol, traded.at_us, engine.now_us)
        return notional(position.qty, usd(traded.price), multiplier) * Decimal(split)

    def view(self) -> BrokerView:
        """Return account, positions and open orders. Nothing changes while they are read, so the view is always
        consistent.
        """
        looked = (self._engine.now_us, self._told, self._account.version)
        if self._view is None or looked != self._looked:
            self._looked = looked
            account, positions, orders = self.account(), self._positions(), self._open_orders()
            view = self._view
            if view is None or view.account is not account or view.positions != positions or view.orders != orders:
                self._view = BrokerView(account, positions, orders)
        return self._view  # type: ignore[return-value] # it was made just now, if there was none

    def _positions(self) -> tuple[BrokerPosition, ...]:
        open_positions = self._account.positions
        if not open_positions:
            self._held.clear()
            return ()
        positions = {symbol: self._position(open_positions[symbol]) for symbol in sorted(open_positions)}
        self._held = positions
        return tuple(position for _, position in positions.values())

    def _position(self, position: engine_account.Position) -> tuple[tuple[object, ...], BrokerPosition]:
        price, symbol = self._engine.price(position.symbol), position.symbol
        claimed = self._account.claimed_shares(symbol) + self._account.kept_back(symbol)
        stamp, state = (position.qty, position.average, price, claimed), self._held.get(symbol)
        return state if state and state[0] == stamp else (stamp, position_of(position, price, claimed))

    def _open_orders(self) -> tuple[Order, ...]:
        """Return the open orders, oldest first, each followed by its open legs."""
        account = self._account
        if not account.open:
            self._open.clear()
            return ()
        listed, self._open = self._open, {}
        return tuple(self._translate_changed(order, parent, listed) for order, parent in _open_with_legs(account))

    def _translate_changed(
        self,
        order: engine_orders.Order,
        parent: str | None,
        translated: Mapping[tuple[str, str | None], tuple[tuple[object, ...], Order]],
    ) -> Order:
        """Convert an order, again only if something about it has changed."""
        stamp = (
            order.status,
            order.updated_us,
            order.filled_qty,
            order.qty,
            order.stop,
            order.request,
            order.replaced_by,
            order.shown_held,
        )
        key = (order.id, parent)
        before = translated.get(key)
        row = before if before and before[0] == stamp else (stamp, order_of(order, parent))
        self._open[key] = row
        return row[1]

    def position(self, symbol: str) -> BrokerPosition | None:
        position = self._account.positions.get(symbol)
        return self._position(position)[1] if position else None

    def order(self, client_order_id: str) -> Order | None:
        order = self._account.by_client_id.get(client_order_id)
        return order_of(order) if order else None

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        return end_of(self.order, intent, sessions, now)

    def follower(self, venue_id: str) -> Order | None:
        order = self._account.orders.get(venue_id.lower())
        return order_of(order) if order else None

    def legs(self, venue_id: str) -> Sequence[Order]:
        """Return the legs of the order with the venue's id, open or ended; empty if there is no such order."""
        order = self._account.orders.get(venue_id.lower())
        return tuple(order_of(leg, order.id) for leg in order.legs) if order else ()

    def ended(self, since: datetime) -> Sequence[Order]:
        """Return orders submitted at or after `since` that have ended, oldest first; a very long list is cut off."""
        account, after_us = self._account, from_datetime(since) - _EARLIER_US
        recent = list(takewhile(lambda order: order.submitted_us > after_us, account.orders.newest()))
        over = (order for order in reversed(recent) if order.id not in account.open)
        return [order_of(order) for order in islice(over, MOST_LISTED)]

    def orders_of(self, symbols: Sequence[str]) -> OrdersReported:
        """Return all orders in these symbols, open or not, newest first; a very long list is cut off."""
        named = frozenset(symbols)
        orders = (order for order in self._account.orders.newest() if order.symbol in named)
        return OrdersReported(tuple(order_of(order) for order in islice(orders, MOST_LISTED)))

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return executions later than `after` (None: all), oldest first."""
        return self._history.fills(after)

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return activities other than executions later than `after`, oldest first."""
        return self._history.activities(after)

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        own, first, last = self._engine.market.calendar, start.isoformat(), end.isoformat()
        spanned = own.all[0].date < first and last < own.all[-1].date
        sessions = (own if spanned else full_calendar(own)).all[:-1]
        low, high = bisect_left(sessions, first, key=_DATE), bisect_right(sessions, last, key=_DATE)
        return [session_of(session) for session in sessions[low:high]]

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        return listings(symbols, self.clock().now)


def _open_with_legs(account: engine_account.Account) -> Iterator[tuple[engine_orders.Order, str | None]]:
    """Yield the open orders, oldest first, each followed by its open legs with its id."""
    for order in sorted(account.open.values(), key=_SEQUENCE):
        if order.parent is not None and order.parent.id in account.open:
            continue
        yield order, None
        yield from ((leg, order.id) for leg in order.legs if leg.is_open)


_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,31}", re.ASCII)
NO_SYMBOL = "is not a symbol"
NO_SNAPSHOT, NO_QUOTE = "snapshot is not a JSON object", "latestQuote is not a JSON object"
"""The API reader's messages about a symbol that the exchange doesn't list, or that never traded."""


class EngineQuotes:
    """A market's newest quotes; until engine time advances, each is built only once."""

    def __init__(self, floor: EngineState, feed: str) -> None:
        self._floor = floor
        self._feed = feed
        self._at_us = -1
        self._quotes: dict[str, Quote | str] = {}
        self._hours = (0, 0)
        self._index = -1
        self._days: dict[str, Day] = {}
        self._closes: dict[str, int | None] = {}
        self._around = lru_cache(maxsize=65_536)(lambda price: (floor.model.bid(price), floor.model.ask(price)))
        self.rejected: Mapping[str, str] = {}

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the newest quote of each symbol that has one; `rejected` explains the others."""
        quotes, self.rejected = self._sorted_out(symbols)
        return quotes

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the same quotes, because the market stands still while the bot reads it. `rejected` doesn't change."""
        return self._sorted_out(symbols)[0]

    def _sorted_out(self, symbols: Sequence[str]) -> tuple[dict[str, Quote], dict[str, str]]:
        quotes: dict[str, Quote] = {}
        rejected: dict[str, str] = {}
        now_us = self._floor.now_us
        if now_us != self._at_us:
            self._move(now_us)
        for symbol in symbols:
            quote = self._quotes.get(symbol)
            if quote is None:
                quote = self._quotes[symbol] = self._quote(symbol, now_us)
            if isinstance(quote, str):
                rejected[symbol] = quote
            else:
                quotes[symbol] = quote
        return quotes, rejected

    def _move(self, now_us: int) -> None:
        """Discard the values of another time; days and closes stay valid while a session is open."""
        self._at_us = now_us
        self._quotes.clear()
        opens_us, closes_us = self._hours
        if opens_us < now_us <= closes_us:
            return
        self._days.clear()
        self._closes.clear()
        calendar = self._floor.market.calendar
        self._index = calendar.last_reached(now_us)
        session = calendar.market[self._index]
        self._hours = (session.open_us, session.close_us) if session.open_us < now_us <= session.close_us else (0, 0)

    def _quote(self, symbol: str, now_us: int) -> Quote | str:
        bar = (self._newest(symbol, now_us) if self._hours[1] else None) or self._last_known(symbol, now_us)
        if isinstance(bar, str):
            return bar
        quote = last_quote(bar, self._around)
        previous = self._previous_close(symbol, now_us)
        return Quote(
            symbol,
            moment(self._floor.market.quoted_us(bar, now_us)),
            shown_price(quote.bid),
            shown_price(quote.ask),
            shown_price(bar.close),
            None if previous is None else shown_price(previous),
            self._feed,
            shown_size(quote.bid_size),
            shown_size(quote.ask_size),
            last_at=moment(last_trade(bar).at_us),
        )

    def _newest(self, symbol: str, now_us: int) -> Bar | None:
        """Return the open session's newest complete bar, since which no split can have taken effect."""
        market = self._floor.market
        if symbol not in market.known:
            return None
        day = self._days.get(symbol)
        if day is None:
            day = self._days[symbol] = market.day(symbol, self._index)
        return day.last(now_us)

    def _last_known(self, symbol: str, now_us: int) -> Bar | str:
        """Return a symbol's newest bar, or why there is none."""
        if not _SYMBOL.fullmatch(symbol):
            return NO_SYMBOL
        market = self._floor.market
        listed = listing(market, symbol, now_us)
        if listed is None:
            return NO_SNAPSHOT
        return market.last_bar(symbol, min(now_us, listed.until_us)) or NO_QUOTE

    def _previous_close(self, symbol: str, now_us: int) -> int | None:
        """Return the last price of the session before the one that opened last, as traded."""
        if symbol in self._closes:
            return self._closes[symbol]
        market, calendar = self._floor.market, self._floor.market.calendar
        begun = calendar.last_begun(now_us)
        index = (-1 if begun is None else begun) - 1
        if index >= 0:
            bars = market.day(symbol, index).bars
            close = bars[-1].close if bars else None
        else:
            past = market.history_day(symbol, -index) if calendar.first + index >= 0 else None
            close = past.close if past else None
        self._closes[symbol] = close
        return close
