"""Filters by the source's own parameter names, over stored alerts."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import DAY, alert
from tradebot.model.flow import Filters, FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.struct_tools import replace
from tradebot.signals.filters import filters_on, select_alerts
from tradebot.strategies.flow_settings import FilterSettings

EVERYTHING = alert(
    1,
    Right.CALL,
    ask_premium=Decimal(300_000),
    bid_premium=Decimal(100_000),
    size=600,
    opening=True,
    issue_type="Common Stock",
    rule="RepeatedHits",
    underlying_price=Decimal(95),
    has_sweep=True,
)
"""A call of 400,000 USD, ten days out, out of the money; volume 1,000 over an open interest of 500."""


def passes(one: FlowAlert, **filters: Any) -> bool:
    return bool(select_alerts([one], filters_on(DAY, filters)).alerts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("premium", 400_000),
        ("dte", 10),
        ("size", 600),
        ("volume", 1000),
        ("open_interest", 500),
        ("volume_oi_ratio", 2.0),
        ("ask_perc", 0.75),
        ("bid_perc", 0.25),
    ],
)
def test_bound_passes_its_own_value_and_nothing_beyond(name: str, value: float) -> None:
    step = 0.01 if isinstance(value, float) else 1
    assert passes(EVERYTHING, **{f"min_{name}": value, f"max_{name}": value})
    assert not passes(EVERYTHING, **{f"min_{name}": value + step})
    assert not passes(EVERYTHING, **{f"max_{name}": value - step})


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("all_opening", {"opening": False}),
        ("is_sweep", {"has_sweep": False}),
        ("is_otm", {"underlying_price": Decimal(105)}),
        ("is_call", {"right": Right.PUT}),
        ("is_ask_side", {"ask_premium": Decimal(0)}),
        ("vol_greater_oi", {"volume": 500}),
        ("size_greater_oi", {"size": 500}),
    ],
)
def test_flag_keeps_or_excludes_such_alerts(name: str, changed: dict[str, Any]) -> None:
    other = replace(EVERYTHING, **changed)
    found = [passes(one, **{name: flag}) for one, flag in product((EVERYTHING, other), (True, False))]
    assert found == [True, False, False, True]


def test_flags_and_word_lists_choose_alerts() -> None:
    assert not any(passes(EVERYTHING, **{name: True}) for name in ("is_floor", "is_multi_leg", "is_bid_side", "is_put"))
    assert passes(EVERYTHING, issue_types=("ETF", "Common Stock"), rule_name=("RepeatedHits",))
    assert not passes(EVERYTHING, issue_types=("ETF",))
    assert not passes(EVERYTHING, rule_name=("FloorTradeSmallCap",))


def test_open_interest_of_zero_counts_as_one_in_the_ratio() -> None:
    fresh = replace(EVERYTHING, volume=7, open_interest=0)
    assert passes(fresh, min_volume_oi_ratio=7)
    assert not passes(fresh, min_volume_oi_ratio=10)


@pytest.mark.parametrize(
    ("lacks", "filters"),
    [
        ({"opening": None}, {"all_opening": True}),
        ({"opening": None}, {"all_opening": False}),
        ({"size": None}, {"min_size": 1}),
        ({"size": None}, {"size_greater_oi": False}),
        ({"underlying_price": None}, {"is_otm": True}),
        ({"issue_type": None}, {"issue_types": ("Common Stock",)}),
        ({"rule": ""}, {"rule_name": ("RepeatedHits",)}),
    ],
)
def test_alert_that_lacks_a_filtered_field_counts_as_refused(lacks: dict[str, Any], filters: dict[str, Any]) -> None:
    found = select_alerts([EVERYTHING, replace(EVERYTHING, **lacks)], filters_on(DAY, filters))
    assert len(found.alerts) <= 1
    assert found.lacking == 1
    # What another filter refuses anyway lacks nothing.
    dearer = filters_on(DAY, {**filters, "min_premium": 1e9})
    assert select_alerts([replace(EVERYTHING, **lacks)], dearer).lacking == 0


words = st.one_of(st.none(), st.sampled_from(["Common Stock", "ETF"]))
alerts = st.builds(
    alert,
    st.integers(1, 20),
    st.sampled_from(Right),
    ask_premium=st.integers(0, 400_000).map(Decimal),
    bid_premium=st.integers(0, 400_000).map(Decimal),
    volume=st.integers(0, 2000),
    open_interest=st.integers(0, 2000),
    size=st.none() | st.integers(0, 2000),
    opening=st.none() | st.booleans(),
    issue_type=words,
    underlying_price=st.none() | st.integers(50, 150).map(Decimal),
    has_sweep=st.booleans(),
    expiry=st.integers(-1, 60).map(lambda days: DAY + timedelta(days=days)),
)
FLAGS = [name for name, field in FilterSettings.model_fields.items() if field.annotation == bool | None]
some_filters = st.fixed_dictionaries(
    {},
    optional={
        "min_premium": st.integers(0, 400_000),
        "max_dte": st.integers(0, 60),
        "min_volume_oi_ratio": st.floats(0, 5),
        **{name: st.booleans() for name in FLAGS},
    },
)


@given(st.lists(alerts, max_size=6), some_filters, some_filters)
def test_filters_judge_each_alert_alone_and_more_filters_never_pass_more(
    rows: list[FlowAlert], filters: Filters, others: Filters
) -> None:
    passed = select_alerts(rows, filters_on(DAY, filters)).alerts
    assert list(passed) == [row for row in rows if select_alerts([row], filters_on(DAY, filters)).alerts]
    both = {**others, **filters}
    assert all(row in passed for row in select_alerts(rows, filters_on(DAY, both)).alerts)


def test_days_to_expiry_are_counted_from_the_day_of_the_decision() -> None:
    assert passes(replace(EVERYTHING, expiry=date(2026, 11, 16)), max_dte=0)
