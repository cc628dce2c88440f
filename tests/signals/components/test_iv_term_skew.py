"""IV term skew: more volatility expected soon than later is bearish."""

from datetime import timedelta

import pytest

from tests.builders import DAY, known, known_of
from tradebot.signals.components.iv_term_skew import COMPONENT
from tradebot.signals.kinds.term_structure import KIND, TermFacts


def value(near: float | None, far: float | None, days: int = 0) -> float | None:
    return COMPONENT.value(known_of(KIND, TermFacts(near, far, 9, DAY - timedelta(days=days))))


@pytest.mark.parametrize(
    ("near", "far", "expected"), [(0.3, 0.3, 0.0), (0.45, 0.35, -0.5), (0.3, 0.5, 1.0), (0.6, 0.2, -1.0)]
)
def test_it_is_the_slope_from_thirty_to_ninety_days(near: float, far: float, expected: float) -> None:
    assert value(near, far) == pytest.approx(expected)


def test_without_both_ends_of_a_recent_curve_it_is_absent() -> None:
    assert [value(None, 0.3), value(0.3, None), value(0.3, 0.4, days=6), COMPONENT.value(known())] == [None] * 4
    assert value(0.3, 0.4, days=5) is not None
