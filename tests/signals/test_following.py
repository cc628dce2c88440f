"""Following: a share of the flow, and nothing where there is no flow to follow."""

import pytest

from tests.builders import known
from tradebot.signals.following import flow_input, followed


def test_it_is_a_share_of_the_flow() -> None:
    assert followed(known(flow=-0.5), 0.5) == -0.25


def test_no_share_is_a_plain_zero() -> None:
    assert str(followed(known(flow=-0.5), 0.0)) == "0.0"


@pytest.mark.parametrize(("flow", "factor"), [(None, 0.5), (0.0, 0.5), (0.5, None)])
def test_without_a_direction_or_a_factor_it_is_absent(flow: float | None, factor: float | None) -> None:
    assert followed(known(flow=flow), factor) is None


def test_the_flow_is_an_input_if_there_is_one() -> None:
    assert [each.value for each in flow_input(known(flow=0.0))] == [0.0]
    assert list(flow_input(known(flow=None))) == []
