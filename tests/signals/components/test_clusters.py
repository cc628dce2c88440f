"""Clusters: which way the alerts that came together lean."""

from tests.builders import alert, known
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.signals.components.clusters import COMPONENT


def value(*alerts: FlowAlert, flow: float | None = 0.5) -> float | None:
    return COMPONENT.value(known(flow=flow)._replace(alerts=alerts))


def test_only_alerts_in_clusters_of_three_or_more_count() -> None:
    calls, puts = [alert(n) for n in (1, 2, 3)], [alert(n, Right.PUT) for n in (4, 5)]
    assert value(*calls, *puts) == 1.0
    assert value(*calls, *puts, alert(6, Right.PUT)) == 0.0
    assert value(*calls[:2], *puts) == 0.0


def test_alerts_that_came_apart_are_no_cluster() -> None:
    assert value(alert(1), alert(2), alert(12)) == 0.0
    assert value(alert(1), alert(2), alert(11)) == 1.0


def test_without_a_reply_about_the_symbol_it_is_absent() -> None:
    assert value(alert(1), alert(2), alert(3), flow=None) is None
