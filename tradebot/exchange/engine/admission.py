"""The rules an order must meet before it is accepted, in the order in which they are asked.

Source of rules, codes and messages: Alpaca's trading API as observed on paper accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.orders import Order, OrderRequest, duplicate_client_id
from tradebot.exchange.jsontext import plain
from tradebot.exchange.market.bars import Market, ask, usd
from tradebot.exchange.refusal import forbidden, unprocessable

_SHORT_MARKUP = (103, 100)
_SMALLEST_ORDER_USD = Decimal(1)


class Admission(NamedTuple):
    """What an accepted order does to its position, and the price in units at which it reserves power."""

    intent: str
    reserve: int


class Desk(NamedTuple):
    """What the rules look at."""

    market: Market
    account: Account
    open: Mapping[str, Order]
    by_client_id: Mapping[str, Order]
    now_us: int

    def working(self, symbol: str) -> list[Order]:
        """Return the open orders of a symbol, oldest first."""
        return [order for order in self.open.values() if order.symbol == symbol]

    def held(self, symbol: str) -> Decimal:
        """Return the shares of a position that open orders to close it have claimed."""
        return sum((o.remaining for o in self.working(symbol) if not o.opens), Decimal(0))

    def price(self, symbol: str) -> int:
        """Return the price of a held symbol."""
        price = self.market.price(symbol, self.now_us)
        assert price is not None
        return price


def admit(request: OrderRequest, desk: Desk) -> Admission:
    """Ask every rule; return the admission or raise the Refusal of the first rule that is not met."""
    if request.client_order_id in desk.by_client_id:
        raise duplicate_client_id()
    if request.symbol not in desk.market.known:
        raise unprocessable(f'asset "{request.symbol}" not found')
    intent = _intent(request, desk)
    reserve = _reserve_price(request, intent, desk)
    _check_fractionable(request, intent, desk.market.liquid(request.symbol))
    _check_wash_trade(request, desk)
    if intent.endswith("_to_open"):
        _check_opening(request, intent, reserve, desk)
    else:
        _check_available(request, reserve, desk)
    return Admission(intent, reserve)


def _intent(request: OrderRequest, desk: Desk) -> str:
    closes = desk.account.qty(request.symbol) * request.side < 0
    side = "buy" if request.side > 0 else "sell"
    intent = f"{side}_to_{'close' if closes else 'open'}"
    if request.position_intent not in (None, intent):
        raise unprocessable(f"position intent mismatch, inferred: {intent}, specified: {request.position_intent}")
    return intent


def _reserve_price(request: OrderRequest, intent: str, desk: Desk) -> int:
    last = desk.market.price(request.symbol, desk.now_us)
    if last is None and request.limit is None:
        raise unprocessable(f'asset "{request.symbol}" has no price yet: only limit orders are accepted')
    offered = 0 if last is None else _far_side(last, desk)
    if intent == "sell_to_open":
        return max(request.limit or 0, offered * _SHORT_MARKUP[0] // _SHORT_MARKUP[1])
    return offered if request.limit is None else request.limit


def _far_side(last: int, desk: Desk) -> int:
    return ask(last) if desk.market.calendar.is_open(desk.now_us) else last


def _check_fractionable(request: OrderRequest, intent: str, liquid: bool) -> None:
    whole = request.qty is not None and request.qty == request.qty.to_integral_value()
    if not whole and not liquid:
        raise unprocessable("requested asset is not fractionable")
    if intent == "sell_to_open":
        if not whole:
            raise unprocessable("fractional orders cannot be sold short")
        if not liquid:
            raise unprocessable(f'asset "{request.symbol}" cannot be sold short')


def _check_wash_trade(request: OrderRequest, desk: Desk) -> None:
    for other in desk.working(request.symbol):
        if other.request.side == request.side or not _could_cross(request, other.request):
            continue
        raise forbidden(
            "potential wash trade detected. use complex orders",
            reject_reason=f"opposite side {other.request.type} order exists",
            existing_order_id=other.id,
        )


def _could_cross(one: OrderRequest, other: OrderRequest) -> bool:
    """Two limits cross only when the buyer pays at least what the seller asks; a market order always can."""
    if one.limit is None or other.limit is None:
        return True
    buy, sell = (one.limit, other.limit) if one.side > 0 else (other.limit, one.limit)
    return buy >= sell


def _check_opening(request: OrderRequest, intent: str, reserve: int, desk: Desk) -> None:
    if any(order.request.side != request.side and order.opens for order in desk.working(request.symbol)):
        raise forbidden(
            "cannot open a long buy while a short sell order is open"
            if intent == "buy_to_open"
            else "cannot open a short sell while a long buy order is open"
        )
    _check_buying_power(_cost(request, reserve), desk)


def _cost(request: OrderRequest, reserve: int) -> Decimal:
    return request.notional if request.qty is None and request.notional else (request.qty or 0) * usd(reserve)


def _check_buying_power(cost: Decimal, desk: Desk) -> None:
    if cost < _SMALLEST_ORDER_USD:
        raise forbidden(f"cost basis must be >= minimal amount of order {_SMALLEST_ORDER_USD}")
    reserved = sum((order.reserved_usd for order in desk.open.values()), Decimal(0))
    power = desk.account.balances(desk.price).buying_power(reserved)
    if cost > power:
        raise forbidden("insufficient buying power", buying_power=plain(power), cost_basis=plain(cost))


def _check_available(request: OrderRequest, reserve: int, desk: Desk) -> None:
    existing = abs(desk.account.qty(request.symbol))
    held = desk.held(request.symbol)
    available = existing - held
    requested = request.qty if request.qty is not None else _cost(request, reserve) / usd(reserve)
    if requested <= available:
        return
    raise forbidden(
        f"insufficient qty available for order (requested: {plain(requested)}, available: {plain(available)})",
        available=plain(available),
        existing_qty=plain(existing),
        held_for_orders=plain(held),
        related_orders=[order.id for order in desk.working(request.symbol) if not order.opens],
        symbol=request.symbol,
    )
