"""A position is stale if it is old and went nowhere."""

from decimal import Decimal

import pytest

from tests.builders import NOW, held
from tradebot.exits.kind import Measure, Moment
from tradebot.exits.kinds.stale import Stale
from tradebot.exits.lists import parse

DAY_S = 86_400


@pytest.mark.parametrize(
    ("age_s", "price", "closes"),
    [
        (14 * DAY_S, "102.9", True),
        (14 * DAY_S, "97.1", True),
        (14 * DAY_S, "103", False),
        (14 * DAY_S, "97", False),
        (14 * DAY_S - 1, "100", False),
    ],
)
def test_a_position_is_stale_if_it_is_old_and_went_nowhere(age_s: float, price: str, closes: bool) -> None:
    rule = Stale(after_days=14, gain_fraction=Decimal("0.03"))
    for quantity in ("10", "-10"):
        answer = rule.judge(held(quantity, age_s=age_s), Moment(NOW, Decimal(price)))
        assert isinstance(answer, Measure)
        assert answer.closes is closes


def test_a_position_that_is_never_so_old_can_not_be_stale() -> None:
    with pytest.raises(ValueError, match="stale's after_days of 86400 s is not shorter"):
        parse([{"stale": {"after_days": 1, "gain_fraction": 0.03}}, {"time_exit": {"after_s": DAY_S}}])
