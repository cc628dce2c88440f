"""Read the history page by page: an order's events and executions together prove its state.

A key may request a hundred pages in ten minutes. Lookups at the same moment share pages, so that looking up many orders
takes no more requests than looking up one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import is_not
from typing import Any

from msgspec import Struct

from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError, utc
from tradebot.errors import TemporaryError
from tradebot.model.instrument import ONE, AssetClass
from tradebot.model.order import Fee, Fill, Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.struct_tools import replace
from tradebot.venues.kraken.capabilities import SETTLED_AFTER
from tradebot.venues.kraken.client import HISTORY, AccountNumber, Client
from tradebot.venues.kraken.rows import LIQUIDATED, SETTLED, milliseconds, moment, parse_order_type, parse_side

CANCELED, REJECTED = frozenset({"OrderCancelled", "OrderTriggerCancelled"}), frozenset({"OrderRejected"})

_REFUSED = "rejected"

"""The reason given when the venue itself removes a trigger; no other event reports it."""

_ORDER_FIELDS = ("newOrder", "newOrderTrigger", "order", "orderTrigger")

_FIRST, _LAST = 0, 1


class ExecutionTotals(Struct):
    """The totals of an order's executions."""

    quantity: Decimal = Decimal(0)
    worth: Decimal = Decimal(0)


class OrderHistory(Struct, frozen=True):
    """Orders reconstructed from history pages, keyed by venue id, oldest first, as of the venue's time `replied_at`.

    Everything up to `complete_until` is in the pages. `gone` has the ids of orders that an event has ended, though
    executions may still be missing. `unread` has the times of unreadable rows in milliseconds, with zero for rows
    without a time.
    """

    orders: Mapping[str, Order]
    replied_at: datetime
    gone: frozenset[str] = frozenset()
    unread: tuple[Decimal, ...] = ()

    @property
    def complete_until(self) -> datetime:
        return self.replied_at - SETTLED_AFTER

    @property
    def unreadable(self) -> int:
        return len(self.unread)

    def unread_since(self, at: datetime) -> bool:
        """Return True if an unreadable row may be about an event after `at`."""
        first = Decimal(milliseconds(at))
        return any(not time or time >= first for time in self.unread)

    def by_client_id(self, name: str) -> Order | None:
        """Return the newest order with a client id."""
        return next((order for order in reversed(list(self.orders.values())) if order.client_order_id == name), None)


def build_history(
    events: Sequence[object],
    executions: Sequence[object],
    replied_at: datetime,
    account: str,
    tally: DriftTally,
) -> OrderHistory:
    """Combine the events of orders, including trigger orders, with the executions.

    An order is filled if its executions add up to its quantity, whatever its events say, because the venue has reported
    executed orders as canceled with nothing filled. An order is canceled if an event says so, if the executions add up
    to the filled quantity in that event, and if both are older than anything that may still be missing. Any other order
    stays UNKNOWN, and the list of open orders decides.
    """
    counted, unread = _count_executions(executions, account, tally)
    last, began = dict[str, tuple[str, JsonFields, datetime]](), dict[str, datetime]()
    # Pages are newest first, and events of one millisecond are in the order in which they happened.
    oldest_first = list(reversed(events))
    for raw in sorted(oldest_first, key=time_of):
        try:
            name, row, at = _event(raw, tally)
            uid = row.text("uid")
        except RowError as error:
            tally.note("history", error.field_name, f"row refused: {error.problem}")
            unread.append(time_of(raw))
            continue
        began.setdefault(uid, at)
        last.pop(uid, None)
        last[uid] = name, row, at
    orders = {}
    for uid in began:
        try:
            name, row, at = last[uid]
            orders[uid] = _order(uid, name, row, (began[uid], at), counted.get(uid, ExecutionTotals()), replied_at)
        except RowError as error:
            tally.note("history", error.field_name, f"row refused: {error.problem}")
            unread.append(Decimal(milliseconds(last[uid][2])))
    gone = frozenset(uid for uid, (name, _, _) in last.items() if name in CANCELED | REJECTED)
    return OrderHistory(orders, replied_at, gone, tuple(unread))


def _order(
    uid: str,
    event: str,
    row: JsonFields,
    span: tuple[datetime, datetime],
    executed: ExecutionTotals,
    replied_at: datetime,
) -> Order:
    # An event's quantity is what remained after it.
    remaining, counted = row.number_or_none("quantity"), row.number_or_none("filled") or Decimal(0)
    quantity = None if remaining is None else remaining + counted
    if quantity is not None and quantity <= 0:
        raise RowError("quantity", "adds up to zero")
    filled, limit = executed.quantity, row.number_or_none("limitPrice")
    stop, kind = row.number_or_none("triggerPrice"), parse_order_type(row, "orderType", limited=limit is not None)
    is_old = replied_at - span[_LAST] >= SETTLED_AFTER
    if quantity is not None and filled >= quantity > 0:
        status = OrderStatus.FILLED
    elif event in REJECTED:
        status = OrderStatus.REJECTED
    elif event in CANCELED and is_old and filled >= counted:
        status = OrderStatus.CANCELED
    else:
        status = OrderStatus.UNKNOWN
    return Order(
        venue_id=uid,
        client_order_id=row.text_or_none("clientId") or "",
        symbol=row.text("tradeable"),
        asset_class=AssetClass.PERPETUAL,
        side=parse_side(row, "direction"),
        quantity=quantity,
        filled_quantity=filled,
        filled_average_price=executed.worth / filled if filled else None,
        order_type=OrderType.STOP if stop is not None and kind is OrderType.UNKNOWN else kind,
        # A market order is reported as immediate-or-cancel with a limit that the venue chose.
        limit_price=None if kind is OrderType.UNKNOWN else limit,
        time_in_force=TimeInForce.GTC,
        status=status,
        submitted_at=span[_FIRST],
        updated_at=span[_LAST],
        stop_price=stop,
    )


def _event(raw: object, tally: DriftTally) -> tuple[str, JsonFields, datetime]:
    """Return an event's name, its order including any trigger price, and its time."""
    element = JsonFields("history", raw, tally)
    event = element.value("event")
    if not isinstance(event, Mapping) or len(event) != 1:
        raise RowError("event", "is not one event")
    ((name, content),) = event.items()
    if not isinstance(content, Mapping):
        raise RowError(str(name), "is not an object")
    order = next((content[field] for field in _ORDER_FIELDS if isinstance(content.get(field), Mapping)), None)
    if order is None:
        raise RowError(str(name), "has no order")
    options = order.get("triggerOptions")
    inner = {**order, **(options if isinstance(options, Mapping) else {})}
    if name == "OrderTriggerCancelled" and content.get("reason") == _REFUSED:
        name = "OrderRejected"
    return str(name), JsonFields("history", inner, tally), moment(element, "timestamp")


def time_of(raw: object) -> Decimal:
    """Return an element's time in milliseconds since 1970; 0 if it can't be read."""
    at = raw.get("timestamp") if isinstance(raw, Mapping) else None
    return Decimal(at) if isinstance(at, int | Decimal) and not isinstance(at, bool) else Decimal(0)


def _count_executions(
    executions: Sequence[object], account: str, tally: DriftTally
) -> tuple[Mapping[str, ExecutionTotals], list[Decimal]]:
    counted, counted_keys, unread = dict[str, ExecutionTotals](), set[str](), list[Decimal]()
    for raw in executions:
        try:
            for order, row, _ in _orders_of_execution(raw, account, tally):
                uid = order.text("uid")
                # A page may repeat the last row of the previous one.
                key = f"{row.text('uid')} {uid}"
                if key not in counted_keys:
                    counted_keys.add(key)
                    of = counted.setdefault(uid, ExecutionTotals())
                    of.quantity += row.positive("quantity")
                    of.worth += row.positive("quantity") * row.positive("price")
        except RowError as error:
            tally.note("execution", error.field_name, f"row refused: {error.problem}")
            unread.append(time_of(raw))
    return counted, unread


def fills_of(executions: Sequence[object], account: str, tally: DriftTally) -> tuple[list[Fill], int]:
    """Return the fills among executions of the history, and the number of unreadable rows."""
    fills, unread = list[Fill](), 0
    for raw in executions:
        try:
            fills += [_fill(*sides) for sides in _orders_of_execution(raw, account, tally)]
        except RowError as error:
            tally.note("execution", error.field_name, f"row refused: {error.problem}")
            unread += 1
    return fills, unread


def _fill(order: JsonFields, row: JsonFields, about: Mapping[str, Any]) -> Fill:
    kind = about.get("fillType")
    return Fill(
        activity_id=row.text("uid"),
        venue_order_id=order.text("uid"),
        symbol=order.text("tradeable"),
        side=parse_side(order, "direction"),
        quantity=row.positive("quantity"),
        price=row.positive("price"),
        at=moment(row, "timestamp"),
        multiplier=ONE,
        fee=Fee(None),
        liquidation=kind in LIQUIDATED,
        settlement=kind in SETTLED,
    )


def _orders_of_execution(
    raw: object, account: str, tally: DriftTally
) -> Iterator[tuple[JsonFields, JsonFields, Mapping[str, Any]]]:
    """Yield each order of ours in an execution, its row, and the execution's other fields. Both sides may be ours."""
    event: Any = JsonFields("execution", raw, tally).value("event")
    execution = (event.get("Execution") or event.get("execution")) if isinstance(event, Mapping) else None
    inner = execution.get("execution") if isinstance(execution, Mapping) else None
    if not isinstance(inner, Mapping):
        raise RowError("event", "is not an execution")
    row = JsonFields("execution", inner, tally)
    for name in ("order", "takerOrder", "makerOrder"):
        order = inner.get(name)
        if isinstance(order, Mapping) and order.get("accountUid") in (account, None):
            about = inner.get(f"{name}Data")
            yield JsonFields("execution", order, tally), row, about if isinstance(about, Mapping) else {}


def open_version(order: Order, listed: Mapping[str, Order]) -> Order:
    """Return an order that the history shows as open as it is in the list of open orders; return any other order
    unchanged.
    """
    if order.status is not OrderStatus.UNKNOWN or order.venue_id not in listed:
        return order
    listed_order = listed[order.venue_id]
    return listed_order if listed_order.quantity is not None else replace(listed_order, quantity=order.quantity)


MOST_PAGES = 100

"""The most pages of one list. A longer list is refused, because a cut one would be incomplete."""

ROWS = 500

SHARED = timedelta(seconds=2)

"""How old pages may be to be shared between requests. They state their time, and the history lags anyway."""


class _Told(Struct):
    """The newest elements of a list, newest first, as of the venue's time; without a token, there are no older ones."""

    elements: list[object]
    token: str
    replied_at: datetime


class HistoryPages:
    """Reads the history of one account."""

    def __init__(self, client: Client, number: AccountNumber, tally: DriftTally) -> None:
        self._client, self._number, self._tally = client, number, tally
        self._lists: dict[str, _Told] = {}
        self._sizes: Mapping[tuple[str, datetime | None], Decimal] = {}
        self._read: tuple[tuple[_Told, ...], OrderHistory] | None = None

    def account(self) -> str:
        """Return the account's id, which only replies of the history contain."""
        if not self._number.cached_id:
            self._page("executions", count="1")
        return self._number.cached_id

    def past(self, since: datetime | None = None, now: datetime | None = None) -> OrderHistory:
        """Return the orders in the history since a time, or on its newest pages.

        If `now`, the venue's time, is given, pages read at that time may be reused; otherwise they are read again.
        """
        pages = tuple(self._newest_elements(name, since, now) for name in ("orders", "triggers", "executions"))
        if self._read is None or any(map(is_not, pages, self._read[0])):
            orders, triggers, executions = pages
            oldest, events = min(page.replied_at for page in pages), [*orders.elements, *triggers.elements]
            self._read = pages, build_history(events, executions.elements, oldest, self._number.cached_id, self._tally)
        return self._read[1]

    def sizes(self, lacking: Collection[Order], now: datetime | None) -> Mapping[str, Decimal]:
        """Return the missing quantities of trigger orders by venue id, if the history has them.

        A quantity is cached until its order changes.
        """
        wanted = {(order.venue_id, order.updated_at): order for order in lacking}
        sizes_kept = {key: size for key, size in self._sizes.items() if key in wanted}
        new = [order for key, order in wanted.items() if key not in sizes_kept]
        since = min((order.submitted_at for order in new if order.submitted_at is not None), default=None)
        # Orders placed since the pages were read are on newer pages.
        for until in (now, None) if new else ():
            elements = self._newest_elements("triggers", since, until)
            placed = build_history(
                elements.elements, (), elements.replied_at, self._number.cached_id, self._tally
            ).orders
            for element in new:
                size = placed[element.venue_id].quantity if element.venue_id in placed else None
                if size:
                    sizes_kept[element.venue_id, element.updated_at] = size
            if len(sizes_kept) == len(wanted) or now is None or elements.replied_at >= now:
                break
        self._sizes = sizes_kept
        return {venue_id: size for (venue_id, _), size in sizes_kept.items()}

    def executions(self, since: datetime) -> Sequence[object]:
        """Return the executions in the history since a time, possibly with some earlier ones."""
        return self._newest_elements("executions", since, None).elements

    def log(self, after: datetime, **until: str) -> list[object]:
        """Return the account log's rows after a time, newest first; `until` may have one of two limits: `before`, a
        time, or `to`, an id.
        """
        answer = self._client.read(f"{HISTORY}/account-log", since=milliseconds(after), count=str(ROWS), **until)
        self._keep_number(answer)
        rows = answer.get("logs")
        if not isinstance(rows, list):
            raise TemporaryError("the account log returned no list of rows")
        return rows

    def _newest_elements(self, what: str, since: datetime | None, now: datetime | None) -> _Told:
        """Fetch a list's newest elements, at least those since a time."""
        pages = self._lists.get(what)
        if pages is None or now is None or not timedelta(0) <= now - pages.replied_at < SHARED:
            answer = self._page(what, count=str(ROWS))
            pages = self._lists[what] = _Told(answer["elements"], _token(answer), reply_time(answer))
        for _ in range(MOST_PAGES):
            if since is None or not pages.token or _reaches(pages, since):
                return pages
            pages = self._longer(what, pages)
        raise TemporaryError(f"the history has more {what} than fit on {MOST_PAGES} pages")

    def _longer(self, what: str, page: _Told) -> _Told:
        answer = self._page(what, count=str(ROWS), continuation_token=page.token)
        if _token(answer) == page.token:
            raise TemporaryError(f"the history of {what} repeats a page")
        longer = self._lists[what] = _Told([*page.elements, *answer["elements"]], _token(answer), page.replied_at)
        return longer

    def _page(self, what: str, **params: str) -> Mapping[str, Any]:
        answer = self._client.read(f"{HISTORY}/{what}", sort="desc", **params)
        self._keep_number(answer)
        if not isinstance(answer.get("elements"), list):
            raise TemporaryError(f"Kraken's reply about the history of {what} has no list of elements")
        return answer

    def _keep_number(self, answer: Mapping[str, Any]) -> None:
        try:
            self._number.keep(JsonFields("history", answer, self._tally).text("accountUid"))
        except RowError as error:
            raise TemporaryError(f"the history doesn't name its account: {error}") from error


def _token(answer: Mapping[str, Any]) -> str:
    return str(answer.get("continuationToken") or "")


def reply_time(answer: Mapping[str, Any]) -> datetime:
    """Return the venue's time in a reply; raise TemporaryError if it has none."""
    server_time = answer.get("serverTime")
    try:
        return utc("serverTime", server_time if isinstance(server_time, str) else "")
    except RowError as error:
        raise TemporaryError(f"the venue's time can't be read: {error}") from error


def _reaches(page: _Told, since: datetime) -> bool:
    first = Decimal(milliseconds(since))
    return any(0 < time_of(element) < first for element in page.elements)
