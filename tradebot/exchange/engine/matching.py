"""The fill model `next-bar-half-spread`: whether, at what price and how much of an order a bar fills.

- An order accepted at t sees only bars that start at or after t.
- A market order fills at the bar's open, moved against it by half the modelled spread: one basis point in
  whole ticks, at least one tick (see market.half_spread).
- A limit order fills if the bar trades through it: its low plus, or its high minus, the half spread reaches
  the limit. It fills at the price of a market order or at its limit, whichever is better for it.
- All orders of a symbol together get at most a tenth of a bar's volume, at least one share, oldest first;
  the rest waits for later bars. A bar without volume (an index, say) shows a price and fills nothing.
- A minute without a bar fills nothing.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from tradebot.exchange.engine.orders import Order
from tradebot.exchange.market.bars import Bar, ask, bid, usd

VOLUME_SHARE = 10
"""Orders may take one share in this many of a bar's volume."""
_NINE_PLACES = Decimal("1e-9")


def fill_price(order: Order, bar: Bar) -> int | None:
    """Return the price, in units, at which a bar fills an order, or None when it does not reach it."""
    limit = order.request.limit
    if order.request.side > 0:
        offered = ask(bar.open)
        if limit is None:
            return offered
        return min(limit, offered) if ask(bar.low) <= limit else None
    wanted = bid(bar.open)
    if limit is None:
        return wanted
    return max(limit, wanted) if bid(bar.high) >= limit else None


def volume_cap(bar: Bar) -> Decimal:
    """Return how many shares of a bar all orders together may take."""
    return Decimal(max(min(1, bar.volume), bar.volume // VOLUME_SHARE))


def fill_qty(order: Order, price: int, cap: Decimal) -> Decimal:
    """Return the shares to fill at a price: what is left of the order, within the bar's cap."""
    if order.request.notional is None:
        return min(order.remaining, cap)
    return min((order.remaining_usd / usd(price)).quantize(_NINE_PLACES, ROUND_DOWN), cap)


def is_complete(order: Order, price: int) -> bool:
    """Say whether nothing of an order is left that could be filled at a price."""
    if order.request.notional is None:
        return order.remaining <= 0
    return order.remaining_usd < usd(price) * _NINE_PLACES
