"""Read account, orders, activities and prices from Alpaca; nothing here can send an order."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TypeVar
from urllib.parse import quote

from tradebot.adapters.wire.http import RequestBounds, RetryPolicy
from tradebot.adapters.wire.json_fields import LONGEST_TEXT, DriftTally, JsonFields, RowError, keep_readable, utc
from tradebot.errors import TemporaryError
from tradebot.model.account import Account, Activity, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, is_our_order_id
from tradebot.model.order import Fill, Order, OrdersReported, OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.model.venue import Proof
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.venues.alpaca.orders import NESTED, fetch_order, order_path, unless_unknown
from tradebot.venues.alpaca.parsers import (
    end_of,
    has_outlived,
    listings,
    read_account,
    read_activity,
    read_clock,
    read_fill,
    read_legs,
    read_order,
    read_position,
    read_quote,
    read_session,
    takes_back,
    with_open_legs,
)
from tradebot.venues.alpaca.wire import AlpacaClient, AlpacaReads, AlpacaVenue, RefusedReadError, reader_for

T = TypeVar("T")
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,31}", re.ASCII)
_SNAPSHOT_CHUNK = 100
_ORDERS_PAGE = 500
_ACTIVITIES_PAGE = 100
_MOST_PAGES = 200
_MOST_ENDED_PAGES = 4
_VIEW_TRIES = 3
_MALFORMED = frozenset({400, 422})


class AlpacaReader:
    """Reads the account and prices from Alpaca; it has no way to send an order.

    After each `quotes` call, `rejected_quotes` says why symbols are missing; after each `fills` call,
    `unreadable_fills` counts the bad rows. Replies that differ from the known format are counted in the drift tally.
    """

    capabilities = ALPACA
    has_outlived = staticmethod(has_outlived)

    def __init__(self, venue: AlpacaVenue, tally: DriftTally) -> None:
        self._venue = venue
        self._tally = tally
        self._trading = reader_for(venue, venue.base_url)
        self._data = reader_for(venue, venue.data_url)
        self.rejected_quotes: Mapping[str, str] = {}
        self.unreadable_fills = 0
        self._rows_read: list[tuple[object, str | None]] = []
        self._orders_read: tuple[tuple[Order, ...], int] = ((), 0)
        self._fill_rows_read: list[object] = []
        self._fills_read: list[Fill] = []
        self._now: datetime | None = None
        """The venue's time from the last clock reply, if there was one."""

    def clock(self) -> VenueClock:
        """Return the venue's time and its current session."""
        answer = self._trading.json("/clock")
        try:
            clock = read_clock(answer, self._tally)
        except RowError as error:
            raise TemporaryError(f"the broker's clock can't be read: {error}") from error
        self._now = clock.now
        return clock

    def account(self) -> Account:
        """Return the account figures; raise OperatorError naming a figure that is missing."""
        return read_account(self._trading.json("/account"), self._tally)

    def view(self) -> BrokerView:
        """Return account, positions and open orders; the orders are read both first and last.

        If our own orders differ between the two readings, the positions may be from a different moment, so all of it is
        read again. After a few attempts the view is returned anyway, marked as not steady. Foreign orders may change:
        for each of them, the reading with the larger unfilled quantity counts.
        """
        after, unreadable_orders = self._open_orders()
        for _ in range(_VIEW_TRIES):
            before = after
            (positions, unreadable_positions), account = self._positions(), self.account()
            after, unreadable_orders = self._open_orders()
            steady = _is_steady(_our_orders(before), _our_orders(after))
            if steady:
                break
        return BrokerView(
            account,
            positions,
            _largest_remaining(before, after),
            unreadable_positions + unreadable_orders,
            steady,
        )

    def position(self, symbol: str) -> BrokerPosition | None:
        """Return the venue's position in one symbol; None if the venue says it holds none."""
        path = f"/positions/{quote(symbol, safe='')}"
        position = unless_unknown(f"position in {symbol}", lambda: read_position(self._trading.json(path), self._tally))
        if position is not None and position.symbol != symbol:
            raise TemporaryError(f"asked for {symbol}, but the broker returned another position")
        return position

    def order(self, client_order_id: str) -> Order | None:
        """Return the order with this id; None if the venue says there is none."""
        params = {"client_order_id": client_order_id}
        order = fetch_order(self._trading, "/orders:by_client_order_id", params, self._tally)
        if order is not None and order.client_order_id != client_order_id:
            raise TemporaryError(f"asked for order {client_order_id}, but the broker returned another one")
        return order

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        """Determine what became of a request by looking up its id.

        An order that the venue doesn't know counts as ended a few hours after the close.
        """
        return end_of(self.order, intent, sessions, now)

    def follower(self, venue_id: str) -> Order | None:
        """Return the order with this venue id; None if the venue says there is none."""
        return fetch_order(self._trading, order_path(venue_id), None, self._tally)

    def legs(self, venue_id: str) -> Sequence[Order]:
        """Return the legs of the order with this venue id, open or ended; none if the venue doesn't know the order."""
        path = order_path(venue_id)
        return unless_unknown("order", lambda: read_legs(self._trading.json(path, NESTED), self._tally)) or ()

    def ended(self, since: datetime) -> Sequence[Order]:
        """Return the orders submitted since `since` that have ended, oldest first; very long lists are cut off."""
        pages = islice(self._order_pages("closed", _since(since)), _MOST_ENDED_PAGES)
        raws = [raw for page in pages for raw in page]
        orders = self._readable("order", raws, read_order)
        return list({order.venue_id: order for order in orders}.values())

    def orders_of(self, symbols: Sequence[str]) -> OrdersReported:
        """Return the orders in these symbols, open or ended, of any age, newest first; very long lists are cut off."""
        query = {"status": "all", "symbols": ",".join(symbols), "direction": "desc", "limit": str(_ORDERS_PAGE)}
        raws, bound = list[object](), dict[str, str]()
        for _ in range(_MOST_ENDED_PAGES):
            page = self._trading.rows("/orders", {**query, **bound})
            raws += page
            if len(page) < _ORDERS_PAGE:
                break
            bound = _page_after(page[-1], bound, _until, "before_order_id")
        orders = self._readable("order", raws, read_order)
        return OrdersReported(tuple({order.venue_id: order for order in orders}.values()), len(raws) - len(orders))

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return the executions later than `after`, oldest first, without repeats.

        Later calls request the same days again, so a reply equal to the previous one isn't parsed twice.
        """
        raws = list(self._activity_rows("/account/activities/FILL", {}, after))
        if raws != self._fill_rows_read:
            self._fills_read = self._readable("fill", raws, read_fill)
            self._fill_rows_read = raws
        fills = self._fills_read
        self.unreadable_fills = sum(not takes_back(raw) for raw in raws) - len(fills)
        once = {fill.activity_id: fill for fill in fills if after is None or fill.at > after}
        return sorted(once.values(), key=lambda fill: (fill.at, fill.activity_id))

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return the activities other than executions later than `after`, oldest first, without repeats."""
        raws = list(self._activity_rows("/account/activities", {"category": "non_trade_activity"}, after))
        read = self._readable("activity", raws, read_activity)
        once = {activity.id: activity for activity in read if activity.at > after}
        return sorted(once.values(), key=lambda activity: (activity.at, activity.id))

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return the venue's sessions from `start` to `end`, inclusive; the venue has only its own calendar."""
        if calendar not in ("", ALPACA.calendar):
            return []
        raws = self._trading.rows("/calendar", {"start": start.isoformat(), "end": end.isoformat()})
        sessions = self._readable("calendar", raws, read_session)
        return [session for session in sessions if start <= session.date <= end]

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        """Return the listing of each symbol that looks like a US share's symbol, without a request."""
        return listings(symbols, self._now or datetime.now(UTC))

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest quote of each symbol that has a usable one; `rejected_quotes` explains the others."""
        requested = list(dict.fromkeys(symbols))
        rejected = {symbol: "is not a symbol" for symbol in requested if not _SYMBOL.fullmatch(symbol)}
        valid = [symbol for symbol in requested if symbol not in rejected]
        quotes: dict[str, Quote] = {}
        for symbol, raw in self._snapshots(valid):
            try:
                quotes[symbol] = read_quote(symbol, raw, self._venue.feed, self._tally)
            except RowError as error:
                rejected[symbol] = str(error)
        self.rejected_quotes = rejected
        return quotes

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Request these quotes again; `rejected_quotes` does not change."""
        return refetch_quotes(self._venue, self._tally, symbols)

    def depth(self, symbol: str) -> Depth | None:
        """Return None: the venue's API shows only the best prices of the order book."""
        return None

    def bar_times(self, symbols: Sequence[str], feed: str | None = None) -> Mapping[str, datetime]:
        """Return when each symbol's latest minute bar began; symbols without a bar are left out.

        `feed` replaces the venue's own feed. Raises NotInPlanError if the data plan does not include it.
        """
        answer = self._data.json("/stocks/bars/latest", self._venue.query_of(symbols, feed))
        try:
            bars = JsonFields("latest bars", answer, self._tally).value("bars") or {}
            if not isinstance(bars, Mapping):
                raise RowError("bars", "is not an object")
            return {
                symbol: JsonFields("bar", bars[symbol], self._tally).time("t") for symbol in symbols if symbol in bars
            }
        except RowError as error:
            raise TemporaryError(f"the broker's latest bars can't be read: {error}") from error

    def _snapshots(self, symbols: list[str]) -> Iterator[tuple[str, object]]:
        for start in range(0, len(symbols), _SNAPSHOT_CHUNK):
            chunk = symbols[start : start + _SNAPSHOT_CHUNK]
            answer = self._snapshot_chunk(chunk)
            yield from ((symbol, answer.get(symbol)) for symbol in chunk)

    def _snapshot_chunk(self, symbols: list[str]) -> dict[str, object]:
        """Request snapshots of some symbols; if the venue refuses the list, split it to isolate the bad symbol."""
        try:
            answer = self._data.json("/stocks/snapshots", self._venue.query_of(symbols))
        except RefusedReadError as error:
            if error.status not in _MALFORMED:
                raise
            middle = len(symbols) // 2
            return self._snapshot_chunk(symbols[:middle]) | self._snapshot_chunk(symbols[middle:]) if middle else {}
        if not isinstance(answer, dict):
            raise TemporaryError("GET /stocks/snapshots did not return a JSON object")
        return answer

    def _positions(self) -> tuple[tuple[BrokerPosition, ...], int]:
        """Return the readable positions and the number of bad rows; two rows that disagree on a symbol count as one bad
        row.
        """
        raws = self._trading.rows("/positions")
        positions = self._readable("position", raws, read_position)
        once = {position.symbol: position for position in positions}
        return tuple(once.values()), len(raws) - len(positions) + len(set(positions)) - len(once)

    def _open_orders(self) -> tuple[tuple[Order, ...], int]:
        """Return the readable open orders without repeats, and the number of unreadable rows.

        Resting orders are listed in each reply, so one equal to the previous one isn't parsed again.
        """
        rows = [row for page in self._order_pages("open", NESTED) for raw in page for row in with_open_legs(raw)]
        if rows != self._rows_read:
            orders = keep_readable("order", rows, self._read_nested, self._tally)
            once = tuple({order.venue_id: order for order in orders}.values())
            self._rows_read, self._orders_read = rows, (once, len(rows) - len(orders))
        return self._orders_read

    def _readable(self, kind: str, raws: Sequence[object], read: Callable[[object, DriftTally], T]) -> list[T]:
        return keep_readable(kind, raws, lambda raw: read(raw, self._tally), self._tally)

    def _read_nested(self, row: tuple[object, str | None]) -> Order:
        return read_order(row[0], self._tally, row[1])

    def _order_pages(self, status: str, bound: Mapping[str, str]) -> Iterator[list[object]]:
        """Yield pages of orders. Orders may share a timestamp, so each page starts at the last one's end and overlaps
        it.

        If a whole page shares one timestamp, continue after the last order's id instead.
        """
        query = {"status": status, "limit": str(_ORDERS_PAGE), "direction": "asc"}
        for _ in range(_MOST_PAGES):
            page = self._trading.rows("/orders", {**query, **bound})
            yield page
            if len(page) < _ORDERS_PAGE:
                return
            bound = _page_after(page[-1], bound, _since, "after_order_id")
        raise TemporaryError(f"the broker's list of {status} orders has more than {_MOST_PAGES} pages")

    def _activity_rows(self, path: str, which: Mapping[str, str], after: datetime | None) -> Iterator[object]:
        params = {**which, "direction": "asc", "page_size": str(_ACTIVITIES_PAGE)}
        if after is not None:
            # Start one second earlier, because the venue's timestamps are less precise; `fills` cuts exactly.
            params["after"] = _rfc3339(after - timedelta(seconds=1))
        for _ in range(_MOST_PAGES):
            page = self._trading.rows(path, params)
            yield from page
            if len(page) < _ACTIVITIES_PAGE:
                return
            token = _page_text(page[-1], "id")
            if token == params.get("page_token"):
                raise TemporaryError("the broker's list of activities repeats a page")
            params = {**params, "page_token": token}
        raise TemporaryError(f"the broker's list of activities has more than {_MOST_PAGES} pages")


def _our_orders(orders: tuple[Order, ...]) -> dict[str, Order]:
    return {order.venue_id: order for order in orders if is_our_order_id(order.client_order_id)}


def _is_steady(before: Mapping[str, Order], after: Mapping[str, Order]) -> bool:
    """Return True if two readings of our orders agree; a status that we can't read agrees with any other."""
    if before.keys() != after.keys():
        return False
    return all(_with_status_of(after[venue_id], order) == order for venue_id, order in before.items())


def _with_status_of(order: Order, other: Order) -> Order:
    """Return `order`, with the status from `other` if one of the two readings has an unreadable status."""
    return replace(order, status=other.status) if OrderStatus.UNKNOWN in (order.status, other.status) else order


def _largest_remaining(before: tuple[Order, ...], after: tuple[Order, ...]) -> tuple[Order, ...]:
    """Return our orders from the later reading; for each foreign order, the reading with more left to fill."""
    worst = {order.venue_id: order for order in after}
    for order in before:
        latest = worst.get(order.venue_id)
        if not is_our_order_id(order.client_order_id) and (
            latest is None or latest.open_quantity < order.open_quantity
        ):
            worst[order.venue_id] = order
    return tuple(worst.values())


def _rfc3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _page_text(raw: object, name: str) -> str:
    value = raw.get(name) if isinstance(raw, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        raise TemporaryError(f"the last row of a page has no usable {name}, so the next page can't be requested")
    return value


def _page_after(
    last: object, bound: Mapping[str, str], by: Callable[[datetime], dict[str, str]], by_id: str
) -> dict[str, str]:
    """Return the query for the page after `last`, given the query `bound` of the current page.

    The page includes the last row's time, which other orders may share. If that leads nowhere, it starts after the
    row's id.
    """
    try:
        by_time = by(utc("submitted_at", _page_text(last, "submitted_at")))
    except RowError as error:
        raise TemporaryError(f"can't page through the list of orders: {error}") from error
    of_id = {by_id: _page_text(last, "id")}
    if of_id == bound:
        raise TemporaryError("the broker's list of orders repeats a page")
    return of_id if by_time == bound or by_id in bound else by_time


def _until(at: datetime) -> dict[str, str]:
    """Return the query for orders submitted at this time or earlier."""
    return {"until": _rfc3339(at + timedelta(milliseconds=1))}


def _since(at: datetime) -> dict[str, str]:
    """Return the query for orders submitted at this time or later."""
    return {"after": _rfc3339(at - timedelta(milliseconds=1))}


WAIT_S = 1.0
"""The wait before the second request, in seconds: a wrong quote is gone by then, a real drop isn't."""
HASTY = RequestBounds(connect_s=1.0, read_s=1.0, total_s=2.0)
"""Limits for the second request. With the wait and a slow response, it takes less than five seconds."""
MOST_SYMBOLS = 100
"""The largest number of symbols in one request."""


def refetch_quotes(
    venue: AlpacaVenue, tally: DriftTally, symbols: Sequence[str], sleep: Callable[[float], None] = time.sleep
) -> Mapping[str, Quote]:
    """Fetch the quotes of these symbols again with one request; symbols without a usable quote are left out.

    There is no wait if the market's time stands still, because the reply would be the same. Raise TradebotError if the
    request fails.
    """
    lock_step = venue.mode is Mode.SANDBOX
    if not lock_step:
        sleep(WAIT_S)
    requested = symbols[:MOST_SYMBOLS]
    client = AlpacaClient(venue.data_url, venue, RequestBounds() if lock_step else HASTY)
    reads = AlpacaReads(client, RetryPolicy(attempts=1), venue.before_read)
    answer = reads.json("/stocks/snapshots", venue.query_of(requested))
    if not isinstance(answer, dict):
        raise TemporaryError("GET /stocks/snapshots did not return a JSON object")
    quotes = {}
    for symbol in requested:
        try:
            quotes[symbol] = read_quote(symbol, answer.get(symbol), venue.feed, tally)
        except RowError as error:
            tally.note("snapshot", error.field_name, f"second quote: {error.problem}")
    return quotes
