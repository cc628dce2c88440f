"""Read account, prices, orders and history from Kraken Futures; nothing here can send an order."""

from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote as quoted

from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError, keep_readable, utc
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.account import Account, Activity, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, Operation, is_our_order_id
from tradebot.model.order import Fill, Order, OrdersReported, OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.venue import End, Proof, Settlement
from tradebot.venues.kraken import rows
from tradebot.venues.kraken.capabilities import ARRIVES_WITHIN, KRAKEN, SETTLED_AFTER
from tradebot.venues.kraken.client import V3, Client, KrakenVenue, SinceMidnight, equity_at_midnight, midnight
from tradebot.venues.kraken.history import (
    MOST_PAGES,
    ROWS,
    HistoryPages,
    OrderHistory,
    fills_of,
    open_version,
    reply_time,
)

T = TypeVar("T")
DAY = timedelta(days=1)
VIEW_TRIES = 3
FILLS_A_PAGE = 100
"""How many fills are on each page except the last."""
MARK_BEHIND_S = 600
"""How long before midnight a mark's last bar may begin, in seconds."""
BEFORE = timedelta(minutes=2)
"""How much earlier than a request its history page starts, because clocks differ."""


class OpenOrders(NamedTuple):
    """The open orders by venue id, the number of unreadable rows, and the venue's time if known."""

    orders: Mapping[str, Order]
    unreadable: int
    at: datetime | None

    def is_ahead_of(self, past: OrderHistory) -> bool:
        """Return True if a history is too old to show how an order that is no longer open ended."""
        return self.at is not None and self.at - past.replied_at > KRAKEN.tells_ends_after

    def by_client_id(self, name: str) -> Order | None:
        """Return the open order with a client id."""
        return next((order for order in self.orders.values() if order.client_order_id == name), None)


class KrakenReader:
    """Reads one account and the prices of its symbols.

    After each `quotes` call, `rejected_quotes` says why symbols are missing; after each `fills` call,
    `unreadable_fills` counts the bad rows. Differences from the known shapes are counted in the tally.
    """

    capabilities = KRAKEN

    def __init__(self, venue: KrakenVenue, tally: DriftTally) -> None:
        self._client, self._tally, self._venue = Client(venue), tally, venue
        self._pages = HistoryPages(self._client, venue.number, tally)
        self.rejected_quotes: Mapping[str, str] = {}
        self.unreadable_fills = self._odd_margins = 0
        self._isolated = False
        self._last_fills: tuple[list[Any], Sequence[Fill]] = [], ()
        self._last_orders: tuple[list[Any], Sequence[Order]] = [], ()
        self._last_tickers: tuple[Mapping[str, Any], dict[str, Quote]] = {}, {}

    def clock(self) -> VenueClock:
        """Return the venue's time. The venue never closes: a session is a day in UTC."""
        now = reply_time(self._client.read(f"{V3}/openpositions"))
        midnight = datetime.combine(now.date() + DAY, time(), UTC)
        return VenueClock(now, True, midnight, midnight)

    def account(self) -> Account:
        """Return the figures of the cross-margin account.

        Only USD counts as collateral, because the value of other currencies fluctuates. An impossible margin is
        rejected. If the positions read last had isolated margin, the margins are None, so that no entry relies on them.
        """
        answer = self._client.read(f"{V3}/accounts")
        now = reply_time(answer)
        try:
            flex = _object(_object(answer, "accounts"), rows.MARGINED)
            row = JsonFields("account", flex, self._tally)
            cash = self._usd(flex)
            equity = row.number("portfolioValue") - row.number("balanceValue") + cash
            available = row.number("availableMargin")
        except RowError as error:
            hint = "check the account on Kraken Futures' website"
            raise OperatorError(f"the account's figures can't be used: {error}", hint) from error
        margins = [self._margin(row, name) for name in ("initialMargin", "maintenanceMargin")]
        self._odd_margins = margins.count(None)
        if self._isolated:
            margins = [None, None]
        return Account(
            number=self._pages.account(),
            status="ACTIVE",
            cash=cash,
            equity=equity,
            last_equity=self._opening(equity, now),
            buying_power=available,
            blocked=(),
            settlement=Settlement.MARGINED,
            initial_margin=margins[0],
            maintenance_margin=margins[1],
            available=available,
        )

    def _usd(self, flex: Mapping[str, Any]) -> Decimal:
        named = {str(name).upper(): balance for name, balance in _object(flex, "currencies").items()}
        return JsonFields("account", named["USD"], self._tally).number("quantity") if "USD" in named else Decimal(0)

    def _margin(self, row: JsonFields, name: str) -> Decimal | None:
        """Return the positions' margin; None if it is impossible, so that the margin levels alone are used."""
        try:
            if (usd := row.number(name)) >= 0:
                return usd
            problem = "is below zero"
        except RowError as error:
            problem = error.problem
        self._tally.note("account", name, problem)
        return None

    def _opening(self, equity: Decimal, now: datetime) -> Decimal:
        """Return the account's value at the start of the day."""
        began = midnight(now.date())

        def work_out() -> Decimal:
            positions, lost = self._positions()
            if lost or any(position.current_price is None for position in positions):
                raise TemporaryError("a position can't be read, so the account's value at midnight is unknown")
            quantities = {position.symbol: position.quantity for position in positions}
            marks = {lot.symbol: lot.current_price for lot in positions if lot.current_price is not None}
            # An event at exactly midnight belongs to the new day.
            before = began - timedelta(microseconds=1)
            fills, moved = self.fills(before), self.activities(before)
            return equity_at_midnight(
                SinceMidnight(equity, quantities, marks, fills, moved, partial(self._mark_at, began))
            )

        return self._venue.opening.of(self._pages.account(), now.date(), work_out)

    def _mark_at(self, at: datetime, symbol: str) -> Decimal:
        """Return a symbol's mark price at a minute: the close of the last bar before it."""
        path, until = f"/api/charts/v1/mark/{symbol_path(symbol)}/1m", int(at.timestamp()) - 1
        candles = self._client.rows(path, "candles", **{"from": str(until - MARK_BEHIND_S), "to": str(until)})
        try:
            before = [raw for raw in candles if rows.moment(JsonFields("mark", raw, self._tally), "time") < at]
            return JsonFields("mark", before[-1] if before else None, self._tally).positive("close")
        except RowError as error:
            raise TemporaryError(f"the mark of {symbol} at {at:%Y-%m-%d %H:%M} can't be read: {error}") from error

    def view(self) -> BrokerView:
        """Return account, positions and open orders; the orders are read both first and last."""
        after = self._open()
        for _ in range(VIEW_TRIES):
            before = after
            positions, lost = self._positions()
            account = self.account()
            after = self._open()
            if steady := _are_same(_ours(before.orders), _ours(after.orders)):
                break
        unreadable = after.unreadable + lost + self._odd_margins
        return BrokerView(account, positions, tuple(after.orders.values()), unreadable, steady, after.at)

    def position(self, symbol: str) -> BrokerPosition | None:
        """Return the venue's position in one symbol; None if the venue has none."""
        positions, lost = self._positions()
        broker_position = next((position for position in positions if position.symbol == symbol), None)
        if broker_position is None and lost:
            raise TemporaryError(f"{lost} positions can't be read, so nothing is known about {symbol}")
        return broker_position

    def _positions(self) -> tuple[tuple[BrokerPosition, ...], int]:
        raws = self._client.rows(f"{V3}/openpositions", "openPositions")
        has_positions = any(raws)
        self._isolated = any(isinstance(raw, Mapping) and raw.get("maxFixedLeverage") is not None for raw in raws)
        if self._isolated:
            # Such a position is liquidated by itself, long before the equity of the account is gone.
            self._tally.note("position", "maxFixedLeverage", "is isolated margin, whose liquidation isn't computed")
        tickers = self._client.rows(f"{V3}/tickers", "tickers") if has_positions else []
        marks = dict(keep_readable("ticker", _with_mark(tickers), partial(rows.mark, tally=self._tally), self._tally))
        read = keep_readable("position", raws, lambda raw: rows.position(raw, marks, self._tally), self._tally)
        # Positions are net: two different ones of a symbol can't both be right, and an equal copy adds nothing.
        broker_positions, twice = _unique_rows(read, attrgetter("symbol"))
        for symbol in twice:
            self._tally.note("position", "symbol", f"has two different positions: {symbol}")
        return tuple(broker_positions), len(raws) - len(read) + len(twice)

    def _open(self) -> OpenOrders:
        """Return the open orders."""
        answer = self._client.read(f"{V3}/openorders")
        raws, now = answer.get("openOrders"), _time_or_none(answer)
        if not isinstance(raws, list):
            raise TemporaryError("the open orders are not a list")
        if raws != self._last_orders[0]:  # A pass reads the list twice, and most find what the pass before found.
            parse = partial(rows.open_order, tally=self._tally)
            self._last_orders = raws, keep_readable("order", raws, parse, self._tally)
        read = self._last_orders[1]
        orders, twice = _unique_rows(read, attrgetter("venue_id"))
        for venue_id in twice:
            self._tally.note("order", "order_id", f"has two different orders: {venue_id}")
        # Untriggered orders don't state their size, but the history does.
        lacking = [order for order in orders if order.quantity is None]
        sizes = self._pages.sizes(lacking, now) if lacking else {}
        sized = [replace(row, quantity=sizes[row.venue_id]) if row.venue_id in sizes else row for row in orders]
        return OpenOrders({order.venue_id: order for order in sized}, len(raws) - len(read) + len(twice), now)

    def order(self, client_order_id: str) -> Order | None:
        """Return the newest order with this id: the open one, or else the last in the history."""
        listed = self._open()
        return listed.by_client_id(client_order_id) or self._pages.past(now=listed.at).by_client_id(client_order_id)

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        """Determine what became of a request from open orders, the order history, and executions together.

        If none of them contains the order well after the last time at which it could be carried out, it never arrived.
        """
        listed, name = self._open(), intent.client_order_id
        makes_order = intent.operation is not Operation.CANCEL
        if makes_order and (listed_order := listed.by_client_id(name)) is not None:
            return Proof.of(listed_order)
        history = self._pages.past(intent.at - BEFORE, listed.at)
        if makes_order and (order := history.by_client_id(name)) is not None:
            return Proof.of(open_version(order, listed.orders))
        if listed.unreadable or history.unread_since(intent.at - BEFORE):
            return Proof(End.UNKNOWN, "rows of the open orders or of the history can't be read and might be about it")
        until = intent.at + ARRIVES_WITHIN
        if min(history.complete_until, now - SETTLED_AFTER) <= until:
            text = f"the order may still arrive until {until:%H:%M:%S}, but the history is complete only until"
            return Proof(End.UNKNOWN, f"{text} {history.complete_until:%H:%M:%S}")
        text = f"it could arrive until {until:%H:%M:%S}, but the histories of orders and executions don't contain it"
        return Proof(End.OVER, text)

    def has_outlived(self, order: Order, sessions: Sequence[Session], now: datetime) -> str:
        """Return an empty text: none of our orders expires at this venue."""
        return ""

    def follower(self, venue_id: str) -> Order | None:
        """Return the order with this venue id, open or in the history.

        If the history lacks its latest change, the order is returned only if the history shows that it has ended.
        """
        listed = self._open()
        listed_order = listed.orders.get(venue_id)
        if listed_order is not None and listed_order.quantity is not None:
            return listed_order
        history = self._pages.past(now=listed.at)
        order = history.orders.get(venue_id)
        if order is None or (listed_order is None and not order.status.terminal and listed.is_ahead_of(history)):
            return None
        return open_version(order, listed.orders)

    def has_ended(self, venue_id: str) -> bool | None:
        """Return True if the history shows the end of the order with this venue id; None if it has no such order.

        Return False while the order is listed as open, or if an unreadable row may be about it.

        Call this only after the venue has reported that the order is gone. If the history is too old to show that, the
        report and the list of open orders decide.
        """
        listed = self._open()
        if venue_id in listed.orders:
            return False
        history = self._pages.past(now=listed.at)
        order = history.orders.get(venue_id)
        if order is None and (listed.unreadable or history.unreadable):
            return False
        if listed.is_ahead_of(history) and not listed.unreadable:
            return True
        return None if order is None else order.status.terminal or venue_id in history.gone

    def legs(self, venue_id: str) -> Sequence[Order]:
        """Return nothing: at this venue no order is part of another."""
        return ()

    def ended(self, since: datetime) -> Sequence[Order]:
        """Return all orders, ours and others', that were sent since a time and have ended, oldest first."""
        ended = (order for order in self._pages.past(since).orders.values() if order.status.terminal)
        return [order for order in ended if order.submitted_at is not None and order.submitted_at >= since]

    def orders_of(self, symbols: Sequence[str]) -> OrdersReported:
        """Return the orders in these symbols, newest first, except orders that an unreadable row may be about."""
        listed = self._open()
        history = self._pages.past(now=listed.at)
        every = {**history.orders, **listed.orders}
        wanted = [open_version(order, listed.orders) for order in every.values() if order.symbol in symbols]
        if unreadable := listed.unreadable + history.unreadable:
            wanted = [order for order in wanted if order.status is not OrderStatus.UNKNOWN]
        return OrdersReported(tuple(reversed(wanted)), unreadable)

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return executions later than a time, oldest first, without repeats."""
        by_id, raws = dict[str, Fill](), self._client.rows(f"{V3}/fills", "fills")
        self.unreadable_fills = 0
        for _ in range(MOST_PAGES):
            if raws != self._last_fills[0]:  # Most passes get the same page as the pass before.
                self._last_fills = raws, keep_readable("fill", raws, partial(rows.fill, tally=self._tally), self._tally)
            read = self._last_fills[1]
            self.unreadable_fills += len(raws) - len(read)
            new = [fill for fill in read if fill.activity_id not in by_id]
            by_id.update((fill.activity_id, fill) for fill in new)
            # A page without a readable row doesn't show how far back it goes.
            reaches = after is not None and min((fill.at for fill in read), default=after + timedelta(1)) <= after
            whole = len(raws) < FILLS_A_PAGE or reaches
            if not new and not whole:
                # The whole page is of one moment, which may have more rows than that.
                by_id.update((fill.activity_id, fill) for fill in self._fills_of_history(after, by_id))
                whole = True
            if whole:
                wanted = (fill for fill in by_id.values() if after is None or fill.at > after)
                return sorted(wanted, key=lambda fill: (fill.at, fill.activity_id))
            # Pages hold rows strictly older than a time, so request the last millisecond again.
            last = min(fill.at for fill in new) + timedelta(milliseconds=1)
            raws = self._client.rows(f"{V3}/fills", "fills", lastFillTime=_iso(last))
        raise TemporaryError(f"there are more fills than fit on {MOST_PAGES} pages")

    def _fills_of_history(self, after: datetime | None, ids: Container[str]) -> Sequence[Fill]:
        """Return the executions after a time from the history, under the ids of the list of fills."""
        elements = self._pages.executions(after or datetime.fromtimestamp(0, UTC))
        fills, unread = fills_of(elements, self._pages.account(), self._tally)
        self.unreadable_fills += unread
        if not any(fill.activity_id in ids for fill in fills):
            raise TemporaryError("the list of fills repeats a page, and the history lacks its fills")
        return fills

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return fees, funding and transfers later than a time, oldest first, without repeats."""
        by_id, doubtful, until, read_ids = dict[str, Activity](), set[str](), dict[str, str](), set[int]()
        for _ in range(MOST_PAGES):
            raws = self._pages.log(after, **until)
            read = keep_readable("account log", raws, partial(rows.activities, tally=self._tally), self._tally)
            for activity in (activity for row in read for activity in row):
                if by_id.setdefault(activity.id, activity).net_amount != activity.net_amount:
                    # Only the venue can say which version is right; until it does, neither is used.
                    self._tally.note("account log", "fee", f"has two different versions: {activity.id}")
                    doubtful.add(activity.id)
            if len(raws) < ROWS:
                sure = (activity for activity in by_id.values() if activity.at > after and activity.id not in doubtful)
                return sorted(sure, key=lambda activity: (activity.at, activity.id))
            until, read_ids = _further(raws, until, read_ids)
        raise TemporaryError(f"the account log has more rows than fit on {MOST_PAGES} pages")

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return each day in UTC as a session: the market never closes."""
        if calendar not in ("", KRAKEN.calendar):
            return ()
        days = (start + timedelta(days=number) for number in range((end - start).days + 1))
        opens = ((day, datetime.combine(day, time(), UTC)) for day in days)
        return [Session(day, at, at + DAY) for day, at in opens]

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        """Return the venue's listings of these symbols; a symbol that isn't traded now has none.

        The margin levels of a symbol with isolated margin are left out, because they don't say when its position is
        liquidated.
        """
        isolated = isolated_symbols(self._client, self._tally)
        answer = self._client.read(f"{V3}/instruments")
        raws, read_at = answer.get("instruments"), reply_time(answer)
        named = (raw for raw in raws or () if isinstance(raw, dict) and raw.get("symbol") in symbols)
        wanted = [raw for raw in named if raw.get("tradeable") is not False]
        read = keep_readable("listing", wanted, lambda raw: rows.listing(raw, read_at, self._tally), self._tally)
        return {
            listing.symbol: replace(listing, margin_levels=()) if listing.symbol in isolated else listing
            for listing in read
        }

    def contracts(self) -> Sequence[str]:
        """Return the symbols of all contracts that trade now, including repeats in the venue's list."""
        raws = self._client.read(f"{V3}/instruments").get("instruments")
        if not isinstance(raws, list):
            raise TemporaryError("the venue's list of instruments is not a list")
        named = (raw for raw in raws if isinstance(raw, dict) and raw.get("tradeable") is not False)
        return [symbol for raw in named if isinstance(symbol := raw.get("symbol"), str)]

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest usable quote of each symbol."""
        answer, by_symbol, rejected = self._client.read(f"{V3}/tickers"), dict[str, Quote](), dict[str, str]()
        at, raws = reply_time(answer), answer.get("tickers")
        named = {raw.get("symbol"): raw for raw in raws or () if isinstance(raw, dict)}
        if answer is not self._last_tickers[0]:
            self._last_tickers = answer, {}
        quotes = self._last_tickers[1]
        for symbol in symbols:
            try:
                if symbol not in quotes:
                    quotes[symbol] = rows.quote(named.get(symbol), at, self._tally)
                by_symbol[symbol] = quotes[symbol]
            except RowError as error:
                rejected[symbol] = str(error) if symbol in named else "isn't listed"
        self.rejected_quotes = rejected
        return by_symbol

    def depth(self, symbol: str) -> Depth | None:
        """Return a symbol's order book; None if a row is unreadable or impossible."""
        return rows.depth(symbol, self._client.read(f"{V3}/orderbook", symbol=symbol).get("orderBook"), self._tally)

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Request the quotes of these symbols again; `rejected_quotes` doesn't change."""
        rejected = self.rejected_quotes
        by_symbol = self.quotes(symbols)
        self.rejected_quotes = rejected
        return by_symbol


def isolated_symbols(client: Client, tally: DriftTally) -> frozenset[str]:
    """Return the symbols whose margin the owner isolated; raise TemporaryError if a row can't be read."""
    raws = client.rows(f"{V3}/leveragepreferences", "leveragePreferences")
    try:
        return frozenset(JsonFields("leverage preference", raw, tally).symbol() for raw in raws)
    except RowError as error:
        raise TemporaryError(f"the leverage preferences can't be read: {error}", "tradebot doctor") from error


def _further(raws: Sequence[object], until: Mapping[str, str], read_ids: set[int]) -> tuple[dict[str, str], set[int]]:
    """Return the query for the next page of the account log, and the ids of all rows so far.

    One moment's rows may fill more than a page; then the next page is requested by id.
    """
    named = [raw for raw in raws if isinstance(raw, dict) and raw.get("date") and isinstance(raw.get("id"), int)]
    every = read_ids | {raw["id"] for raw in named}
    if every == read_ids and (until.get("to") or not every):
        raise TemporaryError("the account log repeats a page")
    if until.get("to") or every == read_ids:
        return {"to": str(min(every) - 1)}, every
    oldest = utc("date", min(str(raw["date"]) for raw in named))
    return {"before": rows.milliseconds(oldest + timedelta(milliseconds=1))}, every


def _time_or_none(answer: Mapping[str, Any]) -> datetime | None:
    try:
        return reply_time(answer)
    except TemporaryError:
        return None


def _object(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = of.get(name)
    if not isinstance(inner, dict):
        raise RowError(name, "is not an object")
    return inner


def _unique_rows(rows: Sequence[T], name: Callable[[T], str]) -> tuple[list[T], set[str]]:
    """Return the rows reported once or in equal copies, and the names of those reported with different values."""
    first: dict[str, T] = {}
    twice = {name(row) for row in rows if first.setdefault(name(row), row) != row}
    return [row for key, row in first.items() if key not in twice], twice


def _with_mark(tickers: Sequence[object]) -> list[object]:
    """Return the tickers that have a mark; some kinds of markets have none."""
    return [raw for raw in tickers if isinstance(raw, dict) and isinstance(raw.get("markPrice"), int | Decimal)]


def _ours(orders: Mapping[str, Order]) -> Mapping[str, Order]:
    return {venue_id: order for venue_id, order in orders.items() if is_our_order_id(order.client_order_id)}


def _are_same(before: Mapping[str, Order], after: Mapping[str, Order]) -> bool:
    """Return True if two readings of our orders agree; a status that we can't read agrees with any other."""
    if before.keys() != after.keys():
        return False
    pairs = [(order, after[venue_id]) for venue_id, order in before.items()]
    unread = OrderStatus.UNKNOWN
    return all(
        order == (replace(other, status=order.status) if unread in (order.status, other.status) else other)
        for order, other in pairs
    )


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def symbol_path(symbol: str) -> str:
    """Return a symbol, URL-quoted for use in a path."""
    return quoted(symbol, safe="")
