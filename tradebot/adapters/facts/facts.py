"""Store facts and decisions in SQLite. They explain what happened; money never depends on them.

Most of a candidate's stored text describes decisions that passed. That part is parsed, but no objects are built for it.
A strategy in shadow uses its bot's facts and scores; its passes are stored separately.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import wraps
from inspect import isfunction
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from msgspec import Raw, Struct
from msgspec.json import Decoder

from tradebot.adapters.facts import history, schema
from tradebot.adapters.facts import schema as parities
from tradebot.adapters.facts.facts_as_of import (
    MARKET_WIDE,
    NO_SYMBOL,
    KnownFacts,
    market_of,
    with_last_reply,
    without_old,
)
from tradebot.adapters.facts.history import SAME_PASS, KnownScores
from tradebot.adapters.facts.pass_rows import (
    OutcomeGroup,
    candidate_prices,
    candidates_in,
    heads,
    insert_pass,
    load_pass_sums,
    pass_at,
    query_pass_heads,
    query_passes,
    rows_of_symbol,
    sessions_beside,
    span_ends,
    was_judged,
)
from tradebot.adapters.facts.schema import FILE
from tradebot.adapters.state.cache_database import CacheConnection, CacheStore
from tradebot.adapters.state.state_folder import FACTS
from tradebot.adapters.text.canonical import UNFIT, json_text, parse_time, time_text
from tradebot.adapters.text.codec import pack, unpack, unpack_all
from tradebot.errors import TemporaryError
from tradebot.model.candidate import STRATEGY_SOURCE
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.event import EventKind
from tradebot.model.fact_kind import AnyKind, Fact
from tradebot.model.flow import FLOW_ALERTS, Intake
from tradebot.model.intent import Operation
from tradebot.model.parity import DayParity
from tradebot.model.record import (
    RESUMABLE,
    CandidateRecord,
    CycleRecord,
    EndedPasses,
    Outcome,
    RefusalGroup,
    Scored,
    SymbolFacts,
    SymbolOutcomes,
)
from tradebot.model.registry import Coin, Discovery
from tradebot.model.struct_tools import replace
from tradebot.ports.stores import Events
from tradebot.signals.kinds import kind_of

PASSES = """SELECT sequence, at FROM cycles WHERE job = ?1 AND (?2 IS NULL OR at >= ?2)
    AND (?3 IS NULL OR body ->> '$[2]' = ?3) ORDER BY at DESC, sequence DESC LIMIT ?4"""

GATE, ABOUT, PLACE, UNKNOWN, SYMBOLS = (
    OutcomeGroup._fields.index(n) for n in ("gate", "about", "place", "unknown", "symbols")
)


def count_refusals(
    database: CacheConnection,
    job: str,
    *,
    last: int = -1,
    since: datetime | None = None,
    session: date | None = None,
    strategy: str | None = None,
) -> EndedPasses:
    """Count the candidates of a job's newest passes by the decision that refused them; `last=-1` means all passes."""
    span = job, time_text(since) if since else None, session.isoformat() if session else None, last
    passes = dict(database.execute(PASSES, span).fetchall())
    counts = defaultdict[tuple[str | None, str, str | None], Counter[str]](Counter)
    places = dict[tuple[str | None, str, str | None], int]()
    for _, groups in load_pass_sums(database, passes):
        for group in groups:
            if strategy is None or group[0] == strategy:
                key = group[GATE], group[ABOUT], group[UNKNOWN]
                counts[key].update(group[SYMBOLS])
                places[key] = max(places.get(key, 0), group[PLACE])
    times = sorted(passes.values())
    return EndedPasses(
        len(passes),
        parse_time(times[0]) if times else None,
        parse_time(times[-1]) if times else None,
        tuple(
            RefusalGroup(symbol, Gate(gate) if gate else None, about, places[gate, about, unknown], unknown, count)
            for (gate, about, unknown), of_symbols in counts.items()
            for symbol, count in of_symbols.items()
        ),
    )


UNREAD = Raw(b"null")


class _Wanted(Struct, array_like=True):
    """The leading fields of a stored candidate; a query reads the first and the last of them."""

    strategy: str
    instrument: Raw = UNREAD
    side: Raw = UNREAD
    purpose: Raw = UNREAD
    at: Raw = UNREAD
    score: Raw = UNREAD
    coverage: Raw = UNREAD
    components: Raw = UNREAD
    quantity: Raw = UNREAD
    source: str = STRATEGY_SOURCE


class _Judged(Struct, array_like=True):
    """The leading fields of a stored candidate's record."""

    candidate: _Wanted
    decisions: list[list[Any]]
    client_order_id: str | None = None


_decode = Decoder(_Judged).decode

_VERDICT, _PASS = Decision.__struct_fields__.index("verdict"), Verdict.PASS.value


def outcomes(
    database: sqlite3.Connection,
    job: str,
    symbol: str,
    *,
    session: date | None = None,
    since: datetime | None = None,
    last: int = -1,
) -> SymbolOutcomes:
    """Return a job's passes in a session or since a time, and how one symbol's candidates ended in each pass."""
    passes = query_pass_heads(database, job, session=session, since=since, last=last)
    by_pass = {number: list[Outcome]() for number in passes}
    for number, body in rows_of_symbol(database, passes, symbol):
        judged = _decode(body)
        if judged.candidate.source != Operation.CANCEL:
            by_pass[number].append(_outcome(passes[number], judged))
    return SymbolOutcomes(tuple(passes.values()), tuple([outcome for some in by_pass.values() for outcome in some]))


def _outcome(cycle: CycleRecord, judged: _Judged) -> Outcome:
    refusals = tuple([unpack(Decision, each) for each in judged.decisions if each[_VERDICT] != _PASS])
    return Outcome(cycle.at, cycle.slot, judged.candidate.strategy, refusals, judged.client_order_id)


T = TypeVar("T")


class StoreResetError(TemporaryError):
    """Raised after a damaged facts file was replaced by an empty one."""


def retry_when_damaged(store: type[T]) -> type[T]:
    """Make each public method of a store retry on a new, empty file if the file is damaged.

    So damage doesn't end the pass: exits don't need facts, and entries are refused because facts are missing.
    """
    for name, method in list(vars(store).items()):
        if isfunction(method) and not name.startswith("_"):
            setattr(store, name, _tried_again(method))
    return store


def _tried_again(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call_again(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except StoreResetError:
            return method(*arguments, **named)

    return call_again


ALL = -1


P = ParamSpec("P")

R = TypeVar("R")


def _method_of_query(
    query: Callable[Concatenate[CacheConnection, P], R],
) -> "Callable[Concatenate[SqliteFacts, P], R]":
    """Wrap a query as a method that replaces a damaged file by a new one."""

    @wraps(query)
    def method(store: "SqliteFacts", /, *args: P.args, **named: P.kwargs) -> R:
        with store._guard(*UNFIT):
            return query(store._database, *args, **named)

    return method


@retry_when_damaged
class SqliteFacts(CacheStore):
    """The facts of a state folder. A missing or damaged file is replaced by an empty one, and an event says so."""

    FILE = FILE
    STARTED_OVER = EventKind.FACTS_BEGUN_ANEW

    def __init__(self, folder: Path, events: "Events", at: datetime) -> None:
        self._known: KnownFacts | None = None
        self._scores: KnownScores | None = None
        super().__init__(folder / FACTS, events, at)

    def close(self) -> None:
        """Close the database file."""
        self._tell(self._database.bad_rows.count)
        super().close()

    def store(self, intake: Intake) -> int:
        with self._write():
            reply = self._database.execute(
                "INSERT INTO main.intakes (endpoint, symbol, at, received, foreign_rows, duplicates, rejected)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    intake.endpoint,
                    intake.symbol or NO_SYMBOL,
                    time_text(intake.at),
                    intake.received,
                    intake.foreign,
                    intake.duplicates,
                    json_text([pack(row) for row in intake.rejected]),
                ),
            ).lastrowid
            schema.write_check(self._database, reply, intake)
            rows = list(self._changed_rows(intake))
            self._database.executemany(
                "INSERT OR REPLACE INTO main.facts (endpoint, symbol, id, session, known_at, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        return len(rows)

    def load(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        facts = self._known_of(symbols, session, now)
        assert self._known is not None, "the row was just read"
        with self._guard(*UNFIT):
            answers = self._known.answers(tuple(symbols), time_text(now), self._last_alert_answers, self._next_answer)
        return {symbol: with_last_reply(facts[symbol], answers.get(symbol)) for symbol in symbols}

    def last_answers(self, symbols: Sequence[str], now: datetime) -> Mapping[str, SymbolFacts]:
        with self._guard(*UNFIT):
            answers = self._last_alert_answers(symbols, time_text(now))
        return {symbol: with_last_reply(SymbolFacts(symbol), answers.get(symbol)) for symbol in symbols}

    def market(self, session: date, now: datetime) -> Mapping[str, object]:
        return market_of(self._known_of(MARKET_WIDE, session, now))

    def last_fetch(self, endpoint: str, symbol: str | None) -> datetime | None:
        ((at,),) = self._rows(
            "SELECT max(at) FROM intakes WHERE endpoint = ? AND symbol = ?", (endpoint, symbol or NO_SYMBOL)
        )
        return parse_time(at) if at else None

    def record(self, cycle: CycleRecord) -> None:
        with self._write():
            self._database.execute(
                "DELETE FROM main.cycles WHERE job = ? AND at >= ? AND json_extract(body, '$[0]') = ?",
                (cycle.job, time_text(cycle.at - SAME_PASS), cycle.id),
            )
            insert_pass(self._database, cycle)

    def unfinished(self, cycle: CycleRecord) -> bool:
        rows = self._rows(
            "SELECT body FROM cycles WHERE job = ? AND at >= ? AND json_extract(body, '$[0]') = ?"
            " ORDER BY at DESC, sequence DESC LIMIT 1",
            (cycle.job, time_text(cycle.at - SAME_PASS), cycle.id),
        )
        with self._guard(*UNFIT):
            ends = [last.job_decision for last in unpack_all(CycleRecord, [body for (body,) in rows])]
        return not ends or (ends[0] is not None and ends[0].reason in RESUMABLE)

    def cycles(self, *, job: str, since: datetime | None = None, last: int | None = None) -> Sequence[CycleRecord]:
        heads = self._heads(job, since, last)
        with self._guard(*UNFIT):
            return tuple(self._cycle(sequence, body) for sequence, body in reversed(heads))

    def last_passes(self, job: str, last: int) -> Sequence[CycleRecord]:
        heads = self._heads(job, None, last)
        with self._guard(*UNFIT):
            return tuple(unpack_all(CycleRecord, [body for _, body in reversed(heads)]))

    def before(self, job: str, identity: str, symbols: Collection[str]) -> CycleRecord | None:
        heads = self._heads(job, None, 2)
        with self._guard(*UNFIT):
            passes = [(sequence, unpack(CycleRecord, json.loads(body))) for sequence, body in heads]
            last = next(((number, cycle) for number, cycle in passes if cycle.id != identity), None)
            return last and last[1].reasons(candidates_in(self._database, last[0], symbols))

    def _heads(self, job: str, since: datetime | None, last: int | None) -> list[Any]:
        """Return the numbers and texts of passes, newest first."""
        heads = self._rows(history.LATELY, (job, last)) if last is not None and since is None else []
        if not heads or len(heads) < (last or 0):
            span = (job, time_text(since) if since else None, ALL if last is None else last)
            heads = self._rows(history.NEWEST, span)
        return heads

    def cycle(self, identity: str) -> CycleRecord | None:
        """Return the pass with this id, or None if none is recorded."""
        heads = self._rows(
            "SELECT sequence, body FROM cycles WHERE json_extract(body, '$[0]') = ? ORDER BY sequence DESC LIMIT 1",
            (identity,),
        )
        with self._guard(*UNFIT):
            return next((self._cycle(sequence, body) for sequence, body in heads), None)

    judged = _method_of_query(history.query_entry_candidates)
    refused = _method_of_query(history.query_refused_trades)
    first_scored = _method_of_query(history.first_scored)
    last_pass = _method_of_query(history.last_pass)
    passes = _method_of_query(history.passes)
    unpriced_passes = _method_of_query(history.unpriced_passes)
    sent = _method_of_query(history.query_ordered_candidates)
    ends = _method_of_query(history.ends)
    ended = _method_of_query(count_refusals)
    of_span = _method_of_query(query_passes)
    outcomes = _method_of_query(outcomes)
    heads = _method_of_query(heads)
    candidate_prices = _method_of_query(candidate_prices)
    span_ends = _method_of_query(span_ends)
    pass_at = _method_of_query(pass_at)
    was_judged = _method_of_query(was_judged)
    sessions_beside = _method_of_query(sessions_beside)
    answers = _method_of_query(history.answers)
    intakes = _method_of_query(history.reply_counts)
    marks = _method_of_query(history.marks)
    last_marked = _method_of_query(history.last_marked)
    marked_prices = _method_of_query(history.marked_prices)
    last_read = _method_of_query(history.last_read)
    other_code = _method_of_query(history.other_code)
    session_ends = _method_of_query(history.session_ends)
    stored = _method_of_query(history.query_facts)
    suspicious_replies = _method_of_query(schema.suspicious_replies)
    checked_replies = _method_of_query(schema.newest_checks)
    nulls = _method_of_query(schema.count_nulls)
    registry = _method_of_query(schema.read_coins)
    discovery = _method_of_query(schema.read_discovery)
    parities = _method_of_query(parities.read_parities)

    def put_parity(self, parity: DayParity) -> None:
        with self._write():
            parities.write_parity(self._database, parity)

    def put_registry(self, coins: Iterable[Coin]) -> None:
        with self._write():
            schema.write_coins(self._database, coins)

    def put_discovery(self, discovery: Discovery) -> None:
        with self._write():
            schema.write_discovery(self._database, discovery)

    def scores(
        self, pairs: Collection[tuple[str, str]], since: datetime, now: datetime
    ) -> Mapping[tuple[str, str], Sequence[Scored]]:
        symbols = {symbol for _, symbol in pairs}
        if self._scores is None or not self._scores.symbols >= symbols:
            self._scores = KnownScores(symbols)
        with self._guard(*UNFIT):
            self._scores.read(self._database, since, now)
        return self._scores.of(set(pairs))

    def prune(self, now: datetime, facts_kept: timedelta, decisions_kept: timedelta) -> None:
        """Delete facts and decisions after their retention times; decisions are kept longer, for measurements.

        Each session's last pass that read the account and its last pass with prices are kept forever, without their
        candidates.
        """
        with self._write():
            history.prune(self._database, *(time_text(now - duration) for duration in (facts_kept, decisions_kept)))
        self.forget()

    def forget(self) -> None:
        """Drop the cached facts of a session; the next read loads them again."""
        self._known = None
        self._rows("PRAGMA shrink_memory", ())

    def _known_of(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        """Return the facts known at `now`, including those that other processes have stored, without outdated ones."""
        facts = self._known
        if facts is None or facts.session != session or not facts.symbols.issuperset(symbols):
            facts = self._known = KnownFacts(session, (*symbols, *MARKET_WIDE))
        with self._guard(*UNFIT):
            facts.read(self._database)
            by_symbol = {symbol: facts.symbol_facts(symbol, now) for symbol in symbols}
            return without_old(self._database, by_symbol, now, facts.heard)

    def _changed_rows(self, intake: Intake) -> Iterator[tuple[str, ...]]:
        """Yield the facts that aren't stored yet or that have changed."""
        kind, symbol, known_at = kind_of(intake.endpoint), intake.symbol or NO_SYMBOL, time_text(intake.at)
        stored = self._stored_bodies(kind, symbol, intake.facts)
        for fact in intake.facts:
            if not kind.changes and fact.id in stored:
                continue
            body = json_text(pack(fact))
            if stored.get(fact.id) != body:
                stored[fact.id] = body
                yield kind.name, symbol, fact.id, kind.day(fact).isoformat(), known_at, body

    def _stored_bodies(self, kind: AnyKind, symbol: str, facts: Sequence[Fact]) -> dict[str, str]:
        """Return the stored facts of the same days by id; the body is empty for kinds that never change."""
        if not facts:
            return {}
        first, last = min(facts, key=kind.moment), max(facts, key=kind.moment)
        cursor = self._database.execute(
            "SELECT id, iif(?, body, '') FROM facts WHERE endpoint = ? AND symbol = ?"
            " AND session BETWEEN ? AND ? ORDER BY sequence",
            (kind.changes, kind.name, symbol, kind.day(first).isoformat(), kind.day(last).isoformat()),
        )
        return dict(cursor)

    def _last_alert_answers(self, symbols: Sequence[str], now: str) -> dict[str, Sequence[Any]]:
        cursor = self._database.execute(
            "SELECT asked.value, at, received, foreign_rows, json_array_length(rejected)"
            " FROM json_each(?) AS asked JOIN intakes ON sequence = (SELECT sequence FROM intakes"
            " WHERE endpoint = ? AND symbol = asked.value AND at <= ?"
            " ORDER BY at DESC, sequence DESC LIMIT 1)",
            (json.dumps(list(symbols)), FLOW_ALERTS, now),
        )
        return {symbol: counts for symbol, *counts in cursor}

    def _next_answer(self, symbols: Sequence[str], now: str) -> str | None:
        """Return when the next reply with alerts after `now` arrived, for any of these symbols."""
        at: str | None
        ((at,),) = self._database.execute(
            "SELECT min((SELECT min(at) FROM intakes WHERE endpoint = ? AND symbol = asked.value AND at > ?))"
            " FROM json_each(?) AS asked",
            (FLOW_ALERTS, now, json.dumps(list(symbols))),
        )
        return at

    def _cycle(self, sequence: int, body: str) -> CycleRecord:
        rows = self._rows("SELECT body FROM candidates WHERE cycle = ? ORDER BY position", (sequence,))
        candidates = tuple(unpack_all(CandidateRecord, [text for (text,) in rows]))
        return replace(unpack(CycleRecord, json.loads(body)), candidates=candidates)

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._guard():
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _write(self) -> Iterator[None]:
        with super()._write():
            yield
            lost = self._database.bad_rows.delete()
        self._tell(lost)

    def _tell(self, rows: int) -> None:
        if rows:
            self._events.emit(EventKind.FACTS_ROWS_DAMAGED.at(self._opened_at, {"rows": str(rows)}))

    def _damage_error(self) -> StoreResetError:
        return StoreResetError(
            "The stored facts were damaged, so they were moved aside and a new file was started.",
            "tradebot fetch-flow --force-slot",
        )

    def _start_over(self, why: str, *, look_again: bool = False) -> None:
        self._known = self._scores = None
        super()._start_over(why, look_again=look_again)


OF_THE_BOT = (
    *("store", "load", "last_answers", "market", "suspicious_replies", "last_fetch", "scores", "stored", "intakes"),
    *("registry", "put_registry", "discovery", "put_discovery"),
)

"""The methods that read and write the bot's own facts."""


class SharedFacts(SqliteFacts):
    """A store that records its own passes but reads the facts from another store, which that store's owner closes."""

    def __init__(self, folder: Path, events: Events, at: datetime, of: SqliteFacts) -> None:
        super().__init__(folder, events, at)
        for name in OF_THE_BOT:
            setattr(self, name, getattr(of, name))
