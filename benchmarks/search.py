"""Measure a search: a trial beside the same backtest, two workers beside one, and how long a large study takes to open.

The market is of made-up daily bars, and the bot rotates among four symbols each week. A trial and a backtest are
measured by their processor time in turn. Workers are measured by the clock, so something else on the machine spoils
that figure: the processor time of both is shown beside it.
"""

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from random import Random

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.backtest.options import Wish
from commands.search.run_study import made_of, study_of
from commands.search.study_options import How
from tradebot.adapters.memory.recorder import Level
from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.lab.backtest.run import begin
from tradebot.lab.backtest.setup import loaded_strategies
from tradebot.lab.search.study import Result, Study
from tradebot.lab.search.trial import Bench, play
from tradebot.model.values import replace
from tradebot.venues.alpaca.capabilities import ALPACA

SESSIONS, TRIALS, RUNS = sized(500, 60), sized(16, 2), sized(7, 1)
FIRST = date(2022, 1, 3)
MANY, LONG = sized(1_000, 20), 500
FUNDS = ("AAPL", "AMZN", "MSFT", "NVDA")
BOT = """
universe: [AAPL, AMZN, MSFT, NVDA]
strategies:
  flow: null
  rotation:
    {ranked: [AAPL, AMZN, MSFT, NVDA], defensive: null, lookback_sessions: 20, top: 1, min_momentum: 0, leverage: 1,
     min_ranked: null, regime: null, max_behind_s: 23400, allotment_fraction: 1, exits: [],
     times: first session of week at open+5m, limits: {max_open_positions: 4}}
limits:
  {max_order_fraction: 1.4, max_order_notional_usd: 1000000, max_symbol_fraction: 1.4, max_sector_fraction: 1.4,
   max_gross_fraction: 1.4, max_daily_loss_fraction: 0.5}
halts: {daily_loss_fraction: 0.6, drawdown_fraction: 0.9}
"""
VALUES = {"strategies.rotation.lookback_sessions": 10}
SPACE = f"settings: {{strategies.rotation.lookback_sessions: {{from: 5, to: 19}}}}\nmin_trades: 1\ntrials: {TRIALS}\n"


def written(folder: Path) -> tuple[Path, Wish]:
    """Write a market, a bot and a space; return the space, and what is to be played."""
    chance = Random(1)  # noqa: S311 - replayable
    days = exchange_sessions(FIRST, FIRST.replace(year=FIRST.year + 3), ALPACA.calendar)[:SESSIONS]
    lines, prices = ["date,symbol,open,high,low,close,volume"], dict.fromkeys(FUNDS, 100.0)
    for day in days:
        for name in FUNDS:
            before = prices[name]
            prices[name] = after = before * (1 + chance.gauss(0, 0.01))
            high, low = max(before, after), min(before, after)
            lines.append(f"{day.date},{name},{before:.4f},{high:.4f},{low:.4f},{after:.4f},1000000000")
    for name, text in (("bars.csv", "\n".join(lines)), ("bot.yaml", BOT), ("space.yaml", SPACE)):
        (folder / name).write_text(text)
    wish = Wish(state_dir=str(folder / "state"), config=str(folder / "bot.yaml"), bars=str(folder / "bars.csv"))
    return folder / "space.yaml", wish


def backtest(bench: Bench) -> None:
    """Play what a trial plays, as `tradebot backtest --recorder none` does."""
    settings = bench.spaced.with_values(VALUES)
    with loaded_strategies(settings, bench.folder, bench.environ) as strategies:
        run = begin(replace(bench.plan, settings=settings, level=Level.NONE), strategies, bench.market)
        with closing(run.made):
            while not run.is_complete:
                run.step()


def taken(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def searched(file: Path, wish: Wish, workers: int) -> tuple[float, float]:
    """Return how long it takes so many workers to play all trials, by the clock and by the processors."""
    made = made_of(file, wish, How(study=f"with-{workers}"))
    study = study_of(made, workers, resume=False)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    made.pool(workers, lambda: None, lambda: None).run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert study.counts().played == TRIALS, "all trials are played"
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, used


def large(file: Path, wish: Wish) -> float:
    """Return the processor seconds that it takes to open a study of many trials and read all of them."""
    made = made_of(file, wish, How(study="large"))
    space = made.bench.spaced.space.model_copy(update={"trials": MANY})
    study, chance = Study(made.place.storage, "large", space, new=True), Random(2)  # noqa: S311 - replayable
    study.begin({})
    while (trial := study.ask()) is not None:
        returns = tuple(chance.gauss(0, 0.01) for _ in range(LONG))
        study.tell(trial, Result(returns, 40, 3, 0.1, 0.05, 1.0, str(trial.number)), [1.0])

    def read() -> None:
        assert len(Study(made.place.storage, "large", space).tried()) == MANY

    return taken(read)


def figures(folder: Path) -> list[Figure]:
    file, wish = written(folder)
    bench = made_of(file, wish, How()).bench
    play(bench, VALUES, lambda: None)
    pairs = [(taken(lambda: backtest(bench)), taken(lambda: play(bench, VALUES, lambda: None))) for _ in range(RUNS)]
    plain, trial = (statistics.median(one) for one in zip(*pairs, strict=True))
    (one_s, one_cpu), (two_s, two_cpu) = searched(file, wish, 1), searched(file, wish, 2)
    cores = len(os.sched_getaffinity(0))
    return [
        Figure("backtest", f"{SESSIONS} sessions, median of {RUNS}", plain * 1e3, "ms"),
        Figure("trial", "over the same backtest", trial / plain, "x", 1.05),
        Figure("two workers", f"{TRIALS} trials, by the clock, {cores} cores", two_s / one_s, "of one", 1 / 1.8),
        Figure("two workers", "by the processors", two_cpu / one_cpu, "of one"),
        Figure("study", f"{MANY:,} trials of {LONG} sessions opened and read", large(file, wish), "s", 1.0),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        show("Search", figures(Path(folder)))


if __name__ == "__main__":
    main()
