"""A price that hardly moved closes an old position."""

from decimal import Decimal

import pytest

from tests.exits.asked import closes, known
from tradebot.exits.kinds.low_movement import LowMovement
from tradebot.exits.lists import parse

D = Decimal


@pytest.mark.parametrize(("movement", "age_s", "said"), [
    ("0.0019", 7200, True), ("0.002", 7200, False), ("0.0019", 7199, False),
])  # fmt: skip
def test_a_price_that_hardly_moved_closes_an_old_position(movement: str, age_s: float, said: bool) -> None:
    rule = LowMovement(movement_fraction=D("0.002"), after_s=7200)
    assert closes(rule, known(age_s=age_s, movement=D(movement))) is said


def test_a_position_that_never_gets_that_old_does_not_load() -> None:
    with pytest.raises(ValueError, match="low_movement's after_s of 60 s is not shorter than time_exit's after_s 60"):
        parse([{"low_movement": {"movement_fraction": 0.01, "after_s": 60}}, {"time_exit": {"after_s": 60}}])
