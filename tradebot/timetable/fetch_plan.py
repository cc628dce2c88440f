"""Plan a session of fetching flow before the first call: which kinds fit the source's limits, and which are dropped.

Kinds that aren't core are reduced first, beginning with the last one in the order of fetching. Core kinds follow, and
alerts come last. In this order kinds are fetched less often, as long as their replies stay within their freshness
limits. If that isn't enough, they are dropped in the same order. Whatever then fits again is restored, most important
first. If somebody else uses up calls during the day, the rest of the session is planned again. A configuration in which
not even alerts stay fresh is refused.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from math import inf
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.fact_kind import AnyKind, Phase, ReplyScope
from tradebot.model.flow import FLOW_ALERTS, Allowance
from tradebot.model.struct_tools import replace
from tradebot.timetable.job_times import JobTimes

ONCE_S = 86_400
"""An interval longer than any session, so that a kind is fetched once."""


class FetchNeed(Struct, frozen=True):
    """A kind of facts to fetch: its calls, its interval, and the maximum age of replies (None: any age)."""

    name: str
    scope: ReplyScope
    calls: int
    interval_s: int
    core: bool = False
    max_age_s: int | None = None
    phase: Phase = Phase.ALWAYS

    @property
    def once(self) -> bool:
        """Return True if a kind is fetched only once a session: its replies change once a day, and nobody configured a
        shorter interval than a day.
        """
        return self.phase in (Phase.MORNING, Phase.EVENING) and self.interval_s >= ONCE_S

    def every_s(self, interval_s: int) -> int:
        return ONCE_S if self.once else interval_s


class SimulatedSlot(NamedTuple):
    """A slot of the timetable: seconds after the open, and seconds until the next one."""

    start_s: float
    length_s: float


class Batch(NamedTuple):
    """Calls of one kind that were last made in the same slot: `last_s` seconds after the open, or -inf if never."""

    last_s: float
    calls: int


def slots_of(times: JobTimes, session: Session, from_s: float = 0.0) -> tuple[SimulatedSlot, ...]:
    """Return the slots of a full session that are left `from_s` seconds after its open."""
    starts = [(due.start - session.open).total_seconds() for due in times.in_session(session)]
    ends = [*starts[1:], (session.close - session.open).total_seconds()]
    return tuple(SimulatedSlot(start, end - start) for start, end in zip(starts, ends, strict=True) if end > from_s)


def fetch_priority(core: bool, index: int, last_s: float) -> tuple[bool, int, float, int]:
    """Return the sort key of a call: core kinds in their order, each with the stalest calls first.

    The calls of all other kinds follow together, the stalest first.
    """
    return not core, index if core else 0, last_s, index


def calls_in(
    slots: Sequence[SimulatedSlot], intervals_s: Iterable[tuple[FetchNeed, int | None]], asked_s: Mapping[str, float]
) -> int:
    """Return how many calls these kinds take if no limit applies; None means a dropped kind."""
    return sum(
        need.calls * fetch_count(slots, need.every_s(interval_s), asked_s.get(need.name, -inf))
        for need, interval_s in intervals_s
        if interval_s is not None
    )


def fetch_count(slots: Sequence[SimulatedSlot], every_s: int, last_s: float) -> int:
    """Return how many times a kind is fetched in these slots if no limit applies."""
    count = 0
    for slot in slots:
        if slot.start_s - last_s >= every_s:
            count, last_s = count + 1, slot.start_s
    return count


class FetchSimulation:
    """Simulates fetching slot by slot, to find each kind's number of calls and the greatest age of its replies.

    `every_s` is the interval of each kind. `asked_s` is when the stalest reply of a kind came, in seconds after the
    open; it has only the kinds with a reply of this session for every symbol. `age_s` is the greatest age that a reply
    reaches before it is renewed. `complete_s` is when every symbol had its first reply, in seconds after the first
    fetch began; None if some symbols never get one. Without `per_minute`, calls have no limit.
    """

    def __init__(
        self,
        needs: Sequence[FetchNeed],
        every_s: Mapping[str, int],
        slots: Sequence[SimulatedSlot],
        per_minute: float | None,
        asked_s: Mapping[str, float],
    ) -> None:
        self._needs = needs
        self._every_s = every_s
        self._per_s = None if per_minute is None else per_minute / 60
        self._batches = {need.name: [Batch(asked_s.get(need.name, -inf), need.calls)] for need in needs if need.calls}
        self.calls = {need.name: 0 for need in needs}
        self.age_s: dict[str, float] = {}
        self.complete_s: dict[str, float | None] = {
            need.name: 0.0 if need.name in asked_s or not need.calls else None for need in needs
        }
        for slot in slots:
            self.fetch(slot, slots[0].start_s)

    def fetch(self, slot: SimulatedSlot, first_s: float) -> None:
        room = inf if self._per_s is None else slot.length_s * self._per_s
        done = 0
        for name, batch in self._due(slot.start_s):
            taken = int(min(batch.calls, max(room - done, 0)))
            done += taken
            arrival_s = slot.start_s + (done / self._per_s if self._per_s else 0.0)
            self._move(name, batch, taken, slot.start_s)
            seen_s = arrival_s if taken == batch.calls else slot.start_s + slot.length_s
            if batch.last_s > -inf:
                self.age_s[name] = max(self.age_s.get(name, 0.0), seen_s - batch.last_s)
            elif taken and all(remaining.last_s > -inf for remaining in self._batches[name]):
                self.complete_s[name] = arrival_s - first_s

    def _due(self, now_s: float) -> list[tuple[str, Batch]]:
        due = [
            (fetch_priority(need.core, index, batch.last_s), need.name, batch)
            for index, need in enumerate(self._needs)
            for batch in self._batches.get(need.name, ())
            if now_s - batch.last_s >= self._every_s[need.name]
        ]
        return [(name, batch) for _, name, batch in sorted(due)]

    def _move(self, name: str, batch: Batch, taken: int, now_s: float) -> None:
        if not taken:
            return
        self.calls[name] += taken
        batches = self._batches[name]
        batches.remove(batch)
        if taken < batch.calls:
            batches.insert(0, Batch(batch.last_s, batch.calls - taken))
        renewed = sum(other.calls for other in batches if other.last_s == now_s) + taken
        self._batches[name] = [*(other for other in batches if other.last_s != now_s), Batch(now_s, renewed)]


_MULTIPLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 39)
"""How many slots long a longer interval may be."""

Intervals = dict[str, int | None]
"""The planned interval of each kind in seconds; None for a dropped kind."""


class PlanFitter(Struct, frozen=True, dict=True):
    """Fits kinds into a session's slots, in the order of fetching.

    `per_minute` and `day` are None for a source without limits. `asked_s` has the time of each kind's stalest reply,
    for kinds with a reply for every symbol, in seconds after the open.
    """

    needs: tuple[FetchNeed, ...]
    slots: Sequence[SimulatedSlot]
    per_minute: float | None
    day: int | None
    asked_s: Mapping[str, float]

    def intervals(self) -> Intervals:
        """Return intervals that fit.

        If none do, return intervals with which the calls at least stay within the daily limit.
        """
        planned: Intervals = {need.name: need.interval_s for need in self.needs}
        if self.fits(planned):
            return planned
        last_first = self.needs[::-1]
        first_to_give_way = sorted(last_first, key=lambda need: (need.core, need.name == FLOW_ALERTS))
        others = [need for need in first_to_give_way if need.name != FLOW_ALERTS]
        stretched = ((need, interval_s) for need in first_to_give_way for interval_s in self._longer(need))
        for need, interval_s in (*stretched, *((need, None) for need in others)):
            planned[need.name] = interval_s
            if self.fits(planned):
                break
        else:
            self._spread_over_the_day(planned)
        self._restore(planned)
        return planned

    def course(self, planned: Intervals) -> FetchSimulation:
        needs = [need for need in self.needs if planned[need.name] is not None]
        every_s = {need.name: need.every_s(planned[need.name] or 0) for need in needs}
        return FetchSimulation(needs, every_s, self.slots, self.per_minute, self.asked_s)

    def fits(self, planned: Intervals) -> bool:
        """Return True if the day has enough calls, every symbol gets its replies, and these stay fresh enough."""
        if self.per_minute is None:
            return True
        if not self._has_calls(planned):
            return False
        course = self.course(planned)
        return all(
            course.complete_s[need.name] is not None and course.age_s.get(need.name, 0.0) < self._limits_s[need.name]
            for need in self.needs
            if planned[need.name] is not None
        )

    @cached_property
    def _limits_s(self) -> Mapping[str, float]:
        """Return the age that each kind's replies must stay below.

        Inf if they can't stay fresh with any number of calls.
        """
        limits = {}
        for need in self.needs:
            alone = FetchSimulation([need], {need.name: need.every_s(need.interval_s)}, self.slots, None, {})
            limit_s = inf if need.max_age_s is None else float(need.max_age_s)
            older = need.name != FLOW_ALERTS and alone.age_s.get(need.name, 0.0) >= limit_s
            limits[need.name] = inf if older else limit_s
        return limits

    def _spread_over_the_day(self, planned: Intervals) -> None:
        """Fetch alerts as often as the day's calls allow, even if they become too old in between."""
        for need in self.needs:
            if need.name == FLOW_ALERTS:
                longer = (each for each in self._longer(need, inf) if self._has_calls({**planned, need.name: each}))
                planned[need.name] = next(longer, None)

    def _restore(self, planned: Intervals) -> None:
        """Restore dropped kinds at a low frequency, then raise frequencies while everything fits.

        Most important first.
        """
        for need in self.needs:
            if planned[need.name] is None:
                self._try(planned, need, [max((need.interval_s, *self._longer(need)))])
        for need in self.needs:
            if (every_s := planned[need.name]) is not None:
                shorter = [each for each in (need.interval_s, *self._longer(need)) if each < every_s]
                self._try(planned, need, shorter)

    def _try(self, planned: Intervals, need: FetchNeed, intervals_s: Iterable[int]) -> None:
        # If nothing can fit, it is enough that the day has this many calls.
        suits = self.fits if self.fits(planned) else self._has_calls
        for every_s in intervals_s:
            if suits({**planned, need.name: every_s}):
                planned[need.name] = every_s
                return

    def _has_calls(self, planned: Intervals) -> bool:
        every_s = ((need, planned[need.name]) for need in self.needs)
        return self.day is None or calls_in(self.slots, every_s, self.asked_s) <= self.day

    def _longer(self, need: FetchNeed, limit_s: float | None = None) -> Iterator[int]:
        """Yield longer intervals, in slots, up to the freshness limit."""
        if need.once or not self.slots:
            return
        slot_s = sorted(slot.length_s for slot in self.slots)[len(self.slots) // 2]
        longest_s = self._limits_s[need.name] if limit_s is None else limit_s
        yield from (int(many * slot_s) for many in _MULTIPLES if need.interval_s < many * slot_s < longest_s)
        if longest_s > ONCE_S > need.interval_s:
            yield ONCE_S


class FetchDecision(StrEnum):
    """What the plan does with a kind of facts: fetch it as configured or less often, or leave it out."""

    AS_CONFIGURED = "as configured"
    LESS_OFTEN = "less often"
    LEFT_OUT = "left out"
    TOO_OLD = "gets too old"


class FetchPlanEntry(Struct, frozen=True):
    """The plan for one kind of facts.

    `interval_s` is None if the kind is dropped. `oldest_s` is the greatest age that a reply reaches before it is
    renewed; None if replies are never renewed. `complete_s` is when every symbol has its first reply, in seconds after
    the first fetch began; None if some symbols never get one.
    """

    need: FetchNeed
    interval_s: int | None
    calls: int
    oldest_s: float | None
    complete_s: float | None

    @property
    def outcome(self) -> FetchDecision:
        limit_s = self.need.max_age_s
        if self.interval_s is None:
            return FetchDecision.LEFT_OUT
        if limit_s is not None and self.oldest_s is not None and self.oldest_s >= limit_s:
            return FetchDecision.TOO_OLD
        return FetchDecision.LESS_OFTEN if self.interval_s > self.need.interval_s else FetchDecision.AS_CONFIGURED


class FetchPlan(Struct, frozen=True):
    """The plan for a full `session` or for its remainder; `lines` are in the order of fetching.

    `allowance` is None for a source without a limit.
    """

    lines: tuple[FetchPlanEntry, ...]
    times: JobTimes
    session: Session
    allowance: Allowance | None

    @classmethod
    def of(
        cls,
        needs: Iterable[FetchNeed],
        times: JobTimes,
        session: Session,
        allowance: Allowance | None = None,
        *,
        from_s: float = 0.0,
        asked_s: Mapping[str, float] | None = None,
        remaining: int | None = None,
    ) -> "FetchPlan":
        """Build the plan for fetching these kinds, core ones first.

        With `from_s`, plan only the rest of the session, from that many seconds after its open. `asked_s` has the time
        of each kind's stalest reply, for kinds with a reply for every symbol; `remaining` is how many calls the
        timetable has left.
        """
        ordered = tuple(sorted(needs, key=lambda need: not need.core))
        day = (allowance.planned_a_day if remaining is None else max(remaining, 0)) if allowance else None
        rate = allowance.rate if allowance else None
        fitting = PlanFitter(ordered, slots_of(times, session, from_s), rate, day, asked_s or {})
        intervals = fitting.intervals()
        course = fitting.course(intervals)
        lines = (
            FetchPlanEntry(need, intervals[need.name], course.calls.get(need.name, 0), course.age_s.get(need.name),
                 course.complete_s.get(need.name))
            for need in ordered
        )  # fmt: skip
        return cls(tuple(lines), times, session, allowance)

    @property
    def calls(self) -> int:
        return sum(line.calls for line in self.lines)

    @property
    def wanted_calls(self) -> int:
        """Return how many calls a session would make if everything were fetched as configured."""
        every_s = ((line.need, line.need.interval_s) for line in self.lines)
        return calls_in(slots_of(self.times, self.session), every_s, {})

    @property
    def first_calls(self) -> int:
        """Return how many calls it takes to fetch everything once."""
        return sum(line.need.calls for line in self.lines if line.interval_s is not None)

    @property
    def first_s(self) -> float:
        """Return how many seconds it takes from the start of the first fetch until everything has been fetched once.

        That may take more than one fetch: each ends before the next slot begins.
        """
        return max((line.complete_s for line in self.lines if line.complete_s is not None), default=0.0)

    def room(self, after_open_s: float) -> int | None:
        """Return how many calls, at least one, fit before the next slot begins.

        Return None if there is no limit, or no slot is left.
        """
        if self.allowance is None:
            return None
        starts = [slot.start_s for slot in slots_of(self.times, self.session) if slot.start_s > after_open_s]
        return max(int((starts[0] - after_open_s) * self.allowance.rate / 60), 1) if starts else None

    def calls_after(self, after_open_s: float, asked_s: Mapping[str, float]) -> int:
        """Return how many calls the plan still makes after a time, given the time of each kind's stalest reply."""
        every_s = ((line.need, line.interval_s) for line in self.lines)
        return calls_in(slots_of(self.times, self.session, after_open_s), every_s, asked_s)

    @property
    def intervals_s(self) -> Mapping[str, int]:
        """Return the planned interval of each kind that is fetched, in the order of fetching."""
        return {line.need.name: line.interval_s for line in self.lines if line.interval_s is not None}

    @property
    def alerts(self) -> FetchPlanEntry | None:
        """Return the plan for alerts; None if nothing needs them."""
        return next((line for line in self.lines if line.need.name == FLOW_ALERTS), None)

    @property
    def fits(self) -> bool:
        """Return True if alerts stay fresh enough for entries all session long."""
        return self.alerts is None or self.alerts.outcome in (FetchDecision.AS_CONFIGURED, FetchDecision.LESS_OFTEN)

    @property
    def differences(self) -> tuple[FetchPlanEntry, ...]:
        """Return the entries that differ from the configuration."""
        return tuple(line for line in self.lines if line.outcome is not FetchDecision.AS_CONFIGURED)


def needs_of(
    needed: Mapping[AnyKind, Sequence[str]], poll_s: Mapping[str, int], max_flow_age_s: int
) -> Iterator[FetchNeed]:
    """Yield the kinds to fetch, in order; except for alerts, no interval is longer than the kind's freshness limit."""
    for kind, keys in needed.items():
        is_alerts = kind.name == FLOW_ALERTS
        limit_s = max_flow_age_s if is_alerts else kind.max_age_s
        wanted_s = kind.interval_s(poll_s)
        interval_s = wanted_s if limit_s is None or is_alerts else min(wanted_s, limit_s)
        calls = 1 if kind.market_wide else len(keys)
        yield FetchNeed(kind.name, kind.scope, calls, interval_s, kind.core or is_alerts, limit_s, kind.phase)


def fetching_problems(
    needs: Sequence[FetchNeed], times: JobTimes, session: Session, allowance: Allowance | None
) -> Iterator[str]:
    """Yield why alerts can't stay fresh, even if nothing else is fetched; nothing if they can."""
    alerts = [need for need in needs if need.name == FLOW_ALERTS]
    for need in alerts:
        limit_s = need.max_age_s
        by_itself = FetchPlan.of(alerts, times, session)
        if not by_itself.fits:
            assert by_itself.lines[0].oldest_s is not None
            yield (
                f"flow gets {by_itself.lines[0].oldest_s:,.0f} s old, not less than limits.max_flow_age_s"
                f" {limit_s}: it would be stale before it is fetched again. Change"
                f" unusual_whales.poll_s.flow_alerts ({need.interval_s}) or timetable.fetch-flow ({times})"
            )
        elif allowance and not FetchPlan.of(alerts, times, session, allowance).fits:
            yield (
                f"universe has {need.calls:,} symbols, too many for a flow source that allows"
                f" {allowance.per_minute:,} calls a minute and {allowance.per_day:,} a day (unusual_whales)."
                " Even if the bot fetched nothing but alerts, they would get older than limits.max_flow_age_s"
                f" {limit_s}; {_most(need, times, session, allowance):,} symbols would fit"
            )


def _most(alerts: FetchNeed, times: JobTimes, session: Session, allowance: Allowance) -> int:
    def too_many(calls: int) -> bool:
        return not FetchPlan.of([replace(alerts, calls=calls)], times, session, allowance).fits

    return bisect_left(range(1, alerts.calls), True, key=too_many)
