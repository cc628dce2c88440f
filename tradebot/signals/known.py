"""Facts of one session as they were known at any time, summed up by symbol and kind, and only again if they changed."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, NamedTuple

from tradebot.model.kind import AnyKind
from tradebot.model.record import SymbolFacts
from tradebot.signals.kinds import kinds


class Version(NamedTuple):
    """One version of a fact, as decisions read it; when it became known, and the version before it."""

    known_at: datetime
    fact: Any
    before: "Version | None"


class SessionFacts:
    """What is known for one session: its events, and the facts of earlier dates that still count."""

    def __init__(self, session: date) -> None:
        self.session = session
        self._versions: dict[str, dict[str, dict[str, Version]]] = defaultdict(dict)
        self._newest: dict[str, datetime] = {}
        self._condensed: dict[str, SymbolFacts] = {}

    def add(self, kind: AnyKind, symbol: str, identity: str, known_at: datetime, fact: Any) -> None:
        """Add a fact, or a new version of one, of a day that counts in this session."""
        versions = self._versions[symbol].setdefault(kind.name, {})
        versions[identity] = Version(known_at, kind.lean(fact), versions.get(identity))
        self._newest[symbol] = max(known_at, self._newest.get(symbol, known_at))
        self._condensed.pop(symbol, None)

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
