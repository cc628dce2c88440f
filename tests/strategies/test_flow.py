"""The flow strategy: one want per symbol, with its components, its side and its own decision.

The settings of the flow strategy: weights that make a sound score, filters that something can pass.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.kit.values import DAY, NOW, SHIPPED, ago, alert, candidate, fetched_facts, there
from tradebot.model.candidate import Component, ComponentInputs, Input, Side
from tradebot.model.decision import Decision, Verdict, first_failure
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.model.view import Open, StrategyView
from tradebot.signals.filters import filters_on
from tradebot.signals.scoring import evaluate
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND as ALERTS
from tradebot.signals.subjects.alerts import OptionsVolumeFacts
from tradebot.signals.subjects.dark_pool import DARK_POOL_KIND as PRINTS
from tradebot.signals.subjects.market import TideTick
from tradebot.signals.subjects.open_interest import GammaFacts, OiFacts
from tradebot.signals.subjects.volatility import IvRank
from tradebot.strategies.flow import FlowStrategy, agreeing, weigh
from tradebot.strategies.flow_settings import FilterSettings, FlowSettings

names = ("flow", "dark_pool", "market_tide", "greek_exposure", "iv_rank", "oi_change")
component_values = st.lists(
    st.tuples(st.one_of(st.none(), st.floats(-1, 1)), st.floats(0, 100)), min_size=6, max_size=6
)


def components(rows: list[tuple[float | None, float]]) -> list[Component]:
    return [Component(name, value, weight, "test") for name, (value, weight) in zip(names, rows, strict=True)]


@given(rows=component_values)
def test_score_and_coverage_stay_in_their_ranges(rows: list[tuple[float | None, float]]) -> None:
    score, coverage = weigh(components(rows))
    assert -1 <= score <= 1
    assert 0 <= coverage <= 1


@given(rows=component_values, lost=st.integers(0, 5))
def test_losing_an_agreeing_component_never_helps_its_side(rows: list[tuple[float | None, float]], lost: int) -> None:
    before, covered = weigh(components(rows))
    value, weight = rows[lost]
    after, left = weigh(components([*rows[:lost], (None, weight), *rows[lost + 1 :]]))
    if value is not None and value * before > 0:
        assert after * (1 if before > 0 else -1) <= abs(before)
    assert left <= covered


WEIGHTS = dict(zip(names, (0.4, 0.15, 0.15, 0.1, 0.08, 0.12), strict=True))
SETTINGS: dict[str, object] = FlowSettings(
    weights=WEIGHTS,
    lookback_s=1800,
    filters=FilterSettings(min_premium=50_000, min_dte=0, max_dte=45, is_multi_leg=False),
    flow_scale_share=0.005,
    min_trailing_sessions=5,
    min_families=2,
    min_family_contribution=0.02,
    cluster_window_s=600,
    min_cluster=3,
    long_only=False,
).model_dump()
USUAL = OptionsVolumeFacts(300_000_000.0, 20)
"""What AAPL's options trade on a usual day: flow is measured against half a percent of it, 1.5 million."""
NO_TIDE: Mapping[str, object] = {}


def full(right: Right = Right.CALL) -> SymbolFacts:
    sign = 1 if right is Right.CALL else -1
    known = {
        "flow_alerts": ALERTS.condense([alert(n, right) for n in (1, 2, 3)]),
        "dark_pool": PRINTS.condense([(ago(60), 100_000.0, sign)]),
        "greek_exposure": GammaFacts(-2.0, 2.0, 1, DAY),
        "iv_rank": IvRank("d", "AAPL", DAY, Decimal(10), Decimal("0.2")),
        "oi_change": OiFacts(500 * sign, 500, 1, DAY),
        "options_volume": USUAL,
    }
    return fetched_facts("AAPL", known=known)


def quiet() -> SymbolFacts:
    """Return the facts of a symbol without alerts, prints or anything else of this session."""
    return fetched_facts("AAPL", known={"options_volume": USUAL})


def with_alerts(*alerts: FlowAlert) -> SymbolFacts:
    return replace(full(), known={**full().known, "flow_alerts": ALERTS.condense(alerts)})


def without(*kinds: str) -> SymbolFacts:
    return full().only(full().known.keys() - set(kinds))


def tide(right: Right = Right.CALL) -> Mapping[str, object]:
    net = Decimal(100 if right is Right.CALL else -100)
    return {"market_tide": (TideTick("t", NOW, net, Decimal(0), 0),)}


def proposed(facts: SymbolFacts | None, seen: Mapping[str, object] = NO_TIDE, /, **changes: object) -> Open:
    strategy = FlowStrategy({**SETTINGS, **changes})
    (found,) = strategy.propose(StrategyView(NOW, ["AAPL"], {"AAPL": facts} if facts else {}, seen))
    return found


def test_bought_calls_make_a_buy_and_bought_puts_its_mirror() -> None:
    up, down = proposed(full(), tide()), proposed(full(Right.PUT), tide(Right.PUT))
    assert (up.side, down.side) == (Side.BUY, Side.SELL)
    assert up.score > 0.5
    assert down.score == -up.score
    assert up.coverage == down.coverage == pytest.approx(1)
    assert [each.verdict for each in (*up.decisions, *down.decisions)] == [Verdict.PASS] * 6


def test_each_component_is_named_once_with_its_weight_and_source() -> None:
    components = proposed(full(), tide()).components
    assert [c.name for c in components] == list(WEIGHTS)
    assert {c.name: c.weight for c in components} == SETTINGS["weights"]
    sources = ["3 alerts", "1 prints", "1 ticks", "1 earlier sessions", "last session", "1 contracts"]
    assert [c.source for c in components] == sources


def test_component_is_absent_if_its_facts_were_never_fetched() -> None:
    found = proposed(None)
    assert [c.value for c in found.components] == [None] * 6
    assert (found.score, found.coverage) == (0, 0)
    assert found.decisions[0].reason is Reason.NO_DIRECTION


def test_flow_is_zero_if_no_alert_was_fetched_and_with_that_score_nothing_agrees_so_every_filter_refuses() -> None:
    found = proposed(quiet())
    assert (found.components[0].value, found.coverage) == pytest.approx((0, 0.4))
    reasons = [Reason.NO_DIRECTION, Reason.FAMILIES_TOO_FEW, Reason.CLUSTER_TOO_SMALL]
    assert [(each.reason, each.observed) for each in found.decisions] == [(reason, 0) for reason in reasons]


def test_data_that_goes_missing_weakens_the_score() -> None:
    whole, part = proposed(full(), tide()), proposed(without("dark_pool", "oi_change"), tide())
    assert 0 < part.score < whole.score
    assert part.coverage == pytest.approx(0.73)


@pytest.mark.parametrize(
    ("facts", "changes", "reason"),
    [
        (with_alerts(*full().alerts[:2]), {}, Reason.CLUSTER_TOO_SMALL),
        (full(), {"min_cluster": 4}, Reason.CLUSTER_TOO_SMALL),
        (full(), {"cluster_window_s": 119}, Reason.CLUSTER_TOO_SMALL),
        (full(Right.PUT), {"long_only": True}, Reason.LONG_ONLY),
        (quiet(), {}, Reason.NO_DIRECTION),
    ],
)
def test_own_filter_of_the_strategy_says_why(facts: SymbolFacts, changes: dict[str, object], reason: Reason) -> None:
    said = there(first_failure(proposed(facts, **changes).decisions))
    assert (said.verdict, said.reason) == (Verdict.FAIL, reason)


def answers(found: Open) -> Mapping[str, Decision]:
    return {decision.about: decision for decision in found.decisions}


@settings(max_examples=40)
@given(
    st.lists(st.builds(alert, st.integers(1, 29), st.sampled_from(Right)), max_size=4),
    st.integers(1, 5),
    st.integers(1, 4),
    st.booleans(),
)
def test_every_filter_answers_whatever_the_others_say_and_what_they_say_together_lets_it_through(
    alerts: list[FlowAlert], families: int, cluster: int, long_only: bool
) -> None:
    changes = {"min_families": families, "min_cluster": cluster, "long_only": long_only}
    found, alone = proposed(with_alerts(*alerts), **changes), proposed(with_alerts(*alerts))
    said, before = answers(found), answers(alone)
    assert list(said) == ["side", "families", "cluster"]
    assert [each.observed for each in list(said.values())[1:]] == [each.observed for each in list(before.values())[1:]]
    tries = {
        setting: decision.observed
        for setting, decision in (("min_families", said["families"]), ("min_cluster", said["cluster"]))
        if not decision.passed
    }
    if said["side"].passed and all(tries.values()):
        assert first_failure(proposed(with_alerts(*alerts), **{**changes, **tries}).decisions) is None


@given(
    st.lists(st.builds(alert, st.integers(1, 29), st.sampled_from(Right)), max_size=4),
    st.tuples(st.integers(1, 5), st.integers(1, 4), st.booleans(), st.sampled_from((0.0, 0.02, 0.3))),
)
def test_filters_answer_from_a_recorded_candidate_as_if_it_were_proposed_with_their_settings(
    alerts: list[FlowAlert], values: tuple[int, int, bool, float]
) -> None:
    changes = dict(zip(("min_families", "min_cluster", "long_only", "min_family_contribution"), values, strict=True))
    then, now = proposed(with_alerts(*alerts)), proposed(with_alerts(*alerts), **changes)
    strategy = FlowStrategy({**SETTINGS, **changes})
    assert {name for names in strategy.filter_settings.values() for name in names} == set(changes)
    recorded = replace(candidate(), score=then.score, components=then.components, decisions=then.decisions)
    assert strategy.filtered(recorded) == replace(recorded, decisions=now.decisions, contracts=())


def test_cluster_counts_only_alerts_in_the_direction_of_the_score() -> None:
    late = tuple(replace(alert(n, Right.PUT, bid_premium=Decimal(399_000)), id=f"p{n}") for n in (4, 5))
    facts = with_alerts(*full().alerts[:2], *late)
    assert answers(proposed(facts))["cluster"].observed == 2


def test_wants_are_one_per_symbol_strongest_first_including_refused_ones() -> None:
    weak = replace(with_alerts(), symbol="MSFT")
    view = StrategyView(NOW, ["MSFT", "ZZZZ", "AAPL"], {"AAPL": full(), "MSFT": weak}, tide())
    found = FlowStrategy(SETTINGS).propose(view)
    assert [c.symbol for c in found] == ["AAPL", "MSFT", "ZZZZ"]


def test_component_without_a_weight_is_off_and_needs_no_facts() -> None:
    weights = {"flow": 0.4, "oi_change": 0.6, "iv_rank": 0.0}
    assert [part.name for part in proposed(full(), weights=weights).components] == ["flow", "oi_change"]
    assert FlowStrategy({**SETTINGS, "weights": weights}).needs.facts == {"flow_alerts", "options_volume", "oi_change"}
    assert FlowStrategy({**SETTINGS, "weights": {"dark_pool": 1}}).needs.facts == {"flow_alerts", "dark_pool"}


def test_unknown_component_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match="there is no component 'darkpool'; did you mean dark_pool"):
        FlowStrategy({**SETTINGS, "weights": {"darkpool": 1}})


STRATEGY = FlowStrategy(SETTINGS)


def number(found: ComponentInputs, name: str) -> float:
    return next(float(value.value) for value in found.values if value.name == name)


def recomputed(found: ComponentInputs) -> float | None:
    if found.absent:
        return None

    return evaluate(found.formula, {value.name: float(value.value) for value in found.values})


def explained(facts: SymbolFacts | None, seen: Mapping[str, object]) -> tuple[ComponentInputs, ...]:
    view = StrategyView(NOW, ["AAPL"], {"AAPL": facts} if facts else {}, seen)
    (candidate,) = STRATEGY.propose(view)
    found = STRATEGY.inputs(view, "AAPL")
    assert [part.component for part in found] == [part.name for part in candidate.components]
    for part, component in zip(found, candidate.components, strict=True):
        again = recomputed(part)
        assert (again is None) == (component.value is None), part
        assert again == pytest.approx(component.value or 0.0 if again is not None else None)
    return found


@pytest.mark.parametrize("missing", [(), *((name,) for name in full().known), tuple(full().known)])
def test_each_component_follows_from_its_inputs_by_its_formula(missing: tuple[str, ...]) -> None:
    for right in Right:
        known = full(right)
        explained(known.only(known.known.keys() - set(missing)), tide(right))


def test_absent_component_says_why() -> None:
    assert all(part.absent for part in explained(None, {}))
    assert not any(part.absent for part in explained(full(), tide()))


def test_each_alert_that_counts_is_shown_with_its_time_newest_first() -> None:
    flow = explained(full(), tide())[0]
    shown = [value for value in flow.values if isinstance(value, Input) and value.name.startswith("call 100 ")]
    assert [value.at for value in shown] == [NOW - timedelta(minutes=n) for n in (1, 2, 3)]
    assert {value.value for value in shown} == {Decimal(400_000)}


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


def test_single_saturated_input_makes_no_entry() -> None:
    enormous = tuple(alert(n, ask_premium=Decimal(10) ** 12) for n in (1, 2, 3))
    alone = replace(full(), known={**full().only({"options_volume"}).known, "flow_alerts": enormous})
    found = proposed(alone)
    assert found.components[0].value == pytest.approx(1)
    assert found.score > 0.39
    assert first_failure(found.decisions) is answers(found)["families"]
    said = answers(found)["families"]
    assert (said.reason, said.observed, said.limit) == (Reason.FAMILIES_TOO_FEW, 1, 2)


@pytest.mark.parametrize(("families", "verdict"), [(4, Verdict.PASS), (5, Verdict.FAIL)])
def test_entry_needs_the_configured_number_of_agreeing_families(families: int, verdict: Verdict) -> None:
    # Greek exposure and IV rank only strengthen flow, so six components are four families.
    assert answers(proposed(full(), tide(), min_families=families))["families"].verdict is verdict


def test_family_that_opposes_the_score_or_is_too_small_does_not_count() -> None:
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
def test_another_bullish_alert_never_lowers_the_score(some: list[FlowAlert], sign: int, more: Decimal) -> None:
    facts = with_alerts(*some)
    facts = replace(
        facts, known={**facts.known, "dark_pool": PRINTS.condense([(some[0].at, 1.0, sign)])} if some else facts.known
    )
    bullish = with_alerts(*some, replace(alert(30, ask_premium=more), id="one more"))
    bullish = replace(bullish, known={**facts.known, "flow_alerts": bullish.alerts})
    weights = {"flow": 0.4, "dark_pool": 0.3, "market_tide": 0.3}
    before, after = (proposed(each, tide(), weights=weights).score for each in (facts, bullish))
    assert after >= before - 1e-12


@pytest.mark.parametrize("name", FilterSettings.model_fields)
def test_each_filter_that_can_be_set_is_applied(name: str) -> None:
    assert len(filters_on(DAY, {name: [1]})) == 1


def test_components_with_a_default_weight_have_published_evidence() -> None:
    in_use = there(SHIPPED.strategies.flow).components()
    assert {part.name for part in in_use if not part.evidence} == set()
    assert sum(in_use.values()) == pytest.approx(1)
    assert not any(part.follows for part in in_use)
    assert list(there(SHIPPED.strategies.flow).contradictions()) == []


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"min_premium": 2, "max_premium": 1}, "min_premium 2 is above max_premium 1"),
        ({"min_dte": 46, "max_dte": 45}, "min_dte 46 is above max_dte 45"),
        ({"is_call": True, "is_put": True}, "no alert is both is_call and is_put"),
        ({"min_ask_perc": 1.1}, "less than or equal to 1"),
        ({"is_sweeps": True}, "Extra inputs"),
    ],
)
def test_filters_that_no_alert_can_pass_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        FilterSettings(**values)
