"""The embedded exchange as the wiring handles it: its market from the configuration, starting, serving, stopping.

It is imported only where it is needed, because most verbs of a real account never touch it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tradebot.errors import ExitCode, OperatorError, TradebotError

if TYPE_CHECKING:
    from datetime import date, datetime
    from decimal import Decimal

    from tradebot.app.settings import Settings


@contextmanager
def _explained(code: ExitCode = ExitCode.USAGE) -> Iterator[None]:
    """Turn the exchange's own error, which knows nothing of us, into ours."""
    from tradebot.exchange.market.spec import MarketError

    try:
        yield
    except MarketError as bad:
        raise OperatorError(bad.message, bad.hint, code=code) from bad


@contextmanager
def _meant(hint: str) -> Iterator[None]:
    """Turn a flag that cannot be read into an error that says what to write in its place."""
    try:
        yield
    except ValueError as bad:
        raise OperatorError(str(bad), hint) from bad


def start(folder: Path) -> str:
    """Return the address of the embedded exchange of a state folder, started on demand."""
    from tradebot.exchange import process

    with _explained(ExitCode.ERROR):
        return process.ensure(folder).url


def stop(folder: Path) -> None:
    """Stop the embedded exchange of a state folder, if it runs; it keeps its state."""
    from tradebot.exchange import process

    with _explained(ExitCode.ERROR):
        process.stop(folder)


def running(folder: Path) -> str | None:
    """Return the address of the embedded exchange of a state folder, or None where no process serves it."""
    from tradebot.exchange import process

    found = process.running(folder)
    return found.url if found else None


def serve(
    folder: Path,
    port: int,
    ready: Callable[[str, Mapping[str, Any]], None],
    *,
    pace: str = "step",
    rate_limit: int | None = None,
    accounts: Sequence[tuple[str, Decimal | None]] = (),
    faults: Sequence[str] = (),
    latency: str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Serve an exchange's folder in this process until a signal ends it; `ready` gets its address and status.

    One that runs in the background, on demand, is taken over, on its port where no other is asked for: it holds
    nothing that its folder does not. `note` is told so.

    `pace` is step, real or a number such as 60x; `rate_limit` counts requests a minute for each key; an account has
    a name and cash in USD; `faults` are scripts to arm; `latency` is how long cancels and replacements
    take, None for as long as they took. Raises TradebotError: exit 6 where another process serves the folder, 2 where
    its market, the port or what is asked for cannot be used.
    """
    from tradebot.exchange import server
    from tradebot.exchange.clock import read_pace
    from tradebot.exchange.latency import read_latency
    from tradebot.exchange.process import HeldError

    with _meant("--time step, --time real or --time 60x"):
        read = read_pace(pace)
    with _meant("--latency instant, --latency slow or --latency 250ms"):
        latency_us = None if latency is None else read_latency(latency)
    terms = server.Terms(read, rate_limit, tuple(accounts), tuple(faults), latency_us)
    port = _taken_over(folder, port, note)
    try:
        with _explained():
            server.serve(folder, port, None, ready=ready, terms=terms)
    except HeldError as held:
        end = f"kill {held.pid}, or Ctrl-C in its terminal" if held.pid else "Ctrl-C in its terminal"
        raise TradebotError(
            str(held), f"use the one that runs, or stop it: {end}", code=ExitCode.ANOTHER_INSTANCE
        ) from held


def _taken_over(folder: Path, port: int, note: Callable[[str], None]) -> int:
    """Stop an exchange that runs in the background; return the port to serve at in its place."""
    from tradebot.exchange import process

    found = process.running(folder)
    if found is None or not found.detached:
        return port
    with _explained(ExitCode.ERROR):
        process.stop(folder)
    note(f"note: the exchange ran in the background, as process {found.pid}: this one takes it over, as it stood")
    return port or int(found.url.rpartition(":")[2])


@contextmanager
def undone_if_refused(folder: Path) -> Iterator[None]:
    """Take a market away again that is made within the block, where the block ends in a refusal."""
    held = holds_market(folder)
    try:
        yield
    except OperatorError:
        if not held:
            from tradebot.exchange.creation import discard

            discard(folder)
        raise


def ask(folder: Path, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
    """Return what the running exchange of a folder answers on its control API.

    Raises OperatorError where none runs, or it refuses.
    """
    from tradebot.exchange import process

    with _explained():
        return process.ask(folder, method, path, body)


def control_headers(folder: Path) -> Mapping[str, str]:
    """Return what shows the running exchange of a folder that a control request is its user's."""
    from tradebot.exchange import control_token

    return control_token.headers(folder)


def ready_faults() -> list[tuple[str, str]]:
    """Return the ready-made fault scripts: name, and in one sentence what trouble each is."""
    from tradebot.exchange.faults import library

    return [(name, library.summary_of(name)) for name in library.names()]


def fault_script(name: str) -> str | None:
    """Return the text of a ready-made fault script, None where there is none of that name."""
    from tradebot.exchange.faults import library

    return library.text_of(name)


def fault_words() -> tuple[str, ...]:
    """Return the names of all faults of the scripts' language."""
    from tradebot.exchange.faults.table import FAULTS

    return tuple(FAULTS)


def fault_explained(word: str) -> str | None:
    """Return what one fault of the scripts' language does, None where there is none of that name."""
    from tradebot.exchange.faults import library

    return library.explained(word)


def holds_market(folder: Path) -> bool:
    """Tell whether a folder holds an exchange, whatever its state."""
    from tradebot.exchange.state import MARKET_FILE

    return (folder / MARKET_FILE).exists()


def described(folder: Path) -> Mapping[str, Any]:
    """Return the market of a folder as it was asked for, with its symbols; OperatorError where there is none."""
    from tradebot.exchange.state import read_market

    with _explained():
        stored = read_market(folder)
    return stored.spec.to_fields() | {"symbols": list(stored.symbols)}


def held_settings(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the market of a folder as the configuration says it, and the symbols that were asked for, if any were."""
    from tradebot.exchange.state import read_market

    with _explained():
        spec = read_market(folder).spec
    names = ("source", "sessions", "seed", "edge", "path", "bar_stamp", "corporate_actions", "data_plan")
    market = {name: getattr(spec, name) for name in names}
    renamed = {"start": spec.start.isoformat(), "flow_folder": spec.uw_folder, "cash_usd": spec.cash}
    return market | renamed | {"fill": spec.fill._asdict()}, list(spec.symbols)


def create(folder: Path, settings: Settings, *, every_symbol: bool = False) -> tuple[str, ...]:
    """Make the market that is configured, and return its symbols: the universe, or every one of a recorded file.

    Raises OperatorError where its files cannot be used, or another market is there already.
    """
    from tradebot.exchange import process
    from tradebot.exchange.market.spec import MarketSpec, fill_spec
    from tradebot.exchange.state import read_market

    wanted = settings.sandbox
    with _explained():
        spec = MarketSpec(
            source=wanted.source,
            symbols=() if every_symbol else tuple(settings.universe),
            sessions=wanted.sessions,
            start=wanted.start,
            seed=wanted.seed,
            edge=wanted.edge,
            path=wanted.path,
            bar_stamp=wanted.bar_stamp,
            uw_folder=wanted.flow_folder,
            cash=wanted.cash_usd,
            fill=fill_spec(**dict(wanted.fill)),
            corporate_actions=wanted.corporate_actions,
            data_plan=wanted.data_plan,
        )
        process.create(folder, spec)
        return read_market(folder).symbols


def recorded(bars: str, bar_stamp: str | None) -> tuple[str, date, int]:
    """Return a recorded file's source, its first session and how many it spans; OperatorError where it is unusable."""
    from tradebot.exchange.creation import recorded_span

    source: Literal["csv", "parquet"] = "parquet" if bars.endswith((".parquet", ".pq")) else "csv"
    with _explained():
        return source, *recorded_span(source, Path(bars), bar_stamp)


def captured_session(folder: str) -> date | None:
    """Return the session that captured responses show, or None; OperatorError where they cannot be used."""
    from tradebot.exchange import remarks

    with _explained():
        return remarks.captured_session(Path(folder))


def remarks_on(folder: Path) -> tuple[tuple[str, ...], str | None]:
    """Return what should be known of a market that was made, and from which ISO time all its captures are served."""
    from tradebot.exchange import remarks

    with _explained():
        return remarks.remarks(folder)


def ended(folder: Path, at: datetime) -> bool:
    """Tell whether an exchange's last session was over at a time, from its files: it need not run, nor be there."""
    from datetime import datetime

    from tradebot.exchange.state import read_market

    if not holds_market(folder):
        return False
    with _explained():
        market = read_market(folder)
    last = market.sessions[market.first + market.spec.sessions - 1]
    return at >= datetime.fromisoformat(last["close"])


def default_symbols(count: int) -> tuple[str, ...]:
    """Return the embedded exchange's own names, well-known ones first."""
    from tradebot.exchange.market import spec

    return spec.default_symbols(count)
