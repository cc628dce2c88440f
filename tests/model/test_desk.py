"""Shocks of several symbols: how many within a minute are one of the whole market."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW
from tradebot.model.desk import Shock, Shocks


def at(seconds: int, symbol: str) -> Shock:
    return Shock(NOW + timedelta(seconds=seconds), symbol)


@pytest.mark.parametrize(
    ("found", "everywhere"),
    [
        ([at(0, "A"), at(60, "B"), at(30, "C")], 60),
        ([at(0, "A"), at(61, "B"), at(30, "C")], None),
        ([at(0, "A"), at(0, "A"), at(0, "B"), at(0, "B")], None),
        ([at(0, "A"), at(1, "B"), at(2, "C"), at(500, "A"), at(501, "B"), at(502, "C"), at(900, "A")], 502),
    ],
)
def test_three_symbols_within_a_minute_are_a_shock_of_all(found: list[Shock], everywhere: int | None) -> None:
    shocks = Shocks.of(found, "ABC", 3)
    assert shocks.everywhere == (None if everywhere is None else NOW + timedelta(seconds=everywhere))
    assert shocks.last == {shock.symbol: max(one.at for one in found if one.symbol == shock.symbol) for shock in found}
    assert Shocks.of(found, "ABC", None).everywhere is None


drawn = st.lists(st.builds(at, st.integers(0, 300), st.sampled_from("ABCDE")), max_size=12)


@given(drawn, st.permutations(range(12)))
def test_the_order_in_which_shocks_are_found_does_not_matter(found: list[Shock], order: list[int]) -> None:
    shuffled = [found[place] for place in order if place < len(found)]
    assert Shocks.of(shuffled, "", 3) == Shocks.of(found, "", 3)
