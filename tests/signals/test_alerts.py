"""Alerts: which ones count, and what they add up to."""

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, NOW, ago, alert, fetched_facts
from tradebot.model.flow import FlowAlert, FlowWindow
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.model.values import replace
from tradebot.signals.alerts import counting, flow, flow_now, recent_alerts
from tradebot.signals.kinds.options_volume import OptionsVolumeFacts

FILTERS = {"min_premium": 50_000, "min_dte": 0, "max_dte": 45, "is_multi_leg": False}
WINDOW = FlowWindow(timedelta(seconds=1800), FILTERS, 0.005, 5)
SCALE = 1_500_000.0
money = st.decimals(0, 10**9, places=2)
alerts_lists = st.lists(
    st.builds(
        lambda right, ask, bid: alert(1, right, ask_premium=ask, bid_premium=bid), st.sampled_from(Right), money, money
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
    assert bool(recent_alerts(facts, counting(NOW, WINDOW)).alerts) is counts


def known(premium: float, sessions: int = 5, *alerts: FlowAlert) -> SymbolFacts:
    of_kind = {"flow_alerts": alerts, "options_volume": OptionsVolumeFacts(premium, sessions)}
    return fetched_facts("AAPL", known=of_kind)


def test_a_symbol_is_measured_against_its_own_usual_premium() -> None:
    now = counting(NOW, WINDOW)
    large, small = (flow_now(known(usual, 5, alert()), now).value for usual in (300_000_000, 3_000_000))
    assert large == pytest.approx(400_000 / 1_900_000)
    assert small == pytest.approx(400_000 / 415_000)


@pytest.mark.parametrize(
    "facts",
    [
        fetched_facts("AAPL", known={"flow_alerts": (alert(),)}),
        known(300_000_000, 4, alert()),
        known(0, 20, alert()),
        replace(known(300_000_000, 5, alert()), alerts_fetched_at=None),
        replace(known(300_000_000, 5, alert()), received=10, foreign=10),
    ],
    ids=["nothing usual known", "too few sessions", "usually no premium", "never fetched", "other tickers only"],
)
def test_without_a_measure_or_a_usable_reply_there_is_no_flow(facts: SymbolFacts) -> None:
    assert flow_now(facts, counting(NOW, WINDOW)).value is None


def test_fetched_without_alerts_is_a_flow_of_zero() -> None:
    assert flow_now(known(300_000_000), counting(NOW, WINDOW)).value == 0


@given(alerts_lists, st.integers(-6, 6))
def test_multiplying_all_premiums_changes_nothing(alerts: list[FlowAlert], power: int) -> None:
    # A power of two, so that no rounding hides or makes a difference.
    by = 2.0**power
    more = [
        replace(a, ask_premium=a.ask_premium * Decimal(by), bid_premium=a.bid_premium * Decimal(by)) for a in alerts
    ]
    assert flow(more, SCALE * by) == pytest.approx(flow(alerts, SCALE), rel=1e-12, abs=1e-12)


@given(alerts_lists, money.filter(bool))
def test_one_more_bullish_alert_never_lowers_the_flow(alerts: list[FlowAlert], usd: Decimal) -> None:
    assert flow([*alerts, alert(1, ask_premium=usd)], SCALE) >= flow(alerts, SCALE) - 1e-12


@given(alerts_lists, st.randoms())
def test_the_order_of_the_rows_changes_nothing(alerts: list[FlowAlert], random: Random) -> None:
    shuffled = random.sample(alerts, len(alerts))
    assert flow(shuffled, SCALE) == flow(alerts, SCALE)


def test_a_reply_as_old_as_the_lookback_says_nothing_about_now() -> None:
    window, usual = WINDOW, {"options_volume": OptionsVolumeFacts(300_000_000.0, 20)}
    for age_s, known in ((window.lookback.total_seconds() - 1, True), (window.lookback.total_seconds(), False)):
        facts = fetched_facts("AAPL", alerts_fetched_at=ago(age_s), known=usual)
        assert (flow_now(facts, counting(NOW, window)).value is not None) is known
