"""Toxicity: contracts that trade against the alerts make them count for less."""

import pytest

from tests.builders import ago, known, known_of
from tradebot.signals.components.toxicity import COMPONENT
from tradebot.signals.kinds.net_prem_ticks import KIND, NetPremFacts


def value(bullish: int, bearish: int, flow: float | None, age_s: float = 60) -> float | None:
    return COMPONENT.value(known_of(KIND, NetPremFacts(ago(age_s), 3, 0.0, 0.0, 0.0, bullish, bearish), flow=flow))


@pytest.mark.parametrize(
    ("bullish", "bearish", "flow", "expected"),
    [(300, 100, 0.8, 0.0), (100, 300, 0.8, -0.4), (300, 100, -0.8, 0.4), (100, 300, -0.8, 0.0), (0, 0, 0.8, 0.0)],
)
def test_only_an_imbalance_against_the_flow_counts(bullish: int, bearish: int, flow: float, expected: float) -> None:
    assert value(bullish, bearish, flow) == pytest.approx(expected)


@pytest.mark.parametrize("flow", [None, 0.0])
def test_without_a_direction_of_the_flow_it_is_absent(flow: float | None) -> None:
    assert value(100, 300, flow) is None


def test_without_a_recent_minute_it_is_absent() -> None:
    assert value(100, 300, 0.5, 1801) is None
    assert COMPONENT.value(known()) is None
