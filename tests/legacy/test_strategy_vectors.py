"""The earlier bot's score: the verified vectors to their rounding, and the faults that are kept on purpose."""

import json
from pathlib import Path
from typing import Any

import pytest

from tradebot.legacy.strategy import LegacyInputs, score, tide_of

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flow" / "golden_scores.json"
SIGNS = {"bullish": 1, "bearish": -1, "neutral": 0}


def inputs_of(given: dict[str, Any]) -> LegacyInputs:
    """Return a vector's inputs: the fields of a record come with its name before them, and what is null is left out."""
    tide = given["tide"] or {}
    if tide.get("rows"):
        tide |= dict(zip(("call_premium_usd", "put_premium_usd"), tide_of(tide["rows"]), strict=True))
    flat: dict[str, Any] = {
        f"{name}_{field}": SIGNS.get(part, part) if field == "direction" else part
        for name, value in given.items()
        if isinstance(value, dict)
        for field, part in value.items()
    }
    flat |= {name: value for name, value in given.items() if not isinstance(value, dict)}
    known = LegacyInputs.__annotations__
    return LegacyInputs(**{name: value for name, value in flat.items() if value is not None and name in known})


def test_score_meets_all_vectors_to_their_rounding() -> None:
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
