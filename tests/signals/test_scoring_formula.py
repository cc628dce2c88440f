"""Formulas: what a person reads is what a program computes."""

from math import tanh

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.signals.components import component_names, component_of
from tradebot.signals.scoring import evaluate, names

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
def test_text_that_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        evaluate(text, {"a": 1.0})


def test_unknown_input_is_named_in_the_error() -> None:
    with pytest.raises(KeyError, match="missing"):
        evaluate("missing + 1", {})


def test_formula_of_every_component_reads_inputs() -> None:
    assert all(names(component_of(name).formula) for name in component_names())
