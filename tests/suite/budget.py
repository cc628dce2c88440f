"""Play the campaigns for as long as there is time, and say how much was played.

A campaign is a test function; its parts are its parameters, in the order in which the seed draws them. Each has a share
of CPU-seconds, `@pytest.mark.campaign(share=60)`, and no part begins once the share is used; the first part always may.
No part begins either that would end after the time of the run. What proves the safety of money (`proof=True`) is begun
first; with the rest the weeks take turns.

Workers write what they begin and what it cost into one file, which all of them read.
"""

import fcntl
import json
import math
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.suite import costs, tiers
from tests.suite.meter import METER, cpu

MINUTES = 12.0
"""How long the campaigns take unless somebody gives them longer."""
SHARE = 6.0
"""CPU-seconds of a campaign that doesn't say how many it should have."""
CAMPAIGN, PROPERTIES = "campaign", "property tests"
"""How the rows of campaigns begin in the file of costs; and what all property tests together are called."""
FIRST_GUESS, SLOWEST = 2.0, 6.0
"""How many seconds a part takes for each CPU-second that is recorded, beside others: at first, and at most."""
CLOSING_S = 10
"""Seconds that a run takes after its last test."""


class Part(NamedTuple):
    """A part of a campaign that began; its cost is known once it has ended."""

    campaign: str
    test: str
    cost: float | None


class Account:
    """What all workers have begun and spent, in a file that they share."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self, campaign: str, test: str, share: float, longest: float) -> bool:
        """Begin a part and return True, unless the parts that began will use the campaign's share."""
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            begun = [part for part in _parts(file) if part.campaign == campaign]
            known = [part.cost for part in begun if part.cost is not None]
            expected = max([longest, *known])
            if begun and sum(known) + expected * (len(begun) - len(known)) >= share:
                return False
            file.write(json.dumps([campaign, test, None]) + "\n")
        return True

    def end(self, campaign: str, test: str, cost: float) -> None:
        """Write down what a part cost."""
        with self._file.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps([campaign, test, cost]) + "\n")

    def parts(self) -> Sequence[Part]:
        """Return each part that began."""
        with self._file.open() as file:
            return list(_parts(file))


def _parts(lines: Iterable[str]) -> Iterable[Part]:
    """Read the parts from the lines of the file: a line for a part's beginning, and one with its cost for its end."""
    parts = {part.test: part for part in (Part(*json.loads(line)) for line in lines)}
    return parts.values()


def campaign_of(test: str) -> str:
    """Return the name of the campaign that a test is a part of."""
    return test.partition("[")[0]


def marked(item: pytest.Item) -> dict[str, Any]:
    """Return what the campaign's mark says; a property test has none."""
    mark = item.get_closest_marker("campaign") or item.get_closest_marker("sampled")
    return dict(mark.kwargs) if mark else {}


def is_property(item: pytest.Item) -> bool:
    """Return whether a test belongs to the campaigns only because it draws more examples there."""
    return item.get_closest_marker("campaign") is None and item.get_closest_marker("sampled") is None


def was_run(item: pytest.Item) -> bool:
    """Return whether a property test was among the fast tests that passed on this commit."""
    budget = item.config.stash.get(_BUDGET, None)
    if budget is None or budget.passed is None or not is_property(item):
        return False
    return budget.passed == 0 or costs.is_due(item.nodeid, budget.passed)


def is_proof(item: pytest.Item) -> bool:
    """Return whether a campaign shows the safety of money: all about faults do, and others that say so."""
    return not is_property(item) and (item.nodeid.startswith("tests/faults/") or bool(marked(item).get("proof")))


def in_order(items: Sequence[pytest.Item], seed: int) -> list[pytest.Item]:
    """Return the tests in the order in which they begin: the proof, the other campaigns, then properties.

    The first part of each proof comes before the second of any. Files take turns to be first, by the seed.
    """
    files = list(dict.fromkeys(item.path for item in items))
    first = seed * (len(files) // 4 + 1) % max(len(files), 1)
    turns = {file: (number - first) % len(files) for number, file in enumerate(files)}
    seen, nth = Counter[str](), dict[pytest.Item, int]()
    for item in items:
        nth[item] = seen[campaign_of(item.nodeid)] if is_proof(item) else 0
        seen[campaign_of(item.nodeid)] += 1
    return sorted(items, key=lambda item: (not is_proof(item), is_property(item), nth[item], turns[item.path]))


class Budget:
    """The time of a run, as a worker of it knows it."""

    current: "Budget | None" = None

    def __init__(self, told: dict[str, Any]) -> None:
        self.account = Account(Path(told["file"]))
        self._until, self._times = told["until"], told["times"]
        self.passed: int | None = told["passed"]
        self._slowness = FIRST_GUESS
        self._test = self._campaign = ""
        self._before = self._began = 0.0
        Budget.current = self

    def may_begin(self, item: pytest.Item) -> bool:
        """Return whether there is time for a test, and begin it."""
        campaign = PROPERTIES if is_property(item) else campaign_of(item.nodeid)
        longest = recorded(campaign)
        if time.time() + longest * self._slowness > self._until:
            return False
        share = math.inf if campaign == PROPERTIES else marked(item).get("share", SHARE) * self._times
        if not self.account.begin(campaign, item.nodeid, share, longest):
            return False
        self._test, self._campaign = item.nodeid, campaign
        self._before, self._began = cpu() + METER.exchanges(), time.time()
        return True

    def end(self) -> None:
        """Write down what the test cost that began last."""
        cost = cpu() + METER.exchanges() - self._before
        self.account.end(self._campaign, self._test, cost)
        known = recorded(self._campaign)
        if known > 1:
            self._slowness = min(max((time.time() - self._began) / known, 1.0), SLOWEST)


def recorded(campaign: str) -> float:
    """Return what the dearest part of a campaign cost when costs were recorded; 0 if that isn't known."""
    row = costs.rows().get(f"{CAMPAIGN} {campaign}")
    return row.cost if row else 0.0


_BUDGET = pytest.StashKey[Budget]()
_TOLD = pytest.StashKey[dict[str, Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add how long the campaigns may take."""
    parser.addoption("--minutes", type=float, default=MINUTES, help="play the campaigns for so long (default: 12)")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count the time, or continue in a worker; campaigns that somebody names are played whole."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is not None and workerinput.get("budget"):
        config.stash[_BUDGET] = Budget(workerinput["budget"])
    elif workerinput is None and config.option.campaigns and config.getoption("numprocesses", None):
        if not tiers.runs_whole_tier(config):
            return
        minutes = config.option.minutes
        file = Path(tempfile.mkdtemp()) / "spent"
        file.touch()
        until = time.time() + minutes * 60 - CLOSING_S
        passed = costs.passed_turn(config) if minutes <= MINUTES else None
        config.stash[_TOLD] = {"file": str(file), "until": until, "times": minutes / MINUTES, "passed": passed}


def pytest_configure_node(node: Any) -> None:
    """Tell a worker of the time."""
    node.workerinput["budget"] = node.config.stash.get(_TOLD, None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Leave a test out that there is no time for, and with it what the test before it has kept for it."""
    budget = item.config.stash.get(_BUDGET, None)
    if budget is None or budget.may_begin(item):
        return None
    item.session._setupstate.teardown_exact(nextitem)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down what a test cost once what it needed is gone."""
    if report.when == "teardown" and Budget.current is not None:
        Budget.current.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how much of each campaign was played."""
    told = config.stash.get(_TOLD, None)
    if told is None:
        return
    played = defaultdict[str, list[float]](list)
    for part in Account(Path(told["file"])).parts():
        played[part.campaign].append(part.cost or 0.0)
    if told["passed"] is not None:
        terminalreporter.write_line("Property tests that `make test` has just run on this commit were left out.")
    terminalreporter.section("what was played: parts, CPU-s, campaign")
    small = {campaign: parts for campaign, parts in played.items() if sum(parts) < SHARE}
    for campaign, parts in sorted(played.items(), key=lambda item: -sum(item[1])):
        if campaign not in small:
            terminalreporter.write_line(f"{len(parts):5} {sum(parts):7.1f}  {campaign}")
    rest = sum(sum(parts) for parts in small.values())
    terminalreporter.write_line(f"{sum(map(len, small.values())):5} {rest:7.1f}  of {len(small)} more")
    if config.option.record:
        longest = {f"{CAMPAIGN} {name}": costs.Row(round(max(parts), 2)) for name, parts in played.items()}
        costs.write({**costs.rows(), **{name: row for name, row in longest.items() if row.cost >= 1}})
