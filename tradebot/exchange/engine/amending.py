"""Executions that the venue takes back (a bust) or corrects: cash, position and orders follow.

History is not rewritten: the execution stays among the account's activities, and the amendment comes after it. An
order that is open has more left to fill then. One that is over is not opened again; one that was filled, and is not any
more, is canceled. What other orders have done because of the execution stays done.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from tradebot.exchange.engine import life
from tradebot.exchange.engine.account import Account, Activity, Position
from tradebot.exchange.engine.floor import Floor
from tradebot.exchange.engine.holdings import activity_id
from tradebot.exchange.engine.orders import BUST, CORRECT, Amendment, Execution, Fill, Order
from tradebot.exchange.market.bars import usd
from tradebot.exchange.refusal import not_found, unprocessable

_ZERO = Decimal(0)


def bust(floor: Floor, account: Account, name: str) -> Amendment:
    """Take an execution back; raises the Refusal that says why not."""
    found = _standing(account, name)
    return _amend(floor, account, found, BUST, _ZERO, found.price)


def correct(floor: Floor, account: Account, name: str, qty: Decimal | None, price: int | None) -> Amendment:
    """Give an execution another price, fewer shares, or both; None leaves one as it is. Raises the Refusal."""
    found = _standing(account, name)
    qty, price = found.qty if qty is None else qty, found.price if price is None else price
    if found.order.is_open and found.order.request.notional is not None:
        raise unprocessable("an execution of an order in dollars that is still open is busted or stands")
    if not 0 < qty <= found.qty:
        raise unprocessable("qty must be > 0 and at most what was executed")
    if (qty, price) == (found.qty, found.price):
        raise unprocessable("the execution is not changed")
    return _amend(floor, account, found, CORRECT, qty, price)


def _standing(account: Account, name: str) -> Execution:
    """Return the execution of a name, an activity's id or the part of it that the stream shows, as it stands now."""
    executions = [one for one in account.activities if isinstance(one, Execution)]
    found = next((one for one in executions if name in (one.id, one.execution_id)), None)
    if found is None:
        raise not_found(f"execution not found for {name[:80]}")
    if any(isinstance(one, Amendment) and one.previous.id == found.id for one in executions) or found.word == BUST:
        raise unprocessable("the execution was busted or corrected already")
    since = account.activities[_place(account, found.fill) :]
    if any(isinstance(one, Activity) and one.symbol == found.order.symbol and one.moves_shares for one in since):
        raise unprocessable(f"shares of {found.order.symbol} came or went without an order since: it is too late")
    return found


def _place(account: Account, fill: Fill) -> int:
    return next(place for place, one in enumerate(account.activities) if one.id == fill.id)


def _amend(floor: Floor, account: Account, found: Execution, word: str, qty: Decimal, price: int) -> Amendment:
    """Let an execution have been one of so many shares at a price; of none, it never was."""
    order, side = found.order, found.order.side
    more, more_usd = qty - found.qty, qty * usd(price) - found.qty * usd(found.price)
    account.cash -= side * more_usd
    account.version += 1
    _refold(floor, account, found.fill, (qty, price))
    for one in _carrying(account, order):
        _refill(floor, account, one, more, more_usd)
    made = Amendment(
        id=activity_id(floor, account),
        at_us=floor.now_us,
        word=word,
        previous=found,
        qty=qty or found.qty,
        price=price,
        shares=side * more,
        net_amount=-side * more_usd,
        cum_qty=order.filled_qty,
        leaves_qty=order.remaining if order.is_open else _ZERO,
        position_qty=account.qty(order.symbol),
        order_status=order.status,
    )
    account.activities.append(made)
    floor.tell_amendment(made, account)
    life.withdraw_misfits(floor, account, order.symbol)
    return made


def _refold(floor: Floor, account: Account, amended: Fill, stands: tuple[Decimal, int]) -> None:
    """Bring a position to where its fills lead, from what it was before the amended one."""
    symbol, close_us, first = amended.order.symbol, _last_close_us(floor), _place(account, amended)
    account.positions.pop(symbol, None)
    # An amendment keeps its fill as it was told; what was held before it may have been amended since.
    shown = account.activities[first]
    assert isinstance(shown, Fill)
    if shown.before[0]:
        account.positions[symbol] = Position(symbol, *shown.before)
    for today in (False, True):
        for place, fill in enumerate(account.activities[first:], first):
            if isinstance(fill, Fill) and fill.order.symbol == symbol and (fill.at_us > close_us) == today:
                account.activities[place] = fill._replace(before=account.holding(symbol))
                qty, price = stands if fill.id == amended.id else _stands(account, fill)
                if qty:
                    account.shift(symbol, qty * fill.order.side, usd(price))
        if not today and amended.at_us <= close_us and symbol in account.positions:
            account.positions[symbol].overnight = account.qty(symbol)


def _stands(account: Account, fill: Fill) -> tuple[Decimal, int]:
    """Return the shares and the price that a fill counts for by now."""
    last: Execution = fill
    for one in account.activities:
        if isinstance(one, Amendment) and one.fill.id == fill.id:
            last = one
    return (_ZERO if last.word == BUST else last.qty), last.price


def _last_close_us(floor: Floor) -> int:
    calendar = floor.market.calendar
    return calendar.all[max(calendar.place(calendar.trading(floor.now_us).date) - 1, 0)].close_us


def _carrying(account: Account, order: Order) -> Iterator[Order]:
    """Yield an order and those that took its place one after the other, with what it had filled."""
    following: Order | None = order
    while following is not None:
        yield following
        following = account.orders.get(following.replaced_by or "")


def _refill(floor: Floor, account: Account, order: Order, more: Decimal, more_usd: Decimal) -> None:
    order.filled_qty += more
    order.filled_usd += more_usd
    order.updated_us = floor.now_us
    if order.status == "filled" and more:
        order.status, order.filled_us, order.canceled_us = "canceled", None, floor.now_us
    elif order.status == "partially_filled" and not order.filled_qty:
        order.status = "new"
    for one in (order, *order.legs):
        if one.is_open:
            account.hold(one)
