"""Bust or correct executions, and update cash, position and orders.

History isn't rewritten: the execution remains among the account's activities, and the amendment comes after it. If an
open order has filled less as a result, its remaining quantity grows. A finished order isn't reopened; if it is no
longer completely filled, it is canceled. Effects of the execution on other orders aren't undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from papervenue.engine import order_lifecycle
from papervenue.engine.account import Account, Activity, Position
from papervenue.engine.engine_state import EngineState, activity_id
from papervenue.engine.orders import BUST, CORRECT, Amendment, Execution, Fill, Order
from papervenue.market.bars import usd
from papervenue.refusal import not_found, unprocessable
from papervenue.shares.charges import charge_commission

_ZERO = Decimal(0)


def bust(floor: EngineState, account: Account, name: str) -> Amendment:
    """Bust an execution; raise a Refusal if that isn't possible."""
    execution = _amendable(account, name)
    return _amend(floor, account, execution, BUST, _ZERO, execution.price)


def correct(floor: EngineState, account: Account, name: str, qty: Decimal | None, price: int | None) -> Amendment:
    """Correct an execution's price, shares, or both; None leaves a value unchanged.

    Raise a Refusal if that isn't possible.
    """
    execution = _amendable(account, name)
    qty, price = execution.qty if qty is None else qty, execution.price if price is None else price
    if execution.order.is_open and execution.order.request.notional is not None:
        raise unprocessable("an execution of an order in dollars that is still open is busted or stands")
    if not 0 < qty <= execution.qty:
        raise unprocessable("qty must be > 0 and at most what was executed")
    if (qty, price) == (execution.qty, execution.price):
        raise unprocessable("the execution is not changed")
    return _amend(floor, account, execution, CORRECT, qty, price)


def _amendable(account: Account, name: str) -> Execution:
    """Return the current state of an execution, given an activity's id or the part of it that the stream shows."""
    executions = [activity for activity in account.activities if isinstance(activity, Execution)]
    execution = next((execution for execution in executions if name in (execution.id, execution.execution_id)), None)
    if execution is None:
        raise not_found(f"execution not found for {name[:80]}")
    if (
        any(isinstance(settled, Amendment) and settled.previous.id == execution.id for settled in executions)
        or execution.word == BUST
    ):
        raise unprocessable("the execution was busted or corrected already")
    since = account.activities[_activity_index(account, execution.fill) :]
    if any(isinstance(row, Activity) and row.symbol == execution.order.symbol and row.moves_shares for row in since):
        raise unprocessable(f"shares of {execution.order.symbol} came or went without an order since: it is too late")
    return execution


def _activity_index(account: Account, fill: Fill) -> int:
    return next(index for index, entry in enumerate(account.activities) if entry.id == fill.id)


def _amend(
    floor: EngineState, account: Account, execution: Execution, word: str, qty: Decimal, price: int
) -> Amendment:
    """Change an execution to these shares and price; with no shares it never happened."""
    order, side = execution.order, execution.order.side
    more, more_usd = qty - execution.qty, qty * usd(price) - execution.qty * usd(execution.price)
    account.cash -= side * more_usd
    account.version += 1
    _refold(floor, account, execution.fill, (qty, price))
    carrying = list(_carrying(account, order))
    filled = carrying[-1].filled_qty, carrying[-1].filled_usd
    for entry in carrying:
        _refill(floor, account, entry, more, more_usd)
    settled = Amendment(
        id=activity_id(floor, account),
        at_us=floor.now_us,
        word=word,
        previous=execution,
        qty=qty or execution.qty,
        price=price,
        shares=side * more,
        net_amount=-side * more_usd,
        cum_qty=order.filled_qty,
        leaves_qty=order.remaining if order.is_open else _ZERO,
        position_qty=account.qty(order.symbol),
        order_status=order.status,
    )
    account.activities.append(settled)
    floor.tell_execution(settled, account)
    charge_commission(floor, carrying[-1], filled)
    order_lifecycle.withdraw_misfits(floor, account, order.symbol)
    return settled


def _refold(floor: EngineState, account: Account, amended: Fill, stands: tuple[Decimal, int]) -> None:
    """Recompute a position from its state before the amended fill and all fills since."""
    symbol, first = amended.order.symbol, _activity_index(account, amended)
    close_us = floor.market.calendar.before(floor.now_us).close_us
    account.positions.pop(symbol, None)
    # An amendment keeps the original fill, and the position before it may have been amended since.
    fill = account.activities[first]
    assert isinstance(fill, Fill)
    if fill.before[0]:
        account.positions[symbol] = Position(symbol, *fill.before)
    for today in (False, True):
        for index, fill in enumerate(account.activities[first:], first):
            if isinstance(fill, Fill) and fill.order.symbol == symbol and (fill.at_us > close_us) == today:
                account.activities[index] = fill._replace(before=account.holding(symbol))
                qty, price = stands if fill.id == amended.id else _current_terms(account, fill)
                if qty:
                    account.shift(symbol, qty * fill.order.side, usd(price))
        if not today and amended.at_us <= close_us and symbol in account.positions:
            account.positions[symbol].overnight = account.qty(symbol)


def _current_terms(account: Account, fill: Fill) -> tuple[Decimal, int]:
    """Return the shares and the price that a fill counts for now."""
    last: Execution = fill
    for activity in account.activities:
        if isinstance(activity, Amendment) and activity.fill.id == fill.id:
            last = activity
    return (_ZERO if last.word == BUST else last.qty), last.price


def _carrying(account: Account, order: Order) -> Iterator[Order]:
    """Yield an order and its successive replacements that have taken over its fills."""
    following: Order | None = order
    while following is not None:
        yield following
        following = account.orders.get(following.replaced_by or "")
        if following is not None and following.starts_over:
            return


def _refill(floor: EngineState, account: Account, order: Order, more: Decimal, more_usd: Decimal) -> None:
    order.filled_qty += more
    order.filled_usd += more_usd
    order.updated_us = floor.now_us
    if order.status == "filled" and more:
        order.status, order.filled_us, order.canceled_us = "canceled", None, floor.now_us
    elif order.status == "partially_filled" and not order.filled_qty:
        order.status = "new"
    for each_order in (order, *order.legs):
        if each_order.is_open:
            account.hold(each_order)
