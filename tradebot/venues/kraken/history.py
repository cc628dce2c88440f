"""Reconstruct orders from the history; an order's events and executions prove what became of it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError
from tradebot.model.instrument import ONE, AssetClass
from tradebot.model.order import Fee, Fill, Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.values import replace
from tradebot.venues.kraken.capabilities import SETTLED_AFTER
from tradebot.venues.kraken.rows import LIQUIDATION, SETTLED, milliseconds, moment, side_of, type_of

CANCELED, REJECTED = frozenset({"OrderCancelled", "OrderTriggerCancelled"}), frozenset({"OrderRejected"})
_REFUSED = "rejected"
"""The reason of the end of a trigger that the venue took back: there is no other event for that."""
_ORDER_FIELDS = ("newOrder", "newOrderTrigger", "order", "orderTrigger")
_FIRST, _LAST = 0, 1


class ExecutionTotals(Struct):
    """What the executions of an order add up to."""

    quantity: Decimal = Decimal(0)
    worth: Decimal = Decimal(0)


class OrderHistory(Struct, frozen=True):
    """The orders that pages of the history tell of, by the venue's id, oldest first, as of the venue's time `told_at`.

    `complete_until` is how far the pages go: what was done by then is in them. `gone` are the ids of orders that an
    event has ended, though executions of theirs may still be missing. `unread` are the times of rows that can't be
    read, in milliseconds, zero for those that say none.
    """

    orders: Mapping[str, Order]
    told_at: datetime
    gone: frozenset[str] = frozenset()
    unread: tuple[Decimal, ...] = ()

    @property
    def complete_until(self) -> datetime:
        return self.told_at - SETTLED_AFTER

    @property
    def unreadable(self) -> int:
        return len(self.unread)

    def unread_since(self, at: datetime) -> bool:
        """Return True if a row that can't be read may tell of something since a time."""
        first = Decimal(milliseconds(at))
        return any(not time or time >= first for time in self.unread)

    def by_client_id(self, name: str) -> Order | None:
        """Return the newest order with a client id."""
        return next((order for order in reversed(list(self.orders.values())) if order.client_order_id == name), None)


def past(
    events: Sequence[object],
    executions: Sequence[object],
    told_at: datetime,
    account: str,
    tally: DriftTally,
) -> OrderHistory:
    """Return what events of orders and triggers and the executions say together.

    An order is filled if its executions add up to its quantity, whatever its events say: an executed one has been told
    as canceled with nothing filled. It is canceled if an event says so, the executions have what that event counts, and
    both are older than what may still be missing. Any other is left open, as UNKNOWN: the open orders know.
    """
    counted, unread = _counted(executions, account, tally)
    last, began = dict[str, tuple[str, JsonFields, datetime]](), dict[str, datetime]()
    # Pages come newest first, and events of one millisecond stay in the order in which they happened.
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
            orders[uid] = _order(uid, name, row, (began[uid], at), counted.get(uid, ExecutionTotals()), told_at)
        except RowError as error:
            tally.note("history", error.field_name, f"row refused: {error.problem}")
            unread.append(Decimal(milliseconds(last[uid][2])))
    gone = frozenset(uid for uid, (name, _, _) in last.items() if name in CANCELED | REJECTED)
    return OrderHistory(orders, told_at, gone, tuple(unread))


def _order(
    uid: str, event: str, row: JsonFields, span: tuple[datetime, datetime], executed: ExecutionTotals, told_at: datetime
) -> Order:
    # The quantity of an event is what was left after it.
    left, counted = row.number_or_none("quantity"), row.number_or_none("filled") or Decimal(0)
    quantity = None if left is None else left + counted
    if quantity is not None and quantity <= 0:
        raise RowError("quantity", "adds up to nothing")
    filled, limit = executed.quantity, row.number_or_none("limitPrice")
    stop, kind = row.number_or_none("triggerPrice"), type_of(row, "orderType", limited=limit is not None)
    is_old = told_at - span[_LAST] >= SETTLED_AFTER
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
        side=side_of(row, "direction"),
        quantity=quantity,
        filled_quantity=filled,
        filled_average_price=executed.worth / filled if filled else None,
        order_type=OrderType.STOP if stop is not None and kind is OrderType.UNKNOWN else kind,
        # A market order is told as one that fills at once or not at all, with a limit of the venue's.
        limit_price=None if kind is OrderType.UNKNOWN else limit,
        time_in_force=TimeInForce.GTC,
        status=status,
        submitted_at=span[_FIRST],
        updated_at=span[_LAST],
        stop_price=stop,
    )


def _event(raw: object, tally: DriftTally) -> tuple[str, JsonFields, datetime]:
    """Return the name of an event, its order with a trigger's price in it, and when it was."""
    element = JsonFields("history", raw, tally)
    event = element.value("event")
    if not isinstance(event, Mapping) or len(event) != 1:
        raise RowError("event", "is not one event")
    ((name, told),) = event.items()
    if not isinstance(told, Mapping):
        raise RowError(str(name), "is not an object")
    order = next((told[field] for field in _ORDER_FIELDS if isinstance(told.get(field), Mapping)), None)
    if order is None:
        raise RowError(str(name), "has no order")
    options = order.get("triggerOptions")
    inner = {**order, **(options if isinstance(options, Mapping) else {})}
    if name == "OrderTriggerCancelled" and told.get("reason") == _REFUSED:
        name = "OrderRejected"
    return str(name), JsonFields("history", inner, tally), moment(element, "timestamp")


def time_of(raw: object) -> Decimal:
    """Return when an element was, in milliseconds since 1970; 0 if it can't be read."""
    at = raw.get("timestamp") if isinstance(raw, Mapping) else None
    return Decimal(at) if isinstance(at, int | Decimal) and not isinstance(at, bool) else Decimal(0)


def _counted(
    executions: Sequence[object], account: str, tally: DriftTally
) -> tuple[Mapping[str, ExecutionTotals], list[Decimal]]:
    counted, seen, unread = dict[str, ExecutionTotals](), set[str](), list[Decimal]()
    for raw in executions:
        try:
            for order, row, _ in _executed(raw, account, tally):
                uid = order.text("uid")
                # A page may repeat the last row of the one before it.
                key = f"{row.text('uid')} {uid}"
                if key not in seen:
                    seen.add(key)
                    of = counted.setdefault(uid, ExecutionTotals())
                    of.quantity += row.positive("quantity")
                    of.worth += row.positive("quantity") * row.positive("price")
        except RowError as error:
            tally.note("execution", error.field_name, f"row refused: {error.problem}")
            unread.append(time_of(raw))
    return counted, unread


def fills_of(executions: Sequence[object], account: str, tally: DriftTally) -> tuple[list[Fill], int]:
    """Return the fills that executions of the history are, and how many rows can't be read."""
    found, unread = list[Fill](), 0
    for raw in executions:
        try:
            found += [_fill(*sides) for sides in _executed(raw, account, tally)]
        except RowError as error:
            tally.note("execution", error.field_name, f"row refused: {error.problem}")
            unread += 1
    return found, unread


def _fill(order: JsonFields, row: JsonFields, about: Mapping[str, Any]) -> Fill:
    kind = about.get("fillType")
    return Fill(
        activity_id=row.text("uid"),
        venue_order_id=order.text("uid"),
        symbol=order.text("tradeable"),
        side=side_of(order, "direction"),
        quantity=row.positive("quantity"),
        price=row.positive("price"),
        at=moment(row, "timestamp"),
        multiplier=ONE,
        fee=Fee(None),
        liquidation=kind == LIQUIDATION,
        settlement=kind in SETTLED,
    )


def _executed(
    raw: object, account: str, tally: DriftTally
) -> Iterator[tuple[JsonFields, JsonFields, Mapping[str, Any]]]:
    """Yield each order of ours in an execution, its row, and what else it says of that. Both sides may be named."""
    event: Any = JsonFields("execution", raw, tally).value("event")
    told = (event.get("Execution") or event.get("execution")) if isinstance(event, Mapping) else None
    inner = told.get("execution") if isinstance(told, Mapping) else None
    if not isinstance(inner, Mapping):
        raise RowError("event", "is not an execution")
    row = JsonFields("execution", inner, tally)
    for name in ("order", "takerOrder", "makerOrder"):
        order = inner.get(name)
        if isinstance(order, Mapping) and order.get("accountUid") in (account, None):
            about = inner.get(f"{name}Data")
            yield JsonFields("execution", order, tally), row, about if isinstance(about, Mapping) else {}


def left_open(order: Order, listed: Mapping[str, Order]) -> Order:
    """Return an order that the history shows open as the list of open orders has it, or else unchanged."""
    if order.status is not OrderStatus.UNKNOWN or order.venue_id not in listed:
        return order
    found = listed[order.venue_id]
    return found if found.quantity is not None else replace(found, quantity=order.quantity)
