"""Submit, replace and cancel orders."""

from __future__ import annotations

from typing import Any

from tradebot.exchange.commands.command import Answer, Asked, Entry
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import OrderRequest
from tradebot.exchange.engine.reading import read_order, read_replacement
from tradebot.exchange.faces.trading_json import asset_id, legs_json, order_json
from tradebot.exchange.jsontext import encode
from tradebot.exchange.refusal import UNPROCESSABLE, Refusal, unprocessable


def _submit(asked: Asked) -> Answer:
    account = asked.account
    policy = asked.policy
    order = asked.engine.submit(account, read_request(asked.engine, asked.body), asked.fate, policy)
    answer = encode(order_json(order, None if policy.leaves_legs_out else legs_json(order)))
    # Everything that happens to an order happens after its reply, so that the client sees it as accepted.
    if asked.acknowledgement is None:
        asked.engine.settle(order)
    else:
        asked.engine.settle_late(order, *asked.acknowledgement)
    return 200, answer


def read_request(engine: Engine, body: dict[str, Any]) -> OrderRequest:
    """Read the body of an order, reporting an unknown asset before any other problem with the order.

    Only a field that can't be read at all is reported first, whatever the asset.
    """
    market = engine.market
    symbol = body.get("symbol")
    if isinstance(symbol, str) and symbol not in market.known:
        # The symbol may be given by the id of the asset.
        symbol = body["symbol"] = next((name for name in market.symbols if asset_id(name) == symbol), symbol)
    try:
        return read_order(body)
    except Refusal as refusal:
        if refusal.body.get("code") == UNPROCESSABLE and symbol not in market.known:
            raise unprocessable(f'asset "{symbol}" not found') from refusal
        raise


def _replace(asked: Asked) -> Answer:
    account = asked.account
    order = account.order(asked.names["id"].lower())
    if asked.fate == "refuse":
        raise unprocessable("unable to replace order")
    policy = asked.policy
    replaced = asked.engine.replace(account, order.id, read_replacement(asked.body), policy)
    replaced.fate = asked.fate
    # The legs move to the replacing order when it takes effect, but its answer already shows them as its own.
    legs = None if policy.leaves_legs_out else legs_json(order)
    answer = encode(order_json(replaced, legs))
    asked.engine.settle(replaced)
    return 200, answer


def _cancel(asked: Asked) -> Answer:
    _cancel_one(asked, asked.names["id"].lower())
    return 204, b""


def _cancel_one(asked: Asked, order_id: str) -> None:
    order = asked.account.order(order_id)
    if asked.fate == "refuse":
        raise unprocessable("order is not cancelable")
    order.fate = asked.fate or order.fate
    order.frees_after_us = asked.policy.frees_after_us
    asked.engine.cancel(asked.account, order.id)


def _cancel_all(asked: Asked) -> Answer:
    return 207, encode(cancel_all(asked))


def cancel_all(asked: Asked) -> list[dict[str, Any]]:
    """Cancel every open order of the caller; return one row per order with the result."""
    return [_canceled(asked, order_id) for order_id in list(asked.account.open)]


def _canceled(asked: Asked, order_id: str) -> dict[str, Any]:
    try:
        # The cancel of another order of its group may have ended it just now.
        if asked.account.order(order_id).status != "canceled":
            _cancel_one(asked, order_id)
    except Refusal as refusal:
        return {"id": order_id, "status": 500, "body": refusal.body}
    return {"id": order_id, "status": 200}


ENTRIES = (
    Entry("POST", "/v2/orders", _submit),
    Entry("DELETE", "/v2/orders", _cancel_all),
    Entry("PATCH", "/v2/orders/{id}", _replace),
    Entry("DELETE", "/v2/orders/{id}", _cancel),
)
