"""Decide whether the market fills an order, how much of it, and at what price, under four fill models.

One engine plays all models over minute bars, which are known once their minute is over. Bid and ask are the last price
moved by half the spread on the tick grid (see market.bars.half_spread). Accounts trade only with the market, never with
each other. The dialect sets all other trading costs.

These rules apply to all models, bar by bar, except where a model below differs:

- An order sees only bars that begin when it reaches the market, or later. That is when it was accepted in a
session, at the open if it was accepted outside of one, and for a leg when its entry has filled.
- A market order fills at the bar's open, at the ask or bid around it. A limit order fills if the bar trades through it,
that is, if its low plus (or its high minus) half the spread reaches the limit. It fills at a market order's price or at
its limit, whichever is better for it.
- A stop is elected by a trade at or beyond its price. It then fills as a market order at the stop, or at the open if
that is already beyond it. If it has a limit, it fills only within that, and is a limit order from the next bar on.
- A trailing stop is compared with a bar before that bar's high or low moves it; it trails in the session only.
- All orders of a symbol share a part of a bar's volume (`volume_share`, rounded down, at least one share). Market
orders come first, then orders by how far beyond the open they would pay, and the oldest first among equals. A bar
without volume (such as an index's) shows a price but fills nothing, and neither does a minute without a bar.
- opg orders fill at the ask or bid around the open of the session's first bar, cls orders around the close of its last;
the rest is canceled. Bars outside the session fill only limit orders marked for extended hours.
- A partially filled order waits for later bars; a fok order fills completely or not at all.
- A minute at whose end its symbol is halted fills nothing, and neither does one that ends with the halt.
- An order that takes what the market offers pays slippage on top of half the spread, rounded up to a price unit but
never beyond its limit. So market orders, elected stops and limit orders that are marketable slip; a resting limit order
that the market comes to fills at its limit and doesn't.

`next-bar` adds nothing: even ioc and fok orders see the first whole minute after them, and are canceled at its end.

`next-open` fills an order completely at a bar's open if it is marketable there, whatever the bar's volume, as long as
there is any. Other orders get what that leaves of the volume share, if anything.

`close` fills an order completely at once if it is marketable at the quote around the last price when it reaches the
market, and cancels an ioc or fok order that isn't. Everything else is up to later bars, including opg and cls orders
and those that were accepted while the market was closed.

`paper` behaves like Alpaca's paper accounts. An order that is marketable when it reaches the market fills at once at
the quote, whatever its size (or within `depth_share` of the newest bar's volume), and whatever an ioc or fok order
doesn't get at once is canceled. There are no auctions: once accepted, opg and cls orders are ordinary market and limit
orders until the close. One eligible fill in ten is only partial (`partial_rate`, by a chance that depends on the
exchange's identity); the rest is considered again with the next bar. An elected buy stop becomes a stop-limit order, 4
% above its stop below 50 USD and 2.5 % from there up, as Alpaca protects purchases.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from papervenue.engine.orders import TAKE_PROFIT, Order, OrderRequest, shares_for
from papervenue.market import bars
from papervenue.market.bars import UNITS, Bar, tick, usd
from papervenue.market.spec import FillSpec
from papervenue.market.venue import Grid

UNBOUNDED = Decimal("Infinity")
_ONE = Decimal(1)
_NINE_PLACES = Decimal("1e-9")
_HASH = 2**32
_COLLAR_BELOW_50 = (104, 100)
_COLLAR_FROM_50 = (1025, 1000)
_FIFTY = 50 * UNITS
_PERCENT = 100
_BPS = 10_000

Priority = tuple[int, int]


class FillModel:
    """How orders fill under one fill specification, in whole shares; it holds no state."""

    def __init__(self, spec: FillSpec) -> None:
        self.spec = spec
        self.at_once = spec.model in ("paper", "close")
        self.auctions = spec.model != "paper"
        self.collars = spec.model == "paper"
        self.random_parts = spec.partial_rate > 0
        self._whole_at_open = spec.model == "next-open"
        self._no_spread = spec.quotes == "last"
        self._slippage = (spec.slippage_bps / _BPS).as_integer_ratio()

    def bid(self, price: int, symbol: str = "") -> int:
        return price if self._no_spread else bars.bid(price, self.spec.spread_bps)

    def ask(self, price: int, symbol: str = "") -> int:
        return price if self._no_spread else bars.ask(price, self.spec.spread_bps)

    def around(self, price: int, symbol: str = "") -> tuple[int, int]:
        """Return the best bid and offer around a price, in units."""
        return self.bid(price, symbol), self.ask(price, symbol)

    def far_side(self, order: Order, price: int) -> int:
        """Return the price, in units, that a market order on this order's side gets when the last price is `price`.

        That is the ask for a buy order, and the bid for a sell order.
        """
        request = order.request
        return self.ask(price, request.symbol) if request.side > 0 else self.bid(price, request.symbol)

    def quote_fill_price(self, order: Order, price: int) -> int | None:
        """Return the price at which an order fills against the quote around a price; None if its limit forbids it."""
        offered = self.far_side(order, price)
        return self._taken_price(order, offered) if _is_marketable(order, offered) else None

    def bar_fill_price(self, order: Order, bar: Bar) -> int | None:
        """Return the price at which a bar fills a market or limit order, or None if it doesn't reach the limit."""
        limit, side = order.request.limit, order.side
        if limit is not None and (bar.low > limit if side > 0 else bar.high < limit):
            # Bid and ask lie on either side of the price, so a bar whose range stays away from the limit can't reach
            # it.
            return None
        offered = self.far_side(order, bar.open)
        if limit is None or _is_marketable(order, offered):
            return self._taken_price(order, offered)
        symbol = order.request.symbol
        reached = self.ask(bar.low, symbol) <= limit if side > 0 else self.bid(bar.high, symbol) >= limit
        return limit if reached else None

    def _taken_price(self, order: Order, offered: int) -> int:
        """Return the price at which an order takes an offer: worse by the slippage, but within its limit."""
        part, whole = self._slippage
        slip = -(-offered * part // whole)
        limit = order.request.limit
        if order.side > 0:
            return offered + slip if limit is None else min(limit, offered + slip)
        return max(offered - slip, 1 if limit is None else limit)

    def room(self, order: Order, bar: Bar, remaining: Decimal) -> Decimal:
        """Return how many shares an order may fill from a bar.

        `remaining` is how much of the bar's volume cap earlier orders have left.
        """
        waits = order.stop is not None or order.request.time_in_force == "cls"
        if not self._whole_at_open or not bar.volume or waits:
            return remaining
        return UNBOUNDED if _is_marketable(order, self.far_side(order, bar.open)) else remaining

    def lot(self, symbol: str) -> Decimal:
        """Return the unit to which fills are rounded."""
        return _ONE

    def step(self, price: int, symbol: str) -> int:
        """Return the tick at a price, in units."""
        return tick(price)

    def volume_cap(self, bar: Bar, symbol: str = "") -> Decimal:
        """Return how many shares of a bar all orders of the symbol may fill together."""
        return self._share(bar, self.spec.volume_share, symbol) if bar.volume else Decimal(0)

    def depth(self, newest: Bar | None, symbol: str = "") -> Decimal:
        """Return how many shares are available at the quote after a bar."""
        if self.spec.depth_share is None:
            return UNBOUNDED
        if newest is None or not newest.volume:
            return Decimal(0)
        return self._share(newest, self.spec.depth_share, symbol)

    def _share(self, bar: Bar, share: Decimal | None, symbol: str) -> Decimal:
        return UNBOUNDED if share is None else max(_ONE, (bar.volume * share).to_integral_value(ROUND_DOWN))

    def part(self, qty: Decimal, identity: str, symbol: str = "") -> Decimal:
        """Return how many whole shares of a possible fill execute: all of them, or a random part.

        The fill's `identity`, a hexadecimal number, serves as the random draw.
        """
        if not self.random_parts or qty < 2 or int(identity[:8], 16) >= self.spec.partial_rate * _HASH:
            return qty
        return max(_ONE, Decimal(int(qty) * int(identity[-8:], 16) // _HASH))


class LotModel(FillModel):
    """A fill model for instruments: quotes follow each instrument's ticks, and fills are rounded to its lots.

    A bar's volume counts contracts.
    """

    def __init__(self, spec: FillSpec, grids: Mapping[str, Grid]) -> None:
        super().__init__(spec)
        self._grids = grids
        self.collars = False

    def bid(self, price: int, symbol: str = "") -> int:
        return price if self._no_spread else self._grids[symbol].bid(price, self.spec.spread_bps)

    def step(self, price: int, symbol: str) -> int:
        return self._grids[symbol].tick(price)

    def ask(self, price: int, symbol: str = "") -> int:
        return price if self._no_spread else self._grids[symbol].ask(price, self.spec.spread_bps)

    def lot(self, symbol: str) -> Decimal:
        """Return the unit to which fills are rounded."""
        return self._grids[symbol].lot

    def _share(self, bar: Bar, share: Decimal | None, symbol: str) -> Decimal:
        lot = self.lot(symbol)
        return UNBOUNDED if share is None else max(lot, bar.volume * share // lot * lot)

    def _taken_price(self, order: Order, offered: int) -> int:
        """Return the price at which an order takes an offer: on a tick that is no better for it."""
        side, grid = order.side, self._grids[order.symbol]
        taken, step = super()._taken_price(order, offered), grid.tick(offered)
        return max(step, -(-taken * side // step) * step * side)

    def part(self, qty: Decimal, identity: str, symbol: str = "") -> Decimal:
        """Return how many lots of a possible fill execute: all of them, or a random part."""
        lot = self.lot(symbol)
        return lot * super().part(qty / lot, identity)


def _is_marketable(order: Order, offered: int) -> bool:
    limit = order.request.limit
    return limit is None or (limit - offered) * order.side >= 0


def priority(order: Order, bar: Bar) -> Priority:
    """Return an order's rank among the orders that a bar fills.

    Market orders come first, then limit orders, beginning with those whose limit is farthest through the bar's open.
    """
    limit = order.request.limit
    if limit is None:
        return 0, 0
    return 1, (bar.open - limit) * order.side


def fill_qty(order: Order, price: int, cap: Decimal) -> Decimal:
    """Return the shares to fill at a price: the unfilled quantity of the order, up to a cap."""
    if order.qty is not None:
        return min(order.qty - order.filled_qty, cap)
    return min(shares_for(order.remaining_usd, price), cap)


def is_complete(order: Order, price: int) -> bool:
    """Return True if nothing more of an order can fill at a price."""
    if order.qty is not None:
        return order.filled_qty >= order.qty
    return order.remaining_usd < usd(price) * _NINE_PLACES


def first_stop(request: OrderRequest, last: int | None, step: int | None = None) -> tuple[int | None, int | None]:
    """Return a new order's stop price and, for a trailing stop, its high-water mark (the low-water mark for a buy).

    Each is None if the order doesn't have it.
    """
    if request.type != "trailing_stop" or last is None:
        return request.stop, None
    return trailing_stop(request, last, step), last


def trailing_stop(request: OrderRequest, mark: int, step: int | None = None) -> int:
    """Return a trailing stop's price for a high-water mark (low for a buy), rounded to a step.

    By default, the step is a share's tick.
    """
    if request.trail_price is not None:
        away = Decimal(request.trail_price)
    else:
        assert request.trail_percent is not None
        away = mark * request.trail_percent / _PERCENT
    step = step or tick(mark)
    return max(step, int((mark + request.side * away) / step) * step)


def buy_stop_collar(stop: int) -> int:
    """Return the limit of a triggered buy stop: 4 % above the stop if that is below 50 USD, otherwise 2.5 %."""
    over, under = _COLLAR_BELOW_50 if stop < _FIFTY else _COLLAR_FROM_50
    step = tick(stop)
    return stop * over // under // step * step


def stop_price(order: Order, bar: Bar, model: FillModel, signal: Bar | None = None) -> int | None:
    """Return the price at which a bar fills a stop order; None if it doesn't.

    The prices of `signal`, by default the same bar, trigger the stop. If they don't, they move the price of a trailing
    stop.
    """
    signal = signal or bar
    if order.elected:
        return model.bar_fill_price(order, bar)
    assert order.stop is not None
    rises = rises_to_stop(order)
    touched = signal.high >= order.stop if rises else signal.low <= order.stop
    if not touched:
        if order.hwm is not None:
            _trail(order, signal, model.step(order.hwm, order.request.symbol))
        return None
    order.elected = True
    if model.collars and order.side > 0 and order.request.type == "stop":
        order.request = order.request._replace(type="stop_limit", limit=buy_stop_collar(order.stop))
    # A bar that opens beyond the stop elects it there; otherwise the market passed through the stop itself.
    at = max(order.stop, signal.open) if rises else min(order.stop, signal.open)
    # Trades fill it, which at the end of this minute were that far from the signal.
    return model.quote_fill_price(order, min(max(bar.low, at + bar.close - signal.close), bar.high))


def rises_to_stop(order: Order) -> bool:
    """Return True if the price has to rise to elect an order: a buy stop, or a sale that takes a profit."""
    return (order.side > 0) is not order.request.type.startswith(TAKE_PROFIT)


def _trail(order: Order, bar: Bar, step: int) -> None:
    assert order.hwm is not None
    mark = min(order.hwm, bar.low) if order.side > 0 else max(order.hwm, bar.high)
    if mark != order.hwm:
        order.hwm, order.stop = mark, trailing_stop(order.request, mark, step)
