"""What failed is tried again less and less often: each wait is twice as long, up to the longest."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.retry_waits import wait_after


def test_each_wait_doubles_up_to_the_longest() -> None:
    assert [wait_after(failures, 0.25, 2.0) for failures in range(1, 6)] == [0.25, 0.5, 1.0, 2.0, 2.0]
    first, longest = timedelta(minutes=10), timedelta(hours=4)
    assert [wait_after(failures, first, longest) // first for failures in range(1, 8)] == [1, 2, 4, 8, 16, 24, 24]


@pytest.mark.parametrize("failures", [21, 1_000, 10**9])
def test_years_of_failures_overflow_nothing(failures: int) -> None:
    assert wait_after(failures, timedelta(seconds=1), timedelta(hours=4)) == timedelta(hours=4)


@given(st.integers(1, 100), st.floats(0.001, 60), st.floats(60, 10_000))
def test_no_wait_is_shorter_than_the_one_before_or_longer_than_the_longest(
    failures: int, first_s: float, longest_s: float
) -> None:
    before, after = (wait_after(count, first_s, longest_s) for count in (failures, failures + 1))
    assert first_s <= before <= after <= longest_s
