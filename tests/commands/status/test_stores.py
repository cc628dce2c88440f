"""`tradebot status --stores`: every file belongs to a store, whose retention the runbook documents."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from commands.status.stores import RETENTIONS, show, stores_of
from tests.adapters.ledger import old_books, version_4
from tests.bot import Bot, second_session
from tradebot.adapters.ledger.ledger import SqliteLedger

RUNBOOK = Path(__file__).parents[3] / "docs" / "RUNBOOK.md"


def test_every_file_of_a_bot_that_has_traded_belongs_to_one_store(bot: Bot) -> None:
    second_session(bot)
    bot.says("trade-once")
    bot.says("backup")
    found = bot.json("status", "--stores")
    assert found["bytes"] == sum(store["bytes"] for store in found["stores"])
    assert {"ledger", "journal", "facts", "events", "backups", "exchange", "latch", "marks"} <= {
        store["name"] for store in found["stores"]
    }
    assert all(store["oldest"] for store in found["stores"])
    assert {store["name"] for store in found["stores"] if store["money"]} == {"ledger", "journal"}


def test_a_file_that_no_store_knows_shows_in_the_total_alone(tmp_path: Path) -> None:
    folder = old_books.make(tmp_path / "state").path
    before = stores_of(folder)
    (folder / "stranger").write_bytes(b"12345")
    assert stores_of(folder).stores == before.stores
    assert stores_of(folder).bytes == before.bytes + 5


def test_the_copy_kept_before_an_upgrade_is_shown_as_money(tmp_path: Path) -> None:
    folder = version_4.make(tmp_path / "state").path
    SqliteLedger.open(folder).close()
    (earlier,) = [store for store in stores_of(folder).stores if store.name == "earlier ledgers"]
    assert (earlier.money, earlier.files) == (True, 1)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_any_width(tmp_path: Path, width: int) -> None:
    console = Console(width=width, file=StringIO())
    show(console, replace(stores_of(old_books.make(tmp_path / "state").path), state_dir="STATE"))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    assert "always" in " ".join(lines)


def test_the_runbook_says_how_long_each_store_is_kept() -> None:
    text = RUNBOOK.read_text()
    assert [one.name for one in RETENTIONS if f"| {one.name} | {one.holds} | {one.kept} |" not in text] == []
