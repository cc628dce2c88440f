"""Upgrades ledgers of earlier versions, one version at a time, and keeps a copy of each.

A writer upgrades the file, in one transaction per version. A reader upgrades a copy in memory and leaves the file as it
is. A ledger is upgraded only if every row is as it was written.
"""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.ledger import sums as ledger_sums
from tradebot.adapters.state.plain_files import create_draft
from tradebot.adapters.state.state_folder import LEDGER_VERSION, REBUILD, sync_folder
from tradebot.adapters.text import earlier_words
from tradebot.adapters.text.canonical import json_text
from tradebot.errors import DamagedBooksError

Facts = Callable[[Mapping[str, Any]], dict[str, Any]]
VERSION = LEDGER_VERSION
BEFORE_FACTS, BEFORE_CHECKPOINTS, BEFORE_WORST, BEFORE_DAYS = 3, 4, 5, 6
MOST_COPIES = 9
"""The most copies of one version to keep; after that, the last one is overwritten."""
IN_SENTENCES = (
    """CREATE TABLE fills (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, activity_id TEXT NOT NULL,
        at TEXT NOT NULL, body TEXT NOT NULL, applied_at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, activity_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE cash_adjustments (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, amount TEXT NOT NULL,
        why TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE trading_states (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, state TEXT NOT NULL,
        who TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE acknowledged (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, symbol TEXT NOT NULL,
        quantity TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
)
"""Tables of versions 2 and 3, which kept some facts in sentences and in the ids of fills."""
WITHOUT_NAMES = (
    """CREATE TABLE orders (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, venue_id TEXT NOT NULL,
        terminal INTEGER NOT NULL, body TEXT NOT NULL, applied_at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, sequence), UNIQUE (account, venue_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE fills (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, activity_id TEXT NOT NULL,
        at TEXT NOT NULL, body TEXT NOT NULL, applied_at TEXT NOT NULL, origin TEXT NOT NULL, about TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, activity_id)
    ) WITHOUT ROWID""",
)
"""Tables up to version 4, which kept the names by which rows are found only inside their texts."""
WITHOUT_WORST = """CREATE TABLE high_water (
        account TEXT NOT NULL REFERENCES book, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        opened_at TEXT NOT NULL, price TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, strategy, symbol, opened_at)
    ) WITHOUT ROWID"""
"""The best prices of positions up to version 5, which kept no worst ones."""
WITHOUT_DAYS = """CREATE TABLE cash_adjustments (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, amount TEXT NOT NULL,
        origin TEXT NOT NULL, about TEXT NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID"""
"""The movements of cash up to version 6, which kept when they were booked, and not when they happened at the broker."""
WITHOUT_SUB_KINDS = """CREATE TABLE cash_adjustments (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, amount TEXT NOT NULL,
        origin TEXT NOT NULL, about TEXT NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL,
        happened_at TEXT, symbol TEXT, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID"""
"""The movements of cash of version 7, which didn't keep the broker's sub-types."""
INDEXES = frozenset(
    {
        "intents_by_target",
        "orders_by_time",
        "orders_unpromised",
        "orders_by_client_order_id",
        "orders_replaced",
        "fills_by_time",
        "fills_by_order",
        "fills_with_others",
        "slots_by_session",
    }
)
"""The indexes since version 5, with which a pass reads as much from large books as from small ones."""
PEAKS = """SELECT account, symbol, price FROM high_water
    WHERE strategy = 'account' AND symbol IN ('equity', 'equity seen once')
    AND opened_at = (SELECT opened_at FROM book WHERE book.account = high_water.account)"""
"""Select the highest equity, which versions 2 and 3 kept among the best prices of positions."""
_NAME = re.compile(r"CREATE (?:TABLE|INDEX) (\w+) ")


def tables_of(version: int, tables: Sequence[str]) -> tuple[str, ...]:
    """Return the statements that create a ledger of a version, given those of the current one."""
    if version == VERSION:
        return tuple(tables)
    lacking, earlier = set[str](), {"cash_adjustments": WITHOUT_SUB_KINDS}
    if version <= BEFORE_DAYS:
        lacking, earlier = {"trade_notes"}, {"cash_adjustments": WITHOUT_DAYS}
    if version <= BEFORE_WORST:
        earlier["high_water"] = WITHOUT_WORST
    if version <= BEFORE_CHECKPOINTS:
        lacking |= {*INDEXES, "fill_seals", "checkpoints"}
        earlier |= {_name(statement): statement for statement in WITHOUT_NAMES}
    if version < BEFORE_CHECKPOINTS:
        earlier |= {_name(statement): statement for statement in IN_SENTENCES}
        lacking |= {"equity_peak"} if version == BEFORE_FACTS else {"equity_peak", "baselines"}
    return tuple(earlier.get(_name(one), one) for one in tables if _name(one) not in lacking)


def bring_up(database: sqlite3.Connection, tables: Sequence[str], keep: Callable[[int], None]) -> None:
    """Upgrade a ledger to the current version, calling `keep` before each step to copy it.

    A process that is killed leaves one version or the next. Raises DamagedBooksError if a row isn't as it was written.
    """
    for version, step in STEPS.items():
        if version_of(database) > version:
            continue
        database.execute("BEGIN IMMEDIATE")
        # Another process may have upgraded it in the meantime.
        if version_of(database) == version:
            _require_as_written(database, tables_of(version, tables))
            keep(version)
            step(database, {_name(statement): statement for statement in tables})
            database.execute(f"PRAGMA user_version = {version + 1}")
        with around("ledger_migration.bring_up"):
            database.execute("COMMIT")


def version_of(database: sqlite3.Connection) -> int:
    """Return the version of a ledger."""
    ((version,),) = database.execute("PRAGMA user_version")
    return int(version)


def keep_beside(path: Path, version: int) -> None:
    """Write a durable copy of a ledger beside it; the caller holds its write lock and has written nothing yet.

    SQLite makes the copy: opening and closing the file directly would release the lock that keeps other writers out.
    """
    kept = _free(path.with_name(f"{path.name}-version-{version}"))
    draft, descriptor = create_draft(kept)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as ledger, closing(sqlite3.connect(draft)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            ledger.backup(copy)
        with around("ledger_migration.sync_copy"):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with around("ledger_migration.keep"):
        draft.rename(kept)
    sync_folder(path.parent)


def _free(path: Path) -> Path:
    """Return the path, or a numbered one if it is taken by an earlier upgrade from the same version."""
    names = (path, *(path.with_name(f"{path.name}.{number}") for number in range(2, MOST_COPIES + 1)))
    return next((name for name in names if not os.path.lexists(name)), names[-1])


def _require_as_written(database: sqlite3.Connection, tables: Sequence[str]) -> None:
    found = [row[0] for row in database.execute("PRAGMA integrity_check")]
    if found == ["ok"]:
        found = list(ledger_sums.differences(database, tables))
    if found:
        raise DamagedBooksError(f"The ledger is damaged: {'; '.join(found[:3])}.", REBUILD)


def _name(statement: str) -> str:
    """Return the name of the table or index that a statement creates."""
    named = _NAME.match(statement)
    assert named, statement
    return named[1]


def _add(database: sqlite3.Connection, statement: str) -> None:
    for one in (statement, *ledger_sums.triggers((statement,))):
        database.execute(one)


def _accept(database: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    """Upgrade to version 3, which can store the configuration that a person accepted."""
    _add(database, tables["baselines"])


def _add_fact_fields(database: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    """Upgrade to version 4, which has fields for facts once kept in sentences, fill ids and best prices."""
    tables = {_name(statement): statement for statement in tables_of(BEFORE_CHECKPOINTS, tuple(tables.values()))}
    for table, (columns, facts) in FACTS.items():
        _copy_rows(database, tables[table], table, columns, facts)
    _add(database, tables["equity_peak"])
    for account, name, price in database.execute(PEAKS).fetchall():
        peak = (account, price, "0") if name == "equity" else (account, "0", price)
        column = "highest" if name == "equity" else "seen_once"
        database.execute(
            "INSERT INTO equity_peak (account, highest, seen_once) VALUES (?, ?, ?)"  # noqa: S608 - our own names
            f" ON CONFLICT DO UPDATE SET {column} = excluded.{column}",
            peak,
        )
    gone = database.execute(
        "DELETE FROM high_water WHERE strategy = 'account' AND symbol IN ('equity', 'equity seen once')"
    ).rowcount
    database.execute("UPDATE book SET rows = rows - ?", (gone,))


def _keep_totals(database: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    """Upgrade to version 5, which seals its fills, keeps what they add up to, and has indexes for what passes read."""
    for table, (columns, facts) in NAMES.items():
        _copy_rows(database, tables[table], table, columns, facts)
    for name in ("orders_working", *sorted(INDEXES)):
        database.execute(tables[name])
    database.execute(
        "UPDATE orders SET promised = 1 WHERE EXISTS (SELECT 1 FROM intents"
        " WHERE intents.account = orders.account AND intents.client_order_id = orders.client_order_id)"
    )
    for table in ("fill_seals", "checkpoints"):
        _add(database, tables[table])
    for trigger in ("added", "changed"):
        database.execute(f"DROP TRIGGER fills_{trigger}")
    for statement in ledger_sums.sealing_triggers(tables["fills"]):
        database.execute(statement)
    ((account,),) = database.execute("SELECT account FROM book")
    seal = (account, *ledger_sums.seal_of(database))
    database.execute("INSERT INTO fill_seals (account, fills, sum) VALUES (?, ?, ?)", seal)


def _keep_worst(database: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    """Upgrade to version 6, which keeps the worst prices of positions too, and adds up what fills did since an entry.

    A checkpoint of version 5 lacks those sums, so it is made again.
    """
    columns = ("account", "strategy", "symbol", "opened_at", "price", "schema")
    _copy_rows(database, tables["high_water"], "high_water", columns, lambda _: {})
    ((counted,),) = database.execute(f"SELECT {ledger_sums.CHECKPOINTS_COUNTED}")
    database.execute(f"DELETE FROM {ledger_sums.REMADE}")  # noqa: S608 - our own names
    ((still,),) = database.execute(f"SELECT {ledger_sums.CHECKPOINTS_COUNTED}")
    database.execute("UPDATE book SET rows = rows - ?", (counted - still,))


def _keep_days(database: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    """Upgrade to version 7, which keeps when cash moved at the broker, and what a person wrote about trades.

    When earlier movements happened, and what they were about, isn't known.
    """
    columns = ("account", "sequence", "amount", "origin", "about", "kind", "why", "at", "schema")
    _copy_rows(database, WITHOUT_SUB_KINDS, "cash_adjustments", columns, lambda _: {})
    _add(database, tables["trade_notes"])


def _keep_sub_kinds(database: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    """Upgrade to version 8, which keeps the broker's sub-type of a movement of cash. Those of earlier ones are lost."""
    known = ("account", "sequence", "amount", "origin", "about", "kind", "why", "at", "happened_at", "symbol", "schema")
    _copy_rows(database, tables["cash_adjustments"], "cash_adjustments", known, lambda _: {})


def _copy_rows(database: sqlite3.Connection, statement: str, table: str, columns: Sequence[str], facts: Facts) -> None:
    """Copy a table's rows into the current table, adding to each the facts that its texts contain."""
    old = f"{table}_before"
    for trigger in ("added", "changed"):
        database.execute(f"DROP TRIGGER {table}_{trigger}")
    database.execute(f"ALTER TABLE {table} RENAME TO {old}")
    _add(database, statement)
    rows = database.execute(f"SELECT {', '.join(columns)} FROM {old}").fetchall()  # noqa: S608 - our own names
    for row in rows:
        known = dict(zip(columns, row, strict=True))
        known |= facts(known)
        names, given = ", ".join(known), ", ".join("?" * len(known))
        database.execute(f"INSERT INTO {table} ({names}) VALUES ({given})", tuple(known.values()))  # noqa: S608 - our own names
    # Inserting counted these rows a second time.
    database.execute("UPDATE book SET rows = rows - ?", (len(rows),))
    database.execute(f"DROP TABLE {old}")


def _of_a_fill(row: Mapping[str, Any]) -> dict[str, Any]:
    origin, about = earlier_words.fill(row["activity_id"], json.loads(row["body"])["fill"]["venue_order_id"])
    return {"origin": origin, "about": about}


def _of_cash(row: Mapping[str, Any]) -> dict[str, Any]:
    return earlier_words.cash(row["why"])._asdict()


def _of_shares(row: Mapping[str, Any]) -> dict[str, Any]:
    adjusted = earlier_words.shares(row["symbol"], row["why"])
    return {"origin": adjusted.origin, "about": adjusted.about, "why": adjusted.why}


def _of_a_state(row: Mapping[str, Any]) -> dict[str, Any]:
    state = earlier_words.state(row["state"], row["who"], row["why"])
    return {"causes": None if state.causes is None else json_text(state.causes), "accepted_at": state.accepted_at}


def _names_of_an_order(row: Mapping[str, Any]) -> dict[str, Any]:
    order = json.loads(row["body"])
    return {"client_order_id": order["client_order_id"], "replaced_by": order.get("replaced_by")}


def _names_of_a_fill(row: Mapping[str, Any]) -> dict[str, Any]:
    owned = json.loads(row["body"])
    return {"strategy": owned["strategy"], "venue_order_id": owned["fill"]["venue_order_id"]}


FACTS: Mapping[str, tuple[tuple[str, ...], Facts]] = {
    "fills": (("account", "sequence", "activity_id", "at", "body", "applied_at", "schema"), _of_a_fill),
    "cash_adjustments": (("account", "sequence", "amount", "why", "at", "schema"), _of_cash),
    "acknowledged": (("account", "sequence", "symbol", "quantity", "why", "at", "schema"), _of_shares),
    "trading_states": (("account", "sequence", "state", "who", "why", "at", "schema"), _of_a_state),
}
"""The tables that get new fields in version 4: their columns before it, and the function that fills the fields."""
NAMES: Mapping[str, tuple[tuple[str, ...], Facts]] = {
    "orders": (("account", "sequence", "venue_id", "terminal", "body", "applied_at", "schema"), _names_of_an_order),
    "fills": (
        ("account", "sequence", "activity_id", "at", "body", "applied_at", "origin", "about", "schema"),
        _names_of_a_fill,
    ),
}
"""The tables that get columns for names in version 5, as above."""
STEPS: Mapping[int, Callable[[sqlite3.Connection, Mapping[str, str]], None]] = {
    2: _accept,
    3: _add_fact_fields,
    4: _keep_totals,
    5: _keep_worst,
    6: _keep_days,
    7: _keep_sub_kinds,
}
"""The step that upgrades each version to the next one."""
