"""Fetch flow one call at a time, so that a failing endpoint affects nothing but itself."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from math import inf

from msgspec import Struct

from tradebot.desk.exit_inputs import kinds_read
from tradebot.errors import AllowanceSpentError, NotInPlanError, NotServedError, TemporaryError
from tradebot.model.bar import ClockReading, Session
from tradebot.model.event import EventKind
from tradebot.model.fact_kind import AnyKind, Phase, ReplyScope
from tradebot.model.flow import FLOW_ALERTS, NEWS, Intake, Quota
from tradebot.model.record import CycleRecord, Job
from tradebot.model.venue_day import VenueDay
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import Call, Rules, World
from tradebot.signals.fields import SOURCE_SECTORS
from tradebot.signals.headlines import headlines_kind
from tradebot.signals.kinds import in_order, kind_names
from tradebot.signals.normalize import normalize
from tradebot.timetable.fetch_plan import ONCE_S, FetchPlan, fetch_priority, needs_of
from tradebot.timetable.job_times import parse, whole_day
from tradebot.timetable.sessions import last_session

Request = tuple[AnyKind, str | None]
"""A kind of facts and its subject, which is None if the kind is about the whole market."""

CLOSED_INTERVAL_S = 3600
"""While the market is closed, nothing is fetched again sooner than this."""
MORNING = timedelta(hours=1)
"""How long before the open a reply that changes overnight is fetched, at the earliest."""
_SESSIONS_BACK = timedelta(days=7)


class FetchAgenda(Struct, frozen=True):
    """The ordered calls of a fetch.

    `waiting` counts calls that aren't due. `later` counts calls that are due, but for which only the next slot has
    room.

    `left_out` are the kinds that the plan has no calls for.
    """

    due: tuple[Request, ...]
    waiting: int = 0
    later: int = 0
    left_out: tuple[str, ...] = ()


def fetch_all_at_once(requests: Sequence[Request]) -> FetchAgenda:
    """Return an agenda that fetches everything at once."""
    return FetchAgenda(tuple(sorted(requests, key=lambda request: not request[0].core)))


def agenda(world: World, session: date, now: datetime, requests: Sequence[Request]) -> FetchAgenda:
    return _Look(world, session, now, tuple(requests)).agenda()


class _Look(Struct, frozen=True, dict=True):
    world: World
    session: date
    now: datetime
    requests: tuple[Request, ...]

    def agenda(self) -> FetchAgenda:
        """Return the due calls that fit: core kinds in their order, then those queried longest ago."""
        planned = self._intervals_s
        fetched = [request for request in self.requests if request[0].name in planned]
        due = [request for request in fetched if self._is_due(request, planned[request[0].name])]
        places = {name: index for index, name in enumerate(planned)}
        due.sort(
            key=lambda request: fetch_priority(request[0].core, places[request[0].name], self._requested_at(request))
        )
        room = self._plan.room(self._elapsed_s) if self._plan and self._is_open else None
        left_out = dict.fromkeys(kind.name for kind, _ in self.requests if kind.name not in planned)
        chosen = tuple(due if room is None else due[:room])
        return FetchAgenda(chosen, len(self.requests) - len(due), len(due) - len(chosen), tuple(left_out))

    @cached_property
    def _hours(self) -> Sequence[Session]:
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
        return sorted(claim.at for claim in claims if claim.job == Job.FETCH_FLOW and not claim.missed_reason)

    @cached_property
    def _last(self) -> Mapping[tuple[str, str | None], datetime | None]:
        last = self.world.facts.last_fetch
        return {(kind.name, symbol): last(kind.name, symbol) for kind, symbol in self.requests}

    @cached_property
    def _morning(self) -> datetime | None:
        """Return the earliest time to fetch the latest morning's replies."""
        return max((mark for hours in self._hours if (mark := hours.open - MORNING) <= self.now), default=None)

    @cached_property
    def _evening(self) -> datetime | None:
        return max((hours.close for hours in self._hours if hours.close <= self.now), default=None)

    def _fetch_began(self, last: datetime) -> datetime:
        """Return when the fetch began that this reply belongs to.

        Intervals count from there, however late the reply came.
        """
        index = bisect_right(self._starts, last)
        return self._starts[index - 1] if index else last

    def _requested_at(self, request: Request) -> float:
        last = self._last[request[0].name, request[1]]
        return -inf if last is None else last.timestamp()

    def _is_due(self, request: Request, interval_s: int) -> bool:
        kind, last = request[0], self._last[request[0].name, request[1]]
        if kind.phase is Phase.OPEN and not self._is_open:
            # Data that changed between the last slot and the close is fetched once.
            close = self._current.close if self._current else None
            return close is not None and close <= self.now and (last is None or last < close)
        if last is None:
            return True
        if kind.phase in (Phase.MORNING, Phase.EVENING) and interval_s >= ONCE_S:
            newest = self._morning if kind.phase is Phase.MORNING else self._evening
            return newest is not None and last < newest
        # A reply from before the open isn't today's.
        if self._current is not None and last < self._current.open <= self.now:
            return True
        # Rows from the stream belong to no fetch, so they count from their arrival.
        streamed = self.world.rules.streamed and kind.name == FLOW_ALERTS
        began = last if streamed else self._fetch_began(last)
        least_s = interval_s if self._is_open or self._current is None else max(interval_s, CLOSED_INTERVAL_S)
        return (self.now - began).total_seconds() >= least_s

    @property
    def _intervals_s(self) -> Mapping[str, int]:
        """Return the interval of each kind that is fetched, in the order of fetching."""
        if self._plan is None:
            kinds = sorted(self._flow_facts, key=lambda kind: not kind.core)
            return {kind.name: kind.interval_s(self.world.rules.poll_s) for kind in kinds} | self._headlines_s
        return {**self._plan.intervals_s, **self._headlines_s}

    @property
    def _headlines_s(self) -> dict[str, int]:
        """Return the interval of headlines that have a source, and so limits, of their own."""
        rules = self.world.rules
        if not any(map(rules.is_apart, self.world.needed_facts)):
            return {}
        if not rules.fetch_times or rules.news_allowance is None:
            return {NEWS: headlines_kind().interval_s(rules.poll_s)}
        return dict(headlines_plan(rules, self.world.venue.day).intervals_s)

    @cached_property
    def _flow_facts(self) -> Mapping[AnyKind, Sequence[str]]:
        rules = self.world.rules
        return {kind: keys for kind, keys in self.world.needed_facts.items() if not rules.is_apart(kind)}

    @cached_property
    def _plan(self) -> FetchPlan | None:
        """Return the plan of the session, or a plan for what is left of it if the day hasn't enough calls."""
        rules = self.world.rules
        if not rules.fetch_times or rules.allowance is None or not self._flow_facts:
            return None
        times, session = parse(rules.fetch_times, self.world.venue.day), whole_day(self.world.venue.day)
        needs = tuple(needs_of(self._flow_facts, rules.poll_s, rules.tightest.max_flow_age_s))
        plan, remaining = FetchPlan.of(needs, times, session, rules.allowance), self.world.flow.calls_left()
        if remaining is None or not self._is_open or plan.calls_after(self._elapsed_s, self._requested_s) <= remaining:
            return plan
        elapsed_s, asked_s = self._elapsed_s, self._requested_s
        return FetchPlan.of(
            needs, times, session, rules.allowance, from_s=elapsed_s, asked_s=asked_s, remaining=remaining
        )

    @cached_property
    def _requested_s(self) -> Mapping[str, float]:
        """Return when each kind's oldest reply of this session was requested, in seconds after the open.

        A kind is missing if any symbol has no reply yet.
        """
        assert self._current is not None
        opened, seconds = self._current.open, dict[str, float]()
        for (name, _), last in self._last.items():
            asked_s = -inf if last is None else (self._fetch_began(last) - opened).total_seconds()
            seconds[name] = min(seconds.get(name, inf), asked_s)
        return {name: asked_s for name, asked_s in seconds.items() if asked_s >= 0}


def headlines_plan(rules: Rules, day: VenueDay) -> FetchPlan:
    """Plan the calls of a full session for headlines, if these have a source of their own."""
    needs = tuple(needs_of({headlines_kind(): ()}, rules.poll_s, rules.tightest.max_flow_age_s))
    return FetchPlan.of(needs, parse(rules.fetch_times, day), whole_day(day), rules.news_allowance)


MAX_FAILURES = 3
"""After this many failed calls in a row, the endpoint's other calls wait for the next slot.

If the next endpoint's first call fails too, the source counts as down, and all remaining calls wait.
"""


class Failure(Struct, frozen=True):
    """A call that returned no data, with the source's message; `lasting` is True if other calls would fail too.

    `answered` is True if the source works and refused only this call, and `not_in_plan` if our plan doesn't include the
    endpoint.
    """

    endpoint: str
    symbol: str | None
    message: str
    lasting: bool = False
    answered: bool = False
    not_in_plan: bool = False


class FetchResult(Struct, frozen=True):
    """The result of one fetching pass: `new` counts the facts that weren't stored before, and `skipped` the calls not
    made.

    `later` counts those skipped calls that wait for the next slot, because this slot had no room for more. `left_out`
    are the kinds that the plan has no calls for.
    """

    at: datetime
    session: date
    calls: int
    skipped: int
    new: int
    intakes: tuple[Intake, ...]
    failures: tuple[Failure, ...]
    given_up: bool
    quota: Quota | None
    later: int = 0
    left_out: tuple[str, ...] = ()


class WantedCalls(Struct, frozen=True):
    """Which calls to make: only these endpoints and these symbols; an empty set means all of them.

    A market-wide endpoint has no symbol, so it is left out if symbols are named.
    """

    endpoints: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()

    def includes(self, endpoint: str, symbol: str | None) -> bool:
        if self.endpoints and endpoint not in self.endpoints:
            return False
        if symbol is None:
            return endpoint in self.endpoints or not self.symbols
        return not self.symbols or symbol in self.symbols


EVERYTHING = WantedCalls()


def needed_facts(strategies: Iterable[Strategy], rules: Rules) -> Mapping[AnyKind, Sequence[str]]:
    """Return the kinds of facts that strategies and their exit rules need, in fetching order, each with what to ask
    about.

    What to ask about is a list with one entry per call: symbols, or sectors in the source's words. A kind about the
    whole market takes one call. If any kind of flow is needed, alerts are added, because an entry's gates use them to
    check whether flow is fresh.
    """
    symbols: dict[str, dict[str, None]] = {}
    for strategy in strategies:
        facts = strategy.needs.facts | kinds_read(rules.exits_of(strategy.name))
        for name in (facts | {FLOW_ALERTS} if rules.flow_kinds(facts) else facts) & frozenset(kind_names()):
            symbols.setdefault(name, {}).update(dict.fromkeys(rules.of(strategy.name).universe))
    kinds = in_order(symbols, rules.poll_s)
    return {
        headlines_kind() if rules.is_apart(kind) else kind: keys_of(kind, tuple(symbols[kind.name]), rules)
        for kind in kinds
    }


def keys_of(kind: AnyKind, symbols: Sequence[str], rules: Rules) -> Sequence[str]:
    """Return what a kind's calls ask about, one entry per call: all symbols, only the funds, or the symbols'
    sectors.
    """
    if kind.scope is ReplyScope.FUND:
        return tuple(symbol for symbol in symbols if symbol in rules.funds)
    if kind.scope is ReplyScope.SECTOR:
        return tuple(
            dict.fromkeys(filter(None, (SOURCE_SECTORS.get(rules.sectors.get(symbol, "")) for symbol in symbols)))
        )
    return symbols


def fetch_flow(
    world: World, call: Call, clocks: ClockReading, *, only_due: bool = True, wanted: WantedCalls = EVERYTHING
) -> FetchResult:
    """Fetch each kind and symbol that is needed, wanted and due, and store each reply as it arrives.

    A fetch may take minutes, so each reply is dated by its own arrival.
    """
    now, session = clocks.now, last_session(world.ledger, clocks.now, world.venue.day)
    requests = [(kind, symbol) for kind, symbol in _requests(world) if wanted.includes(kind.name, symbol)]
    fetch_agenda = agenda(world, session, now, requests) if only_due else fetch_all_at_once(requests)
    intakes: list[Intake] = []
    failures: list[Failure] = []
    skipped: set[str] = set()
    new = in_a_row = 0
    quota: Quota | None = None
    for number, (kind, symbol) in enumerate(fetch_agenda.due, start=1):
        if kind.name in skipped:
            continue
        answer = _ask(world, kind, symbol, session, clocks)
        if isinstance(answer, Failure):
            failures.append(answer)
            in_a_row += not answer.answered
            # A failing endpoint must not prevent calls to the others.
            skipped |= {kind.name} if answer.not_in_plan or in_a_row == MAX_FAILURES else set()
        else:
            intake, stated = answer
            quota = quota if world.rules.is_apart(kind) else stated
            in_a_row, new = 0, new + (0 if world.dry_run else world.facts.store(intake))
            intakes.append(intake)
        world.progress(number, len(fetch_agenda.due))
        if in_a_row > MAX_FAILURES or (failures and failures[-1].lasting):
            break
    name, calls, given_up = world.mode_name, len(intakes) + len(failures), in_a_row >= MAX_FAILURES
    world.record(CycleRecord(call.cycle_id, call.job, call.session, call.slot, now, name, quota=quota))
    return FetchResult(
        now, session, calls, len(requests) - calls, new, tuple(intakes), tuple(failures), given_up, quota,
        fetch_agenda.later, fetch_agenda.left_out,
    )  # fmt: skip


def _requests(world: World) -> Iterator[tuple[AnyKind, str | None]]:
    for kind, symbols in world.needed_facts.items():
        yield from ((kind, symbol) for symbol in ((None,) if kind.market_wide else symbols))


def _ask(
    world: World, kind: AnyKind, symbol: str | None, session: date, clocks: ClockReading
) -> tuple[Intake, Quota] | Failure:
    try:
        page = world.flow.fetch(kind, symbol, session)
    except TemporaryError as failed:
        details = {"endpoint": kind.name, "message": failed.message}
        world.events.emit(EventKind.FETCH_FAILED.at(clocks.now, details, symbol))
        lasting, answered = isinstance(failed, AllowanceSpentError), isinstance(failed, NotServedError)
        return Failure(kind.name, symbol, failed.message, lasting, answered, isinstance(failed, NotInPlanError))
    at = page.told_at or clocks.now + timedelta(seconds=world.stopwatch() - clocks.stopwatch_s)
    if not world.dry_run:
        world.keep_reply(page, session, at)
    return (world.reading or normalize)(kind, page, at), page.quota
