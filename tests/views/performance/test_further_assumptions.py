"""What the further parts assume: how trials spread is said as it was taken."""

import pytest

from tests.commands.report.made import long_backtest
from tradebot.model.evidence import Trials
from tradebot.views.performance.deflated import selected
from tradebot.views.performance.further_assumptions import further_assumptions
from tradebot.views.performance.report import Block, Further
from tradebot.views.performance.return_figures import Returns

RETURNS = Returns([0.01, -0.01] * 50, 252, 0.0)


@pytest.mark.parametrize(
    ("sharpes", "words"),
    [
        ((), "spread as by chance, because none of them is known"),
        ((0.5,), "spread as by chance, because only 1 of them is known"),
        ((0.5, 0.6), "spread as by chance, because only 2 of them are known"),
        ((0.5, 0.6, 0.7), "spread as they did"),
    ],
)
def test_how_the_trials_spread_is_said(sharpes: tuple[float, ...], words: str) -> None:
    of = Further((), (), None, None, selected(RETURNS, Trials(7, sharpes)), None, ())
    found = further_assumptions(of)
    assert found.keys() == {Block.CHANCE}
    (only,) = found[Block.CHANCE]
    assert words in only
    assert "the best of 7 independent trials" in only


def test_one_trial_is_no_selection() -> None:
    (only,) = further_assumptions(Further((), (), None, None, selected(RETURNS, Trials(1)), None, ()))[Block.CHANCE]
    assert only.startswith("No other setting was counted as tried")


def test_without_trials_nothing_is_said_of_them() -> None:
    of = long_backtest().further
    assert len(further_assumptions(of)[Block.CHANCE]) == 2
    (only,) = further_assumptions(Further((), (), None, of.chance, None, None, ()))[Block.CHANCE]
    assert "stationary bootstrap" in only
