"""Read the passes of a span with one symbol's candidates only: of a session of many symbols, that is a fraction."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter

from tradebot.adapters.state.cache_database import CacheConnection, DamagedError
from tradebot.adapters.text.canonical import time_text
from tradebot.adapters.text.codec import unpack_all
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.text import counted
from tradebot.model.values import replace

APART = timedelta(days=4)
"""How far the time of a pass is from midnight UTC of its session's date at most; a pass may be dated by a weekend."""
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_SPAN = """FROM cycles WHERE job = ?1 AND at BETWEEN ?2 AND ?3 AND (?4 IS NULL OR body ->> '$[2]' = ?4)
    ORDER BY at DESC, sequence DESC LIMIT ?5"""
PASSES = f"SELECT sequence, json_set(body, '$[10]', json('[]')) {_SPAN}"
"""Select the newest passes of a span, without prices, which are the longest part of them."""
SEEN = "SELECT 1 FROM cycles WHERE +job = ? LIMIT 1"
OF_SYMBOL = """SELECT cycle, position, body FROM candidates WHERE symbol = ?2 AND at BETWEEN ?3 AND ?4
    AND cycle IN (SELECT value FROM json_each(?1))"""
OF_ALL = """SELECT cycle, candidates.body FROM json_each(?1) AS pass CROSS JOIN candidates ON cycle = pass.value
    ORDER BY cycle, position"""
SUMMED = """SELECT cycle, (SELECT sum(json_array_length(value, '$[9]')) FROM json_each(ends.body))
    FROM json_each(?1) AS pass CROSS JOIN ends ON cycle = pass.value"""
"""Select how many candidates each pass was written with: those of each group that ended alike."""
IN_SYMBOLS = """SELECT body FROM candidates WHERE cycle = ?1
    AND symbol IN (SELECT value FROM json_each(?2)) ORDER BY position"""
BEFORE = """SELECT body ->> '$[2]' FROM cycles WHERE job = ?1 AND at < ?3 AND body ->> '$[2]' < ?2
    ORDER BY at DESC LIMIT 1"""
AFTER = """SELECT body ->> '$[2]' FROM cycles WHERE job = ?1 AND at > ?3 AND body ->> '$[2]' > ?2
    ORDER BY at LIMIT 1"""


def of_span(
    database: CacheConnection,
    job: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
    symbol: str | None = None,
) -> Sequence[CycleRecord]:
    """Return the passes of a job in a session or since a time, oldest first; of a symbol, only its candidates."""
    passes = heads_of(database, job, session=session, since=since, last=last)
    if not passes:
        return ()
    found = _unpacked(rows_of_symbol(database, passes, symbol)) if symbol else candidates_of(database, passes)
    return tuple(with_candidates(one, found[number]) for number, one in passes.items())


def heads_of(
    database: sqlite3.Connection,
    job: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
) -> dict[int, CycleRecord]:
    """Return the passes of a job by their numbers, oldest first, without candidates and prices.

    Raises DamagedError if an index knows of none at all and the passes do.
    """
    first, until = since or FIRST, LAST
    if session is not None:
        midnight = datetime(session.year, session.month, session.day, tzinfo=UTC)
        first, until = midnight - APART, midnight + APART
    day = session.isoformat() if session else None
    heads = database.execute(PASSES, (job, time_text(first), time_text(until), day, last)).fetchall()[::-1]
    if not heads and session is None and since is None and database.execute(SEEN, (job,)).fetchone():
        raise DamagedError("an index of its passes lacks them")
    return dict(zip([row for row, _ in heads], unpack_all(CycleRecord, [body for _, body in heads]), strict=True))


def heads(
    database: sqlite3.Connection,
    job: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
) -> Sequence[CycleRecord]:
    """Return the passes of a job in a session or since a time, oldest first, without candidates and prices."""
    return tuple(heads_of(database, job, session=session, since=since, last=last).values())


def rows_of_symbol(
    database: sqlite3.Connection, passes: Mapping[int, CycleRecord], symbol: str
) -> Sequence[tuple[int, str]]:
    """Return a symbol's candidates as they were packed, each with the number of its pass."""
    if not passes:
        return ()
    times = [one.at for one in passes.values()]
    span = symbol, time_text(min(times)), time_text(max(times))
    found = database.execute(OF_SYMBOL, (json.dumps(list(passes)), *span)).fetchall()
    # SQLite would copy every text to sort them.
    return [(number, body) for number, _, body in sorted(found, key=itemgetter(0, 1))]


def candidates_of(database: CacheConnection, passes: Iterable[int]) -> Mapping[int, list[CandidateRecord]]:
    """Return the candidates of passes by the numbers of these; a pass that has none has an empty list.

    Raises DamagedError if a pass was written with more of them: two pages changed places. One that isn't as it was
    written only counts as absent.
    """
    asked = (json.dumps(list(passes)),)
    found = _unpacked(database.execute(OF_ALL, asked).fetchall())
    # These are read last: whoever forgets old passes meanwhile takes both away.
    lacking = sum(max(count - len(found[cycle]), 0) for cycle, count in database.execute(SUMMED, asked).fetchall())
    if lacking > database.bad_rows.count:
        raise DamagedError(f"{counted(lacking, 'candidate')} of its passes can't be found")
    return found


def candidates_in(database: sqlite3.Connection, number: int, symbols: Collection[str]) -> Sequence[CandidateRecord]:
    """Return the candidates in some symbols of the pass with this number."""
    found = database.execute(IN_SYMBOLS, (number, json.dumps(list(symbols)))).fetchall() if symbols else ()
    return unpack_all(CandidateRecord, [body for (body,) in found])


def _unpacked(rows: Sequence[tuple[int, str]]) -> Mapping[int, list[CandidateRecord]]:
    found = defaultdict[int, list[CandidateRecord]](list)
    for row, record in zip(rows, unpack_all(CandidateRecord, [body for _, body in rows]), strict=True):
        found[row[0]].append(record)
    return found


def with_candidates(one: CycleRecord, candidates: Sequence[CandidateRecord]) -> CycleRecord:
    """Return a pass with its candidates."""
    return replace(one, candidates=tuple(candidates))


def pass_at(
    database: CacheConnection, job: str, session: date, at: datetime
) -> tuple[CycleRecord | None, datetime | None]:
    """Return the last pass of a session at or before a time, and when the one after that ran; None for none."""
    heads = heads_of(database, job, session=session)
    number = max((number for number, one in heads.items() if one.at <= at), default=None, key=list(heads).index)
    after = next((one.at for one in heads.values() if one.at > at), None)
    if number is None:
        return None, after
    return with_candidates(heads[number], candidates_of(database, [number])[number]), after


def was_judged(database: sqlite3.Connection, symbol: str) -> bool:
    """Return True if anything wanted for a symbol is recorded, however long ago."""
    return database.execute("SELECT 1 FROM candidates WHERE symbol = ? LIMIT 1", (symbol,)).fetchone() is not None


def sessions_beside(database: sqlite3.Connection, job: str, session: date) -> tuple[date | None, date | None]:
    """Return the nearest sessions before and after one in which passes of a job are recorded."""
    midnight = datetime(session.year, session.month, session.day, tzinfo=UTC)
    asked = (BEFORE, midnight + APART), (AFTER, midnight - APART)
    found = [database.execute(query, (job, session.isoformat(), time_text(at))).fetchone() for query, at in asked]
    before, after = (date.fromisoformat(row[0]) if row else None for row in found)
    return before, after
