"""Handle commands: send, edit and cancel one or many orders, and isolate the margin of a symbol.

HTTP 200 with "success" only means that a request was read; what became of an order is in its status. So an order is
refused by a Refusal whose body is such a response.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import LAST, TAKE_PROFIT, Fill, Order, OrderRequest
from papervenue.faces.kraken import wire_format
from papervenue.faces.kraken.wire_format import SIDES, SIGNALS, error, iso, success
from papervenue.jsontext import to_decimal
from papervenue.margined.admission import CANCEL_EVERYTHING, fills_at_once, set_leverage
from papervenue.margined.dialect import PlainDialect
from papervenue.market.venue import Grid
from papervenue.refusal import Refusal
from papervenue.times import SECOND, parse_time

V3 = "/derivatives/api/v3"
SEND, CANCEL = f"{V3}/sendorder", f"{V3}/cancelorder"
CANCEL_ALL, CANCEL_LATER = f"{V3}/cancelallorders", f"{V3}/cancelallordersafter"
LEVERAGES = f"{V3}/leveragepreferences"
LONGEST_CLIENT_ID = 100
_KINDS: Mapping[str, tuple[str, str]] = {
    "lmt": ("limit", "gtc"),
    "post": ("limit", "gtc"),
    "ioc": ("limit", "ioc"),
    "fok": ("limit", "fok"),
    "mkt": ("market", "ioc"),
    "stp": ("stop", "gtc"),
    "take_profit": (TAKE_PROFIT, "gtc"),
    "trailing_stop": ("trailing_stop", "gtc"),
}
"""The type and the life of an order in the engine's words, by its type here."""

_LATER = frozenset({"fok", "take_profit", "trailing_stop"})
"""The types that a market of the first edition refuses."""
_DEVIATION_PERCENT = Decimal("0.1"), Decimal(50)
"""The least and the most that a trailing stop may stay behind the price, in percent."""
_UNLESS_AT_ONCE: Mapping[str, str] = {"ioc": "iocWouldNotExecute", "fok": "fokWouldNotExecute"}
"""The status of an order that has to fill at once and can't."""

Params = Mapping[str, str]


def parameters(query: str, body: str) -> Params:
    """Return the parameters of a request, from its query and its form."""
    return dict(parse_qsl(query, keep_blank_values=True) + parse_qsl(body, keep_blank_values=True))


def _send(command: CommandArguments) -> Answer:
    now_us = command.engine.now_us
    status = send_order(command, parameters(command.command.query, command.command.body))
    return 200, success(now_us, sendStatus=status)


def send_order(command: CommandArguments, params: Params) -> dict[str, Any]:
    """Send one order and return its status; if it is refused, raise a Refusal that contains the status."""
    engine, account = command.engine, command.account
    request = _request(engine, params)
    activity_count = len(account.activities)
    try:
        if request.symbol in engine.halted:
            raise refuse_order(engine, "marketSuspended", params)
        word = _UNLESS_AT_ONCE.get(params["orderType"])
        if word is not None and engine.model.at_once and not fills_at_once(engine, request):
            raise refuse_order(engine, word, params)
        if not request.reduce_only and _is_too_much(engine, account, request):
            raise refuse_order(engine, "maxPositionViolation", params)
        order = engine.submit(account, request, command.fate, command.policy)
    except Refusal as refusal:
        code = str(refusal.body.get("code"))
        if code not in wire_format.STATUSES:
            raise
        raise refuse_order(engine, wire_format.STATUSES[code], params) from refusal
    grid = engine.market.grids[order.symbol]
    placed = _place_event(grid, order)
    if command.acknowledgement is None:
        engine.settle(order)
    else:
        engine.settle_late(order, *command.acknowledgement)
    fills = [
        settled
        for settled in account.activities[activity_count:]
        if isinstance(settled, Fill) and settled.order is order
    ]
    rests = order.is_open or not fills
    events = ([placed] if rests else []) + list(_executions(grid, order, fills))
    client_id = {} if request.client_order_id is None else {"cliOrdId": request.client_order_id}
    body = {"order_id": order.id, "status": "placed", "receivedTime": iso(order.submitted_us)}
    return {**body, **client_id, "orderEvents": events}


def _is_too_much(engine: Engine, account: Account, request: OrderRequest) -> bool:
    """Return True if an order's fill would result in a larger position than the venue allows."""
    then = account.qty(request.symbol) + (request.qty or Decimal(0)) * request.side
    most = wire_format.most_held(engine.market.grids[request.symbol].instrument)
    return abs(then) > most


def _place_event(grid: Grid, order: Order) -> dict[str, Any]:
    asked_for = order.request.qty or Decimal(0)
    reduced = asked_for - (order.qty or Decimal(0))
    less = wire_format.number(reduced) if reduced else None
    if wire_format.is_untriggered_stop(order):
        return {"type": "PLACE", "orderTrigger": wire_format.trigger_event(grid, order), "reducedQuantity": less}
    return {"type": "PLACE", "order": wire_format.order_event(grid, order, Decimal(0)), "reducedQuantity": less}


def _executions(grid: Grid, order: Order, fills: list[Fill]) -> Iterator[dict[str, Any]]:
    for fill in fills:
        before = wire_format.order_event(grid, order, fill.cum_qty - fill.qty)
        yield {
            "type": "EXECUTION",
            "executionId": fill.execution_id,
            "price": wire_format.price(grid, fill.price),
            "amount": wire_format.number(fill.qty),
            "orderPriorEdit": None,
            "orderPriorExecution": before,
            "takerReducedQuantity": None,
        }


def refuse_order(engine: Engine, word: str, params: Params) -> Refusal:
    """Return the refusal of an order: a status without an order, and an event with the requested values."""
    shown_params = {
        name: params[name] for name in ("orderType", "symbol", "side", "size", "cliOrdId") if name in params
    }
    event = {"type": "REJECT", "uid": "", "reason": _reason(word), "order": shown_params}
    status = {"status": word, "receivedTime": iso(engine.now_us), "orderEvents": [event]}
    return Refusal(200, {"result": "success", "sendStatus": status, "serverTime": iso(engine.now_us)})


def _reason(word: str) -> str:
    """Return the reason in an event of refusal: POST_WOULD_EXECUTE for postWouldExecute."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in word)


def _request(engine: Engine, params: Params) -> OrderRequest:
    """Read an order; raise a Refusal for anything missing or invalid."""
    now_us = engine.now_us
    check_time(engine, params)
    for name in ("orderType", "symbol", "side", "size"):
        if not params.get(name):
            raise error(now_us, f"requiredArgumentMissing: {name}")
    symbol = params["symbol"].upper()
    if symbol not in engine.market.known:
        raise error(now_us, "invalidArgument: symbol")
    kind, side, grid = params["orderType"], SIDES.get(params["side"]), engine.market.grids[symbol]
    if kind not in _KINDS or (kind in _LATER and not _takes_every_type(engine)):
        raise refuse_order(engine, "invalidOrderType", params)
    if side is None:
        raise refuse_order(engine, "invalidSide", params)
    size = to_decimal(params["size"])
    if size is None or size <= 0:
        raise refuse_order(engine, "invalidSize", params)
    client_id = params.get("cliOrdId") or None
    if client_id is not None and len(client_id) > LONGEST_CLIENT_ID:
        raise refuse_order(engine, "clientOrderIdTooLong", params)
    limit, stop = units_of(engine, grid, params, "limitPrice"), units_of(engine, grid, params, "stopPrice")
    signal = params.get("triggerSignal") or LAST
    if signal not in SIGNALS:
        raise error(now_us, "invalidArgument: triggerSignal")
    of_engine, life = _KINDS[kind]
    return OrderRequest(
        symbol,
        side,
        f"{of_engine}_limit" if kind in ("stp", "take_profit") and limit is not None else of_engine,
        life,
        size,
        None,
        None if kind == "mkt" else limit,
        client_id,
        stop=stop,
        reduce_only=params.get("reduceOnly", "").lower() == "true",
        post_only=kind == "post",
        trigger=signal,
        **(_distance(engine, grid, params) if kind == "trailing_stop" else {}),
    )


def _takes_every_type(engine: Engine) -> bool:
    return isinstance(engine.dialect, PlainDialect) and engine.dialect.every_type


def _distance(engine: Engine, grid: Grid, params: Params) -> dict[str, Any]:
    """Read how far a trailing stop stays behind the price: in percent, or in the currency of the price."""
    deviation, unit = to_decimal(params.get("trailingStopMaxDeviation", "")), params.get("trailingStopDeviationUnit")
    if deviation is None or unit not in ("PERCENT", "QUOTE_CURRENCY"):
        raise error(engine.now_us, "requiredArgumentMissing: trailingStopMaxDeviation, trailingStopDeviationUnit")
    least, most = _DEVIATION_PERCENT
    if unit == "PERCENT" and not least <= deviation <= most:
        raise error(engine.now_us, "invalidArgument: trailingStopMaxDeviation")
    if unit == "PERCENT":
        return {"trail_percent": deviation}
    return {"trail_price": units_of(engine, grid, params, "trailingStopMaxDeviation")}


def check_time(engine: Engine, params: Params) -> None:
    """Refuse a request that arrives after its `processBefore` time."""
    until = params.get("processBefore")
    if not until:
        return
    try:
        late = engine.now_us > parse_time(until)
    except ValueError:
        raise error(engine.now_us, "invalidArgument: processBefore") from None
    if late:
        raise error(engine.now_us, "requestTimeout: processBefore has passed")


def units_of(engine: Engine, grid: Grid, params: Params, name: str) -> int | None:
    if not params.get(name):
        return None
    price = to_decimal(params[name])
    units = None if price is None or price <= 0 else grid.of(price)
    if units is None:
        raise refuse_order(engine, "invalidPrice", params)
    return units


def _cancel(command: CommandArguments) -> Answer:
    engine, account = command.engine, command.account
    params = parameters(command.command.query, command.command.body)
    check_time(engine, params)
    return 200, success(engine.now_us, cancelStatus=cancel_order(command, account, params))


def cancel_order(command: CommandArguments, account: Account, params: Params) -> dict[str, Any]:
    engine = command.engine
    order = find_order(account, params)
    if order is None and not (params.get("order_id") or params.get("cliOrdId")):
        raise error(engine.now_us, "requiredArgumentMissing: order_id")
    body = {"receivedTime": iso(engine.now_us), "order_id": params.get("order_id") or (order.id if order else "")}
    if order is None or not order.is_open:
        filled = order is not None and order.status == "filled"
        return {**body, "status": "filled" if filled else "notFound", "orderEvents": []}
    if command.fate == "refuse" or order.status == "pending_cancel":
        raise error(engine.now_us, "marketUnavailable")
    grid = engine.market.grids[order.symbol]
    order.fate = command.fate or order.fate
    engine.cancel(account, order.id)
    return {**body, "status": _after_cancel(order), "orderEvents": [_cancel_event(grid, order)]}


def _after_cancel(order: Order) -> str:
    if order.is_open:
        # It is in transit, and nobody knows yet whether it arrives in time.
        return "attempted"
    return "filled" if order.status == "filled" else "cancelled"


def _cancel_event(grid: Grid, order: Order) -> dict[str, Any]:
    return {"type": "CANCEL", "uid": order.id, "order": wire_format.order_event(grid, order)}


def find_order(account: Account, params: Params) -> Order | None:
    """Return the order that a request names by either id, or None; if a client id was reused, the newest."""
    if params.get("order_id"):
        return account.orders.get(params["order_id"].lower())
    return account.by_client_id.get(params.get("cliOrdId", ""))


def _cancel_all(command: CommandArguments) -> Answer:
    engine, account = command.engine, command.account
    params = parameters(command.command.query, command.command.body)
    symbol = params.get("symbol", "").upper()
    rows, events = [], []
    for order in [order for order in account.open.values() if symbol in ("", order.symbol)]:
        if order.is_open and order.status != "pending_cancel":
            order.fate = command.fate or order.fate
            engine.cancel(account, order.id)
            rows.append({"order_id": order.id, "cliOrdId": order.request.client_order_id})
            events.append(_cancel_event(engine.market.grids[order.symbol], order))
    status = {
        "receivedTime": iso(engine.now_us),
        "cancelOnly": symbol.lower() or "all",
        "status": "cancelled" if rows else "noOrdersToCancel",
        "cancelledOrders": rows,
        "orderEvents": events,
    }
    return 200, success(engine.now_us, cancelStatus=status)


def _cancel_later(command: CommandArguments) -> Answer:
    """Cancel all of the account's orders unless it asks again within a time; 0 seconds take an earlier request back."""
    engine, params = command.engine, parameters(command.command.query, command.command.body)
    text = params.get("timeout", "")
    if not text.isdecimal():
        raise error(engine.now_us, "requiredArgumentMissing: timeout")
    engine.agenda.drop(CANCEL_EVERYTHING, command.account.number)
    until_us = engine.now_us + int(text) * SECOND
    if int(text):
        engine.agenda.note(until_us, CANCEL_EVERYTHING, command.account.number)
    status = {"currentTime": iso(engine.now_us), "triggerTime": iso(until_us) if int(text) else "0"}
    return 200, success(engine.now_us, status=status)


_LEVERAGE_ERRORS: Mapping[str, tuple[int, str]] = {
    "unknown_symbol": (87, "Contract does not exist"),
    "would_liquidate": (41, "Would cause liquidation"),
}
"""The numbers and texts that the venue documents for refused leverages, by the code of the refusal."""


def _set_leverage(command: CommandArguments) -> Answer:
    """Isolate the margin of a symbol with the highest leverage in the request, or end that if it names none."""
    engine, params = command.engine, parameters(command.command.query, command.command.body)
    text = params.get("maxLeverage", "")
    leverage = to_decimal(text) if text else None
    if not params.get("symbol"):
        raise error(engine.now_us, "requiredArgumentMissing: symbol")
    if text and leverage is None:
        raise error(engine.now_us, "invalidArgument: maxLeverage")
    try:
        set_leverage(engine, command.account, params["symbol"].upper(), leverage)
    except Refusal as refusal:
        code = str(refusal.body["code"])
        if code not in _LEVERAGE_ERRORS:
            word = wire_format.STATUSES.get(code, "invalidArgument: maxLeverage")
            raise error(engine.now_us, word) from refusal
        number, message = _LEVERAGE_ERRORS[code]
        errors = {"status": "BAD_REQUEST", "errors": [{"code": number, "message": message}]}
        raise Refusal(400, {"result": "error", **errors, "serverTime": iso(engine.now_us)}) from refusal
    return 200, success(engine.now_us)


ENTRIES = (
    Entry("PUT", LEVERAGES, _set_leverage),
    Entry("POST", CANCEL_LATER, _cancel_later),
    Entry("POST", SEND, _send),
    Entry("POST", CANCEL, _cancel),
    Entry("POST", CANCEL_ALL, _cancel_all),
)
