"""The first moment at which the market touches what matters, against a look at every moment."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradebot.lab.driver.price_triggers import (
    FAR,
    PriceBand,
    TriggerPrice,
    ValueBand,
    VisiblePrices,
    first_touch,
    in_us,
)

OPEN = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
SYMBOLS = ("AAPL", "SPY")
MINUTES = 12


class Drawn:
    """A market of drawn prices, one a minute, whose bid and ask are a unit away; a session has `length` minutes."""

    stamp = trade_stamp = next_deed = None
    equity_moves, still = True, False

    def __init__(self, prices: dict[str, list[int]], length: int = MINUTES) -> None:
        self.prices = prices
        self.length = length

    def upcoming_prices(self, symbol: str, after: datetime, until: datetime) -> Iterator[VisiblePrices]:
        for minute in range(1, MINUTES + 1):
            if after < OPEN + timedelta(minutes=minute) <= until:
                yield self.at(symbol, minute)

    def closing(self) -> tuple[Decimal, Mapping[str, Decimal]]:
        raise NotImplementedError

    def only_interest_since(self, stamp: object) -> bool:
        return False

    def next_price(self, after: datetime) -> datetime:
        return after + timedelta(minutes=1)

    def shows(self, symbol: str) -> VisiblePrices:
        return self.at(symbol, 0)

    def close(self, after_us: int) -> int:
        minutes = -(-(after_us - in_us(OPEN)) // 60_000_000)
        return in_us(OPEN + timedelta(minutes=max(-(-minutes // self.length), 1) * self.length))

    def at(self, symbol: str, minute: int) -> VisiblePrices:
        """Return what a symbol shows after some minutes; the market went three units beyond."""
        price, at = self.prices[symbol][minute], OPEN + timedelta(minutes=minute)
        return VisiblePrices(in_us(at), price, price - 1, price + 1, price - 3, price + 3)


PRICES = st.lists(st.integers(90, 110), min_size=MINUTES + 1, max_size=MINUTES + 1)
BANDS = st.builds(PriceBand, st.sampled_from(SYMBOLS), st.booleans(), st.integers(85, 95), st.integers(105, 115))
RESTS = st.builds(TriggerPrice, st.sampled_from(SYMBOLS), st.integers(100, 115), st.just(True)) | st.builds(
    TriggerPrice, st.sampled_from(SYMBOLS), st.integers(85, 100), st.just(False)
)


@given(
    st.fixed_dictionaries(dict.fromkeys(SYMBOLS, PRICES)),
    st.lists(BANDS, max_size=3),
    st.lists(RESTS, max_size=2),
    st.sampled_from(({}, {"AAPL": 3}, {"AAPL": 3, "SPY": -2})),
)
def test_first_touch_is_the_first_minute_beyond_a_limit(
    prices: dict[str, list[int]], bands: list[PriceBand], rests: list[TriggerPrice], shares: dict[str, int]
) -> None:
    market, worth = Drawn(prices), ValueBand(shares, {symbol: prices[symbol][0] for symbol in SYMBOLS}, -1, 310)

    def touched(minute: int) -> bool:
        shown = {symbol: market.at(symbol, minute) for symbol in SYMBOLS}
        left = any(not b.low <= (shown[b.symbol].bid if b.long else shown[b.symbol].ask) <= b.high for b in bands)
        met = any(shown[r.symbol].high >= r.price if r.above else shown[r.symbol].low <= r.price for r in rests)
        return left or met or not -1 < sum(held * shown[symbol].last for symbol, held in shares.items()) <= 310

    end = OPEN + timedelta(minutes=MINUTES)
    expected = next((OPEN + timedelta(minutes=n) for n in range(1, MINUTES + 1) if touched(n)), end)
    found = first_touch(market, bands, rests, worth, OPEN, end)
    if not -1 < worth.now <= 310:
        assert found == OPEN
    else:
        assert found == expected


@given(
    st.lists(st.integers(900, 1100), min_size=MINUTES + 1, max_size=MINUTES + 1),
    st.integers(50, 200),
    st.integers(1, MINUTES),
)
def test_allowed_fall_starts_over_after_each_close(prices: list[int], most: int, length: int) -> None:
    market = Drawn({"AAPL": prices}, length)
    worth = ValueBand({"AAPL": 1}, {"AAPL": prices[0]}, prices[0] - most, later_low=lambda closing: closing - most)
    end = OPEN + timedelta(minutes=MINUTES)

    def touched(minute: int) -> bool:
        close_before = prices[(minute - 1) // length * length]
        return prices[minute] <= close_before - most

    expected = next((OPEN + timedelta(minutes=n) for n in range(1, MINUTES + 1) if touched(n)), end)
    assert first_touch(market, [], [], worth, OPEN, end) == expected


def test_first_touch_is_the_end_without_limits() -> None:
    market = Drawn({symbol: [100] * (MINUTES + 1) for symbol in SYMBOLS})
    end = OPEN + timedelta(minutes=MINUTES)
    wide = PriceBand("AAPL", True, -FAR, FAR)
    assert first_touch(market, [wide], [], ValueBand({"AAPL": 1}, {"AAPL": 100}), OPEN, end) == end
