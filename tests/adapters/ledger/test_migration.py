"""A ledger of an earlier form: readers leave it as it is, and the first writer upgrades it, from a copy that is kept.

Mostly, today's ledger is the earlier one here, and the later form is made up. `test_steps` has the released steps.
"""

import json
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit import ledgers
from tests.kit.fakes.failpoints import killed_at
from tests.kit.fakes.machine import another_process
from tests.kit.ledgers import KEPT, LATER
from tradebot.adapters.ledger import integrity as ledger_sums
from tradebot.adapters.ledger.migration import LedgerVersion, bring_up
from tradebot.adapters.ledger.schema import FORM, UNRELEASED_IDS, open_database
from tradebot.adapters.state import state_locks
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TradebotError


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Return the file of a used ledger of the earlier form."""
    return ledgers.make(tmp_path / "state").path / "ledger.db"


def opened(
    path: Path, form: LedgerVersion = LATER, *, read_only: bool = False, patience_s: float = 5.0
) -> sqlite3.Connection:
    return open_database(path, read_only=read_only, patience_s=patience_s, form=form)


def upgrade(path: Path) -> None:
    opened(path).close()


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def rows(path: Path) -> list[str]:
    """Return all that a ledger's file holds."""
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def fills(database: sqlite3.Connection) -> list[Any]:
    return database.execute("SELECT * FROM fills").fetchall()


def kept(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.glob("ledger.db-version-*"))


def test_reader_sees_the_later_form_and_leaves_the_file_as_it_is(ledger: Path) -> None:
    before = ledger.read_bytes()
    with closing(opened(ledger, read_only=True)) as database:
        assert database.execute("SELECT color FROM colors").fetchall() == [("green",)]
        assert list(ledger_sums.differences(database, LATER.tables)) == []
        with pytest.raises(sqlite3.OperationalError):
            database.execute("DELETE FROM fills")
    assert (ledger.read_bytes(), kept(ledger)) == (before, [])


def test_first_writer_upgrades_the_file_once_and_keeps_a_copy(ledger: Path) -> None:
    old = rows(ledger)
    with closing(sqlite3.connect(ledger)) as database:
        filled = fills(database)
    upgrade(ledger)
    once = ledger.read_bytes()
    with closing(opened(ledger)) as database:
        assert fills(database) == filled
        assert list(ledger_sums.differences(database, LATER.tables)) == []
    assert (ledger.read_bytes(), version(ledger), kept(ledger)) == (once, LATER.version, [KEPT])
    assert rows(ledger.parent / KEPT) == old
    assert {path.stat().st_mode & 0o777 for path in ledger.parent.glob("ledger.db*")} == {0o600}


@pytest.mark.parametrize("point", ["keep.before", "keep.after", "bring_up.before", "bring_up.after"])
def test_kill_during_an_upgrade_leaves_one_version_or_the_next(ledger: Path, point: str) -> None:
    killed_at(f"ledger_migration.{point}", lambda: upgrade(ledger))
    with closing(opened(ledger)) as database:
        assert list(ledger_sums.differences(database, LATER.tables)) == []
    assert version(ledger) == LATER.version
    assert version(ledger.parent / KEPT) == FORM.version


def test_second_of_two_upgrading_writers_finds_it_done(ledger: Path) -> None:
    copied = list[int]()
    with closing(opened(ledger, FORM)) as one, closing(opened(ledger, FORM)) as two:
        for database in (one, two):
            bring_up(database, LATER, copied.append)
    assert (copied, version(ledger)) == ([FORM.version], LATER.version)


def test_damage_is_found_before_anything_is_upgraded(ledger: Path) -> None:
    trigger = next(one for one in ledger_sums.triggers(FORM.tables) if "CREATE TRIGGER cash_adjustments_changed" in one)
    with closing(sqlite3.connect(ledger)) as database:
        database.execute("DROP TRIGGER cash_adjustments_changed")
        database.execute("UPDATE cash_adjustments SET why = 'plan-1 accepted by me' WHERE sequence = 1")
        database.execute(trigger)
        database.commit()
    damaged = ledger.read_bytes()
    for read_only in (True, False):
        with pytest.raises(DamagedBooksError, match="cash_adjustments were changed after they were written"):
            opened(ledger, read_only=read_only)
    assert ledger.read_bytes() == damaged


def test_upgraded_file_has_the_tables_of_the_later_form_alone(ledger: Path) -> None:
    upgrade(ledger)
    opened(ledger, read_only=True).close()
    with pytest.raises(OperatorError, match=f"its ledger is {LATER.version}, this one reads {FORM.version}"):
        opened(ledger, FORM)


@pytest.mark.parametrize("kind", UNRELEASED_IDS)
def test_ledger_from_before_the_first_release_is_refused_with_what_to_do(ledger: Path, kind: int) -> None:
    with closing(sqlite3.connect(ledger)) as database:
        database.execute(f"PRAGMA application_id = {kind}")
    with pytest.raises(OperatorError, match="from before the first release") as refused:
        opened(ledger, FORM)
    assert "tradebot init --state-dir" in str(refused.value.hint)
    assert not isinstance(refused.value, DamagedBooksError)


@contextmanager
def held_by_another(folder: Path, name: str, ledger: int) -> Iterator["subprocess.Popen[str]"]:
    """Let another process hold a lock, which reads ledgers of this version."""
    with another_process("state_locks.hold(folder, 'serve', name=sys.argv[2])", folder, name) as other:
        (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | {"ledger": ledger}))
        yield other


LOCKS = pytest.mark.parametrize(
    "name", [state_locks.SERVE_LOCK, state_locks.STREAM_LOCK, state_locks.FETCH_LOCK, state_locks.LOCK]
)


@LOCKS
def test_upgrade_is_refused_while_a_process_works_that_reads_the_earlier_form(ledger: Path, name: str) -> None:
    before = ledger.read_bytes()
    with held_by_another(ledger.parent, name, FORM.version - 1):
        with pytest.raises(TradebotError, match="another tradebot is working on it: serve") as refused:
            opened(ledger, patience_s=0.1)
        assert refused.value.code is ExitCode.ANOTHER_INSTANCE
        assert ledger.read_bytes() == before
    with state_locks.hold(ledger.parent, "reconcile"):
        upgrade(ledger)
    assert version(ledger) == LATER.version


def test_upgrade_goes_on_once_a_process_that_reads_the_earlier_form_is_done(ledger: Path) -> None:
    with held_by_another(ledger.parent, state_locks.LOCK, FORM.version - 1) as other:
        end = threading.Timer(0.3, lambda: other.stdin and other.stdin.close())
        end.start()
        upgrade(ledger)
        end.join()
    assert version(ledger) == LATER.version


@LOCKS
def test_upgrade_needs_nothing_stopped_that_reads_the_later_form(ledger: Path, name: str) -> None:
    with held_by_another(ledger.parent, name, FORM.version):
        opened(ledger, patience_s=0.0).close()
    assert version(ledger) == LATER.version
