"""The state in an observation: plain numbers, and none where there is nothing to divide by."""

from math import inf, nan

import pytest

from tradebot.signals.features.state import STATE, DecisionState, state_numbers

HELD = DecisionState(-2, 150.0, 100_000.0, 0.03, 39, 0.5, 5)


def test_numbers_of_a_state() -> None:
    assert state_numbers(HELD) == pytest.approx((-2 / 3, 0.15, 0.2, 0.5, 0.5, 0.25))
    assert state_numbers(HELD._replace(bars=400))[3] == 1


@pytest.mark.parametrize("equity", [0.0, -5.0, nan])
def test_without_equity_there_is_no_share_of_it(equity: float) -> None:
    found = state_numbers(HELD._replace(equity=equity))
    assert [value is None for value in found] == [False, True, False, False, False, False]


@pytest.mark.parametrize("broken", [inf, nan])
def test_number_that_is_not_finite_is_absent(broken: float) -> None:
    assert state_numbers(HELD._replace(drawdown=broken, gone=broken))[2:5:2] == (None, None)
    assert [each.number for each in STATE] == [55, 56, 57, 58, 59, 60]
