"""Define the tables of the facts file. Facts only explain decisions, so a damaged file is moved aside and the bot
continues.

The small tables are read and written here: each session's comparison with its backtest, the symbols in the registry of
tradable coins, the last discovery of contracts, and the check of each reply.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from tradebot.adapters.state.cache_database import CacheConnection, CacheDatabase, DamagedError, check_pages
from tradebot.adapters.state.row_checksums import with_sums
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.adapters.text.codec import decode, encode, pack, unpack
from tradebot.errors import OperatorError
from tradebot.model.fact_kind import CheckedReply, ContractFinding, NullCounts
from tradebot.model.flow import Intake
from tradebot.model.parity import DayParity
from tradebot.model.registry import Coin, Discovery
from tradebot.model.sentences import pluralize

NEWEST = """SELECT endpoint, symbol, at, received, found, nulls, max(sequence)
    FROM intakes JOIN checks ON intake = sequence
    WHERE at BETWEEN ?1 AND ?2 AND received > 0 GROUP BY endpoint, symbol"""

"""Select the newest checked reply with rows about each kind and symbol; max() makes SQLite use that row's columns."""

ROWS = """SELECT endpoint, sum(received) FROM intakes JOIN checks ON intake = sequence
    WHERE at >= ?1 AND at < ?2 GROUP BY endpoint"""

NULLS = """SELECT endpoint, each.key, sum(each.value) FROM intakes JOIN checks ON intake = sequence
    CROSS JOIN json_each(nulls) AS each WHERE at >= ?1 AND at < ?2 GROUP BY endpoint, each.key"""

ANY = """SELECT 1 FROM checks JOIN intakes ON intake = sequence
    WHERE found != '[]' AND at BETWEEN ?1 AND ?2 LIMIT 1"""


def write_check(database: sqlite3.Connection, reply: int | None, intake: Intake) -> None:
    """Store the findings about a reply that is already stored, if its rows were checked."""
    if intake.nulls is not None:
        texts, nulls = json_text([pack(finding) for finding in intake.findings]), json_text(dict(intake.nulls))
        database.execute("INSERT INTO main.checks (intake, found, nulls) VALUES (?, ?, ?)", (reply, texts, nulls))


def suspicious_replies(database: sqlite3.Connection, since: datetime, now: datetime) -> Sequence[CheckedReply]:
    """Return the same as `newest_checks` if any check in the period found a problem; otherwise return nothing."""
    row = database.execute(ANY, (time_text(since), time_text(now))).fetchone()
    return newest_checks(database, since, now) if row else ()


def newest_checks(database: sqlite3.Connection, since: datetime, now: datetime) -> Sequence[CheckedReply]:
    """Return a check for each kind of facts and symbol: that of the newest reply in the period that had rows."""
    return tuple(
        CheckedReply(
            endpoint,
            symbol or None,
            parse_time(at),
            rows,
            tuple(unpack(ContractFinding, each) for each in json.loads(row)),
            json.loads(nulls),
        )
        for endpoint, symbol, at, rows, row, nulls, _ in database.execute(NEWEST, (time_text(since), time_text(now)))
    )


def count_nulls(database: sqlite3.Connection, since: datetime, until: datetime) -> Mapping[str, NullCounts]:
    """Return how many values of each kind's fields were null in the replies from `since` to before `until`."""
    span = time_text(since), time_text(until)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for endpoint, name, count in database.execute(NULLS, span):
        counts[endpoint][name] = count
    return {kind: NullCounts(rows, counts[kind]) for kind, rows in database.execute(ROWS, span)}


COINS = "CREATE TABLE coins (symbol TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (symbol)) WITHOUT ROWID"

DISCOVERY = "CREATE TABLE discovery (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL)"


def read_coins(database: CacheConnection) -> Mapping[str, Coin]:
    """Return the state of each symbol in the registry of tradable coins."""
    rows = database.execute("SELECT symbol, body FROM coins ORDER BY symbol")
    return {symbol: decode(Coin, json.loads(body)) for symbol, body in rows}


def write_coins(database: CacheConnection, coins: Iterable[Coin]) -> None:
    """Write the state of these symbols in the registry of tradable coins, inside a transaction."""
    rows = [(coin.symbol, json_text(encode(coin))) for coin in coins]
    database.executemany("DELETE FROM main.coins WHERE symbol = ?", [(symbol,) for symbol, _ in rows])
    database.executemany("INSERT INTO main.coins (symbol, body) VALUES (?, ?)", rows)


def read_discovery(database: CacheConnection) -> Discovery:
    """Return the last discovery of contracts; an empty one if there was none."""
    row = database.execute("SELECT body FROM discovery").fetchone()
    return _decode_discovery(row[0]) if row else Discovery()


def write_discovery(database: CacheConnection, discovery: Discovery) -> None:
    """Write a discovery of contracts, inside a transaction."""
    database.execute("DELETE FROM main.discovery")
    database.execute("INSERT INTO main.discovery (id, body) VALUES (1, ?)", (json_text(encode(discovery)),))


# Each pass reads it several times, and it changes once a day.
@lru_cache(maxsize=2)
def _decode_discovery(body: str) -> Discovery:
    return decode(Discovery, json.loads(body))


PARITIES = "CREATE TABLE parities (session TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (session)) WITHOUT ROWID"


def read_parities(database: CacheConnection, last: int) -> Sequence[DayParity]:
    """Return the `last` newest comparisons of sessions with their backtests, oldest session first."""
    rows = database.execute("SELECT body FROM parities ORDER BY session DESC LIMIT ?", (last,)).fetchall()
    # Comparisons from earlier releases don't include what a session cost.
    return [decode(DayParity, {"costs_usd": None, **json.loads(body)}) for (body,) in reversed(rows)]


def write_parity(database: CacheConnection, day_parity: DayParity) -> None:
    """Store a session's comparison with its backtest, replacing an earlier one. Call this in a transaction."""
    day = day_parity.session.isoformat()
    database.execute("DELETE FROM main.parities WHERE session = ?", (day,))
    database.execute("INSERT INTO main.parities (session, body) VALUES (?, ?)", (day, json_text(encode(day_parity))))


APPLICATION_ID = 0x54424632

TABLES = (
    """CREATE TABLE facts (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, symbol TEXT NOT NULL,
        id TEXT NOT NULL, session TEXT NOT NULL, known_at TEXT NOT NULL, body TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, UNIQUE (endpoint, symbol, id, known_at)
    )""",
    "CREATE INDEX facts_by_session ON facts (endpoint, symbol, session)",
    """CREATE TABLE intakes (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, symbol TEXT NOT NULL,
        at TEXT NOT NULL, received INTEGER NOT NULL, foreign_rows INTEGER NOT NULL,
        duplicates INTEGER NOT NULL, rejected TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1
    )""",
    "CREATE INDEX intakes_by_symbol ON intakes (endpoint, symbol, at)",
    "CREATE INDEX intakes_by_time ON intakes (at)",
    """CREATE TABLE cycles (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1
    )""",
    "CREATE INDEX cycles_by_job ON cycles (job, at)",
    """CREATE TABLE candidates (
        cycle INTEGER NOT NULL REFERENCES cycles ON DELETE CASCADE, position INTEGER NOT NULL,
        symbol TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (cycle, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX candidates_by_symbol ON candidates (symbol, at)",
    # A reply's findings, and the null values per field; most replies have no finding.
    """CREATE TABLE checks (
        intake INTEGER PRIMARY KEY REFERENCES intakes ON DELETE CASCADE, found TEXT NOT NULL, nulls TEXT NOT NULL
    )""",
    "CREATE INDEX checks_with_findings ON checks (intake) WHERE found != '[]'",
    # Only passes with account data are indexed here, so that each session's last one is found at once.
    """CREATE INDEX cycles_with_equity ON cycles (body ->> '$[2]', at) WHERE body ->> '$[9]' IS NOT NULL""",
    """CREATE INDEX cycles_with_marks ON cycles (body ->> '$[2]', at)
        WHERE json_array_length(body, '$[10]') > 0""",
)
# Summaries of how each pass's candidates ended: reading a month of them one by one would take seconds.
ENDS = """CREATE TABLE ends (
    cycle INTEGER PRIMARY KEY REFERENCES cycles ON DELETE CASCADE, body TEXT NOT NULL
)"""

ADDED = (COINS, DISCOVERY, ENDS, PARITIES)

FILE = CacheDatabase("facts", APPLICATION_ID, 1, with_sums(TABLES), with_sums(ADDED))


def check(path: Path, *, pages: bool) -> None:
    """Raise OperatorError if the file isn't a valid facts file, without changing it.

    With `pages`, read every page and row, because a damaged page may be one that no query reads.
    """
    try:
        database = FILE.open(path)
        with closing(database), FILE.translate_errors(path):
            if pages:
                check_pages(database)
                if bad := database.bad_rows.find_all():
                    raise DamagedError(
                        f"{pluralize(bad, 'row')} changed after being written; such rows count as missing"
                    )
    except DamagedError as error:
        raise OperatorError(
            f"The store of facts {path} is damaged: {error}.",
            "tradebot fetch-flow --force-slot   (starts a new file and keeps the old one; only explanations of"
            " earlier decisions are lost)",
        ) from error
