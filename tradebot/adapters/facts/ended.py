"""Count where candidates ended, in the store: a month of many symbols would take minutes to read pass by pass."""

import sqlite3
from datetime import date, datetime

from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.model.decision import Gate
from tradebot.model.reasons import Reason
from tradebot.model.record import Ended, EndedPasses

_PASSES = """SELECT sequence, at FROM cycles WHERE job = ?1 AND (?2 IS NULL OR at >= ?2)
    AND (?3 IS NULL OR body ->> '$[2]' = ?3) ORDER BY at DESC, sequence DESC LIMIT ?4"""
SPAN = f"SELECT count(*), min(at), max(at) FROM ({_PASSES})"  # noqa: S608 -- our own words
ENDED = f"""SELECT symbol, ended ->> 1 AS gate, ended ->> 2 AS about, max(ended ->> 0),
    iif(ended ->> 3 = '{Reason.VENUE_UNKNOWN}', name, NULL) AS unknown, count(*) FROM (
        SELECT candidates.symbol AS symbol, candidates.body ->> '$[2]' AS name,
            (SELECT json_array(decision.key, value ->> 0, coalesce(value ->> 6, ''), value ->> 2)
            FROM json_each(candidates.body, '$[1]') AS decision WHERE value ->> 1 != 'PASS' LIMIT 1) AS ended
        FROM ({_PASSES}) AS pass CROSS JOIN candidates ON cycle = pass.sequence
        WHERE ?5 IS NULL OR candidates.body ->> '$[0][0]' = ?5)
    GROUP BY symbol, gate, about, unknown ORDER BY symbol, gate, about, unknown"""  # noqa: S608 -- our own words
"""Count candidates by symbol and by the first decision that didn't pass, with its place among those that were asked."""


def ended(
    database: sqlite3.Connection,
    job: str,
    *,
    last: int = -1,
    since: datetime | None = None,
    session: date | None = None,
    strategy: str | None = None,
) -> EndedPasses:
    """Return where the candidates of a job's newest passes ended, of one strategy or of all; -1 is every pass."""
    span = job, time_text(since) if since else None, session.isoformat() if session else None, last
    passes, first_at, last_at = database.execute(SPAN, span).fetchone()
    rows = database.execute(ENDED, (*span, strategy))
    return EndedPasses(
        passes,
        parse_time(first_at) if first_at else None,
        parse_time(last_at) if last_at else None,
        tuple(
            Ended(symbol, Gate(gate) if gate else None, about or "", place or 0, unknown, count)
            for symbol, gate, about, place, unknown, count in rows
        ),
    )
