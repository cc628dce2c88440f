"""Our facts scored as the earlier bot would have: its faults show there, and not in the default."""

from dataclasses import replace
from decimal import Decimal
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW, alert
from tests.strategies.test_flow import SETTINGS, full, proposed, quiet, tide, with_alerts
from tradebot.model.candidate import Side
from tradebot.model.decision import Verdict
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.view import StrategyView
from tradebot.signals.formula import evaluate
from tradebot.strategies.flow import FlowStrategy

SATURATED = alert(0, premium=Decimal(5_000_000), ask_premium=Decimal(2_500_000), bid_premium=Decimal(2_500_000))
"""Five million of premium, as much bought as sold."""
PUT = alert(1, Right.PUT)


def test_one_saturated_input_passes_the_gate_of_old_and_not_ours() -> None:
    alone = replace(quiet(), known={**quiet().known, "flow_alerts": (SATURATED,)})
    old, ours = proposed(alone, scoring="legacy"), proposed(alone)
    assert old.side is Side.BUY
    assert old.score == pytest.approx(2.785 / 8)
    assert old.decisions[0].verdict is Verdict.PASS
    assert old.decisions[0].observed == 2.785
    # The two sides of that premium cancel out, so it says nothing.
    assert ours.score == 0
    assert ours.decisions[0].reason is Reason.NO_DIRECTION


def test_the_score_is_a_magnitude_with_the_sign_of_flow_whatever_the_rest_says() -> None:
    up = proposed(full(), tide(), scoring="legacy")
    down = proposed(with_alerts(PUT), tide(), scoring="legacy")
    assert up.score > 0 > down.score
    assert down.components[0].name == "flow"
    assert sum(part.value or 0.0 for part in up.components) == pytest.approx(up.score)


def test_neutral_flow_was_a_short_and_is_no_trade() -> None:
    found = proposed(quiet(), tide(), scoring="legacy")
    assert (found.score, found.decisions[0].reason) == (0, Reason.NO_DIRECTION)


def test_age_fades_the_whole_score() -> None:
    new, old = (proposed(with_alerts(alert(minutes)), scoring="legacy").score for minutes in (1, 25))
    assert old / new == pytest.approx(exp(-24 / 45))


def test_a_weak_score_is_refused_with_the_threshold_and_a_long_only_bot_buys_only() -> None:
    said = proposed(with_alerts(alert(1)), scoring="legacy").decisions[0]
    assert (said.reason, said.limit) == (Reason.STRATEGY_DECLINED, 2.7)
    said = proposed(with_alerts(PUT), scoring="legacy", long_only=True).decisions[0]
    assert said.reason is Reason.LONG_ONLY


@settings(max_examples=30)
@given(st.lists(st.builds(alert, st.integers(1, 29), st.sampled_from(Right)), max_size=4))
def test_each_part_follows_from_its_inputs_and_stays_in_range(alerts: list[FlowAlert]) -> None:
    strategy = FlowStrategy({**SETTINGS, "scoring": "legacy"})
    view = StrategyView(NOW, ["AAPL"], {"AAPL": with_alerts(*alerts)}, tide())
    (found,), inputs = strategy.propose(view), strategy.inputs(view, "AAPL")
    assert -1 <= found.score <= 1
    for part, of in zip(found.components, inputs, strict=True):
        values = {value.name: float(value.value) for value in of.values}
        assert evaluate(of.formula, values) == pytest.approx(part.value)
