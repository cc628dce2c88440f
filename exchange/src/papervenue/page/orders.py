"""Show orders on the page: the open ones, the newest that ended or were refused, and the life of a chosen one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from heapq import nlargest
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any

from papervenue.engine.account import Account
from papervenue.engine.account_lists import PastUpdate
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Order
from papervenue.jsontext import plain
from papervenue.market.instruments import Grid
from papervenue.page.formats import exact_moment, moment, price, text
from papervenue.page.recent import Recent, Refused, shortened

MOST_ORDERS = 100
MOST_EVENTS = 60
_LONGEST_CHAIN = 20
"""How many orders that replaced each other are shown as one life."""
_RATIO = Decimal("1e-6")
_WORDS: Mapping[str, str] = {
    "pending_new": "accepted",
    "new": "at the market",
    "partial_fill": "partly filled",
    "fill": "filled",
    "restated": "changed",
    "pending_replace": "change asked for",
    "replaced": "changed by a new order",
    "order_replace_rejected": "change refused",
    "pending_cancel": "cancel asked for",
    "order_cancel_rejected": "cancel refused",
    "trade_bust": "fill busted",
    "trade_correct": "fill corrected",
}
"""What the page calls an order's events; others keep the word of the stream of trade updates."""


def names_of(accounts: list[Account]) -> dict[str, str]:
    """Return the accounts' names by number."""
    return {account.number: account.name for account in accounts}


def open_orders(engine: Engine, accounts: list[Account]) -> list[dict[str, Any]]:
    orders = (order for account in accounts for order in account.open.values())
    names = names_of(accounts)
    newest = nlargest(MOST_ORDERS, orders, key=attrgetter("sequence"))
    return [_order(engine, order, names[order.account]) for order in newest]


def ended_orders(engine: Engine, accounts: list[Account], recent: Recent) -> list[dict[str, Any]]:
    """Return the newest orders that ended or were refused, by when they were sent."""
    names = names_of(accounts)
    ended = ((order for order in account.orders.newest() if not order.is_open) for account in accounts)
    newest = (order for of_one in ended for order in islice(of_one, MOST_ORDERS))
    orders = nlargest(MOST_ORDERS, newest, key=attrgetter("sequence"))
    rows = [(order.submitted_us, _order(engine, order, names[order.account])) for order in orders]
    refused = (one for one in reversed(recent.refused) if one.account in names)
    rows += [(one.at_us, _refused(engine, one, names[one.account])) for one in refused]
    return [row for _, row in nlargest(MOST_ORDERS, rows, key=itemgetter(0))]


def life(engine: Engine, accounts: Iterable[Account], name: str) -> dict[str, Any] | None:
    """Return an order's events, oldest first, with those of the orders that it replaced; None if nobody has it.

    `name` is its id or the client's id of it. Only the newest events are kept.
    """
    found = ((account, account.orders.get(name) or account.by_client_id.get(name)) for account in accounts)
    account, order = next(((one, order) for one, order in found if order is not None), (None, None))
    if account is None or order is None:
        return None
    chain = _chain(account, order)
    begun_us = chain[-1].created_us
    updates = account.updates.of_orders({one.id for one in chain}, lambda place: place.at_us >= begun_us)
    events = [_event(engine, update) for update in updates]
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "account": account.name,
        "symbol": order.symbol,
        "side": "buy" if order.side > 0 else "sell",
        "replaced_by": order.replaced_by,
        "events": events[-MOST_EVENTS:],
        "earlier_events": max(0, len(events) - MOST_EVENTS),
    }


def _chain(account: Account, order: Order) -> list[Order]:
    """Return an order and those that it replaced, the newest first."""
    chain = [order]
    while chain[-1].replaces is not None and len(chain) < _LONGEST_CHAIN:
        chain.append(account.order(chain[-1].replaces))
    return chain


def _event(engine: Engine, update: PastUpdate) -> dict[str, Any]:
    then, execution = update.order, update.execution
    grid = engine.market.grids[then.symbol]
    return {
        "at": exact_moment(engine, update.place.at_us),
        "line": update.place.number,
        "event": _WORDS.get(update.event, update.event.replace("_", " ")),
        "status": then.status,
        "qty": text(then.qty),
        "notional": text(then.request.notional),
        "limit": price(grid, then.request.limit),
        "stop": price(grid, then.stop),
        "filled": plain(then.filled_qty),
        "fill_qty": None if execution is None else plain(execution.qty),
        "price": None if execution is None else price(grid, execution.price),
    }


def _refused(engine: Engine, refused: Refused, account: str) -> dict[str, Any]:
    body = {name: str(value) for name, value in refused.body.items() if isinstance(value, str | Decimal)}
    return {
        "at": moment(engine, refused.at_us),
        "account": account,
        **{name: body.get(name, "") for name in ("side", "symbol", "type", "time_in_force")},
        **{name: body.get(name) for name in ("qty", "notional")},
        "class": body.get("order_class", "simple"),
        "leg": False,
        "limit": body.get("limit_price"),
        "stop": body.get("stop_price"),
        "trail": body.get("trail_price"),
        "filled": "0",
        "average": "0",
        "status": "refused",
        "reason": shortened(refused.reason),
    }


def _order(engine: Engine, order: Order, account: str) -> dict[str, Any]:
    request, grid = order.request, engine.market.grids[order.symbol]
    return {
        "id": order.id,
        "at": moment(engine, order.submitted_us),
        "account": account,
        "side": "buy" if request.side > 0 else "sell",
        "symbol": order.symbol,
        "qty": text(order.qty),
        "notional": text(request.notional),
        "type": request.type,
        "class": request.order_class,
        "leg": order.parent is not None,
        "time_in_force": request.time_in_force,
        "limit": price(grid, request.limit),
        "stop": price(grid, order.stop),
        "trail": _trail(grid, order),
        "filled": plain(order.filled_qty),
        "average": plain((order.filled_usd / order.filled_qty).quantize(_RATIO)) if order.filled_qty else "0",
        "status": order.status,
        "reason": "after it was accepted" if order.status == "rejected" else None,
    }


def _trail(grid: Grid, order: Order) -> str | None:
    if order.request.trail_percent is not None:
        return f"{plain(order.request.trail_percent)}\N{NO-BREAK SPACE}%"
    return price(grid, order.request.trail_price)
