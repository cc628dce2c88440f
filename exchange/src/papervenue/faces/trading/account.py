"""Show an account: balances, settings, positions, and activities."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from papervenue.commands.orders import position_symbol
from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Execution, Order
from papervenue.faces.trading.query import day, only_us_equities, params, uuid
from papervenue.faces.trading_json import activity_json, legs_json, order_json, position_json
from papervenue.faces.web import Call
from papervenue.params import Params
from papervenue.refusal import invalid, not_found
from papervenue.times import new_york_date

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
    """Handle GET /v2/orders: at most `limit` rows, newest first unless requested otherwise."""
    query = params(call)
    nested, limit = query.flag("nested", False), query.count("limit", _USUAL_ORDERS, _MOST_ORDERS)
    chosen = list(_chosen_orders(account, query))
    if nested:
        chosen = _rolled_up(chosen)
    if query.choice("direction", ("desc", "asc")) == "desc":
        chosen.reverse()
    return [order_json(order, legs_json(order) if nested else None) for order in chosen[:limit]]


def _chosen_orders(account: Account, query: Params) -> Iterator[Order]:
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


ACTIVITY_GROUPS = {"TRANS": ("CSD", "CSW")}
"""Words that mean several kinds; MISC is everything except fills, dividends and cash."""
ACTIVITY_KINDS = (
    *("FILL", "TRANS", "MISC", "ACATC", "ACATS", "CFEE", "CGD", "CSD", "CSW", "DIV", "DIVCGL", "DIVCGS", "DIVFEE"),
    *("DIVFT", "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX", "FEE", "INT", "INTNRA", "INTTW", "JNL", "JNLC", "JNLS", "MA"),
    *("NC", "OPASN", "OPCA", "OPCSH", "OPEXC", "OPEXP", "OPTRD", "PTC", "PTR", "REORG", "SPIN", "SPLIT", "FOPT"),
)
_NOT_MISC = ("FILL", "DIV", "CSD", "CSW")
_CATEGORIES = {"": None, "trade_activity": True, "non_trade_activity": False}
_MOST_ACTIVITIES = 100


def list_positions(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    return [position_json(engine, account, position) for _, position in sorted(account.positions.items())]


def one_position(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    position = account.positions[position_symbol(account, call.names["symbol_or_asset_id"])]
    return position_json(engine, account, position)


def list_activities(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    """Handle GET /v2/account/activities and /v2/account/activities/{activity_type}, a page at a time."""
    query = params(call)
    activities = list(_wanted_activities(account, query, _kinds(call, query)))
    if query.choice("direction", ("desc", "asc")) == "desc":
        activities.reverse()
    return [activity_json(activity) for activity in _page(account, activities, query)]


def _kinds(call: Call, query: Params) -> frozenset[str]:
    """Return the requested kinds with groups expanded; empty means all."""
    named = call.names.get("activity_type")
    types = [named] if named else query.words("activity_types")
    if types and query.text("category"):
        raise invalid("only one of activity_types or category is accepted")
    if unknown := next((kind for kind in types if kind not in ACTIVITY_KINDS), None):
        raise invalid(f"invalid activity type: {unknown[:40]}")
    return frozenset(kind for word in types for kind in _members(word))


def _members(word: str) -> tuple[str, ...]:
    if word == "MISC":
        return tuple(kind for kind in ACTIVITY_KINDS if kind not in _NOT_MISC)
    return ACTIVITY_GROUPS.get(word, (word,))


def _wanted_activities(account: Account, query: Params, kinds: frozenset[str]) -> Iterator[Execution | Activity]:
    trades = _CATEGORIES[query.choice("category", tuple(_CATEGORIES))]
    after, until, on = query.moment("after"), query.moment("until"), day(query, "date")
    for activity in account.activities:
        if (
            (not kinds or kind_of(activity) in kinds)
            and trades in (None, isinstance(activity, Execution))
            and (after is None or activity.at_us > after)
            and (until is None or activity.at_us < until)
            and (on is None or new_york_date(activity.at_us) == on)
        ):
            yield activity


def kind_of(activity: Execution | Activity) -> str:
    """Return Alpaca's word for the kind of an activity."""
    return "FILL" if isinstance(activity, Execution) else activity.kind


def _page(account: Account, activities: list[Execution | Activity], query: Params) -> Iterator[Execution | Activity]:
    """Return the page after the activity that `page_token` names, even if the filters exclude that activity."""
    token, size = query.text("page_token"), query.count("page_size", _MOST_ACTIVITIES, _MOST_ACTIVITIES)
    if not token:
        return islice(activities, size)
    places = {activity.id: index for index, activity in enumerate(account.activities)}
    if token not in places:
        raise invalid("invalid page_token")
    ascending = query.choice("direction", ("desc", "asc")) == "asc"
    turned = [places[activity.id] if ascending else -places[activity.id] for activity in activities]
    start = bisect_right(turned, places[token] if ascending else -places[token])
    return islice(activities, start, start + size)
