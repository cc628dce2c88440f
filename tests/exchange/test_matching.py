"""The fill model, bar by bar."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradebot.exchange.engine.matching import fill_price, fill_qty, volume_cap
from tradebot.exchange.engine.orders import Order, OrderRequest
from tradebot.exchange.market.bars import Bar, ask, bid, half_spread, tick

PRICES = st.integers(2, 900 * 10_000)


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low, opening, close, high = sorted(draw(st.lists(PRICES, min_size=4, max_size=4)))
    if draw(st.booleans()):
        opening, close = close, opening
    return Bar(0, opening, high, low, close, draw(st.integers(0, 10_000)))


def order(side: int, limit: int | None, qty: str = "10") -> Order:
    kind = "market" if limit is None else "limit"
    request = OrderRequest("AAPL", side, kind, "day", Decimal(qty), None, limit, None, None)
    return Order("id", "client", request, "buy_to_open", 1, "new", 0, 0, 1, 0)


@given(bar=bars(), limit=PRICES, side=st.sampled_from([1, -1]))
def test_a_limit_never_fills_at_a_worse_price_nor_better_than_the_market_gave(bar: Bar, limit: int, side: int) -> None:
    price = fill_price(order(side, limit), bar)
    market = fill_price(order(side, None), bar)
    assert market == (ask(bar.open) if side > 0 else bid(bar.open))
    if price is not None:
        assert side * price == min(side * limit, side * market)
        assert side * price <= side * limit


@given(bar=bars(), limit=PRICES)
def test_a_limit_fills_exactly_when_the_bar_trades_through_it(bar: Bar, limit: int) -> None:
    assert (fill_price(order(1, limit), bar) is not None) == (ask(bar.low) <= limit)
    assert (fill_price(order(-1, limit), bar) is not None) == (bid(bar.high) >= limit)


@given(price=PRICES)
def test_the_quote_surrounds_the_price_on_the_grid_of_ticks(price: int) -> None:
    step = tick(price)
    assert bid(price) % step == ask(price) % step == half_spread(price) % step == 0
    assert 0 < bid(price) <= price < ask(price)
    assert half_spread(price) >= step
    assert abs(half_spread(price) * 10_000 - price) <= max(step * 10_000, price)


@given(volume=st.integers(0, 10_000), qty=st.sampled_from(["0.5", "1", "30", "5000"]))
def test_a_fill_is_within_the_order_and_a_tenth_of_the_volume(volume: int, qty: str) -> None:
    cap = volume_cap(Bar(0, 1, 1, 1, 1, volume))
    filled = fill_qty(order(1, None, qty), 1, cap)
    assert filled == min(Decimal(qty), cap)
    assert cap <= max(Decimal(volume) / 10, Decimal(1))
    assert bool(cap) == bool(volume)
