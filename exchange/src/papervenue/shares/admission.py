"""Check the rules that an order must meet before it is accepted, in the order in which Alpaca checks them.

Source of rules, codes and messages: Alpaca's trading API as documented and as observed on paper accounts. The rules
consider only the account's open orders in the order's own symbol.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from papervenue.engine import order_lifecycle
from papervenue.engine.account import Account
from papervenue.engine.engine_state import EngineState
from papervenue.engine.matching import buy_stop_collar, trailing_stop
from papervenue.engine.orders import USUAL, Order, OrderRequest, Policy, duplicate_client_id, shares_for
from papervenue.engine.venue_rules import Admission
from papervenue.jsontext import plain
from papervenue.market.bars import UNITS, usd
from papervenue.refusal import forbidden, unprocessable
from papervenue.shares.order_parsing import check_legs_apart
from papervenue.times import MINUTE, at_new_york, new_york_date

_SHORT_MARKUP = (103, 100)
_SMALLEST_ORDER_USD = Decimal(1)
_SMALLEST_MOVE = UNITS // 100
_OPG_CLOSES_BEFORE_OPEN = 2 * MINUTE
_CLS_CLOSES_BEFORE_CLOSE = 10 * MINUTE
_NEXT_DAY_BEGINS = 19
_ZERO = Decimal(0)


class Desk(NamedTuple):
    """What the admission rules read: the account, the market and the order to be replaced.

    `replaced` is the order that the requested one would replace, `policy` how the venue treats the request.
    """

    floor: EngineState
    account: Account
    replaced: Order | None = None
    policy: Policy = USUAL

    def working(self, symbol: str, side: int) -> Iterable[Order]:
        """Return the account's open orders on one side of a symbol, oldest first, except the order to be replaced."""
        working = self.account.working(symbol, side)
        left_out = None if self.policy.counts_own_shares else self.replaced
        return working if left_out is None else [order for order in working if order is not left_out]

    def power(self) -> Decimal:
        """Return the free buying power, including what the order to be replaced reserves."""
        account = self.account
        freed = self.replaced.held_usd if self.replaced else _ZERO
        return self.floor.balances(account).buying_power(account.reserved - freed, account.configuration.multiplier)


class Case(NamedTuple):
    """One request being checked, with its intent and its symbol's last price (None if there is none)."""

    request: OrderRequest
    desk: Desk
    intent: str
    last: int | None

    @property
    def opens(self) -> bool:
        return self.intent.endswith("_to_open")

    @property
    def unfilled_shares(self) -> Decimal:
        """Return the requested shares, less what the replaced order, if any, has already filled."""
        old = self.desk.replaced
        return (self.request.qty or _ZERO) if old is None else old.left_for(self.request)

    @property
    def whole(self) -> bool:
        return self.request.qty is not None and self.request.qty == self.request.qty.to_integral_value()


def admit(
    floor: EngineState, account: Account, request: OrderRequest, replaced: Order | None, policy: Policy
) -> Admission:
    """Check every rule; return the admission or raise the Refusal of the first rule that isn't met."""
    desk = Desk(floor, account, replaced, policy)
    _check_account(request, desk)
    if replaced is not None and replaced.parent is not None:
        return _admit_leg(request, desk, replaced.intent)
    if request.symbol not in floor.market.known:
        raise unprocessable(f'asset "{request.symbol}" not found')
    case = Case(request, desk, _intent(request, desk), floor.last_price(request.symbol))
    _check_auction(case)
    _check_priced(case)
    _check_asset(case)
    _check_stop_side(case)
    _check_class(case)
    _check_wash_trade(case)
    reserve = reserve_price(case)
    if case.opens:
        _check_opening(case)
        cost = case.unfilled_shares * usd(reserve) if request.notional is None else request.notional
        _check_buying_power(cost, desk)
    else:
        _check_available(case, reserve)
    return Admission(case.intent, reserve)


def _admit_leg(request: OrderRequest, desk: Desk, intent: str) -> Admission:
    """Admit the replacement of a leg: only its prices can change, because its group fixes the rest."""
    case = Case(request, desk, intent, desk.floor.last_price(request.symbol))
    _check_stop_side(case)
    _check_class(case)
    reserve = reserve_price(case)
    if desk.policy.counts_own_shares:
        _check_available(case, reserve)
    return Admission(intent, reserve)


def _check_account(request: OrderRequest, desk: Desk) -> None:
    if desk.account.configuration.suspend_trade:
        raise forbidden("new orders are rejected by user request")
    if request.client_order_id in desk.account.by_client_id:
        raise duplicate_client_id()


def _intent(request: OrderRequest, desk: Desk) -> str:
    closes = desk.account.qty(request.symbol) * request.side < 0
    side = "buy" if request.side > 0 else "sell"
    intent = f"{side}_to_{'close' if closes else 'open'}"
    if request.position_intent not in (None, intent):
        raise unprocessable(f"position intent mismatch, inferred: {intent}, specified: {request.position_intent}")
    return intent


def _check_auction(case: Case) -> None:
    """Refuse auction orders from shortly before the auction until 19:00, when those for the next day start."""
    time_in_force, floor = case.request.time_in_force, case.desk.floor
    calendar, now_us = floor.market.calendar, floor.now_us
    if time_in_force not in ("opg", "cls"):
        return
    today = new_york_date(now_us)
    index = calendar.index_of.get(today)
    if index is None or now_us >= at_new_york(today, _NEXT_DAY_BEGINS):
        return
    session = calendar.market[index]
    if time_in_force == "opg" and now_us >= session.open_us - _OPG_CLOSES_BEFORE_OPEN:
        raise forbidden("opg orders must be submitted after 7:00pm and before 9:28am")
    if time_in_force == "cls" and now_us >= session.close_us - _CLS_CLOSES_BEFORE_CLOSE:
        raise forbidden("cls orders must be submitted after 7:00pm and before 3:50pm")


def _check_priced(case: Case) -> None:
    if case.last is None and (case.request.limit is None or case.request.type != "limit"):
        raise unprocessable(f'asset "{case.request.symbol}" has no price yet: only limit orders are accepted')


def _check_asset(case: Case) -> None:
    whole = case.whole
    if whole and case.intent != "sell_to_open":
        return
    configuration, liquid = case.desk.account.configuration, case.desk.floor.market.liquid(case.request.symbol)
    if not whole and not configuration.fractional_trading:
        raise forbidden("account is not allowed to trade fractional shares")
    if not whole and not liquid:
        raise unprocessable("requested asset is not fractionable")
    if case.intent != "sell_to_open":
        return
    if not whole:
        raise unprocessable("fractional orders cannot be sold short")
    if configuration.no_shorting or configuration.multiplier == 1:
        raise forbidden("account is not allowed to short")
    if not liquid:
        raise unprocessable(f'asset "{case.request.symbol}" cannot be sold short')


def _check_stop_side(case: Case) -> None:
    """Refuse a stop on the wrong side of the market: a sell stop belongs below it, a buy stop above it."""
    stop, last, side = case.request.stop, case.last, case.request.side
    replaced = case.desk.replaced
    if stop is None or last is None or (stop - last) * side > 0 or (replaced and replaced.request.stop == stop):
        return
    raise unprocessable(
        f"stop price must be {'greater' if side > 0 else 'less'} than current price",
        market_price=plain(usd(last)),
        stop_price=plain(usd(stop)),
    )


def _check_class(case: Case) -> None:
    order_class = case.request.order_class
    if order_class == "simple":
        return
    if case.desk.replaced is None:
        _check_group(case, order_class)
        _check_leg_prices(case, case.last)
    else:
        _check_fellows(case, case.desk.replaced)


def _check_fellows(case: Case, replaced: Order) -> None:
    """Check a group with a new price in it as it was checked at first, ignoring members that are finished."""
    group = order_lifecycle.current_request(replaced, case.request)
    exit_side = group.side if group.order_class == "oco" else -group.side
    if group.take_profit is not None and group.stop_loss is not None:
        check_legs_apart(group.take_profit, group.stop_loss.stop, exit_side)
    if (replaced.parent or replaced).is_open:
        # The market may have passed a stop-limit's stop since, so compare only a new stop with it.
        new_stop = case.request.stop != replaced.request.stop
        _check_leg_prices(case._replace(request=group), case.last if new_stop else None)
        _check_marketable(case, replaced)


def _check_marketable(case: Case, replaced: Order) -> None:
    """Refuse a new limit that would take profit at once, if the venue checks replacements like new groups."""
    limit, moves = case.request.limit, case.request.limit != replaced.request.limit
    takes_profit = case.request.type == "limit" and not case.opens
    if not (case.desk.policy.refuses_marketable and moves and takes_profit):
        return
    if limit is not None and case.last is not None:
        _check_leg("take_profit.limit_price", limit, case.last, -case.request.side)


def _check_group(case: Case, order_class: str) -> None:
    if order_class == case.desk.policy.refuses_class:
        raise unprocessable(f"{order_class} orders are not supported")
    if order_class == "oco" and case.opens:
        raise unprocessable("oco orders must be exit orders")
    if order_class == "oto" and not case.opens:
        raise unprocessable("oto orders must be entry orders")
    # A bracket in addition to a position is refused too, because its legs couldn't be told from the position's own
    # exits.
    if order_class == "bracket" and case.desk.account.qty(case.request.symbol):
        raise unprocessable("bracket orders must be entry orders")


def _check_leg_prices(case: Case, market: int | None) -> None:
    """Compare the legs with the base price: the expected fill price of the first order, or the market for a stop."""
    request = case.request
    expected = case.last if request.limit is None else request.limit
    exit_side = request.side if request.order_class == "oco" else -request.side
    if request.take_profit is not None and request.order_class != "oco" and expected is not None:
        _check_leg("take_profit.limit_price", request.take_profit, expected, -exit_side)
    if request.stop_loss is not None:
        for base in (expected, market):
            if base is not None:
                _check_leg("stop_loss.stop_price", request.stop_loss.stop, base, exit_side)


def _check_leg(field: str, price: int, base: int, above: int) -> None:
    """Refuse a leg that isn't at least a cent from the base price: above it if `above` is 1, below it if -1."""
    if (price - base) * above >= _SMALLEST_MOVE:
        return
    bound = ">= base_price + 0.01" if above > 0 else "<= base_price - 0.01"
    raise unprocessable(f"{field} must be {bound}", base_price=plain(usd(base)))


def _check_wash_trade(case: Case) -> None:
    """Refuse an order that could trade with one of the account's own; grouped orders and trailing stops are exempt."""
    request = case.request
    if _exempt(request):
        return
    for other in case.desk.working(request.symbol, -request.side):
        if _exempt(other.request) or not _could_cross(request, other.request):
            continue
        raise forbidden(
            "potential wash trade detected. use complex orders",
            reject_reason=f"opposite side {other.request.type} order exists",
            existing_order_id=other.id,
        )


def _exempt(request: OrderRequest) -> bool:
    return request.order_class != "simple" or request.type == "trailing_stop"


def _could_cross(new: OrderRequest, other: OrderRequest) -> bool:
    """Return True if two orders could cross: a market order always can, limits only if the bid reaches the offer."""
    if new.limit is None or other.limit is None:
        return True
    buy, sell = (new.limit, other.limit) if new.side > 0 else (other.limit, new.limit)
    return buy >= sell


def reserve_price(case: Case) -> int:
    """Return the price in units at which the unfilled shares of an order reserve buying power."""
    price = _bound_price(case.request, case.last or 0)
    shorts = case.intent == "sell_to_open"
    if price is not None and not shorts:
        return price
    desk, offered = case.desk, case.last or 0
    if case.last is not None and desk.floor.market.calendar.is_open(desk.floor.now_us):
        offered = desk.floor.model.ask(case.last)
    return max(price or 0, offered * _SHORT_MARKUP[0] // _SHORT_MARKUP[1]) if shorts else offered


def _bound_price(request: OrderRequest, last: int) -> int | None:
    """Return the price that bounds an order: its limit, or the collar above its stop; None for a market order."""
    if request.limit is not None:
        return request.limit
    stop = trailing_stop(request, last) if request.type == "trailing_stop" else request.stop
    if stop is None or request.side < 0:
        return stop
    return buy_stop_collar(stop)


def _check_opening(case: Case) -> None:
    request = case.request
    for order in case.desk.working(request.symbol, -request.side):
        if order.opens:
            raise forbidden(
                "cannot open a long buy while a short sell order is open"
                if case.intent == "buy_to_open"
                else "cannot open a short sell while a long buy order is open"
            )


def _check_buying_power(cost: Decimal, desk: Desk) -> None:
    if cost < _SMALLEST_ORDER_USD:
        raise forbidden(f"cost basis must be >= minimal amount of order {_SMALLEST_ORDER_USD}")
    power = desk.power()
    if cost > power:
        raise forbidden("insufficient buying power", buying_power=plain(power), cost_basis=plain(cost))


def _check_available(case: Case, reserve: int) -> None:
    request = case.request
    requested = case.unfilled_shares if request.notional is None else shares_for(request.notional, reserve)
    claims = [order for order in case.desk.working(request.symbol, request.side) if order.claimed]
    held_quantity = sum((order.claimed for order in claims), case.desk.account.kept_back(request.symbol))
    existing = abs(case.desk.account.qty(request.symbol))
    if requested <= existing - held_quantity:
        return
    available = plain(max(existing - held_quantity, _ZERO))
    raise forbidden(
        f"insufficient qty available for order (requested: {plain(requested)}, available: {available})",
        available=available,
        existing_qty=plain(existing),
        held_for_orders=plain(held_quantity),
        related_orders=[order.id for order in claims],
        symbol=request.symbol,
    )
