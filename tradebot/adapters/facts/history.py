"""Query past decisions and facts; each query reads no more than it needs."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.adapters.facts.schema import FILE
from tradebot.adapters.state.cache_database import DamagedError
from tradebot.adapters.state.state_folder import FACTS
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.adapters.text.codec import unpack, unpack_all
from tradebot.errors import OperatorError
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Gate
from tradebot.model.fact_kind import ContractFinding, Fact
from tradebot.model.flow import Intake, RejectedRow
from tradebot.model.reasons import Reason
from tradebot.model.record import (
    CandidateRecord,
    CycleRecord,
    EntryOutcome,
    Job,
    RefusedTrade,
    Scored,
    SessionEnd,
    session_end,
)
from tradebot.model.struct_tools import replace
from tradebot.signals.kinds import kind_names, kind_of

EVER = datetime.max.replace(tzinfo=UTC)

SAME_PASS = timedelta(days=1)

"""How long after its first record a pass may be recorded again."""

MOST_SLOTS = 120

"""How many slots are searched for scores: a session and a half of slots every five minutes."""

SLOTS = """SELECT max(sequence), at FROM cycles
    WHERE job IN (?, ?) AND at BETWEEN ? AND ? AND body ->> '$[7]' IS NULL
    GROUP BY body ->> '$[2]', body ->> '$[3]' ORDER BY at DESC LIMIT ?"""

"""Select the newest slots in which strategies ran, each by its last pass that wasn't refused."""

SCORES = """SELECT cycle, candidates.symbol, body ->> '$[0][0]', body ->> '$[0][5]'
    FROM json_each(?1) AS slot CROSS JOIN json_each(?2) AS asked CROSS JOIN candidates
    ON candidates.symbol = asked.value AND candidates.at = slot.value ->> 1 AND +cycle = slot.value ->> 0"""

_PASSES = "FROM cycles WHERE job IN (SELECT value FROM json_each(?)) AND at BETWEEN ? AND ? ORDER BY at, sequence"
# Naming the jobs lets SQLite use the index on (job, at); otherwise it would scan a year of passes.
PASSES = f"SELECT body {_PASSES}"

UNPRICED_PASSES = f"SELECT json_set(body, '$[10]', json('[]')) {_PASSES}"

"""Select passes since a time, oldest first; their prices are the longest part by far, and few readers need them."""

MARKS = """SELECT body FROM cycles WHERE job = ? AND at BETWEEN ? AND ? AND json_array_length(body, '$[10]') > 0
    ORDER BY at DESC, sequence DESC LIMIT 1"""

"""Select the last exit pass with prices; one that has just begun or was interrupted has none."""

LAST_MARK = """SELECT body FROM main.cycles INDEXED BY cycles_with_marks, json_each(body, '$[10]') AS mark
    WHERE json_array_length(body, '$[10]') > 0 AND body ->> '$[2]' >= ? AND at >= ? AND mark.value ->> '$[0]' = ?
    ORDER BY body ->> '$[2]' DESC, at DESC, sequence DESC LIMIT 1"""

"""Select the last pass with a price of a symbol since a session and a time, without reading earlier ones."""

MARKED_PRICES = """SELECT at, mark.value ->> '$[0]', mark.value ->> '$[1]' FROM
    (SELECT at, body FROM main.cycles INDEXED BY cycles_with_marks
    WHERE json_array_length(body, '$[10]') > 0 AND body ->> '$[2]' = ?1 ORDER BY at DESC LIMIT ?2)
    CROSS JOIN json_each(body, '$[10]') AS mark WHERE mark.value ->> '$[0]' IN (SELECT value FROM json_each(?3))
    ORDER BY at"""

"""Select the prices that a session's last passes recorded for some symbols."""

READ = """SELECT body FROM main.cycles INDEXED BY cycles_with_equity WHERE body ->> '$[9]' IS NOT NULL AND job = ?
    ORDER BY body ->> '$[2]' DESC, at DESC, sequence DESC LIMIT 1"""

"""Select the last pass of a job that read the account, even if later ones were refused."""

ENDS = """WITH RECURSIVE days (day) AS (
    SELECT min(body ->> '$[2]') FROM main.cycles INDEXED BY cycles_with_equity
    WHERE body ->> '$[9]' IS NOT NULL AND body ->> '$[2]' >= ?1
    UNION ALL SELECT (SELECT min(body ->> '$[2]') FROM main.cycles INDEXED BY cycles_with_equity
    WHERE body ->> '$[9]' IS NOT NULL AND body ->> '$[2]' > day) FROM days WHERE day < ?2
    )
    SELECT day, (SELECT sequence FROM main.cycles INDEXED BY cycles_with_equity
    WHERE body ->> '$[9]' IS NOT NULL AND body ->> '$[2]' = day ORDER BY at DESC, sequence DESC LIMIT 1) AS seen,
    (SELECT sequence FROM main.cycles INDEXED BY cycles_with_marks
    WHERE json_array_length(body, '$[10]') > 0 AND body ->> '$[2]' = day ORDER BY at DESC, sequence DESC LIMIT 1)
    AS marked FROM days WHERE day <= ?2"""

"""Select each session's last pass with the account's equity and its last with prices, without reading others.

In a pass's text, element 2 is the session, element 9 the equity, and element 10 the prices.
"""

SEEN = "SELECT 1 FROM cycles WHERE +body ->> '$[9]' IS NOT NULL LIMIT 1"

"""Select whether any pass read the account's equity, from the table and not from an index."""

STORED = """SELECT key, facts.id, facts.body FROM json_each(?1) CROSS JOIN facts
    ON endpoint = ?2 AND symbol = key AND session BETWEEN value ->> 0 AND value ->> 1 AND known_at <= ?3
    ORDER BY facts.sequence"""

SENT = """SELECT candidates.body FROM cycles JOIN candidates ON cycle = sequence WHERE job = ? AND cycles.at >= ?
    AND json_extract(candidates.body, '$[2]') IS NOT NULL ORDER BY cycles.at, sequence, position"""

LATELY = """SELECT sequence, body FROM cycles
    WHERE sequence > (SELECT max(sequence) FROM main.cycles) - 100 AND +job = ?1 ORDER BY sequence DESC LIMIT ?2"""

"""Select a job's last records among the last hundred passes of all jobs."""

NEWEST = """SELECT sequence, body FROM cycles WHERE job = ?1 AND (?2 IS NULL OR at >= ?2)
    ORDER BY at DESC, sequence DESC LIMIT ?3"""

FIRST_TIMES = "SELECT (SELECT min(at) FROM cycles WHERE job = value) FROM json_each(?)"

LAST_TIMES = "SELECT (SELECT max(at) FROM cycles WHERE job = value) FROM json_each(?)"

"""Select the time of each job's first or last pass, using the index."""

REASONS = """SELECT (SELECT json_extract(decision.value, '$[2]') FROM json_each(candidates.body, '$[1]') AS decision
    WHERE json_extract(decision.value, '$[1]') != 'PASS' LIMIT 1) AS reason, count(*)
    FROM candidates JOIN cycles ON cycles.sequence = cycle
    WHERE job = ? AND cycles.at BETWEEN ? AND ? AND candidates.body ->> '$[0][9]' IS NOT 'cancel'
    GROUP BY reason"""

"""Count the candidates of a job by the reason of the first decision that didn't pass, without cancels of orders."""

ANSWERS = """SELECT endpoint, symbol, max(at), sum(at >= ?1), sum((at >= ?1) * received),
    sum((at >= ?1) * foreign_rows), sum((at >= ?1) * json_array_length(rejected))
    FROM intakes GROUP BY endpoint, symbol"""

INTAKES = """SELECT endpoint, symbol, at, received, foreign_rows, duplicates, rejected FROM intakes
    WHERE at >= ? ORDER BY at, sequence"""

HEADS = "SELECT sequence, body FROM cycles WHERE sequence IN (SELECT value FROM json_each(?))"

FORGET_CANDIDATES = """DELETE FROM main.candidates WHERE cycle IN
    (SELECT value FROM json_each(?1)) AND at < ?2"""

FORGET_ENDS = """DELETE FROM main.ends WHERE cycle IN
    (SELECT sequence FROM main.cycles WHERE at < ?2 AND sequence IN (SELECT value FROM json_each(?1)))"""

JUDGED = """SELECT job, candidates.at, candidates.symbol,
    json_extract(candidates.body, '$[0][0]', '$[0][2]', '$[0][5]', '$[0][7]'),
    (SELECT decision.value ->> 0 FROM json_each(candidates.body, '$[1]') AS decision
        WHERE decision.value ->> 1 != 'PASS' AND coalesce(decision.value ->> 2, '') NOT IN (?1, ?2) LIMIT 1)
    FROM cycles JOIN candidates ON cycle = sequence
    WHERE job IN (?3, ?4) AND cycles.at >= ?5 AND cycles.at < ?6 AND candidates.body ->> '$[0][3]' = ?7
    ORDER BY cycles.at, sequence, position"""

"""Select entry candidates with the first gate that refused each; shadow's unsent candidates count as not refused."""

REFUSED = """WITH gated AS MATERIALIZED (
    SELECT candidates.at AS at, candidates.symbol AS symbol, candidates.body ->> '$[0][0]' AS strategy,
        candidates.body ->> '$[0][2]' AS side,
        candidates.body ->> '$[2]' IS NULL OR EXISTS (SELECT 1 FROM json_each(candidates.body, '$[1]') AS decision
            WHERE decision.value ->> 1 != 'PASS' AND coalesce(decision.value ->> 2, '') NOT IN (?1, ?2)) AS is_refused
    FROM cycles JOIN candidates ON cycle = sequence
    WHERE job = ?3 AND cycles.at >= ?4 AND cycles.at < ?5 AND candidates.body ->> '$[0][3]' = ?6
        AND coalesce(candidates.body ->> '$[0][5]', 1) != 0)
    SELECT min(at), strategy, symbol, side FROM gated GROUP BY strategy, symbol, side HAVING min(is_refused)
    ORDER BY 1, 2, 3, 4"""

"""Select candidates that gates refused and no pass sent; zero scores have no side, and no order means refused."""


class KnownScores:
    """Caches the scores of some symbols in the newest slots. Each pass is read only once, because recorded scores never
    change.
    """

    def __init__(self, symbols: Collection[str]) -> None:
        self.symbols = frozenset(symbols)
        self._passes: dict[int, dict[tuple[str, str], float]] = {}
        self._times: dict[int, datetime] = {}

    def read(self, database: sqlite3.Connection, since: datetime, now: datetime) -> None:
        """Read the passes of the newest slots that aren't cached yet, and drop the passes of all other slots."""
        span = time_text(since), time_text(now)
        slots = dict(database.execute(SLOTS, (Job.SCORE, Job.TRADE_ONCE, *span, MOST_SLOTS)))
        unknown = [slot for slot in slots.items() if slot[0] not in self._passes]
        read: dict[int, dict[tuple[str, str], float]] = {sequence: {} for sequence, _ in unknown}
        query_values = json.dumps(unknown), json.dumps(sorted(self.symbols))
        for sequence, symbol, strategy, score in database.execute(SCORES, query_values):
            if score is not None:
                read[sequence][strategy, symbol] = float(score)
        self._times = {sequence: parse_time(at) for sequence, at in slots.items()}
        self._passes = {sequence: read.get(sequence) or self._passes.get(sequence, {}) for sequence in slots}

    def of(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[Scored]]:
        """Return the scores of (strategy, symbol) pairs, oldest first; pairs without scores are left out."""
        scored = defaultdict[tuple[str, str], list[Scored]](list)
        for sequence, at in sorted(self._times.items(), key=itemgetter(1)):
            scores = self._passes[sequence]
            for key in scores.keys() & pairs:
                scored[key].append(Scored(at, scores[key]))
        return scored


def passes(
    database: sqlite3.Connection, since: datetime, until: datetime = EVER, query: str = PASSES
) -> Sequence[CycleRecord]:
    """Return the passes of all jobs between two times, without their candidates."""
    heads = database.execute(query, (json.dumps(list(Job)), time_text(since), time_text(until)))
    return tuple(unpack_all(CycleRecord, [body for (body,) in heads]))


def unpriced_passes(database: sqlite3.Connection, since: datetime, until: datetime = EVER) -> Sequence[CycleRecord]:
    """Return the same passes as `passes` but without prices, in a third of the time."""
    return passes(database, since, until, UNPRICED_PASSES)


def first_scored(database: sqlite3.Connection) -> datetime | None:
    """Return the time of the first recorded pass of a job that scores candidates; None if there is none."""
    return min(_times(database, FIRST_TIMES, (Job.SCORE, Job.TRADE_ONCE)), default=None)


def last_pass(database: sqlite3.Connection) -> datetime | None:
    """Return the time of the newest pass of any job."""
    return max(_times(database, LAST_TIMES, Job), default=None)


def _times(database: sqlite3.Connection, query: str, jobs: Iterable[Job]) -> Sequence[datetime]:
    return [parse_time(at) for (at,) in database.execute(query, (json.dumps(list(jobs)),)) if at]


def query_ordered_candidates(database: sqlite3.Connection, job: str, since: datetime) -> Sequence[CandidateRecord]:
    """Return the candidates that a job recorded with an order to send, since a time, oldest first."""
    cursor = database.execute(SENT, (job, time_text(since)))
    return tuple(unpack_all(CandidateRecord, [body for (body,) in cursor]))


def ends(
    database: sqlite3.Connection, job: str, since: datetime, until: datetime = EVER
) -> tuple[int, Mapping[Reason, int]]:
    """Return how many candidates a job evaluated between two times, and how many were refused for each reason."""
    rows = database.execute(REASONS, (job, time_text(since), time_text(until))).fetchall()
    return sum(count for _, count in rows), {Reason(reason): count for reason, count in rows if reason}


class AnswerCounts(NamedTuple):
    """One endpoint's replies about one symbol: the newest one, and the number of replies and rows in a period."""

    endpoint: str
    symbol: str | None
    at: datetime
    answers: int
    received: int
    foreign: int
    rejected: int


def answers(database: sqlite3.Connection, since: datetime) -> Sequence[AnswerCounts]:
    """Return the newest reply of each endpoint and symbol, and the counts of its replies since a time."""
    return tuple(
        AnswerCounts(endpoint, symbol or None, parse_time(at), *counts)
        for endpoint, symbol, at, *counts in database.execute(ANSWERS, (time_text(since),))
    )


def reply_counts(database: sqlite3.Connection, since: datetime) -> Sequence[Intake]:
    """Return the replies fetched since a time, with their counts but without their facts."""
    return tuple(map(parse_reply_counts, database.execute(INTAKES, (time_text(since),))))


def marks(database: sqlite3.Connection, since: datetime, until: datetime) -> Mapping[str, Decimal]:
    """Return each symbol's price in USD, as recorded by a period's last exit pass that recorded prices."""
    heads = database.execute(MARKS, (Job.EVALUATE_EXITS, time_text(since), time_text(until)))
    return {
        mark.symbol: mark.price for head in unpack_all(CycleRecord, [body for (body,) in heads]) for mark in head.marks
    }


def last_marked(database: sqlite3.Connection, symbol: str, since: datetime) -> CycleRecord | None:
    """Return the last pass since a time that has a price for a symbol, without its candidates, or None."""
    first = (since - SAME_PASS).date().isoformat()
    heads = [body for (body,) in database.execute(LAST_MARK, (first, time_text(since), symbol))]
    return next(iter(unpack_all(CycleRecord, heads)), None)


def marked_prices(
    database: sqlite3.Connection, session: date, symbols: Iterable[str], most_passes: int
) -> Mapping[str, Sequence[tuple[datetime, Decimal]]]:
    """Return the times and prices in USD that a session's last `most_passes` passes recorded for each symbol, oldest
    first.
    """
    prices = defaultdict[str, list[tuple[datetime, Decimal]]](list)
    params = session.isoformat(), most_passes, json.dumps(list(symbols))
    for at, symbol, price in database.execute(MARKED_PRICES, params):
        prices[symbol].append((parse_time(at), Decimal(price)))
    return prices


def other_code(database: sqlite3.Connection, strategy: str, digest: str) -> datetime | None:
    """Return when a strategy last ran with code whose digest isn't `digest`; None if never."""
    path = f"$[{CycleRecord.__struct_fields__.index('code')}].{strategy}"
    query = "SELECT max(at) FROM cycles WHERE job = ?1 AND body ->> ?2 != ?3"
    ((rows,),) = database.execute(query, (Job.TRADE_ONCE, path, digest)).fetchall()
    return parse_time(rows) if rows else None


def last_read(database: sqlite3.Connection, job: str) -> CycleRecord | None:
    """Return the last pass of a job that read the account, without its candidates, or None."""
    heads = [body for (body,) in database.execute(READ, (job,))]
    return next(iter(unpack_all(CycleRecord, heads)), None)


def session_ends(database: sqlite3.Connection, first: date, last: date) -> Sequence[SessionEnd]:
    """Return the account's state at the end of each session, oldest first.

    Raise DamagedError if the index lacks sessions although there are passes, which means that two of its pages were
    swapped.
    """
    days = database.execute(ENDS, (first.isoformat(), last.isoformat())).fetchall()
    sequences_text = json.dumps([sequence for _, *two in days for sequence in two])
    heads = database.execute(HEADS, (sequences_text,)).fetchall()
    passes = dict(zip([number for number, _ in heads], unpack_all(CycleRecord, [b for _, b in heads]), strict=True))
    session_ends = [session_end(passes[priced], passes.get(marked)) for _, priced, marked in days if priced in passes]
    if not session_ends and first == date.min and database.execute(SEEN).fetchone():
        raise DamagedError("an index lacks some of the passes")
    return session_ends


def prune(database: sqlite3.Connection, facts_before: str, before: str) -> None:
    """Delete facts and passes from before the two times.

    Each session's last pass with equity and its last pass with prices are kept, without their candidates. Times are
    canonical text. Call this in a transaction.
    """
    database.execute("DELETE FROM main.facts WHERE known_at < ?", (facts_before,))
    database.execute("DELETE FROM main.intakes WHERE at < ?", (facts_before,))
    days = database.execute(ENDS, (date.min.isoformat(), date.max.isoformat()))
    # Leave out nulls of sessions without prices: nothing is NOT IN a list that contains a null.
    sequences_text = json.dumps([sequence for _, *two in days for sequence in two if sequence is not None])
    database.execute(FORGET_CANDIDATES, (sequences_text, before))
    database.execute(FORGET_ENDS, (sequences_text, before))
    database.execute(
        "DELETE FROM main.cycles WHERE at < ?2 AND sequence NOT IN (SELECT value FROM json_each(?1))",
        (sequences_text, before),
    )


def query_entry_candidates(database: sqlite3.Connection, since: datetime, until: datetime) -> Sequence[EntryOutcome]:
    """Return the recorded entry candidates from `since` on and before `until`, oldest first."""
    unsent, jobs = (Reason.SHADOW, Reason.DRY_RUN), (Job.SCORE, Job.TRADE_ONCE)
    span = time_text(since), time_text(until)
    return [
        _entry_outcome(Job(job), parse_time(at), symbol, json.loads(about), gate)
        for job, at, symbol, about, gate in database.execute(JUDGED, (*unsent, *jobs, *span, Purpose.OPEN))
    ]


def query_refused_trades(database: sqlite3.Connection, since: datetime, until: datetime) -> Sequence[RefusedTrade]:
    """Return the entries that gates refused in a period and that no pass in it sent, each with the time of its first
    refusal.

    The period begins at `since` and ends just before `until`.
    """
    query_values = (Reason.SHADOW, Reason.DRY_RUN, Job.TRADE_ONCE, time_text(since), time_text(until), Purpose.OPEN)
    return [
        RefusedTrade(parse_time(at), strategy, symbol, Side(side))
        for at, strategy, symbol, side in database.execute(REFUSED, query_values)
    ]


def _entry_outcome(job: Job, at: datetime, symbol: str, about: Sequence[Any], gate: str | None) -> EntryOutcome:
    strategy, side, score, components = about
    return EntryOutcome(
        at=at,
        strategy=strategy,
        symbol=symbol,
        side=Side(side),
        score=None if score is None else float(score),
        components=tuple((name, value) for name, value, *_ in components),
        gate=Gate(gate) if gate else None,
        was_gated=job is Job.TRADE_ONCE,
    )


def query_facts(
    database: sqlite3.Connection, kind: str, spans: Mapping[str, tuple[date, date]], now: datetime
) -> Mapping[str, Sequence[Fact]]:
    """Return each symbol's facts of one kind, in the version that was known at `now`.

    `spans` has the first and the last date of the facts to return for each symbol.
    """
    days_text = json.dumps({symbol: [day.isoformat() for day in span] for symbol, span in spans.items()})
    newest: dict[tuple[str, str], str] = {}
    for symbol, identity, body in database.execute(STORED, (days_text, kind, time_text(now))):
        newest[symbol, identity] = body
    facts = defaultdict[str, list[Fact]](list)
    for (symbol, _), body in newest.items():
        facts[symbol].append(unpack(kind_of(kind).fact, json.loads(body)))
    return facts


def parse_reply_counts(row: Sequence[Any]) -> Intake:
    """Parse the stored counts of one reply."""
    endpoint, symbol, at, received, foreign, duplicates, rejected = row
    reasons = tuple(unpack(RejectedRow, item) for item in json.loads(rejected))
    about = symbol or None
    return Intake(endpoint, about, parse_time(at), received, (), foreign, duplicates, reasons)


REPLIES = """SELECT endpoint, symbol, at, received, foreign_rows, duplicates, rejected, found, nulls
    FROM intakes LEFT JOIN checks ON intake = sequence ORDER BY at, sequence"""

FACTS_OF = "SELECT symbol, known_at, body FROM facts WHERE endpoint = ? ORDER BY sequence"


def load_replies(folder: Path) -> Sequence[Intake]:
    """Return a state folder's replies, oldest first, each with the facts that first appeared in it.

    Kinds that this version doesn't know are left out; without a facts file, the result is empty. Raise OperatorError if
    the file is damaged.
    """
    path = folder / FACTS
    if not path.exists():
        return ()
    try:
        with closing(FILE.open(path)) as database, FILE.translate_errors(path):
            facts = defaultdict[tuple[str, str, str], list[Fact]](list)
            for name in kind_names():
                rows = database.execute(FACTS_OF, (name,)).fetchall()
                read = unpack_all(kind_of(name).fact, [body for _, _, body in rows])
                for (symbol, known_at, _), fact in zip(rows, read, strict=True):
                    facts[name, symbol, known_at].append(fact)
            replies = database.execute(REPLIES).fetchall()
            names = frozenset(kind_names())
            return [_intake(row, facts[row[0], row[1], row[2]]) for row in replies if row[0] in names]
    except (DamagedError, ValueError) as error:
        raise OperatorError(
            f"The store of facts {path} is damaged: {error}.", "name the folder of another bot"
        ) from error


def _intake(row: Sequence[Any], facts: list[Fact]) -> Intake:
    counts, reply, nulls = parse_reply_counts(row[:7]), row[7], row[8]
    # Two replies at the same moment share the facts that became known then.
    mine, facts[:] = tuple(facts), []
    if nulls is None:
        return replace(counts, facts=mine)
    findings = tuple(unpack(ContractFinding, each) for each in json.loads(reply))
    return replace(counts, facts=mine, findings=findings, nulls=json.loads(nulls))
