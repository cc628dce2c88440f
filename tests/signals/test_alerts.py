"""Alerts: which ones count, and what they add up to."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, NOW, ago, alert
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.signals.alerts import flow, recent_alerts

LOOKBACK = timedelta(seconds=1800)
SCALE = 1_500_000.0
money = st.decimals(0, 10**9, places=2)
alerts_lists = st.lists(
    st.builds(
        lambda right, ask, bid: alert(1, right, ask_premium=ask, bid_premium=bid),
        st.sampled_from(Right),
        money,
        money,
    ),
    max_size=8,
)


def swapped(right: Right) -> Right:
    return Right.PUT if right is Right.CALL else Right.CALL


@given(alerts=alerts_lists)
def test_flow_is_in_range_and_mirrors_calls_with_puts_and_ask_with_bid(alerts: list[FlowAlert]) -> None:
    value = flow(alerts, SCALE)
    assert -1 <= value <= 1
    assert flow([replace(a, right=swapped(a.right)) for a in alerts], SCALE) == -value
    turned = [replace(a, ask_premium=a.bid_premium, bid_premium=a.ask_premium) for a in alerts]
    assert flow(turned, SCALE) == -value


def test_flow_counts_little_while_it_is_thin() -> None:
    thick = replace(alert(), ask_premium=Decimal(15_000_000))
    assert flow([alert()], SCALE) == pytest.approx(400_000 / 1_900_000)
    assert flow([thick], SCALE) == pytest.approx(15 / 16.5)
    assert flow([], SCALE) == 0


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"at": ago(1799)}, True),
        ({"at": ago(1800)}, False),
        ({"premium": Decimal(49_999)}, False),
        ({"premium": Decimal(50_000)}, True),
        ({"expiry": DAY - timedelta(days=1)}, False),
        ({"expiry": DAY}, True),
        ({"expiry": DAY + timedelta(days=45)}, True),
        ({"expiry": DAY + timedelta(days=46)}, False),
        ({"has_multileg": True}, False),
    ],
)
def test_an_alert_counts_while_it_is_recent_large_unexpired_near_and_of_one_leg(
    change: dict[str, object], counts: bool
) -> None:
    facts = SymbolFacts("AAPL", {"flow_alerts": (alert(1, **change),)})
    assert bool(recent_alerts(facts, NOW, LOOKBACK, 50_000, 45)) is counts
