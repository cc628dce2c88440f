"""Freshness: flow fades with the age of its newest alert."""

from math import exp

import pytest

from tests.builders import NOW, ago, alert, known
from tradebot.signals.components.freshness import COMPONENT


@pytest.mark.parametrize(("age_s", "share"), [(0, 1.0), (45 * 60, exp(-1)), (-5, 1.0)])
def test_it_fades_by_the_age_of_the_newest_alert(age_s: int, share: float) -> None:
    alerts = (alert(1, at=ago(3000)), alert(2, at=ago(age_s)))
    for flow in (0.5, -0.5):
        assert COMPONENT.value(known(flow=flow)._replace(alerts=alerts)) == pytest.approx(flow * share)


def test_without_an_alert_or_a_direction_it_is_absent() -> None:
    assert COMPONENT.value(known()) is None
    assert COMPONENT.value(known(flow=0.0)._replace(alerts=(alert(1, at=NOW),))) is None
