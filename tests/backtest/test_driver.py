"""A backtest that leaves out what would change nothing ends as one that runs every pass."""

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.drawn import Drawn, days, played

SOAK = hypothesis.settings().max_examples > 1000


@given(days(st.integers(0, 50 if SOAK else 2), 3 if SOAK else 1))
@hypothesis.settings(max_examples=50 if SOAK else 6)
def test_passes_are_left_out_only_if_they_would_change_nothing(drawn: Drawn) -> None:
    assert played(drawn, every_pass=False)[0] == played(drawn, every_pass=True)[0]
