"""Sweep block: the share of the flow's premium that was traded urgently."""

from decimal import Decimal

import pytest

from tests.builders import alert, known
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.signals.components.sweep_block import COMPONENT

SWEPT = alert(1, has_sweep=True, premium=Decimal(100))
FLOOR = alert(2, has_floor=True, premium=Decimal(200))
PLAIN = alert(3, premium=Decimal(300))
AGAINST = alert(4, Right.PUT, has_sweep=True, premium=Decimal(900))


def value(*alerts: FlowAlert, flow: float | None = 0.5) -> float | None:
    return COMPONENT.value(known(flow=flow)._replace(alerts=alerts))


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [((SWEPT, FLOOR, PLAIN), 0.25), ((PLAIN,), 0.0), ((SWEPT, AGAINST), 0.5), ((PLAIN, AGAINST), 0.0), ((), 0.0)],
)
def test_sweeps_and_floor_trades_in_the_flows_direction_count(alerts: tuple[FlowAlert, ...], expected: float) -> None:
    assert value(*alerts) == expected


@pytest.mark.parametrize("flow", [None, 0.0])
def test_without_a_direction_it_is_absent(flow: float | None) -> None:
    assert value(SWEPT, flow=flow) is None
