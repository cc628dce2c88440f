"""Run the tests in several processes that begin as copies of this one, once everything is imported and collected.

Collecting takes longer than most folders of tests, and each process that pytest-xdist starts does all of it again.
Here a process takes the tests of one file after another, in their order, and sends its reports to the one that it was
copied from, which shows and counts them.
"""

import multiprocessing
from collections.abc import Iterable, Sequence
from itertools import groupby
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from multiprocessing.queues import SimpleQueue
from typing import Any, cast

import pytest

_FORK = multiprocessing.get_context("fork")
_NO_MORE = -1
_TOO_LATE_S = 10
Reports = list[dict[str, Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crew", type=int, default=1, metavar="N", help="run the tests in N copies of this process")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Share out what was collected, if that was asked for and all of it could be read."""
    option = session.config.option
    if option.crew < 2 or not session.items or session.testsfailed or option.collectonly or option.usepdb:
        return None
    _run(session, option.crew)
    return True


class _Recorder:
    """Keeps the reports of the test that is running."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reports: Reports = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))

    def taken(self) -> Reports:
        taken, self._reports = self._reports, []
        return taken


class _Member:
    """One of the processes, as the first one sees it."""

    def __init__(
        self, session: pytest.Session, name: str, files: Sequence[Sequence[int]], turns: Any, others: Iterable[Any]
    ) -> None:
        self.reports, theirs = _FORK.Pipe(duplex=False)
        # Open in no member, so that all of them end once the first process is gone.
        shut = [*others, self.reports]
        self._running = _FORK.RawValue("i", _NO_MORE)
        self.process: ForkProcess = _FORK.Process(
            target=_work, args=(session, name, files, turns, theirs, self._running, shut), name=name
        )
        self.process.start()
        theirs.close()

    def crashed(self, session: pytest.Session) -> pytest.TestReport:
        """Return the report of the test that ended its process."""
        self.process.join()
        at = session.items[self._running.value]
        how = f"{self.process.name} ended with {self.process.exitcode}; the rest of this file did not run"
        return pytest.TestReport(at.nodeid, at.location, {}, "failed", how, "call")


def _by_file(items: Sequence[pytest.Item]) -> list[list[int]]:
    """Return the numbers of the tests of each file, in the order of the tests."""
    numbered = enumerate(item.nodeid.partition("::")[0] for item in items)
    return [[number for number, _ in some] for _, some in groupby(numbered, key=lambda one: one[1])]


def _run(session: pytest.Session, count: int) -> None:
    """Run all tests in so many processes."""
    files = _by_file(session.items)
    session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    turns: SimpleQueue[int] = _FORK.SimpleQueue()
    members: dict[Any, _Member] = {}
    try:
        for number in range(min(count, len(files))):
            member = _Member(session, f"gw{number}", files, turns, members)
            members[member.reports] = member
        for turn in (*range(len(files)), *[_NO_MORE] * count):
            turns.put(turn)
        while members:
            for ready in wait(members):
                _receive(session, members, ready)
    finally:
        for member in members.values():
            member.process.terminate()


def _receive(session: pytest.Session, members: dict[Any, _Member], ready: Any) -> None:
    """Show what a member reports, or that it is gone."""
    hook = session.config.hook
    try:
        reports = ready.recv()
    except EOFError:
        hook.pytest_runtest_logreport(report=members.pop(ready).crashed(session))
        return
    if reports is None:
        members.pop(ready).process.join(_TOO_LATE_S)
        return
    for data in reports:
        hook.pytest_runtest_logreport(report=hook.pytest_report_from_serializable(config=session.config, data=data))
    if session.shouldfail:
        raise session.Failed(session.shouldfail)


def _work(
    session: pytest.Session,
    name: str,
    files: Sequence[Sequence[int]],
    turns: Any,
    reports: Connection,
    running: Any,
    shut: Iterable[Connection],
) -> None:
    """Be a member: run the tests of one file after another, until none is left."""
    for connection in shut:
        connection.close()
    recorder = _settled(session.config, name)
    # What the next file needs is not known yet; of what this one has made only the session's is kept.
    nothing = cast(pytest.Item, session)
    for turn in iter(turns.get, _NO_MORE):
        items = [session.items[number] for number in files[turn]]
        for number, item, following in zip(files[turn], items, (*items[1:], nothing), strict=True):
            running.value = number
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            reports.send(recorder.taken())
    session._setupstate.teardown_exact(None)
    reports.send(None)


def _settled(config: pytest.Config, name: str) -> _Recorder:
    """Give this process its own output and temporary folders; return what keeps its reports."""
    plugins = config.pluginmanager
    capture = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    capture.suspend_global_capture()
    for shown in ("terminalreporter", "terminalprogress-plugin"):
        if plugins.hasplugin(shown):
            plugins.unregister(name=shown)
    folders = config._tmp_path_factory  # type: ignore[attr-defined]
    folders._basetemp = folders.getbasetemp() / name
    folders._basetemp.mkdir()
    recorder = _Recorder(config)
    plugins.register(recorder)
    return recorder
