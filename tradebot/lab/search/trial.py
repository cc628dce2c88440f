"""Run one trial of a search: a backtest with different setting values. Only its figures are stored."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
from msgspec import Struct

from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.errors import ConfigurationError, ExitCode, TradebotError
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.identity import trial_of
from tradebot.lab.backtest.market import OpenedMarket
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.lab.backtest.setup import engine_of, loaded_strategies
from tradebot.lab.performance import statistics
from tradebot.lab.performance.returns import sessions_per_year
from tradebot.lab.search.space import Spaced, Values
from tradebot.lab.search.study import Result
from tradebot.lab.selection.objectives import measure_objective
from tradebot.lab.selection.splits import training_sessions
from tradebot.model.sentences import pluralize
from tradebot.model.series import DAY
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.views.trades.lots import trades

BEST = 5
"""The number of best trades that are removed to test the result."""


class Bench(Struct, frozen=True):
    """What all trials share: the plan whose settings they vary, its market, and the folder from which strategies are
    loaded.

    Plug-ins can't access `folder`, and they are started with the environment `environ`.
    """

    plan: BacktestPlan
    market: OpenedMarket
    folder: Path
    environ: Mapping[str, str]
    spaced: Spaced


class TrialReport(Struct, frozen=True):
    """What a trial reports to the study: its result if it ran, its objectives, and the reason if it is left out."""

    result: Result | None
    values: tuple[float | None, ...]
    why: str = ""


def run_trial(bench: Bench, values: Values, watch: Callable[[], None]) -> TrialReport:
    """Run a trial to its end; `watch` is called after each session.

    If the values contradict each other, nothing runs. Raise TradebotError if the run can't be trusted.
    """
    try:
        settings = bench.spaced.with_values(values)
    except ConfigurationError as refused:
        return TrialReport(None, (), f"refused by the loader: {refused.message}")
    plan = replace(bench.plan, settings=settings, level=RecordLevel.NONE)
    with loaded_strategies(settings, bench.folder, bench.environ) as strategies:
        run = create_run(plan, strategies, bench.market)
        with closing(run.made):
            while not run.is_played:
                run.step()
                watch()
            run.step()
            if run.opening or run.closing:
                raise TradebotError(
                    f"books and exchange differ after a trial with {values}",
                    "run these values with tradebot backtest to see where they differ",
                    code=ExitCode.ERROR,
                )
            return trial_report(bench, result_of(run))


def result_of(run: BacktestRun) -> Result:
    ledger, ends = run.made.ledger, [end for end in run.ends if end.equity is not None]
    cash = float(ledger.opening_cash())
    equities = [cash, *(float(end.equity) for end in ends if end.equity is not None)]
    returns = tuple(after / before - 1 for before, after in pairwise(equities))
    opens = [session.open for session in run.made.sessions]
    closed, longest = [], 0
    for trade in trades(ledger.fills()):
        until = trade.closed_at or run.made.now()
        longest = max(longest, bisect_right(opens, until) - bisect_right(opens, trade.opened_at))
        if trade.closed_at is not None:
            closed.append(float(trade.realized_before_fees_usd))
    ratio = statistics.sharpe(returns, sessions_per_year(run.plan.settings.day))
    return Result(
        returns,
        len(closed),
        longest,
        equities[-1] / cash - 1,
        sum(gain for gain in sorted(closed)[-BEST:] if gain > 0) / cash,
        ratio.value if ratio else None,
        trial_of(run.plan.settings),
    )


def trial_report(bench: Bench, result: Result) -> TrialReport:
    """Build the report of a trial.

    If the sampler learns from results, the objectives cover only the sessions that aren't held out for testing.
    """
    space, per_year = bench.spaced.space, sessions_per_year(bench.plan.settings.day)
    returns = np.array(result.returns)[:, None]
    if space.learns:
        returns = returns[: max(training_sessions(len(returns)) - max(result.longest, 1), 0)]
    values = tuple(measure_objective(name, returns, per_year)[0] for name in space.objectives)
    if result.trades < space.min_trades:
        return TrialReport(result, values, f"fewer than {pluralize(space.min_trades, 'closed trade')}")
    without = [name for name, value in zip(space.objectives, values, strict=True) if value is None]
    return TrialReport(result, values, f"it has no {' and no '.join(without)}" if without else "")


LATER = timedelta(hours=1)
"""How long after the last session's close its daily bar is certainly complete."""


def buy_and_hold_returns(market: OpenedMarket, universe: Sequence[str]) -> tuple[float, ...]:
    """Return what someone who buys the universe at the first open and holds it earns in each session.

    Only symbols with bars in all sessions count. The result is empty if there are none.
    """
    sessions = [*map(session_of, market.calendar.market)]
    bars = EngineBars(engine_of(market, market.spec), market.days)
    by_symbol = bars.closed(BarNeed(DAY, len(sessions)), universe, sessions[-1].close + LATER)
    whole = [series for series in by_symbol.values() if len(series.close) == len(sessions)]
    if not whole:
        return ()
    worth = (fmean(series.close[index] / series.open[0] for series in whole) for index in range(len(sessions)))
    return tuple(after / before - 1 for before, after in pairwise([1.0, *worth]))
