"""The fill models beside next-bar and paper, and slippage, by hand and as laws."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exchange.pit import Pit
from tests.exchange.test_matching import PRICES, bars, order
from tradebot.exchange.engine.matching import FillModel
from tradebot.exchange.engine.stops import stop_price
from tradebot.exchange.market.bars import Bar
from tradebot.exchange.market.fill import CLOSE, MODELS, NEXT_BAR, NEXT_OPEN, OPTIMISM, PAPER, SPECS

SIDES = st.sampled_from([1, -1])
FIVE = Decimal(5)


def test_each_model_says_what_is_optimistic_about_it() -> None:
    assert set(OPTIMISM) == set(SPECS) == set(MODELS)
    assert all(SPECS[model].model == model for model in MODELS)
    assert len(set(OPTIMISM.values())) == len(MODELS)
    page = (Path(__file__).parents[2] / "docs" / "EXCHANGE.md").read_text()
    assert [model for model, said in OPTIMISM.items() if f"| `{model}` | {said} |" not in page] == []


def test_at_the_next_open_the_whole_size_fills_whatever_the_volume() -> None:
    pit = Pit({10: ((100.0, 101.0, 99.0, 100.5), 10_000)}, NEXT_OPEN)
    big, small = pit.order("buy", 1900, limit=101), pit.order("sell", 2, symbol="BBB")
    pit.pass_minutes(1)
    assert pit.heard({"big": big, "small": small})[4:] == ["11 big fill 1900@100.01", "11 small fill 2@99.99"]


def test_what_the_open_does_not_reach_rests_as_in_the_next_bar_model() -> None:
    pit = Pit({10: ((100.0, 100.0, 99.0, 99.5), 10_000), 11: ((99.8, 99.8, 99.0, 99.0), 10_000)}, NEXT_OPEN)
    resting = pit.order("buy", 900, limit=99.5)
    pit.pass_minutes(1)
    assert resting.filled_qty == 900
    more = pit.order("buy", 1050, limit=99.5)
    pit.pass_minutes(1)
    assert more.filled_qty == 1000


def test_a_whole_fill_at_the_open_takes_from_the_share_of_the_others() -> None:
    dips = ((100.0, 100.0, 99.0, 99.5), 1000)
    pit = Pit({10: dips, 11: dips}, NEXT_OPEN)
    market, resting = pit.order("buy", 70), pit.order("buy", 60, limit=99.5)
    pit.pass_minutes(1)
    assert [market.filled_qty, resting.filled_qty] == [70, 30]
    another = pit.order("buy", 150)
    pit.pass_minutes(1)
    assert [another.filled_qty, resting.filled_qty] == [150, 30]


def test_a_bar_without_volume_fills_nothing_at_its_open() -> None:
    pit = Pit({10: (100.0, 0)}, NEXT_OPEN)
    order = pit.order("buy", 10)
    pit.pass_minutes(1)
    assert order.filled_qty == 0
    pit.pass_minutes(1)
    assert order.filled_qty == 10


@pytest.mark.parametrize(("tif", "filled"), [("opg", 1900), ("cls", 1000)])
def test_of_the_auctions_only_the_open_fills_the_whole_size(tif: str, filled: int) -> None:
    pit = Pit(spec=NEXT_OPEN, minute=-20)
    order = pit.order("buy", 1900, limit=101, tif=tif)
    pit.to_minute(390)
    assert order.filled_qty == filled


def test_an_elected_stop_gets_the_share_of_the_bar_that_elects_it() -> None:
    pit = Pit({10: ((100.0, 100.0, 95.0, 95.0), 10_000)}, NEXT_OPEN)
    pit.hold(3000)
    stop = pit.order("sell", 3000, stop=97)
    pit.pass_minutes(1)
    assert stop.filled_qty == 1000


def test_at_the_close_what_is_marketable_fills_at_once_at_the_last_price() -> None:
    pit = Pit({9: ((100.0, 103.0, 99.0, 102.0), 10_000)}, CLOSE)
    bought, sold = pit.order("buy", 1900, limit=102.05), pit.order("sell", 20, symbol="BBB")
    heard = pit.heard({"bought": bought, "sold": sold})
    assert heard == [
        *("10 bought pending_new", "10 bought new", "10 bought fill 1900@102.01"),
        *("10 sold pending_new", "10 sold new", "10 sold fill 20@101.99"),
    ]


def test_at_the_close_the_rest_is_up_to_later_bars() -> None:
    pit = Pit({12: ((99.0, 99.0, 98.0, 98.0), 10_000)}, CLOSE)
    resting, stop = pit.order("buy", 1200, limit=99.5), pit.order("buy", 10, symbol="BBB", stop=101)
    gone = [pit.order("buy", 10, limit=99, tif=tif) for tif in ("ioc", "fok")]
    assert [one.status for one in gone] == ["canceled", "canceled"]
    pit.to_minute(13)
    assert resting.filled_qty == 1000
    assert (stop.status, stop.request.type) == ("new", "stop")


@pytest.mark.parametrize(("tif", "minute", "price"), [("day", 0, 104.01), ("opg", 0, 104.01), ("cls", 389, 107.01)])
def test_at_the_close_an_order_from_before_the_open_waits_for_a_bar(tif: str, minute: int, price: float) -> None:
    pit = Pit({0: (104.0, 10_000), 389: (107.0, 10_000)}, CLOSE, minute=-10)
    order = pit.order("buy", 10, tif=tif)
    assert order.status == "accepted"
    pit.to_minute(minute)
    assert order.filled_qty == 0
    pit.pass_minutes(1)
    assert order.filled_usd == 10 * Decimal(str(price))


def test_at_the_close_an_elected_buy_stop_has_no_limit() -> None:
    pit = Pit({10: ((100.0, 120.0, 100.0, 120.0), 100), 11: (120.0, 10_000)}, CLOSE)
    stop = pit.order("buy", 20, stop=101)
    pit.pass_minutes(2)
    assert stop.filled_usd == 10 * Decimal("101.01") + 10 * Decimal("120.01")


def test_at_the_close_an_order_for_the_closing_auction_never_fills_at_once() -> None:
    pit = Pit({389: (107.0, 10_000)}, CLOSE)
    order = pit.order("buy", 10, tif="cls")
    assert order.status == "new"
    pit.to_minute(390)
    assert order.filled_usd == Decimal("1070.10")


@pytest.mark.parametrize("model", MODELS)
def test_a_halted_symbol_fills_nothing(model: str) -> None:
    pit = Pit(spec=SPECS[model])
    pit.engine.halted = frozenset({"AAA"})
    order = pit.order("buy", 10)
    pit.pass_minutes(2)
    assert order.filled_qty == 0


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
        (with_it.traded(order(side, limit), bar), without.traded(order(side, limit), bar)),
        (with_it.quoted(order(side, limit), bar.close), without.quoted(order(side, limit), bar.close)),
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
            assert limit is not None or price == 1 or abs(price - same) >= Decimal(same) * bps / 10_000


@given(bar=bars(), limit=st.none() | PRICES, side=SIDES)
def test_next_open_prices_as_next_bar_does(bar: Bar, limit: int | None, side: int) -> None:
    assert FillModel(NEXT_OPEN).traded(order(side, limit), bar) == FillModel(NEXT_BAR).traded(order(side, limit), bar)
    room = FillModel(NEXT_OPEN).room(order(side, limit), bar, FIVE)
    marketable = FillModel(NEXT_BAR).quoted(order(side, limit), bar.open) is not None
    assert room == (Decimal("Infinity") if marketable and bar.volume else FIVE)
    assert {FillModel(spec).room(order(side, limit), bar, FIVE) for spec in (NEXT_BAR, CLOSE, PAPER)} == {FIVE}
