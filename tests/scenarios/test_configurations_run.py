"""A configuration that is accepted runs a session whose books agree; a refused one says why, and the cure works."""

import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.demo import run as demo
from tradebot.app import sandbox
from tradebot.app.settings import load
from tradebot.errors import OperatorError

CHOICES = {
    "LIMITS__MAX_OPEN_POSITIONS": ["1", "2", "40"],
    "LIMITS__MAX_NEW_ENTRIES": ["1", "3"],
    "LIMITS__MAX_ORDER_FRACTION": ["0.001", "0.05", "0.10"],
    "LIMITS__MAX_SYMBOL_FRACTION": ["0.05", "0.10", "0.30"],
    "LIMITS__MAX_GROSS_FRACTION": ["0.30", "0.60", "1.5"],
    "LIMITS__MAX_DAILY_LOSS_FRACTION": ["0.001", "0.02", "0.5"],
    "LIMITS__MIN_SCORE": ["0.01", "0.2"],
    "LIMITS__MIN_COVERAGE": ["0.1", "1"],
    "EXITS__STOP_LOSS_FRACTION": ["0.001", "0.02"],
    "EXITS__TIME_EXIT_S": ["60", "14400"],
    "STRATEGIES__FLOW__MIN_CLUSTER": ["1", "2"],
    "TIMETABLE__TRADE_ONCE": ["every 1m while open", "every 5m from open+2m until close-15m"],
}
configurations = st.fixed_dictionaries(
    {}, optional={f"TRADEBOT_{name}": st.sampled_from(values) for name, values in CHOICES.items()}
)


def refusal(changed: dict[str, str]) -> str:
    """Return why a configuration does not load, with what to do; empty where it does."""
    try:
        load(None, changed)
    except OperatorError as refused:
        return f"{refused.message}; next: {refused.hint}"
    return ""


@settings(max_examples=max(settings().max_examples // 16, 1))
@given(changed=configurations)
def test_an_accepted_configuration_runs_and_its_books_agree(changed: dict[str, str]) -> None:
    if refusal(changed):
        return
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, changed):
        state = Path(folder) / "state"
        try:
            flags = {"mode": "sandbox", "universe": ["AAPL", "MSFT", "NVDA"]}
            report = demo.run(str(state), flags, 15, lambda done, total: None)
            assert (report.exit_code, report.data.differences) == (0, ())
        finally:
            sandbox.stop(state / "exchange")


@pytest.mark.parametrize(
    ("bad", "says", "cure"),
    [
        (
            {"LIMITS__MAX_DAILY_LOSS_FRACTION": "0.01"},
            "loses 0.018 of equity",
            {"STRATEGIES__FLOW__LIMITS__MAX_GROSS_FRACTION": "0.30"},
        ),
        (
            {"LIMITS__MAX_ORDER_FRACTION": "0.3"},
            "max_order_fraction 0.3 is above max_symbol_fraction",
            {"LIMITS__MAX_SYMBOL_FRACTION": "0.3"},
        ),
        (
            {"LIMITS__MAX_NEW_ENTRIES": "21"},
            "max_new_entries 21 is above max_open_positions",
            {
                "LIMITS__MAX_OPEN_POSITIONS": "21",
                "LIMITS__MAX_ORDERS_PER_SECOND": "21",
                "LIMITS__MAX_ORDERS_PER_MINUTE": "21",
            },
        ),
        (
            {"HALTS__DAILY_LOSS_FRACTION": "0.03"},
            "a full book, whose stops and spreads can lose 0.018 more. That is 0.038 of equity",
            {"LIMITS__MAX_DAILY_LOSS_FRACTION": "0.0181", "HALTS__DAILY_LOSS_FRACTION": "0.037"},
        ),
        (
            {"HALTS__DRAWDOWN_FRACTION": "0.04"},
            "such a day would cause the drawdown halt, which doesn't end with the day",
            {"HALTS__DRAWDOWN_FRACTION": "0.041"},
        ),
        ({"LIMITS__MAX_FLOW_AGE_S": "300"}, "max_flow_age_s 300", {"TIMETABLE__FETCH_FLOW": "every 2m while open"}),
        ({"LIMITS__MAX_OPEN_POSITION": "3"}, "did you mean max_open_positions", None),
    ],
)
def test_a_refused_configuration_says_why_and_its_cure_works(
    bad: dict[str, str], says: str, cure: dict[str, str] | None
) -> None:
    broken = {f"TRADEBOT_{name}": value for name, value in bad.items()}
    with pytest.raises(OperatorError) as refused:
        load(None, broken)
    assert says in refused.value.message
    cured = {"TRADEBOT_LIMITS__MAX_OPEN_POSITIONS": "5"} if cure is None else broken | _prefixed(cure)
    assert load(None, cured).settings


def _prefixed(values: dict[str, str]) -> dict[str, str]:
    return {f"TRADEBOT_{name}": value for name, value in values.items()}
