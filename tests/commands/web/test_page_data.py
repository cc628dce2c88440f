"""A page is read once for everybody, again after each change, and says what can't be read instead of failing."""

import os
import re
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from commands.positions import report as positions
from commands.shared.verb_options import Report
from commands.web import page_data
from commands.web.html_rendering import Page, PagePart
from commands.web.page_data import BackgroundFetch, FetchPatience, PageReader
from papervenue import process
from tests.commands.web.client import Clock, browser, site
from tests.kit.bot.folder import Bot
from tests.kit.values import there
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.halt_switch import HALT
from tradebot.adapters.state.state_folder import BARS, LEDGER
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TemporaryError, TradebotError


class Counted:
    """A page of which the times it was read are counted."""

    def __init__(self, *parts: PagePart) -> None:
        self.count = 0
        self.parts = parts or (PagePart("One", lambda app: Markup("<p>one</p>")),)
        self.page = Page("counted", "/counted", "Counted", lambda query: [PagePart("Zero", self._read), *self.parts])

    def _read(self, app: App) -> Markup:
        self.count += 1
        return Markup("<p>zero</p>")


def change(folder: Path) -> None:
    halt_switch.arm(folder, "test", datetime.now(UTC))


def shown(reader: PageReader, page: Page) -> Sequence[str]:
    return [part.html for part in reader.read(page, {}).parts]


def test_page_is_read_once_until_something_is_recorded_or_it_is_old(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, reader = Counted(), PageReader(copy.folder, None)
    first = reader.read(counted.page, {})
    assert reader.read(counted.page, {}) is first
    reader.read(counted.page, {"symbol": "AAPL"})
    reader.read(counted.page, {"symbol": "AAPL"})
    assert counted.count == 2
    change(copy.folder)
    assert reader.read(counted.page, {}) is not first
    assert counted.count == 3
    monkeypatch.setattr(page_data, "ANYWAY_S", 0)
    reader.read(counted.page, {})
    assert counted.count == 4


def test_as_many_pages_are_kept_as_may_be(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    two_and_how_the_bot_is = 3
    monkeypatch.setattr(page_data, "KEPT", two_and_how_the_bot_is)
    counted, reader = Counted(), PageReader(copy.folder, None)
    for symbol in ("A", "B", "C", "C", "B", "A"):
        reader.read(counted.page, {"symbol": symbol})
    assert counted.count == 4


def test_a_part_that_cannot_be_read_says_so_in_its_place_and_the_others_stay(copy: Bot) -> None:
    def fails(error: Exception) -> PagePart:
        def make(app: App) -> Report:
            raise error

        return PagePart("Fails", make)

    parts = [
        fails(OperatorError("no <b>such</b>\x1b thing", "tradebot status")),
        fails(sqlite3.DatabaseError("file is not a database")),
        fails(PermissionError(13, "Permission denied")),
    ]
    zero, named, damaged, denied, last = shown(
        PageReader(copy.folder, None), Counted(*parts, PagePart("Last", positions.run)).page
    )
    assert (zero, "position" in last) == ("<p>zero</p>", True)
    assert "no &lt;b&gt;such&lt;/b&gt;  thing" in named
    assert "next: " in named
    assert "the state can&#39;t be read: file is not a database" in damaged
    assert "Permission denied" in denied
    assert all('role="alert"' in each for each in (named, damaged, denied))


def test_a_slow_page_holds_up_no_other_and_is_read_once_for_all_who_wait(copy: Bot) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def wait(app: App) -> Markup:
        begun.set()
        assert go_on.wait(30)
        return Markup("slow")

    slow, quick, reader = Counted(PagePart("Slow", wait)), Counted(), PageReader(copy.folder, None)
    other = Page("other", "/other", "Other", quick.page.parts)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(reader.read(slow.page, {}))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    assert reader.read(other, {}).parts
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert (slow.count, len({id(each) for each in found}), len(found)) == (1, 1, 3)


def test_settings_count_at_once_when_their_file_changes_whichever_thread_reads(copy: Bot) -> None:
    reader = PageReader(copy.folder, None)
    page = Page(
        "a", "/a", "A", lambda query: [PagePart("A", lambda app: Markup("{}").format(app.settings.limits.min_score))]
    )
    found: list[Sequence[str]] = []

    def read() -> None:
        thread = threading.Thread(target=lambda: found.append(shown(reader, page)))
        thread.start()
        thread.join(30)

    read()
    file = copy.folder / "tradebot.yaml"
    before = file.read_text() if file.exists() else ""
    file.write_text("limits: {min_score: 0.77}\n")
    read()
    file.write_text("limits: [\n")
    read()
    file.write_text(before)
    read()
    first, changed, broken, again = found
    assert (list(changed), first == again) == (["0.77"], True)
    # What can't be read is left, for what was accepted last.
    assert broken == first


def test_a_damaged_ledger_and_a_removed_folder_are_told_and_found_again(copy: Bot) -> None:
    reader, page = PageReader(copy.folder, None), Counted().page
    assert shown(reader, page)
    saved = copy.folder.with_name("saved")
    copy.folder.rename(saved)
    with pytest.raises(TradebotError, match="There is no state"):
        reader.read(page, {})
    shutil.copytree(saved, copy.folder)
    assert shown(reader, page)
    ledger = copy.folder / LEDGER
    good = ledger.read_bytes()
    ledger.write_bytes(good[:100] + b"nonsense" * (len(good) // 8))
    with pytest.raises(TradebotError) as damaged:
        reader.read(page, {})
    assert damaged.value.hint
    ledger.write_bytes(good)
    assert shown(reader, page)


def test_while_the_ledger_is_locked_others_are_answered_and_told_why(
    copy: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, **{**named, "timeout": 0.3}))
    client = browser(site(copy.folder))
    with closing(connect(copy.folder / LEDGER, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        answers: list[tuple[int, str]] = []
        asking = threading.Thread(
            target=lambda: answers.append(((got := client.get("/positions")).status_code, got.text))
        )
        asking.start()
        began_s = time.monotonic()
        assert client.get("/static/1/site.css").status_code == 200
        assert time.monotonic() - began_s < 5
        asking.join(60)
        assert answers[0][0] == 503
        assert "in use by another process" in answers[0][1]
        writer.execute("ROLLBACK")
    assert client.get("/positions").status_code == 200


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
