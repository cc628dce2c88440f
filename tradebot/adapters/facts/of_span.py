"""Read the passes of a span with one symbol's candidates only: of a session of many symbols, that is a fraction."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from tradebot.adapters.text.canonical import time_text
from tradebot.adapters.text.codec import unpack_all
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.values import replace

APART = timedelta(days=4)
"""How far the time of a pass is from midnight UTC of its session's date at most; a pass may be dated by a weekend."""
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_SPAN = """FROM cycles WHERE job = ?1 AND at BETWEEN ?2 AND ?3 AND (?4 IS NULL OR body ->> '$[2]' = ?4)
    ORDER BY at DESC, sequence DESC LIMIT ?5"""
PASSES = f"SELECT sequence, json_set(body, '$[10]', json('[]')) {_SPAN}"
"""Select the newest passes of a span, without prices, which are the longest part of them."""
OF_SYMBOL = """SELECT cycle, body FROM candidates WHERE symbol = ?2 AND at BETWEEN ?3 AND ?4
    AND cycle IN (SELECT value FROM json_each(?1)) ORDER BY cycle, position"""
OF_ALL = """SELECT cycle, candidates.body FROM json_each(?1) AS pass CROSS JOIN candidates ON cycle = pass.value
    ORDER BY cycle, position"""
BEFORE = """SELECT body ->> '$[2]' FROM cycles WHERE job = ?1 AND at < ?3 AND body ->> '$[2]' < ?2
    ORDER BY at DESC LIMIT 1"""
AFTER = """SELECT body ->> '$[2]' FROM cycles WHERE job = ?1 AND at > ?3 AND body ->> '$[2]' > ?2
    ORDER BY at LIMIT 1"""


def of_span(
    database: sqlite3.Connection,
    job: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
    symbol: str | None = None,
) -> Sequence[CycleRecord]:
    """Return the passes of a job in a session or since a time, oldest first; of a symbol, only its candidates."""
    first, until = since or FIRST, LAST
    if session is not None:
        midnight = datetime(session.year, session.month, session.day, tzinfo=UTC)
        first, until = midnight - APART, midnight + APART
    day = session.isoformat() if session else None
    heads = database.execute(PASSES, (job, time_text(first), time_text(until), day, last)).fetchall()[::-1]
    passes = dict(zip([row for row, _ in heads], unpack_all(CycleRecord, [body for _, body in heads]), strict=True))
    if not passes:
        return ()
    times = [one.at for one in passes.values()]
    span = (symbol, time_text(min(times)), time_text(max(times))) if symbol else ()
    rows = database.execute(OF_SYMBOL if symbol else OF_ALL, (json.dumps(list(passes)), *span)).fetchall()
    found = defaultdict[int, list[CandidateRecord]](list)
    for row, record in zip(rows, unpack_all(CandidateRecord, [body for _, body in rows]), strict=True):
        found[row[0]].append(record)
    return tuple(replace(one, candidates=tuple(found[number])) for number, one in passes.items())


def sessions_beside(database: sqlite3.Connection, job: str, session: date) -> tuple[date | None, date | None]:
    """Return the nearest sessions before and after one in which passes of a job are recorded."""
    midnight = datetime(session.year, session.month, session.day, tzinfo=UTC)
    asked = (BEFORE, midnight + APART), (AFTER, midnight - APART)
    found = [database.execute(query, (job, session.isoformat(), time_text(at))).fetchone() for query, at in asked]
    before, after = (date.fromisoformat(row[0]) if row else None for row in found)
    return before, after
