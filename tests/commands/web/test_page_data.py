"""A page is read once for everybody, again after each change, and says what can't be read instead of failing."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from markupsafe import Markup

from commands.positions import report as positions
from commands.shared.verb_options import Report
from commands.web import page_data
from commands.web.html_rendering import Page, PagePart
from commands.web.page_data import PageReader
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.state_folder import LEDGER
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError


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


def test_a_page_is_read_once_until_something_is_recorded_or_it_is_old(
    copy: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_while_the_ledger_is_locked_everything_else_is_answered_and_the_page_says_why(
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
