"""Whale persistence: large alerts that keep coming in the flow's direction."""

from decimal import Decimal

import pytest

from tests.builders import ago, alert, known
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.signals.components.whale_persistence import COMPONENT

SMALL = [alert(n, premium=Decimal(100)) for n in range(100, 109)]


def large(minutes: int, right: Right = Right.CALL, usd: int = 300, /, **changes: object) -> FlowAlert:
    return alert(minutes, right, premium=Decimal(usd), **changes)


def value(*alerts: FlowAlert, flow: float | None = 0.5) -> float | None:
    facts = SymbolFacts("AAPL", {"flow_alerts": (*SMALL, *alerts)})
    return COMPONENT.value(known(facts, flow=flow))


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ((large(1), large(20), large(31)), 0.5),
        ((large(1), large(20), large(30)), 0.0),
        ((large(1), large(31)), 0.0),
        ((large(1), large(20), large(31, Right.CALL, 299)), 0.0),
        ((large(1), large(20), large(31), large(40, Right.PUT)), 0.25),
        ((large(1), large(20), large(31), large(40, Right.PUT, 9000)), 0.0),
        ((large(1), large(20), large(31, has_multileg=True)), 0.0),
    ],
)
def test_three_large_alerts_over_half_an_hour_are_needed(alerts: tuple[FlowAlert, ...], expected: float) -> None:
    assert value(*alerts) == expected


def test_it_may_go_down_with_the_flow_too() -> None:
    assert value(*(large(n, Right.PUT) for n in (1, 20, 31)), flow=-0.5) == -0.5


@pytest.mark.parametrize("flow", [None, 0.0])
def test_without_a_direction_it_is_absent(flow: float | None) -> None:
    assert value(large(1), large(20), large(31), flow=flow) is None


def test_an_alert_by_a_clock_ahead_of_ours_does_not_count_yet() -> None:
    assert value(large(1), large(31), large(2, at=ago(-3))) == 0.0
    assert value(large(1), large(31), large(2, at=ago(0))) == 0.5
