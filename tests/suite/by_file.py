"""Let each worker read only the test files that it runs, when it is about to run them.

pytest-xdist has every worker import every test file and list every test before the first one runs, which takes each of
them a tenth of the whole suite's time. Here a worker lists the files, as one item each, and the tests of a file run in
place of its item when its turn comes. Their ids, marks, fixtures and reports are the same as without this.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

import commands
import jobs
import tradebot


class FilesBegun(set[Any]):
    """What the progress of a run is counted in, where nobody knows how many tests there are: files, for their tests."""

    def add(self, test: Any) -> None:
        super().add(test.path)


def runs_all(config: pytest.Config) -> bool:
    """Return whether all fast tests run: what selects some of them has to see each."""
    selected = any(config.getoption(name, False) for name in ("campaigns", "keyword", "markexpr", "lf", "stepwise"))
    return config.args == config.getini("testpaths") and not selected


def applies(config: pytest.Config) -> bool:
    """Return whether this process is a worker of a run of all fast tests."""
    return hasattr(config, "workerinput") and runs_all(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Show how many of the files are begun: what a worker lists are files."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and runs_all(session.config) and session.config.getoption("dist") != "no":
        reporter._progress_nodeids_reported = FilesBegun()


def import_code() -> None:
    """Import what is tested: the processes that tests fork would otherwise do it, each again."""
    for package in (tradebot, commands, jobs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


class WholeFile(pytest.Item):
    """Stands for the tests of a file; it is in no folder, so that no folder's fixtures are kept for it."""

    def __init__(self, *, folder: pytest.Collector, **others: Any) -> None:
        super().__init__(**others)
        self.folder = folder

    def runtest(self) -> None:
        raise AssertionError("its tests run instead")

    def tests(self) -> list[pytest.Item]:
        """Import the file and return its tests, without those of the other tier."""
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, False
        try:
            tests = list(self.session.genitems(pytest.Module.from_parent(self.folder, path=self.path)))
        finally:
            sys.dont_write_bytecode = before
        self.config.hook.pytest_collection_modifyitems(session=self.session, config=self.config, items=tests)
        return tests


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
        _run_telling_little(item, nextitem)
        return True
    session, tests = item.session, item.tests()
    place = session.items.index(item)
    for test, following in zip(tests, [*tests[1:], nextitem], strict=False):
        # A worker only reports about the item that it was told to run.
        session.items[place] = test
        test.ihook.pytest_runtest_protocol(item=test, nextitem=following)
        if session.shouldfail or session.shouldstop:
            break
    session.items[place] = item
    return True


def _run_telling_little(test: pytest.Item, following: pytest.Item | None) -> None:
    """Run a test, and report its call and what went wrong alone: the other messages take seconds of each run."""
    for report in runtestprotocol(test, nextitem=following, log=False):
        if report.when == "call" or not report.passed:
            test.ihook.pytest_runtest_logreport(report=report)
