"""The fill models beside next-bar and paper, and slippage, by hand and as laws."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tests.kit.pit import Pit
from exchange.tests.test_matching import PRICES, bars, order
from papervenue.engine.matching import FillModel, buy_stop_collar, stop_price
from papervenue.market.bars import Bar
from papervenue.market.spec import CLOSE, MODELS, NEXT_BAR, NEXT_OPEN, PAPER, SPECS

SIDES = st.sampled_from([1, -1])
FIVE = Decimal(5)


@pytest.mark.parametrize(
    ("side", "more", "price"),
    [
        ("buy", {}, "100.0601"),  # 100.01, and five hundredths of a percent of it: 0.050005, rounded up
        ("sell", {}, "99.94"),  # 99.99 less 0.049995, rounded up
        ("buy", {"limit": 102}, "100.0601"),
        ("buy", {"limit": 100.03}, "100.03"),
        ("sell", {"limit": 99.97}, "99.97"),
        ("buy", {"limit": 99.5}, "99.5"),  # the market comes to it
        ("buy", {"stop": 101}, "101.0606"),  # 101.01 and 0.050505
    ],
)
def test_who_takes_the_offer_slips_within_the_limit(side: str, more: dict[str, Any], price: str) -> None:
    pit = Pit({10: ((100.0, 101.0, 99.0, 100.0), 10_000)}, NEXT_BAR._replace(slippage_bps=FIVE))
    order = pit.order(side, 10, **more)
    pit.pass_minutes(1)
    assert order.filled_usd == 10 * Decimal(price)


@pytest.mark.parametrize("model", MODELS)
def test_no_spread_and_no_slippage_give_the_price_itself(model: str) -> None:
    pit = Pit({9: (33.3333, 10_000), 10: (33.3333, 10_000)}, SPECS[model]._replace(quotes="last"))
    order = pit.order("buy", 1)
    pit.pass_minutes(1)
    assert order.filled_usd == Decimal("33.3333")


@given(
    bar=bars(), limit=st.none() | PRICES, side=SIDES, bps=st.decimals(0, 1000, places=2), model=st.sampled_from(MODELS)
)
def test_slippage_is_never_in_favor_and_never_beyond_the_limit(
    bar: Bar, limit: int | None, side: int, bps: Decimal, model: str
) -> None:
    with_it, without = FillModel(SPECS[model]._replace(slippage_bps=bps)), FillModel(SPECS[model])
    for price, same in (
        (with_it.bar_fill_price(order(side, limit), bar), without.bar_fill_price(order(side, limit), bar)),
        (
            with_it.quote_fill_price(order(side, limit), bar.close),
            without.quote_fill_price(order(side, limit), bar.close),
        ),
        (
            stop_price(order(side, limit, stop=bar.open), bar, with_it),
            stop_price(order(side, limit, stop=bar.open), bar, without),
        ),
    ):
        assert (price is None) == (same is None)
        if price is not None and same is not None:
            assert side * price >= side * same or price == 1
            assert limit is None or side * price <= side * limit
            most = same + side * (Decimal(same) * bps / 10_000 + 1)
            assert abs(price - same) <= abs(most - same)
            bounded = limit is not None or price in (1, buy_stop_collar(bar.open) if with_it.collars else None)
            assert bounded or abs(price - same) >= Decimal(same) * bps / 10_000


@given(bar=bars(), limit=st.none() | PRICES, side=SIDES)
def test_next_open_prices_as_next_bar_does(bar: Bar, limit: int | None, side: int) -> None:
    assert FillModel(NEXT_OPEN).bar_fill_price(order(side, limit), bar) == FillModel(NEXT_BAR).bar_fill_price(
        order(side, limit), bar
    )
    room = FillModel(NEXT_OPEN).room(order(side, limit), bar, FIVE)
    marketable = FillModel(NEXT_BAR).quote_fill_price(order(side, limit), bar.open) is not None
    assert room == (Decimal("Infinity") if marketable and bar.volume else FIVE)
    assert {FillModel(spec).room(order(side, limit), bar, FIVE) for spec in (NEXT_BAR, CLOSE, PAPER)} == {FIVE}
