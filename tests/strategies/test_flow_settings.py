"""The settings of the flow strategy: weights that make a sound score, filters that something can pass."""

from dataclasses import fields
from typing import Any

import pytest
from pydantic import ValidationError

from tests.builders import SHIPPED
from tradebot.model.flow import AlertFilters
from tradebot.strategies.filter_settings import FilterSettings


def test_there_is_a_setting_for_each_filter_and_it_arrives() -> None:
    assert list(FilterSettings.model_fields) == [field.name for field in fields(AlertFilters)]
    assert FilterSettings(issue_types=["ETF"], is_sweep=True).filters() == AlertFilters(
        issue_types=("ETF",), is_sweep=True
    )
    assert FilterSettings().filters() == AlertFilters()


def test_what_counts_by_default_is_what_somebody_has_shown_to_predict() -> None:
    assert SHIPPED.strategies.flow is not None
    in_use = SHIPPED.strategies.flow.components()
    assert {part.name for part in in_use if not part.evidence} == set()
    assert sum(in_use.values()) == pytest.approx(1)
    assert not any(part.follows for part in in_use)
    assert list(SHIPPED.strategies.flow.contradictions()) == []


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
