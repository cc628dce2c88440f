"""Event alignment: options that outlive a near earnings report bet on it."""

from datetime import date, timedelta

import pytest

from tests.builders import DAY, alert, known
from tradebot.model.flow import FlowAlert
from tradebot.model.record import SymbolFacts
from tradebot.signals.components.event_alignment import COMPONENT
from tradebot.signals.kinds.earnings import EarningsFacts


def value(report: date | None, *alerts: FlowAlert, when: str = "premarket", flow: float | None = 0.5) -> float | None:
    facts = SymbolFacts("AAPL", {"earnings": EarningsFacts(report, when)})
    return COMPONENT.value(known(facts, flow=flow)._replace(alerts=alerts))


def expiring(days: int) -> FlowAlert:
    return alert(1, expiry=DAY + timedelta(days=days))


@pytest.mark.parametrize(
    ("days", "expiries", "expected"),
    [(0, (5,), 0.5), (7, (7,), 0.25), (7, (6,), 0.0), (7, (3, 10), 0.125), (14, (30,), 0.0), (40, (60,), 0.0)],
)
def test_the_closer_the_report_and_the_more_premium_outlives_it_the_more_it_counts(
    days: int, expiries: tuple[int, ...], expected: float
) -> None:
    assert value(DAY + timedelta(days=days), *map(expiring, expiries)) == pytest.approx(expected)


def test_options_that_expire_on_the_day_of_a_report_after_the_close_do_not_outlive_it() -> None:
    report = DAY + timedelta(days=7)
    assert value(report, expiring(7), when="postmarket") == 0.0
    assert value(report, expiring(8), when="postmarket") == 0.25


def test_without_a_report_to_come_or_a_direction_it_is_absent() -> None:
    assert value(DAY - timedelta(days=1), expiring(7)) is None
    assert value(None, expiring(7)) is None
    assert value(DAY, expiring(7), flow=None) is None
    assert value(DAY, expiring(7), flow=0.0) is None
