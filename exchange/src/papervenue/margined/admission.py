"""Check an order against the rules of the `plain` dialect, and accounts against their margins.

Each API translates the codes of refusals into its own errors.

If its equity is below its initial margin, an account keeps only orders that reduce its positions. At or below the
maintenance margin, the position with the largest requirement is closed at the last price, part by part, until the
margin suffices or no position is left. A venue may instead assign all positions to others, so that the account owes
nothing. An isolated position is compared with the margin set apart for it, and is always assigned if closing it would
cost more than that.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from papervenue.engine import matching, order_lifecycle
from papervenue.engine.account import Account
from papervenue.engine.engine_state import EngineState
from papervenue.engine.orders import ASSIGNMENT, ATTACHED, LIQUIDATION, SETTLEMENT, TAKE_PROFIT, Order, OrderRequest
from papervenue.engine.venue_rules import Admission
from papervenue.events import Event
from papervenue.jsontext import plain
from papervenue.margined import accounts
from papervenue.margined.accounts import (
    Margins,
    NetPosition,
    book,
    collateral,
    equity_and_margins,
    funding_due,
    increasing_orders,
    initial_margin,
    isolate,
    margins,
    mark_of,
    net_positions,
    sharing,
)
from papervenue.market.venue import Grid, Rules
from papervenue.refusal import Refusal

TYPES = {
    "market": (),
    "limit": ("limit",),
    "stop": ("stop",),
    "stop_limit": ("limit", "stop"),
    TAKE_PROFIT: ("stop",),
    f"{TAKE_PROFIT}_limit": ("limit", "stop"),
    "trailing_stop": (),
}
"""The types of orders, and the prices that each has; a trailing stop has a distance."""
LATER_TYPES = frozenset({TAKE_PROFIT, f"{TAKE_PROFIT}_limit", "trailing_stop"})
"""The types of orders that a market of the first edition refuses."""
_LIVES = ("day", "gtc", "ioc", "fok")
_LASTING = ("day", "gtc")
_ZERO = Decimal(0)


def refuse(code: str, message: str, **extra: Any) -> Refusal:
    """Return a refusal whose code each API translates into its own error."""
    return Refusal(422, {"code": code, "message": message, **extra})


def admit(
    rules: Rules,
    floor: EngineState,
    account: Account,
    request: OrderRequest,
    changed: Order | None = None,
    *,
    by_mark: bool = True,
) -> Admission:
    """Check every rule; return the admission or raise the Refusal of the first rule that isn't met.

    `changed` is the open order that this request would change in place, if any. With `by_mark`, a collar is measured
    from the mark and applies to limits that would fill at once; otherwise it is measured from the last price and
    applies to all limits.
    """
    grid = _instrument(floor, request.symbol)
    _check_kind(rules, request)
    if changed is None:
        _check_client_id(rules, account, request.client_order_id)
    _check_size(grid, request)
    _check_prices(floor, grid, request)
    if rules.collar is not None and request.limit is not None:
        _check_collar(rules.collar, floor, request, by_mark=by_mark)
    if request.post_only and fills_at_once(floor, request):
        raise refuse("would_take", "a post-only order would take an offer")
    side = "buy" if request.side > 0 else "sell"
    if request.reduce_only:
        if account.qty(request.symbol) * request.side >= 0:
            raise refuse("would_not_reduce", "a reduce-only order needs a position on the other side")
        return Admission(f"{side}_to_close", 0)
    more = (request.qty or _ZERO) - ((changed.qty or _ZERO) if changed is not None else _ZERO)
    if more > 0 and request.order_class != ATTACHED:
        # The margin that an order may need depends only on its size.
        _check_margin(floor, account, request._replace(qty=more))
    return Admission(f"{side}_to_open", 0)


def _instrument(floor: EngineState, symbol: str) -> Grid:
    if symbol not in floor.market.known:
        raise refuse("unknown_symbol", f"there is no instrument {symbol[:40]}")
    grid = floor.market.grids[symbol]
    if grid.last_us is not None and floor.now_us >= grid.last_us:
        raise refuse("expired", f"trading in {symbol} has ended")
    return grid


def _check_kind(rules: Rules, request: OrderRequest) -> None:
    prices = TYPES.get(request.type)
    if prices is None:
        raise unsupported_type()
    single = request.order_class == "simple" or (rules.attached and request.order_class == ATTACHED)
    alone = single and request.stop_loss is None
    with_stop = rules.brackets and request.order_class == "oto" and request.stop_loss is not None
    if request.take_profit is not None or not (alone or with_stop):
        raise refuse("unsupported_class", f"orders have {'at most a stop' if rules.brackets else 'no others'} attached")
    life = request.time_in_force
    waits = "stop" in prices or request.type == "trailing_stop"
    if life not in _LIVES or (life not in _LASTING and waits) or request.extended_hours:
        raise refuse("unsupported_life", f"orders last {', '.join(_LIVES)}, and stops {' or '.join(_LASTING)}")
    if request.post_only and (prices != ("limit",) or life not in _LASTING):
        raise refuse("unsupported_type", "only a limit order that lasts can be post-only")
    given_prices = {name for name in ("limit", "stop") if getattr(request, name) is not None}
    trails = request.trail_price is not None or request.trail_percent is not None
    if given_prices != set(prices) or trails is not (request.type == "trailing_stop"):
        raise refuse("wrong_prices", f"a {request.type} order has {' and '.join(prices) or 'no'} prices")


def unsupported_type() -> Refusal:
    """Return the refusal of an unsupported order type. Logs contain its text, so the text must not change."""
    return refuse("unsupported_type", "orders are market, limit, stop, stop_limit")


def _check_client_id(rules: Rules, account: Account, name: str | None) -> None:
    earlier = account.by_client_id.get(name) if name is not None else None
    if earlier is None or rules.client_ids == "free":
        return
    if rules.client_ids == "unique" or earlier.is_open:
        raise refuse("duplicate_client_id", "the client id belongs to another order")


def _check_size(grid: Grid, request: OrderRequest) -> None:
    if request.qty is None or request.qty <= 0:
        raise refuse("wrong_size", "an order has a quantity above 0")
    if request.qty % grid.lot:
        raise refuse("lot_size", f"quantities come in lots of {plain(grid.lot)}")
    if request.qty < grid.instrument.minimum:
        raise refuse("minimum_size", f"an order is for at least {plain(grid.instrument.minimum)}")


def _check_prices(floor: EngineState, grid: Grid, request: OrderRequest) -> None:
    for price in (request.limit, request.stop, request.stop_loss.stop if request.stop_loss else None):
        if price is not None and (price <= 0 or price % grid.tick(price)):
            raise refuse("tick_size", f"{plain(grid.usd(price))} isn't on a tick")
    if floor.last_price(request.symbol) is None:
        raise refuse("no_price", f"{request.symbol} has no price yet")


def _check_collar(collar: Decimal, floor: EngineState, request: OrderRequest, *, by_mark: bool) -> None:
    middle = mark_of(floor, request.symbol) if by_mark else floor.price(request.symbol)
    if abs((request.limit or 0) - middle) <= middle * collar:
        return
    if not by_mark:
        raise refuse("price_collar", f"a limit is at most {plain(collar)} of the last price away from it")
    if request.stop is None and fills_at_once(floor, request):
        raise refuse(
            "price_collar", f"a limit that crosses the spread is at most {plain(collar)} of the mark beyond it"
        )


def fills_at_once(floor: EngineState, request: OrderRequest) -> bool:
    """Return True if an order would fill at once at the last price, within its limit."""
    last = floor.last_price(request.symbol)
    if last is None or request.limit is None:
        return last is not None
    offered = floor.model.around(last, request.symbol)[request.side > 0]
    return (request.limit - offered) * request.side >= 0


def _check_margin(floor: EngineState, account: Account, request: OrderRequest) -> None:
    symbol, qty = request.symbol, request.qty or _ZERO
    others = sum((order.remaining for order in increasing_orders(account, symbol, request.side)), _ZERO)
    if reduces(account, symbol, request.side, qty + others):
        return
    now, before = equity_and_margins(floor, account), initial_margin(floor, account, symbol)
    more = initial_margin(floor, account, symbol, qty * request.side) - before
    if more > 0 and more > now.free:
        extra = {"required": plain(more), "available": plain(now.available)}
        raise refuse("insufficient_margin", "the order needs more margin than is available", **extra)


def no_replacement() -> Refusal:
    """Return the refusal of a replacement, which this venue doesn't support."""
    return refuse("unsupported_edit", "orders can't be replaced: cancel and send another")


def set_leverage(floor: EngineState, account: Account, symbol: str, leverage: Decimal | None) -> None:
    """Set the maximum leverage of a symbol, which isolates its margin.

    With None, the symbol shares the account's collateral again. Raise a Refusal if the margin levels don't allow the
    leverage, or if too little margin would be left.
    """
    grid, position = _instrument(floor, symbol), accounts.net_position(account, symbol)
    size, cost = (_ZERO, _ZERO) if position is None else (abs(position.qty), abs(position.cost))
    if leverage is not None and (leverage < 1 or leverage * grid.level(size, cost).initial > 1):
        raise refuse("wrong_leverage", "a leverage is at least 1, and at most what the margin levels allow")
    leverages, margin = account.leverages, _ZERO if position is None else position.margin
    before = equity_and_margins(floor, account).free
    account.leverages = {name: most for name, most in {**leverages, symbol: leverage}.items() if most is not None}
    if position is not None:
        position.margin = _ZERO
        isolate(account, grid)
    parts = [margins(floor, account, alone) for alone in ("", symbol) if sharing(account, alone)]
    liquidates = any(part.equity <= part.maintenance for part in parts)
    if liquidates or equity_and_margins(floor, account).free < min(before, _ZERO):
        account.leverages = leverages
        if position is not None:
            position.margin = margin
        code = "would_liquidate" if liquidates else "insufficient_margin"
        raise refuse(code, "the change needs more margin than is available")
    account.version += 1
    shown = {"symbol": symbol, "leverage": None if leverage is None else plain(leverage)}
    floor.emit(Event(floor.now_us, "leverage_set", shown, account.number))


def reducible_quantity(account: Account, order: Order) -> Decimal:
    """Return how much a reduce-only order may still fill: the position, plus fills not yet reported to the order."""
    return max(-account.qty(order.symbol) * order.side, _ZERO) + order.unheard


NO_MARGIN, ENDED, ABANDONED = "not_enough_margin", "contract_expired", "dead_man_switch"
"""Reasons for which this venue cancels an order."""
CANCEL_EVERYTHING = "cancel_everything"
"""The action that cancels an account's orders because it hasn't asked to wait longer."""


def cancel_everything(floor: EngineState, number: str) -> None:
    """Cancel all of an account's open orders, stops included."""
    account = floor.accounts.get(number)
    for order in [] if account is None else [*account.open.values()]:
        if order.is_open:
            order.why = ABANDONED
            order_lifecycle.cancel(floor, order)


def review(floor: EngineState, rules: Rules, *, few_steps: bool = True) -> None:
    """Compare every account's equity with its margins, and liquidate positions where needed, one part at a time.

    With `few_steps`, each part is a fraction of the position before the liquidation; otherwise it is a fraction of what
    is left.
    """
    for account in floor.accounts.values():
        for alone in ("", *account.leverages) if account.positions else ():
            now = margins(floor, account, alone)
            if now.equity < now.initial and not alone:
                _withdraw(floor, account, now)
            before: dict[str, Decimal] = {}
            while now.equity <= now.maintenance and sharing(account, alone):
                if (rules.assigns or alone) and _owes_once_closed(floor, account, alone, rules.liquidation_fee):
                    _assign(floor, account, alone)
                else:
                    _liquidate(floor, account, alone, rules.liquidation_part, before if few_steps else {})
                now = margins(floor, account, alone)


def reduces(account: Account, symbol: str, side: int, qty: Decimal) -> bool:
    """Return True if an order would only reduce a position."""
    return qty <= -account.qty(symbol) * side


def _withdraw(floor: EngineState, account: Account, now: Margins) -> None:
    risky = [order for order in account.open.values() if order.opens and not _only_reduces(account, order)]
    if not risky:
        return
    names = ("equity", "initial", "maintenance")
    floor.emit(Event(floor.now_us, "margin_call", {name: plain(getattr(now, name)) for name in names}, account.number))
    for order in risky:
        order.why = NO_MARGIN
        order_lifecycle.cancel(floor, order)


def _only_reduces(account: Account, order: Order) -> bool:
    return reduces(account, order.symbol, order.side, order.remaining)


def _liquidate(
    floor: EngineState, account: Account, alone: str, part: Decimal, before: MutableMapping[str, Decimal]
) -> None:
    net_position = _by_requirement(floor, account, alone)[-1]
    lot, qty = floor.market.grids[net_position.symbol].lot, abs(net_position.qty)
    lots = (before.setdefault(net_position.symbol, qty) * part / lot).to_integral_value(ROUND_CEILING)
    close_out(floor, account, net_position, min(lots * lot, qty), LIQUIDATION)


def _by_requirement(floor: EngineState, account: Account, alone: str) -> list[NetPosition]:
    """Return the positions that share collateral, or the isolated one; the one with the largest requirement is last."""

    def requirement(net_position: NetPosition) -> tuple[Decimal, str]:
        grid, qty = floor.market.grids[net_position.symbol], abs(net_position.qty)
        value = grid.notional(qty, floor.price(net_position.symbol))
        return value * grid.level(qty, value).maintenance, net_position.symbol

    return sorted(sharing(account, alone), key=requirement)


def _owes_once_closed(floor: EngineState, account: Account, alone: str, fee: Decimal) -> bool:
    """Return True if closing positions at the last prices, for a fee, would cost more than their collateral."""
    worth = collateral(account, alone)
    for position in sharing(account, alone):
        value = floor.market.grids[position.symbol].notional(position.qty, floor.price(position.symbol))
        worth += value - position.cost - abs(value) * fee - funding_due(floor, position)
    return worth < 0


def _assign(floor: EngineState, account: Account, alone: str) -> None:
    """Hand positions over to others, the one with the largest requirement at its bankruptcy price.

    That is the first price on a tick at which their collateral covers the loss.
    """
    *others, largest = _by_requirement(floor, account, alone)
    for position in others:
        close_out(floor, account, position, abs(position.qty), ASSIGNMENT)
    book(floor, account, largest.symbol)
    grid, side = floor.market.grids[largest.symbol], 1 if largest.qty > 0 else -1
    bankrupt = grid.units * (largest.cost - collateral(account, alone)) / (largest.qty * grid.multiplier)
    step = grid.tick(int(bankrupt))
    price = int((bankrupt * side / step).to_integral_value(ROUND_CEILING)) * step * side
    close_out(floor, account, largest, abs(largest.qty), ASSIGNMENT, max(step, price))


def close_out(
    floor: EngineState, account: Account, net_position: NetPosition, qty: Decimal, kind: str, price: int | None = None
) -> None:
    """Close a quantity of a position with an order that the venue places, by default at the last price."""
    side = -1 if net_position.qty > 0 else 1
    request = OrderRequest(net_position.symbol, side, kind, "fok", qty, None, None, reduce_only=True)
    order = order_lifecycle.create_order(floor, account, request, "sell_to_close" if side < 0 else "buy_to_close", 0)
    order_lifecycle.fill(floor, order, price or floor.price(net_position.symbol), matching.UNBOUNDED)


def end_trading(floor: EngineState, symbol: str) -> None:
    """Cancel the orders in a symbol whose trading has ended, and settle its positions at the last price."""
    for account in floor.accounts.values():
        for order in [order for order in account.open.values() if order.symbol == symbol]:
            order.why = ENDED
            order_lifecycle.cancel(floor, order)
        for net_position in [position for position in net_positions(account) if position.symbol == symbol]:
            close_out(floor, account, net_position, abs(net_position.qty), SETTLEMENT)
