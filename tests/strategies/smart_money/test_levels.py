"""Stops and targets of a setup, with the worked examples of the specification."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.kit.values import there
from tradebot.signals.structures.structures import ReadingKind
from tradebot.strategies.smart_money.levels import Setup, SetupLevels, levels, stop_multiple
from tradebot.strategies.smart_money.settings import SetupRegime, SmartMoneySettings

RULES = SmartMoneySettings()
ATR = 4.0


def made(
    regime: SetupRegime, swings: Sequence[float] = (), *, stop_outs: int = 0, sign: int = 1, end: float | None = None
) -> SetupLevels | None:
    far = 100.0 - 2 * sign if end is None else end
    rules = RULES.rules_of(regime)
    setup = Setup(ReadingKind.BLOCK, sign, regime, 100.0, far, 0)
    return levels(setup, rules, stop_multiple(rules, RULES.stop_outs, stop_outs), ATR, swings)


@pytest.mark.parametrize(
    ("regime", "swings", "stop_outs", "stop", "target"),
    [
        (SetupRegime.TIGHT, (), 0, "97.10", "105.80"),
        (SetupRegime.TIGHT, (103.0, 106.5, 109.0), 0, "97.10", "106.5"),
        (SetupRegime.WIDE, (), 0, "95.80", "106.30"),
        (SetupRegime.TIGHT, (), 2, "96.65", "106.70"),
        (SetupRegime.TIGHT, (), 3, "96.425", "107.15"),
        (SetupRegime.TIGHT, (), 9, "96.20", "107.60"),
    ],
)
def test_stop_and_target_of_the_worked_examples_long_and_short(
    regime: SetupRegime, swings: Sequence[float], stop_outs: int, stop: str, target: str
) -> None:
    long = there(made(regime, swings, stop_outs=stop_outs))
    short = there(made(regime, [200 - price for price in swings], stop_outs=stop_outs, sign=-1))
    assert (long.stop, long.target) == (Decimal(stop), Decimal(target))
    assert (short.stop, short.target) == (200 - Decimal(stop), 200 - Decimal(target))
    assert long.risk == short.risk == 100 - Decimal(stop)


def test_swings_from_the_least_reward_on_are_targets_five_at_most_and_the_nearest_first() -> None:
    assert there(made(SetupRegime.TIGHT, (105.79, 105.8))).targets == (Decimal("105.8"),)
    many = there(made(SetupRegime.TIGHT, [106.0 + place for place in reversed(range(8))]))
    assert many.targets == tuple(Decimal(106 + place) for place in range(5))


def test_a_setup_whose_stop_would_be_on_the_winning_side_or_that_would_aim_below_zero_has_no_levels() -> None:
    for sign, invalid in ((1, 101.0), (-1, 99.0), (1, 100.9), (-1, 151.0)):
        assert made(SetupRegime.TIGHT, sign=sign, end=invalid) is None
