"""Write passes with summaries of how their candidates ended, and read long periods by these summaries.

Reading a million decisions one by one takes seconds. A summary groups the candidates of one pass that ended in the same
way; a few representative candidates are then read in full.
"""

import json
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil, inf
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.adapters.facts.schema import FILE
from tradebot.adapters.failpoint import around
from tradebot.adapters.state.cache_database import CacheConnection, DamagedError
from tradebot.adapters.state.state_folder import FACTS
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.adapters.text.codec import pack, unpack_all
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, SampledCandidate, SpanEnds
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace

SUMS = "SELECT cycle, body FROM json_each(?1) AS pass CROSS JOIN ends ON cycle = pass.value"
PICKED = """SELECT cycle, position, body FROM json_each(?1) AS pick CROSS JOIN candidates
    ON cycle = pick.value ->> 0 AND position = pick.value ->> 1"""


Near = tuple[float | None, str, int]
Old = tuple[float | None, int]


class OutcomeGroup(NamedTuple):
    """A group of candidates of one pass that ended in the same way.

    `strategy` proposed them; `gate`, `about`, `place` and `reason` describe the first decision that refused them, and
    `then` is the reason of the next refusal. `above` and `then_above` say whether the observed numbers of these two
    decisions were above zero. `unknown` is the id of an order with an unknown outcome. `nearest` is the position in the
    pass of the candidate that came closest to passing, with its distance and symbol; `oldest` is the one with the
    oldest data, with its age.
    """

    strategy: str
    reason: str | None
    then: str | None
    above: bool | None
    then_above: bool | None
    unknown: str | None
    gate: str | None
    about: str
    place: int
    symbols: list[str]
    nearest: Near
    oldest: Old


KEY = 6
"""The number of leading fields by which groups are told apart."""
SAME = 9
"""How many leading fields the candidates of a group have in common."""
FARTHEST = sys.float_info.max


def summarize_pass(records: Sequence[CandidateRecord]) -> list[OutcomeGroup]:
    """Group the candidates of one pass by how they ended; cancels of working orders are none."""
    groups: dict[tuple[Any, ...], OutcomeGroup] = {}
    for position, record in enumerate(records):
        if record.is_cancel:
            continue
        common, symbol = _common(record), record.candidate.symbol
        near, old = _measures(record.terminal, symbol, position)
        group = groups.get(common)
        if group is None:
            groups[common] = OutcomeGroup._make((*common, [symbol], near, old))
        else:
            group.symbols.append(symbol)
            nearest, oldest = min(group.nearest, near, key=_nearness), max(group.oldest, old, key=_oldness)
            groups[common] = group._replace(nearest=nearest, oldest=oldest)
    return list(groups.values())


def _measures(end: Decision | None, symbol: str, position: int) -> tuple[Near, Old]:
    if end is None:
        return (None, symbol, position), (None, position)
    distance = end.distance
    # JSON has no infinity.
    return (None if distance is None else min(distance, FARTHEST), symbol, position), (end.oldness_s, position)


def _common(record: CandidateRecord) -> tuple[Any, ...]:
    failures = [(index, decision) for index, decision in enumerate(record.decisions) if not decision.passed]
    (index, end), (_, then) = (*failures, (0, None), (0, None))[:2]
    unknown = record.client_order_id if end and end.reason is Reason.VENUE_UNKNOWN else None
    above, then_above = (decision and decision.is_nonzero for decision in (end, then))
    reasons = end and end.reason, then and then.reason, above, then_above
    query_values = (end.gate, end.about, index) if end else (None, "", 0)
    return record.candidate.strategy, *reasons, unknown, *query_values


def _nearness(near: Near) -> tuple[float, str, int]:
    distance, symbol, position = near
    return inf if distance is None else distance, symbol, position


def _oldness(old: Old) -> float:
    return -inf if old[0] is None else old[0]


def span_ends(
    database: CacheConnection,
    job: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
    strategy: str | None = None,
) -> SpanEnds:
    """Return the passes of a job in a session or since a time, with a few representative candidates.

    Each group of candidates that ended in the same way has its count, its candidate that came closest to passing, and
    the one with the oldest data.
    """
    heads = query_pass_heads(database, job, session=session, since=since, last=last)
    if not heads:
        return SpanEnds((), (), None)
    newest = next(reversed(heads))
    whole = with_candidates(heads[newest], query_candidates(database, [newest])[newest])
    counts, near, old = _merge_sums(
        load_pass_sums(database, heads), {number: sums.at for number, sums in heads.items()}, strategy
    )
    picked = {*near.values(), *old.values()}
    rows = database.execute(PICKED, (json.dumps(list(picked)),)).fetchall()
    read = unpack_all(CandidateRecord, [body for *_, body in rows])
    spans = dict(zip([(number, position) for number, position, _ in rows], read, strict=True))
    representatives = [(near[key], count) for key, count in counts.items()]
    representatives += [(old[key], 0) for key in counts if old[key] != near[key]]
    # Later recorded passes win between equals.
    order = {number: index for index, number in enumerate(heads)}
    representatives.sort(key=lambda sums: (order[sums[0][0]], sums[0][1]))
    # A row whose checksum is wrong counts as absent and can't represent others.
    sampled_candidates = [
        SampledCandidate(heads[at[0]].at, spans[at], count) for at, count in representatives if at in spans
    ]
    return SpanEnds(tuple(heads.values()), tuple(sampled_candidates), whole)


Place = tuple[int, int]
"""A pass's number, and a candidate's index in it."""
Keyed = dict[tuple[Any, ...], Any]


def _merge_sums(
    sums: Iterable[tuple[int, list[Any]]], times: Mapping[int, datetime], strategy: str | None
) -> tuple[dict[Any, int], dict[Any, Place], dict[Any, Place]]:
    """Merge summaries by how candidates ended: their count, the nearest one, and the one with the oldest data."""
    counts: Keyed = {}
    near: Keyed = {}
    old: Keyed = {}
    for number, groups in sums:
        at = times[number]
        for group in groups:
            if strategy is not None and group[0] != strategy:
                continue
            key, (distance, symbol, position), (age_s, older) = tuple(group[:KEY]), group[-2], group[-1]
            nearest = inf if distance is None else distance, symbol, at, (number, position)
            oldest = -inf if age_s is None else age_s, (number, older)
            if key not in counts:
                counts[key], near[key], old[key] = len(group[SAME]), nearest, oldest
                continue
            counts[key] += len(group[SAME])
            near[key] = min(near[key], nearest)
            old[key] = max(old[key], oldest)
    return counts, {key: span[-1] for key, span in near.items()}, {key: span[-1] for key, span in old.items()}


def load_pass_sums(database: CacheConnection, passes: Collection[int]) -> Iterable[tuple[int, list[Any]]]:
    """Yield the summaries of each pass; compute them for passes written by an earlier version of this program."""
    rows = database.execute(SUMS, (json.dumps(list(passes)),)).fetchall()
    yield from zip([number for number, _ in rows], json.loads(f"[{','.join(body for _, body in rows)}]"), strict=True)
    if lacking := sorted(set(passes) - {number for number, _ in rows}):
        for number, records in query_candidates(database, lacking).items():
            # Convert to the gate's enum, as a full read would: text isn't an equal key.
            yield number, json.loads(json_text(summarize_pass(records)))


ALWAYS = CycleRecord.__struct_fields__.index("margin")
"""How many leading fields of a pass are always written; most passes have no others."""


def write_passes(folder: Path, cycles: Iterable[CycleRecord]) -> None:
    """Create a folder's facts file with these passes, each with a different id."""
    path = folder / FACTS
    database, _ = FILE.start_over(path)
    with closing(database), FILE.translate_errors(path):
        database.execute("BEGIN IMMEDIATE")
        for cycle in cycles:
            insert_pass(database, cycle)
        with around("pass_rows.commit"):
            database.execute("COMMIT")


def insert_pass(database: sqlite3.Connection, cycle: CycleRecord) -> None:
    """Insert a pass with its candidates, in the caller's transaction."""
    whole = replace(cycle, candidates=()) if cycle.candidates else cycle
    fields: list[object] = pack(whole)
    while len(fields) > ALWAYS and fields[-1] in (None, []):
        fields.pop()
    head, at = json_text(fields), time_text(cycle.at)
    row = database.execute("INSERT INTO main.cycles (job, at, body) VALUES (?, ?, ?)", (cycle.job, at, head)).lastrowid
    rows = [
        (row, position, record.candidate.symbol, at, json_text(pack(record)))
        for position, record in enumerate(cycle.candidates)
    ]
    if rows:
        query = "INSERT INTO main.candidates (cycle, position, symbol, at, body) VALUES (?, ?, ?, ?, ?)"
        database.executemany(query, rows)
        database.execute(
            "INSERT INTO main.ends (cycle, body) VALUES (?, ?)", (row, json_text(summarize_pass(cycle.candidates)))
        )


APART = timedelta(days=4)
"""How far a pass's time may be from midnight UTC of its session's date; a weekend pass may have its own date."""
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_SPAN = """FROM cycles WHERE job = ?1 AND at BETWEEN ?2 AND ?3 AND (?4 IS NULL OR body ->> '$[2]' = ?4)
    ORDER BY at DESC, sequence DESC LIMIT ?5"""
PASSES = f"SELECT sequence, json_set(body, '$[10]', json('[]')) {_SPAN}"
"""Select the newest passes in a time range without prices, which are their longest part."""
SEEN = "SELECT 1 FROM cycles WHERE +job = ? LIMIT 1"
OF_SYMBOL = """SELECT cycle, position, body FROM candidates WHERE symbol = ?2 AND at BETWEEN ?3 AND ?4
    AND cycle IN (SELECT value FROM json_each(?1))"""
PRICES = """SELECT symbol, at, body ->> '$[3]' FROM candidates WHERE symbol IN (SELECT value FROM json_each(?1))
    AND at BETWEEN ?2 AND ?3 AND cycle IN (SELECT value FROM json_each(?4)) AND body ->> '$[3]' IS NOT NULL
    ORDER BY at, cycle, position"""
"""Select the prices at which symbols were evaluated in some passes."""
OF_ALL = """SELECT cycle, candidates.body FROM json_each(?1) AS pass CROSS JOIN candidates ON cycle = pass.value
    ORDER BY cycle, position"""
SUMMED = """SELECT cycle, (SELECT sum(json_array_length(value, '$[9]')) FROM json_each(ends.body))
    FROM json_each(?1) AS pass CROSS JOIN ends ON cycle = pass.value"""
"""Select how many candidates each pass was written with, from its summaries."""
IN_SYMBOLS = """SELECT body FROM candidates WHERE cycle = ?1
    AND symbol IN (SELECT value FROM json_each(?2)) ORDER BY position"""
BEFORE = """SELECT body ->> '$[2]' FROM cycles WHERE job = ?1 AND at < ?3 AND body ->> '$[2]' < ?2
    ORDER BY at DESC LIMIT 1"""
AFTER = """SELECT body ->> '$[2]' FROM cycles WHERE job = ?1 AND at > ?3 AND body ->> '$[2]' > ?2
    ORDER BY at LIMIT 1"""


def query_passes(
    database: CacheConnection,
    job: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
    symbol: str | None = None,
) -> Sequence[CycleRecord]:
    """Return the passes of a job in a session or since a time, oldest first, with all candidates or only a symbol's."""
    passes = query_pass_heads(database, job, session=session, since=since, last=last)
    if not passes:
        return ()
    by_pass = (
        _unpack_records(rows_of_symbol(database, passes, symbol)) if symbol else query_candidates(database, passes)
    )
    return tuple(with_candidates(cycle, by_pass[number]) for number, cycle in passes.items())


def query_pass_heads(
    database: sqlite3.Connection,
    job: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
) -> dict[int, CycleRecord]:
    """Return the passes of a job by number, oldest first, without candidates and prices.

    Raise DamagedError if the index has none although there are passes.
    """
    first, until = since or FIRST, LAST
    if session is not None:
        midnight = datetime(session.year, session.month, session.day, tzinfo=UTC)
        first, until = midnight - APART, midnight + APART
    day = session.isoformat() if session else None
    heads = database.execute(PASSES, (job, time_text(first), time_text(until), day, last)).fetchall()[::-1]
    if not heads and session is None and since is None and database.execute(SEEN, (job,)).fetchone():
        raise DamagedError("an index lacks some of the passes")
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
    return tuple(query_pass_heads(database, job, session=session, since=since, last=last).values())


def candidate_prices(
    database: sqlite3.Connection, job: str, session: date, symbols: Iterable[str], most_passes: int
) -> Mapping[str, Sequence[tuple[datetime, Decimal]]]:
    """Return the times and prices in USD at which a session's passes evaluated each symbol, oldest first.

    If there are more than `most_passes` passes, evenly spaced ones are read, including the last.
    """
    passes = query_pass_heads(database, job, session=session)
    if not passes:
        return {}
    times = [cycle.at for cycle in passes.values()]
    chosen = [*passes][:: -ceil(len(passes) / most_passes)]
    params = json.dumps(list(symbols)), time_text(min(times)), time_text(max(times)), json.dumps(chosen)
    prices = defaultdict[str, dict[datetime, Decimal]](dict)
    for symbol, at, price in database.execute(PRICES, params):
        prices[symbol][parse_time(at)] = Decimal(price)
    return {symbol: [*by_time.items()] for symbol, by_time in prices.items()}


def rows_of_symbol(
    database: sqlite3.Connection, passes: Mapping[int, CycleRecord], symbol: str
) -> Sequence[tuple[int, str]]:
    """Return a symbol's candidates as stored text, each with the number of its pass."""
    if not passes:
        return ()
    times = [cycle.at for cycle in passes.values()]
    span = symbol, time_text(min(times)), time_text(max(times))
    rows = database.execute(OF_SYMBOL, (json.dumps(list(passes)), *span)).fetchall()
    # SQLite would copy all texts to sort them.
    return [(number, body) for number, _, body in sorted(rows, key=itemgetter(0, 1))]


def query_candidates(database: CacheConnection, passes: Iterable[int]) -> Mapping[int, list[CandidateRecord]]:
    """Return the candidates by pass number; a pass without candidates has an empty list.

    Raise DamagedError if more candidates are missing than damaged rows explain, because then two pages of the file were
    swapped. A damaged candidate is left out.
    """
    query_values = (json.dumps(list(passes)),)
    records = _unpack_records(database.execute(OF_ALL, query_values).fetchall())
    # Read these last: a process that deletes old passes meanwhile deletes both.
    lacking = sum(
        max(count - len(records[cycle]), 0) for cycle, count in database.execute(SUMMED, query_values).fetchall()
    )
    if lacking > database.bad_rows.count:
        raise DamagedError(f"{pluralize(lacking, 'candidate')} of the stored passes can't be found")
    return records


def candidates_in(database: sqlite3.Connection, number: int, symbols: Collection[str]) -> Sequence[CandidateRecord]:
    """Return one pass's candidates for these symbols."""
    rows = database.execute(IN_SYMBOLS, (number, json.dumps(list(symbols)))).fetchall() if symbols else ()
    return unpack_all(CandidateRecord, [body for (body,) in rows])


def _unpack_records(rows: Sequence[tuple[int, str]]) -> Mapping[int, list[CandidateRecord]]:
    records = defaultdict[int, list[CandidateRecord]](list)
    for row, record in zip(rows, unpack_all(CandidateRecord, [body for _, body in rows]), strict=True):
        records[row[0]].append(record)
    return records


def with_candidates(cycle: CycleRecord, candidates: Sequence[CandidateRecord]) -> CycleRecord:
    """Return a copy of the pass that has these candidates instead of its own."""
    return replace(cycle, candidates=tuple(candidates))


def pass_at(
    database: CacheConnection, job: str, session: date, at: datetime
) -> tuple[CycleRecord | None, datetime | None]:
    """Return a session's last pass at or before a time, and the time of the next one; either is None if it doesn't
    exist.
    """
    heads = query_pass_heads(database, job, session=session)
    number = max((number for number, cycle in heads.items() if cycle.at <= at), default=None, key=list(heads).index)
    after = next((head.at for head in heads.values() if head.at > at), None)
    if number is None:
        return None, after
    return with_candidates(heads[number], query_candidates(database, [number])[number]), after


def was_judged(database: sqlite3.Connection, symbol: str) -> bool:
    """Return True if any evaluated candidate for a symbol is recorded, however old."""
    return database.execute("SELECT 1 FROM candidates WHERE symbol = ? LIMIT 1", (symbol,)).fetchone() is not None


def sessions_beside(database: sqlite3.Connection, job: str, session: date) -> tuple[date | None, date | None]:
    """Return the nearest earlier and later sessions that have recorded passes of a job."""
    midnight = datetime(session.year, session.month, session.day, tzinfo=UTC)
    query_values = (BEFORE, midnight + APART), (AFTER, midnight - APART)
    rows = [database.execute(query, (job, session.isoformat(), time_text(at))).fetchone() for query, at in query_values]
    before, after = (date.fromisoformat(row[0]) if row else None for row in rows)
    return before, after
