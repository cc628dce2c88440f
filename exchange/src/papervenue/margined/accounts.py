"""Keep net positions and their profit, and compute what an account is worth and what its margins are. All is exact.

A position's cost is exact, and so is what is taken from it when a part is closed: that part is rounded to the smallest
amount of cash, and the rest stays. So what is realized and unrealized always adds up to what prices did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from papervenue.engine.account import Account, Position
from papervenue.engine.engine_state import Floor
from papervenue.engine.orders import Order
from papervenue.market.instruments import CASH_UNIT, Grid

_ZERO = Decimal(0)


@dataclass(slots=True)
class NetPosition(Position):
    """A net position and what it has cost in all: quantity times price times multiplier, negative if it is short.

    `owed` is the funding it has to pay since the last booking up to `since_us`, in currency times microseconds.
    """

    cost: Decimal = _ZERO
    owed: Decimal = _ZERO
    since_us: int = 0


@dataclass(slots=True)
class Margins:
    """The value of a margined account at mark prices, and the margins of its positions, in its currency."""

    cash: Decimal
    unrealized: Decimal
    initial: Decimal
    maintenance: Decimal

    @property
    def equity(self) -> Decimal:
        return self.cash + self.unrealized


@dataclass(slots=True)
class Standing(Margins):
    """The same, and in `ordered` the initial margin if open orders fill at their worst."""

    ordered: Decimal

    @property
    def available(self) -> Decimal:
        """Return what is left for the margin of further positions; never negative."""
        return max(self.equity - self.ordered, _ZERO)


def net_position(account: Account, symbol: str) -> NetPosition | None:
    held = account.positions.get(symbol)
    assert held is None or isinstance(held, NetPosition)
    return held


def net_positions(account: Account) -> list[NetPosition]:
    return [held for held in account.positions.values() if isinstance(held, NetPosition)]


def trade(account: Account, grid: Grid, symbol: str, qty: Decimal, price: int, now_us: int) -> Decimal:
    """Change a net position by a signed quantity at a price in units; return the profit that it realizes."""
    held = net_position(account, symbol)
    account.version += 1
    if held is None:
        account.positions[symbol] = NetPosition(
            symbol, qty, grid.usd(price), cost=grid.notional(qty, price), since_us=now_us
        )
        return _ZERO
    closed = min(abs(qty), abs(held.qty)).copy_sign(qty) if held.qty * qty < 0 else _ZERO
    cost = held.cost if abs(closed) == abs(held.qty) else _part(held.cost, closed, held.qty)
    held.cost += grid.notional(qty - closed, price) - cost
    held.qty += qty
    if held.qty:
        held.average = held.cost / (held.qty * grid.multiplier)
    else:
        del account.positions[symbol]
    return -grid.notional(closed, price) - cost


def _part(cost: Decimal, closed: Decimal, held: Decimal) -> Decimal:
    return (cost * abs(closed) / abs(held)).quantize(CASH_UNIT, ROUND_HALF_EVEN)


def margins(floor: Floor, account: Account) -> Margins:
    unrealized = initial = maintenance = _ZERO
    for held in net_positions(account):
        grid, mark = floor.market.grids[held.symbol], floor.price(held.symbol)
        value = grid.notional(held.qty, mark)
        level = grid.level(abs(held.qty), abs(value))
        unrealized += value - held.cost
        initial += abs(value) * level.initial
        maintenance += maintenance_margin(floor, held.symbol, held.qty)
    return Margins(account.cash, unrealized, initial, maintenance)


def standing(floor: Floor, account: Account) -> Standing:
    now, symbols = margins(floor, account), {*account.positions, *(order.symbol for order in account.open.values())}
    ordered = sum((initial_margin(floor, account, symbol) for symbol in symbols), _ZERO)
    return Standing(now.cash, now.unrealized, now.initial, now.maintenance, ordered)


def initial_margin(
    floor: Floor, account: Account, symbol: str, more: Decimal = _ZERO, *, filled: Decimal = _ZERO
) -> Decimal:
    """Return the initial margin of a symbol if its open orders, and a signed quantity more, fill at their worst.

    `filled` is added to what is held.
    """
    held = account.qty(symbol) + filled
    bought = sum((order.remaining for order in adding(account, symbol, 1)), max(more, _ZERO))
    sold = sum((order.remaining for order in adding(account, symbol, -1)), max(-more, _ZERO))
    worst = max(abs(held + bought), abs(held - sold))
    grid = floor.market.grids[symbol]
    value = grid.notional(worst, floor.price(symbol))
    return value * grid.level(worst, value).initial


def maintenance_margin(floor: Floor, symbol: str, qty: Decimal) -> Decimal:
    """Return the margin that a signed quantity of a symbol has to keep at the mark."""
    grid = floor.market.grids[symbol]
    value = grid.notional(abs(qty), floor.price(symbol))
    return value * grid.level(abs(qty), value).maintenance


def adding(account: Account, symbol: str, side: int) -> Iterator[Order]:
    """Yield the open orders on one side of a symbol that may open or increase a position: of a group only the first."""
    groups = set()
    for order in account.working(symbol, side):
        group = order.request.oca_group
        if order.opens and order.status != "held" and group not in groups:
            groups |= {group} if group else set()
            yield order
