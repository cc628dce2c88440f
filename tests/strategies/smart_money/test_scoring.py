"""Points of a setup, with the worked examples of the specification."""

import pytest
from pydantic import ValidationError

from tradebot.strategies.smart_money.scoring import Lean, RangeZone, SetupEvidence, components, points, total
from tradebot.strategies.smart_money.settings import PointsSettings

RULES = PointsSettings()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (SetupEvidence(True, False, False, RangeZone.ZONE, Lean.ALIGNED, 27, 15), 70),
        (SetupEvidence(True, False, False, RangeZone.LEVEL, Lean.ALIGNED, 27, 15), 65),
        (SetupEvidence(True, False, False, RangeZone.NOWHERE, Lean.ALIGNED, 27, 15), 55),
        (SetupEvidence(False, True, False, RangeZone.ZONE, Lean.NEUTRAL, 31, 15), 60),
        (SetupEvidence(False, False, True, RangeZone.LEVEL, Lean.ALIGNED, 30, 15), 64),
        (SetupEvidence(False, False, True, RangeZone.NOWHERE, Lean.ALIGNED, 30, 15), 54),
        (SetupEvidence(True, True, True, RangeZone.ZONE, Lean.ALIGNED, 41, 9), 95),
        (SetupEvidence(True, True, True, RangeZone.ZONE, Lean.ALIGNED, 41, 9, tolerated=True), 90),
        (SetupEvidence(True, True, True, RangeZone.ZONE, Lean.ALIGNED, 41, 9, weekly_points=18), 77),
        (SetupEvidence(False, False, False, RangeZone.EXTENSION, Lean.COUNTER, None, 50), 10),
        (SetupEvidence(False, False, False, RangeZone.EXTENSION, Lean.COUNTER, None, None), 5),
        (SetupEvidence(False, False, False, RangeZone.NOWHERE, Lean.COUNTER, 19.9, 50.1, tolerated=True), 0),
    ],
)
def test_points_of_the_worked_examples(found: SetupEvidence, expected: int) -> None:
    assert total(points(found, RULES)) == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_components_add_up_to_the_points_of_a_hundred_with_the_sign_of_the_side(sign: int) -> None:
    parts = points(SetupEvidence(True, False, True, RangeZone.LEVEL, Lean.NEUTRAL, 33, 22, tolerated=True), RULES)
    made = components(parts, RULES, sign)
    assert sum(one.weight for one in made) == 100
    score = sum((one.value or 0.0) * one.weight for one in made) / 100
    assert score == pytest.approx(sign * total(parts) / 100)


def test_points_that_do_not_add_up_to_a_hundred_are_refused() -> None:
    with pytest.raises(ValidationError, match="must add up to 100 with tolerance, not 99"):
        PointsSettings(gap=7)
    with pytest.raises(ValidationError, match="gives more points for a part of fib than its maximum of 15"):
        PointsSettings(fib_level=16)
