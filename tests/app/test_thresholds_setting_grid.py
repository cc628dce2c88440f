"""The numbers that are advised are ones that a person types, and there is one within three percent of any."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.app.thresholds import Scale, format_typed

FRACTION = Scale(whole=False, least=Decimal(0), most=Decimal(1), above=True)
COUNT = Scale(whole=True, least=Decimal(1), most=Decimal(1000))
SECONDS = Scale(whole=True, least=Decimal(0), most=Decimal(2_592_000), above=True)
SCALES = st.sampled_from([FRACTION, COUNT, SECONDS])


@pytest.mark.parametrize(
    ("scale", "number", "below", "above"),
    [
        (FRACTION, "0.0333333", "0.033", "0.034"),
        (FRACTION, "0.2", "0.199", "0.201"),
        (FRACTION, "0.3", "0.299", "0.31"),
        (FRACTION, "1", "0.99", "1"),
        (COUNT, "8", "7", "9"),
        (COUNT, "1", "1", "2"),
        (COUNT, "300", "299", "310"),
        (SECONDS, "3600", "3500", "3700"),
        (SECONDS, "1", "1", "2"),
        (SECONDS, "2592000", "2590000", "2592000"),
        (Scale(whole=False, least=Decimal(0), most=Decimal("0.05")), "0.000000001", "0", "0.00000003"),
    ],
)
def test_neighbors_of_a_number_are_typed_by_a_person(scale: Scale, number: str, below: str, above: str) -> None:
    places = (scale.next_to(Decimal(number), step) for step in (-1, 1))
    at = [scale.at(min(max(place, scale.first), scale.last)) for place in places]
    assert [format_typed(one) for one in at] == [below, above]


@given(SCALES, st.data())
def test_places_are_in_the_order_of_their_numbers(scale: Scale, data: st.DataObject) -> None:
    place = data.draw(st.integers(scale.first, scale.last - 1))
    number, following = scale.at(place), scale.at(place + 1)
    assert scale.least <= number < following <= scale.most
    assert scale.place(number, ROUND_FLOOR) == scale.place(number, ROUND_CEILING) == place
    between = (number + following) / 2
    assert (scale.place(between, ROUND_FLOOR), scale.place(between, ROUND_CEILING)) == (place, place + 1)
    assert len(format_typed(number).replace(".", "").strip("0")) <= 3 or number == scale.most
    assert scale.whole is False or number == int(number)


@given(st.decimals("0.0001", 1, places=9))
def test_a_neighbor_is_within_three_percent_and_a_half(number: Decimal) -> None:
    above = FRACTION.at(FRACTION.place(number, ROUND_CEILING))
    assert number <= above <= number * Decimal("1.034")
