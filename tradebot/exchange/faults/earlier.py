"""Reconstruct an account as it was at an earlier engine time, to show a client stale data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

from tradebot.exchange.engine.account import Account, Position
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import TERMINAL, Execution, Order
from tradebot.exchange.engine.tables import History, OrderTable
from tradebot.exchange.market.bars import usd


@contextmanager
def earlier(engine: Engine, number: str, then_us: int) -> Iterator[None]:
    """Replace an account with its earlier self inside the block; the block must not await anything."""
    now = engine.accounts[number]
    engine.accounts[number] = account_at(now, then_us)
    try:
        yield
    finally:
        engine.accounts[number] = now


def account_at(account: Account, then_us: int) -> Account:
    """Return a copy of an account without the orders, fills and cash movements after `then_us`."""
    then = copy(account)
    then.activities = History(one for one in account.activities if one.at_us <= then_us)
    later = [one for one in account.activities if one.at_us > then_us]
    fills = [one for one in later if isinstance(one, Execution)]
    then.cash -= sum((one.net_amount for one in later), start=0 * then.cash)
    then.positions = _positions_at(account, fills)
    orders = {one.id: _order_at(one, then_us, fills) for one in account.orders.values() if one.submitted_us <= then_us}
    for order in account.orders.values():
        if (order.replaced_us or 0) > then_us and order.replaced_by in orders:
            orders[order.replaced_by] = _on_its_way(orders[order.replaced_by])
    then.orders = OrderTable({**orders})
    then.open = {order.id: order for order in then.orders.values() if order.is_open}
    then.by_client_id = OrderTable({order.client_order_id: order for order in then.orders.values()})
    # The cached valuations of the account don't apply to the copy.
    then._valued, then._values, then._stale = (-1, -1), {}, set()
    return then


def _positions_at(account: Account, later: list[Execution]) -> dict[str, Position]:
    """Return the positions before some fills; show one that was closed since at the price that closed it."""
    held = {symbol: copy(position) for symbol, position in account.positions.items()}
    for fill in reversed(later):
        symbol = fill.order.symbol
        position = held.setdefault(symbol, Position(symbol, 0 * fill.qty, usd(fill.price)))
        position.qty -= fill.shares
    return {symbol: position for symbol, position in held.items() if position.qty}


def _order_at(order: Order, then_us: int, later: list[Execution]) -> Order:
    """Return an order as it was: open if it ended later, and without later fills."""
    if order.updated_us <= then_us:
        return order
    then = copy(order)
    for fill in (one for one in later if one.order is order):
        then.filled_qty -= fill.shares * order.side
        then.filled_usd += fill.net_amount * order.side
    for moment in ("filled_us", "canceled_us", "expired_us", "failed_us", "replaced_us"):
        if (getattr(order, moment) or 0) > then_us:
            setattr(then, moment, None)
    then.replaced_by = order.replaced_by if then.replaced_us else None
    if order.status in TERMINAL:
        then.status = "partially_filled" if then.filled_qty else "new"
    then.updated_us = then.filled_us or order.submitted_us
    return then


def _on_its_way(replacement: Order) -> Order:
    """Return a replacement order as it was before it took effect, without the fills it took over."""
    then = copy(replacement)
    then.status = "held" if replacement.status == "held" else "pending_new"
    then.filled_qty = then.filled_usd = 0 * replacement.filled_qty
    return then
