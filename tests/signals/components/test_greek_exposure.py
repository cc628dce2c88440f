"""Greek exposure: short gamma amplifies the flow, long gamma damps it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import known_of
from tradebot.signals.components.greek_exposure import COMPONENT
from tradebot.signals.kinds import greek_exposure
from tradebot.signals.kinds.greek_exposure import GammaFacts


def value(gex: float, scale: float | None, flow: float | None) -> float | None:
    return COMPONENT.value(known_of(greek_exposure.KIND, GammaFacts(gex, scale, 1), flow=flow))


@given(gex=st.floats(-1e9, 1e9), scale=st.none() | st.floats(0, 1e9), flow=st.sampled_from([-0.5, 0.0, 0.5]))
def test_it_is_in_range_and_turns_with_the_direction(gex: float, scale: float | None, flow: float) -> None:
    found = value(gex, scale, flow)
    if found is None:
        assert not scale
    else:
        assert -1 <= found <= 1
        assert value(gex, scale, -flow) == -found


@pytest.mark.parametrize(("gex", "expected"), [(-2.0, 0.5), (2.0, -0.5)])
def test_short_gamma_amplifies_the_flow_and_long_gamma_damps_it(gex: float, expected: float) -> None:
    assert value(gex, 2.0, 0.1) == expected
