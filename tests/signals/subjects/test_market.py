"""The regime of the market, and headlines about it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.signals.source_rows import GOOD, summed_up
from tests.kit.values import NOW
from tradebot.signals.subjects.market import (
    NEWS_KIND,
    REGIME_READS,
    Category,
    MarketState,
    category_of,
    market_state,
    regime,
)

CALM_RISE = MarketState(volatility=0.2, gamma=1.0, breadth=0.3, net_premium=1.0)


def market() -> dict[str, object]:
    return {kind.name: summed_up(kind.name, GOOD[kind.name]) for kind in REGIME_READS}


def test_market_state_is_read_from_measured_facts() -> None:
    assert market_state(market(), NOW) == MarketState(0.2, 3012060.6 - 1479461.8, -1.0, 660338.0 + 547564.0)


@pytest.mark.parametrize("missing", [kind.name for kind in REGIME_READS])
def test_market_state_is_unknown_if_any_fact_is_missing(missing: str) -> None:
    assert market_state({name: value for name, value in market().items() if name != missing}, NOW) is None
    unmeasured = summed_up("market_volatility", {**GOOD["market_volatility"], "realized_volatility": None})
    assert market_state({**market(), "market_volatility": unmeasured}, NOW) is None


def test_market_state_is_unknown_without_a_recent_tide() -> None:
    newest = NOW - timedelta(minutes=1)
    assert market_state(market(), newest + timedelta(minutes=59)) is not None
    assert market_state(market(), newest + timedelta(minutes=60)) is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "low_vol_uptrend"),
        ({"volatility": 0.49, "breadth": 0.21}, "low_vol_uptrend"),
        ({"volatility": 0.5}, "mixed"),
        ({"breadth": 0.2}, "mixed"),
        ({"volatility": 0.91, "gamma": -1.0}, "high_vol_neg_gamma"),
        ({"volatility": 0.91, "gamma": -1.0, "breadth": -0.3, "net_premium": -1.0}, "high_vol_neg_gamma"),
        ({"volatility": 0.9, "gamma": -1.0}, "mixed"),
        ({"volatility": 0.91}, "mixed"),
        ({"breadth": -0.21, "net_premium": -1.0}, "downtrend_flow_heavy"),
        ({"breadth": -0.2, "net_premium": -1.0}, "mixed"),
        ({"breadth": -0.21}, "mixed"),
    ],
)
def test_regime_follows_from_the_state_of_the_market(changes: dict[str, float], name: str) -> None:
    assert regime(CALM_RISE._replace(**changes)) == name


NUMBERS = st.floats(-10, 10)


@given(st.builds(MarketState, st.floats(0, 5), NUMBERS, st.floats(-1, 1), NUMBERS))
def test_regime_of_a_mirrored_market_differs_unless_it_takes_no_side(state: MarketState) -> None:
    mirrored = state._replace(breadth=-state.breadth, net_premium=-state.net_premium)
    if regime(state) == regime(mirrored):
        assert regime(state) in {"mixed", "high_vol_neg_gamma"}


@pytest.mark.parametrize(
    ("headline", "category"),
    [
        ("Apple beats Q3 revenue estimates", Category.EARNINGS),
        ("Fed leaves rates unchanged", Category.MACRO),
        ("FedEx opens a new hub", Category.OTHER),
        ("Nonfarm payrolls rise by 200,000", Category.MACRO),
        ("Broadcom to acquire VMware; takeover approved", Category.MERGER),
        ("FTC opens antitrust probe", Category.REGULATORY),
        ("SEC fines a broker", Category.REGULATORY),
        ("Security updates released", Category.OTHER),
    ],
)
def test_category_is_the_first_whose_words_are_there(headline: str, category: Category) -> None:
    assert category_of(headline) is category


def test_times_of_each_category_come_in_order() -> None:
    soon, late = NOW - timedelta(minutes=5), NOW - timedelta(minutes=1)
    found = NEWS_KIND.condense([(late, Category.MACRO), (soon, Category.MACRO), (soon, Category.OTHER)])
    assert found[Category.MACRO] == (soon, late)
    assert found[Category.OTHER] == (soon,)
    assert found[Category.MERGER] == ()
