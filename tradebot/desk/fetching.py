"""Asking the flow source: one answer at a time, so that a failing endpoint costs only itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from tradebot.errors import TemporaryError
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.flow import Endpoint, Intake, Quota
from tradebot.ports.world import World
from tradebot.signals.normalize import normalize

MAX_FAILURES = 3
"""After so many failed calls in a row the source is taken to be down, and the rest is left for the next slot."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that brought nothing, and the source's words."""

    endpoint: Endpoint
    symbol: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one pass of fetching brought: `new` counts facts not stored before, `skipped` calls that were not due."""

    at: datetime
    session: date
    calls: int
    skipped: int
    new: int
    intakes: tuple[Intake, ...]
    failures: tuple[Failure, ...]
    given_up: bool
    quota: Quota | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which questions are meant: of these endpoints and about these symbols, all of them where nothing is named.

    A market-wide endpoint is about no symbol, so naming symbols alone leaves it out.
    """

    endpoints: frozenset[Endpoint] = frozenset()
    symbols: frozenset[str] = frozenset()

    def includes(self, endpoint: Endpoint, symbol: str | None) -> bool:
        """Tell whether a question is meant."""
        if self.endpoints and endpoint not in self.endpoints:
            return False
        if symbol is None:
            return endpoint in self.endpoints or not self.symbols
        return not self.symbols or symbol in self.symbols


EVERYTHING = Wanted()


def fetch_all(world: World, session: date, now: datetime, *, only_due: bool, wanted: Wanted = EVERYTHING) -> Fetched:
    """Ask each endpoint of each symbol that is wanted and due, and store what came, answer by answer."""
    every = [request for request in _requests(world) if wanted.includes(*request)]
    opened = next((held.open for held in world.ledger.sessions(session, session)), None)
    due = [request for request in every if not only_due or _due(world, *request, opened, now)]
    intakes: list[Intake] = []
    failures: list[Failure] = []
    new = in_a_row = 0
    quota: Quota | None = None
    for number, (endpoint, symbol) in enumerate(due, start=1):
        answer = _ask(world, endpoint, symbol, session, now)
        if isinstance(answer, Failure):
            failures.append(answer)
            in_a_row += 1
        else:
            intake, quota = answer
            in_a_row, new = 0, new + (0 if world.dry_run else world.facts.store(intake))
            intakes.append(intake)
        world.progress(number, len(due))
        if in_a_row == MAX_FAILURES:
            break
    given_up = in_a_row == MAX_FAILURES
    calls = len(intakes) + len(failures)
    return Fetched(now, session, calls, len(every) - calls, new, tuple(intakes), tuple(failures), given_up, quota)


def _requests(world: World) -> Iterator[tuple[Endpoint, str | None]]:
    for endpoint in world.rules.poll_s:
        if endpoint.market_wide:
            yield endpoint, None
        else:
            yield from ((endpoint, symbol) for symbol in world.rules.universe)


def _due(world: World, endpoint: Endpoint, symbol: str | None, opened: datetime | None, now: datetime) -> bool:
    """An endpoint is due once its interval has passed, and once anew after each open: yesterday's is not today's."""
    last = world.facts.last_fetch(endpoint, symbol)
    if last is None or (opened is not None and last < opened <= now):
        return True
    return (now - last).total_seconds() >= world.rules.poll_s[endpoint]


def _ask(
    world: World, endpoint: Endpoint, symbol: str | None, session: date, now: datetime
) -> tuple[Intake, Quota] | Failure:
    try:
        page = world.flow.fetch(endpoint, symbol, session)
    except TemporaryError as failed:
        details = {"endpoint": endpoint.value, "message": failed.message}
        world.events.emit(SystemEvent(now, "flow", "fetch_failed", Severity.WARN, symbol, details))
        return Failure(endpoint, symbol, failed.message)
    return normalize(page, now), page.quota
