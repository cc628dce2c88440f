"""What a trade is expected to cost: the specification's figures, and the laws of funding."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import quote
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.costs import CostModel, round_trip
from tradebot.model.struct_tools import replace

D = Decimal
HOUR_S = 3600
ASSUMED = CostModel(D(5), D(2), D(2), D(10))


def funded(rate: str | None = "0", predicted: str | None = None, mark: str | None = "30000") -> Quote:
    known = [None if text is None else D(text) for text in (rate, predicted, mark)]
    return replace(quote(), funding_rate=known[0], funding_next=known[1], mark=known[2])


@pytest.mark.parametrize(("hours", "bps"), [(6, "16.5"), (36, "29"), (0, "14")])
def test_round_trips_of_the_specification_cost_165_and_29_basis_points(hours: int, bps: str) -> None:
    costs = round_trip(ASSUMED, Side.BUY, funded(), hours * HOUR_S)
    assert costs.total == D(bps) / 10_000
    assert 6 * costs.total == {6: D("0.0099"), 36: D("0.0174")}.get(hours, 6 * D("0.0014"))


def test_an_entry_that_rests_pays_the_makers_fee_and_does_not_slip() -> None:
    assert round_trip(ASSUMED, Side.SELL, funded(), 0, rests=True).total == D("0.0009")


@pytest.mark.parametrize(
    ("side", "rate", "predicted", "daily_bps"),
    [
        (Side.BUY, "0.9", None, "10"),  # 0.00003 an hour are 7.2 basis points a day.
        (Side.BUY, "1.5", None, "12"),
        (Side.BUY, "0.9", "1.5", "12"),
        (Side.BUY, "1.5", "0.9", "12"),
        (Side.BUY, None, "1.5", "12"),
        (Side.SELL, "1.5", "1.5", "10"),
        (Side.SELL, "-1.5", None, "12"),
    ],
)
def test_funding_is_the_assumed_one_or_what_the_venue_asks_of_the_side(
    side: Side, rate: str | None, predicted: str | None, daily_bps: str
) -> None:
    assert round_trip(ASSUMED, side, funded(rate, predicted), 24 * HOUR_S).funding == D(daily_bps) / 10_000


@pytest.mark.parametrize("seen", [funded(None), funded(mark=None), quote()])
def test_what_the_venue_does_not_tell_leaves_the_costs_unknown(seen: Quote) -> None:
    found = round_trip(ASSUMED, Side.BUY, seen, HOUR_S)
    assert (found.funding, found.total) == (None, None)
    assert round_trip(replace(ASSUMED, funding_day_bps=None), Side.BUY, seen).total == D("0.0014")


def test_without_a_hold_of_its_own_the_assumed_one_counts_and_without_either_nobody_knows() -> None:
    assert round_trip(ASSUMED, Side.BUY, funded()).total is None
    held = round_trip(replace(ASSUMED, hold_s=HOUR_S), Side.BUY, funded())
    assert held == round_trip(ASSUMED, Side.BUY, funded(), HOUR_S)


rates = st.decimals("-5", "5", places=2)


@given(
    rate=rates, predicted=rates, held_s=st.integers(1, 10**6), more_s=st.integers(0, 10**6), side=st.sampled_from(Side)
)
def test_longer_holds_never_cost_less_and_sides_mirror(
    rate: Decimal, predicted: Decimal, held_s: int, more_s: int, side: Side
) -> None:
    seen = funded(str(rate), str(predicted))
    short, long = (round_trip(ASSUMED, side, seen, seconds) for seconds in (held_s, held_s + more_s))
    assert short.total is not None
    assert long.total is not None
    assert D("0.0014") < short.total <= long.total
    other = Side.SELL if side is Side.BUY else Side.BUY
    assert round_trip(ASSUMED, other, funded(str(-rate), str(-predicted)), held_s) == short
