"""Components: value, inputs and explanation follow from one declaration.

Formulas: what a person reads is what a program computes.
"""

from datetime import UTC, datetime, timedelta
from math import tanh
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import DAY, NOW, ago, known
from tradebot.model.struct_tools import replace
from tradebot.signals.components import component_names, component_of
from tradebot.signals.scoring import NumberFormat, ScoreComponent, ScoringInputs, evaluate, is_fresh, names
from tradebot.signals.subjects.volatility import IV_RANK_KIND

HOUR = replace(IV_RANK_KIND, max_age_s=3600)


def test_time_counts_until_it_is_older_than_the_limit_and_a_date_from_its_end_in_new_york() -> None:
    assert is_fresh(HOUR, ago(3600), NOW)
    assert not is_fresh(HOUR, ago(3601), NOW)
    end = datetime(2026, 11, 17, 5, tzinfo=UTC)
    assert is_fresh(HOUR, DAY, NOW)
    assert is_fresh(HOUR, DAY, end + timedelta(hours=1))
    assert not is_fresh(HOUR, DAY, end + timedelta(hours=1, seconds=1))
    assert is_fresh(replace(IV_RANK_KIND, max_age_s=None), DAY - timedelta(days=4000), NOW)


class Facts(NamedTuple):
    part: float | None
    whole: float
    seen: int = 3


def declared(facts: Facts | None, follows: str = "", formula: str = "part / whole") -> ScoreComponent:
    return ScoreComponent(
        name="example",
        family="examples",
        follows=follows,
        reads=(),
        sign="bullish",
        looks_at=lambda known: facts,
        shows={"part": NumberFormat("USD"), "whole": NumberFormat("USD"), "seen": NumberFormat("facts")},
        formula=formula,
        absent="nothing known",
        source=lambda known: "examples",
    )


def value(facts: Facts | None, flow: float | None = 0.5) -> float | None:
    return declared(facts, "flow", "flow * part / whole").value(known(flow=flow))


def test_value_of_a_component_that_follows_is_a_share_of_the_flow_or_absent_if_part_of_it_is() -> None:
    assert value(Facts(1.0, 2.0), flow=-0.5) == -0.25
    assert str(value(Facts(0.0, 2.0), flow=-0.5)) == "0.0", "zero has no sign"
    assert [value(facts) for facts in (None, Facts(None, 2.0), Facts(1.0, 0.0))] == [None] * 3
    assert [value(Facts(1.0, 2.0), flow) for flow in (0.0, None)] == [None] * 2


def test_inputs_are_the_shown_numbers_that_are_known_and_the_flow_that_is_followed() -> None:
    shown = [(each.name, each.value, each.unit) for each in declared(Facts(None, 2.0)).inputs(known())]
    assert shown == [("whole", 2.0, "USD"), ("seen", 3, "facts")]
    followed = [[*declared(None, "flow").inputs(known(flow=flow))] for flow in (0.0, None)]
    assert [[(each.name, each.value) for each in inputs] for inputs in followed] == [[("flow", 0.0)], []]


def test_value_that_was_computed_before_is_not_computed_again() -> None:
    def fail(known: ScoringInputs) -> object:
        raise AssertionError("looked at")

    ready = replace(declared(None), looks_at=fail, computed=lambda known: known.flow)
    assert ready.value(known(flow=0.25)) == 0.25


numbers = st.floats(-1e6, 1e6)


@given(a=numbers, b=numbers)
def test_formula_computes_as_python_does(a: float, b: float) -> None:
    given = {"a": a, "b": b}
    assert evaluate("a + 2 * b - -a", given) == a + 2 * b - -a
    assert evaluate("a / b if b else 0", given) == (a / b if b else 0)
    assert evaluate("clamp(tanh(a), -0.5, max(b, 0.5)) * sign(b)", given) == max(-0.5, min(max(b, 0.5), tanh(a))) * (
        (b > 0) - (b < 0)
    )


@pytest.mark.parametrize(
    "text", ["a +", "a.b", "open('x')", "[a]", "'a'", "lambda: 1", "a[0]", "min(a, key=a)", "a and a"]
)
def test_text_that_is_no_formula_is_refused_and_an_unknown_input_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        evaluate(text, {"a": 1.0})
    with pytest.raises(KeyError, match="missing"):
        evaluate("missing + 1", {})


def test_formula_of_every_component_reads_inputs() -> None:
    assert all(names(component_of(name).formula) for name in component_names())
