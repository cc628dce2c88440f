"""Keep the facts of one session as they were known at any time: decoded once, compact, for the process's lifetime."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.text.codec import unpack
from tradebot.model.kind import AnyKind
from tradebot.model.record import SymbolFacts
from tradebot.signals.kinds import kinds

# All facts of one answer became known at the same time, so each time is parsed only once.
_known_at = lru_cache(maxsize=1024)(parse_time)


class Version(NamedTuple):
    """One version of a fact, as decisions read it; when it became known, and the version before it."""

    known_at: datetime
    fact: Any
    before: "Version | None"


class KnownFacts:
    """What is known about some symbols for one session: its events, and the facts of earlier dates that still count."""

    def __init__(self, session: date, symbols: Sequence[str]) -> None:
        self.session = session
        self.symbols = frozenset(symbols)
        self._cursors: dict[str, int] = {}
        self._versions: dict[str, dict[str, dict[str, Version]]] = defaultdict(dict)
        self._newest: dict[str, datetime] = {}
        self._condensed: dict[str, SymbolFacts] = {}

    def read(self, database: sqlite3.Connection) -> None:
        """Read the rows stored since the last call."""
        symbols = json.dumps(sorted(self.symbols))
        for kind in kinds().values():
            self._read(kind, database, symbols)

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
            versions = self._versions[symbol].setdefault(kind.name, {})
            fact, at = kind.lean(unpack(kind.fact, body)), _known_at(known_at)
            versions[identity] = Version(at, fact, versions.get(identity))
            self._newest[symbol] = max(at, self._newest.get(symbol, at))
            self._condensed.pop(symbol, None)
            self._cursors[kind.name] = sequence

    def symbol_facts(self, symbol: str, now: datetime) -> SymbolFacts:
        """Return what was known about one symbol at `now`; it is condensed again only if that has changed."""
        newest = self._newest.get(symbol)
        everything = newest is None or newest <= now
        if everything and symbol in self._condensed:
            return self._condensed[symbol]
        facts = SymbolFacts(symbol, dict(self._condense(symbol, now)))
        if everything:
            self._condensed[symbol] = facts
        return facts

    def _condense(self, symbol: str, now: datetime) -> Iterator[tuple[str, object]]:
        for name, versions in self._versions.get(symbol, {}).items():
            known = [version.fact for newest in versions.values() if (version := _version_at(newest, now))]
            if known:
                yield name, kinds()[name].condense(known)


def _version_at(newest: Version, now: datetime) -> Version | None:
    """Return the version of a fact that was known at `now`, or None if there was none yet."""
    version: Version | None = newest
    while version and version.known_at > now:
        version = version.before
    return version


def answered(facts: SymbolFacts, answer: Sequence[Any] | None) -> SymbolFacts:
    """Return facts with the time and the counts of the last reply with alerts."""
    fetched_at, received, foreign, rejected = answer or (None, 0, 0, 0)
    return replace(
        facts,
        alerts_fetched_at=parse_time(fetched_at) if fetched_at else None,
        received=received,
        foreign=foreign,
        rejected=rejected,
    )
