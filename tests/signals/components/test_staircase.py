"""Staircase: premium that rises from each third of the lookback to the next."""

from decimal import Decimal

import pytest

from tests.builders import alert, known
from tradebot.model.instrument import Right
from tradebot.signals.components.staircase import COMPONENT

MINUTES = (25, 15, 5)


def value(*premiums: int, flow: float | None = 0.5, right: Right = Right.CALL) -> float | None:
    """Return the value where each third of half an hour had this premium, oldest first."""
    amounts = zip(MINUTES, map(Decimal, premiums), strict=True)
    alerts = [
        alert(minutes, right, ask_premium=max(usd, Decimal(0)), bid_premium=max(-usd, Decimal(0)))
        for minutes, usd in amounts
    ]
    return COMPONENT.value(known(flow=flow)._replace(alerts=alerts))


@pytest.mark.parametrize(
    ("premiums", "expected"),
    [((10, 20, 50), 0.25), ((10, 20, 20), 0.0), ((20, 10, 50), 0.0), ((0, 20, 50), 0.0), ((-5, 20, 50), 0.0)],
)
def test_only_premium_that_rises_twice_counts(premiums: tuple[int, int, int], expected: float) -> None:
    assert value(*premiums) == expected


def test_it_rises_in_the_direction_of_the_flow() -> None:
    assert value(10, 20, 50, flow=-0.5, right=Right.PUT) == -0.25
    assert value(10, 20, 50, flow=-0.5) == 0.0


@pytest.mark.parametrize("flow", [None, 0.0])
def test_without_a_direction_it_is_absent(flow: float | None) -> None:
    assert value(10, 20, 50, flow=flow) is None
