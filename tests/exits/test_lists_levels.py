"""The levels that rest at the venue: where the rules act, tightening only, and never for more shares than are held."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW, held, quote
from tradebot.exits.held import Held, best_price
from tradebot.exits.lists import Exits, levels, parse
from tradebot.exits.rules import met
from tradebot.model.position import Kept
from tradebot.model.values import replace

D = Decimal
LEVELS = [{"fraction": 0.02, "share": 0.3}, {"fraction": 0.05, "share": 0.3}, {"fraction": 0.10, "share": 0.4}]
STOPS = parse(
    [
        {"stop_loss": {"fraction": 0.05}},
        {"trailing_stop": {"fraction": 0.02, "arm_fraction": 0.03}},
        {"drawdown": {"fraction": 0.04}},
        {"time_exit": {"after_s": 900_000}},
    ]
)
PRICES = st.lists(st.decimals("80", "125", places=2), min_size=1, max_size=12)
SIDES = st.sampled_from(["10", "-10"])


def at_best(quantity: str, best: Decimal) -> Held:
    return replace(held(quantity, "100", str(best)), kept=Kept(original_quantity=D(10)))


@given(PRICES, SIDES, st.lists(st.sampled_from(STOPS), unique=True).map(tuple))
def test_the_stop_never_moves_away_from_profit(prices: list[Decimal], quantity: str, rules: Exits) -> None:
    best, before = None, None
    for price in prices:
        of = held(quantity)
        best = best_price(of.position, quote(bid=str(price), ask=str(price), at=NOW), best)
        stop = levels(at_best(quantity, best), rules).stop
        assert before is None or stop is not None, "a stop that was there is gone"
        if stop is not None:
            assert before is None or of.direction * stop >= of.direction * before
            before = stop


@given(PRICES, SIDES)
def test_a_rule_closes_at_the_stop_and_none_just_before_it(prices: list[Decimal], quantity: str) -> None:
    side = 1 if D(quantity) > 0 else -1
    of = at_best(quantity, 100 + side * (max(*prices, D(100)) - 100))
    stop = levels(of, STOPS).stop
    assert stop is not None
    hair = side * D("0.000001")
    assert met(of, stop - hair, STOPS) is not None
    assert met(of, stop + hair, STOPS) is None


def test_a_list_without_a_stop_in_force_rests_none() -> None:
    assert levels(at_best("10", D(100)), ()).stop is None
    unarmed = parse([{"trailing_stop": {"fraction": 0.02, "arm_fraction": 0.03}}])
    assert levels(at_best("10", D("102.99")), unarmed).stop is None
    assert levels(at_best("10", D("103")), unarmed).stop == D("100.94")


@pytest.mark.parametrize(("quantity", "sign"), [("10", 1), ("-10", -1)])
def test_the_targets_are_those_of_all_rules_with_no_more_shares_than_are_left(quantity: str, sign: int) -> None:
    rules = parse([{"scale_out": {"levels": LEVELS[:2]}}, {"profit_target": {"fraction": 0.08}}])
    assert levels(at_best(quantity, D(100)), rules).targets == (
        (100 + sign * D(2), D(3), "scale_out"),
        (100 + sign * D(5), D(3), "scale_out"),
        (100 + sign * D(8), D(4), "profit_target"),
    )
    whole = parse([{"scale_out": {"levels": LEVELS}}])
    assert [target.shares for target in levels(at_best(quantity, D(100)), whole).targets] == [3, 3, 4]
