"""Apply corporate actions to accounts and orders when they take effect, using the agenda.

Open orders (sources: Alpaca's description of gtc orders, whose prices it adjusts to corporate actions without a
do-not-reduce option; FINRA Rule 5330 on adjusting open orders):
- cash dividend, on its ex-date: gtc orders to buy at a limit and to sell at a stop are reduced by the rate and rounded
down to a tick; rates below a cent change nothing.
- forward split: gtc orders get new shares and prices; orders that can't (queued for a day, in USD, or partly filled)
are canceled. Reverse split, name change, merger: all orders are canceled.

Whole positions stay whole: the fraction left by a split is paid in cash at the new price.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from functools import partial

from papervenue.engine import order_lifecycle
from papervenue.engine.account import Account, Activity, Position
from papervenue.engine.engine_state import EngineState, enter
from papervenue.engine.orders import Order
from papervenue.events import Event
from papervenue.jsontext import plain
from papervenue.market.actions import DIVIDEND, FORWARD_SPLIT, NAME_CHANGE, SPLITS, Action
from papervenue.market.bars import UNITS, tick, usd
from papervenue.shares import options
from papervenue.shares.options import move, rename
from papervenue.times import at_new_york

_NINE_PLACES = Decimal("1e-9")
_SMALLEST_REDUCTION = Decimal("0.01")
_PAID_AT_HOUR = 4


def schedule(floor: EngineState, action: Action) -> None:
    """Schedule a corporate action for the time at which it takes effect.

    Actions before the market's first session are ignored.
    """
    if action.ex_date in floor.market.calendar.index_of:
        floor.agenda.note(action.at_us, "take_effect", action)


def take_effect(floor: EngineState, announced: Action) -> None:
    symbol = floor.market.listed_name(announced.symbol)
    if symbol is None:
        # The company was bought in the meantime.
        return
    floor.emit(Event(floor.now_us, "corporate_action", action_fields(announced)))
    action = announced._replace(symbol=symbol)
    if action.kind == DIVIDEND:
        _go_ex(floor, action)
    elif action.kind in SPLITS:
        _split(floor, action)
    elif action.kind == NAME_CHANGE:
        _rename(floor, action)
    else:
        _buy_out(floor, action)


def action_fields(action: Action) -> dict[str, str]:
    fields = {"id": action.id, "type": action.kind, "symbol": action.symbol, "ex_date": action.ex_date}
    if action.kind in SPLITS:
        return fields | {"new_rate": plain(action.new_rate), "old_rate": plain(action.old_rate)}
    if action.kind == NAME_CHANGE:
        return fields | {"new_symbol": action.new_symbol}
    return fields | {"rate": plain(action.rate), "payable_date": action.payable_date}


def _holders(floor: EngineState, symbol: str) -> list[tuple[Account, Position]]:
    accounts = floor.accounts.values()
    return [(account, account.positions[symbol]) for account in accounts if symbol in account.positions]


def _open_orders(floor: EngineState, symbol: str) -> list[Order]:
    return [o for account in floor.accounts.values() for o in account.open.values() if o.symbol == symbol]


def _cancel_all(floor: EngineState, symbol: str) -> None:
    for order in _open_orders(floor, symbol):
        # An order in a group may have ended already, because another member ended.
        if order.is_open:
            order_lifecycle.cancel(floor, order)


def _go_ex(floor: EngineState, action: Action) -> None:
    """Record who gets the dividend: holders at the close before the ex-date; shorts pay it."""
    reduction = int(action.rate * UNITS)
    for order in _open_orders(floor, action.symbol):
        if action.rate >= _SMALLEST_REDUCTION and _reducible(order):
            _restate(floor, order, order.qty, lambda price: _on_tick(Fraction(price - reduction), 1))
    entitled = [(account.number, position.qty) for account, position in _holders(floor, action.symbol)]
    if entitled:
        paid_us = max(at_new_york(action.payable_date, _PAID_AT_HOUR) - 1, action.at_us)
        floor.agenda.note(paid_us, "pay", action, entitled)


def _reducible(order: Order) -> bool:
    reducing = order.request.type == "limit" if order.side > 0 else order.request.type in ("stop", "stop_limit")
    return reducing and order.request.time_in_force == "gtc"


def pay_dividend(floor: EngineState, action: Action, entitled: list[tuple[str, Decimal]]) -> None:
    """Pay a dividend to the entitled accounts; `entitled` has account numbers, each with its number of shares."""
    for number, qty in entitled:
        account = floor.accounts.get(number)
        if account is None:
            # The account was reset in the meantime, and the new one had no positions.
            continue
        description = f"cash dividend of {plain(action.rate)} USD a share, ex {action.ex_date}"
        paid = Activity(
            "DIV", "CDIV", action.symbol, description, qty, per_share=action.rate, net_amount=qty * action.rate
        )
        enter(floor, account, paid)


def _split(floor: EngineState, action: Action) -> None:
    options.settle_on(floor, action.symbol)
    ratio = Fraction(action.new_rate) / Fraction(action.old_rate)
    for order in _open_orders(floor, action.symbol):
        if not order.is_open:
            continue
        lasts = order.request.time_in_force == "gtc" and not order.filled_qty
        if action.kind == FORWARD_SPLIT and lasts and order.qty is not None:
            _restate(floor, order, _shares(order.qty, ratio), partial(_divide_price, ratio, order.side))
        else:
            order_lifecycle.cancel(floor, order)
    for account, position in _holders(floor, action.symbol):
        _split_position(floor, account, position, action, ratio)


def _shares(qty: Decimal, ratio: Fraction) -> Decimal:
    """Return the new number of shares, rounded toward zero: whole shares stay whole, others get nine decimals."""
    exact = qty * ratio.numerator / ratio.denominator
    is_whole = qty == qty.to_integral_value()
    return exact.to_integral_value(ROUND_DOWN) if is_whole else exact.quantize(_NINE_PLACES, ROUND_DOWN)


def _split_position(floor: EngineState, account: Account, position: Position, action: Action, ratio: Fraction) -> None:
    before, after = position.qty, _shares(position.qty, ratio)
    rest = before * ratio.numerator / ratio.denominator - after
    price = usd(floor.price(action.symbol))
    position.average = position.average * ratio.denominator / ratio.numerator
    position.qty, position.overnight = after, _shares(position.overnight, ratio)
    if not after:
        del account.positions[action.symbol]
    kind = "FSPLIT" if action.kind == FORWARD_SPLIT else "RSPLIT"
    description = f"{plain(action.new_rate)} for {plain(action.old_rate)} split"
    enter(floor, account, Activity("SPLIT", kind, action.symbol, description, after - before, price))
    if rest:
        in_lieu = (rest * price).quantize(_SMALLEST_REDUCTION)
        description = f"cash in lieu of {plain(rest.quantize(_NINE_PLACES))} shares"
        enter(floor, account, Activity("SPLIT", kind, action.symbol, description, net_amount=in_lieu))


def _restate(floor: EngineState, order: Order, qty: Decimal | None, change: Callable[[int], int]) -> None:
    """Change an open order's shares and prices, as the broker does without a request."""
    request = order.request
    limit, stop, trail = (None if p is None else change(p) for p in (request.limit, request.stop, request.trail_price))
    order.request = request._replace(qty=qty, limit=limit, stop=stop, trail_price=trail)
    order.qty, order.reserve, order.updated_us = qty, change(order.reserve), floor.now_us
    order.stop = None if order.stop is None else change(order.stop)
    order.hwm = None if order.hwm is None else change(order.hwm)
    floor.accounts[order.account].hold(order)
    floor.tell("order_restated", order, "restated")


def _divide_price(ratio: Fraction, side: int, price: int) -> int:
    return _on_tick(price / ratio, side)


def _on_tick(price: Fraction, side: int) -> int:
    """Round a price to the tick grid: down for a buy order, up for a sell order."""
    step = tick(int(price))
    return max(step, price // step * step if side > 0 else -(-price // step) * step)


def _rename(floor: EngineState, action: Action) -> None:
    _cancel_all(floor, action.symbol)
    floor.market.relist(action)
    for account, position in _holders(floor, action.symbol):
        rename(floor, account, position, action.new_symbol, ("NC", "SNC"))
    options.rename_on(floor, action.symbol, action.new_symbol)


def _buy_out(floor: EngineState, action: Action) -> None:
    """Pay holders the cash price of a merger and delist the company."""
    options.settle_on(floor, action.symbol)
    _cancel_all(floor, action.symbol)
    for account, position in _holders(floor, action.symbol):
        qty = position.qty
        description = f"merger for {plain(action.rate)} USD a share"
        paid = Activity("MA", "CMA", action.symbol, description, -qty, action.rate, net_amount=qty * action.rate)
        move(floor, account, paid)
    floor.market.relist(action)
