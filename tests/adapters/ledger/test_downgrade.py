"""Going back to the ledger from before an upgrade: it is taken only if it has everything."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit import ledgers
from tests.kit.fakes.failpoints import killed_at
from tests.kit.ledgers import KEPT, LATER, UPGRADED
from tradebot.adapters.ledger.downgrade import restore_previous_version
from tradebot.adapters.ledger.schema import FORM, open_database
from tradebot.errors import OperatorError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a used bot whose ledger has just been upgraded to the later form."""
    path = ledgers.make(tmp_path / "state").path
    open_database(path / "ledger.db", read_only=False, form=LATER).close()
    return path


def versions(folder: Path) -> dict[str, int]:
    found = {}
    for path in sorted(folder.glob("ledger.db*")):
        if path.name.endswith("-journal"):
            continue
        with closing(sqlite3.connect(path)) as database:
            found[path.name] = int(database.execute("PRAGMA user_version").fetchone()[0])
    return found


def test_books_from_before_the_upgrade_are_back_and_the_upgraded_ones_kept(folder: Path, tmp_path: Path) -> None:
    before = ledgers.content(ledgers.make(tmp_path / "other").path)
    taken = restore_previous_version(folder)
    assert taken == folder / KEPT
    assert versions(folder) == {"ledger.db": FORM.version, UPGRADED: LATER.version}
    assert ledgers.content(folder) == before
    assert restore_previous_version(folder) is None


MADE_AGAIN = [
    "DELETE FROM slots",
    "UPDATE sessions SET close = open",
    "INSERT INTO listings (account, sequence, symbol, body, read_at) SELECT account, 9, 'F', '{}', '' FROM book",
]


@pytest.mark.parametrize("change", MADE_AGAIN)
def test_what_is_made_again_is_given_up(folder: Path, change: str) -> None:
    with closing(open_database(folder / "ledger.db", read_only=False, form=LATER)) as books:
        assert books.execute(change).rowcount == 1
    assert restore_previous_version(folder) == folder / KEPT


WRITTEN = [
    "UPDATE book SET journal_sequence = journal_sequence + 1",
    "UPDATE high_water SET price = '191.7'",
    "DELETE FROM trade_notes WHERE sequence = 2",
    "INSERT INTO equity_peak (account, highest, seen_once) SELECT account, '1', '1' FROM book",
]


@pytest.mark.parametrize("change", WRITTEN)
def test_books_that_were_written_since_are_not_given_up(folder: Path, change: str) -> None:
    with closing(open_database(folder / "ledger.db", read_only=False, form=LATER)) as books:
        assert books.execute(change).rowcount == 1
    with pytest.raises(OperatorError, match="The bot has written since") as refused:
        restore_previous_version(folder)
    assert "tradebot recover" in refused.value.hint
    assert versions(folder) == {"ledger.db": LATER.version, KEPT: FORM.version}


@pytest.mark.parametrize(("point", "left"), [("before", LATER.version), ("after", FORM.version)])
def test_kill_on_the_way_back_leaves_one_ledger_or_the_other(folder: Path, point: str, left: int) -> None:
    killed_at(f"downgrade.put_back.{point}", lambda: restore_previous_version(folder))
    assert versions(folder)["ledger.db"] == left
    restore_previous_version(folder)
    assert versions(folder)["ledger.db"] == FORM.version
