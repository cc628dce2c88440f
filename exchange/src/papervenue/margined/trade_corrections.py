"""Correct the price of an execution some time later: the position's cost follows, or cash if it is closed."""

from __future__ import annotations

from decimal import Decimal

from papervenue.engine.account import Account
from papervenue.engine.engine_state import Floor, activity_id
from papervenue.engine.orders import CORRECT, Amendment, Execution, Fill
from papervenue.margined.accounts import net_position
from papervenue.refusal import not_found, unprocessable

_ZERO = Decimal(0)


def correct(floor: Floor, account: Account, name: str, price: int) -> Amendment:
    """Correct the price, in units, of a fill or of its last correction; raise a Refusal if that isn't possible."""
    execution = _standing(account, name)
    if price == execution.price or price <= 0 or price % floor.market.grids[execution.order.symbol].tick(price):
        raise unprocessable("a corrected price is another one, and on a tick")
    order, grid = execution.order, floor.market.grids[execution.order.symbol]
    more = order.side * (grid.notional(execution.qty, price) - grid.notional(execution.qty, execution.price))
    held = net_position(account, order.symbol)
    order.filled_usd += execution.qty * (grid.usd(price) - grid.usd(execution.price))
    order.updated_us = floor.now_us
    account.version += 1
    if held is not None and held.qty * order.side > 0:
        held.cost += more
        held.average = held.cost / (held.qty * grid.multiplier)
        more = _ZERO
    account.cash -= more
    made = Amendment(
        id=activity_id(floor, account),
        at_us=floor.now_us,
        word=CORRECT,
        previous=execution,
        qty=execution.qty,
        price=price,
        shares=_ZERO,
        net_amount=-more,
        cum_qty=order.filled_qty,
        leaves_qty=order.remaining if order.is_open else _ZERO,
        position_qty=account.qty(order.symbol),
        order_status=order.status,
    )
    account.activities.append(made)
    floor.tell_execution(made, account)
    return made


def symbol_of(account: Account, name: str) -> str:
    """Return the symbol of an execution; raise a Refusal if there is no such execution."""
    return _standing(account, name).order.symbol


def correct_by_a_tick(floor: Floor, number: str, name: str) -> None:
    """Correct a fill by a tick against whoever traded, unless the account is no longer there."""
    account = floor.accounts.get(number)
    if account is not None:
        execution = _standing(account, name)
        tick = floor.market.grids[execution.order.symbol].tick(execution.price)
        correct(floor, account, name, execution.price + execution.order.side * tick)


def _standing(account: Account, name: str) -> Execution:
    """Return the last state of the execution that has this id or part of an id."""
    found: Execution | None = None
    for one in account.activities:
        if isinstance(one, Fill | Amendment) and name in (one.fill.id, one.fill.execution_id, one.id):
            found = one
    if found is None:
        raise not_found(f"execution not found for {name[:80]}")
    return found
