"""A drawdown is measured from the best gain, in points of the entry price."""

from decimal import Decimal

import pytest

from tests.builders import held
from tradebot.exits.kinds.drawdown import Drawdown
from tradebot.exits.lists import worst_stop


@pytest.mark.parametrize(
    ("quantity", "best", "before", "price"),
    [
        ("10", "100", "97.01", "97"),
        ("10", "105", "102.01", "102"),
        ("10", "99", "97.01", "97"),  # shares added at a worse price moved the average past the best
        ("-10", "95", "97.99", "98"),
        ("-10", "100", "102.99", "103"),
    ],
)
def test_a_drawdown_is_measured_from_the_best_gain_in_points_of_the_entry_price(
    quantity: str, best: str, before: str, price: str
) -> None:
    rule, of = Drawdown(fraction=Decimal("0.03")), held(quantity, "100", best)
    assert not rule.measure(of, Decimal(before)).closes
    assert rule.measure(of, Decimal(price)).closes
    assert rule.level(of).price == Decimal(price)


def test_a_drawdown_is_a_stop_too() -> None:
    assert worst_stop((Drawdown(fraction=Decimal("0.03")),)) == Decimal("0.03")
