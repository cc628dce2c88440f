"""The urgency of a close: the recorded decisions of the earlier bot that it was taken from, and its two thresholds."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.values import NOW, held, instrument
from tradebot.exits.kind import Held, Measure, Moment
from tradebot.exits.kinds.urgency import Against, Urgency, contributions, urgency_of
from tradebot.exits.lists import parse
from tradebot.model.position import Kept, Outlook
from tradebot.model.values import replace

D = Decimal
GOLDEN = Path(__file__).resolve().parents[4] / "shared" / "data" / "flow" / "golden_exits.json"
RULE = Urgency(reduce_at=3, exit_at=6, reduce_share=D("0.5"))


@pytest.fixture(scope="module")
def vectors() -> list[dict[str, Any]]:
    if not GOLDEN.exists():
        pytest.skip("shared/data absent: flow/golden_exits.json holds the recorded decisions")
    recorded: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    return recorded


def against(inputs: Mapping[str, Any]) -> Against:
    """Return a vector's inputs. What is absent there had a default in the earlier bot; to our rule it is UNKNOWN."""
    entry = 3.0 if inputs["entry_score"] is None else inputs["entry_score"]
    score = entry if inputs["current_score"] is None else inputs["current_score"]
    gain = inputs["pnl_pct"] or 0.0
    return Against(
        score / entry if entry else 1.0,
        gain,
        gain if inputs["high_water_pct"] is None else inputs["high_water_pct"],
        inputs["age_h"] or 0.0,
        inputs["flow_reversed"] or False,
        (inputs["momentum"] or 0.0) * (-1 if inputs["direction"] == "short" else 1),
    )


def action(urgency: float) -> str:
    return "exit" if urgency >= RULE.exit_at else "reduce" if urgency >= RULE.reduce_at else "hold"


def test_every_recorded_vector_has_its_urgency_and_its_action(vectors: list[dict[str, Any]]) -> None:
    assert len(vectors) == 28
    for vector in vectors:
        given, out = against(vector["inputs"]), vector["outputs"]
        urgency = urgency_of(given)
        assert contributions(given) == pytest.approx(out["contributions"], abs=1e-9), vector["name"]
        assert urgency == pytest.approx(out["urgency_unrounded"], abs=1e-9), vector["name"]
        assert (round(urgency, 2), action(urgency)) == (out["urgency"], out["action"]), vector["name"]


def position(quantity: int, *, score: float, best: str, flow: float, momentum: str = "0") -> Held:
    side = 1 if quantity > 0 else -1
    of = held(str(quantity), "100", str(100 + side * (D(best) - 100)), age_s=86_400)
    return replace(
        of,
        kept=Kept(entry_score=side * 0.5, original_quantity=D(10), instrument=instrument()),
        outlook=Outlook((side * score,), flow=side * flow, momentum=side * D(momentum)),
    )


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("quantity", "score", "best", "flow", "closes", "shares", "urgency"),
    [
        (10, 0.2, "105", -0.1, True, None, 6.0),
        (10, 0.202, "105", -0.1, True, 5, 5.996),
        (10, 0.2, "100", -0.1, True, 5, 3.0),
        (10, 0.202, "100", -0.1, False, 5, 2.996),
        (7, 0.2, "100", -0.1, True, 2, 3.0),
        (5, 0.2, "100", -0.1, False, 0, 3.0),  # the part was closed before
    ],
)
def test_urgency_closes_everything_at_one_threshold_and_a_part_once_at_the_other(
    side: int, quantity: int, score: float, best: str, flow: float, closes: bool, shares: int | None, urgency: float
) -> None:
    of = position(side * quantity, score=score, best=best, flow=flow)
    measure = RULE.judge(of, Moment(NOW, D(100 + side) if best == "105" else D(100)))
    assert isinstance(measure, Measure)
    assert (measure.closes, measure.shares) == (closes, shares)
    assert measure.observed == pytest.approx(urgency)


def test_the_part_that_urgency_closes_is_rounded_down_to_whole_shares() -> None:
    of = position(9, score=0.2, best="100", flow=-0.1)
    measure = RULE.judge(replace(of, kept=replace(of.kept, original_quantity=D(9))), Moment(NOW, D(100)))
    assert isinstance(measure, Measure)
    assert (measure.closes, measure.shares) == (True, Decimal(4))


def test_urgency_takes_momentum_in_percent_and_against_the_position() -> None:
    of = position(10, score=0.5, best="100", flow=0.0, momentum="-0.02")
    measure = RULE.judge(of, Moment(NOW, D(100)))
    assert isinstance(measure, Measure)
    assert measure.observed == pytest.approx(2.6)


def test_a_reduction_at_the_exit_does_not_load() -> None:
    with pytest.raises(ValueError, match="must be above reduce_at"):
        parse([{"urgency": {"reduce_at": 6, "exit_at": 6, "reduce_share": 0.5}}])
