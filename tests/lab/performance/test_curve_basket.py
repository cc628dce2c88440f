"""A universe held in equal parts: bought once at the opens of a day, for what that costs."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.kit.values import there
from tradebot.lab.performance.curve import BenchmarkPrices, entry_cost, held_in_equal_parts
from tradebot.model.costs import CostModel

FIRST = date(2026, 11, 16)
DAYS = [FIRST + timedelta(days=number) for number in range(3)]


def coin(opened: float, *closes: float | None, since: date = FIRST) -> BenchmarkPrices:
    return BenchmarkPrices("X", {day: each for day, each in zip(DAYS, closes, strict=False) if each}, {since: opened})


def test_each_coin_takes_an_equal_part_and_is_never_bought_or_sold_again() -> None:
    prices = {"A": coin(100, 110, 200, 50), "B": coin(0.0001, 0.0001, 0.0001, 0.00015)}
    held = there(held_in_equal_parts(prices, FIRST, 0.01))
    assert held.opens == {FIRST: 1.0}
    assert held.closes == pytest.approx({DAYS[0]: 0.99 * 1.05, DAYS[1]: 0.99 * 1.5, DAYS[2]: 0.99 * 1.0})
    assert held.symbol == "2 coins"
    assert "for 1.00% of fees and slippage" in held.how


def test_coin_that_was_not_there_yet_is_left_out_and_one_that_ends_keeps_its_last_price() -> None:
    prices = {"A": coin(10, 11, None, 12), "B": coin(10, 20, 20, 20, since=DAYS[1]), "C": coin(10, 10, 12)}
    held = there(held_in_equal_parts(prices, FIRST, 0.0))
    assert held.closes == pytest.approx({DAYS[0]: 1.05, DAYS[1]: 1.15, DAYS[2]: 1.2})
    assert held.symbol == "2 coins"
    assert held.how.endswith("1 other had no price that day.")
    assert "without costs" in held.how
    assert held_in_equal_parts({"B": prices["B"], "D": coin(float("nan"), 1)}, FIRST, 0.0) is None


def test_buying_costs_the_highest_that_a_strategy_assumes() -> None:
    models = [None, CostModel(Decimal(5), Decimal(2), Decimal(2)), CostModel(Decimal(4), Decimal(9), Decimal(1))]
    assert entry_cost(models) == pytest.approx(0.0007)
    assert entry_cost([None]) == 0
