"""Cache the facts of one session as of any time, summarized by symbol and kind; recompute them only if they changed."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from tradebot.model.fact_kind import AnyKind
from tradebot.model.record import SymbolFacts
from tradebot.signals.kinds import kinds

FIRST = datetime.min.replace(tzinfo=UTC)
NEVER = FIRST, FIRST, SymbolFacts("")
"""The result before any time was queried."""


class FactVersion(NamedTuple):
    """One version of a fact, as decisions read it; when it became known, and the previous version."""

    known_at: datetime
    fact: Any
    before: "FactVersion | None"


class SessionFacts:
    """The known facts of one session: those of its own date, and those of earlier dates that still count."""

    def __init__(self, session: date) -> None:
        self.session = session
        self._versions: dict[str, dict[str, dict[str, FactVersion]]] = defaultdict(dict)
        self._newest: dict[str, datetime] = {}
        self._condensed: dict[str, SymbolFacts] = {}
        self._values: dict[tuple[str, str], object] = {}
        self._times: dict[tuple[str, str], list[datetime]] = {}
        self._earlier: dict[tuple[str, str], tuple[int, object]] = {}
        self._lately: dict[str, tuple[datetime, datetime, SymbolFacts]] = {}

    def add(self, kind: AnyKind, symbol: str, identity: str, known_at: datetime, fact: Any) -> None:
        """Add a fact, or a new version of one, for a day that counts in this session."""
        versions = self._versions[symbol].setdefault(kind.name, {})
        lean = kind.at_arrival(kind.lean(fact), known_at)
        versions[identity] = FactVersion(known_at, lean, versions.get(identity))
        self._newest[symbol] = max(known_at, self._newest.get(symbol, known_at))
        self._condensed.pop(symbol, None)
        self._values.pop((symbol, kind.name), None)
        self._times.pop((symbol, kind.name), None)
        self._earlier.pop((symbol, kind.name), None)
        self._lately.pop(symbol, None)

    def symbol_facts(self, symbol: str, now: datetime) -> SymbolFacts:
        """Return the facts known about one symbol at `now`; they are summarized again only if they have changed."""
        newest = self._newest.get(symbol)
        if newest is not None and newest > now:
            since, until, facts = self._lately.get(symbol, NEVER)
            if not since <= now < until:
                facts = SymbolFacts(symbol, dict(self._as_of(symbol, now)))
                self._lately[symbol] = *self._unchanged_span(symbol, now), facts
            return facts
        if symbol not in self._condensed:
            self._condensed[symbol] = SymbolFacts(symbol, dict(self._newest_of(symbol)))
        return self._condensed[symbol]

    def _newest_of(self, symbol: str) -> Iterator[tuple[str, object]]:
        """Yield the summary of all newest versions, by kind; only kinds that have changed are summarized again."""
        for name, versions in self._versions.get(symbol, {}).items():
            if (symbol, name) not in self._values:
                facts = [version.fact for version in versions.values()]
                self._values[symbol, name] = kinds()[name].condense(facts)
            yield name, self._values[symbol, name]

    def _as_of(self, symbol: str, now: datetime) -> Iterator[tuple[str, object]]:
        for name, versions in self._versions.get(symbol, {}).items():
            key = symbol, name
            if key not in self._times:
                self._times[key] = sorted(_times_of(versions.values()))
            # Between two replies of the source, the known facts don't change.
            index = bisect_right(self._times[key], now)
            if index and self._earlier.get(key, (0, None))[0] != index:
                facts = [version.fact for newest in versions.values() if (version := _version_at(newest, now))]
                self._earlier[key] = index, kinds()[name].condense(facts)
            if index:
                yield name, self._earlier[key][1]

    def _unchanged_span(self, symbol: str, now: datetime) -> tuple[datetime, datetime]:
        """Return the span of time around `now` in which the known facts of a symbol don't change."""
        times = [self._times[symbol, name] for name in self._versions[symbol]]
        places = [bisect_right(time, now) for time in times]
        since = max((moments[index - 1] for moments, index in zip(times, places, strict=True) if index), default=FIRST)
        return since, min(moments[index] for moments, index in zip(times, places, strict=True) if index < len(moments))


def _times_of(versions: Iterable[FactVersion]) -> Iterator[datetime]:
    for newest in versions:
        version: FactVersion | None = newest
        while version:
            yield version.known_at
            version = version.before


def _version_at(newest: FactVersion, now: datetime) -> FactVersion | None:
    version: FactVersion | None = newest
    while version and version.known_at > now:
        version = version.before
    return version
