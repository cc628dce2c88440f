"""A state as version 3 wrote it, whose facts stood in sentences, in the ids of fills and among the best prices.

Ledger, journal, marker and HALT lie in `version_3_state/` as that version left them: books with a bit of everything,
then fills of every origin, cash and notes for every purpose, and halts of every kind.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tradebot.adapters.ledger import sums as ledger_sums
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_folder import LEDGER, StateFolder

WRITTEN = Path(__file__).with_name("version_3_state")


def make(path: Path) -> StateFolder:
    """Lay the state down in a folder."""
    return lay_state(path, WRITTEN, "journal.jsonl", "state.id", "HALT")


def lay_state(path: Path, written: Path, *names: str, ledger: Path | None = None) -> StateFolder:
    """Lay these files of a written state down in a folder, with its ledger or that of another."""
    state_folder.prepare(path)
    for name in names:
        shutil.copyfile(written / name, path / name)
        (path / name).chmod(0o600)
    lay_ledger(path / LEDGER, (ledger or written) / "ledger.sql")
    return state_folder.open_state(path)


def turn_back(folder: Path) -> None:
    """Write the ledger of a folder of today anew, in the tables and the sentences of version 3."""
    ledger, old = folder / LEDGER, folder / "ledger.old"
    with closing(sqlite3.connect(old)) as database:
        ledger_sums.install(database)
        database.executescript("PRAGMA application_id = 1413631025; PRAGMA user_version = 3;")
        for statement in (WRITTEN / "ledger.sql").read_text().split(";\n"):
            if statement.startswith("CREATE"):
                database.execute(statement)
        database.execute("ATTACH ? AS newer", (str(ledger),))
        for (name,) in database.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
            _copy(database, name)
        for word, column in (("equity", "highest"), ("equity seen once", "seen_once")):
            peak = f"SELECT account, 'account', '{word}', opened_at, {column}, 1, NULL"
            whose = "newer.equity_peak JOIN newer.book USING (account)"
            database.execute(f"INSERT INTO main.high_water {peak} FROM {whose}")
        database.commit()
    old.rename(ledger)
    ledger.chmod(0o600)


def _copy(database: sqlite3.Connection, table: str) -> None:
    columns = [column for _, column, *_ in database.execute(f"PRAGMA main.table_info({table})")]
    told = ", ".join(SAID if (table, one) in IN_SENTENCES else one for one in columns)
    database.execute(f"INSERT INTO main.{table} SELECT {told} FROM newer.{table}")  # noqa: S608 - names of ours
    if table == "book":
        database.execute("UPDATE main.book SET rows = 0")


SAID = "CASE origin WHEN 'activity' THEN 'activity:' || about || ' ' || why ELSE why END"
IN_SENTENCES = {("cash_adjustments", "why"), ("acknowledged", "why")}


def lay_ledger(path: Path, statements: Path) -> None:
    """Write a ledger's file from its statements."""
    with closing(sqlite3.connect(path)) as database:
        ledger_sums.install(database)
        database.executescript(statements.read_text())
    path.chmod(0o600)
