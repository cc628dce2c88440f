"""Clusters: each alert with a direction is in exactly one, and none is longer than the window."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import alert
from tradebot.model.flow import Direction, FlowAlert
from tradebot.model.instrument import Right
from tradebot.signals.cluster import clusters, sizes

WINDOW = timedelta(seconds=600)


@st.composite
def many_alerts(draw: st.DrawFn) -> list[FlowAlert]:
    shapes = st.tuples(st.sampled_from(Right), st.integers(0, 4000), st.sampled_from([0, 400_000, 800_000]))
    return [
        replace(alert(n, right), at=alert(1).at + timedelta(seconds=second), bid_premium=Decimal(bid))
        for n, (right, second, bid) in enumerate(draw(st.lists(shapes, max_size=25)))
    ]


@given(alerts=many_alerts())
def test_each_directional_alert_is_in_exactly_one_cluster(alerts: list[FlowAlert]) -> None:
    grouped = [a.id for found in clusters(alerts, WINDOW) for a in found.alerts]
    assert sorted(grouped) == sorted(a.id for a in alerts if a.direction is not Direction.NEUTRAL)


@given(alerts=many_alerts())
def test_a_cluster_is_of_one_direction_within_its_window_and_clusters_stand_in_order(
    alerts: list[FlowAlert],
) -> None:
    found = clusters(alerts, WINDOW)
    for group in found:
        assert {a.direction for a in group.alerts} == {group.direction}
        assert group.alerts[-1].at - group.start <= WINDOW
    assert [group.start for group in found] == sorted(group.start for group in found)


@given(alerts=many_alerts())
def test_the_order_in_which_alerts_came_is_of_no_matter(alerts: list[FlowAlert]) -> None:
    assert clusters(alerts, WINDOW) == clusters(alerts[::-1], WINDOW)


def test_an_alert_past_the_window_begins_a_new_cluster() -> None:
    first = alert(1)
    at_edge = replace(alert(2), at=first.at + WINDOW)
    past = replace(alert(3), at=first.at + WINDOW + timedelta(seconds=1))
    assert [len(group.alerts) for group in clusters([first, at_edge, past], WINDOW)] == [2, 1]


@given(alerts=many_alerts())
def test_the_sizes_are_those_of_the_clusters_of_one_direction(alerts: list[FlowAlert]) -> None:
    found = clusters(alerts, WINDOW)
    for direction in (Direction.BULLISH, Direction.BEARISH):
        expected = [len(group.alerts) for group in found if group.direction is direction]
        assert sizes(alerts, WINDOW, direction.sign) == expected


def test_sizes_count_their_own_direction_only() -> None:
    found = [alert(1), alert(2), alert(3, Right.PUT)]
    assert sizes(found, WINDOW, 1) == [2]
    assert sizes(found, WINDOW, -1) == [1]
    assert sizes([], WINDOW, 1) == []
