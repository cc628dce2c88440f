"""Keep the facts of one session as they were known at any time: decoded once, compact, for the process's lifetime."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, TypeVar

from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.text.codec import unpack
from tradebot.model.flow import (
    DarkPoolPrint,
    Endpoint,
    Fact,
    FlowAlert,
    GreekExposure,
    IvRank,
    LeanFact,
    OiChange,
    SessionGex,
    SignedOiChange,
    SignedPrint,
    TideTick,
)
from tradebot.model.record import SymbolFacts
from tradebot.signals import condense

KINDS: dict[Endpoint, type[Fact]] = {
    Endpoint.FLOW_ALERTS: FlowAlert,
    Endpoint.DARK_POOL: DarkPoolPrint,
    Endpoint.MARKET_TIDE: TideTick,
    Endpoint.GREEK_EXPOSURE: GreekExposure,
    Endpoint.IV_RANK: IvRank,
    Endpoint.OI_CHANGE: OiChange,
}
LONGEST_PAST = timedelta(days=400)
F = TypeVar("F", FlowAlert, SignedPrint, TideTick, SessionGex, IvRank, SignedOiChange)

# All facts of one answer became known at the same time, so each time is parsed only once.
_known_at = lru_cache(maxsize=1024)(parse_time)


class Version(NamedTuple):
    """One version of a fact, when it became known, and the version before it."""

    known_at: datetime
    fact: LeanFact
    before: "Version | None"


class KnownFacts:
    """What is known about some symbols for one session: its events, and the dated facts up to it."""

    def __init__(self, session: date, symbols: Sequence[str]) -> None:
        self.session = session
        self.symbols = frozenset(symbols)
        self._cursor = 0
        self._versions: dict[tuple[Endpoint, str], dict[str, Version]] = defaultdict(dict)
        self._newest: dict[str, datetime] = {}
        self._condensed: dict[str, SymbolFacts] = {}

    def read(self, database: sqlite3.Connection) -> None:
        """Read the rows stored since the last call."""
        rows = database.execute(
            "SELECT sequence, endpoint, symbol, id, known_at, body FROM facts"
            " WHERE endpoint IN ('flow_alerts', 'dark_pool', 'market_tide') AND session = ?1"
            " AND sequence > ?2 AND symbol IN (SELECT value FROM json_each(?3))"
            " UNION ALL"
            " SELECT sequence, endpoint, symbol, id, known_at, body FROM facts"
            " WHERE endpoint IN ('greek_exposure', 'iv_rank', 'oi_change')"
            " AND session BETWEEN ?4 AND ?1 AND sequence > ?2"
            " AND symbol IN (SELECT value FROM json_each(?3)) ORDER BY sequence",
            (
                self.session.isoformat(),
                self._cursor,
                json.dumps(sorted(self.symbols)),
                (self.session - LONGEST_PAST).isoformat(),
            ),
        ).fetchall()
        bodies = json.loads(f"[{','.join(row[-1] for row in rows)}]")
        for (self._cursor, endpoint, symbol, identity, known_at, _), body in zip(rows, bodies, strict=True):
            place = Endpoint(endpoint)
            versions = self._versions[place, symbol]
            fact, at = condense.lean(unpack(KINDS[place], body)), _known_at(known_at)
            versions[identity] = Version(at, fact, versions.get(identity))
            self._newest[symbol] = max(at, self._newest.get(symbol, at))
            self._condensed.pop(symbol, None)

    def symbol_facts(self, symbol: str, now: datetime) -> SymbolFacts:
        """Return what was known about one symbol at `now`; it is condensed again only if that has changed."""
        newest = self._newest.get(symbol)
        everything = newest is None or newest <= now
        if everything and symbol in self._condensed:
            return self._condensed[symbol]
        facts = condense.symbol_facts(
            symbol,
            alerts=self.of(Endpoint.FLOW_ALERTS, FlowAlert, symbol, now),
            prints=self.of(Endpoint.DARK_POOL, SignedPrint, symbol, now),
            exposures=self.of(Endpoint.GREEK_EXPOSURE, SessionGex, symbol, now),
            ranks=self.of(Endpoint.IV_RANK, IvRank, symbol, now),
            oi_changes=self.of(Endpoint.OI_CHANGE, SignedOiChange, symbol, now),
        )
        if everything:
            self._condensed[symbol] = facts
        return facts

    def of(self, endpoint: Endpoint, kind: type[F], symbol: str, now: datetime) -> list[F]:
        """Return the facts known at `now`, each in the version known at that time."""
        known = []
        for newest in self._versions[endpoint, symbol].values():
            version: Version | None = newest
            while version and version.known_at > now:
                version = version.before
            if version and isinstance(version.fact, kind):
                known.append(version.fact)
        return known
