"""Let each worker read only the test files that it runs, when it is about to run them.

pytest-xdist has every worker import every test file and list every test before the first one runs, which takes each of
them a tenth of the whole suite's time. Here a worker lists the files, as one item each, and the tests of a file run in
place of its item when its turn comes. Their ids, marks, fixtures and reports are the same as without this.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.suite import costs, tiers
from tests.suite.meter import METER, cpu

_FIRST = pytest.StashKey[list[pytest.Item]]()


class FilesBegun(set[Any]):
    """What the progress of a run is counted in, where nobody knows how many tests there are: files, for their tests."""

    def add(self, test: Any) -> None:
        super().add(test.path)


def applies(config: pytest.Config) -> bool:
    """Return whether this process is a worker of a run of all fast tests."""
    return hasattr(config, "workerinput") and tiers.runs_all(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Show how many of the files are begun: what a worker lists are files."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and tiers.runs_all(session.config) and session.config.getoption("dist") != "no":
        reporter._progress_nodeids_reported = FilesBegun()


class WholeFile(pytest.Item):
    """Stands for the tests of a file; it is in no folder, so that no folder's fixtures are kept for it."""

    def __init__(self, *, folder: pytest.Collector, **others: Any) -> None:
        super().__init__(**others)
        self.folder = folder

    def runtest(self) -> None:
        raise AssertionError("its tests run instead")

    def tests(self) -> list[pytest.Item]:
        """Import the file and return its tests, without those of the other tier and those of another commit."""
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, False
        try:
            tests = list(self.session.genitems(pytest.Module.from_parent(self.folder, path=self.path)))
        finally:
            sys.dont_write_bytecode = before
        self.config.hook.pytest_collection_modifyitems(session=self.session, config=self.config, items=tests)
        return [test for test in tests if not costs.left_out(self.config, test.nodeid)]


class UnreadFile(pytest.File):
    """A test file that is not imported yet."""

    def collect(self) -> Iterator[WholeFile]:
        known = {"name": self.name, "path": self.path, "nodeid": f"{self.nodeid}::"}
        yield WholeFile.from_parent(self.session, folder=self.parent, **known)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> UnreadFile | None:
    """Leave a file unread where that applies."""
    return UnreadFile.from_parent(parent, path=module_path) if applies(parent.config) else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run the tests of a file in place of its item; leave any item to pytest where files aren't read so."""
    if not applies(item.config):
        return None
    if not isinstance(item, WholeFile):
        _run_telling_little(item, nextitem, first=item in item.session.stash[_FIRST])
        return True
    session, tests = item.session, item.tests()
    place = session.items.index(item)
    session.stash[_FIRST] = tests[:1] if len(tests) > 1 else []
    for test, following in zip(tests, [*tests[1:], nextitem], strict=False):
        # A worker only reports about the item that it was told to run.
        session.items[place] = test
        test.ihook.pytest_runtest_protocol(item=test, nextitem=following)
        if session.shouldfail or session.shouldstop:
            break
    session.items[place] = item
    return True


def _run_telling_little(test: pytest.Item, following: pytest.Item | None, *, first: bool = False) -> None:
    """Run a test, and report its cost, its call and what went wrong alone: the other messages take seconds of each run.

    The `first` of several tests makes what all tests of its file share.
    """
    before, exchanges = cpu(), METER.exchanges()
    reports = runtestprotocol(test, nextitem=following, log=False)
    own, shared = cpu() - before, 0.0
    if first:
        shared = min(own, test.stash.get(costs.SETUP, 0.0))
    reported = [report for report in reports if report.when == "call" or not report.passed]
    spent = own - shared, METER.exchanges() - exchanges, shared
    for number, report in enumerate(reported):
        if not number:
            report.user_properties.append((costs.PROPERTY, spent))
        test.ihook.pytest_runtest_logreport(report=report)
