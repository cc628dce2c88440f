"""Burst: alerts of one direction that came within five minutes."""

import pytest

from tests.builders import ago, alert, known
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.signals.components.burst import COMPONENT


def alerts(number: int, right: Right = Right.CALL, apart_s: float = 10) -> list[FlowAlert]:
    return [alert(n, right, at=ago(apart_s * n)) for n in range(number)]


def value(*given: FlowAlert, flow: float | None = 0.5) -> float | None:
    return COMPONENT.value(known(flow=flow)._replace(alerts=given))


@pytest.mark.parametrize(("number", "expected"), [(4, 0.0), (5, 0.25), (8, 0.4), (10, 0.5), (25, 0.5)])
def test_five_alerts_are_a_burst_and_ten_count_in_full(number: int, expected: float) -> None:
    assert value(*alerts(number)) == pytest.approx(expected)


def test_alerts_against_the_flow_or_too_far_apart_are_no_burst() -> None:
    assert value(*alerts(4), *alerts(6, Right.PUT)) == 0.0
    assert value(*alerts(5, apart_s=75)) == 0.25
    assert value(*alerts(5, apart_s=75.1)) == 0.0


@pytest.mark.parametrize("flow", [None, 0.0])
def test_without_a_direction_it_is_absent(flow: float | None) -> None:
    assert value(*alerts(10), flow=flow) is None
