"""The value of each component that is computed from alerts or from one kind of facts; the laws hold for all of them.

Components beyond flow, prints and tides: from the source's rows to a value, which the formula computes too.
"""

import math
import sys
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from math import exp
from pathlib import Path
from typing import Any

import pytest

from tests.kit.signals.source_rows import GOOD, TIDE, Rows, days, seen, world
from tests.kit.values import DAY, NOW, ago, alert, known, known_of
from tradebot.model.flow import FLOW_ALERTS, FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.signals import components, subjects
from tradebot.signals.components import component_of
from tradebot.signals.kinds import kind_of
from tradebot.signals.scoring import ScoreComponent, ScoringInputs, evaluate
from tradebot.signals.subjects import patterns
from tradebot.signals.subjects.calendars import EarningsFacts
from tradebot.signals.subjects.dark_pool import DARK_POOL_KIND
from tradebot.signals.subjects.insiders import CongressFacts, InsiderFacts
from tradebot.signals.subjects.market import TideTick
from tradebot.signals.subjects.open_interest import GammaFacts, OiFacts
from tradebot.signals.subjects.patterns import BURST_COMPONENT
from tradebot.signals.subjects.premium import NetPremFacts
from tradebot.signals.subjects.volatility import IvRank, SkewFacts, TermFacts

READS = {
    "iv_term_skew": "term_structure",
    "net_premium": "net_prem_ticks",
    "smile_slope": "risk_reversal",
    "toxicity": "net_prem_ticks",
}
"""The kind that a component reads, unless it has the same name."""
FIVE_DAYS, SIX_DAYS = (DAY - timedelta(days=days) for days in (5, 6))
PUT = Right.PUT


def prints(*of: tuple[float, float, int]) -> object:
    return DARK_POOL_KIND.condense([(ago(age_s), usd, sign) for age_s, usd, sign in of])


def rank(percent: int) -> IvRank:
    return IvRank("d", "AAPL", DAY, Decimal(percent), Decimal("0.2"))


def tick(calls: str, puts: str, age_s: float = 0) -> TideTick:
    return TideTick("t", ago(age_s), Decimal(calls), Decimal(puts), 0)


def session(calls: float, puts: float, gross: float, age_s: float = 60) -> NetPremFacts:
    return NetPremFacts(ago(age_s), 3, calls, puts, gross, 0, 0)


def sides(bullish: int, bearish: int, age_s: float = 60) -> NetPremFacts:
    return NetPremFacts(ago(age_s), 3, 0.0, 0.0, 0.0, bullish, bearish)


@pytest.mark.parametrize(
    ("name", "facts", "flow", "expected"),
    [
        # Prints weigh by their premium; a neutral one counts in the whole.
        ("dark_pool", prints((60, 600.0, 1), (60, 100.0, -1), (60, 300.0, 0)), 1, 0.5),
        ("dark_pool", prints((1799, 5000.0, 1)), 1, 1),
        ("dark_pool", prints((1800, 5000.0, 1)), 1, None),
        # Short gamma amplifies the flow, long gamma damps it.
        ("greek_exposure", GammaFacts(-2.0, 2.0, 1, DAY), 0.1, 0.05),
        ("greek_exposure", GammaFacts(2.0, 2.0, 1, DAY), 0.1, -0.05),
        ("greek_exposure", GammaFacts(2.0, None, 0, DAY), 0.1, None),
        ("greek_exposure", GammaFacts(-2.0, 2.0, 1, FIVE_DAYS), 1, 0.5),
        ("greek_exposure", GammaFacts(-2.0, 2.0, 1, SIX_DAYS), 1, None),
        # Purchases count in full, sales a quarter.
        ("insider", InsiderFacts(3, 0, DAY), 1, 1),
        ("insider", InsiderFacts(0, 8, DAY), 1, -0.25),
        ("insider", InsiderFacts(2, 2, DAY), 1, 0.375),
        ("insider", InsiderFacts(1, 4, DAY), 1, 0),
        ("insider", InsiderFacts(0, 0, DAY), 1, None),
        # Cheap options go with the flow, dear ones against it.
        ("iv_rank", rank(0), 0.3, 0.3),
        ("iv_rank", rank(50), 0.3, 0),
        ("iv_rank", rank(75), 0.3, -0.15),
        # More volatility expected soon than later is bearish.
        ("iv_term_skew", TermFacts(0.3, 0.3, 9, DAY), 1, 0),
        ("iv_term_skew", TermFacts(0.45, 0.35, 9, DAY), 1, -0.5),
        ("iv_term_skew", TermFacts(0.3, 0.5, 9, DAY), 1, 1),
        ("iv_term_skew", TermFacts(0.6, 0.2, 9, FIVE_DAYS), 1, -1),
        ("iv_term_skew", TermFacts(0.3, 0.4, 9, SIX_DAYS), 1, None),
        ("iv_term_skew", TermFacts(None, 0.3, 9, DAY), 1, None),
        ("iv_term_skew", TermFacts(0.3, None, 9, DAY), 1, None),
        # Only the last tick counts, with both sides signed.
        ("market_tide", [tick("5", "1"), tick("-180.8", "-113.6")], 1, -67.2 / 294.4),
        ("market_tide", [tick("1", "0", 1799)], 1, 1),
        ("market_tide", [tick("1", "0", 1800)], 1, None),
        # Rounding doesn't push it out of range.
        ("net_premium", session(300.0, -100.0, 800.0), 1, 0.5),
        ("net_premium", session(0.1 + 0.2, 0.0, 0.3), 1, 1.0),
        ("net_premium", session(0.0, 0.0, 0.0), 1, 0),
        ("net_premium", session(1.0, 0.0, 1.0, 1800), 1, 1),
        ("net_premium", session(1.0, 0.0, 1.0, 1801), 1, None),
        ("oi_change", OiFacts(200, 600, 3, DAY), 1, 200 / 600),
        ("oi_change", OiFacts(0, 0, 3, DAY), 1, 0),
        # Dear puts are bearish; fewer than five sessions don't show what is usual.
        ("smile_slope", SkewFacts(0.06, 0.04, 0.02, 20, DAY), 1, -0.5),
        ("smile_slope", SkewFacts(0.03, 0.04, 0.02, 20, DAY), 1, 0.25),
        ("smile_slope", SkewFacts(0.9, 0.04, 0.02, 5, FIVE_DAYS), 1, -1),
        ("smile_slope", SkewFacts(-0.9, 0.04, 0.02, 20, DAY), 1, 1),
        ("smile_slope", SkewFacts(0.06, 0.04, 0.0, 20, DAY), 1, 0),
        ("smile_slope", SkewFacts(0.06, 0.04, 0.02, 4, DAY), 1, None),
        ("smile_slope", SkewFacts(0.06, None, None, 0, DAY), 1, None),
        ("smile_slope", SkewFacts(0.06, 0.04, 0.02, 20, SIX_DAYS), 1, None),
        # Only an imbalance against the flow counts.
        ("toxicity", sides(300, 100), 0.8, 0),
        ("toxicity", sides(100, 300), 0.8, -0.4),
        ("toxicity", sides(300, 100), -0.8, 0.4),
        ("toxicity", sides(0, 0), 0.8, 0),
        ("toxicity", sides(100, 300, 1801), 0.8, None),
    ],
)
def test_facts_lead_to_this_value(name: str, facts: object, flow: float, expected: float | None) -> None:
    found = component_of(name).value(known_of(kind_of(READS.get(name, name)), facts, flow=flow))
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("name", ["dark_pool", "insider", "iv_term_skew", "net_premium", "smile_slope", "toxicity"])
def test_value_is_absent_and_shows_no_inputs_when_nothing_is_known(name: str) -> None:
    component = component_of(name)
    assert component.value(known()) is None
    assert [each.name for each in component.inputs(known()) if each.name != "flow"] == []


def alerts(number: int, right: Right = Right.CALL, apart_s: float = 10) -> list[FlowAlert]:
    return [alert(n, right, at=ago(apart_s * n)) for n in range(number)]


def thirds(*premiums: int, right: Right = Right.CALL) -> list[FlowAlert]:
    """Return an alert in each third of half an hour with this premium, oldest first."""
    return [
        alert(minutes, right, ask_premium=Decimal(max(usd, 0)), bid_premium=Decimal(max(-usd, 0)))
        for minutes, usd in zip((25, 15, 5), premiums, strict=True)
    ]


SWEPT, FLOOR = alert(1, has_sweep=True, premium=Decimal(100)), alert(2, has_floor=True, premium=Decimal(200))
PLAIN, AGAINST = alert(3, premium=Decimal(300)), alert(4, PUT, has_sweep=True, premium=Decimal(900))


@pytest.mark.parametrize(
    ("name", "given", "flow", "expected"),
    [
        # Five alerts of the flow's direction within five minutes are a burst, and ten count in full.
        ("burst", alerts(4), 0.5, 0),
        ("burst", alerts(5), 0.5, 0.25),
        ("burst", alerts(8), 0.5, 0.4),
        ("burst", alerts(25), 0.5, 0.5),
        ("burst", [*alerts(4), *alerts(6, PUT)], 0.5, 0),
        ("burst", alerts(5, apart_s=75), 0.5, 0.25),
        ("burst", alerts(5, apart_s=75.1), 0.5, 0),
        # Three alerts of one direction within ten minutes of the first are a cluster.
        ("clusters", [*map(alert, (1, 2, 3)), alert(4, PUT), alert(5, PUT)], 0.5, 1),
        ("clusters", [*map(alert, (1, 2, 3)), alert(4, PUT), alert(5, PUT), alert(6, PUT)], 0.5, 0),
        ("clusters", [alert(1), alert(2), alert(4, PUT), alert(5, PUT)], 0.5, 0),
        ("clusters", [alert(1), alert(2), alert(11)], 0.5, 1),
        ("clusters", [alert(1), alert(2), alert(12)], 0.5, 0),
        ("clusters", [alert(1), alert(2), alert(3)], None, None),
        # Flow fades with the age of its newest alert, by a clock that may be ahead of ours.
        ("freshness", [alert(1, at=ago(3000)), alert(2, at=NOW)], 0.5, 0.5),
        ("freshness", [alert(1, at=ago(3000)), alert(2, at=ago(45 * 60))], -0.5, -0.5 * exp(-1)),
        ("freshness", [alert(2, at=ago(-5))], 0.5, 0.5),
        ("freshness", [], 0.5, None),
        # Only premium that rises twice counts, in the direction of the flow.
        ("staircase", thirds(10, 20, 50), 0.5, 0.25),
        ("staircase", thirds(10, 20, 20), 0.5, 0),
        ("staircase", thirds(20, 10, 50), 0.5, 0),
        ("staircase", thirds(0, 20, 50), 0.5, 0),
        ("staircase", thirds(-5, 20, 50), 0.5, 0),
        ("staircase", thirds(10, 20, 50, right=PUT), -0.5, -0.25),
        ("staircase", thirds(10, 20, 50), -0.5, 0),
        ("sweep_block", [SWEPT, FLOOR, PLAIN], 0.5, 0.25),
        ("sweep_block", [PLAIN], 0.5, 0),
        ("sweep_block", [SWEPT, AGAINST], 0.5, 0.5),
        ("sweep_block", [PLAIN, AGAINST], 0.5, 0),
        ("sweep_block", [], 0.5, 0),
    ],
)
def test_alerts_have_this_value(name: str, given: list[FlowAlert], flow: float | None, expected: float | None) -> None:
    found = component_of(name).value(known(flow=flow)._replace(alerts=given))
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("days", "when", "expiries", "expected"),
    [
        (0, "premarket", (5,), 0.5),
        (7, "premarket", (7,), 0.25),
        (7, "premarket", (6,), 0.0),
        (7, "premarket", (3, 10), 0.125),
        (14, "premarket", (30,), 0.0),
        (40, "premarket", (60,), 0.0),
        (7, "postmarket", (7,), 0.0),
        (7, "postmarket", (8,), 0.25),
        (-1, "premarket", (7,), None),
        (None, "unknown", (7,), None),
    ],
)
def test_event_alignment_counts_premium_that_outlives_a_near_report(
    days: int | None, when: str, expiries: tuple[int, ...], expected: float | None
) -> None:
    report = None if days is None else DAY + timedelta(days=days)
    facts = SymbolFacts("AAPL", {"earnings": EarningsFacts(report, when)})
    given = [alert(1, expiry=DAY + timedelta(days=each)) for each in expiries]
    found = component_of("event_alignment").value(known(facts, flow=0.5)._replace(alerts=given))
    assert found == (None if expected is None else pytest.approx(expected))


def large(minutes: int, right: Right = Right.CALL, usd: int = 300, /, **changes: Any) -> FlowAlert:
    return alert(minutes, right, premium=Decimal(usd), **changes)


@pytest.mark.parametrize(
    ("given", "flow", "expected"),
    [
        ([large(1), large(20), large(31)], 0.5, 0.5),
        ([large(1), large(20), large(30)], 0.5, 0.0),
        ([large(1), large(31)], 0.5, 0.0),
        ([large(1), large(20), large(31, Right.CALL, 299)], 0.5, 0.0),
        ([large(1), large(20), large(31), large(40, PUT)], 0.5, 0.25),
        ([large(1), large(20), large(31), large(40, PUT, 9000)], 0.5, 0.0),
        ([large(1), large(20), large(31, has_multileg=True)], 0.5, 0.0),
        ([large(n, PUT) for n in (1, 20, 31)], -0.5, -0.5),
        # An alert by a clock ahead of ours doesn't count yet.
        ([large(1), large(31), large(2, at=ago(-3))], 0.5, 0.0),
        ([large(1), large(31), large(2, at=ago(0))], 0.5, 0.5),
    ],
)
def test_whales_persist_with_three_large_alerts_in_half_an_hour(
    given: list[FlowAlert], flow: float, expected: float
) -> None:
    small = [alert(n, premium=Decimal(100)) for n in range(100, 109)]
    facts = SymbolFacts("AAPL", {"flow_alerts": (*small, *given)})
    assert component_of("whale_persistence").value(known(facts, flow=flow)) == expected


FIRST = (
    "burst calendar_catalyst clusters congress dark_pool etf_flow event_alignment flow freshness greek_exposure "
    "insider institutional iv_rank iv_term_skew market_tide max_pain net_premium oi_change realized_volatility "
    "regime sector_tide shorts smile_slope spot_gex squeeze squeeze_score staircase sweep_block top_net_impact "
    "toxicity whale_persistence"
)
"""The names in configurations and records since the first system, none of which may ever go."""


def test_no_name_of_a_component_is_lost_and_each_file_of_a_subject_declares_those_of_its_rows() -> None:
    files = [path.stem for path in Path(subjects.__file__).parent.glob("[a-z]*.py")]
    declared = [one for file in files for one in vars(import_module(f"{subjects.__name__}.{file}")).values()]
    found = {one for one in declared if isinstance(one, ScoreComponent)}
    assert sorted(one.name for one in found) == sorted(components.SUBJECTS)
    assert {*map(components.component_of, FIRST.split())} <= found


def test_a_component_may_move_to_another_file_and_its_name_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = components.component_names()
    monkeypatch.setitem(sys.modules, f"{subjects.__name__}.moved", patterns)
    monkeypatch.setattr(components, "SUBJECTS", {**components.SUBJECTS, "burst": "moved", "other": "moved"})
    components.component_names.cache_clear()
    assert {*components.component_names()} == {*before, "other"}
    assert components.component_of.__wrapped__("burst") is BURST_COMPONENT
    with pytest.raises(AssertionError, match=r"moved\.py has no component other"):
        components.component_of("other")
    monkeypatch.undo()
    components.component_names.cache_clear()
    with pytest.raises(ValueError, match="moved"):
        components.checked_component("moved")


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
