"""Whether a result can be told from luck: each sentence follows its interval."""

import pytest

from tradebot.lab.performance.chance import deflate_sharpe
from tradebot.lab.performance.report import Figure, FigureUnit
from tradebot.lab.performance.reporting import luck, names_of
from tradebot.lab.performance.return_figures import Returns
from tradebot.model.evidence import Trials

NAMES = names_of("6 coins", "6 coins at 12%")


def figure(name: str, low: float | None, high: float | None) -> Figure:
    return Figure(name, "", FigureUnit.FRACTION, 0.002, 10, 8, "session returns", low, high)


def test_difference_from_each_benchmark_is_told_apart_by_name() -> None:
    against = [figure("mean_difference", -0.01, 0.01), figure("mean_leveled", 0.001, 0.01), figure("beta", 0.0, 1.0)]
    told = list(luck(against, None, NAMES))
    assert told[0].startswith("Its mean difference from 6 coins is +0.200%")
    assert told[0].endswith("zero is within that, so which is better can't be told from luck.")
    assert "6 coins at 12%" in told[1]
    assert told[1].endswith("hardly luck alone.")
    assert len(told) == 2
    assert names_of(None, "") == {}


@pytest.mark.parametrize(("gain", "words"), [(0.0001, "not enough"), (0.01, ": enough")])
def test_selected_ratio_is_enough_from_the_usual_confidence_on(gain: float, words: str) -> None:
    returns = Returns([0.01 + gain, -0.01 + gain] * 50, 365, 0.0)
    (only,) = luck((), deflate_sharpe(returns, Trials(3)), NAMES)
    assert "the best of 3 trials has by luck" in only
    assert words in only
