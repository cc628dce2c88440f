"""A trailing stop sees the gain that arms it and the pullback from the best price, on either side."""

from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import held
from tradebot.exits.kinds.profit_target import ProfitTarget
from tradebot.exits.kinds.scale_out import Level, ScaleOut
from tradebot.exits.kinds.stop_loss import StopLoss
from tradebot.exits.kinds.trailing_stop import TrailingStop
from tradebot.exits.rules import met

fractions = st.decimals("0.001", "0.5", places=3)
moves = st.lists(st.decimals("0", "0.02", places=3), min_size=1, max_size=12)


@given(moves=moves, fraction=fractions, arm=fractions)
def test_the_same_gain_and_pullback_decide_the_same_for_a_long_and_a_short(
    moves: list[Decimal], fraction: Decimal, arm: Decimal
) -> None:
    rules = (TrailingStop(fraction=fraction, arm_fraction=arm),)
    for best, pullback in zip(accumulate(moves), moves, strict=True):
        long, short = held("10", best=str(100 * (1 + best))), held("-10", best=str(100 * (1 - best)))
        closes = met(long, long.best * (1 - pullback), rules)
        assert met(short, short.best * (1 + pullback), rules) is closes
        assert (closes is not None) == (best >= arm and pullback >= fraction)


def test_the_last_level_of_a_scale_out_is_a_target_too_and_the_nearer_one_counts() -> None:
    rule = TrailingStop(fraction=Decimal("0.01"), arm_fraction=Decimal("0.02"))
    for share, never in (("0.5", False), ("1", True)):
        parts = ScaleOut(levels=(Level(fraction=Decimal("0.02"), share=Decimal(share)),))
        assert (rule.contradiction((rule, ProfitTarget(fraction=Decimal("0.05")), parts)) is not None) is never


@pytest.mark.parametrize(("target", "never"), [("0.01", True), ("0.011", False)])
def test_it_contradicts_a_target_that_closes_before_it_is_armed(target: str, never: bool) -> None:
    rule = TrailingStop(fraction=Decimal("0.01"), arm_fraction=Decimal("0.01"))
    others = (StopLoss(fraction=Decimal("0.005")), rule, ProfitTarget(fraction=Decimal(target)))
    assert (rule.contradiction(others) is not None) is never
