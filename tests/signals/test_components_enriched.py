"""Components beyond flow, prints and tides: from the source's rows to a value, which the formula computes too."""

import math
from datetime import timedelta

import pytest

from tests.kit.signals.source_rows import GOOD, TIDE, Rows, days, seen, world
from tests.kit.values import NOW
from tradebot.model.flow import FLOW_ALERTS
from tradebot.signals.components import component_of
from tradebot.signals.scoring import ScoringInputs, evaluate
from tradebot.signals.subjects.insiders import CongressFacts

COMPONENTS = (
    *("calendar_catalyst", "congress", "etf_flow", "institutional", "max_pain", "realized_volatility", "regime"),
    *("sector_tide", "shorts", "spot_gex", "squeeze", "squeeze_score", "top_net_impact"),
)
FOLLOWERS = [name for name in COMPONENTS if component_of(name).follows]
EARLIER: dict[str, Rows] = {"etf_flow": [{**GOOD["etf_flow"], "date": days(-4), "change_prem": "6000"}]}
"""What a value takes besides the last row."""


SEVERAL = {"calendar_catalyst"}
"""Components that one of several kinds is enough for."""


def replies(name: str, **changes: dict[str, object]) -> dict[str, Rows]:
    """Return a good reply of each kind that a component reads besides alerts, with some fields changed by kind."""
    kinds = [kind.name for kind in component_of(name).reads if kind.name in GOOD and kind.name != FLOW_ALERTS]
    return {kind: [*EARLIER.get(kind, ()), {**GOOD[kind], **changes.get(kind, {})}] for kind in kinds}


def value(name: str, known: ScoringInputs) -> float | None:
    """Return a component's value, after checking that the formula gives the same, and that it is in range."""
    component = component_of(name)
    found = component.value(known)
    component.source(known)
    inputs = {each.name: float(each.value) for each in component.inputs(known)}
    if found is None:
        return None
    assert math.isfinite(found)
    assert -1 <= found <= 1
    assert evaluate(component.formula, inputs) == pytest.approx(found, abs=1e-9)
    return found


@pytest.mark.parametrize("name", COMPONENTS)
def test_component_has_a_value_only_if_everything_it_reads_is_known(name: str) -> None:
    everything = replies(name)
    assert value(name, seen(everything)) is not None
    assert value(name, seen({})) is None
    for missing in everything.keys() if name not in SEVERAL else ():
        assert value(name, seen({kind: rows for kind, rows in everything.items() if kind != missing})) is None
    if name in FOLLOWERS:
        assert value(name, seen(everything, flow=None)) is None
        assert value(name, seen(everything, flow=0.0)) is None


EVERYTHING_TODAY = {"earnings": {"report_date": days(0)}, "fda_calendar": {"start_date": days(0)}}
ONLY_THE_FDA = {"earnings": {"report_date": days(8)}, "economic_calendar": {"type": "fed-speaker"}}


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("congress", {}, 32_500.5 / 82_500.5),
        ("congress", {"congress": {"txn_type": "Sell"}}, -32_500.5 / 82_500.5),
        ("shorts", {}, -0.5),
        ("shorts", {"short_interest": {"si_float": "0.15", "days_to_cover": "5"}}, 0.0),
        ("shorts", {"short_interest": {"si_float": "0.9", "days_to_cover": "40"}}, -1.0),
        ("squeeze", {"fails_to_deliver": {"quantity": 0}}, 0.5 / 3),
        ("squeeze", {"fails_to_deliver": {"quantity": 10**6}}, 0.5 * 2 / 3),
        ("squeeze_score", {}, 0.25),
        ("squeeze_score", {"short_interest": {"fee_rate": "5", "si_float": "0.1"}}, 0.25),
        ("squeeze_score", {"short_interest": {"fee_rate": "5"}, "fails_to_deliver": {"quantity": 10**6}}, 0.5),
        ("squeeze_score", {"short_interest": {"fee_rate": None}}, None),
        ("institutional", {}, -1.0),
        ("institutional", {"institutional": {"units_change": 0}}, 0.0),
        ("sector_tide", {}, (660_338 + 547_564) / (660_338 + 547_564)),
        ("sector_tide", {"sector_tide": {"timestamp": "2026-11-16T09:30:00-05:00"}}, None),
        ("top_net_impact", {}, -1.0),
        ("spot_gex", {}, -0.25),
        ("spot_gex", {"spot_gex": {"gamma_per_one_percent_move_oi": "-9"}}, 0.25),
        ("spot_gex", {"spot_gex": {"gamma_per_one_percent_move_oi": "0"}}, None),
        ("max_pain", {}, 0.6 * 3 / 7),
        ("max_pain", {"max_pain": {"max_pain": "90"}}, -3 / 7),
        ("max_pain", {"max_pain": {"expiry": days(0)}}, 0.6),
        ("max_pain", {"max_pain": {"expiry": days(-1)}}, None),
        ("max_pain", {"max_pain": {"expiry": days(7)}}, None),
        ("calendar_catalyst", {}, 0.5 * (0.4 * 4 / 7 + 0.5 * 3 / 7 + 0.2 / 3)),
        ("calendar_catalyst", EVERYTHING_TODAY, 0.5 * (0.9 + 0.2 / 3)),
        ("calendar_catalyst", ONLY_THE_FDA, 0.5 * 0.5 * 3 / 7),
        ("calendar_catalyst", {"fda_calendar": {"ticker": "MSFT"}}, 0.5 * (0.4 * 4 / 7 + 0.2 / 3)),
        ("realized_volatility", {}, 0.2),
        ("realized_volatility", {"realized_volatility": {"implied_volatility": None}}, None),
    ],
)
def test_rows_lead_to_this_value(name: str, changes: dict[str, dict[str, object]], expected: float | None) -> None:
    assert value(name, seen(replies(name, **changes))) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("change", "expected"), [("12000", -1.0), ("3000", -0.25), ("-9000", 0.75), ("0", 0.0)])
def test_unusual_inflow_into_a_fund_is_bearish(change: str, expected: float) -> None:
    row = GOOD["etf_flow"]
    earlier = [{**row, "date": days(-4), "change_prem": "4000"}, {**row, "date": days(-5), "change_prem": "-8000"}]
    assert value("etf_flow", seen({"etf_flow": [*earlier, {**row, "change_prem": change}]})) == expected
    assert value("etf_flow", seen({"etf_flow": [row]})) is None, "there is nothing to measure it against"


@pytest.mark.parametrize("name", ["congress", "institutional"])
def test_one_more_bullish_row_never_lowers_the_value(name: str) -> None:
    bullish = [{**GOOD[name], "name": f"New {number}", "units_change": 9} for number in range(3)]
    for seed in range(20):
        rows = world(seed, names=[name])[name]
        known = [value(name, seen({name: [*rows, *bullish[:more]]})) for more in range(3)]
        values = [each for each in known if each is not None]
        assert values == sorted(values)


@pytest.mark.parametrize("name", ["congress", "top_net_impact"])
def test_market_facts_are_looked_up_by_the_sources_spelling_of_the_symbol(name: str) -> None:
    assert not component_of(name).market_wide
    found = seen({name: [{**GOOD[name], "ticker": "BRKB"}]}, symbol="BRK.B")
    assert value(name, found) is not None
    assert value(name, seen({name: [GOOD[name]]}, symbol="BRK.B")) is None


def test_value_is_absent_if_facts_are_older_than_the_lookback() -> None:
    for name in ("sector_tide", "top_net_impact", "max_pain"):
        known = seen(replies(name))
        assert value(name, known) is not None
        assert value(name, known._replace(now=NOW + timedelta(minutes=31))) is None


def test_sector_tide_is_absent_for_a_sector_that_the_source_lacks() -> None:
    known = seen(replies("sector_tide"))
    assert value("sector_tide", known._replace(sector="index")) is None
    assert value("sector_tide", known._replace(sector="energy")) is None, "only technology was asked about"


BROAD_RISE = [{**GOOD["market_breadth"], "close": "200"}]
WILD = {**GOOD["market_volatility"], "realized_volatility": "0.91"}
FALLING = {**TIDE, "net_call_premium": "-900000"}


@pytest.mark.parametrize(
    ("rows", "name", "expected"),
    [
        ({"market_breadth": BROAD_RISE}, "low_vol_uptrend", 1.0),
        ({}, "mixed", 0.0),
        ({"market_tide": [FALLING]}, "downtrend_flow_heavy", -1.0),
        ({"market_volatility": [WILD], "market_breadth": BROAD_RISE}, "mixed", 0.0),
        (
            {"market_volatility": [WILD], "market_gamma": [{**GOOD["market_gamma"], "call_gamma": "0"}]},
            "high_vol_neg_gamma",
            0.0,
        ),
    ],
)
def test_regime_component_follows_the_name_of_the_regime(rows: dict[str, Rows], name: str, expected: float) -> None:
    known = seen({**replies("regime"), **rows})
    assert (component_of("regime").source(known), value("regime", known)) == (name, expected)


def test_congress_inputs_show_when_the_last_trade_was_filed() -> None:
    (trade,) = seen(replies("congress")).market["congress"].values()  # type: ignore[attr-defined]
    assert isinstance(trade, CongressFacts)
    shown = {each.name: each.at for each in component_of("congress").inputs(seen(replies("congress")))}
    assert shown["bought_usd"] == trade.filed
