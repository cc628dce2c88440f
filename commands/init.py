"""`tradebot init`: make a bot's folder, its books and, for the sandbox, its market; arm sandbox and paper."""

import os
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.surface import Config, Json, Report, StateDir, caller, finish
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.settings import Settings

WELL_KNOWN = 20
"""How many of the embedded exchange's own names are real tickers; those after them are made up."""
MADE_UP_SECTORS = 10


@dataclass(frozen=True, slots=True)
class Made:
    """What was made; times are trading time, cash in USD."""

    state_dir: str
    mode: str
    account_tail: str
    cash: Decimal
    now: datetime
    symbols: int
    armed: bool


def run(state_dir: str | None, config: str | None, kind: str, flags: dict[str, Any]) -> Report:
    """Check everything and reach the venue, then write, the marker last: what has no marker is no state."""
    from tradebot.adapters import state_folder
    from tradebot.settings import load
    from tradebot.wiring import Options, user_file

    path = state_folder.resolve(state_dir, os.environ)
    if (path / state_folder.MARKER).exists():
        raise OperatorError(f"{path} is a state folder already", f"tradebot status --state-dir {path}, or name another")
    settings = load(user_file(Options(state_dir, config), path, os.environ), os.environ, flags).settings
    state_folder.prepare(path)
    if settings.mode == "sandbox":
        universe = make_market(path, settings, flags)
        settings = settings.model_copy(update={"universe": universe})
        flags = flags | ({"universe": universe} if "sandbox" in flags else {})
    made = _make(path, settings, kind)
    if len(flags) > 1:
        _keep_flags(path, flags)
    state_folder.create(path, settings.mode, made.number, kind, made.at)
    data = Made(
        state_dir=str(path),
        mode=settings.mode,
        account_tail=made.number[-4:],
        cash=made.cash,
        now=made.at,
        symbols=len(settings.universe),
        armed=made.armed,
    )
    return Report("init", data, lambda console: _render(console, data), mode=settings.mode, account=data.account_tail)


def make_market(path: Path, settings: "Settings", flags: dict[str, Any]) -> list[str]:
    """Make the embedded exchange's market and return its symbols: recorded bars bring their own."""
    from tradebot import sandbox
    from tradebot.adapters.state_folder import EXCHANGE

    recorded = settings.sandbox.source != "generated"
    return list(sandbox.create(path / EXCHANGE, settings, every_symbol=recorded and "universe" not in flags))


@dataclass(frozen=True, slots=True)
class _Books:
    number: str
    cash: Decimal
    at: datetime
    armed: bool


def _make(path: Path, settings: "Settings", kind: str) -> _Books:
    """Ask the venue whose account this is, and begin its books. Real money is not armed here."""
    from tradebot.adapters import switch
    from tradebot.adapters.ledger import SqliteLedger
    from tradebot.model.trading import Mode
    from tradebot.wiring import first_look

    clock, account = first_look(path, settings, os.environ)
    ledger = SqliteLedger.create(path, account.number, clock.now)
    ledger.open_books(account.cash, clock.now)
    ledger.close()
    armed = settings.mode is not Mode.LIVE
    if armed:
        switch.arm(path, f"{kind} {caller()}", clock.now)
    return _Books(account.number, account.cash, clock.now, armed)


def _keep_flags(path: Path, flags: dict[str, Any]) -> None:
    """Write what was asked for into the folder's own configuration, where the next verb finds it."""
    import yaml

    from tradebot.adapters.state_folder import write_durably
    from tradebot.wiring import USER_FILE

    kept = {key: value for key, value in flags.items() if key != "mode"}
    text = "# Goes over the shipped configuration; see config/base.yaml for every value.\n"
    write_durably(path / USER_FILE, text + yaml.safe_dump(kept, sort_keys=False, default_flow_style=None))


def _render(console: "Console", made: Made) -> None:
    console.print(f"Made [bold]{made.state_dir}[/bold]: mode {made.mode}, account …{made.account_tail}", soft_wrap=True)
    console.print(f"  cash {made.cash:,.2f} USD, {made.symbols} symbols, trading time {made.now:%Y-%m-%d %H:%M:%S} UTC")
    console.print("  armed: entries may be sent" if made.armed else "  not armed: nothing is sent to a live account")
    console.print(f"Next: tradebot reconcile --state-dir {made.state_dir}", soft_wrap=True, markup=False)


def market_flags(
    bars: str | None,
    bar_stamp: str | None,
    sessions: int | None,
    start: str | None,
    seed: int | None,
    edge: float | None,
    flow_folder: str | None,
) -> dict[str, Any]:
    """Return the sandbox section that the flags ask for; a recorded file names its own source by its ending."""
    source = None
    if bars:
        from tradebot import sandbox

        source, first, held = sandbox.recorded(bars, bar_stamp)
        start, sessions = start or first.isoformat(), sessions or held
    given = {
        "source": source,
        "path": str(Path(bars).resolve()) if bars else None,
        "bar_stamp": bar_stamp,
        "sessions": sessions,
        "start": start,
        "seed": seed,
        "edge": edge,
        "flow_folder": str(Path(flow_folder).resolve()) if flow_folder else None,
    }
    return {key: value for key, value in given.items() if value is not None}


Bars = Annotated[str | None, typer.Option("--bars", help="Recorded minute bars, CSV or Parquet.")]
BarStamp = Annotated[str | None, typer.Option("--bar-stamp", help="start or end: where the recorded bars are stamped.")]
Sessions = Annotated[int | None, typer.Option("--sessions", help="How many sessions the market has.")]
Start = Annotated[str | None, typer.Option("--start", help="First session, YYYY-MM-DD.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the generated market and flow.")]
Edge = Annotated[float | None, typer.Option("--edge", help="Made-up foresight of the flow, 0 to 1; 0 is noise.")]
FlowFolder = Annotated[str | None, typer.Option("--flow-folder", help="Captured flow responses to serve instead.")]
Symbols = Annotated[str | None, typer.Option("--symbols", help="How many symbols, or their names with commas.")]


def symbol_flags(text: str | None) -> dict[str, Any]:
    """Return the universe that a number or a list of names asks for, nothing where neither was given."""
    if text is None:
        return {}
    if not text.isdigit():
        return {"universe": [name.strip().upper() for name in text.split(",") if name.strip()]}
    from tradebot import sandbox

    names = sandbox.default_symbols(int(text))
    # Made-up names are dealt over made-up sectors, because a name without a sector is not bought.
    sectors = {name: f"made_up_{n % MADE_UP_SECTORS}" for n, name in enumerate(names[WELL_KNOWN:])}
    return {"universe": list(names), "sectors": sectors}


def flags_of(mode: str, sandbox: dict[str, Any], symbols: dict[str, Any]) -> dict[str, Any]:
    """Return the flag layer of the configuration."""
    return {"mode": mode, **({"sandbox": sandbox} if sandbox else {}), **symbols}


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command("init", epilog="Example: tradebot init --state-dir paper --mode paper")
    def init(
        mode: Annotated[str, typer.Option("--mode", help="sandbox, paper or live.")] = "sandbox",
        bars: Bars = None,
        bar_stamp: BarStamp = None,
        sessions: Sessions = None,
        start: Start = None,
        seed: Seed = None,
        edge: Edge = None,
        flow_folder: FlowFolder = None,
        symbols: Symbols = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Make a bot's folder: its books, its market on the sandbox, and its arming."""
        sandbox = market_flags(bars, bar_stamp, sessions, start, seed, edge, flow_folder)
        flags = flags_of(mode, sandbox, symbol_flags(symbols))
        finish(run(state_dir, config, "user", flags), as_json)
