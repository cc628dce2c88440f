"""An entry needs independent kinds of data that agree: one input, however strong, is no entry."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import alert
from tests.strategies.test_flow import full, proposed, tide, with_alerts
from tradebot.model.candidate import Component
from tradebot.model.decision import Verdict
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.values import replace
from tradebot.signals.kinds.dark_pool import KIND as PRINTS
from tradebot.signals.kinds.dark_pool import SignedPrint
from tradebot.strategies.flow import agreeing

FAMILIES = {
    "flow": "options_flow",
    "clusters": "options_flow",
    "dark_pool": "off_exchange",
    "oi_change": "open_interest",
}


def part(name: str, value: float | None, weight: float = 0.25) -> Component:
    return Component(name, value, weight, "test")


def among(parts: tuple[Component, ...], score: float, least: float) -> frozenset[str]:
    return agreeing(parts, [FAMILIES[each.name] for each in parts], score, least)


def test_a_single_saturated_input_is_no_entry() -> None:
    enormous = tuple(alert(n, ask_premium=Decimal(10) ** 12) for n in (1, 2, 3))
    alone = replace(full(), known={**full().only({"options_volume"}).known, "flow_alerts": enormous})
    found = proposed(alone)
    assert found.components[0].value == pytest.approx(1)
    assert found.score > 0.39
    assert found.decisions[0].reason is Reason.FAMILIES_TOO_FEW
    assert (found.decisions[0].observed, found.decisions[0].limit) == (1, 2)


@pytest.mark.parametrize(("families", "verdict"), [(4, Verdict.PASS), (5, Verdict.FAIL)])
def test_an_entry_needs_as_many_agreeing_families_as_the_settings_say(families: int, verdict: Verdict) -> None:
    # Greek exposure and IV rank only strengthen flow, so six components are four families.
    assert proposed(full(), tide(), min_families=families).decisions[0].verdict is verdict


def test_what_opposes_the_score_or_hardly_matters_does_not_count() -> None:
    parts = (part("flow", 1.0), part("dark_pool", 0.08), part("oi_change", -0.5))
    assert among(parts, 0.3, 0.02) == {"options_flow", "off_exchange"}
    assert among(parts, 0.3, 0.03) == {"options_flow"}
    assert among(parts, -0.3, 0.03) == {"open_interest"}
    assert among((part("flow", 0.0), part("dark_pool", None)), 0.1, 0.0) == frozenset()


def test_components_of_one_family_count_once_and_by_what_they_say_together() -> None:
    assert among((part("flow", 1.0), part("clusters", 1.0)), 1.0, 0.02) == {"options_flow"}
    assert among((part("flow", 1.0), part("clusters", -1.0)), 0.1, 0.02) == frozenset()


usd = st.integers(1, 3_000_000).map(Decimal)
rows = st.lists(st.builds(lambda n, right, ask, bid: alert(n, right, ask_premium=ask, bid_premium=bid),
    st.integers(1, 29), st.sampled_from(Right), usd, usd), max_size=5)  # fmt: skip
signs = st.sampled_from([-1, 0, 1])


@settings(max_examples=60)
@given(rows, signs, usd)
def test_one_more_bullish_alert_never_lowers_a_score(some: list[FlowAlert], sign: int, more: Decimal) -> None:
    facts = with_alerts(*some)
    facts = replace(
        facts,
        known={**facts.known, "dark_pool": PRINTS.condense([SignedPrint(some[0].at, 1.0, sign)])}
        if some
        else facts.known,
    )
    bullish = with_alerts(*some, replace(alert(30, ask_premium=more), id="one more"))
    bullish = replace(bullish, known={**facts.known, "flow_alerts": bullish.alerts})
    weights = {"flow": 0.4, "dark_pool": 0.3, "market_tide": 0.3}
    before, after = (proposed(each, tide(), weights=weights).score for each in (facts, bullish))
    assert after >= before - 1e-12
