"""Store facts and decisions in SQLite. They explain what happened; money never depends on them."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tradebot.adapters.facts import checked, history
from tradebot.adapters.facts.going_on import BegunAnewError, going_on
from tradebot.adapters.facts.history import RESUMABLE, SAME_PASS, KnownScores
from tradebot.adapters.facts.known_facts import MARKET_WIDE, NO_SYMBOL, KnownFacts, answered, market_of
from tradebot.adapters.facts.schema import FILE
from tradebot.adapters.facts.too_old import without_old
from tradebot.adapters.state.cache_database import DamagedError
from tradebot.adapters.state.state_folder import FACTS
from tradebot.adapters.text.canonical import UNFIT, json_text, parse_time, time_text
from tradebot.adapters.text.codec import pack, unpack, unpack_all
from tradebot.model.contract import CheckedReply, NullCounts
from tradebot.model.event import EventKind, Severity
from tradebot.model.flow import FLOW_ALERTS, Intake
from tradebot.model.kind import AnyKind, Fact
from tradebot.model.reasons import Reason
from tradebot.model.record import (
    CandidateRecord,
    CycleRecord,
    Job,
    Judged,
    Refused,
    Scored,
    SessionEnd,
    SymbolFacts,
)
from tradebot.model.values import replace
from tradebot.signals.kinds import kind_of

if TYPE_CHECKING:
    from tradebot.ports.stores import Events

ALL = -1


class AnswerCounts(NamedTuple):
    """One endpoint's answers for one symbol: the newest, and how many answers and rows came in a span of time."""

    endpoint: str
    symbol: str | None
    at: datetime
    answers: int
    received: int
    foreign: int
    rejected: int


@going_on
class SqliteFacts:
    """The facts of a state folder. A missing or damaged file is replaced by an empty one, and an event says so."""

    def __init__(self, folder: Path, events: "Events", at: datetime) -> None:
        self._path = folder / FACTS
        self._events = events
        self._opened_at = at
        self._known: KnownFacts | None = None
        self._scores: KnownScores | None = None
        try:
            self._database = FILE.open(self._path)
        except DamagedError as error:
            self._start_over(str(error), look_again=True)

    def close(self) -> None:
        """Close the database file."""
        self._tell(self._database.bad_rows.count)
        self._database.close()

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
            checked.store(self._database, reply, intake)
            rows = list(self._changed_rows(intake))
            self._database.executemany(
                "INSERT OR REPLACE INTO main.facts (endpoint, symbol, id, session, known_at, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        return len(rows)

    def load(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        known = self._known_of(symbols, session, now)
        with self._guard(*UNFIT):
            answers = self._last_alert_answers(symbols, now)
        return {symbol: answered(known[symbol], answers.get(symbol)) for symbol in symbols}

    def last_answers(self, symbols: Sequence[str], now: datetime) -> Mapping[str, SymbolFacts]:
        with self._guard(*UNFIT):
            answers = self._last_alert_answers(symbols, now)
        return {symbol: answered(SymbolFacts(symbol), answers.get(symbol)) for symbol in symbols}

    def market(self, session: date, now: datetime) -> Mapping[str, object]:
        return market_of(self._known_of(MARKET_WIDE, session, now))

    def last_fetch(self, endpoint: str, symbol: str | None) -> datetime | None:
        ((at,),) = self._rows(
            "SELECT max(at) FROM intakes WHERE endpoint = ? AND symbol = ?", (endpoint, symbol or NO_SYMBOL)
        )
        return parse_time(at) if at else None

    def record(self, cycle: CycleRecord) -> None:
        head, at = json_text(pack(replace(cycle, candidates=()))), time_text(cycle.at)
        with self._write():
            self._database.execute(
                "DELETE FROM main.cycles WHERE job = ? AND at >= ? AND json_extract(body, '$[0]') = ?",
                (cycle.job, time_text(cycle.at - SAME_PASS), cycle.id),
            )
            row = self._database.execute(
                "INSERT INTO main.cycles (job, at, body) VALUES (?, ?, ?)", (cycle.job, at, head)
            ).lastrowid
            self._database.executemany(
                "INSERT INTO main.candidates (cycle, position, symbol, at, body) VALUES (?, ?, ?, ?, ?)",
                [
                    (row, position, item.candidate.symbol, at, json_text(pack(item)))
                    for position, item in enumerate(cycle.candidates)
                ],
            )

    def unfinished(self, cycle: CycleRecord) -> bool:
        found = self._rows(
            "SELECT body FROM cycles WHERE job = ? AND at >= ? AND json_extract(body, '$[0]') = ?"
            " ORDER BY at DESC, sequence DESC LIMIT 1",
            (cycle.job, time_text(cycle.at - SAME_PASS), cycle.id),
        )
        with self._guard(*UNFIT):
            ends = [last.job_decision for last in unpack_all(CycleRecord, [body for (body,) in found])]
        return not ends or (ends[0] is not None and ends[0].reason in RESUMABLE)

    def cycles(self, *, job: str, since: datetime | None = None, last: int | None = None) -> Sequence[CycleRecord]:
        heads = self._rows(history.LATELY, (job, last)) if last is not None and since is None else []
        if not heads or len(heads) < (last or 0):
            span = (job, time_text(since) if since else None, ALL if last is None else last)
            heads = self._rows(history.NEWEST, span)
        with self._guard(*UNFIT):
            return tuple(self._cycle(sequence, body) for sequence, body in reversed(heads))

    def cycle(self, identity: str) -> CycleRecord | None:
        """Return the pass with this id, or None if none is recorded."""
        heads = self._rows(
            "SELECT sequence, body FROM cycles WHERE json_extract(body, '$[0]') = ? ORDER BY sequence DESC LIMIT 1",
            (identity,),
        )
        with self._guard(*UNFIT):
            return next((self._cycle(sequence, body) for sequence, body in heads), None)

    def judged(self, since: datetime, until: datetime) -> Sequence[Judged]:
        """Return the entry candidates recorded from `since` on and before `until`, refused ones too, oldest first."""
        with self._guard(*UNFIT):
            return history.judged(self._database, since, until)

    def refused(self, since: datetime, until: datetime) -> Sequence[Refused]:
        """Return the trades that gates refused in every pass from `since` on and before `until`, by the first time."""
        with self._guard(*UNFIT):
            return history.refused(self._database, since, until)

    def first_scored(self) -> datetime | None:
        """Return when the first recorded pass scored its candidates."""
        with self._guard(*UNFIT):
            return min(history.times(self._database, history.FIRST_TIMES, (Job.SCORE, Job.TRADE_ONCE)), default=None)

    def last_pass(self) -> datetime | None:
        """Return the time of the newest pass of any job."""
        with self._guard(*UNFIT):
            return max(history.times(self._database, history.LAST_TIMES, Job), default=None)

    def passes(self, since: datetime) -> Sequence[CycleRecord]:
        with self._guard(*UNFIT):
            return history.passes(self._database, history.PASSES, since)

    def unpriced_passes(self, since: datetime) -> Sequence[CycleRecord]:
        """Return what `passes` does, without the prices that the passes saw, in a third of the time."""
        with self._guard(*UNFIT):
            return history.passes(self._database, history.UNPRICED_PASSES, since)

    def sent(self, job: str, since: datetime) -> Sequence[CandidateRecord]:
        """Return the candidates for which a job has promised an order since a time, oldest first."""
        with self._guard(*UNFIT):
            return history.sent(self._database, job, since)

    def ends(self, job: str, since: datetime) -> tuple[int, Mapping[Reason, int]]:
        """Return how many candidates a job has decided since a time, and how many ended for each reason."""
        found = self._rows(history.REASONS, (job, time_text(since)))
        with self._guard(*UNFIT):
            return sum(count for _, count in found), {Reason(reason): count for reason, count in found if reason}

    def answers(self, since: datetime) -> Sequence[AnswerCounts]:
        """Return the newest answer of each endpoint and symbol, and the counts of its answers since a time."""
        found = self._rows(
            "SELECT endpoint, symbol, max(at), sum(at >= ?1), sum((at >= ?1) * received),"
            " sum((at >= ?1) * foreign_rows), sum((at >= ?1) * json_array_length(rejected))"
            " FROM intakes GROUP BY endpoint, symbol",
            (time_text(since),),
        )
        with self._guard(*UNFIT):
            return tuple(
                AnswerCounts(endpoint, symbol or None, parse_time(at), *counts)
                for endpoint, symbol, at, *counts in found
            )

    def intakes(self, since: datetime) -> Sequence[Intake]:
        found = self._rows(
            "SELECT endpoint, symbol, at, received, foreign_rows, duplicates, rejected FROM intakes"
            " WHERE at >= ? ORDER BY at, sequence",
            (time_text(since),),
        )
        with self._guard(*UNFIT):
            return tuple(history.intake(row) for row in found)

    def scores(
        self, held: Collection[tuple[str, str]], since: datetime, now: datetime
    ) -> Mapping[tuple[str, str], Sequence[Scored]]:
        symbols = {symbol for _, symbol in held}
        if self._scores is None or not self._scores.symbols >= symbols:
            self._scores = KnownScores(symbols)
        with self._guard(*UNFIT):
            self._scores.read(self._database, since, now)
        return self._scores.of(set(held))

    def marks(self, since: datetime, until: datetime) -> Mapping[str, Decimal]:
        with self._guard(*UNFIT):
            return history.marks(self._database, since, until)

    def session_ends(self, since: date, until: date) -> Sequence[SessionEnd]:
        """Return the account as each session's passes saw it last, between two sessions, both included."""
        with self._guard(*UNFIT):
            return history.session_ends(self._database, since, until)

    def stored(self, kind: str, spans: Mapping[str, tuple[date, date]], now: datetime) -> Mapping[str, Sequence[Fact]]:
        with self._guard(*UNFIT):
            return history.stored(self._database, kind, spans, now)

    def suspicious_replies(self, since: datetime, now: datetime) -> Sequence[CheckedReply]:
        with self._guard(*UNFIT):
            return checked.suspicious(self._database, since, now)

    def checked_replies(self, since: datetime, now: datetime) -> Sequence[CheckedReply]:
        """Return the newest reply with rows about each kind and symbol in a span of time, and what its check found."""
        with self._guard(*UNFIT):
            return checked.newest(self._database, since, now)

    def nulls(self, since: datetime, until: datetime) -> Mapping[str, NullCounts]:
        """Return, by kind, how many values were null in the replies from `since` to before `until`."""
        with self._guard(*UNFIT):
            return checked.nulls(self._database, since, until)

    def prune(self, now: datetime, facts_kept: timedelta, decisions_kept: timedelta) -> None:
        """Delete facts and decisions that are past their keeping time; decisions are kept longer, to be measured.

        What each session's passes saw last of the account is kept for ever, without its candidates.
        """
        with self._write():
            history.prune(self._database, *(time_text(now - kept) for kept in (facts_kept, decisions_kept)))
        self.forget()

    def forget(self) -> None:
        """Let go of what was read of a session; the next reading reads what it needs again."""
        self._known = None

    def _known_of(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        """Return what was known at `now`, with what any process has stored, and without what is too old to count."""
        known = self._known
        if known is None or known.session != session or not known.symbols.issuperset(symbols):
            known = self._known = KnownFacts(session, (*symbols, *MARKET_WIDE))
        with self._guard(*UNFIT):
            known.read(self._database)
            found = {symbol: known.symbol_facts(symbol, now) for symbol in symbols}
            return without_old(self._database, found, now)

    def _changed_rows(self, intake: Intake) -> Iterator[tuple[str, ...]]:
        """Yield the facts that aren't stored yet or have changed, if facts of their kind ever change."""
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
        """Return the bodies of the stored facts of the same days by id; what never changes is known by its id alone."""
        if not facts:
            return {}
        first, last = min(facts, key=kind.moment), max(facts, key=kind.moment)
        found = self._database.execute(
            "SELECT id, iif(?, body, '') FROM facts WHERE endpoint = ? AND symbol = ?"
            " AND session BETWEEN ? AND ? ORDER BY sequence",
            (kind.changes, kind.name, symbol, kind.day(first).isoformat(), kind.day(last).isoformat()),
        )
        return dict(found)

    def _last_alert_answers(self, symbols: Sequence[str], now: datetime) -> dict[str, tuple[Any, ...]]:
        found = self._database.execute(
            "SELECT asked.value, at, received, foreign_rows, json_array_length(rejected)"
            " FROM json_each(?) AS asked JOIN intakes ON sequence = (SELECT sequence FROM intakes"
            " WHERE endpoint = ? AND symbol = asked.value AND at <= ?"
            " ORDER BY at DESC, sequence DESC LIMIT 1)",
            (json.dumps(list(symbols)), FLOW_ALERTS, time_text(now)),
        )
        return {symbol: counts for symbol, *counts in found}

    def _cycle(self, sequence: int, body: str) -> CycleRecord:
        found = self._rows("SELECT body FROM candidates WHERE cycle = ? ORDER BY position", (sequence,))
        candidates = tuple(unpack_all(CandidateRecord, [text for (text,) in found]))
        return replace(unpack(CycleRecord, json.loads(body)), candidates=candidates)

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._guard():
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _write(self) -> Iterator[None]:
        with self._guard(), self._database.transaction():
            yield
            lost = self._database.bad_rows.delete()
        self._tell(lost)

    def _tell(self, rows: int) -> None:
        if rows:
            self._events.emit(EventKind.FACTS_ROWS_DAMAGED.at(self._opened_at, {"rows": str(rows)}))

    @contextmanager
    def _guard(self, *unfit: type[Exception]) -> Iterator[None]:
        """Start over with an empty file if this one turns out to be damaged, so that a later run can go on."""
        damage: tuple[type[Exception], ...] = (DamagedError, *unfit)
        try:
            with FILE.translated(self._path):
                yield
        except damage as error:
            self._database.close()
            self._start_over(str(error))
            raise BegunAnewError(
                "The stored facts were damaged, so they were moved aside and a new file was started.",
                "tradebot fetch-flow --force-slot",
            ) from error

    def _start_over(self, why: str, *, look_again: bool = False) -> None:
        self._known = self._scores = None
        self._database, moved_to = FILE.start_over(self._path, look_again=look_again)
        severity = Severity.WARN if moved_to else Severity.INFO
        details = {"why": why, "moved_to": str(moved_to or "")}
        self._events.emit(EventKind.FACTS_BEGUN_ANEW.at(self._opened_at, details, severity=severity))
