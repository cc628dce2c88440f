"""Components: value, inputs and explanation follow from one declaration."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from tests.kit.values import DAY, NOW, ago, known
from tradebot.model.candidate import Input
from tradebot.model.struct_tools import replace
from tradebot.signals.scoring import NumberFormat, ScoreComponent, ScoringInputs, still_counts
from tradebot.signals.subjects.volatility import IV_RANK_KIND

HOUR = replace(IV_RANK_KIND, max_age_s=3600)


def test_time_counts_until_it_is_older_than_the_limit() -> None:
    assert still_counts(HOUR, ago(3600), NOW)
    assert not still_counts(HOUR, ago(3601), NOW)


def test_age_of_a_date_is_counted_from_its_end_in_new_york() -> None:
    end = datetime(2026, 11, 17, 5, tzinfo=UTC)
    assert still_counts(HOUR, DAY, NOW)
    assert still_counts(HOUR, DAY, end + timedelta(hours=1))
    assert not still_counts(HOUR, DAY, end + timedelta(hours=1, seconds=1))


def test_fact_of_any_age_counts_without_a_limit() -> None:
    assert still_counts(replace(IV_RANK_KIND, max_age_s=None), DAY - timedelta(days=4000), NOW)


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


def test_value_of_a_component_that_follows_is_a_share_of_the_flow() -> None:
    assert value(Facts(1.0, 2.0), flow=-0.5) == -0.25


def test_value_of_zero_has_no_sign() -> None:
    assert str(value(Facts(0.0, 2.0), flow=-0.5)) == "0.0"


@pytest.mark.parametrize(
    ("facts", "flow"),
    [(None, 0.5), (Facts(None, 2.0), 0.5), (Facts(1.0, 0.0), 0.5), (Facts(1.0, 2.0), 0.0), (Facts(1.0, 2.0), None)],
)
def test_value_is_absent_without_facts_or_a_number_or_a_result_or_a_flow(
    facts: Facts | None, flow: float | None
) -> None:
    assert value(facts, flow) is None


def test_inputs_are_the_shown_numbers_that_are_known() -> None:
    shown = [(each.name, each.value, each.unit) for each in declared(Facts(None, 2.0)).inputs(known())]
    assert shown == [("whole", 2.0, "USD"), ("seen", 3, "facts")]


def test_flow_is_an_input_of_a_component_that_follows_it_if_there_is_one() -> None:
    def inputs(of: ScoringInputs) -> list[Input]:
        return list(declared(None, "flow").inputs(of))

    assert [(each.name, each.value) for each in inputs(known(flow=0.0))] == [("flow", 0.0)]
    assert inputs(known(flow=None)) == []


def test_value_that_was_computed_before_is_not_computed_again() -> None:
    def fail(known: ScoringInputs) -> object:
        raise AssertionError("looked at")

    ready = replace(declared(None), looks_at=fail, computed=lambda known: known.flow)
    assert ready.value(known(flow=0.25)) == 0.25
