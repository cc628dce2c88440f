"""What a strategy earned in a session: exactly what its fills and its prices say."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, NOW, books, fill, quote
from tradebot.desk.stakes import day_results
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.values import replace

YESTERDAY = NOW - timedelta(days=1)
fills = st.lists(
    st.tuples(st.sampled_from(["flow", "other"]), st.sampled_from(["AAPL", "MSFT"]), st.sampled_from(Side),
              st.integers(1, 9), st.integers(90, 110)),
    max_size=12,
)  # fmt: skip


def priced(symbol: str, price: int = 100, close: int | None = 95) -> Quote:
    known = None if close is None else Decimal(close)
    return replace(quote(symbol, str(price), str(price)), previous_close=known)


@given(traded=fills, price=st.integers(80, 120))
def test_in_a_day_that_began_flat_the_result_is_the_cash_and_what_is_held(
    traded: list[tuple[str, str, Side, int, int]], price: int
) -> None:
    done = [
        fill(number, symbol, side, str(shares), str(paid), strategy=strategy)
        for number, (strategy, symbol, side, shares, paid) in enumerate(traded)
    ]
    quotes = {symbol: priced(symbol, price) for symbol in ("AAPL", "MSFT")}
    results = day_results(books(*done), quotes, DAY)
    for strategy in ("flow", "other"):
        own = [owned.fill for owned in done if owned.strategy == strategy]
        earned = sum((one.signed_quantity * (price - one.price) for one in own), Decimal(0))
        assert results.get(strategy, Decimal(0)) == earned


def test_what_was_held_overnight_counts_from_the_previous_close_and_what_was_closed_counts_whole() -> None:
    held = fill(1, price="80", at=YESTERDAY)
    short = fill(2, "MSFT", Side.SELL, price="120", at=YESTERDAY)
    before = fill(3, "XOM", price="120", at=YESTERDAY)
    gone = fill(4, "JPM", price="120", at=YESTERDAY), fill(5, "JPM", Side.SELL, price="90", at=YESTERDAY)
    kept = books(held, short, before, *gone, fill(6, "XOM", Side.SELL, price="110"))
    quotes = {symbol: priced(symbol) for symbol in ("AAPL", "MSFT")}
    assert day_results(kept, quotes, DAY) == {"flow": 10 * 5 - 10 * 5 - 10 * 10}


def test_a_position_without_a_price_leaves_the_result_of_its_strategy_unknown() -> None:
    kept = books(fill(1, at=YESTERDAY), fill(2, "MSFT", strategy="other"), fill(3, "XOM"))
    quotes = {"MSFT": priced("MSFT", close=None), "AAPL": priced("AAPL", close=None), "XOM": priced("XOM")}
    assert day_results(kept, quotes, DAY) == {"flow": None, "other": 0}
    assert day_results(kept, {}, DAY) == {"flow": None, "other": None}
