"""The bot's adapter of Elsewhere: what it can do, reads, prices, orders, and what its history proves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

from msgspec import Struct

from tests.kit.elsewhere.place import ARRIVES_WITHIN, NAME, WITH_BRACKETS
from tradebot.adapters.bars.store import CorporateAction
from tradebot.adapters.failpoint import around
from tradebot.adapters.wire.http import (
    BodyError,
    BoundedSession,
    HttpReply,
    RequestBounds,
    RetryableError,
    RetryPolicy,
    WireError,
    exchange,
)
from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError, keep_readable
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import ExitCode, OperatorError, TemporaryError, TradebotError
from tradebot.model.account import Account, Activity, ActivityKind, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import AssetClass, Instrument, Listing, MarginLevel, TickStep
from tradebot.model.intent import ID_CONFLICT, Intent, Operation
from tradebot.model.order import (
    Fee,
    Fill,
    Order,
    OrderClass,
    OrdersReported,
    OrderStatus,
    OrderType,
    Reply,
    TimeInForce,
    WriteOutcome,
    fee_id,
)
from tradebot.model.series import PriceKind
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Capabilities, ClientIds, Edit, End, Pairs, Proof, Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.ports.broker import Ending

T = TypeVar("T")
ELSEWHERE = Capabilities(
    name=NAME,
    title="Elsewhere",
    settlement=Settlement.MARGINED,
    order_types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP}),
    lives=frozenset({TimeInForce.GTC}),
    client_ids=ClientIds.WHILE_OPEN,
    edit=Edit.NONE,
    pairs=Pairs.TWO_ORDERS,
    calendar="24/7",
    day=VenueDay("UTC"),
    currency="USD",
    short_reserve=Decimal(1),
    reduce_only=True,
    unit="contract",
)
STATUSES: Mapping[str, OrderStatus] = {
    "received": OrderStatus.PENDING_NEW,
    "working": OrderStatus.NEW,
    "done": OrderStatus.FILLED,
    "pulled": OrderStatus.CANCELED,
    "refused": OrderStatus.REJECTED,
    "held back": OrderStatus.SUSPENDED,
    "waiting": OrderStatus.HELD,
}
"""Elsewhere's words for the states of an order."""
ACTIVITIES: Mapping[str, ActivityKind] = {"fee": ActivityKind.COMMISSION, "funding": ActivityKind.FUNDING}
BRACKETS = replace(ELSEWHERE, name=WITH_BRACKETS, title="Elsewhere with brackets", pairs=Pairs.BRACKET)
TOO_LATE, TAKEN = "too_late", "duplicate_client_id"
VIEW_TRIES = 3


class Connection(Struct, frozen=True):
    """One account at an address; `before_read` is called before each read, and `heard` gets each answer."""

    base_url: str
    key: str
    before_read: Callable[[], None] = lambda: None
    heard: Callable[[HttpReply], None] = lambda answer: None
    bounds: RequestBounds = RequestBounds()
    policy: RetryPolicy = RetryPolicy()
    feed: str = "its own"
    can: Capabilities = ELSEWHERE


class Client:
    """Asks one account's API, once or until it answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._session = BoundedSession(connection.bounds)

    def ask(self, method: str, path: str, params: Mapping[str, str] | None = None, body: object = None) -> HttpReply:
        """Send one request once; raises WireError."""
        of, headers = self._connection, {"Authorization": f"Bearer {self._connection.key}"}
        url = f"{of.base_url}/v1{path}"
        answer = exchange(self._session, of.bounds, method, url, headers=headers, params=params, body=body)
        of.heard(answer)
        return answer

    def read(self, path: str, **params: str) -> object:
        """Return an answer, or None if the venue says that there is no such thing; raise TradebotError for others."""
        return self._connection.policy.run(lambda: self._once(path, params))

    def rows(self, path: str, **params: str) -> list[object]:
        """Return an answer that must be a list."""
        answer = self.read(path, **params)
        if not isinstance(answer, list):
            raise TemporaryError(f"GET {path} did not return a list")
        return answer

    def _once(self, path: str, params: Mapping[str, str]) -> object:
        self._connection.before_read()
        try:
            answer = self.ask("GET", path, params or None)
            if answer.status in (408, 429) or answer.status >= 500 or 300 <= answer.status < 400:
                raise RetryableError(f"GET {path} answered {answer.status}")
            if answer.status in (401, 403):
                raise OperatorError(f"GET {path}: the keys were refused", "check them", code=ExitCode.AUTHENTICATION)
            if answer.status == 404 and isinstance(answer.json(), dict):
                return None
            if answer.status >= 400:
                raise OperatorError(f"GET {path} was refused: {answer.excerpt}", "read the message")
            return answer.json()
        except (WireError, BodyError) as error:
            raise RetryableError(f"GET {path}: {error}") from error


class ElsewhereReader:
    """Reads the account and prices."""

    def __init__(self, connection: Connection, tally: DriftTally) -> None:
        self._client, self._tally = Client(connection), tally
        self.capabilities = connection.can
        self.rejected_quotes: Mapping[str, str] = {}
        self.unreadable_fills = 0

    def clock(self) -> VenueClock:
        """Return the venue's time and session."""
        try:
            row = JsonFields("clock", self._client.read("/clock"), self._tally)
            return VenueClock(
                row.time("timestamp"), row.value("is_open") is True, row.time("next_open"), row.time("next_close")
            )
        except RowError as error:
            raise TemporaryError(f"the clock can't be read: {error}") from error

    def account(self) -> Account:
        """Return the account figures."""
        try:
            row = JsonFields("account", self._client.read("/account"), self._tally)
            figures = {name: row.number(name) for name in ("cash", "equity", "last_equity")}
            margins = [row.number(name) for name in ("initial", "maintenance", "available")]
            status, number = row.text("status"), row.text("number")
        except RowError as error:
            raise OperatorError(f"the account can't be used: {error}", "look at it on the venue's page") from error
        return Account(
            number=number,
            status="ACTIVE" if status == "open" else status,
            **figures,
            buying_power=margins[2],
            blocked=(),
            settlement=Settlement.MARGINED,
            initial_margin=margins[0],
            maintenance_margin=margins[1],
            available=margins[2],
        )

    def view(self) -> BrokerView:
        """Return account, positions and open orders; the orders are read before and after."""
        after, unread = self._orders(self._client.rows("/orders"))
        for _ in range(VIEW_TRIES):
            before = after
            rows = self._client.rows("/positions")
            positions = keep_readable("position", rows, self._position, self._tally)
            account = self.account()
            after, unread = self._orders(self._client.rows("/orders"))
            if before == after:
                break
        unreadable = unread + len(rows) - len(positions)
        return BrokerView(account, tuple(positions), after, unreadable, steady=before == after)

    def position(self, symbol: str) -> BrokerPosition | None:
        """Return the position in one symbol."""
        position = self._one("position", f"/positions/{quote(symbol, safe='')}", self._position)
        if position is not None and position.symbol != symbol:
            raise TemporaryError(f"asked for {symbol}, but another position came")
        return position

    def order(self, client_order_id: str) -> Order | None:
        """Return the newest order with this id: an open one, or the last one that the history has."""
        for row in self._client.rows("/orders"):
            if isinstance(row, dict) and row.get("client_order_id") == client_order_id:
                return self._readable(row)
        return _left_out(self._looked_up(client_order_id)[0])

    def _looked_up(self, client_order_id: str) -> tuple[Order | None, datetime]:
        """Return the newest order with this id in the history, and how far the history has got."""
        until, rows = self._history(client_order_id=client_order_id)
        order = self._readable(rows[-1]) if rows else None
        if order is not None and order.client_order_id != client_order_id:
            raise TemporaryError(f"asked for order {client_order_id}, but another one came")
        return order, until

    def _history(self, **which: str) -> tuple[datetime, list[object]]:
        try:
            answer = JsonFields("history", self._client.read("/history", **which), self._tally)
            rows = answer.value("orders")
            if not isinstance(rows, list):
                raise RowError("orders", "is not a list")
            return answer.time("complete_until"), rows
        except RowError as error:
            raise TemporaryError(f"the history can't be read: {error}") from error

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        """Return what open orders and the history prove together.

        A request that isn't in the history by the time until which it could arrive never arrived.
        """
        if intent.operation is not Operation.CANCEL:
            order = self.order(intent.client_order_id)
            if order is not None:
                return Proof.of(order)
        arrives = intent.at + ARRIVES_WITHIN
        known, until = self._looked_up(intent.client_order_id)
        order = _left_out(known)
        if intent.operation is not Operation.CANCEL and order is not None:
            return Proof.of(order)
        if until <= arrives or now <= arrives:
            return Proof(
                End.UNKNOWN, f"it may arrive until {arrives:%H:%M:%S}, and the history ends at {until:%H:%M:%S}"
            )
        return Proof(
            End.OVER, f"it could arrive until {arrives:%H:%M:%S}, and the history until {until:%H:%M:%S} lacks it"
        )

    def has_outlived(self, order: Order, sessions: Sequence[Session], now: datetime) -> str:
        """Return nothing: no order ends by itself here."""
        return ""

    def follower(self, venue_id: str) -> Order | None:
        """Return the order with the venue's id."""
        order = self._one("order", f"/orders/{quote(venue_id, safe='')}", self._order)
        if order is None or order.status.terminal:
            return order
        listed = (row.get("id") for row in self._client.rows("/orders") if isinstance(row, dict))
        return order if venue_id in listed else _left_out(order)

    def legs(self, venue_id: str) -> Sequence[Order]:
        """Return the stop of an entry."""
        raw = self._client.read(f"/orders/{quote(venue_id, safe='')}")
        rows = raw.get("legs") if isinstance(raw, dict) else None
        return self._orders(rows if isinstance(rows, list) else [])[0]

    def ended(self, since: datetime) -> Sequence[Order]:
        """Return orders since a time that have ended, oldest first."""
        _, rows = self._history(since=_said(since))
        return [order for order in self._orders(rows)[0] if order.status.terminal]

    def orders_of(self, symbols: Sequence[str]) -> OrdersReported:
        """Return all orders in these symbols, newest first."""
        rows = self._client.rows("/orders")
        open_rows = [row for row in rows if not isinstance(row, dict) or row.get("symbol") in symbols]
        orders, unread = self._orders([*self._history(symbols=",".join(symbols))[1], *open_rows])
        return OrdersReported(tuple({order.venue_id: order for order in reversed(orders)}.values()), unread)

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return executions later than a time, oldest first."""
        raws = self._client.rows("/executions", **({"after": _said(after)} if after else {}))
        fills = keep_readable("fill", raws, self._fill, self._tally)
        self.unreadable_fills = len(raws) - len(fills)
        return fills

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return fees and funding later than a time, oldest first."""
        return keep_readable("activity", self._client.rows("/entries", after=_said(after)), self._activity, self._tally)

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        """Return the venue's sessions; no instrument has others."""
        if calendar not in ("", ELSEWHERE.calendar):
            return ()
        rows = self._client.rows("/sessions", first=start.isoformat(), last=end.isoformat())
        return keep_readable("session", rows, self._session, self._tally)

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        """Return how symbols are listed."""
        rows = self._client.rows("/instruments", symbols=",".join(symbols))
        return {one.symbol: one for one in keep_readable("listing", rows, self._listing, self._tally)}

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the quotes of symbols."""
        found = self.quotes_again(symbols)
        self.rejected_quotes = {symbol: "has no usable quote" for symbol in symbols if symbol not in found}
        return found

    def depth(self, symbol: str) -> Depth | None:
        """Return None: the venue doesn't say what rests."""
        return None

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the quotes again."""
        rows = self._client.rows("/quotes", symbols=",".join(symbols))
        return {one.symbol: one for one in keep_readable("quote", rows, self._quote, self._tally)}

    def _one(self, kind: str, path: str, read: Callable[[object], T]) -> T | None:
        try:
            raw = self._client.read(path)
            return None if raw is None else read(raw)
        except RowError as error:
            raise TemporaryError(f"the {kind} can't be read: {error}") from error

    def _readable(self, raw: object) -> Order:
        try:
            return self._order(raw)
        except RowError as error:
            raise TemporaryError(f"the order can't be read: {error}") from error

    def _orders(self, rows: Sequence[object]) -> tuple[tuple[Order, ...], int]:
        orders = keep_readable("order", rows, self._order, self._tally)
        return tuple(orders), len(rows) - len(orders)

    def _order(self, raw: object) -> Order:
        return read_order(raw, self._tally)

    def _position(self, raw: object) -> BrokerPosition:
        row = JsonFields("position", raw, self._tally)
        quantity = abs(row.number("qty"))
        return BrokerPosition(
            symbol=row.symbol(),
            asset_class=AssetClass.PERPETUAL,
            quantity=-quantity if row.text("side") == "short" else quantity,
            average_price=row.number("average"),
            market_value=row.number_or_none("market_value"),
            current_price=row.number_or_none("mark"),
            multiplier=Decimal(50),
        )

    def _fill(self, raw: object) -> Fill:
        row = JsonFields("fill", raw, self._tally)
        return Fill(
            activity_id=row.text("id"),
            venue_order_id=row.text("order_id"),
            symbol=row.symbol(),
            side=Side(row.text("side")),
            quantity=row.positive("qty"),
            price=row.positive("price"),
            at=row.time("at"),
            multiplier=Decimal(50),
            fee=Fee(None),
            liquidation=row.value("liquidation") is True,
        )

    def _activity(self, raw: object) -> Activity:
        row = JsonFields("entry", raw, self._tally)
        kind, fill = row.text("kind"), row.text_or_none("fill")
        return Activity(
            id=fee_id(fill) if fill else row.text("id"),
            kind=kind,
            sub_kind="",
            symbol=row.text_or_none("symbol"),
            quantity=None,
            price=None,
            net_amount=row.number("amount"),
            at=row.time("at"),
            meaning=ACTIVITIES.get(kind, ActivityKind.OTHER),
            fill_id=fill or "",
        )

    def _session(self, raw: object) -> Session:
        row = JsonFields("session", raw, self._tally)
        return Session(date.fromisoformat(row.text("date")), row.time("opens"), row.time("closes"))

    def _listing(self, raw: object) -> Listing:
        row = JsonFields("listing", raw, self._tally)
        ticks = tuple(TickStep(*map(Decimal, step)) for step in _lists(row, "ticks"))
        return Listing(
            Instrument(
                symbol=row.symbol(),
                asset_class=AssetClass.PERPETUAL,
                multiplier=row.positive("multiplier"),
                tick=ticks[0].tick,
                lot=row.positive("lot"),
                currency=row.text("currency"),
                calendar=ELSEWHERE.calendar,
            ),
            ticks,
            row.positive("minimum"),
            row.time("read_at"),
            tuple(MarginLevel(*map(Decimal, level)) for level in _lists(row, "margins")),
        )

    def _quote(self, raw: object) -> Quote:
        row = JsonFields("quote", raw, self._tally)
        prices = [row.positive(name) for name in ("bid", "ask", "last")]
        if prices[0] > prices[1]:
            raise RowError("bid", "is above the ask")
        bid, ask, last = prices
        return Quote(row.symbol(), row.time("at"), bid, ask, last, row.number_or_none("before"), "its own")


def _left_out(order: Order | None) -> Order | None:
    """Return an order that the open ones lack: how it ended isn't told yet unless the history says so."""
    return order if order is None or order.status.terminal else replace(order, status=OrderStatus.UNKNOWN)


def _lists(row: JsonFields, name: str) -> list[Any]:
    value = row.value(name)
    if not isinstance(value, list):
        raise RowError(name, "is not a list")
    return value


def read_order(raw: object, tally: DriftTally) -> Order:
    """Return one order; one that has filled in part is at work."""
    row = JsonFields("order", raw, tally)
    status, filled = row.translate_word("status", STATUSES, OrderStatus.UNKNOWN), row.number("filled_qty")
    if status is OrderStatus.NEW and filled:
        status = OrderStatus.PARTIALLY_FILLED
    if row.text("side") not in tuple(Side):
        raise RowError("side", "is neither buy nor sell")
    return Order(
        venue_id=row.text("id"),
        client_order_id=row.text("client_order_id"),
        symbol=row.symbol(),
        asset_class=AssetClass.PERPETUAL,
        side=Side(row.text("side")),
        quantity=row.positive("qty"),
        filled_quantity=filled,
        filled_average_price=row.number_or_none("average"),
        order_type=row.enum("type", OrderType),
        limit_price=row.number_or_none("limit_price"),
        time_in_force=TimeInForce.GTC,
        status=status,
        submitted_at=row.time("submitted_at"),
        updated_at=row.time("updated_at"),
        stop_price=row.number_or_none("stop_price"),
        parent=row.text_or_none("parent"),
        order_class=OrderClass.BRACKET if row.value("has_stop") is True else OrderClass.SIMPLE,
    )


def _said(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


class ElsewhereOrders:
    """Writes to the venue: one request per call. Orders can't be changed."""

    def __init__(self, connection: Connection, tally: DriftTally) -> None:
        self._client, self._tally = Client(connection), tally
        self._reader = ElsewhereReader(connection, tally)

    def submit(self, intent: Intent) -> Reply:
        """Send one order once."""
        stop = "stop_of_entry" if intent.order_class is OrderClass.BRACKET else "stop_price"
        prices = {"limit_price": intent.limit_price, stop: intent.stop_price}
        body = {
            "symbol": intent.instrument.symbol,
            "side": intent.side.value,
            "type": intent.order_type.value,
            "qty": f"{intent.quantity:f}",
            "client_order_id": intent.client_order_id,
            "reduce_only": intent.purpose is not Purpose.OPEN,
            "good_until": _said(intent.at + ARRIVES_WITHIN),
            **{name: f"{price:f}" for name, price in prices.items() if price is not None},
        }
        answer = self._send("POST", "/orders", body=body)
        if isinstance(answer, Reply):
            return answer
        if answer.status != 200:
            refusal = _refused(answer)
            return self._looked_up(intent, refusal) if refusal.code == TAKEN else refusal
        try:
            raw: Any = answer.json()
            order = read_order(raw, self._tally)
            legs = tuple(read_order(leg, self._tally) for leg in raw.get("legs", ()))
        except (BodyError, RowError) as error:
            return Reply(WriteOutcome.UNKNOWN, code="unreadable", message=str(error))
        if not intent.matches_order(order):
            return Reply(WriteOutcome.UNKNOWN, code="mismatch", message=f"it is another order: {order.client_order_id}")
        return Reply(WriteOutcome.ACCEPTED, order, legs=legs)

    def _looked_up(self, intent: Intent, refusal: Reply) -> Reply:
        """Return what a lookup says after a refusal because an order has our id: the request may have come twice."""
        try:
            order = self._reader.order(intent.client_order_id)
        except TradebotError as error:
            return Reply(WriteOutcome.UNKNOWN, code="not_looked_up", message=error.message)
        if order is None:
            return Reply(WriteOutcome.UNKNOWN, code="not_found", message=refusal.message)
        return (
            Reply(WriteOutcome.ACCEPTED, order)
            if intent.matches_order(order)
            else replace(refusal, code=ID_CONFLICT, order=order)
        )

    def replace(self, intent: Intent) -> Reply:
        """Refuse: a venue without edits is never asked."""
        raise AssertionError("Elsewhere changes no orders")

    def cancel(self, intent: Ending) -> Reply:
        """Ask once to pull an order; one that has ended already counts as accepted."""
        at = intent.at if isinstance(intent, Intent) else None
        until = {"good_until": _said(at + ARRIVES_WITHIN)} if at else {"good_until": _said(FOREVER)}
        answer = self._send("DELETE", f"/orders/{quote(str(intent.target_venue_id), safe='')}", until)
        if isinstance(answer, Reply):
            return answer
        return Reply(WriteOutcome.ACCEPTED) if answer.status == 200 and _is_told(answer) else _refused(answer)

    def _send(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: object = None
    ) -> HttpReply | Reply:
        try:
            with around("elsewhere.send"):
                return self._client.ask(method, path, params, body)
        except WireError as error:
            return Reply(WriteOutcome.UNKNOWN, code="no_answer", message=str(error))


FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


def _is_told(answer: HttpReply) -> bool:
    """Return True if the venue itself says what became of a cancel."""
    try:
        told = answer.json()
    except BodyError:
        return False
    return isinstance(told, dict) and told.get("result") in ("pulled", TOO_LATE)


def _refused(answer: HttpReply) -> Reply:
    """Return a rejection if the venue's own error body proves it, and otherwise that nothing is known."""
    try:
        told: Any = answer.json()
    except BodyError:
        told = None
    code = told.get("error", told.get("code")) if isinstance(told, dict) else None
    if answer.status in (400, 404, 422) and isinstance(code, str):
        return Reply(WriteOutcome.REJECTED, code=code, message=str(told.get("message", "")))
    if answer.status == 401:
        return Reply(WriteOutcome.REJECTED, code="unauthorized", message=answer.excerpt)
    return Reply(WriteOutcome.UNKNOWN, code=f"http_{answer.status}", message=answer.excerpt)


class ElsewhereBars:
    """A source of bars."""

    name, delay, timeframes = "elsewhere", timedelta(0), frozenset({"1Min", "1Day"})

    def __init__(self, connection: Connection, tally: DriftTally) -> None:
        self._client, self._tally = Client(connection), tally
        self.refused_symbols: frozenset[str] = frozenset()

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the bars of each symbol."""
        of = "day" if timeframe == "1Day" else "minute"
        self.refused_symbols = frozenset()
        for symbol in symbols:
            answer = self._client.read("/bars", symbol=symbol, of=of, first=_said(first), last=_said(last))
            self.refused_symbols |= {symbol} if answer is None else set()
            rows = answer if isinstance(answer, list) else []
            yield {symbol: keep_readable("bar", rows, self._bar, self._tally)}

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return nothing: contracts have no splits."""
        return dict.fromkeys(symbols, ())

    def _bar(self, raw: object) -> RawBar:
        row = JsonFields("bar", raw, self._tally)
        opening, high, low, close = (float(row.positive(name)) for name in ("open", "high", "low", "close"))
        return RawBar(int(row.time("at").timestamp()), opening, high, low, close, float(row.number("volume")))


def with_policy(connection: Connection, policy: RetryPolicy) -> Connection:
    """Return a connection that reads with another policy."""
    return replace(connection, policy=policy)
