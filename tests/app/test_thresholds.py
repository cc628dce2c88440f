"""Which settings of a configuration are a question's thresholds, and how far each may go.

The numbers that are advised are ones that a person types, and there is one within three percent of any.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.app.settings import Settings, load
from tradebot.app.thresholds import Scale, ThresholdQuestion, format_typed, setting_at, settings_read_by
from tradebot.model.decision import Gate


def settings(**own: Any) -> Settings:
    return load(None, {}, own or None).settings


def keys(gate: Gate, **own: Any) -> list[str]:
    return [one.key for one in settings_read_by(settings(**own), "flow", ThresholdQuestion(gate), {})]


def test_limits_in_force_follow_from_the_strategys_and_the_accounts() -> None:
    assert keys(Gate.SCORE) == ["strategies.flow.limits.min_score", "limits.min_score"]
    assert keys(Gate.OPEN_POSITIONS) == ["limits.max_open_positions"]
    assert keys(Gate.POSITIONED) == []
    # Without an own limit on themes, the strategy's has to fit into its own gross limit.
    themes = keys(Gate.OWN_THEME_NOTIONAL, limits={"max_theme_fraction": 0.3})
    assert themes[:2] == ["limits.max_theme_fraction", "strategies.flow.limits.max_gross_fraction"]


def test_only_what_can_help_is_a_threshold_and_in_the_direction_that_can() -> None:
    def ways(gate: Gate, **own: Any) -> dict[str, int]:
        return {one.key: one.toward for one in settings_read_by(settings(**own), "flow", ThresholdQuestion(gate), {})}

    assert ways(Gate.SCORE)["limits.min_score"] == -1
    assert ways(Gate.SIZE)["limits.max_order_notional_usd"] == 1
    assert ways(Gate.BUYING_POWER)["limits.max_order_notional_usd"] == -1
    assert ways(Gate.PRICE_COLLAR)["limits.limit_offset_fraction"] == 0
    fitted = ways(Gate.SIZE, execution={"fit_to_room": True})
    assert fitted["limits.max_symbol_fraction"] == 1


@pytest.mark.parametrize(
    ("path", "first", "last"),
    [
        (("limits", "max_open_positions"), "1", "1000"),
        (("limits", "min_score"), "3.0E-8", "1.00"),
        (("limits", "limit_offset_fraction"), "0", "0.050"),
        (("limits", "cooldown_s"), "1", "2592000"),
        (("limits", "max_beta_fraction"), "3.0E-8", "10.0"),
        (("strategies", "flow", "limits", "max_open_positions"), "1", "1000"),
        (("strategies", "flow", "min_cluster"), "1", "1000"),
    ],
)
def test_ends_are_those_of_the_loader(path: tuple[str, ...], first: str, last: str) -> None:
    found = setting_at(settings(limits={"max_beta_fraction": 1}), path)
    assert found is not None
    ends = found.scale.at(found.scale.first), found.scale.at(found.scale.last)
    assert [str(one) for one in ends] == [first, last]


def test_what_has_no_value_or_is_no_number_is_no_threshold() -> None:
    for path in (("limits", "max_beta_fraction"), ("execution", "room"), ("strategies", "rotation", "limits", "x")):
        assert setting_at(settings(), path) is None


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
    assert scale.index_of(number, ROUND_FLOOR) == scale.index_of(number, ROUND_CEILING) == place
    between = (number + following) / 2
    assert (scale.index_of(between, ROUND_FLOOR), scale.index_of(between, ROUND_CEILING)) == (place, place + 1)
    assert len(format_typed(number).replace(".", "").strip("0")) <= 3 or number == scale.most
    assert scale.whole is False or number == int(number)


@given(st.decimals("0.0001", 1, places=9))
def test_a_neighbor_is_within_three_percent_and_a_half(number: Decimal) -> None:
    above = FRACTION.at(FRACTION.index_of(number, ROUND_CEILING))
    assert number <= above <= number * Decimal("1.034")
