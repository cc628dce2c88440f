"""Term structure: volatility over 30 and 90 days, between the expiries around them."""

from datetime import date, timedelta
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import DAY
from tradebot.signals.kinds.term_structure import KIND


def points(*curve: tuple[int, float]) -> list[tuple[date, int, float]]:
    return [(DAY, days, volatility) for days, volatility in curve]


def test_variance_is_linear_between_expiries() -> None:
    found = KIND.condense(points((20, 0.4), (40, 0.3), (90, 0.2), (200, 0.5)))
    near = sqrt((0.4**2 * 20 + 0.3**2 * 40) / 2 / 30)
    assert (found.near, found.far) == pytest.approx((near, 0.2))
    assert (found.expiries, found.date) == (4, DAY)


@pytest.mark.parametrize("curve", [[(31, 0.4), (89, 0.3)], [(30, 0.4)], [(7, 0.4), (29, 0.3)]])
def test_volatility_is_unknown_beyond_the_first_and_the_last_expiry(curve: list[tuple[int, float]]) -> None:
    found = KIND.condense(points(*curve))
    assert (found.near, found.far) == (None, None)


def test_term_structure_uses_only_the_last_date() -> None:
    old = [(DAY - timedelta(days=1), days, 9.0) for _, days, _ in points((10, 9.0), (100, 9.0))]
    found = KIND.condense([*old, *points((10, 0.2), (100, 0.2))])
    assert (found.near, found.far) == pytest.approx((0.2, 0.2))
    assert (found.expiries, found.date) == (2, DAY)


curves = st.dictionaries(st.integers(0, 400), st.floats(0.01, 5), min_size=1, max_size=9)


@given(curve=curves)
def test_volatility_is_known_exactly_between_the_first_and_the_last_expiry(
    curve: dict[int, float],
) -> None:
    found = KIND.condense(points(*curve.items()))
    for value, days in ((found.near, 30), (found.far, 90)):
        assert (value is not None) == (len(curve) > 1 and min(curve) <= days <= max(curve))
        assert value is None or value > 0
