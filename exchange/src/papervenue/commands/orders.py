"""Submit, replace and cancel orders, and close positions: one of them, wholly or in part, or all."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import OrderRequest
from papervenue.faces.trading_json import asset_id, legs_json, order_json
from papervenue.jsontext import encode, to_decimal
from papervenue.refusal import UNPROCESSABLE, Refusal, invalid, not_found, unprocessable
from papervenue.shares.order_parsing import read_order, read_replacement

_NINE_PLACES = Decimal("1e-9")
_TRUE = ("true", "1", "t")


def _submit(command: CommandArguments) -> Answer:
    account = command.account
    policy = command.policy
    order = command.engine.submit(account, read_request(command.engine, command.body), command.fate, policy)
    answer = encode(order_json(order, None if policy.leaves_legs_out else legs_json(order)))
    # Everything that happens to an order happens after the reply to its request, so clients first see it as accepted.
    if command.acknowledgement is None:
        command.engine.settle(order)
    else:
        command.engine.settle_late(order, *command.acknowledgement)
    return 200, answer


def read_request(engine: Engine, body: dict[str, Any]) -> OrderRequest:
    """Parse the body of an order; an unknown asset is reported before any other broken rule.

    Only a field that can't be parsed is reported before that.
    """
    market = engine.market
    symbol = body.get("symbol")
    if isinstance(symbol, str) and symbol not in market.known:
        # A request may name the symbol by the asset's id.
        symbol = body["symbol"] = next((name for name in market.symbols if asset_id(name) == symbol), symbol)
    try:
        return read_order(body)
    except Refusal as refusal:
        if refusal.body.get("code") == UNPROCESSABLE and symbol not in market.known:
            raise unprocessable(f'asset "{symbol}" not found') from refusal
        raise


def _replace(command: CommandArguments) -> Answer:
    account = command.account
    order = account.order(command.names["id"].lower())
    if command.fate == "refuse":
        raise unprocessable("unable to replace order")
    policy = command.policy
    replaced = command.engine.replace(account, order.id, read_replacement(command.body), policy)
    replaced.fate = command.fate
    # The legs move to the replacement when it takes effect, but its reply already shows them.
    legs = None if policy.leaves_legs_out else legs_json(order)
    answer = encode(order_json(replaced, legs))
    command.engine.settle(replaced)
    return 200, answer


def _cancel(command: CommandArguments) -> Answer:
    _cancel_one(command, command.names["id"].lower())
    return 204, b""


def _cancel_one(command: CommandArguments, order_id: str) -> None:
    order = command.account.order(order_id)
    if command.fate == "refuse":
        raise unprocessable("order is not cancelable")
    order.fate = command.fate or order.fate
    order.frees_after_us = command.policy.frees_after_us
    command.engine.cancel(command.account, order.id)


def _cancel_all(command: CommandArguments) -> Answer:
    return 207, encode(cancel_all(command))


def cancel_all(command: CommandArguments) -> list[dict[str, Any]]:
    """Cancel every open order of the caller; return one row per order with the result."""
    return [_cancel_result(command, order_id) for order_id in list(command.account.open)]


def _cancel_result(command: CommandArguments, order_id: str) -> dict[str, Any]:
    try:
        # It may just have ended, because another order of its group was canceled.
        if command.account.order(order_id).status != "canceled":
            _cancel_one(command, order_id)
    except Refusal as refusal:
        return {"id": order_id, "status": 500, "body": refusal.body}
    return {"id": order_id, "status": 200}


def position_symbol(account: Account, name: str) -> str:
    """Return the symbol of the position that a symbol or asset id names; raise a 404 Refusal without a position."""
    for symbol in account.positions:
        if name in (symbol, asset_id(symbol)):
            return symbol
    raise not_found("position does not exist")


def _close_one(command: CommandArguments) -> Answer:
    symbol = position_symbol(command.account, command.names["name"])
    query = command.query
    return 200, encode(_close(command, symbol, query.get("qty"), query.get("percentage")))


def _close_all(command: CommandArguments) -> Answer:
    if command.query.get("cancel_orders", "").lower() in _TRUE:
        cancel_all(command)
    return 207, encode([_close_result(command, symbol) for symbol in list(command.account.positions)])


def _close_result(command: CommandArguments, symbol: str) -> dict[str, Any]:
    try:
        return {"symbol": symbol, "status": 200, "body": _close(command, symbol)}
    except Refusal as refusal:
        return {"symbol": symbol, "status": refusal.status, "body": refusal.body}


def _close(
    command: CommandArguments, symbol: str, qty: str | None = None, percentage: str | None = None
) -> dict[str, Any]:
    position_qty = command.account.qty(symbol)
    order = command.engine.submit(
        command.account, _closing(symbol, position_qty, _closing_qty(abs(position_qty), qty, percentage))
    )
    answer = order_json(order)
    command.engine.settle(order)
    return answer


def _closing(symbol: str, held_quantity: Decimal, qty: Decimal) -> OrderRequest:
    return OrderRequest(symbol, -1 if held_quantity > 0 else 1, "market", "day", qty, None, None)


def _closing_qty(held_quantity: Decimal, qty: str | None, percentage: str | None) -> Decimal:
    if qty is not None and percentage is not None:
        raise invalid("only one of qty or percentage is accepted")
    if qty is not None:
        return _positive(qty, "qty")
    if percentage is None:
        return held_quantity
    share = _positive(percentage, "percentage")
    if share > 100:
        raise invalid("percentage must be between 0 and 100")
    part = (held_quantity * share / 100).quantize(_NINE_PLACES, ROUND_DOWN)
    # A whole-share position is closed in whole shares; only a fractional position may leave a fraction.
    rounded = part.to_integral_value(ROUND_DOWN) if held_quantity == held_quantity.to_integral_value() else part
    if not rounded:
        raise invalid("qty must be > 0")
    return rounded


def _positive(text: str, name: str) -> Decimal:
    value = to_decimal(text)
    if value is None or value <= 0 or value != value.quantize(_NINE_PLACES):
        raise invalid(f"invalid {name}")
    return value


ENTRIES = (
    Entry("POST", "/v2/orders", _submit),
    Entry("DELETE", "/v2/orders", _cancel_all),
    Entry("PATCH", "/v2/orders/{id}", _replace),
    Entry("DELETE", "/v2/orders/{id}", _cancel),
    Entry("DELETE", "/v2/positions", _close_all),
    Entry("DELETE", "/v2/positions/{name}", _close_one),
)
