"""Accepted configurations: appended, journaled before they hold, the last one in force; older ledgers get the table."""

import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.ledger import old_books, version_2
from tests.adapters.samples import ACCOUNT, NOW, minutes
from tradebot.adapters.faults import failpoint
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger import schema as ledger_schema
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import JOURNAL
from tradebot.errors import OperatorError
from tradebot.model.baseline import Baseline

BASELINE = Baseline({"shadow": False, "universe": ["AAPL"], "limits": {"min_score": 0.2}}, "ann/1", NOW)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """Return the folder of used books whose ledger is of version 2."""
    folder = old_books.make(tmp_path / "state").path
    version_2.turn_back(folder)
    return folder


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def without_approval(folder: Path) -> dict[str, object]:
    return {name: value for name, value in old_books.content(folder).items() if name != "approved"}


def test_the_last_accepted_configuration_holds_and_the_journal_has_each(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        assert books.baselines.last() is None
        later = replace(BASELINE, values={"shadow": True}, at=minutes(1))
        for baseline in (BASELINE, later):
            books.baselines.approve(baseline)
            assert books.baselines.last() == baseline
            assert books.file.sealed() == books.file.check_journal(), "the journal was synced before the commit"
        kinds = [record.kind for record in journal.records(tmp_path / JOURNAL)]
        assert kinds == ["created", "approved", "approved"]
        books.file.check_whole()
    assert BASELINE.fingerprint != later.fingerprint


def test_a_clock_that_was_set_back_leaves_the_last_one_the_latest(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        books.baselines.approve(BASELINE)
        books.baselines.approve(replace(BASELINE, values={"shadow": True}, at=minutes(-60)))
        found = books.baselines.last()
    assert found is not None
    assert (found.values, found.at) == ({"shadow": True}, NOW)


def test_a_configuration_that_no_record_can_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as books:
        with pytest.raises(OperatorError, match="more than the 240000"):
            books.baselines.approve(replace(BASELINE, values={"universe": ["AAPL"] * 40_000}))
        assert books.baselines.last() is None
        books.file.check_whole()


def test_a_ledger_of_version_2_answers_as_it_is_to_those_who_only_read(older: Path, tmp_path: Path) -> None:
    before = (older / "ledger.db").read_bytes()
    with closing(SqliteLedger.open(older, ACCOUNT, read_only=True)) as books:
        assert books.baselines.last() is None
        books.file.check_whole()
        assert list(books.upkeep.identities())
    assert without_approval(older) == without_approval(old_books.make(tmp_path / "newer").path)
    assert (version(older), (older / "ledger.db").read_bytes()) == (2, before)


def test_its_first_writer_brings_it_up_once_and_nothing_else_of_it_changes(older: Path) -> None:
    before = without_approval(older)
    SqliteLedger.open(older, ACCOUNT).close()
    once = (older / "ledger.db").read_bytes()
    with closing(SqliteLedger.open(older, ACCOUNT)) as books:
        assert (older / "ledger.db").read_bytes() == once
        assert books.baselines.last() is None
        books.baselines.approve(BASELINE)
        books.file.check_whole()
        assert books.baselines.last() == BASELINE
    assert (version(older), without_approval(older)) == (ledger_schema.VERSION, before)


def test_it_has_the_very_tables_of_a_new_one(older: Path, tmp_path: Path) -> None:
    SqliteLedger.open(older, ACCOUNT).close()
    SqliteLedger.create(tmp_path, ACCOUNT, NOW).close()
    statements = []
    for folder in (older, tmp_path):
        with closing(sqlite3.connect(folder / "ledger.db")) as database:
            statements.append({sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema")})
    assert statements[0] == statements[1]


@pytest.mark.parametrize(("point", "left"), [("before", 2), ("after", 3)])
def test_whoever_is_killed_on_the_way_leaves_one_version_or_the_other(older: Path, point: str, left: int) -> None:
    def kill(reached: str) -> None:
        if reached == f"ledger_schema.bring_up.{point}":
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        failpoint.hook = kill
        SqliteLedger.open(older, ACCOUNT)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    with closing(SqliteLedger.open(older, ACCOUNT, read_only=True)) as books:
        books.file.check_whole()
    assert version(older) == left
    with closing(SqliteLedger.open(older, ACCOUNT)) as books:
        books.file.check_whole()
    assert version(older) == ledger_schema.VERSION


def test_of_two_who_bring_it_up_at_once_the_second_finds_it_done(older: Path) -> None:
    paths = [older / "ledger.db"] * 2
    with closing(ledger_schema._connect(paths[0], "rw")) as one, closing(ledger_schema._connect(paths[1], "rw")) as two:
        for database in (one, two):
            ledger_schema._check(database, paths[0])
        for database in (one, two):
            ledger_schema._bring_up(database)
        assert ledger_schema.tables_of(two) == ledger_schema.TABLES
