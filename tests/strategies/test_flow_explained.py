"""The inputs that an explanation shows are those that the score was computed from."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import NOW
from tests.strategies.test_flow import SETTINGS, full, tide
from tradebot.model.inputs import ComponentInputs, Input
from tradebot.model.instrument import Right
from tradebot.model.record import SymbolFacts
from tradebot.model.view import StrategyView
from tradebot.signals.formula import evaluate
from tradebot.strategies.flow import FlowStrategy

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


def test_what_is_absent_says_why() -> None:
    assert all(part.absent for part in explained(None, {}))
    assert not any(part.absent for part in explained(full(), tide()))


def test_each_alert_that_counts_is_shown_with_its_time_newest_first() -> None:
    flow = explained(full(), tide())[0]
    shown = [value for value in flow.values if isinstance(value, Input) and value.name.startswith("call 100 ")]
    assert [value.at for value in shown] == [NOW - timedelta(minutes=n) for n in (1, 2, 3)]
    assert {value.value for value in shown} == {Decimal(400_000)}
