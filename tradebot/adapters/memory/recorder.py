"""Record passes in memory: everything, the parts that led to orders, or only what later passes read.

At every level, each query of the core has the same result, and each session's last account state is stored for the
report.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, TypeVar

from tradebot.adapters.facts.history import MOST_SLOTS, SAME_PASS
from tradebot.model.event import EventKind, SystemEvent
from tradebot.model.intent import Intent
from tradebot.model.reasons import Reason
from tradebot.model.record import RESUMABLE, CycleRecord, Job, Scored, SessionEnd, session_end
from tradebot.model.struct_tools import replace

T = TypeVar("T")
SCORING = frozenset({Job.SCORE, Job.TRADE_ONCE})
KEPT_SESSIONS = 3
"""How many sessions' passes can be read back below FULL."""
KEPT_SLOTS = 3
"""How many of each strategy's slots have their last pass with scored candidates stored."""
COMPARED = 2
"""How many passes of a job are stored regardless of age, because each pass is compared with the previous one."""


class RecordLevel(StrEnum):
    """How much of each pass is stored.

    NONE: only what later passes need. COUNTS: also the number of candidates by refusal reason, and the candidates that
    led to orders. FULL: every candidate with every decision.
    """

    NONE = "none"
    COUNTS = "counts"
    FULL = "full"


class _Pass(NamedTuple):
    """A recorded pass, with and without its candidates."""

    cycle: CycleRecord
    head: CycleRecord

    @property
    def at(self) -> datetime:
        return self.cycle.at


class _End(NamedTuple):
    """A session's last pass with the account's equity, and its last one with prices."""

    seen: CycleRecord | None = None
    marked: CycleRecord | None = None


def _at(cycle: _Pass) -> datetime:
    return cycle.cycle.at


def _time(cycle: CycleRecord) -> datetime:
    return cycle.at


class Recorder:
    """The passes of one run, oldest first."""

    def __init__(self, level: RecordLevel = RecordLevel.FULL) -> None:
        self.level = level
        self._known: dict[tuple[str, str], _Pass] = {}
        self._all: list[_Pass] = []
        self._jobs: dict[str, list[_Pass]] = defaultdict(list)
        self._marked: list[CycleRecord] = []
        self._scores = SlotScores()
        self._ends: dict[date, _End] = {}
        self._own_slots: dict[str, dict[tuple[date, str], tuple[str, str]]] = defaultdict(dict)
        self._counts: dict[date, Counter[Reason | None]] = defaultdict(Counter)
        self._passed_over: Counter[tuple[str, Reason]] = Counter()
        self._sent: dict[tuple[str, str], CycleRecord] = {}
        self._recent: list[date] = []

    def record(self, cycle: CycleRecord) -> None:
        self._forget_same(cycle)
        head = replace(cycle, candidates=()) if cycle.candidates else cycle
        stored = _Pass(cycle, head)
        self._known[cycle.job, cycle.id] = stored
        insort(self._all, stored, key=_at)
        insort(self._jobs[cycle.job], stored, key=_at)
        if cycle.marks and cycle.job is Job.EVALUATE_EXITS:
            insort(self._marked, head, key=_time)
        if cycle.job in SCORING and cycle.job_decision is None:
            self._scores.add(cycle)
        self._count(cycle, 1)
        self._keep_sent(cycle)
        self._note_slots(cycle)
        self._note_end(head)
        if cycle.session not in self._recent:
            self._begin(cycle)

    def unfinished(self, cycle: CycleRecord) -> bool:
        stored = self._known.get((cycle.job, cycle.id))
        end = stored.cycle.job_decision if stored else None
        return stored is None or (end is not None and end.reason in RESUMABLE)

    def cycles(self, *, job: str, since: datetime | None = None, last: int | None = None) -> Sequence[CycleRecord]:
        passes = self._jobs.get(job, [])
        first = bisect_left(passes, since, key=_at) if since else 0
        first = first if last is None else max(first, len(passes) - last)
        return tuple(cycle.cycle for cycle in passes[first:])

    def last_passes(self, job: str, last: int) -> Sequence[CycleRecord]:
        return tuple(stored.head for stored in self._jobs.get(job, [])[-last:])

    def before(self, job: str, identity: str, symbols: Collection[str]) -> CycleRecord | None:
        cycle = next(
            (stored.cycle for stored in reversed(self._jobs.get(job, [])) if stored.cycle.id != identity), None
        )
        return cycle and cycle.reasons(record for record in cycle.candidates if record.candidate.symbol in symbols)

    def passes(self, since: datetime) -> Sequence[CycleRecord]:
        return tuple(stored.head for stored in self._all[bisect_left(self._all, since, key=_at) :])

    def scores(
        self, pairs: Collection[tuple[str, str]], since: datetime, now: datetime
    ) -> Mapping[tuple[str, str], Sequence[Scored]]:
        return self._scores.of(pairs, since, now)

    def marks(self, since: datetime, until: datetime) -> Mapping[str, Decimal]:
        index = bisect_right(self._marked, until, key=_time)
        last = self._marked[index - 1] if index else None
        return {mark.symbol: mark.price for mark in last.marks} if last and last.at >= since else {}

    def session_ends(self, since: date, until: date) -> Sequence[SessionEnd]:
        """Return the account's state at the end of each session from `since` to `until`, both included."""
        ends = (end for day, end in sorted(self._ends.items()) if since <= day <= until)
        return tuple(session_end(end.seen, end.marked) for end in ends if end.seen)

    def ended_for(self) -> Mapping[date, Mapping[Reason | None, int]]:
        """Return, by session, how many entry candidates ended for each reason; the key None counts the candidates that
        were sent.
        """
        return {day: dict(+counts) for day, counts in sorted(self._counts.items())}

    def passed_over(self) -> Mapping[tuple[str, Reason], int]:
        """Return how many entry passes skipped each strategy, or one of its symbols, for each reason."""
        return dict(+self._passed_over)

    def to_save(self) -> Iterator[CycleRecord]:
        """Yield the passes of a saved run, oldest first.

        At level FULL, these are all passes. At the other levels, each session's last account state is saved. COUNTS
        also saves the passes that sent orders, with the candidates that led to these orders.
        """
        if self.level is RecordLevel.FULL:
            yield from (stored.cycle for stored in self._all)
            return
        ends = [cycle for end in self._ends.values() for cycle in end if cycle]
        cycles = {(str(cycle.job), cycle.id): cycle for cycle in (*ends, *self._sent.values())}
        yield from sorted(cycles.values(), key=_time)

    def _forget_same(self, cycle: CycleRecord) -> None:
        """Forget the record that this pass replaces, if there is one."""
        before = self._known.pop((cycle.job, cycle.id), None)
        if before is None:
            return
        _remove(self._all, before, _at)
        _remove(self._jobs[cycle.job], before, _at)
        if before.head.marks and cycle.job is Job.EVALUATE_EXITS:
            _remove(self._marked, before.head, _time)
        self._forget_scores(before.cycle)
        self._count(before.cycle, -1)
        if any(before.head is end for end in self._ends.get(before.cycle.session, ())):
            del self._ends[before.cycle.session]
            for stored in self._all[bisect_left(self._all, before.at - SAME_PASS, key=_at) :]:
                if stored.cycle.session == before.cycle.session:
                    self._note_end(stored.head)

    def _forget_scores(self, cycle: CycleRecord) -> None:
        """Forget a pass's scores; another pass of its slot may count instead."""
        if cycle.job not in SCORING or cycle.job_decision is not None:
            return
        self._scores.remove(cycle)
        for job in SCORING:
            for stored in self._jobs[job][bisect_left(self._jobs[job], cycle.at - SAME_PASS, key=_at) :]:
                same = (stored.cycle.session, stored.cycle.slot) == (cycle.session, cycle.slot)
                if same and stored.cycle.job_decision is None:
                    self._scores.add(stored.cycle)

    def _count(self, cycle: CycleRecord, sign: int) -> None:
        if self.level is RecordLevel.NONE or cycle.job is not Job.TRADE_ONCE:
            return
        for record in (record for record in cycle.candidates if not record.is_cancel):
            end = record.terminal
            self._counts[cycle.session][end.reason if end else None] += sign
        for strategy, reason in {(refusal.strategy, refusal.decision.reason) for refusal in cycle.refused_strategies}:
            if reason is not None:
                self._passed_over[strategy, reason] += sign

    def _keep_sent(self, cycle: CycleRecord) -> None:
        """Store the candidates that led to orders, if not all are stored anyway."""
        if self.level is not RecordLevel.COUNTS:
            return
        self._sent.pop((cycle.job, cycle.id), None)
        sent = tuple(record for record in cycle.candidates if record.client_order_id)
        if sent:
            self._sent[cycle.job, cycle.id] = replace(cycle, candidates=sent)

    def _note_slots(self, cycle: CycleRecord) -> None:
        """Store the last entry pass that scored the candidates of each strategy slot."""
        for candidate in (record.candidate for record in cycle.candidates):
            if candidate.slot and candidate.slot_session and cycle.job is Job.TRADE_ONCE:
                of_strategy = self._own_slots[candidate.strategy]
                of_strategy[candidate.slot_session, candidate.slot] = cycle.job, cycle.id
                for slot in list(of_strategy)[:-KEPT_SLOTS]:
                    del of_strategy[slot]

    def _note_end(self, head: CycleRecord) -> None:
        before = after = self._ends.get(head.session, _End())
        if head.equity is not None and not (before.seen and before.seen.at > head.at):
            after = after._replace(seen=head)
        if head.marks and not (before.marked and before.marked.at > head.at):
            after = after._replace(marked=head)
        if after is not before:
            self._ends[head.session] = after

    def _begin(self, cycle: CycleRecord) -> None:
        """Begin a session: forget passes that nothing will read back."""
        self._recent = [*self._recent[-KEPT_SESSIONS + 1 :], cycle.session]
        self._scores.forget(cycle.at)
        if self.level is RecordLevel.FULL:
            return
        slots = {key for of_strategy in self._own_slots.values() for key in of_strategy.values()}
        newest = {id(stored) for of_job in self._jobs.values() for stored in of_job[-COMPARED:]}
        sessions = frozenset(self._recent)
        self._all = [
            stored
            for stored in self._all
            if stored.cycle.session in sessions or id(stored) in newest or (stored.cycle.job, stored.cycle.id) in slots
        ]
        stored = {id(stored) for stored in self._all}
        self._jobs = defaultdict(list, {j: [p for p in passes if id(p) in stored] for j, passes in self._jobs.items()})
        self._known = {(stored.cycle.job, stored.cycle.id): stored for stored in self._all}
        self._marked = [job.head for job in self._jobs[Job.EVALUATE_EXITS] if job.head.marks]


def _remove(items: list[T], item: T, time: Callable[[T], datetime]) -> None:
    """Remove one object, not an equal one, from a list sorted by time."""
    first = bisect_left(items, time(item), key=time)
    del items[next(index for index in range(first, len(items)) if items[index] is item)]


KEPT = timedelta(days=10)
"""How long scores are stored: longer than any pass looks back."""


class _Slot(NamedTuple):
    """The pass of one slot: its id, its time, and its scores by strategy and symbol."""

    id: str
    at: datetime
    scores: dict[tuple[str, str], list[float]]


class SlotScores:
    """The scores of passes. If a slot has several passes, only the last one that wasn't refused counts."""

    def __init__(self) -> None:
        self._slots: dict[tuple[date, str], _Slot] = {}
        self._times: list[datetime] = []
        self._scores: dict[tuple[str, str], list[Scored]] = {}

    def add(self, cycle: CycleRecord) -> None:
        """Add a pass's scores, replacing the scores of earlier passes of its slot."""
        key = cycle.session, cycle.slot
        before = self._slots.get(key)
        if before is not None and before.at > cycle.at:
            return
        self._drop(key)
        scores: dict[tuple[str, str], list[float]] = {}
        for candidate in (record.candidate for record in cycle.candidates):
            if candidate.score is not None:
                scores.setdefault((candidate.strategy, candidate.symbol), []).append(candidate.score)
        self._slots[key] = _Slot(cycle.id, cycle.at, scores)
        insort(self._times, cycle.at)
        for symbol, symbol_scores in scores.items():
            for score in symbol_scores:
                insort(self._scores.setdefault(symbol, []), Scored(cycle.at, score))

    def remove(self, cycle: CycleRecord) -> None:
        """Remove a pass's scores, if they are still the scores of its slot."""
        slot = self._slots.get((cycle.session, cycle.slot))
        if slot is not None and (slot.id, slot.at) == (cycle.id, cycle.at):
            self._drop((cycle.session, cycle.slot))

    def _drop(self, key: tuple[date, str]) -> None:
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        self._times.remove(slot.at)
        for symbol, scores in slot.scores.items():
            for score in scores:
                self._scores[symbol].remove(Scored(slot.at, score))

    def of(
        self, pairs: Collection[tuple[str, str]], since: datetime, now: datetime
    ) -> Mapping[tuple[str, str], Sequence[Scored]]:
        """Return the scores in a period for each pair of strategy and symbol, oldest first; pairs without scores are
        left out.
        """
        newest = bisect_right(self._times, now)
        since = max(since, self._times[newest - MOST_SLOTS]) if newest > MOST_SLOTS else since
        by_key = {}
        for key in pairs:
            scores = self._scores.get(key, [])
            first, last = bisect_left(scores, since, key=_score_at), bisect_right(scores, now, key=_score_at)
            if first < last:
                by_key[key] = scores[first:last]
        return by_key

    def forget(self, now: datetime) -> None:
        """Drop the scores that are too old to be queried."""
        self._slots = {key: slot for key, slot in self._slots.items() if slot.at >= now - KEPT}
        self._times = [at for at in self._times if at >= now - KEPT]
        self._scores = {
            key: stored for key, scores in self._scores.items() if (stored := [s for s in scores if s.at >= now - KEPT])
        }


def _score_at(scored: Scored) -> datetime:
    return scored.at


class MemoryEvents:
    """Stores operational events in a list, except those of the kinds in `besides`."""

    def __init__(self, besides: Collection[EventKind] = ()) -> None:
        self.emitted: list[SystemEvent] = []
        self._besides = frozenset((kind.subsystem, kind.event_type) for kind in besides)

    def emit(self, event: SystemEvent) -> None:
        if (event.subsystem, event.event_type) not in self._besides:
            self.emitted.append(event)


class MemorySendLock:
    """Checks that orders are sent one at a time. No other process competes for the lock."""

    def __init__(self) -> None:
        self.held = False

    @contextmanager
    def hold(self, intent: Intent) -> Iterator[None]:
        assert not self.held, "one order at a time"
        self.held = True
        try:
            yield
        finally:
            self.held = False
