"""Store and read the result of checking each reply, together with the reply's counts."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.adapters.text.codec import pack, unpack
from tradebot.model.flow import Intake
from tradebot.model.kind import CheckedReply, ContractFinding, NullCounts

NEWEST = """SELECT endpoint, symbol, at, received, found, nulls, max(sequence)
    FROM intakes JOIN checks ON intake = sequence
    WHERE at BETWEEN ?1 AND ?2 AND received > 0 GROUP BY endpoint, symbol"""
"""Select the newest checked reply with rows about each kind and symbol: max() makes SQLite take the row's columns."""
ROWS = """SELECT endpoint, sum(received) FROM intakes JOIN checks ON intake = sequence
    WHERE at >= ?1 AND at < ?2 GROUP BY endpoint"""
NULLS = """SELECT endpoint, each.key, sum(each.value) FROM intakes JOIN checks ON intake = sequence
    CROSS JOIN json_each(nulls) AS each WHERE at >= ?1 AND at < ?2 GROUP BY endpoint, each.key"""
ANY = """SELECT 1 FROM checks JOIN intakes ON intake = sequence
    WHERE found != '[]' AND at BETWEEN ?1 AND ?2 LIMIT 1"""


def store(database: sqlite3.Connection, reply: int | None, intake: Intake) -> None:
    """Store what was found in a stored reply, if its rows were checked."""
    if intake.nulls is not None:
        found, nulls = json_text([pack(finding) for finding in intake.findings]), json_text(dict(intake.nulls))
        database.execute("INSERT INTO main.checks (intake, found, nulls) VALUES (?, ?, ?)", (reply, found, nulls))


def suspicious(database: sqlite3.Connection, since: datetime, now: datetime) -> Sequence[CheckedReply]:
    """Return the newest reply with rows about each kind and symbol; none if no reply in this span has a finding."""
    found = database.execute(ANY, (time_text(since), time_text(now))).fetchone()
    return newest(database, since, now) if found else ()


def newest(database: sqlite3.Connection, since: datetime, now: datetime) -> Sequence[CheckedReply]:
    """Return the newest reply with rows about each kind and symbol in a span of time."""
    return tuple(
        CheckedReply(
            endpoint,
            symbol or None,
            parse_time(at),
            rows,
            tuple(unpack(ContractFinding, each) for each in json.loads(found)),
            json.loads(nulls),
        )
        for endpoint, symbol, at, rows, found, nulls, _ in database.execute(NEWEST, (time_text(since), time_text(now)))
    )


def nulls(database: sqlite3.Connection, since: datetime, until: datetime) -> Mapping[str, NullCounts]:
    """Return how many values of each kind's fields were null in the replies from `since` to before `until`."""
    span = time_text(since), time_text(until)
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for endpoint, name, count in database.execute(NULLS, span):
        found[endpoint][name] = count
    return {kind: NullCounts(rows, found[kind]) for kind, rows in database.execute(ROWS, span)}
