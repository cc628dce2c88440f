"""Measure `tradebot backtest` as users type it: a profile, a strategy's template, many symbols, options flow.

The figure is the CPU time of all processes of the command, less that of the same command over one session, so that
imports and reading prices don't count. Name cases to measure only those.

The development tools include other backtest engines. Where these are installed, each plays the same rule on the same
file, measured in the same way, but on the file's own prices, without halts, and without the template's stop and target.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import yaml

from benchmarks.backtest import FUNDS, MANY, ROTATION
from benchmarks.support import past_prices
from benchmarks.support.figures import Figure, show
from benchmarks.support.processes import BIN, Used, run
from benchmarks.support.sizes import sized
from tradebot.app.settings import shipped_path

RUNS = sized(3, 1)
PROGRAM = BIN / "tradebot"
STATE = Path(__file__).parents[1] / "state"
SYMBOL, PLUGIN, AT_ONCE = "SPY", "reversion", "at_once"
MANY_AT_ONCE = "def propose_many("
FIRST, BEFORE = date(2003, 6, 2), 150
"""The first session of the daily files, and how many sessions before the first played one a strategy has."""
COINS, MONTH_DAYS, FIRST_DAY = (
    ("XBTUSD", "ETHUSD", "SOLUSD", "XRPUSD", "ADAUSD", "LTCUSD"),
    sized(30, 1),
    date(2026, 10, 1),
)
YEARS_5, YEARS_20, YEARS_2, A_YEAR, A_MONTH = sized((1_258, 5_030, 504, 251, 20), (3, 3, 3, 2, 1))
A_DAY = 390
STARTUP_S = 3
"""The CPU seconds that start-up may take, for cases from which it isn't subtracted."""
ROOMY = {
    "max_open_positions": 100,
    "max_new_entries": 100,
    "max_session_entries": 1_000,
    "max_orders_per_second": 100,
    "max_orders_per_minute": 1_000,
}
IN_FUNDS, IN_MANY = ("backtrader rotation --refuge TLT",), ("backtrader rotation --top 50 --leverage 1",)
"""The arguments with which other engines play the rotation."""
FOREIGN = all(importlib.util.find_spec(name) for name in ("backtrader", "backtesting"))


@dataclass(frozen=True)
class Case:
    """A command: its options for a number of sessions, whose files `make` writes, and its bound in seconds.

    `foreign` has the arguments of `benchmarks.support.foreign` that play the same rule in another engine; those have no
    flow. A case of one session has another command whose start-up is subtracted.
    """

    title: str
    sessions: int
    make: Callable[[Path, int], Sequence[str]]
    bound_s: float
    foreign: Sequence[str] = ()
    less: Sequence[str] = ()
    most_runs: int = RUNS


NOTHING = Used(0, 0, 0)
START_UP = str(PROGRAM), "backtest", "--help"
"""A command that starts up like a backtest of one session, and plays nothing."""


def _daily(folder: Path, symbols: Sequence[str], most: int, count: int) -> Sequence[str]:
    """Return the options that play `count` sessions of a file with `most` sessions."""
    days, file = past_prices.sessions(FIRST, BEFORE + most), folder / f"{len(symbols)} symbols, {most}.csv"
    if not file.exists():
        past_prices.daily(file, symbols, days)
    days = days[: BEFORE + count]
    return "--bars", str(file), "--from", str(days[BEFORE]), "--to", str(days[-1])


def _profile(folder: Path, count: int) -> Sequence[str]:
    return "--profile", "rotation", *_daily(folder, FUNDS, YEARS_5, count)


def _study(folder: Path, count: int) -> Sequence[str]:
    return "--config", str(shipped_path(ROTATION)), *_daily(folder, FUNDS, YEARS_20, count)


def _many(folder: Path, count: int) -> Sequence[str]:
    """Hold a tenth of all symbols, selected once a month."""
    ours: dict[str, object] = {"ranked": MANY, "defensive": None, "top": 50, "leverage": 1, "exits": []}
    text = yaml.safe_load(shipped_path(ROTATION).read_text(encoding="utf-8"))
    text |= {
        "universe": MANY,
        "sectors": dict.fromkeys(MANY, "technology"),
        "strategies": {"flow": None, "rotation": ours | {"limits": {"max_open_positions": 100}}},
        "limits": text["limits"] | ROOMY,
    }
    return "--config", _write_configuration(folder / "many.yaml", text), *_daily(folder, MANY, YEARS_2, count)


def _template(folder: Path, count: int) -> Sequence[str]:
    """Trade with the template of `strategy new --kind bars`, installed as a plug-in and called once per slot."""
    return _written(folder, count, PLUGIN, sessions=False)


def _at_once(folder: Path, count: int) -> Sequence[str]:
    """Trade with the same template, called once for all slots of a session."""
    return _written(folder, count, AT_ONCE, sessions=True)


def _written(folder: Path, count: int, name: str, *, sessions: bool) -> Sequence[str]:
    prices, ours = folder / "minutes.csv", {"universe": [SYMBOL], "strategies": {"flow": None, name: {}}}
    if not prices.exists():
        past_prices.minutes(prices, SYMBOL, FIRST, A_YEAR * A_DAY)
    if not (folder / name).exists():
        run(str(PROGRAM), "strategy", "new", name, "--kind", "bars", "--path", str(folder / name))
        strategy = folder / name / f"tradebot_{name}" / "strategy.py"
        text = strategy.read_text(encoding="utf-8")
        assert text.count(MANY_AT_ONCE) == 1, "the template explains how to answer all slots at once"
        if not sessions:
            strategy.write_text(text.replace(MANY_AT_ONCE, "def unused("), encoding="utf-8")
        run(sys.executable, "-m", "pip", "install", "-qq", "--no-build-isolation", "--no-deps",
                  "--target", str(folder / "installed"), str(folder / name))  # fmt: skip
    days = past_prices.sessions(FIRST, count)
    span = "--from", str(days[0]), "--to", str(days[-1])
    return (
        "--config",
        _write_configuration(folder / f"{name}.yaml", ours),
        "--bars",
        str(prices),
        "--bar-stamp",
        "start",
        *span,
    )


def _write_configuration(file: Path, configuration: object) -> str:
    # Every JSON document is also valid YAML.
    file.write_text(json.dumps(configuration), encoding="utf-8")
    return str(file)


def _coins(folder: Path, count: int) -> Sequence[str]:
    return "--profile", "smart_money", "--sessions", str(count)


def _recorded(folder: Path, count: int) -> Sequence[str]:
    files = folder / "coins"
    if not files.exists():
        files.mkdir()
        past_prices.coins(files, COINS, FIRST_DAY, MONTH_DAYS)
    days = FIRST_DAY, FIRST_DAY + timedelta(days=count - 1)
    return "--profile", "smart_money", "--bars", str(files), "--bar-stamp", "start", *_between(days)


def _between(days: tuple[date, date]) -> Sequence[str]:
    return "--from", str(days[0]), "--to", str(days[1])


def _flow(folder: Path, count: int) -> Sequence[str]:
    return "--symbols", str(sized(20, 2)), "--sessions", str(count), "--from", "2025-03-03"


CASES: Mapping[str, Case] = {
    "profile": Case(f"the rotation as shipped, {YEARS_5:,} sessions", YEARS_5, _profile, 2, IN_FUNDS),
    "study": Case(f"the rotation without halts, {YEARS_20:,} sessions", YEARS_20, _study, 1, IN_FUNDS),
    "template": Case(
        f"the template for bars, {A_YEAR} sessions of minutes",
        A_YEAR,
        _template,
        4,
        ("backtrader reversion", "backtesting.py reversion"),
    ),
    "sessions": Case(f"the same, called once a session, {A_YEAR} sessions", A_YEAR, _at_once, 4),
    "many": Case(f"500 symbols, {YEARS_2} sessions", YEARS_2, _many, 4, IN_MANY),
    "coins": Case("smart money as shipped, a day of 56 generated coins", 1, _coins, 5, less=START_UP, most_runs=1),
    "recorded": Case(
        f"smart money, {MONTH_DAYS} days of {len(COINS)} recorded coins", MONTH_DAYS, _recorded, 20, most_runs=1
    ),
    "flow": Case(f"options flow, {A_MONTH} sessions", A_MONTH, _flow, 20),
}


def figures(case: Case, folder: Path, runs: int) -> Iterator[Figure]:
    """Yield the figure of a case here, and of each other engine that plays its rule."""
    base = (str(PROGRAM), "backtest", "--state-dir", str(folder / "state"), "--force")
    yield figure(case.title, base, case, folder, runs, sized(case.bound_s, case.bound_s + STARTUP_S))
    for played in case.foreign if FOREIGN and sized(True, False) else ():
        engine, *rule = played.split()
        command = (sys.executable, "-m", "benchmarks.support.foreign", engine, *rule)
        yield figure(f"- its rule in {engine}", command, case, folder, runs)


def figure(
    title: str, command: Sequence[str], case: Case, folder: Path, runs: int, bound_s: float | None = None
) -> Figure:
    """Return the median of some runs; at the smallest size, which only shows that they work, nothing is subtracted."""
    runs = min(runs, case.most_runs)
    whole = [run(*command, *case.make(folder, case.sessions)) for _ in range(runs)]
    start = case.less or (*command, *case.make(folder, 1))
    once = [run(*start) for _ in range(runs)] if sized(True, False) else [NOTHING]
    all_s, one_s = (statistics.median(used.cpu_s for used in each) for each in (whole, once))
    peak_mb = max(used.peak_mb for used in whole)
    measured = f"{all_s:.1f} less {one_s:.1f}, {peak_mb:,.0f} MB"
    return Figure(title, measured, all_s - one_s, "s", bound_s)


def main() -> int:
    """Measure the cases, and print their CPU time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as temporary:
        folder = Path(temporary)
        # A plug-in finds its imports as usual if its package is installed.
        os.environ["PYTHONPATH"] = str(folder / "installed")
        cases = [CASES[name] for name in options.cases or sized(list(CASES), ["profile", "template", "flow"])]
        status = show("backtests as typed", [each for case in cases for each in figures(case, folder, options.runs)])
    if not FOREIGN:
        print(
            "backtrader and backtesting.py aren't installed, so they weren't measured. To install them: make .venv/.dev"
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
