"""Clusters: each alert with a direction is in exactly one, and none is longer than the window."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import alert
from tradebot.model.flow import Direction, FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.values import replace
from tradebot.signals.alerts import sizes

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
    for direction in (Direction.BULLISH, Direction.BEARISH):
        found = sizes(alerts, WINDOW, direction.sign)
        assert sum(found) == sum(each.direction is direction for each in alerts)
        assert min(found, default=1) > 0


@given(alerts=many_alerts(), direction=st.sampled_from([Direction.BULLISH, Direction.BEARISH]))
def test_a_cluster_is_within_its_window_and_the_next_one_begins_past_it(
    alerts: list[FlowAlert], direction: Direction
) -> None:
    left = sorted(each.at for each in alerts if each.direction is direction)
    for size in sizes(alerts, WINDOW, direction.sign):
        assert left[size - 1] - left[0] <= WINDOW
        assert all(at - left[0] > WINDOW for at in left[size:])
        left = left[size:]
    assert not left


@given(alerts=many_alerts())
def test_the_order_in_which_alerts_came_is_of_no_matter(alerts: list[FlowAlert]) -> None:
    assert sizes(alerts, WINDOW, 1) == sizes(alerts[::-1], WINDOW, 1)


def test_an_alert_past_the_window_begins_a_new_cluster() -> None:
    first = alert(1)
    at_edge = replace(alert(2), at=first.at + WINDOW)
    past = replace(alert(3), at=first.at + WINDOW + timedelta(seconds=1))
    assert sizes([first, at_edge, past], WINDOW, 1) == [2, 1]


def test_sizes_count_their_own_direction_only() -> None:
    found = [alert(1), alert(2), alert(3, Right.PUT)]
    assert sizes(found, WINDOW, 1) == [2]
    assert sizes(found, WINDOW, -1) == [1]
    assert sizes([], WINDOW, 1) == []
