"""The settings of the flow strategy: weights that make a sound score, filters that something can pass."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.kit.values import DAY, SHIPPED, there
from tradebot.signals.filters import filters_on
from tradebot.strategies.flow_settings import FilterSettings


def test_filters_are_those_that_are_set() -> None:
    assert FilterSettings(issue_types=["ETF"], is_sweep=False).filters() == {"issue_types": ["ETF"], "is_sweep": False}
    assert FilterSettings().filters() == {}


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
