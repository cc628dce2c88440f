"""What each test costs: measured by the suite itself, recorded in tests/costs.txt, and compared in each run.

A test that costs more than `DEAR` runs in one of four commits, so that any four commits in a row run all of them. The
file says in which one. Costs are CPU-seconds of the machine that the budgets are stated for: what another machine
measures is scaled by the tests that the file knows already.
"""

import re
import statistics
import subprocess
import time
from collections.abc import Generator, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.suite import tiers
from tests.suite.meter import cpu

FILE = Path(__file__).resolve().parents[1] / "costs.txt"
HEAD = """\
# CPU-seconds of each test that takes at least 0.05, in seconds of the machine that the budgets are stated for.
# Tests over 0.17, and files whose tests share more, run in one of four commits; the second column says in which.
# A run of all tests writes this: make test ARGS="--all --record"
"""
DEAR, LISTED, BUDGET = 0.17, 0.05, 290.0
TURNS = 4
CHEAP, BESIDE = "tests that are not listed", "beside the tests"
"""Rows of the file that are no tests: the sum of the cheap ones, and what workers take before and between tests."""
ENOUGH = 50
"""How many known tests a run must hold before their costs say how fast its machine is."""


_SHARED = re.compile(r'scope="(?:module|session)"|def test_[^(]*\([^)]*\b(?:bot|folder|reader|shared_trader): ')


class Row(NamedTuple):
    """What a test costs, and in which of four commits it runs; 0 is each of them."""

    cost: float
    turn: int = 0


@cache
def rows() -> Mapping[str, Row]:
    """Return the rows of the file by the names of the tests."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    parts = (line.split(maxsplit=2) for line in lines if line and not line.startswith("#"))
    return {name: Row(float(cost), int(turn)) for cost, turn, name in parts}


def recorded() -> Mapping[str, float]:
    """Return the recorded cost of each test that is listed, and under a file's name what its tests share."""
    return {name: row.cost for name, row in rows().items() if name.startswith("tests/")}


def expected() -> float:
    """Return what the dearest of four runs in a row costs by the file, in CPU-seconds."""
    turns = [0.0] * (TURNS + 1)
    for name, row in rows().items():
        if not name.startswith("campaign "):
            turns[_turn(name)] += row.cost
    return turns[0] + max(turns[1:])


def is_due(test: str, turn: int) -> bool:
    """Return whether a test runs in commits of this turn."""
    return _turn(test) in (0, turn)


def _turn(test: str) -> int:
    """Return the turn of a test; where the tests of a file share something dear, that of the file."""
    shared, own = rows().get(test.partition("::")[0]), rows().get(test)
    return (shared.turn if shared else 0) or (own.turn if own else 0)


def turn_of_commit(root: Path) -> int:
    """Return the turn of the checked-out commit, 1 to 4; without a history, that of the day."""
    number = _git(root, "rev-list", "--count", "--first-parent", "HEAD")
    return int(number or time.time() // 86_400) % TURNS + 1


def clean_commit(root: Path) -> str:
    """Return the checked-out commit; nothing if files differ from it."""
    return "" if _git(root, "status", "--porcelain") else _git(root, "rev-parse", "HEAD")


def _git(root: Path, *words: str) -> str:
    """Return what git prints; nothing if there is no git or no repository."""
    try:
        done = subprocess.run(("git", *words), cwd=root, capture_output=True, text=True, check=False)  # noqa: S607
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def shares(file: str) -> bool:
    """Return whether the tests of a file share what one of them may have changed, such as a bot of their module."""
    path = FILE.parents[1] / file
    return path.is_file() and _SHARED.search(path.read_text()) is not None


def with_costs(before: Mapping[str, Row], spent: Mapping[str, float], beside: float) -> Mapping[str, Row]:
    """Return the rows after a run of all tests: what is dear keeps its turn, and what is new gets the lightest.

    Tests that share something dear, or continue what a dear one began, are one thing: their file's row has the turn.
    """
    listed = {name: cost for name, cost in spent.items() if cost >= LISTED}
    dear = {name.partition("::")[0] for name, cost in listed.items() if cost > DEAR}
    together = {file for file in dear if listed.get(file, 0.0) > DEAR or shares(file)}
    listed |= {file: spent.get(file, 0.0) for file in together}
    units = {name: cost for name, cost in listed.items() if cost > DEAR and name.partition("::")[0] not in together}
    for file in together:
        units[file] = sum(cost for name, cost in spent.items() if name.partition("::")[0] == file)
    turns = {name: row.turn for name, row in before.items() if row.turn and name in units}
    loads = {turn: sum(units[name] for name in turns if turns[name] == turn) for turn in range(1, TURNS + 1)}
    for name in sorted(units.keys() - turns.keys(), key=lambda name: (-units[name], name)):
        turns[name] = min(loads, key=lambda turn: (loads[turn], turn))
        loads[turns[name]] += units[name]
    cheap = sum(cost for name, cost in spent.items() if name not in listed)
    found = {name: Row(round(cost, 2), turns.get(name, 0)) for name, cost in sorted(listed.items())}
    campaigns = {name: row for name, row in before.items() if name.startswith("campaign ")}
    return {CHEAP: Row(round(cheap, 1)), BESIDE: Row(round(beside, 1)), **found, **campaigns}


def write(written: Mapping[str, Row]) -> None:
    """Write the file."""
    FILE.write_text(HEAD + "".join(f"{row.cost:.2f} {row.turn} {name}\n" for name, row in written.items()))
    rows.cache_clear()


def scale(spent: Mapping[str, float], known: Mapping[str, float]) -> float:
    """Return how many of this run's CPU-seconds make one of the file's; 1 if too few tests are known."""
    ratios = [spent[test] / known[test] for test in spent.keys() & known.keys() if known[test] >= 2 * LISTED]
    return statistics.median(ratios) if len(ratios) >= ENOUGH else 1.0


def dearer(spent: Mapping[str, float], known: Mapping[str, float]) -> Iterable[str]:
    """Name each test whose cost doubled since it was recorded, and each dear one that isn't recorded."""
    for test, cost in sorted(spent.items()):
        before = known.get(test)
        if before is None and cost > 2 * DEAR:
            yield f"{cost:.2f} CPU-s, not recorded: {test}"
        elif before is not None and cost > 2 * before and cost > before + DEAR / 2:
            yield f"{cost:.2f} CPU-s, {cost / max(before, LISTED):.1f} times what is recorded: {test}"


class Spending:
    """What the tests of a run have spent, as their reports tell: each test, and what the tests of a file share."""

    def __init__(self) -> None:
        self.tests = dict[str, float]()
        self.exchanges = 0.0

    @property
    def total(self) -> float:
        """Return what this process and all that it waited for spent, and the exchanges, which nobody waits for."""
        return cpu() + self.exchanges

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a test has told with its report."""
        for name, spent in report.user_properties:
            if name == PROPERTY and isinstance(spent, list | tuple):
                own, exchanges, shared = map(float, spent)
                self._add(report.nodeid, own + exchanges)
                self._add(report.nodeid.partition("::")[0], shared)
                self.exchanges += exchanges

    def _add(self, name: str, cost: float) -> None:
        if cost:
            self.tests[name] = self.tests.get(name, 0.0) + cost


PROPERTY = "cpu"
PASSED = "tests/passed"
SETUP = pytest.StashKey[float]()
_SPENDING = pytest.StashKey[Spending]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options about dear tests."""
    parser.addoption("--all", action="store_true", dest="all_tests", help="run all tests, whatever commit this is")
    parser.addoption("--record", action="store_true", help="write what tests cost, and what documents they follow")


def pytest_configure(config: pytest.Config) -> None:
    """Listen to what the workers' reports tell of costs."""
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", None):
        config.pluginmanager.register(config.stash.setdefault(_SPENDING, Spending()))


def pytest_configure_node(node: Any) -> None:
    """Tell a worker whose turn it is."""
    node.workerinput["turn"] = 0 if node.config.option.all_tests else turn_of_commit(node.config.rootpath)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Measure what is made for a test before it runs."""
    before = cpu()
    try:
        return (yield)
    finally:
        item.stash[SETUP] = cpu() - before


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remember that the fast tests of this commit passed, so that the campaigns needn't repeat its property tests."""
    config = session.config
    commit = clean_commit(config.rootpath)
    cache = getattr(config, "cache", None)
    if cache and config.stash.get(_SPENDING, None) and tiers.runs_all(config) and commit and not session.exitstatus:
        turn = 0 if config.option.all_tests else turn_of_commit(config.rootpath)
        cache.set(PASSED, {"commit": commit, "turn": turn})


def passed_turn(config: pytest.Config) -> int | None:
    """Return which turn of the fast tests passed on this very commit, 0 for all of them; None if none did."""
    cache = getattr(config, "cache", None)
    passed = cache.get(PASSED, None) if cache else None
    return passed["turn"] if passed and passed["commit"] == clean_commit(config.rootpath) else None


def left_out(config: pytest.Config, test: str) -> bool:
    """Return whether a test has to wait for another commit."""
    turn = getattr(config, "workerinput", {}).get("turn", 0)
    return bool(turn) and not is_due(test, turn)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the run cost and which tests became dearer; record the costs where that is asked."""
    spending = config.stash.get(_SPENDING, None)
    if spending is None or not spending.tests:
        return
    by = scale(spending.tests, recorded())
    spent = {test: cost / by for test, cost in spending.tests.items()}
    total, beside = spending.total / by, (spending.total - sum(spending.tests.values())) / by
    terminalreporter.write_line(
        f"{spending.total:.0f} CPU-s, {sum(spending.tests.values()):.0f} of them in tests; {total:.0f} on the machine "
        f"that the budgets are stated for, which is {by:.2f} times as fast"
    )
    if config.option.record:
        write(with_costs(rows(), spent, beside))
    for line in dearer(spent, recorded()):
        terminalreporter.write_line(line, yellow=True)
