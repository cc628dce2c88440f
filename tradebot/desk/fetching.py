"""Fetch flow one call at a time, so that a failing endpoint affects nothing but itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct

from tradebot.desk.due import agenda, everything
from tradebot.desk.watching import kinds_read
from tradebot.errors import AllowanceSpentError, NotInPlanError, NotServedError, TemporaryError
from tradebot.model.bar import ClockReading
from tradebot.model.event import EventKind
from tradebot.model.flow import FLOW_ALERTS, Intake, Quota
from tradebot.model.kind import AnyKind, Scope
from tradebot.model.record import CycleRecord
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import Call, Rules, World
from tradebot.signals.kinds import in_order, kind_names
from tradebot.signals.normalize import normalize
from tradebot.signals.sectors import source_sector
from tradebot.timetable.sessions import last_session

MAX_FAILURES = 3
"""After this many failed calls in a row the rest of the endpoint waits for the next slot.

If the next endpoint's first call fails too, the source counts as down, and all the rest waits.
"""


class Failure(Struct, frozen=True):
    """A call that returned no data, with the source's message; `lasting` if no other call would fare better now.

    `answered` tells that the source works and refused only this call, and `not_in_plan` that it refuses the endpoint.
    """

    endpoint: str
    symbol: str | None
    message: str
    lasting: bool = False
    answered: bool = False
    not_in_plan: bool = False


class Fetched(Struct, frozen=True):
    """The result of one fetching pass: `new` counts facts not stored before, `skipped` the calls that weren't made.

    `later` counts those of the skipped ones that wait for the next slot, because no more fitted into this one.
    `left_out` are the kinds that the plan has no calls for.
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


class Wanted(Struct, frozen=True):
    """Which calls to make: only these endpoints and these symbols; an empty set means all of them.

    A market-wide endpoint has no symbol, so naming symbols alone excludes it.
    """

    endpoints: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()

    def includes(self, endpoint: str, symbol: str | None) -> bool:
        """Return True if this call is included."""
        if self.endpoints and endpoint not in self.endpoints:
            return False
        if symbol is None:
            return endpoint in self.endpoints or not self.symbols
        return not self.symbols or symbol in self.symbols


EVERYTHING = Wanted()


def needed_facts(strategies: Iterable[Strategy], rules: Rules) -> Mapping[AnyKind, Sequence[str]]:
    """Return the kinds of facts that strategies and their exit rules need, in the order of fetching, with what to ask.

    That is a symbol, or a sector in the source's words, for each call; a kind about the whole market takes one call.

    Alerts are added to any other kind, because the gates of an entry judge by them whether flow is fresh.
    """
    symbols: dict[str, dict[str, None]] = {}
    for strategy in strategies:
        facts = strategy.needs.facts | kinds_read(rules.exits_of(strategy.name))
        kinds = facts and facts | {FLOW_ALERTS}
        for name in kinds & frozenset(kind_names()):
            symbols.setdefault(name, {}).update(dict.fromkeys(rules.of(strategy.name).universe))
    return {kind: keys_of(kind, tuple(symbols[kind.name]), rules) for kind in in_order(symbols, rules.poll_s)}


def keys_of(kind: AnyKind, symbols: Sequence[str], rules: Rules) -> Sequence[str]:
    """Return what to ask about, one call each: symbols, those that are funds, or the sectors of the symbols."""
    if kind.scope is Scope.FUND:
        return tuple(symbol for symbol in symbols if symbol in rules.funds)
    if kind.scope is Scope.SECTOR:
        return tuple(dict.fromkeys(filter(None, (source_sector(rules.sectors.get(symbol, "")) for symbol in symbols))))
    return symbols


def fetch_flow(
    world: World, call: Call, clocks: ClockReading, *, only_due: bool = True, wanted: Wanted = EVERYTHING
) -> Fetched:
    """Fetch every flow endpoint that is due, store the good rows, count the rest, and record the pass and its quota."""
    session = last_session(world.ledger, clocks.now)
    fetched = fetch_all(world, session, clocks, only_due=only_due, wanted=wanted)
    name, quota = world.mode_name, fetched.quota
    world.record(CycleRecord(call.cycle_id, call.job, call.session, call.slot, clocks.now, name, quota=quota))
    return fetched


def fetch_all(
    world: World, session: date, clocks: ClockReading, *, only_due: bool, wanted: Wanted = EVERYTHING
) -> Fetched:
    """Fetch each kind and symbol that is needed, wanted and due, and store each answer as it arrives.

    A fetch may take minutes, so each answer is dated by the time it came, and its rows are judged by that.
    """
    now = clocks.now
    requests = [(kind, symbol) for kind, symbol in _requests(world) if wanted.includes(kind.name, symbol)]
    asked = agenda(world, session, now, requests) if only_due else everything(requests)
    intakes: list[Intake] = []
    failures: list[Failure] = []
    skipped: set[str] = set()
    new = in_a_row = 0
    quota: Quota | None = None
    for number, (kind, symbol) in enumerate(asked.due, start=1):
        if kind.name in skipped:
            continue
        answer = _ask(world, kind, symbol, session, clocks)
        if isinstance(answer, Failure):
            failures.append(answer)
            in_a_row += not answer.answered
            # One endpoint that fails must not keep the others from being asked.
            skipped |= {kind.name} if answer.not_in_plan or in_a_row == MAX_FAILURES else set()
        else:
            intake, quota = answer
            in_a_row, new = 0, new + (0 if world.dry_run else world.facts.store(intake))
            intakes.append(intake)
        world.progress(number, len(asked.due))
        if in_a_row > MAX_FAILURES or (failures and failures[-1].lasting):
            break
    given_up = in_a_row >= MAX_FAILURES
    calls = len(intakes) + len(failures)
    return Fetched(
        now, session, calls, len(requests) - calls, new, tuple(intakes), tuple(failures), given_up, quota, asked.later,
        asked.left_out,
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
