"""Track net positions and their profit, and compute an account's equity and margins. All amounts are exact.

A position's cost is exact. When a part of the position is closed, the same part of the cost is rounded to the smallest
amount of cash and subtracted. So realized and unrealized profit always add up to the price change.

Positions pay and earn funding, which accrues continuously and is booked on the hour and with each fill. A rate is what
a long position pays per hour, per unit times the multiplier; a short position earns it. Amounts are booked in the
smallest unit of cash, rounded toward zero, and the remainder is carried to the next booking.

A symbol with a maximum leverage has isolated margin: a part of the cash is set apart for its position, and the position
can't lose more than that. The margin begins as the initial margin of the position's cost. Funding is added to it or
taken from it, and so are the profit and the fee of a liquidation. Reducing the position frees the same part of the
margin. The rest of the cash is the collateral that all other positions share.

If the price of an execution is corrected later, the position's cost changes accordingly; if the position is closed,
cash does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from operator import itemgetter

from papervenue.engine.account import Account, Activity, Position
from papervenue.engine.engine_state import EngineState, activity_id, enter
from papervenue.engine.orders import CORRECT, Amendment, Execution, Fill, Order
from papervenue.events import Event
from papervenue.jsontext import plain
from papervenue.market.venue import CASH_UNIT, Grid
from papervenue.refusal import not_found, unprocessable
from papervenue.times import HOUR

_ZERO = Decimal(0)


@dataclass(slots=True)
class NetPosition(Position):
    """A net position and its total cost: quantity times price times multiplier, negative if the position is short.

    `owed` is the unbooked funding up to `since_us`, in currency times microseconds. If its margin is isolated, `margin`
    is the cash that is set apart for it.
    """

    cost: Decimal = _ZERO
    owed: Decimal = _ZERO
    since_us: int = 0
    margin: Decimal = _ZERO


@dataclass(slots=True)
class Margins:
    """The equity behind positions at mark prices, and their margins, in the account's currency."""

    cash: Decimal
    unrealized: Decimal
    initial: Decimal
    maintenance: Decimal

    @property
    def equity(self) -> Decimal:
        return self.cash + self.unrealized


@dataclass(slots=True)
class MarginState(Margins):
    """Equity and margins of a whole account.

    `ordered` is the initial margin if the open orders fill in the least favorable sequence. `free` is by how much the
    shared equity exceeds the initial margin that it has to cover; it is negative if the equity is too small.
    """

    ordered: Decimal
    free: Decimal

    @property
    def available(self) -> Decimal:
        """Return the equity that can serve as margin for further positions; never negative."""
        return max(self.free, _ZERO)


def net_position(account: Account, symbol: str) -> NetPosition | None:
    net_position = account.positions.get(symbol)
    assert net_position is None or isinstance(net_position, NetPosition)
    return net_position


def net_positions(account: Account) -> list[NetPosition]:
    return [position for position in account.positions.values() if isinstance(position, NetPosition)]


def sharing(account: Account, alone: str = "") -> list[NetPosition]:
    """Return the positions that share their collateral or, if `alone` names a symbol, only its isolated position."""
    return [
        each for each in net_positions(account) if (each.symbol if each.symbol in account.leverages else "") == alone
    ]


def collateral(account: Account, alone: str = "") -> Decimal:
    """Return the cash behind the positions that share it or, with `alone`, what is set apart for that symbol."""
    set_apart = sum((each.margin for each in net_positions(account) if alone in ("", each.symbol)), _ZERO)
    return set_apart if alone else account.cash - set_apart


def trade(account: Account, grid: Grid, symbol: str, qty: Decimal, price: int, now_us: int) -> Decimal:
    """Change a net position by a signed quantity at a price in units; return the profit that it realizes."""
    position = net_position(account, symbol)
    account.version += 1
    if position is None:
        account.positions[symbol] = NetPosition(
            symbol, qty, grid.usd(price), cost=grid.notional(qty, price), since_us=now_us
        )
        return _ZERO
    closed = min(abs(qty), abs(position.qty)).copy_sign(qty) if position.qty * qty < 0 else _ZERO
    cost = position.cost if abs(closed) == abs(position.qty) else _part(position.cost, closed, position.qty)
    position.cost += grid.notional(qty - closed, price) - cost
    position.qty += qty
    if position.qty:
        position.average = position.cost / (position.qty * grid.multiplier)
    else:
        del account.positions[symbol]
    return -grid.notional(closed, price) - cost


def _part(cost: Decimal, closed: Decimal, held_quantity: Decimal) -> Decimal:
    return (cost * abs(closed) / abs(held_quantity)).quantize(CASH_UNIT, ROUND_HALF_EVEN)


def isolate(account: Account, grid: Grid, qty: Decimal = _ZERO, cost: Decimal = _ZERO) -> None:
    """Set margin apart for a symbol's position after it changed, if the margin is isolated.

    `qty` (signed) and `cost` are those that the position had before.
    """
    position = net_position(account, grid.instrument.symbol)
    if position is None or position.symbol not in account.leverages:
        return
    if position.qty * qty <= 0:
        position.margin = _initial(account, grid, position.qty, position.cost)
    elif abs(position.qty) < abs(qty):
        position.margin = _part(position.margin, position.qty, qty)
    else:
        before = _initial(account, grid, qty, cost)
        position.margin += _initial(account, grid, position.qty, position.cost) - before


def _initial(account: Account, grid: Grid, qty: Decimal, value: Decimal) -> Decimal:
    """Return the initial margin of a signed quantity and its value, as the margin levels and the leverage demand."""
    size, leverage = abs(value), account.leverages.get(grid.instrument.symbol)
    by_level = size * grid.level(abs(qty), size).initial
    return by_level if leverage is None else max(by_level, (size / leverage).quantize(CASH_UNIT, ROUND_HALF_EVEN))


def margins(floor: EngineState, account: Account, alone: str = "") -> Margins:
    """Return the equity and margins of the positions that share collateral; with `alone`, of that isolated position."""
    unrealized = initial = maintenance = _ZERO
    for position in sharing(account, alone):
        grid, mark = floor.market.grids[position.symbol], mark_of(floor, position.symbol)
        value = grid.notional(position.qty, mark)
        unrealized += value - position.cost
        initial += _initial(account, grid, position.qty, value)
        maintenance += maintenance_margin(floor, position.symbol, position.qty)
    return Margins(collateral(account, alone), unrealized, initial, maintenance)


def equity_and_margins(floor: EngineState, account: Account) -> MarginState:
    now, symbols = margins(floor, account), {*account.positions, *(order.symbol for order in account.open.values())}
    ordered = sum((initial_margin(floor, account, symbol) for symbol in symbols), _ZERO)
    parts = [now, *(margins(floor, account, alone) for alone in account.leverages)]
    # What isolated positions need is set apart already.
    free = now.equity - ordered + sum((part.initial for part in parts[1:]), _ZERO)
    cash, unrealized, initial, maintenance = (
        sum((getattr(part, name) for part in parts), _ZERO) for name in ("cash", "unrealized", "initial", "maintenance")
    )
    return MarginState(cash, unrealized, initial, maintenance, ordered, free)


def initial_margin(
    floor: EngineState, account: Account, symbol: str, more: Decimal = _ZERO, *, filled: Decimal = _ZERO
) -> Decimal:
    """Return a symbol's initial margin if its open orders fill in the least favorable sequence.

    A signed quantity `more` counts as another order, and `filled` is added to the position.
    """
    held_quantity = account.qty(symbol) + filled
    bought = sum((order.remaining for order in increasing_orders(account, symbol, 1)), max(more, _ZERO))
    sold = sum((order.remaining for order in increasing_orders(account, symbol, -1)), max(-more, _ZERO))
    worst = max(abs(held_quantity + bought), abs(held_quantity - sold))
    grid = floor.market.grids[symbol]
    return _initial(account, grid, worst, grid.notional(worst, mark_of(floor, symbol)))


def maintenance_margin(floor: EngineState, symbol: str, qty: Decimal) -> Decimal:
    """Return the maintenance margin for a signed quantity of a symbol at its mark price."""
    grid = floor.market.grids[symbol]
    value = grid.notional(abs(qty), mark_of(floor, symbol))
    return value * grid.level(abs(qty), value).maintenance


def increasing_orders(account: Account, symbol: str, side: int) -> Iterator[Order]:
    """Yield the open orders on one side of a symbol that may increase a position; of each group, only the first."""
    groups = set()
    for order in account.working(symbol, side):
        group = order.request.oca_group
        if order.opens and order.status != "held" and group not in groups:
            groups |= {group} if group else set()
            yield order


FUNDING = "FUNDING"


def rate_of(floor: EngineState, symbol: str) -> Decimal:
    """Return a symbol's current funding rate."""
    changes = floor.funding_changes.get(symbol)
    return changes[-1][1] if changes else floor.market.grids[symbol].instrument.funding


def rate_at(floor: EngineState, symbol: str, at_us: int) -> Decimal:
    """Return the funding rate that was in force for a symbol just before a moment."""
    changes = floor.funding_changes.get(symbol, ())
    index = bisect_left(changes, at_us, key=itemgetter(0))
    return changes[index - 1][1] if index else floor.market.grids[symbol].instrument.funding


def set_rate(floor: EngineState, symbol: str, rate: Decimal) -> None:
    """Change the funding rate of a symbol from now on."""
    for account in floor.accounts.values():
        position = net_position(account, symbol)
        if position is not None:
            position.owed, position.since_us = _accrued_funding(floor, position), floor.now_us
    floor.funding_changes.setdefault(symbol, []).append((floor.now_us, rate))
    floor.emit(Event(floor.now_us, "funding_rate_set", {"symbol": symbol, "rate": plain(rate)}))


def funding_due(floor: EngineState, net_position: NetPosition) -> Decimal:
    """Return the funding that a position owes and that isn't booked yet."""
    return (_accrued_funding(floor, net_position) / HOUR).quantize(CASH_UNIT, ROUND_DOWN)


def book(floor: EngineState, account: Account, symbol: str) -> None:
    """Book the funding that a position has accrued up to now."""
    position = net_position(account, symbol)
    if position is None:
        return
    amount = funding_due(floor, position)
    position.owed, position.since_us = _accrued_funding(floor, position) - amount * HOUR, floor.now_us
    if amount:
        position.margin -= amount if symbol in account.leverages else 0
        enter(floor, account, Activity(FUNDING, None, symbol, "funding", net_amount=-amount))


def book_all(floor: EngineState) -> None:
    """Book the funding of all positions on the hour."""
    for account in floor.accounts.values():
        for position in net_positions(account):
            book(floor, account, position.symbol)
    take_recorded_rates(floor)
    note_next(floor)


def begin_recorded_rates(floor: EngineState) -> None:
    """Apply the recorded funding rates of the first hour, before anything is logged."""
    for symbol, rate in _recorded_rates(floor):
        floor.funding_changes[symbol] = [(floor.now_us, rate)]


def take_recorded_rates(floor: EngineState) -> None:
    """Apply the recorded funding rates of this hour."""
    for symbol, rate in _recorded_rates(floor):
        if rate != rate_of(floor, symbol):
            set_rate(floor, symbol, rate)


def _recorded_rates(floor: EngineState) -> Iterator[tuple[str, Decimal]]:
    """Yield the recorded funding rate of this hour of each symbol that has any; an hour without one has 0."""
    begun_us = floor.now_us // HOUR * HOUR
    for symbol, rates in floor.market.funding_rates.items():
        index = bisect_left(rates, begun_us, key=itemgetter(0))
        yield symbol, rates[index][1] if index < len(rates) and rates[index][0] == begun_us else Decimal(0)


def mark_of(floor: EngineState, symbol: str) -> int:
    """Return the mark price, in units, of a symbol that has a price."""
    return floor.market.mark(symbol, floor.price(symbol), floor.now_us)


def note_next(floor: EngineState) -> None:
    floor.agenda.note((floor.now_us // HOUR + 1) * HOUR, "book_funding")


def _accrued_funding(floor: EngineState, position: NetPosition) -> Decimal:
    """Return what a position owes since the last booking, in currency times microseconds."""
    multiplier = floor.market.grids[position.symbol].multiplier
    return position.owed + position.qty * multiplier * rate_of(floor, position.symbol) * (
        floor.now_us - position.since_us
    )


def correct_execution(floor: EngineState, account: Account, name: str, price: int) -> Amendment:
    """Correct the price, in units, of a fill or of its last correction; raise a Refusal if that isn't possible."""
    execution = _current_execution(account, name)
    if price == execution.price or price <= 0 or price % floor.market.grids[execution.order.symbol].tick(price):
        raise unprocessable("a corrected price is another one, and on a tick")
    order, grid = execution.order, floor.market.grids[execution.order.symbol]
    more = order.side * (grid.notional(execution.qty, price) - grid.notional(execution.qty, execution.price))
    position = net_position(account, order.symbol)
    order.filled_usd += execution.qty * (grid.usd(price) - grid.usd(execution.price))
    order.updated_us = floor.now_us
    account.version += 1
    if position is not None and position.qty * order.side > 0:
        position.cost += more
        position.average = position.cost / (position.qty * grid.multiplier)
        more = _ZERO
    account.cash -= more
    settled = Amendment(
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
    account.activities.append(settled)
    floor.tell_execution(settled, account)
    return settled


def symbol_of_execution(account: Account, name: str) -> str:
    """Return the symbol of an execution; raise a Refusal if there is no such execution."""
    return _current_execution(account, name).order.symbol


def correct_by_a_tick(floor: EngineState, number: str, name: str) -> None:
    """Correct a fill by one tick to the account's disadvantage; do nothing if the account no longer exists."""
    account = floor.accounts.get(number)
    if account is not None:
        execution = _current_execution(account, name)
        tick = floor.market.grids[execution.order.symbol].tick(execution.price)
        correct_execution(floor, account, name, execution.price + execution.order.side * tick)


def _current_execution(account: Account, name: str) -> Execution:
    """Return the last state of the execution that has this id or part of an id."""
    last: Execution | None = None
    for entry in account.activities:
        if isinstance(entry, Fill | Amendment) and name in (entry.fill.id, entry.fill.execution_id, entry.id):
            last = entry
    if last is None:
        raise not_found(f"execution not found for {name[:80]}")
    return last
