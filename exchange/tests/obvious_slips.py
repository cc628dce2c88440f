"""The words of the obvious model: orders as slips, candles, and what one candle does to one order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import NamedTuple

from papervenue.engine.orders import OrderRequest

ZERO, ONE, CENT = Decimal(0), Decimal(1), Decimal("0.01")
NINE_PLACES = Decimal("1e-9")
MINUTE_US = 60_000_000
GROUPS = ("bracket", "oco", "oto")


class Candle(NamedTuple):
    """One minute of a symbol, in USD and shares."""

    symbol: str
    start_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    regular: bool


class Hours(NamedTuple):
    """One session, with the trading before and after it."""

    pre_us: int
    open_us: int
    close_us: int
    post_us: int


class Halt(NamedTuple):
    """A time in which a symbol does not trade."""

    symbol: str
    begin_us: int
    end_us: int


class Refused(Exception):  # noqa: N818 -- an answer
    """An order that is not taken: the code and a phrase of the message."""

    def __init__(self, code: int, phrase: str) -> None:
        super().__init__(phrase)
        self.code = code
        self.phrase = phrase


@dataclass(eq=False)
class Slip:
    """One order."""

    owner: str
    wish: OrderRequest
    status: str
    opens: bool
    price: Decimal  # at which it holds buying power
    at_market_us: int | None
    qty: Decimal | None
    limit: Decimal | None
    stop: Decimal | None
    mark: Decimal | None = None
    touched: bool = False
    filled: Decimal = ZERO
    spent: Decimal = ZERO
    parent: Slip | None = None
    legs: list[Slip] = field(default_factory=list)
    next: Slip | None = None  # what is on its way to replace it
    before: Slip | None = None  # what it is on its way to replace

    @property
    def open(self) -> bool:
        return self.status not in ("filled", "canceled", "expired", "rejected", "replaced")

    @property
    def working(self) -> bool:
        return self.open and self.at_market_us is not None

    @property
    def live(self) -> str:
        """Return the word for an order at the market that nothing is pending for."""
        return "partially_filled" if self.filled else "new"

    @property
    def side(self) -> int:
        return self.wish.side

    def remaining_shares(self, price: Decimal) -> Decimal:
        """Return the shares that are not filled yet; of dollars, what they buy at a price."""
        if self.qty is not None:
            return self.qty - self.filled
        assert self.wish.notional is not None
        return ((self.wish.notional - self.spent) / price).quantize(NINE_PLACES, ROUND_DOWN)


def left_instead(old: Slip, new: Slip) -> Decimal:
    """Return the shares that an order would have left in the place of another."""
    qty = old.qty if new.wish.qty == old.wish.qty else new.qty
    return max(ZERO, (qty or ZERO) - old.filled)


class Execution(NamedTuple):
    """One fill."""

    at_us: int
    slip: Slip
    qty: Decimal
    price: Decimal


class Holdings:
    """What one account has."""

    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self.shares: dict[str, Decimal] = {}

    def of(self, symbol: str) -> Decimal:
        return self.shares.get(symbol, ZERO)


def dollars(units: int) -> Decimal:
    return Decimal(units) / 10_000


def perhaps(units: int | None) -> Decimal | None:
    return None if units is None else dollars(units)


def ask(price: Decimal) -> Decimal:
    """Return the offer around a price: a basis point above it in whole cents, at least one cent."""
    return (price + half_spread(price)).quantize(CENT, ROUND_CEILING)


def bid(price: Decimal) -> Decimal:
    return max(CENT, (price - half_spread(price)).quantize(CENT, ROUND_FLOOR))


def half_spread(price: Decimal) -> Decimal:
    return max(CENT, (price / 10_000 + CENT / 2).quantize(CENT, ROUND_FLOOR))


def group(slip: Slip) -> list[Slip]:
    first = slip.parent or slip
    return [first, *first.legs]


def other_exits(slip: Slip) -> list[Slip]:
    if slip.wish.order_class not in ("bracket", "oco"):
        return []
    exits = [s for s in group(slip) if s.parent is not None or s.wish.order_class == "oco"]
    return [s for s in exits if s is not slip and s.open] if slip in exits else []


def leg_wishes(wish: OrderRequest) -> Iterable[OrderRequest]:
    exit_side = wish.side if wish.order_class == "oco" else -wish.side
    plain = wish._replace(
        side=exit_side, stop=None, limit=None, take_profit=None, stop_loss=None, client_order_id=None, notional=None
    )
    if wish.take_profit is not None and wish.order_class != "oco":
        yield plain._replace(type="limit", limit=wish.take_profit)
    if wish.stop_loss is not None:
        kind = "stop" if wish.stop_loss.limit is None else "stop_limit"
        yield plain._replace(type=kind, stop=wish.stop_loss.stop, limit=wish.stop_loss.limit)


def collared(stop: Decimal) -> Decimal:
    over = Decimal("1.04") if stop < 50 else Decimal("1.025")
    return (stop * over).quantize(CENT, ROUND_FLOOR)


def trailed(wish: OrderRequest, mark: Decimal) -> Decimal:
    away = dollars(wish.trail_price or 0) if wish.trail_percent is None else mark * wish.trail_percent / 100
    return max(CENT, (mark + wish.side * away).quantize(CENT, ROUND_FLOOR))


def rank(slip: Slip, candle: Candle) -> tuple[int, Decimal]:
    """Market orders first, then by how far beyond the open an order would go; sorting keeps the older first."""
    if slip.limit is None:
        return 0, ZERO
    return 1, (candle.open - slip.limit) * slip.side


def traded_at(slip: Slip, candle: Candle) -> Decimal | None:
    """Return the price at which a candle fills an order, if it does; stops are touched and trailed on the way."""
    around: Callable[[Decimal], Decimal] = ask if slip.side > 0 else bid
    if slip.wish.time_in_force in ("opg", "cls"):
        price = around(candle.open if slip.wish.time_in_force == "opg" else candle.close)
        return price if slip.limit is None or (slip.limit - price) * slip.side >= 0 else None
    if slip.stop is None or slip.touched:
        price = around(candle.open)
        if slip.limit is None:
            return price
        reached = ask(candle.low) <= slip.limit if slip.side > 0 else bid(candle.high) >= slip.limit
        return (min if slip.side > 0 else max)(price, slip.limit) if reached else None
    if candle.high < slip.stop if slip.side > 0 else candle.low > slip.stop:
        if slip.mark is not None:
            slip.mark = min(slip.mark, candle.low) if slip.side > 0 else max(slip.mark, candle.high)
            slip.stop = trailed(slip.wish, slip.mark)
        return None
    slip.touched = True
    price = around(max(slip.stop, candle.open) if slip.side > 0 else min(slip.stop, candle.open))
    return price if slip.limit is None or (slip.limit - price) * slip.side >= 0 else None
