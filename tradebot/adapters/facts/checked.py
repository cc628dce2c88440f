"""Store and read what the check of each reply found, beside the reply's counts."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.adapters.text.codec import pack, unpack
from tradebot.model.contract import CheckedReply, ContractFinding
from tradebot.model.flow import Intake

NEWEST = """SELECT endpoint, symbol, max(at), received, found, counts FROM intakes
    LEFT JOIN findings ON findings.intake = sequence LEFT JOIN nulls ON nulls.intake = sequence
    WHERE at BETWEEN ?1 AND ?2 AND received > 0 GROUP BY endpoint, symbol"""
"""Select the newest reply with rows about each kind and symbol; with max(), SQLite takes the other columns from it."""
ALL = """SELECT endpoint, symbol, at, received, found, counts FROM intakes
    LEFT JOIN findings ON findings.intake = sequence LEFT JOIN nulls ON nulls.intake = sequence
    WHERE at BETWEEN ?1 AND ?2 AND received > 0 ORDER BY sequence"""
ANY = "SELECT 1 FROM findings JOIN intakes ON intake = sequence WHERE at BETWEEN ?1 AND ?2 LIMIT 1"


def store(database: sqlite3.Connection, reply: int | None, intake: Intake) -> None:
    """Store what was found in a stored reply, if anything was."""
    if intake.findings:
        found = json_text([pack(finding) for finding in intake.findings])
        database.execute("INSERT INTO findings (intake, found) VALUES (?, ?)", (reply, found))
    if intake.nulls:
        database.execute("INSERT INTO nulls (intake, counts) VALUES (?, ?)", (reply, json_text(dict(intake.nulls))))


def newest(database: sqlite3.Connection, since: datetime, now: datetime) -> Sequence[CheckedReply]:
    """Return the newest reply with rows about each kind and symbol; none if no reply in this span has a finding."""
    span = time_text(since), time_text(now)
    if database.execute(ANY, span).fetchone() is None:
        return ()
    return _replies(database, NEWEST, span)


def every(database: sqlite3.Connection, since: datetime, now: datetime) -> Sequence[CheckedReply]:
    """Return all replies with rows in a span, oldest first."""
    return _replies(database, ALL, (time_text(since), time_text(now)))


def _replies(database: sqlite3.Connection, query: str, span: tuple[str, str]) -> tuple[CheckedReply, ...]:
    return tuple(
        CheckedReply(
            endpoint,
            symbol or None,
            parse_time(at),
            rows,
            tuple(unpack(ContractFinding, each) for each in json.loads(found or "[]")),
            json.loads(counts or "{}"),
        )
        for endpoint, symbol, at, rows, found, counts in database.execute(query, span)
    )
