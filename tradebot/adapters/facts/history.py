"""Queries about what was decided and known earlier, each of which reads no more than it is asked about."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.adapters.text.codec import unpack, unpack_all
from tradebot.model.kind import Fact
from tradebot.model.record import CycleRecord, Job, Scored
from tradebot.signals.kinds import kind_of

MOST_SLOTS = 120
"""How many slots are looked at for scores: a session and a half of them, if there is one every five minutes."""
SCORES = """WITH slots AS (
    SELECT max(sequence) AS sequence, at FROM cycles
    WHERE job IN (?1, ?2) AND at BETWEEN ?3 AND ?4 AND body ->> '$[7]' IS NULL
    GROUP BY body ->> '$[2]', body ->> '$[3]' ORDER BY at DESC LIMIT ?5
    )
    SELECT candidates.symbol, candidates.at, body ->> '$[0][0]', body ->> '$[0][5]'
    FROM slots CROSS JOIN json_each(?6) CROSS JOIN candidates INDEXED BY candidates_by_symbol
    ON candidates.symbol = value AND candidates.at = slots.at AND cycle = slots.sequence
    ORDER BY candidates.at"""
"""Select the scores of symbols in the newest slots. Each slot counts once: by its last pass that wasn't refused."""
MARKS = "SELECT body FROM cycles WHERE job = ? AND at BETWEEN ? AND ? ORDER BY at DESC, sequence DESC LIMIT 1"
STORED = """SELECT key, facts.id, body FROM json_each(?1) CROSS JOIN facts INDEXED BY facts_by_session
    ON endpoint = ?2 AND symbol = key AND session BETWEEN value ->> 0 AND value ->> 1 AND known_at <= ?3
    ORDER BY facts.sequence"""


def scores(
    database: sqlite3.Connection, held: Collection[tuple[str, str]], since: datetime, now: datetime
) -> Mapping[tuple[str, str], Sequence[Scored]]:
    """Return the scores of strategies' symbols, oldest first, one for each slot."""
    symbols = json.dumps(sorted({symbol for _, symbol in held}))
    span = time_text(since), time_text(now)
    found = defaultdict[tuple[str, str], list[Scored]](list)
    for symbol, at, strategy, score in database.execute(
        SCORES, (Job.SCORE, Job.TRADE_ONCE, *span, MOST_SLOTS, symbols)
    ):
        if score is not None and (strategy, symbol) in held:
            found[strategy, symbol].append(Scored(parse_time(at), float(score)))
    return found


def marks(database: sqlite3.Connection, since: datetime, until: datetime) -> Mapping[str, Decimal]:
    """Return the prices of the last pass of exits within a span of time."""
    heads = database.execute(MARKS, (Job.EVALUATE_EXITS, time_text(since), time_text(until)))
    return {
        mark.symbol: mark.price for head in unpack_all(CycleRecord, [body for (body,) in heads]) for mark in head.marks
    }


def stored(
    database: sqlite3.Connection, kind: str, spans: Mapping[str, tuple[date, date]], now: datetime
) -> Mapping[str, Sequence[Fact]]:
    """Return the facts of a kind about symbols, each in the last version that was known."""
    asked = json.dumps({symbol: [day.isoformat() for day in span] for symbol, span in spans.items()})
    newest: dict[tuple[str, str], str] = {}
    for symbol, identity, body in database.execute(STORED, (asked, kind, time_text(now))):
        newest[symbol, identity] = body
    found = defaultdict[str, list[Fact]](list)
    for (symbol, _), body in newest.items():
        found[symbol].append(unpack(kind_of(kind).fact, json.loads(body)))
    return found
