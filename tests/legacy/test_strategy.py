"""Our facts scored as the earlier bot would have: its faults show there, and not in the default.

The earlier bot's score: the verified vectors to their rounding, and the faults that are kept on purpose.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from math import exp
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.values import NOW, alert, there
from tests.strategies.test_flow import NO_TIDE, SETTINGS, full, proposed, quiet, tide, with_alerts
from tradebot.app.settings import load, shipped_path
from tradebot.legacy.strategy import LegacyInputs, LegacyStrategy, score, tide_of
from tradebot.model.candidate import Side
from tradebot.model.decision import Verdict, first_failure
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.model.view import Open, StrategyView
from tradebot.signals.scoring import evaluate

SATURATED = alert(0, premium=Decimal(5_000_000), ask_premium=Decimal(2_500_000), bid_premium=Decimal(2_500_000))
"""Five million of premium, as much bought as sold."""
PUT = alert(1, Right.PUT)


def scored(facts: SymbolFacts, seen: Mapping[str, object] = NO_TIDE, **changes: object) -> Open:
    (found,) = LegacyStrategy({**SETTINGS, **changes}).propose(StrategyView(NOW, ["AAPL"], {"AAPL": facts}, seen))
    return found


def test_saturated_flow_alone_passes_the_earlier_gate_but_not_ours() -> None:
    alone = replace(quiet(), known={**quiet().known, "flow_alerts": (SATURATED,)})
    old, ours = scored(alone), proposed(alone)
    assert old.side is Side.BUY
    assert old.score == pytest.approx(2.785 / 8)
    assert all(each.verdict is Verdict.PASS for each in old.decisions)
    assert old.decisions[1].observed == 2.785
    # The two sides of that premium cancel out, so it says nothing.
    assert ours.score == 0
    assert ours.decisions[0].reason is Reason.NO_DIRECTION


def test_score_takes_its_sign_from_flow_alone() -> None:
    up = scored(full(), tide())
    down = scored(with_alerts(PUT), tide())
    assert up.score > 0 > down.score
    assert down.components[0].name == "flow"
    assert sum(part.value or 0.0 for part in up.components) == pytest.approx(up.score)


def test_neutral_flow_has_no_direction_and_is_refused() -> None:
    found = scored(quiet(), tide())
    assert (found.score, found.decisions[0].reason) == (0, Reason.NO_DIRECTION)


def test_score_fades_with_the_age_of_the_newest_alert() -> None:
    new, old = (scored(with_alerts(alert(minutes))).score for minutes in (1, 25))
    assert old / new == pytest.approx(exp(-24 / 45))


def test_each_of_its_conditions_answers_also_after_another_has_refused() -> None:
    said = scored(with_alerts(alert(60)), lookback_s=7200).decisions
    assert [each.about for each in said] == ["side", "threshold", "toxicity", "freshness"]
    assert [each.passed for each in said] == [True, False, True, False]
    assert said[3].observed == pytest.approx(exp(-60 / 45))


def test_weak_score_is_refused_with_the_threshold_and_a_bearish_one_by_long_only() -> None:
    said = there(first_failure(scored(with_alerts(alert(1))).decisions))
    assert (said.reason, said.limit) == (Reason.STRATEGY_DECLINED, 2.7)
    said = there(first_failure(scored(with_alerts(PUT), long_only=True).decisions))
    assert said.reason is Reason.LONG_ONLY


@settings(max_examples=30)
@given(st.lists(st.builds(alert, st.integers(1, 29), st.sampled_from(Right)), max_size=4))
def test_each_component_follows_from_its_inputs_and_stays_in_range(alerts: list[FlowAlert]) -> None:
    strategy = LegacyStrategy(SETTINGS)
    view = StrategyView(NOW, ["AAPL"], {"AAPL": with_alerts(*alerts)}, tide())
    (found,), inputs = strategy.propose(view), strategy.inputs(view, "AAPL")
    assert -1 <= found.score <= 1
    for part, of in zip(found.components, inputs, strict=True):
        values = {value.name: float(value.value) for value in of.values}
        assert evaluate(of.formula, values) == pytest.approx(part.value)


def test_profile_makes_the_flow_section_score_as_the_earlier_bot_did_with_the_facts_that_it_read() -> None:
    strategies = load(shipped_path("profiles") / "legacy.yaml", {}).settings.strategies
    assert strategies.installed_as() == {"flow": "legacy"}
    needed = {"flow_alerts", "dark_pool", "greek_exposure", "iv_rank", "market_tide", "oi_change", "options_volume"}
    assert LegacyStrategy(strategies.in_use()["flow"]).needs.facts == needed


VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flow" / "golden_scores.json"
SIGNS = {"bullish": 1, "bearish": -1, "neutral": 0}


def inputs_of(given: dict[str, Any]) -> LegacyInputs:
    """Return a vector's inputs: the fields of a record come with its name before them, and what is null is left out."""
    tide = given["tide"] or {}
    if tide.get("rows"):
        tide |= dict(zip(("call_premium_usd", "put_premium_usd"), tide_of(tide["rows"]), strict=True))
    flat: dict[str, Any] = {
        f"{name}_{field}": SIGNS.get(part, part) if field == "direction" else part
        for name, value in given.items()
        if isinstance(value, dict)
        for field, part in value.items()
    }
    flat |= {name: value for name, value in given.items() if not isinstance(value, dict)}
    known = LegacyInputs.__annotations__
    return LegacyInputs(**{name: value for name, value in flat.items() if value is not None and name in known})


def test_score_meets_all_vectors_to_their_rounding() -> None:
    if not VECTORS.exists():
        pytest.skip("shared/data absent: flow/golden_scores.json holds the verified vectors")
    vectors = json.loads(VECTORS.read_text())["vectors"]
    assert len(vectors) == 124
    for vector in vectors:
        found, expected = score(inputs_of(vector["inputs"])), vector["outputs"]
        assert {name: round(value, 3) for name, value in found.rows.items()} == expected["components"], vector["name"]
        assert found.rows == pytest.approx(expected["components_unrounded"], abs=1e-9), vector["name"]
        assert found.unrounded == pytest.approx(expected["score_unrounded"], abs=1e-9), vector["name"]
        assert (
            found.score,
            round(found.sizing_overlay, 3),
            found.quantity(100),
            found.entry_delay_s,
            found.passes,
        ) == tuple(
            expected[name] for name in ("score", "sizing_overlay", "quantity_of_100", "entry_delay_s", "gate_base")
        ), vector["name"]
