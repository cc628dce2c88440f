"""The earlier bot's score: the verified vectors to their rounding, and the faults that are kept on purpose."""

import json
from pathlib import Path
from typing import Any

import pytest

from tradebot.signals import legacy, legacy_inputs
from tradebot.signals.legacy import score
from tradebot.signals.legacy_inputs import Flow, LegacyInputs

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flow" / "golden_scores.json"
SIGNS = {"bullish": 1, "bearish": -1, "neutral": 0}
RECORDS = {
    "staircase": legacy_inputs.Staircase,
    "congress": legacy_inputs.Congress,
    "short_interest": legacy_inputs.ShortInterest,
    "calendar": legacy_inputs.Calendar,
    "gamma": legacy_inputs.Gamma,
    "fails": legacy_inputs.Fails,
    "open_interest": legacy_inputs.OpenInterest,
    "etf": legacy_inputs.Etf,
    "squeeze": legacy_inputs.Squeeze,
}


def inputs_of(given: dict[str, Any]) -> LegacyInputs:
    """Return a vector's inputs in our words; what is absent stays as it is for whatever has no data."""
    there = {name: signed(value) for name, value in given.items() if value is not None}
    parts: dict[str, Any] = {name: made(**there[name]) for name, made in RECORDS.items() if name in there}
    parts |= {name: there[name] for name in there.keys() & set(LegacyInputs.__annotations__) - RECORDS.keys()}
    for name, made in (("flow", Flow), ("dark_pool", legacy_inputs.DarkPool), ("insider", legacy_inputs.Insider)):
        if name in there:
            parts[name] = made(**there[name])
    if tide := there.get("tide"):
        rows = tide.pop("rows")
        parts["tide"] = legacy.tide_of(rows) if rows else legacy_inputs.Tide(**tide)
    if burst := there.get("burst"):
        parts["burst_updates_per_minute"] = burst["updates_per_minute"]
    if whale := there.get("whale"):
        parts["whale_conviction"] = whale["mean_conviction"]
    parts["sweep_immediate"] = there.get("sweep_block", {}).get("immediate", False)
    return LegacyInputs(**parts)


def signed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: SIGNS[it] if name == "direction" else it for name, it in value.items()}


def test_all_vectors_are_met_to_their_rounding() -> None:
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
