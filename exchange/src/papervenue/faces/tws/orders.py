"""Handle commands: place orders, alone or with attached ones, and change or cancel them.

TWS doesn't send an order whose `transmit` is 0. So the gateway collects the orders of a bracket until one of them is
transmitted, and one command then places them all.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.engine import order_lifecycle, unsolicited
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import ATTACHED, USUAL, Order, OrderRequest, Replacement
from papervenue.jsontext import encode, to_decimal
from papervenue.refusal import Refusal, not_found

ROOT = "/v1/tws"
PLACE, CHANGE, CANCEL, CANCEL_ALL = (f"{ROOT}/orders", f"{ROOT}/orders/change", f"{ROOT}/orders/cancel", f"{ROOT}/all")
MARGINS = f"{ROOT}/margins"
TYPES = {"MKT": "market", "LMT": "limit", "STP": "stop", "STP LMT": "stop_limit"}
"""The engine's word for each type of order."""
LIVES = {"": "day", "DAY": "day", "GTC": "gtc", "IOC": "ioc", "FOK": "fok"}
SIDES = {"BUY": 1, "SELL": -1}
_BY_HAND = "0:-"
"""The beginning of the labels of orders that no client has sent."""
_REDUCED = 3
"""The type of a group in which a fill reduces the other orders by the same quantity."""


def label_of(client: int, order_id: int) -> str:
    """Return an order's label: its client and the id given by that client."""
    return f"{client}:{order_id}"


def ids_of(order: Order) -> tuple[int, int]:
    """Return an order's client and its id; an order that no client sent belongs to client 0, with a negative id."""
    client, _, number = order.request.label.partition(":")
    return (int(client), int(number)) if number else (0, -order.sequence)


def perm_id(order: Order) -> int:
    """Return the broker's id of an order."""
    return 1_700_000_000 + order.sequence


def find_by_label(account: Account, label: str) -> Order | None:
    """Return the newest order with a label, or None; if several orders have the label, an open one is preferred."""
    if label.startswith(_BY_HAND):
        return next((order for order in account.orders.values() if label_of(*ids_of(order)) == label), None)
    alive = [order for order in account.open.values() if order.request.label == label]
    return alive[-1] if alive else next((each for each in account.orders.newest() if each.request.label == label), None)


def _place_orders(command: CommandArguments) -> Answer:
    """Place all orders of the command; if one isn't accepted, place none."""
    engine, account, body = command.engine, command.account, command.body
    client, wanted = int(body["client"]), body["orders"]
    requests = [(order, _request(engine, client, order)) for order in wanted]
    if any(find_by_label(account, request.label) for _, request in requests):
        # An id belongs to one order forever. If a fault repeats a message, the second one isn't an id used twice by the
        # client.
        requests = [(order, request._replace(label="")) for order, request in requests]
    parents = {int(order["id"]): index for index, (order, _) in enumerate(requests)}
    for values, request in requests:
        parent = int(values["parent"])
        if parent and parent not in parents:
            _working(account, label_of(client, parent))
        _admit(engine, account, request._replace(order_class=ATTACHED) if parent else request, int(values["id"]))
    placed: dict[int, Order] = {}
    for values, request in requests:
        parent = int(values["parent"])
        if not parent:
            placed[int(values["id"])] = engine.submit(account, request, command.fate, command.policy)
            continue
        on = placed.get(parent) or _working(account, label_of(client, parent))
        placed[int(values["id"])] = _attach(engine, account, on, request)
    for order in placed.values():
        if order.parent is None and command.acknowledgement is not None:
            engine.settle_late(order, *command.acknowledgement)
        elif order.parent is None:
            engine.settle(order)
    return 200, encode({"orders": [order.id for order in placed.values()]})


def _admit(engine: Engine, account: Account, request: OrderRequest, number: int) -> None:
    """Check an order; a refusal contains the id that the client gave it."""
    try:
        engine.dialect.admit(engine, account, request, None, USUAL)
    except Refusal as refusal:
        raise Refusal(refusal.status, {**refusal.body, "id": number}) from refusal


def _working(account: Account, label: str) -> Order:
    parent = find_by_label(account, label)
    if parent is None or not parent.is_open:
        raise not_found("Can't find order with id")
    return parent


def _attach(engine: Engine, account: Account, parent: Order, request: OrderRequest) -> Order:
    """Attach an order to its parent; the orders of one parent reduce each other unless their client groups them."""
    group = request.oca_group or str(perm_id(parent))
    attached = request._replace(
        order_class=ATTACHED, oca_group=group, oca_type=request.oca_type if request.oca_group else _REDUCED
    )
    side = "buy" if request.side > 0 else "sell"
    leg = order_lifecycle.create_order(engine, account, attached, f"{side}_to_open", 0, parent)
    parent.legs = (*parent.legs, leg)
    engine.tell("order_held", leg, "held")
    return leg


def _request(engine: Engine, client: int, order: dict[str, Any]) -> OrderRequest:
    symbol = str(order["symbol"])
    grid = engine.market.grids[symbol]

    def units(name: str) -> int | None:
        price = to_decimal(order[name]) if order[name] else None
        ticks = None if price is None else grid.of(price)
        if price is not None and ticks is None:
            message = "The price does not conform to the minimum price variation for this contract."
            raise Refusal(422, {"code": "tick_size", "message": message, "id": int(order["id"])})
        return ticks

    return OrderRequest(
        symbol,
        SIDES[order["action"]],
        TYPES[order["type"]],
        LIVES[order["tif"]],
        Decimal(str(order["qty"])),
        None,
        units("limit"),
        order["ref"] or None,
        stop=units("stop"),
        label=label_of(client, int(order["id"])),
        oca_group=order["oca"],
        oca_type=int(order["oca_type"]) or 1 if order["oca"] else 0,
    )


def _change(command: CommandArguments) -> Answer:
    """Change the size and the prices of an open order."""
    engine, account, body = command.engine, command.account, command.body
    wanted = body["orders"][0]
    order = find_by_label(account, label_of(int(body["client"]), int(wanted["id"])))
    if order is None or not order.is_open or command.fate == "refuse":
        raise Refusal(422, {"code": "not_changeable", "message": "Order can't be changed", "id": int(wanted["id"])})
    new = _request(engine, int(body["client"]), wanted)
    try:
        unsolicited.restate(engine, order, Replacement(new.qty, new.limit, new.stop, None, None, None))
    except Refusal as refusal:
        raise Refusal(refusal.status, {**refusal.body, "id": int(wanted["id"])}) from refusal
    return 200, encode({"orders": [order.id]})


def _cancel(command: CommandArguments) -> Answer:
    engine, account, body = command.engine, command.account, command.body
    order = find_by_label(account, label_of(int(body["client"]), int(body["id"])))
    if order is None or not order.is_open:
        word = "is not found" if order is None else "is not cancellable"
        raise Refusal(404, {"code": "no_order", "message": f"OrderId {body['id']} that needs to be cancelled {word}."})
    if command.fate == "refuse" or order.status == "pending_cancel":
        raise Refusal(
            422, {"code": "not_cancelable", "message": "Cancel attempted when order is not in a cancellable state"}
        )
    order.fate = command.fate or order.fate
    engine.cancel(account, order.id)
    return 200, encode({"orders": [order.id]})


def _cancel_all(command: CommandArguments) -> Answer:
    engine, account = command.engine, command.account
    for order in [*account.open.values()]:
        if order.is_open and order.status != "pending_cancel":
            engine.cancel(account, order.id)
    return 200, encode({})


ENTRIES = (
    Entry("POST", PLACE, _place_orders),
    Entry("PATCH", CHANGE, _change),
    Entry("DELETE", CANCEL, _cancel),
    Entry("DELETE", CANCEL_ALL, _cancel_all),
)
