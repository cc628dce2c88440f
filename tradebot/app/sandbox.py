"""Control the embedded exchange: create its market from the configuration, start, serve and stop it.

The exchange is imported only when it is needed, because most verbs on a real account never use it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from papervenue import private_files, process
from papervenue.clock import read_latency, read_pace
from papervenue.market.hours import AROUND_THE_CLOCK, HOURS
from papervenue.market.spec import NO_COSTS, OPTIMISM, Costs, MarketError, MarketSpec, Reading, fill_spec, reading_of
from papervenue.market.spec import default_symbols as symbols_of_exchange
from papervenue.market.venue import Venue
from papervenue.process import FolderInUseError
from papervenue.state import MARKET_FILE, read_market
from tradebot.app.venues import EARLIER, driver_for
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.venue_day import VenueDay

if TYPE_CHECKING:
    from decimal import Decimal

    from tradebot.app.settings import Settings

_ITS_NEW_ONE = "papervenue serve --folder NEW"
_ITS_COMMAND = re.compile(r"\bpapervenue (?=(?:serve|tick|status|faults|reset|page)\b)")


@contextmanager
def translate_exchange_errors(code: ExitCode = ExitCode.USAGE) -> Iterator[None]:
    """Translate the exchange's errors to the bot's."""
    try:
        yield
    except MarketError as bad:
        raise OperatorError(bad.message, with_tradebot_commands(bad.hint), code=code) from bad


def with_tradebot_commands(hint: str) -> str:
    """Return the exchange's advice with tradebot commands in place of the exchange's own commands."""
    return _ITS_COMMAND.sub("tradebot exchange ", hint.replace(_ITS_NEW_ONE, "tradebot init --state-dir NEW"))


@contextmanager
def _invalid_flags(hint: str) -> Iterator[None]:
    """Turn an invalid flag into an error that says what to write instead."""
    try:
        yield
    except ValueError as bad:
        raise OperatorError(str(bad), hint) from bad


def start(folder: Path) -> str:
    """Return the address of a state folder's embedded exchange, starting it if necessary."""
    with translate_exchange_errors(ExitCode.ERROR):
        return process.ensure_running(folder).url


def stop(folder: Path) -> None:
    """Stop a state folder's embedded exchange if it is running; its state is kept."""
    with translate_exchange_errors(ExitCode.ERROR):
        process.stop(folder)


def server_address(folder: Path) -> str | None:
    """Return the address of a state folder's embedded exchange without contacting it; None if no process serves it."""
    return process.server_address(folder)


def running_exchange(folder: Path) -> str | None:
    """Return the address of a state folder's embedded exchange, or None if it isn't running."""
    current = process.running_endpoint(folder)
    return current.url if current else None


def ports(folder: Path) -> Mapping[str, int]:
    """Return a running exchange's other ports by protocol name."""
    current = process.running_endpoint(folder)
    return dict(current.ports) if current else {}


def serve(
    folder: Path,
    port: int,
    ready: Callable[[str, Mapping[str, Any]], None],
    *,
    pace: str = "step",
    rate_limit: int | None = None,
    flow_limits: tuple[int | None, int | None] = (None, None),
    accounts: Sequence[tuple[str, Decimal | None]] = (),
    faults: Sequence[str] = (),
    latency: str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Serve an exchange's folder in this process until a signal ends it; call `ready` with its address and status.

    If the exchange is running in the background, that process is replaced, on the same port unless `port` is set.
    Nothing is lost, because the exchange's state is in the folder. `note` is called with a message about the
    replacement. `pace` is step, real or a factor such as 60x. `rate_limit` is in requests per minute and key;
    `flow_limits` are per minute and per day. Each account has a name and cash in USD. `faults` are scripts to arm.
    `latency` is the delay of cancels and replacements; None keeps the current one. Raise TradebotError with exit code 6
    if another process serves the folder, and with 2 if the market, the port or an option is invalid.
    """
    from papervenue import server

    with _invalid_flags("use --time step, --time real or --time 60x"):
        parsed_pace = read_pace(pace)
    with _invalid_flags("use --latency instant, --latency slow or --latency 250ms"):
        latency_us = None if latency is None else read_latency(latency)
    terms = server.Terms(parsed_pace, rate_limit, tuple(accounts), tuple(faults), latency_us, *flow_limits)
    port = _taken_over(folder, port, note)
    try:
        with translate_exchange_errors():
            server.serve(folder, port, None, ready=ready, terms=terms)
    except FolderInUseError as held:
        end = f"kill {held.pid}, or Ctrl-C in its terminal" if held.pid else "Ctrl-C in its terminal"
        raise TradebotError(
            str(held), f"use the one that is running, or stop it: {end}", code=ExitCode.ANOTHER_INSTANCE
        ) from held


def _taken_over(folder: Path, port: int, note: Callable[[str], None]) -> int:
    """Stop an exchange that runs in the background; return the port on which to serve."""
    current = process.running_endpoint(folder)
    if current is None or not current.detached:
        return port
    with translate_exchange_errors(ExitCode.ERROR):
        process.stop(folder)
    note(
        f"note: the exchange was running in the background as process {current.pid}; "
        "this process continues from its state"
    )
    return port or int(current.url.rpartition(":")[2])


@contextmanager
def undone_if_refused(folder: Path) -> Iterator[None]:
    """Remove a market that was created within the block if the block raises OperatorError."""
    had_market = holds_market(folder)
    try:
        yield
    except OperatorError:
        if not had_market:
            from papervenue.creation import discard

            discard(folder)
        raise


def ask(folder: Path, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
    """Send a request to the control API of a folder's exchange and return the reply.

    Raise OperatorError if the exchange isn't running or refuses the request.
    """
    with translate_exchange_errors():
        return process.ask(folder, method, path, body)


def control_headers(folder: Path) -> Mapping[str, str]:
    """Return the headers that prove that a control request comes from the exchange's user."""
    return private_files.headers(folder)


def holds_market(folder: Path) -> bool:
    """Return True if the folder contains an exchange, even a damaged one."""
    return (folder / MARKET_FILE).exists()


def market_settings(folder: Path) -> Mapping[str, Any]:
    """Return the settings with which a folder's market was created, and its symbols; raise OperatorError without a
    market.
    """
    with translate_exchange_errors():
        stored = read_market(folder)
    return stored.spec.to_fields() | {"symbols": list(stored.symbols)}


def market_day(folder: Path) -> VenueDay:
    """Return the venue day of a folder's market, in the time zone of its calendar."""
    with translate_exchange_errors():
        return VenueDay(HOURS[read_market(folder).spec.venue.calendar].zone.key)


def held_settings(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return a folder's market as settings, and the symbols with which it was created, if listed."""
    with translate_exchange_errors():
        spec = read_market(folder).spec
    names = ("source", "sessions", "seed", "edge", "path", "bar_stamp", "corporate_actions", "data_plan")
    market = {name: getattr(spec, name) for name in (*names, "prices", "day_prices")}
    renamed = {"start": spec.start.isoformat(), "flow_folder": spec.uw_folder, "cash_usd": spec.cash}
    parts = {"fill": spec.fill._asdict(), "costs": spec.costs._asdict(), "reading": spec.reading._asdict()}
    return market | renamed | parts, list(spec.symbols)


def create(folder: Path, settings: Settings, *, every_symbol: bool = False) -> tuple[str, ...]:
    """Create the configured market and return its symbols: the universe, or all symbols of a recorded file.

    Raise OperatorError if its files are unusable, or if the folder already contains another market.
    """
    spec = market_spec(settings, every_symbol=every_symbol)
    with translate_exchange_errors():
        process.create(folder, spec)
        return read_market(folder).symbols


def market_spec(settings: Settings, *, every_symbol: bool = False) -> MarketSpec:
    """Return the specification of the configured market; raise OperatorError if it contradicts itself."""
    chosen, venue = settings.sandbox, _venue_of(settings)
    named = [name for name in settings.universe if not is_root(settings.venue, name)]
    unnamed = (instrument.symbol for instrument in venue.instruments if instrument.symbol not in named)
    with translate_exchange_errors():
        return MarketSpec(
            venue=venue,
            source=chosen.source,
            symbols=() if every_symbol and not venue.instruments else (*named, *unnamed),
            sessions=chosen.sessions,
            start=chosen.start,
            seed=chosen.seed,
            edge=chosen.edge,
            trends=settings.venue == EARLIER or bool(chosen.edge),
            path=chosen.path,
            bar_stamp=chosen.bar_stamp,
            reading=Reading(**dict(chosen.reading)),
            uw_folder=chosen.flow_folder,
            cash=chosen.cash_usd,
            fill=fill_spec(**dict(chosen.fill)),
            # Another venue's rules determine its orders' costs.
            costs=Costs(**dict(chosen.costs)) if settings.venue == EARLIER else NO_COSTS,
            corporate_actions=chosen.corporate_actions,
            data_plan=chosen.data_plan,
            prices=chosen.prices,
            day_prices=chosen.day_prices,
        )


def is_root(venue: str, name: str) -> bool:
    """Return True if a name is a root, that is, the common name of a series of contracts."""
    door = driver_for(venue)
    try:
        door.symbol(name)
    except ValueError:
        return door.months is not None
    return False


def plays(venue: str) -> bool:
    """Return True if the embedded exchange can simulate a venue."""
    return venue == EARLIER or driver_for(venue).market is not None


def _venue_of(settings: Settings) -> Venue:
    """Return the properties of the market's venue; raise OperatorError if the exchange can't simulate it."""
    if settings.venue == EARLIER:
        return Venue()
    market = driver_for(settings.venue).market
    if market is None:
        raise OperatorError(
            f"the embedded exchange can't simulate {settings.venue}",
            f"tradebot init --mode paper uses a paper account at {settings.venue}; docs/internals/VENUES.md"
            " explains how to simulate another venue",
        )
    return market(settings)


class RecordedFile(NamedTuple):
    """A file of recorded bars: its source, the dates of its sessions, and its contracts.

    `bar_stamp` says whether a bar is dated by its start or its end; None if unknown. `reading` has the settings for
    reading the file.
    """

    source: str
    days: tuple[date, ...]
    contracts: frozenset[str]
    bar_stamp: str | None
    reading: Mapping[str, str]


def has_perpetuals(venue: str | None) -> bool:
    """Return True if a venue trades around the clock, as venues of perpetuals do; None means the default venue."""
    return driver_for(venue or EARLIER).capabilities.calendar == AROUND_THE_CLOCK


def read_recorded_file(
    bars: str,
    bar_stamp: str | None,
    bars_as: Sequence[str] = (),
    start: str | None = None,
    venue: str | None = None,
) -> RecordedFile:
    """Read the description of a recorded file, or of a folder of files; raise OperatorError if it is unusable.

    Without a `venue`, the file is read as the default venue's.

    `bars_as` are options such as zone=UTC. `start` is an ISO date, and daily bars before it are ignored. An invalid
    date is ignored here, because the configuration's checks report it.
    """
    from papervenue.creation import perpetual_span, recorded_source, recorded_span

    first = None
    with suppress(ValueError):
        first = date.fromisoformat(start) if start is not None else None
    with translate_exchange_errors():
        how = reading_of(bars_as)
        if has_perpetuals(venue):
            source, span = "csv", perpetual_span(Path(bars), bar_stamp, how)
        else:
            source = recorded_source(Path(bars), how)
            span = recorded_span(source, Path(bars), bar_stamp, first, how)
    reading = {name: value for name, value in how._asdict().items() if value is not None}
    return RecordedFile(source, span.days, span.contracts, span.bar_stamp, reading)


def captured_session(folder: str) -> date | None:
    """Return the session of the responses captured in a folder; None if there are none.

    Raise OperatorError if they are unusable.
    """
    from papervenue import creation

    with translate_exchange_errors():
        return creation.captured_session(Path(folder))


def remarks_on(folder: Path) -> tuple[tuple[str, ...], str | None]:
    """Return remarks about a new market, and the ISO time from which all of its captures are available."""
    from papervenue import creation

    with translate_exchange_errors():
        return creation.market_remarks(folder)


def market_has_ended(folder: Path, at: datetime) -> bool:
    """Return True if an exchange's last session had ended by `at`.

    This reads the exchange's files, so the exchange needn't be running.
    """

    if not holds_market(folder):
        return False
    with translate_exchange_errors():
        market = read_market(folder)
    last = market.sessions[market.first + market.spec.sessions - 1]
    return at >= datetime.fromisoformat(last["close"])


def fill_optimism(model: str) -> str:
    """Describe in what way a fill model is more optimistic than real trading."""
    return OPTIMISM[model]


def default_symbols(count: int) -> tuple[str, ...]:
    """Return the embedded exchange's own symbols, well-known ones first."""
    return symbols_of_exchange(count)
