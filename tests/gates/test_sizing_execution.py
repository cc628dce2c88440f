"""The prices of passive entries: inside the spread, ever closer to the other side, and never past the collar."""

from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import LIMITS, NOW, ago, ask, book, candidate, listing, quote
from tradebot.gates.sizing import (
    entry_price,
    entry_size,
    last_step_due,
    liquidity,
    marketable_limit,
    passive_price,
    quote_to_step_by,
    stepped_price,
)
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.decision import Verdict
from tradebot.model.order import MARKETABLE, Execution, Style
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

AAPL = listing("AAPL")
CENT, OFFSET = Decimal("0.01"), Decimal("0.002")
PASSIVE = Execution(Style.PASSIVE, patience_s=60, steps=3)
SIDES = st.sampled_from(Side)


def spread(bid: Decimal, width: Decimal) -> Quote:
    return replace(quote(), bid=bid, ask=bid + width)


@st.composite
def quotes(draw: st.DrawFn, low: str = "0.01") -> Quote:
    """Draw a quote on the tick; the spread may be locked."""
    bid = draw(st.decimals(Decimal(low), 900, places=2))
    return spread(bid, draw(st.sampled_from([Decimal(0), CENT, 2 * CENT, Decimal("0.37"), Decimal(5)])))


def rests(side: Side, price: Decimal, seen: Quote) -> bool:
    return price < seen.ask if side is Side.BUY else price > seen.bid


def on_tick(price: Decimal) -> bool:
    return price > 0 and price % AAPL.tick_at(price) == 0


@given(SIDES, quotes(), st.decimals(0, 1))
def test_a_passive_price_is_on_the_tick_and_never_crosses_the_spread(side: Side, seen: Quote, share: Decimal) -> None:
    price = passive_price(AAPL, side, seen, share)
    assert on_tick(price)
    assert rests(side, price, seen)


@given(SIDES, quotes(low="2"), st.decimals(0, 1))
def test_a_sale_is_priced_as_the_mirror_image_of_a_purchase(side: Side, seen: Quote, share: Decimal) -> None:
    axis = Decimal(2000)
    mirrored = replace(seen, bid=axis - seen.ask, ask=axis - seen.bid)
    other = Side.SELL if side is Side.BUY else Side.BUY
    assert passive_price(AAPL, side, seen, share) == axis - passive_price(AAPL, other, mirrored, share)


class Walk(NamedTuple):
    """A passive entry, and the quotes that it meets with the seconds before each."""

    side: Side
    first: Quote
    later: list[tuple[int, Quote]]


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    moments = st.lists(st.tuples(st.integers(1, 200), quotes(low="1.5")), max_size=8)
    return Walk(draw(SIDES), draw(quotes(low="1.5")), draw(moments))


@given(walks(), st.integers(0, 5))
def test_whatever_the_market_does_a_passive_entry_moves_one_way_and_stops_at_its_collar(walk: Walk, steps: int) -> None:
    execution, side = replace(PASSIVE, steps=steps), walk.side
    collar = marketable_limit(AAPL, side, walk.first, OFFSET)
    first = entry_price(AAPL, side, walk.first, collar, execution)
    assert first is not None
    price, waited_s = first, 0
    for seconds, seen in walk.later:
        waited_s += seconds
        before = price
        price = stepped_price(
            AAPL, side, seen, execution, waited_s, previous=before, collar=collar, offset=OFFSET
        )  # fmt: skip
        assert on_tick(price)
        assert (price - before) * side.sign >= 0
        assert (collar - price) * side.sign >= 0
        # Only what was there before may lie past the other side, and what comes after the last step.
        assert rests(side, price, seen) or price == before or last_step_due(execution, waited_s)


@given(SIDES, quotes(low="1.5"))
def test_in_a_market_that_stands_still_the_last_step_is_the_marketable_limit(side: Side, seen: Quote) -> None:
    collar = marketable_limit(AAPL, side, seen, OFFSET)
    near = passive_price(AAPL, side, seen, Decimal(0))
    prices = [
        stepped_price(AAPL, side, seen, PASSIVE, waited_s, previous=near, collar=collar, offset=OFFSET)
        for waited_s in (0, 59, 60, 120, 180, 239, 240, 9000)
    ]
    assert (prices[0], prices[1]) == (near, near)
    assert prices == sorted(prices, reverse=side is Side.SELL)
    assert (prices[-1], prices[-2]) == (collar, collar)
    assert prices[-3] == prices[-4] != collar


def test_the_steps_divide_the_spread_evenly() -> None:
    seen = quote(bid="99.60", ask="100.00")
    bought = [
        stepped_price(
            AAPL, Side.BUY, seen, PASSIVE, waited_s, previous=Decimal(1), collar=Decimal("100.20"), offset=OFFSET
        )
        for waited_s in (0, 60, 120, 180, 240)
    ]
    assert list(map(str, bought)) == ["99.60", "99.70", "99.80", "99.90", "100.20"]


@pytest.mark.parametrize(
    ("style", "price"),
    [(Style.MARKETABLE, "100.20"), (Style.PASSIVE, "99.98"), (Style.MARKET, None)],
)
def test_each_style_has_a_first_price_of_its_own(style: Style, price: str | None) -> None:
    found = entry_price(AAPL, Side.BUY, quote(), Decimal("100.20"), replace(MARKETABLE, style=style))
    assert found == (None if price is None else Decimal(price))


@given(SIDES, st.integers(1, 500), st.integers(1, 500), st.decimals("0.1", 3, places=1))
def test_an_entry_takes_at_most_its_share_of_what_the_other_side_shows(
    side: Side, quantity: int, shown: int, share: Decimal
) -> None:
    far, near = Decimal(shown), Decimal(10_000)
    seen = (
        replace(quote(), ask_size=far, bid_size=near)
        if side is Side.BUY
        else replace(quote(), ask_size=near, bid_size=far)
    )
    (decision,) = liquidity(side, seen, Decimal(quantity), replace(MARKETABLE, max_quote_share=share))
    assert (decision.passed, decision.observed, decision.limit) == (quantity <= share * shown, quantity, share * shown)


def test_sizes_that_no_one_shows_refuse_only_whoever_asks_for_them() -> None:
    assert liquidity(Side.BUY, quote(), Decimal(10), MARKETABLE) == ()
    (decision,) = liquidity(Side.BUY, quote(), Decimal(10), replace(MARKETABLE, max_quote_share=Decimal(9)))
    assert (decision.verdict, decision.reason) == (Verdict.UNKNOWN, Reason.QUOTE_TOO_THIN)


@pytest.mark.parametrize(
    ("seen", "good"),
    [
        (quote(), True),
        (quote(at=ago(LIMITS.max_quote_age_s + 1)), False),
        (quote(at=ago(-LIMITS.max_clock_skew_s - 1)), False),
        (quote(bid="99.00", ask="101.00"), False),
        (None, False),
    ],
)
def test_a_step_needs_a_fresh_quote_with_a_narrow_spread(seen: Quote | None, good: bool) -> None:
    assert (quote_to_step_by(seen, NOW, LIMITS) is not None) is good


@pytest.mark.parametrize("side", Side)
def test_a_short_ties_up_more_than_the_ask_and_a_long_its_limit(side: Side) -> None:
    reserve = Decimal("1.5")
    size = entry_size(candidate(side=side), AAPL, quote(), book(), ask().limits, reserve)
    price = size.limit_price if side is Side.BUY else max(size.limit_price, quote().ask * reserve)
    assert size.margin_usd == size.quantity * price
