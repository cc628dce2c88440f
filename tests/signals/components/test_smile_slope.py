"""Smile slope: puts that are dearer than usual are bearish."""

from datetime import timedelta

import pytest

from tests.builders import DAY, known, known_of
from tradebot.signals.components.smile_slope import COMPONENT
from tradebot.signals.kinds.risk_reversal import KIND, SkewFacts

USUAL = SkewFacts(0.06, 0.04, 0.02, 20, DAY)


def value(skew: SkewFacts) -> float | None:
    return COMPONENT.value(known_of(KIND, skew))


@pytest.mark.parametrize(("skew", "expected"), [(0.06, -0.5), (0.03, 0.25), (0.04, 0.0), (0.9, -1.0), (-0.9, 1.0)])
def test_it_is_how_far_puts_are_from_their_usual_price(skew: float, expected: float) -> None:
    assert value(USUAL._replace(skew=skew)) == pytest.approx(expected)


def test_a_skew_that_never_moved_says_nothing() -> None:
    assert value(USUAL._replace(spread=0.0)) == 0.0


def test_a_few_sessions_do_not_show_what_is_usual() -> None:
    assert value(USUAL._replace(sessions=4)) is None
    assert value(USUAL._replace(sessions=5)) is not None
    assert value(SkewFacts(0.06, None, None, 0, DAY)) is None
    assert COMPONENT.value(known()) is None


def test_a_skew_of_long_ago_is_absent_data() -> None:
    assert value(USUAL._replace(date=DAY - timedelta(days=5))) is not None
    assert value(USUAL._replace(date=DAY - timedelta(days=6))) is None
