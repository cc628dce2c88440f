"""Show orders: one by either of its ids, and lists with Alpaca's filters and nested or flat legs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.faces.trading.query import only_us_equities, params, uuid
from tradebot.exchange.faces.trading_json import legs_json, order_json
from tradebot.exchange.faces.web import Call
from tradebot.exchange.params import Params
from tradebot.exchange.refusal import invalid, not_found

_MOST_ORDERS = 500
_USUAL_ORDERS = 50
_SIDES = {"any": 0, "buy": 1, "sell": -1}


def one_order(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    order = account.order(uuid(call.names["order_id"], "order_id"))
    return order_json(order, legs_json(order) if params(call).flag("nested", False) else None)


def order_by_client_id(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    client_order_id = call.query.get("client_order_id", "")
    order = account.by_client_id.get(client_order_id)
    if order is None:
        raise not_found(f"order not found for {client_order_id}")
    return order_json(order)


def list_orders(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    """Answer GET /v2/orders: newest first by default, at most `limit` rows."""
    query = params(call)
    nested, limit = query.flag("nested", False), query.count("limit", _USUAL_ORDERS, _MOST_ORDERS)
    chosen = list(_chosen(account, query))
    if nested:
        chosen = _rolled_up(chosen)
    if query.choice("direction", ("desc", "asc")) == "desc":
        chosen.reverse()
    return [order_json(order, legs_json(order) if nested else None) for order in chosen[:limit]]


def _chosen(account: Account, query: Params) -> Iterator[Order]:
    symbols, traded = query.words("symbols"), only_us_equities(query)
    side = _SIDES[query.choice("side", tuple(_SIDES))]
    for order in _between(_of_status(account, query), account, query):
        if traded and side in (0, order.side) and (not symbols or order.symbol in symbols):
            yield order


def _of_status(account: Account, query: Params) -> Iterable[Order]:
    status = query.choice("status", ("open", "closed", "all"))
    if status == "open":
        return sorted(account.open.values(), key=lambda order: order.sequence)
    return (order for order in account.orders.values() if status == "all" or order.id not in account.open)


def _between(rows: Iterable[Order], account: Account, query: Params) -> Iterator[Order]:
    """Keep orders between the bounds (exclusive), which are times of submission or other orders."""
    after, until = query.moment("after"), query.moment("until")
    first, last = _bound(account, query, "after_order_id"), _bound(account, query, "before_order_id")
    if first is not None and last is not None:
        raise invalid("only one of before_order_id or after_order_id is accepted")
    for order in rows:
        if (
            (after is None or order.submitted_us > after)
            and (until is None or order.submitted_us < until)
            and (first is None or order.sequence > first)
            and (last is None or order.sequence < last)
        ):
            yield order


def _bound(account: Account, query: Params, name: str) -> int | None:
    text = query.text(name)
    return account.order(uuid(text, name)).sequence if text else None


def _rolled_up(chosen: list[Order]) -> list[Order]:
    """Leave out legs whose first order is included too, because they are nested in it."""
    ids = {order.id for order in chosen}
    return [order for order in chosen if order.parent is None or order.parent.id not in ids]
