"""Trades and quotes are a model of a bar, and give exactly that bar back."""

from bisect import bisect_right

from hypothesis import given, settings
from hypothesis import strategies as st

from papervenue.market.bars import Bar, Day, ask, bid
from papervenue.market.ticks import Totals, last_quote, last_trade, quotes, trade_count, trades, turnover
from papervenue.times import MINUTE, parse_time

START = parse_time("2025-03-03T14:30:00Z")
PRICES = st.integers(1, 10**7) | st.integers(1, 10**5).map(lambda cents: cents * 100)


@st.composite
def bars(draw: st.DrawFn, fewest_shares: int = 0) -> Bar:
    low, one, other, high = sorted(draw(st.tuples(PRICES, PRICES, PRICES, PRICES)))
    opening, close = draw(st.permutations([one, other]))
    volume = draw(st.integers(fewest_shares, 20) | st.integers(fewest_shares, 10**9))
    return Bar(START, opening, high, low, close, volume)


@given(bar=bars())
@settings(max_examples=100)
def test_the_trades_of_a_bar_give_it_back_each_at_its_own_time_under_its_own_number(bar: Bar) -> None:
    trade_list = trades(bar)
    prices, times = [trade.price for trade in trade_list], [trade.at_us for trade in trade_list]
    assert Bar(START, prices[0], max(prices), min(prices), prices[-1], sum(t.size for t in trade_list)) == bar
    assert len(trade_list) == trade_count(bar)
    assert sum(trade.price * trade.size for trade in trade_list) == turnover(bar)
    assert times == sorted(set(times))
    assert bar.start_us < times[0] <= times[-1] < bar.end_us
    numbers = [trade.number for trade in (*trade_list, *trades(bar._replace(start_us=bar.end_us)))]
    assert numbers == sorted(set(numbers))


@given(bar=bars(fewest_shares=7))
@settings(max_examples=100)
def test_a_bar_with_enough_shares_has_no_trade_of_none(bar: Bar) -> None:
    assert all(trade.size for trade in trades(bar))


@given(bar=bars())
@settings(max_examples=100)
def test_each_trade_is_within_the_quote_that_stands(bar: Bar) -> None:
    standing = quotes(bar, lambda price: (bid(price), ask(price)))
    times = [quote.at_us for quote in standing]
    assert (times, times[-1]) == (sorted(set(times)), bar.end_us)
    for trade in trades(bar):
        quote = standing[bisect_right(times, trade.at_us) - 1]
        assert quote.bid <= trade.price <= quote.ask
        assert quote.bid_size > 0 < quote.ask_size


@given(minute_bars=st.lists(bars(), max_size=5))
@settings(max_examples=30)
def test_running_totals_are_the_sums_over_the_bars(minute_bars: list[Bar]) -> None:
    placed = [bar._replace(start_us=START + index * MINUTE) for index, bar in enumerate(minute_bars)]
    totals = Totals(Day(placed))
    for count in range(len(placed) + 1):
        kept = placed[:count]
        assert totals.until(count) == (sum(map(trade_count, kept)), sum(map(turnover, kept)))


@given(bar=bars())
def test_the_last_trade_and_the_last_quote_alone_are_the_last_of_all(bar: Bar) -> None:
    def around(price: int) -> tuple[int, int]:
        return bid(price), ask(price)

    assert last_trade(bar) == trades(bar)[-1]
    assert last_quote(bar, around) == quotes(bar, around)[-1]


def test_turnover_of_a_session_counts_beyond_64_bits() -> None:
    one = Bar(0, 7_123_455_000, 7_123_455_000, 7_123_455_000, 7_123_455_000, 5_000_000)
    bars = tuple(one._replace(start_us=minute * MINUTE) for minute in range(390))
    assert Totals(Day(bars)).until(390)[1] == 390 * 7_123_455_000 * 5_000_000 > 2**63
