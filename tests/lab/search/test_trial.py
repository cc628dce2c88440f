"""What a study is told of a trial."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tradebot.app.settings import load
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.lab.search.space import Space, Spaced
from tradebot.lab.search.study import Result
from tradebot.lab.search.trial import Bench, trial_report
from tradebot.lab.selection.objectives import measure_objective

RETURNS = 0.01 * np.random.default_rng(1).normal(size=100) + np.repeat((0.01, -0.02), 50)


def bench_of(sampler: str, **more: Any) -> Bench:
    settings = load(None, {}, {"mode": "sandbox"}).settings
    space = Space.model_validate({"settings": {"a": [1, 2]}, "sampler": sampler, **more})
    nothing = cast("Any", None)
    return Bench(BacktestPlan(settings, nothing), nothing, Path(), {}, Spaced(space, settings, "space.yaml"))


def result(trades: int = 40, returns: np.ndarray = RETURNS) -> Result:
    return Result(tuple(returns.tolist()), trades, 7, 0.0, 0.0, 1.0, "digest")


@pytest.mark.parametrize(("sampler", "sessions"), [("random", 100), ("tpe", 43)])
def test_sampler_that_learns_is_told_of_sessions_that_judge_nothing(sampler: str, sessions: int) -> None:
    found = trial_report(bench_of(sampler), result())
    assert [*found.values] == pytest.approx(measure_objective("sharpe", RETURNS[:sessions, None], 252))
    assert found.why == ""


def test_trial_with_too_few_trades_or_without_an_objective_is_left_out_with_its_reason() -> None:
    bench = bench_of("random", objectives=["sharpe", "drawdown"])
    assert trial_report(bench, result(trades=29)).why == "fewer than 30 closed trades"
    assert trial_report(bench, result(returns=np.zeros(100))).why == "it has no sharpe"
