"""Insider: purchases count in full, sales a quarter."""

import pytest

from tests.builders import DAY, known, known_of
from tradebot.signals.components.insider import COMPONENT
from tradebot.signals.kinds.insider import KIND, InsiderFacts


@pytest.mark.parametrize(
    ("buyers", "sellers", "value"), [(3, 0, 1.0), (0, 8, -0.25), (2, 2, 0.375), (1, 4, 0.0), (0, 0, None)]
)
def test_insiders_who_buy_count_four_times_as_much_as_those_who_sell(
    buyers: int, sellers: int, value: float | None
) -> None:
    assert COMPONENT.value(known_of(KIND, InsiderFacts(buyers, sellers, DAY))) == value


def test_without_a_trade_it_is_absent() -> None:
    assert COMPONENT.value(known()) is None
    assert list(COMPONENT.inputs(known())) == []
