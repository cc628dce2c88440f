"""The released steps: a folder that version 1 wrote becomes one of today's, and can go back.

`form_1` has the ledger and the journal of such a folder as text, written by the last program of that version.
"""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from commands import upgrade
from tests.kit import ledgers
from tests.kit.ledgers import edit
from tests.kit.rows import DAY, NOW, minutes
from tests.kit.values import listing
from tradebot.adapters.ledger import integrity as ledger_sums
from tradebot.adapters.ledger.downgrade import restore_previous_version
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.migration import LedgerVersion
from tradebot.adapters.ledger.schema import APPLICATION_ID, FORM, SAYS_2, SAYS_3, TABLES, open_database
from tradebot.app.loading import Options
from tradebot.errors import DamagedBooksError, ExitCode
from tradebot.model.bar import Session
from tradebot.model.instrument import ListingRecord
from tradebot.model.promotion import Promotion, Rung

FORM_1 = LedgerVersion(1, FORM.steps[1].tables, {})
AS_WRITTEN = Path(__file__).with_name("form_1")
KEPT = "ledger.db-version-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a state folder whose books version 1 wrote."""
    path = ledgers.make(tmp_path / "state").path
    for name in ("ledger.db", "books.checked"):
        (path / name).unlink()
    with closing(sqlite3.connect(path / "ledger.db")) as database:
        database.executescript((AS_WRITTEN / "ledger.sql").read_text())
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
    (path / "ledger.db").chmod(0o600)
    (path / "journal.jsonl").write_bytes((AS_WRITTEN / "journal.jsonl").read_bytes())
    return path


def test_books_of_version_1_say_the_same_after_all_steps_and_list_nothing_yet(folder: Path, tmp_path: Path) -> None:
    today = ledgers.content(ledgers.make(tmp_path / "today").path)
    # Version 1 knew of one filter for each strategy, so its verdicts don't name them, nor their units.
    today["verdicts"] = [
        (name, text.replace(',"about":"","unit":""', "").replace(',"unit":""', "")) for name, text in today["verdicts"]
    ]
    today |= {"listings": {}, "promoted": ()}
    assert ledgers.content(folder) == today, "a reader upgrades a copy"
    open_database(folder / "ledger.db", read_only=False).close()
    assert (folder / KEPT).exists()
    assert ledgers.content(folder) == today
    with closing(SqliteLedger.open(folder)) as books:
        books.file.check()
        assert books.file.rows("SELECT settlement FROM book WHERE account = ?") == [("paid",)]
        assert books.file.rows("SELECT calendar, date FROM sessions WHERE account = ?") == [("", DAY.isoformat())]


def test_upgraded_books_can_be_written(folder: Path) -> None:
    with closing(SqliteLedger.open(folder)) as books:
        listed, moved = ListingRecord(listing("AAPL")), Session(DAY, NOW, minutes(210))
        next_day = Session(DAY + timedelta(days=1), minutes(1440), minutes(1830))
        books.put_listings([listed])
        books.put_sessions([moved, next_day])
        assert (books.listings(), books.sessions(DAY, next_day.date)) == ({"AAPL": listed}, (moved, next_day))
        books.put_sessions([], gone=[next_day.date])
        assert books.sessions(DAY, next_day.date) == (moved,)
        promotion = Promotion("flow", Rung.SHADOW, "abc", "me", NOW)
        books.promotions.append(promotion)
        assert books.promotions.every() == (promotion,)
        books.file.check_pages()


def test_damage_in_books_of_version_1_is_found_before_they_are_upgraded(folder: Path) -> None:
    edit(folder / "ledger.db", "UPDATE sessions SET close = open")
    before = (folder / "ledger.db").read_bytes()
    with pytest.raises(DamagedBooksError, match="sessions were changed after they were written"):
        open_database(folder / "ledger.db", read_only=False)
    assert (folder / "ledger.db").read_bytes() == before


def test_upgraded_ledger_is_as_a_new_one(folder: Path, tmp_path: Path) -> None:
    open_database(folder / "ledger.db", read_only=False).close()
    new = ledgers.make(tmp_path / "new").path
    statements = []
    for path in (folder, new):
        with closing(open_database(path / "ledger.db", read_only=True)) as database:
            assert list(ledger_sums.differences(database, TABLES)) == []
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
            statements.append(set(database.execute("SELECT type, name, sql FROM sqlite_schema")))
    assert statements[0] == statements[1]


def dumped(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def test_version_1_puts_its_ledger_back_though_listings_were_read_since(folder: Path) -> None:
    before = dumped(folder / "ledger.db")
    with closing(SqliteLedger.open(folder)) as books:
        books.put_listings([ListingRecord(listing("AAPL"))])
    assert dumped(folder / "ledger.db") != before
    assert restore_previous_version(folder, FORM_1) == folder / KEPT
    assert dumped(folder / "ledger.db") == before


def test_check_names_what_is_new_and_the_verb_upgrades(folder: Path) -> None:
    def ran(*, check: bool) -> upgrade.Upgraded:
        report = upgrade.run(Options(str(folder)), {}, check=check)
        assert (report.exit_code, isinstance(report.data, upgrade.Upgraded)) == (ExitCode.DONE, True)
        return report.data  # type: ignore[no-any-return]

    before = (folder / "ledger.db").read_bytes()
    ledger = next(row for row in ran(check=True).judgments if row.subject == "ledger")
    new = f"this tradebot upgrades it to 3 (new: {SAYS_2}; {SAYS_3})"
    said = f"version 1; {new} and stores {KEPT} next to it; the upgrade of a copy worked"
    assert (ledger.found, (folder / "ledger.db").read_bytes()) == (said, before)
    assert ran(check=False).done == "upgraded the ledger from version 1 to 3"
    assert ran(check=False).done == ""
