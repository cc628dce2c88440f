"""Model one account: cash, positions, orders, and what orders reserve. Amounts are exact, never rounded."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from papervenue.engine.account_lists import History, OrderTable, PastUpdates
from papervenue.engine.orders import Execution, Holding, Order
from papervenue.market.bars import usd
from papervenue.refusal import not_found

MULTIPLIER = 2
"""Regulation T: two dollars of stock for each dollar of equity."""
_INITIAL = Decimal("0.5")
_MAINTENANCE_LONG = Decimal("0.25")
_MAINTENANCE_SHORT = Decimal("0.30")
_ZERO = Decimal(0)
_NOTHING = (_ZERO, _ZERO, _ZERO)

Values = Callable[[str], Decimal]
"""Returns what one unit of a position is worth, in USD."""


@dataclass(slots=True)
class Position:
    """A position in shares, negative if short, and its average entry price in USD.

    It also records how many of the shares were held at the last close.
    """

    symbol: str
    qty: Decimal
    average: Decimal
    overnight: Decimal = _ZERO


class Balances(NamedTuple):
    """An account's value at given prices, in USD. Short positions have negative values."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal

    @property
    def equity(self) -> Decimal:
        return self.cash + self.long_value + self.short_value

    @property
    def initial_margin(self) -> Decimal:
        return (self.long_value - self.short_value) * _INITIAL

    @property
    def maintenance_margin(self) -> Decimal:
        return self.long_value * _MAINTENANCE_LONG - self.short_value * _MAINTENANCE_SHORT

    def buying_power(self, reserved: Decimal, multiplier: int = MULTIPLIER) -> Decimal:
        """Return the equity beyond initial margin, doubled for a margin account, less what open orders reserve.

        With a multiplier of 1, it is the cash less twice the value of short positions and less what open orders
        reserve. It is never negative.
        """
        if multiplier == 1:
            return max(self.cash + self.short_value * 2 - reserved, _ZERO)
        return max((self.equity - self.initial_margin) * multiplier - reserved, _ZERO)


@dataclass(slots=True)
class Configuration:
    """The settings that an account's owner can change; the margin multiplier can't exceed the `granted` one."""

    fractional_trading: bool = True
    max_margin_multiplier: int = MULTIPLIER
    no_shorting: bool = False
    suspend_trade: bool = False
    trade_confirm_email: str = "all"
    ptp_no_exception_entry: bool = False
    max_options_trading_level: int | None = None
    disable_overnight_trading: bool = False
    granted: int = MULTIPLIER

    @property
    def multiplier(self) -> int:
        return min(self.granted, self.max_margin_multiplier)


@dataclass(slots=True)
class Watchlist:
    id: str
    name: str
    symbols: list[str]
    created_us: int
    updated_us: int


class Activity(NamedTuple):
    """A change of an account other than a fill; amounts in USD are positive if they are in the account's favor.

    `kind` and `sub_type` are Alpaca's terms, such as DIV, SPLIT, NC, JNLC or FEE. `qty` is in shares; `price` and
    `per_share` are in USD. An activity gets its id and time when it is booked. For a fee, `about` is the id of the fill
    that caused it.
    """

    kind: str
    sub_type: str | None
    symbol: str | None
    description: str
    qty: Decimal | None = None
    price: Decimal | None = None
    per_share: Decimal | None = None
    net_amount: Decimal = _ZERO
    id: str = ""
    at_us: int = 0
    about: str = ""

    @property
    def moves_shares(self) -> bool:
        """Return True if the activity added or removed shares; a dividend doesn't, although its `qty` is in shares."""
        return self.qty is not None and self.kind != "DIV"


@dataclass(slots=True, eq=False)
class Account:
    """An account with its number, key and secret.

    `orders` has every order by id, oldest first, and `open` the unfinished ones. `activities` and `updates` are in
    order of time; `updates` stays empty if an engine runs without an exchange. `closing` is the account's value at the
    last session's close. `reserved` is the buying power that open orders reserve. `version` counts changes of cash and
    positions. `accrued` is the unposted interest by kind, in USD times 360. `leverages` has the maximum leverage of
    each symbol with isolated margin.
    """

    number: str
    name: str
    key_id: str
    secret: str
    created_us: int
    cash: Decimal
    positions: dict[str, Position] = field(default_factory=dict)
    orders: OrderTable = field(default_factory=OrderTable)
    open: dict[str, Order] = field(default_factory=dict)
    by_client_id: OrderTable = field(default_factory=OrderTable)
    activities: History[Execution | Activity] = field(default_factory=History)
    updates: PastUpdates = field(default_factory=PastUpdates)
    configuration: Configuration = field(default_factory=Configuration)
    watchlists: dict[str, Watchlist] = field(default_factory=dict)
    closing: Balances = field(init=False)
    reserved: Decimal = _ZERO
    version: int = 0
    accrued: dict[str, Decimal] = field(default_factory=dict)
    leverages: dict[str, Decimal] = field(default_factory=dict)
    _working: dict[tuple[str, int], dict[str, Order]] = field(default_factory=dict)
    _claimed: dict[str, Decimal] = field(default_factory=dict)
    _valued: tuple[int, int] = (-1, -1)
    _values: dict[str, Decimal] = field(default_factory=dict)
    _stale: set[str] = field(default_factory=set)
    _long: Decimal = _ZERO
    _short: Decimal = _ZERO
    _kept_back: dict[str, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.closing = Balances(self.cash, _ZERO, _ZERO)

    def qty(self, symbol: str) -> Decimal:
        """Return the number of shares in a symbol, negative if short."""
        position = self.positions.get(symbol)
        return position.qty if position else _ZERO

    def holding(self, symbol: str) -> Holding:
        position = self.positions.get(symbol)
        return (position.qty, position.average, position.overnight) if position else _NOTHING

    def order(self, order_id: str) -> Order:
        """Return an order by its id; raise a 404 Refusal if there is none."""
        order = self.orders.get(order_id)
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def working(self, symbol: str, side: int) -> Collection[Order]:
        """Return the open orders on one side of a symbol, oldest first."""
        return self._working.get((symbol, side), {}).values()

    def claimed_shares(self, symbol: str) -> Decimal:
        """Return the shares of a position that open closing orders have claimed."""
        return self._claimed.get(symbol, _ZERO)

    def kept_back(self, symbol: str) -> Decimal:
        """Return the shares of canceled orders that aren't available to new orders yet."""
        return self._kept_back.get(symbol, _ZERO)

    def keep_back(self, symbol: str, shares: Decimal) -> None:
        """Withhold this many more shares from new orders; a negative number makes shares available again."""
        self._kept_back[symbol] = self.kept_back(symbol) + shares

    def add(self, order: Order) -> None:
        self.orders.add(order.id, order)
        self.by_client_id.add(order.client_order_id, order)
        self.open[order.id] = order
        self._working.setdefault((order.symbol, order.side), {})[order.id] = order
        self.hold(order)

    def to_be_replaced(self, new: Order) -> Order | None:
        """Return the order that `new` is about to replace, or None if `new` isn't a replacement in transit."""
        old = self.orders.get(new.replaces) if new.replaces is not None else None
        return old if old is not None and old.replacement is new else None

    def close(self, order: Order) -> None:
        """Remove a finished order from the open ones, and release what it reserved and claimed."""
        del self.open[order.id]
        del self._working[order.symbol, order.side][order.id]
        self._hold(order, _ZERO, _ZERO)
        if order.replacement is not None:
            # Its replacement is too late now, and will never need anything.
            self._hold(order.replacement, _ZERO, _ZERO)

    def hold(self, order: Order) -> None:
        """Reserve the buying power and claim the shares that an open order needs now.

        While a replacement is in transit, the two orders together reserve only as much as the larger one needs.
        """
        old = self.to_be_replaced(order) or order
        if not old.is_open:
            return
        remaining = old.remaining
        self._hold(old, old.power_for(remaining), _claim(old, remaining))
        new = old.replacement
        if new is not None and new.is_open:
            remaining = old.left_for(new.request)
            more = _ZERO if new.opens or new.request.order_class != "simple" else remaining - old.claimed
            self._hold(new, max(new.power_for(remaining) - old.held_usd, _ZERO), max(more, _ZERO))

    def _hold(self, order: Order, usd_needed: Decimal, shares: Decimal) -> None:
        self.reserved += usd_needed - order.held_usd
        self._claimed[order.symbol] = self.claimed_shares(order.symbol) + shares - order.claimed
        order.held_usd, order.claimed = usd_needed, shares

    def apply(self, symbol: str, signed_qty: Decimal, price: int) -> None:
        """Book one fill: exchange shares for cash and update the average entry price."""
        cost = usd(price)
        self._touch(symbol)
        self.cash -= signed_qty * cost
        self.shift(symbol, signed_qty, cost)

    def shift(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Add shares at a price in USD, or remove them if `qty` is negative.

        If that reverses the position, the price becomes the new position's cost.
        """
        position = self.positions.get(symbol)
        if position is None:
            self.positions[symbol] = Position(symbol, qty, price)
            return
        total = position.qty + qty
        if position.qty * qty > 0:
            position.average = (position.average * position.qty + price * qty) / total
        elif position.qty * total < 0:
            position.average = price
        position.qty = total
        if position.overnight:
            position.overnight = _within(position.overnight, total)
        if not total:
            del self.positions[symbol]

    def close_day(self, worth: Balances) -> None:
        """Record an account's value and shares at a session's close."""
        self.closing = worth
        for position in self.positions.values():
            position.overnight = position.qty

    def _touch(self, symbol: str) -> None:
        """Note that only one position has changed, so that the cached values of the others remain valid."""
        at_us, valued = self._valued
        if valued == self.version:
            self._valued = at_us, valued + 1
        self.version += 1
        self._stale.add(symbol)

    def balances(self, values: Values, at_us: int) -> Balances:
        """Return the account's current value; only what has changed is valued again."""
        if self._valued != (at_us, self.version):
            self._valued = at_us, self.version
            self._values.clear()
            self._stale = set(self.positions)
            self._long = self._short = _ZERO
        while self._stale:
            self._value(self._stale.pop(), values)
        return Balances(self.cash, self._long, self._short)

    def _value(self, symbol: str, values: Values) -> None:
        position, before = self.positions.get(symbol), self._values.pop(symbol, _ZERO)
        now = position.qty * values(symbol) if position else _ZERO
        self._values[symbol] = now
        if before > 0 or now > 0:
            self._long += max(now, _ZERO) - max(before, _ZERO)
        if before < 0 or now < 0:
            self._short += min(now, _ZERO) - min(before, _ZERO)


def _within(shares: Decimal, position: Decimal) -> Decimal:
    """Return the part of a position that remains of an older one: sales close the newest shares first."""
    if shares * position <= 0:
        return _ZERO
    return min(shares, position, key=abs)


def _claim(order: Order, remaining: Decimal) -> Decimal:
    """Return the shares that an order with this many left withholds from other orders.

    The first of two exits claims for both. An exit that waits for its entry claims what the entry has filled so far.
    """
    parent = order.parent
    second = parent is not None and parent.request.order_class != "oto" and order.request.type != "limit"
    if order.opens or second:
        return _ZERO
    return parent.filled_qty if parent is not None and order.status == "held" else remaining
