"""Watch margins at the end of each minute: cancel orders that add risk, liquidate in parts, and settle at the end.

Below its initial margin an account keeps only orders that reduce its positions. At or below its maintenance margin, its
position with the largest requirement is closed at the mark, part by part, until the margin holds or nothing is left.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from papervenue.engine import matching, order_lifecycle
from papervenue.engine.account import Account
from papervenue.engine.engine_state import Floor
from papervenue.engine.orders import LIQUIDATION, SETTLEMENT, Order, OrderRequest
from papervenue.events import Event
from papervenue.jsontext import plain
from papervenue.margined.accounts import Margins, NetPosition, margins, net_positions

NO_MARGIN, ENDED = "not_enough_margin", "contract_expired"
"""Why an order is canceled here."""


def review(floor: Floor, part: Decimal) -> None:
    """Compare every account with its margins, and liquidate this part of a position at a time."""
    for account in floor.accounts.values():
        if not account.positions:
            continue
        now = margins(floor, account)
        if now.equity < now.initial:
            _withdraw(floor, account, now)
        while account.positions and now.equity <= now.maintenance:
            _liquidate(floor, account, part)
            now = margins(floor, account)


def reduces(account: Account, symbol: str, side: int, qty: Decimal) -> bool:
    """Return True if an order would only make a position smaller."""
    return qty <= -account.qty(symbol) * side


def _withdraw(floor: Floor, account: Account, now: Margins) -> None:
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


def _liquidate(floor: Floor, account: Account, part: Decimal) -> None:
    held = max(net_positions(account), key=lambda held: (_requirement(floor, held), held.symbol))
    lot = floor.market.grids[held.symbol].lot
    lots = (abs(held.qty) * part / lot).to_integral_value(ROUND_CEILING)
    close_out(floor, account, held, min(lots * lot, abs(held.qty)), LIQUIDATION)


def _requirement(floor: Floor, held: NetPosition) -> Decimal:
    grid, qty = floor.market.grids[held.symbol], abs(held.qty)
    value = grid.notional(qty, floor.price(held.symbol))
    return value * grid.level(qty, value).maintenance


def close_out(floor: Floor, account: Account, held: NetPosition, qty: Decimal, kind: str) -> None:
    """Close a quantity of a position at the mark by an order of the venue."""
    side = -1 if held.qty > 0 else 1
    request = OrderRequest(held.symbol, side, kind, "fok", qty, None, None, reduce_only=True)
    order = order_lifecycle.book(floor, account, request, "sell_to_close" if side < 0 else "buy_to_close", 0)
    order_lifecycle.fill(floor, order, floor.price(held.symbol), matching.UNBOUNDED)


def end_trading(floor: Floor, symbol: str) -> None:
    """Cancel the orders in a symbol whose trading has ended, and settle its positions at the last price."""
    for account in floor.accounts.values():
        for order in [one for one in account.open.values() if one.symbol == symbol]:
            order.why = ENDED
            order_lifecycle.cancel(floor, order)
        for held in [one for one in net_positions(account) if one.symbol == symbol]:
            close_out(floor, account, held, abs(held.qty), SETTLEMENT)
