"""Decide what a fetch asks about: what is due by the plan, core kinds first, and no more than fits before the next."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from math import inf

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.kind import AnyKind, Phase
from tradebot.model.record import Job
from tradebot.ports.world import World
from tradebot.timetable.fetch_course import ONCE_S, in_turn
from tradebot.timetable.fetching import FetchPlan, needs_of
from tradebot.timetable.job_times import parse

Request = tuple[AnyKind, str | None]
"""A kind of facts, and what to ask about; None if the kind is about the whole market."""

CLOSED_INTERVAL_S = 3600
"""While the market is closed, nothing is fetched again sooner than this."""
MORNING = timedelta(hours=1)
"""A reply that changes before the open is asked for no earlier than this before it."""
_SESSIONS_BACK = timedelta(days=7)


class Agenda(Struct, frozen=True):
    """What a fetch asks, in order. `waiting` counts what isn't due, and `later` what is, but only fits the next slot.

    `left_out` are the kinds that the plan has no calls for.
    """

    due: tuple[Request, ...]
    waiting: int = 0
    later: int = 0
    left_out: tuple[str, ...] = ()


def everything(requests: Sequence[Request]) -> Agenda:
    """Return what a fetch asks if a person wants everything at once."""
    return Agenda(tuple(request for _, request in sorted(enumerate(requests), key=lambda each: not each[1][0].core)))


def agenda(world: World, session: date, now: datetime, requests: Sequence[Request]) -> Agenda:
    """Return what a fetch asks now, of these requests."""
    return _Look(world, session, now, tuple(requests)).agenda()


class _Look(Struct, frozen=True, dict=True):
    """One look at what was fetched before."""

    world: World
    session: date
    now: datetime
    requests: tuple[Request, ...]

    def agenda(self) -> Agenda:
        """Choose what is due, and of that what fits: core kinds in their order, and what was asked longest ago."""
        planned = self._intervals_s
        fetched = [request for request in self.requests if request[0].name in planned]
        due = [request for request in fetched if self._is_due(request, planned[request[0].name])]
        places = {name: place for place, name in enumerate(planned)}
        due.sort(key=lambda request: in_turn(request[0].core, places[request[0].name], self._asked_at(request)))
        room = self._plan.room(self._elapsed_s) if self._plan and self._is_open else None
        left_out = dict.fromkeys(kind.name for kind, _ in self.requests if kind.name not in planned)
        chosen = tuple(due if room is None else due[:room])
        return Agenda(chosen, len(self.requests) - len(due), len(due) - len(chosen), tuple(left_out))

    @cached_property
    def _hours(self) -> Sequence[Session]:
        """Return the sessions of the last days and of today."""
        return self.world.ledger.sessions(self.session - _SESSIONS_BACK, max(self.session, self.now.date()))

    @cached_property
    def _current(self) -> Session | None:
        return next((hours for hours in self._hours if hours.date == self.session), None)

    @property
    def _is_open(self) -> bool:
        return self._current is not None and self._current.contains(self.now)

    @property
    def _elapsed_s(self) -> float:
        return (self.now - self._current.open).total_seconds() if self._current else 0.0

    @cached_property
    def _starts(self) -> Sequence[datetime]:
        claims = self.world.ledger.slot_claims(self.session)
        return sorted(claim.at for claim in claims if claim.job == Job.FETCH_FLOW and not claim.missed)

    @cached_property
    def _last(self) -> Mapping[tuple[str, str | None], datetime | None]:
        last = self.world.facts.last_fetch
        return {(kind.name, symbol): last(kind.name, symbol) for kind, symbol in self.requests}

    @cached_property
    def _morning(self) -> datetime | None:
        """Return when replies of the newest morning could be asked for."""
        return max((mark for hours in self._hours if (mark := hours.open - MORNING) <= self.now), default=None)

    @cached_property
    def _evening(self) -> datetime | None:
        """Return when the newest session closed."""
        return max((hours.close for hours in self._hours if hours.close <= self.now), default=None)

    def _started(self, last: datetime) -> datetime:
        """Return when the fetch began that an answer came in: intervals count from there, however late it came."""
        place = bisect_right(self._starts, last)
        return self._starts[place - 1] if place else last

    def _asked_at(self, request: Request) -> float:
        last = self._last[request[0].name, request[1]]
        return -inf if last is None else last.timestamp()

    def _is_due(self, request: Request, interval_s: int) -> bool:
        kind, last = request[0], self._last[request[0].name, request[1]]
        if kind.phase is Phase.OPEN and not self._is_open:
            # What came between the last slot and the close is fetched once.
            close = self._current.close if self._current else None
            return close is not None and close <= self.now and (last is None or last < close)
        if last is None:
            return True
        if kind.phase in (Phase.MORNING, Phase.EVENING) and interval_s >= ONCE_S:
            newest = self._morning if kind.phase is Phase.MORNING else self._evening
            return newest is not None and last < newest
        # What was fetched before the open isn't today's.
        if self._current is not None and last < self._current.open <= self.now:
            return True
        # What comes over the stream belongs to no fetch: it counts from when it came.
        streamed = self.world.rules.streamed and kind.name == FLOW_ALERTS
        began = last if streamed else self._started(last)
        least_s = interval_s if self._is_open or self._current is None else max(interval_s, CLOSED_INTERVAL_S)
        return (self.now - began).total_seconds() >= least_s

    @property
    def _intervals_s(self) -> Mapping[str, int]:
        """Return the interval of each kind that is fetched, in the order of fetching."""
        if self._plan is None:
            kinds = sorted(self.world.needed_facts, key=lambda kind: not kind.core)
            return {kind.name: kind.interval_s(self.world.rules.poll_s) for kind in kinds}
        return self._plan.intervals_s

    @cached_property
    def _plan(self) -> FetchPlan | None:
        """Return the plan of the session or, if the day hasn't enough calls left for it, that of its rest."""
        rules = self.world.rules
        if not rules.fetch_times or rules.allowance is None:
            return None
        times = parse(rules.fetch_times)
        needs = tuple(needs_of(self.world.needed_facts, rules.poll_s, rules.tightest.max_flow_age_s))
        plan, left = FetchPlan.of(needs, times, rules.allowance), self.world.flow.calls_left()
        if left is None or not self._is_open or plan.calls_after(self._elapsed_s, self._asked_s) <= left:
            return plan
        return FetchPlan.of(needs, times, rules.allowance, from_s=self._elapsed_s, asked_s=self._asked_s, left=left)

    @cached_property
    def _asked_s(self) -> Mapping[str, float]:
        """Return when the stalest reply of this session was asked for, by kind, in seconds after the open.

        A kind of which a symbol has none isn't there.
        """
        assert self._current is not None
        opened, found = self._current.open, dict[str, float]()
        for (name, _), last in self._last.items():
            asked_s = -inf if last is None else (self._started(last) - opened).total_seconds()
            found[name] = min(found.get(name, inf), asked_s)
        return {name: asked_s for name, asked_s in found.items() if asked_s >= 0}
