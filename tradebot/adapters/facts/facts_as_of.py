"""Cache one session's facts as of any time, decoded once and stored compactly while the process runs."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.adapters.text.codec import unpack
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.record import SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.signals.facts_cache import SessionFacts
from tradebot.signals.fields import SOURCE_SECTORS
from tradebot.signals.kinds import kind_of, kinds

NO_SYMBOL = ""
MARKET_WIDE = (NO_SYMBOL, *SOURCE_SECTORS.values())
"""The symbol keys of facts about the whole market or a sector."""
# All facts of one reply became known at the same time, and are read in sequence, so each time is parsed once.
_known_at = lru_cache(maxsize=16)(parse_time)


Answers = Mapping[str, Sequence[Any]]
Asked = Callable[[Sequence[str], str], Any]


class RecentReplies(NamedTuple):
    """The last replies about some symbols. They are valid from the newest reply's time until the next reply arrives."""

    seen: tuple[object, ...]
    symbols: Sequence[str]
    since: str
    until: str | None
    answers: Answers

    def includes(self, now: str) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


class KnownFacts:
    """The facts known about some symbols in one session: those of the session's events, and those of earlier dates that
    are still valid.
    """

    def __init__(self, session: date, symbols: Sequence[str]) -> None:
        self.session = session
        self.symbols = frozenset(symbols)
        self.heard: Heard = {}
        self._cursors: dict[str, int] = {}
        self._facts = SessionFacts(session)
        self._seen: tuple[object, ...] = ()
        self._lately: RecentReplies | None = None

    def read(self, database: sqlite3.Connection) -> None:
        """Read the rows stored since the last call."""
        ((version,),) = database.execute("PRAGMA data_version")
        state = database, version, database.total_changes
        if state == self._seen:
            return
        symbols = json.dumps(sorted(self.symbols))
        for kind in kinds().values():
            self._read(kind, database, symbols)
        self._seen = state

    def answers(self, symbols: Sequence[str], now: str, last: Asked, after: Asked) -> Answers:
        """Return the last replies about these symbols, from the cache unless there may be newer replies."""
        lately = self._lately
        if lately is not None and (lately.seen, lately.symbols) == (self._seen, symbols) and lately.includes(now):
            return lately.answers
        answers: Answers = last(symbols, now)
        since = max((answer[0] for answer in answers.values()), default="")
        self._lately = RecentReplies(self._seen, symbols, since, after(symbols, now), answers)
        return answers

    def symbol_facts(self, symbol: str, now: datetime) -> SymbolFacts:
        """Return the facts about one symbol known at `now`."""
        return self._facts.symbol_facts(symbol, now)

    def _read(self, kind: AnyKind, database: sqlite3.Connection, symbols: str) -> None:
        rows = database.execute(
            "SELECT sequence, symbol, id, known_at, body FROM facts WHERE endpoint = ? AND session BETWEEN ? AND ?"
            " AND sequence > ? AND symbol IN (SELECT value FROM json_each(?)) ORDER BY sequence",
            (
                kind.name,
                (self.session - timedelta(days=kind.past_days)).isoformat(),
                self.session.isoformat(),
                self._cursors.get(kind.name, 0),
                symbols,
            ),
        ).fetchall()
        bodies = json.loads(f"[{','.join(row[-1] for row in rows)}]")
        for (sequence, symbol, identity, known_at, _), body in zip(rows, bodies, strict=True):
            self._facts.add(kind, symbol, identity, _known_at(known_at), unpack(kind.fact, body))
            self._cursors[kind.name] = sequence


def with_last_reply(facts: SymbolFacts, answer: Sequence[Any] | None) -> SymbolFacts:
    """Return the facts with the time and the counts of the last reply that had alerts."""
    fetched_at, received, foreign, rejected = answer or (None, 0, 0, 0)
    return replace(
        facts,
        alerts_fetched_at=parse_time(fetched_at) if fetched_at else None,
        received=received,
        foreign=foreign,
        rejected=rejected,
    )


def market_of(stored: Mapping[str, SymbolFacts]) -> Mapping[str, object]:
    """Return the facts about the whole market by kind.

    If a kind describes sectors, its value maps each sector's name to the facts about that sector.
    """
    by_kind = dict(stored[NO_SYMBOL].known)
    for sector in SOURCE_SECTORS.values():
        for kind, value in stored[sector].known.items():
            by_sector: dict[str, object] = by_kind.setdefault(kind, {})  # type: ignore[assignment]
            by_sector[sector] = value
    return by_kind


LAST_HEARD = """SELECT asked.value ->> 0, asked.value ->> 1, (
    SELECT max(at) FROM intakes WHERE endpoint = asked.value ->> 0 AND symbol = asked.value ->> 1
    AND at BETWEEN asked.value ->> 2 AND ?2) FROM json_each(?1) AS asked"""
Heard = dict[tuple[str, str], str]
"""The times of replies by kind and symbol, as far as they were looked up."""


def without_old(
    database: sqlite3.Connection, by_symbol: Mapping[str, SymbolFacts], now: datetime, heard: Heard
) -> Mapping[str, SymbolFacts]:
    """Return the facts by symbol, without outdated ones: a kind of facts is left out if its last reply is too old for
    that kind.

    Alerts always stay, because whoever reads an alert checks its age. `heard` caches when the last replies came, so
    that replies still recent enough aren't looked up again.
    """
    until, old = time_text(now), dict[str, set[str]]()
    subjects = [
        usable
        for usable in _oldest_usable(by_symbol.values(), now)
        if not usable[2] <= heard.get(usable[:2], "") <= until
    ]
    for kind, symbol, at in database.execute(LAST_HEARD, (json.dumps(subjects), until)) if subjects else ():
        if at is None:
            old.setdefault(symbol, set()).add(kind)
        else:
            heard[kind, symbol] = at
    return {**by_symbol, **{symbol: _without(by_symbol[symbol], kinds) for symbol, kinds in old.items()}}


def _oldest_usable(all_facts: Iterable[SymbolFacts], now: datetime) -> Iterable[tuple[str, str, str]]:
    since: dict[str, str | None] = {}
    for facts in all_facts:
        for name in facts.known:
            if name not in since:
                limit_s = None if name == FLOW_ALERTS else kind_of(name).max_age_s
                since[name] = None if limit_s is None else time_text(now - timedelta(seconds=limit_s))
            if (start := since[name]) is not None:
                yield name, facts.symbol, start


def _without(facts: SymbolFacts, kinds: set[str]) -> SymbolFacts:
    return replace(facts, known={name: value for name, value in facts.known.items() if name not in kinds})
