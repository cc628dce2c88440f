"""A venue that stalls holds up no page: what is late is left, what is stored is shown, and errors are told."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commands.web.page_data import BackgroundFetch, FetchPatience, PageReader
from papervenue import process
from tests.commands.web.client import Clock, browser, site
from tests.kit.bot.folder import Bot
from tests.kit.values import there
from tradebot.adapters.state.halt_switch import HALT
from tradebot.adapters.state.state_folder import BARS
from tradebot.errors import OperatorError, TemporaryError

EXCHANGES_ARE_PROCESSES = True
"""They are stopped, as a process can be."""

LATE = "The venue hasn&#39;t answered in time since "
SOON_S, LONG_S = 0.05, 60.0


class Twin:
    """A bot whose bars are asked in another thread, and which is closed there."""

    bars = "bars"

    def __init__(self) -> None:
        self.closed_by: str | None = None

    def twin(self) -> Any:
        """Return the bot opened again, which is this one."""
        return self

    def close(self) -> None:
        """Note who closes it."""
        self.closed_by = threading.current_thread().name


def asking(twin: Twin) -> BackgroundFetch:
    bot: Any = twin
    return BackgroundFetch(bot)


def nobody() -> BackgroundFetch:
    raise AssertionError("the venue was asked")


def answered(patience: FetchPatience, ask: Callable[[Any], Any]) -> Any:
    """Ask in a thread of its own, and end it."""
    thread = asking(Twin())
    try:
        return patience.answer(lambda: thread, ask)
    finally:
        thread.end()


def in_time(patience: FetchPatience, ask: Callable[[Any], Any]) -> Any:
    """Ask a venue that answers, however busy this machine is."""
    patience._wait_s = LONG_S
    try:
        return answered(patience, ask)
    finally:
        patience._wait_s = SOON_S


def test_answers_in_time_are_given_and_errors_raised_and_the_twin_is_closed_where_it_was_used() -> None:
    twin, patience = Twin(), FetchPatience(LONG_S)
    thread = asking(twin)
    assert (
        patience.answer(lambda: thread, lambda bars: f"{bars} by {threading.current_thread().name}") == "bars by bars"
    )

    def fail(error: Exception) -> Callable[[Any], Any]:
        def ask(bars: Any) -> Any:
            raise error

        return ask

    for error in (
        OperatorError("wrong"),
        TemporaryError("later"),
        TimeoutError("timed out"),
        PermissionError(13, "no"),
    ):
        with pytest.raises(type(error)) as raised:
            patience.answer(lambda: thread, fail(error))
        assert raised.value is error
    assert (patience.late(), patience.warning()) == (None, "")
    thread.end()
    thread.thread.join(LONG_S)
    assert twin.closed_by == "bars"


def test_a_bug_is_told_and_is_no_late_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    patience, told, thread = FetchPatience(LONG_S), list[threading.ExceptHookArgs](), asking(Twin())
    monkeypatch.setattr(threading, "excepthook", told.append)
    with pytest.raises(CancelledError):
        patience.answer(lambda: thread, lambda bars: bars.nonsense)  # type: ignore[attr-defined]
    thread.thread.join(LONG_S)
    assert [one.exc_type for one in told] == [AttributeError]
    assert patience.late() is None


def test_while_an_answer_is_late_nobody_is_asked_or_waited_for_until_it_came_and_a_while_passed() -> None:
    clock, go_on = Clock(), threading.Event()
    patience = FetchPatience(SOON_S, 60.0, clock)
    assert answered(patience, lambda bars: go_on.wait(LONG_S)) is None
    clock.now_s += 61
    late = there(patience.late())
    assert "hasn't answered in time since " in patience.warning()
    assert patience.answer(nobody, lambda bars: bars) is None
    go_on.set()
    late.thread.join(LONG_S)
    assert in_time(patience, lambda bars: bars) == "bars"

    go_on.clear()
    assert answered(patience, lambda bars: go_on.wait(LONG_S)) is None
    late = there(patience.late())
    go_on.set()
    late.thread.join(LONG_S)
    clock.now_s += 59
    assert patience.answer(nobody, lambda bars: bars) is None
    clock.now_s += 1
    assert in_time(patience, lambda bars: bars) == "bars"
    assert patience.warning() == ""


def test_many_who_wait_for_a_venue_that_stalls_leave_one_late_thread() -> None:
    patience, go_on, found = FetchPatience(SOON_S), threading.Event(), list[Any]()
    asked = list[Any]()

    def ask(bars: Any) -> bool:
        asked.append(bars)
        return go_on.wait(LONG_S)

    waiting = [threading.Thread(target=lambda: found.append(answered(patience, ask))) for _ in range(5)]
    for each in waiting:
        each.start()
    for each in waiting:
        each.join(LONG_S)
    go_on.set()
    assert (found, asked) == ([None] * 5, ["bars"])


@contextmanager
def standing_still(folder: Path, patience: FetchPatience) -> Iterator[None]:
    """Let the exchange of a bot stand still, and nobody wait long; who waited for it has its answer afterward."""
    endpoint = process.ensure_running(folder / "exchange")
    os.kill(endpoint.pid, signal.SIGSTOP)
    patience._wait_s = SOON_S
    try:
        yield
    finally:
        patience._wait_s = LONG_S
        os.kill(endpoint.pid, signal.SIGCONT)
        for thread in threading.enumerate():
            if thread.name == "bars":
                thread.join(LONG_S)


def candles(page: str) -> list[str]:
    return re.findall(r"\d+ candles of [^<]*", page)


def test_a_halt_is_shown_while_the_exchange_stands_still_and_bars_are_those_that_are_stored(trader: Bot) -> None:
    assert trader.says("trade-once").code == 0
    (trader.folder / BARS).unlink(missing_ok=True)
    patience = FetchPatience(LONG_S, 0.0)
    client = browser(site(trader.folder, PageReader(trader.folder, None, patience)))
    with standing_still(trader.folder, patience):
        symbol = client.get("/symbol/AAPL").text
        assert "no bars are stored" in symbol
        assert LATE in symbol
    assert trader.says("report").code == 0
    trader.says("reconcile")
    before = client.get("/symbol/AAPL").text
    assert LATE not in before
    with standing_still(trader.folder, patience):
        (trader.folder / HALT).touch()
        began_s = time.monotonic()
        page, symbol = client.get("/").text, client.get("/symbol/AAPL").text
        # To find that the exchange doesn't answer, and doesn't start either, takes 20 seconds.
        assert time.monotonic() - began_s < 15
        assert sum(thread.name == "bars" for thread in threading.enumerate()) == 1
    assert "REDUCE_ONLY" in page
    assert (LATE in page, LATE in symbol) == (True, True)
    assert candles(symbol) == candles(before) != []
    trader.says("reconcile")
    after = client.get("/").text
    assert (LATE in after, "REDUCE_ONLY" in after) == (False, True)
