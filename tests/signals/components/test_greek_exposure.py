"""Greek exposure: short gamma amplifies the flow, long gamma damps it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, known_of
from tradebot.signals.components.greek_exposure import COMPONENT
from tradebot.signals.kinds import greek_exposure
from tradebot.signals.kinds.greek_exposure import GammaFacts


def value(gex: float, scale: float | None, flow: float | None) -> float | None:
    return COMPONENT.value(known_of(greek_exposure.KIND, GammaFacts(gex, scale, 1, DAY), flow=flow))


@given(gex=st.floats(-1e9, 1e9), scale=st.none() | st.floats(0, 1e9), flow=st.sampled_from([-0.5, 0.0, 0.5]))
def test_it_is_in_range_and_turns_with_the_direction(gex: float, scale: float | None, flow: float) -> None:
    found = value(gex, scale, flow)
    if found is None:
        assert not (scale and flow)
    else:
        assert -1 <= found <= 1
        assert value(gex, scale, -flow) == -found


@pytest.mark.parametrize(("gex", "expected"), [(-2.0, 0.05), (2.0, -0.05)])
def test_short_gamma_goes_with_the_flow_and_long_gamma_against_it(gex: float, expected: float) -> None:
    assert value(gex, 2.0, 0.1) == expected


@pytest.mark.parametrize("flow", [None, 0.0])
def test_without_a_direction_of_the_flow_it_is_absent(flow: float | None) -> None:
    assert value(-2.0, 2.0, flow) is None


def test_gamma_of_long_ago_is_absent_data() -> None:
    old, recent = (GammaFacts(-2.0, 2.0, 1, DAY - timedelta(days=days)) for days in (6, 5))
    assert COMPONENT.value(known_of(greek_exposure.KIND, old)) is None
    assert COMPONENT.value(known_of(greek_exposure.KIND, recent)) == 0.5
