"""The state in an observation: plain numbers, and none where there is nothing to divide by."""

from math import inf, nan

import pytest

from tradebot.signals.features.state import DecisionState, state_numbers

HELD = DecisionState(-2, 150.0, 100_000.0, 0.03, 39, 0.5, 5)


def test_numbers_of_a_state_are_absent_without_equity_or_if_they_are_not_finite() -> None:
    assert state_numbers(HELD) == pytest.approx((-2 / 3, 0.15, 0.2, 0.5, 0.5, 0.25))
    assert state_numbers(HELD._replace(bars=400))[3] == 1
    for equity in (0.0, -5.0, nan):
        found = state_numbers(HELD._replace(equity=equity))
        assert [value is None for value in found] == [False, True, False, False, False, False]
    for broken in (inf, nan):
        assert state_numbers(HELD._replace(drawdown=broken, gone=broken))[2:5:2] == (None, None)
