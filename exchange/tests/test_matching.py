"""The fill model, bar by bar."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from papervenue.engine.matching import UNBOUNDED, FillModel, fill_qty, priority, stop_price
from papervenue.engine.orders import Order, OrderRequest
from papervenue.market.bars import Bar, ask, bid, half_spread, tick
from papervenue.market.spec import NEXT_BAR, PAPER

PRICES = st.integers(2, 900 * 10_000)
MODEL = FillModel(NEXT_BAR)


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low, opening, close, high = sorted(draw(st.lists(PRICES, min_size=4, max_size=4)))
    if draw(st.booleans()):
        opening, close = close, opening
    return Bar(0, opening, high, low, close, draw(st.integers(0, 10_000)))


def order(side: int, limit: int | None, qty: str = "10", stop: int | None = None) -> Order:
    kind = ("market" if limit is None else "limit") if stop is None else "stop" if limit is None else "stop_limit"
    request = OrderRequest("AAPL", side, kind, "day", Decimal(qty), None, limit, stop=stop)
    return Order("id", "client", request, "buy_to_open", 1, "new", 0, 0, 1, 0, qty=request.qty, stop=stop)


@given(bar=bars(), limit=PRICES, side=st.sampled_from([1, -1]))
def test_a_limit_never_fills_at_a_worse_price_nor_better_than_the_market_gave(bar: Bar, limit: int, side: int) -> None:
    price = MODEL.bar_fill_price(order(side, limit), bar)
    market = MODEL.bar_fill_price(order(side, None), bar)
    assert market == (ask(bar.open) if side > 0 else bid(bar.open))
    if price is not None:
        assert side * price == min(side * limit, side * market)
        assert side * price <= side * limit


@given(bar=bars(), limit=PRICES)
def test_a_limit_fills_exactly_when_the_bar_trades_through_it(bar: Bar, limit: int) -> None:
    assert (MODEL.bar_fill_price(order(1, limit), bar) is not None) == (ask(bar.low) <= limit)
    assert (MODEL.bar_fill_price(order(-1, limit), bar) is not None) == (bid(bar.high) >= limit)


@given(price=PRICES, limit=PRICES, side=st.sampled_from([1, -1]))
def test_the_quote_fills_a_limit_at_the_far_side_or_not_at_all(price: int, limit: int, side: int) -> None:
    offered = ask(price) if side > 0 else bid(price)
    assert MODEL.quote_fill_price(order(side, limit), price) == (offered if side * offered <= side * limit else None)


@given(price=PRICES)
def test_the_quote_surrounds_the_price_on_the_grid_of_ticks(price: int) -> None:
    step = tick(price)
    assert bid(price) % step == ask(price) % step == half_spread(price) % step == 0
    assert 0 < bid(price) <= price < ask(price)
    assert half_spread(price) >= step
    assert abs(half_spread(price) * 10_000 - price) <= max(step * 10_000, price)


@given(price=st.integers(100_000, 9_000_000), spread=st.integers(0, 500))
def test_a_wider_spread_never_makes_the_quote_better(price: int, spread: int) -> None:
    narrow, wide = (FillModel(NEXT_BAR._replace(spread_bps=bps)) for bps in (spread, spread + 100))
    assert wide.ask(price) > narrow.ask(price)
    assert wide.bid(price) < narrow.bid(price)


@given(volume=st.integers(0, 10_000), qty=st.sampled_from(["0.5", "1", "30", "5000"]))
def test_a_fill_is_within_the_order_and_a_tenth_of_the_volume(volume: int, qty: str) -> None:
    cap = MODEL.volume_cap(Bar(0, 1, 1, 1, 1, volume))
    assert fill_qty(order(1, None, qty), 1, cap) == min(Decimal(qty), cap)
    assert cap == (max(1, volume // 10) if volume else 0)


def test_depth_and_volume_are_without_bound_where_the_model_has_none() -> None:
    bar = Bar(0, 1, 1, 1, 1, 55)
    paper, shallow = FillModel(PAPER), FillModel(PAPER._replace(depth_share=Decimal("0.5")))
    assert (paper.volume_cap(bar), paper.depth(bar), paper.depth(None)) == (UNBOUNDED, UNBOUNDED, UNBOUNDED)
    assert shallow.depth(bar) == 27
    assert shallow.depth(None) == paper.volume_cap(bar._replace(volume=0)) == 0


@given(qty=st.integers(0, 10**6), identity=st.text("0123456789abcdef", min_size=8, max_size=8), high=st.booleans())
def test_a_part_is_of_whole_shares_and_less_than_the_whole(qty: int, identity: str, high: bool) -> None:
    chosen = ("ffffffff" if high else "00000000") + identity
    part = FillModel(PAPER).part(Decimal(qty), chosen)
    assert part == qty if high or qty < 2 else 1 <= part < qty
    assert part == part.to_integral_value()


@given(bar=bars(), stop=PRICES, side=st.sampled_from([1, -1]))
def test_a_stop_fills_no_better_than_its_price_and_only_when_it_is_touched(bar: Bar, stop: int, side: int) -> None:
    waiting = order(side, None, stop=stop)
    price = stop_price(waiting, bar, MODEL)
    assert waiting.elected == (price is not None) == (bar.high >= stop if side > 0 else bar.low <= stop)
    if price is not None:
        assert side * price >= side * max(side * stop, side * bar.open) * side
        assert side * price >= side * stop


@given(bar=bars(), stop=PRICES, limit=PRICES, side=st.sampled_from([1, -1]))
def test_a_stop_limit_is_elected_by_its_stop_and_bounded_by_its_limit(
    bar: Bar, stop: int, limit: int, side: int
) -> None:
    waiting = order(side, limit, stop=stop)
    price = stop_price(waiting, bar, MODEL)
    assert price is None or (waiting.elected and side * price <= side * limit)


@given(bar=bars(), first=PRICES, second=PRICES, side=st.sampled_from([1, -1]))
def test_the_better_limit_comes_first_and_a_market_order_before_all(
    bar: Bar, first: int, second: int, side: int
) -> None:
    ranks = [priority(order(side, limit), bar) for limit in (first, second)]
    assert (ranks[0] < ranks[1]) == (side * first > side * second)
    assert all(priority(order(side, None), bar) < rank for rank in ranks)
