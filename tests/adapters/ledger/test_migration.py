"""Ledgers of earlier versions: read as they are, brought up by the first writer, each step from a copy that is kept."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.ledger import old_books, version_2, version_3
from tests.adapters.ledger.old_books import MONEY, content, part
from tests.adapters.samples import ACCOUNT, NOW, minutes
from tests.builders import best_price
from tradebot.adapters.faults import failpoint
from tradebot.adapters.ledger import migration as ledger_migration
from tradebot.adapters.ledger import schema as ledger_schema
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import rebuild, soundness
from tradebot.adapters.state import lock, state_folder, switch
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.desk.halting import accept_causes
from tradebot.errors import DamagedBooksError, ExitCode, TradebotError
from tradebot.model.account import EquityPeak
from tradebot.model.origin import Origin
from tradebot.model.reasons import Reason
from tradebot.model.trading import Override, TradingState, hidden_halts

MAKE: dict[int, Callable[[Path], StateFolder]] = {2: version_2.make, 3: version_3.make}
FILLS = [
    ("a1", Origin.VENUE, ""),
    ("a2", Origin.VENUE, ""),
    ("20260105::f1", Origin.VENUE, ""),
    ("owned:20260105::f1:from", Origin.GIVEN_BACK, "20260105::f1"),
    ("owned:20260105::f1:to", Origin.GIVEN_BACK, "20260105::f1"),
    ("adjustment:plan-0123abcd:20260105T152200000000Z:AAPL:0", Origin.PLAN, "plan-0123abcd"),
    ("adoption:TSLA:20260105T152200000000Z:from", Origin.ADOPTION, "TSLA"),
    ("adoption:TSLA:20260105T152200000000Z:to", Origin.ADOPTION, "TSLA"),
    ("taken-over:v7", Origin.TAKEN_OVER, "v7"),
    ("written by nobody knows whom", Origin.UNKNOWN, ""),
    ("activity:20260105000000000::s1:0", Origin.ACTIVITY, "20260105000000000::s1"),
]
CASH = [
    ("-1.5", "unknown", "", "", "a fee"),
    ("12.5", "activity", "20260105000000000::d1", "DIV", "DIV/CDIV AAPL +12.5 USD of 2026-01-05"),
    (
        "0",
        "activity",
        "20260105000000000::s1",
        "SPLIT",
        "SPLIT NVDA +4 shares of 2026-01-05, settled by plan-0123abcd",
    ),
    ("3.25", "plan", "plan-0123abcd", "", "plan-0123abcd accepted by ann/1"),
    ("-1400", "adoption", "TSLA", "", "TSLA was acknowledged by ann/1"),
    ("700", "adoption", "TSLA", "", "TSLA was bought before it was taken over by ann/1"),
]
NOTES = [
    ("TSLA", "unknown", "", "by hand"),
    ("XOM", "activity", "20260105000000000::s1", "SPLIT NVDA +4 shares of 2026-01-05, settled by plan-0123abcd"),
    ("JPM", "plan", "plan-0123abcd", "plan-0123abcd accepted by ann/1"),
    ("TSLA", "adoption", "TSLA", "taken over by ann/1"),
    ("NVDA", "taken_over", "", "orders under our mark made these shares"),
]
STATES = [
    ("REDUCE_ONLY", "[]", None),
    ("ACTIVE", "[]", None),
    ("REDUCE_ONLY", '["DAILY_LOSS_HALT","SECOND_WRITER"]', None),
    ("ACTIVE", '["DAILY_LOSS_HALT","SECOND_WRITER"]', "2026-01-05T15:30:00+00:00"),
    ("REDUCE_ONLY", '["PASS_FAULT"]', None),
    ("ACTIVE", "[]", None),
    ("REDUCE_ONLY", "[]", None),
    ("REDUCE_ONLY", None, None),
    ("REDUCE_ONLY", '["DRAWDOWN_REACHED"]', None),
]


@pytest.fixture(params=MAKE)
def older(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return the folder of used books whose ledger is of an earlier version."""
    return MAKE[request.param](tmp_path / "state").path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def rows(path: Path) -> list[str]:
    """Return all that a ledger's file holds."""
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def facts(folder: Path) -> dict[str, list[Any]]:
    """Return what stood in sentences."""
    with closing(SqliteLedger.open(folder, ACCOUNT, read_only=True)) as books:
        ask = books.file.rows
        return {
            "fills": sorted((o.fill.activity_id, o.origin, o.about) for o in books.fills()),
            "cash": ask("SELECT amount, origin, about, kind, why FROM cash_adjustments WHERE account = ?"),
            "notes": ask("SELECT symbol, origin, about, why FROM acknowledged WHERE account = ?"),
            "states": ask("SELECT state, causes, accepted_at FROM trading_states WHERE account = ?"),
        }


def test_every_sentence_becomes_the_fact_that_it_stood_for_and_none_is_guessed(older: Path) -> None:
    assert facts(older) == {"fills": sorted(FILLS), "cash": CASH, "notes": NOTES, "states": STATES}
    with closing(SqliteLedger.open(older, ACCOUNT, read_only=True)) as books:
        assert books.equity_peak() == EquityPeak(Decimal("100250.5"), Decimal(1_200_000))
        assert best_price(books, "account", "equity", NOW) is None
        assert best_price(books, "flow", "AAPL", NOW) == Decimal("95.05")
        assert {name: entry.kind for name, entry in books.booked().items()} == {
            "20260105000000000::d1": "DIV",
            "20260105000000000::s1": "SPLIT",
        }


def test_whoever_only_reads_an_older_ledger_leaves_it_as_it_is(older: Path) -> None:
    before, was = (older / "ledger.db").read_bytes(), version(older / "ledger.db")
    with closing(SqliteLedger.open(older, ACCOUNT, read_only=True)) as books:
        books.file.check_whole()
        assert books.tallies.compare_journal().missing == 0
        with pytest.raises(sqlite3.OperationalError):
            books.file.database.execute("DELETE FROM fills")
    content(older)
    assert ((older / "ledger.db").read_bytes(), version(older / "ledger.db")) == (before, was)
    assert not list(older.glob("ledger.db-version-*"))


def test_its_first_writer_brings_it_up_once_and_each_step_is_kept(older: Path) -> None:
    old, was = rows(older / "ledger.db"), version(older / "ledger.db")
    before, told = content(older), facts(older)
    SqliteLedger.open(older, ACCOUNT).close()
    once = (older / "ledger.db").read_bytes()
    with closing(SqliteLedger.open(older, ACCOUNT)) as books:
        books.file.check_whole()
        assert books.tallies.compare_journal().missing == 0
    assert (older / "ledger.db").read_bytes() == once
    assert (version(older / "ledger.db"), content(older), facts(older)) == (ledger_migration.VERSION, before, told)
    kept = {path.name: version(path) for path in older.glob("ledger.db-version-*")}
    assert kept == {f"ledger.db-version-{number}": number for number in range(was, ledger_migration.VERSION)}
    assert rows(older / f"ledger.db-version-{was}") == old
    assert {path.stat().st_mode & 0o777 for path in older.glob("ledger.db*")} == {0o600}


def test_it_has_the_very_tables_of_a_new_one(older: Path, tmp_path: Path) -> None:
    SqliteLedger.open(older, ACCOUNT).close()
    SqliteLedger.create(tmp_path, ACCOUNT, NOW).close()
    statements = []
    for folder in (older, tmp_path):
        with closing(sqlite3.connect(folder / "ledger.db")) as database:
            statements.append({sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema")})
    assert statements[0] == statements[1]


@pytest.mark.parametrize("point", ["keep.before", "keep.after", "bring_up.before", "bring_up.after"])
def test_whoever_is_killed_on_the_way_leaves_one_version_or_the_next(older: Path, point: str) -> None:
    was, told = version(older / "ledger.db"), facts(older)

    def kill(reached: str) -> None:
        if reached == f"ledger_migration.{point}":
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        failpoint.hook = kill
        SqliteLedger.open(older, ACCOUNT)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert facts(older) == told
    with closing(SqliteLedger.open(older, ACCOUNT)) as books:
        books.file.check_whole()
    assert (version(older / "ledger.db"), facts(older)) == (ledger_migration.VERSION, told)
    assert version(older / f"ledger.db-version-{was}") == was


def test_of_two_who_bring_it_up_at_once_the_second_finds_it_done(older: Path) -> None:
    path = older / "ledger.db"
    kept = list[int]()
    with closing(ledger_schema._connect(path, "rw")) as one, closing(ledger_schema._connect(path, "rw")) as two:
        for database in (one, two):
            ledger_schema._check(database, path)
        for database in (one, two):
            ledger_migration.bring_up(database, ledger_schema.TABLES, kept.append)
        assert ledger_schema._check(two, path) == ledger_migration.VERSION
    assert len(kept) == len(set(kept))


def test_damage_is_found_before_anything_is_brought_up(older: Path) -> None:
    with closing(sqlite3.connect(older / "ledger.db")) as database:
        database.execute("DROP TRIGGER cash_adjustments_changed")
        database.execute("UPDATE cash_adjustments SET why = 'plan-1 accepted by me' WHERE sequence = 1")
        database.execute(_trigger("cash_adjustments_changed", older))
        database.commit()
    damaged = (older / "ledger.db").read_bytes()
    for read_only in (True, False):
        with pytest.raises(DamagedBooksError, match="cash_adjustments are not as they were written"):
            SqliteLedger.open(older, ACCOUNT, read_only=read_only)
    assert (older / "ledger.db").read_bytes() == damaged


def _trigger(name: str, folder: Path) -> str:
    statements = ledger_schema._statements(version(folder / "ledger.db"))
    return next(one for one in statements if one.startswith(f"CREATE TRIGGER {name} "))


def test_an_old_override_counts_on_and_an_old_halt_names_its_causes(older: Path) -> None:
    with closing(SqliteLedger.open(older, ACCOUNT)) as books:
        state = books.trading_state()
        assert state.state is TradingState.REDUCE_ONLY
        assert state.causes == {Reason.DRAWDOWN_REACHED}
        assert [halt.causes for halt in books.halts()] == [frozenset(), frozenset(), {Reason.DRAWDOWN_REACHED}]
        assert hidden_halts(books.halts(), state) == ()
        words, accepted = accept_causes(books, state, "seen")
        assert accepted == Override(frozenset({Reason.DRAWDOWN_REACHED}), minutes(36))
        assert books.equity_peak() == EquityPeak(Decimal(0), Decimal(1_200_000))
        books.set_trading_state(TradingState.ACTIVE, "ann", words, minutes(40), override=accepted)
        assert books.trading_state().override == accepted


def test_a_halt_of_whose_causes_nothing_is_known_is_ended_for_none_of_them(older: Path) -> None:
    switch.halt(older, "tradebot", "for some reason", minutes(50), "REDUCE_ONLY")
    with closing(SqliteLedger.open(older, ACCOUNT)) as books:
        state = books.trading_state()
        assert (state.at, state.causes) == (minutes(50), frozenset())


def test_a_journal_of_version_3_alone_makes_the_same_facts(tmp_path: Path) -> None:
    folder = version_3.make(tmp_path / "state")
    before, told = content(folder.path), facts(folder.path)
    (folder.path / "ledger.db").unlink()
    made = rebuild.rebuild(folder, "lost", NOW)
    assert [doubt for doubt in made.doubts if doubt.what == "record"] == []
    assert part(content(folder.path), *MONEY) == part(before, *MONEY)
    after = facts(folder.path)
    states, waits = told.pop("states"), [("REDUCE_ONLY", "[]", None)]
    assert after.pop("states") == [*states, *waits]
    assert after == told
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        assert books.tallies.compare_journal()._replace(records=0, rows=0) == (0, 0, 0, 0)
        books.file.check_journal()


def test_a_ledger_and_a_journal_of_version_3_are_joined_row_by_row_without_writing_anything_twice(older: Path) -> None:
    journal = (older / "journal.jsonl").read_bytes()
    before, told = content(older), facts(older)
    # The end of the journal is lost, so the two are compared by what makes each record itself.
    (older / "journal.jsonl").write_bytes(b"".join(journal.splitlines(keepends=True)[:-4]))
    folder = state_folder.open_state(older)
    rebuild.rebuild(folder, "damaged", NOW)
    assert part(content(older), *MONEY[:-1]) == part(before, *MONEY[:-1])
    assert {**facts(older), "states": []} == {**told, "states": []}
    soundness.problem(folder)


def test_books_of_today_go_through_the_same_words_unchanged(tmp_path: Path) -> None:
    folder = old_books.make(tmp_path / "state")
    told = facts(folder.path)
    (folder.path / "ledger.db").unlink()
    rebuild.rebuild(folder, "lost", NOW)
    assert {**facts(folder.path), "states": []} == {**told, "states": []}


PROGRAM = """
import json, sys; from pathlib import Path; from tradebot.adapters.state import lock
folder, name, earlier = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == 'earlier'
with lock.hold(folder, 'serve', name=name):
    if earlier:
        note = json.loads((folder / name).read_text())
        del note['ledger']
        (folder / name).write_text(json.dumps(note))
    print('held', flush=True); sys.stdin.read()
"""


@contextmanager
def held_by_another(folder: Path, name: str, version: str) -> Iterator["subprocess.Popen[str]"]:
    """Let another process hold a lock, as this version of the program does or an `earlier` one."""
    command = [sys.executable, "-c", PROGRAM, str(folder), name, version]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other


LOCKS = pytest.mark.parametrize("name", [lock.SERVE_LOCK, lock.STREAM_LOCK, lock.FETCH_LOCK, lock.LOCK])


@LOCKS
def test_nobody_brings_books_up_under_an_earlier_version_that_works_on_them(older: Path, name: str) -> None:
    before = (older / "ledger.db").read_bytes()
    with held_by_another(older, name, "earlier"):
        with pytest.raises(TradebotError, match="another tradebot is working on it: serve") as refused:
            SqliteLedger.open(older, ACCOUNT, patience_s=0.1)
        assert refused.value.code is ExitCode.ANOTHER_INSTANCE
        assert (older / "ledger.db").read_bytes() == before
    with lock.hold(older, "reconcile"):
        SqliteLedger.open(older, ACCOUNT).close()
    assert version(older / "ledger.db") == ledger_migration.VERSION


def test_books_are_brought_up_once_an_earlier_version_is_done_with_them(older: Path) -> None:
    with held_by_another(older, lock.LOCK, "earlier") as other:
        end = threading.Timer(0.3, lambda: other.stdin and other.stdin.close())
        end.start()
        SqliteLedger.open(older, ACCOUNT).close()
        end.join()
    assert version(older / "ledger.db") == ledger_migration.VERSION


@LOCKS
def test_nothing_needs_to_be_stopped_that_can_read_the_upgraded_books(older: Path, name: str) -> None:
    with held_by_another(older, name, "this"):
        SqliteLedger.open(older, ACCOUNT, patience_s=0.0).close()
    assert version(older / "ledger.db") == ledger_migration.VERSION
