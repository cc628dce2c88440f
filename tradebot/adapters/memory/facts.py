"""Store facts and decisions in memory."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from tradebot.adapters.facts.facts_as_of import MARKET_WIDE, NO_SYMBOL, market_of
from tradebot.adapters.memory.recorder import Recorder, RecordLevel
from tradebot.model.fact_kind import AnyKind, CheckedReply, Fact
from tradebot.model.flow import FLOW_ALERTS, Intake
from tradebot.model.record import SymbolFacts
from tradebot.model.registry import Coin, Discovery
from tradebot.model.struct_tools import replace
from tradebot.signals.facts_cache import SessionFacts
from tradebot.signals.kinds import kind_of, kinds

Asked = tuple[str, str | None]
"""The subject of a reply: a kind, and a symbol unless the kind is market-wide."""


class _Row(NamedTuple):
    """One version of a fact; `number` gives the order of arrival."""

    number: int
    known_at: datetime
    fact: Fact


def _at(intake: Intake) -> datetime:
    return intake.at


class FlowFacts:
    """The flow source's replies and the facts in them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], dict[date, list[_Row]]] = defaultdict(partial(defaultdict, list))
        self._newest_facts: dict[tuple[str, str], dict[str, Fact]] = defaultdict(dict)
        self._versions = 0
        self._intakes: list[Intake] = []
        self._of: dict[Asked, list[Intake]] = defaultdict(list)
        self._with_findings: list[datetime] = []
        self._of_session = SessionFacts(date.min)

    def store(self, intake: Intake) -> int:
        counts = _without_facts(intake)
        _put(self._intakes, counts)
        _put(self._of[intake.endpoint, intake.symbol], counts)
        if intake.findings:
            insort(self._with_findings, intake.at)
        kind, symbol = kind_of(intake.endpoint), intake.symbol or NO_SYMBOL
        newest = self._newest_facts[kind.name, symbol]
        new = [f for f in intake.facts if f.id not in newest or (kind.changes and newest[f.id] != f)]
        for fact in new:
            self._store_one(kind, symbol, fact, intake.at)
        return len(new)

    def load(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        return {symbol: self._with_last_reply(self._known_of(symbol, session, now), now) for symbol in symbols}

    def last_answers(self, symbols: Sequence[str], now: datetime) -> Mapping[str, SymbolFacts]:
        return {symbol: self._with_last_reply(SymbolFacts(symbol), now) for symbol in symbols}

    def market(self, session: date, now: datetime) -> Mapping[str, object]:
        return market_of({owner: self._known_of(owner, session, now) for owner in MARKET_WIDE})

    def suspicious_replies(self, since: datetime, now: datetime) -> Sequence[CheckedReply]:
        index = bisect_right(self._with_findings, now)
        if not index or self._with_findings[index - 1] < since:
            return ()
        newest = {
            (intake.endpoint, intake.symbol): intake
            for intake in self._intakes[bisect_left(self._intakes, since, key=_at) : self._until(now)]
            if intake.received and intake.nulls is not None
        }
        return tuple(
            CheckedReply(reply.endpoint, reply.symbol, reply.at, reply.received, reply.findings, reply.nulls or {})
            for reply in newest.values()
        )

    def last_fetch(self, endpoint: str, symbol: str | None) -> datetime | None:
        replies = self._of.get((endpoint, symbol))
        return replies[-1].at if replies else None

    def stored(self, kind: str, spans: Mapping[str, tuple[date, date]], now: datetime) -> Mapping[str, Sequence[Fact]]:
        fields = {}
        for symbol, (first, last) in spans.items():
            days = self._rows.get((kind, symbol), {})
            rows = sorted(row for day, of_day in days.items() if first <= day <= last for row in of_day)
            newest = {row.fact.id: row.fact for row in rows if row.known_at <= now}
            if newest:
                fields[symbol] = list(newest.values())
        return fields

    def intakes(self, since: datetime) -> Sequence[Intake]:
        return tuple(self._intakes[bisect_left(self._intakes, since, key=_at) :])

    def _until(self, now: datetime) -> int:
        return bisect_right(self._intakes, now, key=_at)

    def _store_one(self, kind: AnyKind, symbol: str, fact: Fact, at: datetime) -> None:
        self._newest_facts[kind.name, symbol][fact.id] = fact
        day = kind.day(fact)
        self._versions += 1
        self._rows[kind.name, symbol][day].append(_Row(self._versions, at, fact))
        if _counts(kind, day, self._of_session.session):
            self._of_session.add(kind, symbol, fact.id, at, fact)

    def _known_of(self, symbol: str, session: date, now: datetime) -> SymbolFacts:
        """Return the facts known about one symbol, without kinds whose last reply is too old."""
        if self._of_session.session != session:
            self._of_session = SessionFacts(session)
            for kind, owner, row in self._rows_of(session):
                self._of_session.add(kind, owner, row.fact.id, row.known_at, row.fact)
        facts = self._of_session.symbol_facts(symbol, now)
        old = {name for name in facts.known if self._is_old(kind_of(name), symbol or None, now)}
        return replace(facts, known={n: v for n, v in facts.known.items() if n not in old}) if old else facts

    def _rows_of(self, session: date) -> Iterator[tuple[AnyKind, str, _Row]]:
        for (name, symbol), days in self._rows.items():
            kind = kinds()[name]
            for row in sorted(row for day, of_day in days.items() if _counts(kind, day, session) for row in of_day):
                yield kind, symbol, row

    def _is_old(self, kind: AnyKind, symbol: str | None, now: datetime) -> bool:
        """Return True if the last reply is too old. Alerts never are, because readers judge their age themselves."""
        if kind.max_age_s is None or kind.name == FLOW_ALERTS:
            return False
        last = self._last(kind.name, symbol, now)
        return last is None or last.at < now - timedelta(seconds=kind.max_age_s)

    def _with_last_reply(self, facts: SymbolFacts, now: datetime) -> SymbolFacts:
        """Return facts with the time and the counts of the last reply with alerts."""
        last = self._last(FLOW_ALERTS, facts.symbol, now)
        if last is None:
            return facts
        return replace(
            facts,
            alerts_fetched_at=last.at,
            received=last.received,
            foreign=last.foreign,
            rejected=len(last.rejected),
        )

    def _last(self, endpoint: str, symbol: str | None, now: datetime) -> Intake | None:
        replies = self._of.get((endpoint, symbol), [])
        # The newest reply is nearly always the right one.
        index = len(replies) if replies and replies[-1].at <= now else bisect_right(replies, now, key=_at)
        return replies[index - 1] if index else None


def _put(replies: list[Intake], intake: Intake) -> None:
    """Insert a reply in order of time; nearly all arrive in that order."""
    if replies and intake.at < replies[-1].at:
        insort(replies, intake, key=_at)
    else:
        replies.append(intake)


def _without_facts(intake: Intake) -> Intake:
    """Return the counts of a reply."""
    return replace(intake, facts=())


def _counts(kind: AnyKind, day: date, session: date) -> bool:
    """Return True if a fact of this day counts in a session."""
    return 0 <= (session - day).days <= kind.past_days


class MemoryFacts(FlowFacts, Recorder):
    """Stores facts completely, and the decisions of passes at the chosen level of detail."""

    def __init__(self, level: RecordLevel = RecordLevel.FULL) -> None:
        FlowFacts.__init__(self)
        Recorder.__init__(self, level)
        self._coins: dict[str, Coin] = {}
        self._discovery = Discovery()

    def registry(self) -> Mapping[str, Coin]:
        return dict(self._coins)

    def put_registry(self, coins: Iterable[Coin]) -> None:
        self._coins.update((coin.symbol, coin) for coin in coins)

    def discovery(self) -> Discovery:
        return self._discovery

    def put_discovery(self, discovery: Discovery) -> None:
        self._discovery = discovery
