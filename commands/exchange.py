"""`tradebot exchange serve|tick`: the embedded exchange for other clients, and its time."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.init import Bars, BarStamp, Edge, FlowFolder, Seed, Sessions, Start, Symbols
from commands.plain import clean
from commands.surface import Config, Json, Report, StateDir, finish, opened
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.settings import Settings
    from tradebot.wiring import App

app = typer.Typer(help="The embedded exchange: serve it to other clients, move its time.")

MOMENTS = frozenset({"open", "close", "next_open"})
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d[0-9:.]{0,12}(Z|[+-]\d\d:\d\d)")
UNITS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the exchange answers, with which keys, and the command that moves its time by five minutes."""

    url: str
    folder: str
    key: str
    secret: str
    flow_key: str
    tick: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """How engine time moved; `session` is None on a day without one, `finished` says the market has ended."""

    start: datetime
    end: datetime
    session: date | None
    is_open: bool
    next_open: datetime | None
    next_close: datetime | None
    finished: bool


def serve(path: Path, settings: "Settings", port: int, as_json: bool) -> None:
    """Serve the exchange of a folder until a signal ends it, making its market first where it has none."""
    from tradebot import sandbox
    from tradebot.adapters.state_folder import EXCHANGE, prepare
    from tradebot.wiring import SANDBOX_KEY

    prepare(path)
    folder = path / EXCHANGE
    sandbox.create(folder, settings)

    def ready(url: str) -> None:
        data = Serving(url, str(folder), SANDBOX_KEY, SANDBOX_KEY, SANDBOX_KEY, _tick_command(path, url))
        finish(Report("exchange-serve", data, lambda out: _render_serving(out, data), mode="sandbox"), as_json)

    sandbox.serve(folder, port, ready)


def _tick_command(path: Path, url: str) -> str:
    """Return what moves the time: our own verb where a bot lives in the folder, HTTP where none does."""
    from tradebot.adapters.state_folder import MARKER

    if (path / MARKER).exists():
        return f"tradebot exchange tick 5m --state-dir {path}"
    return f"""curl -X POST {url}/exchange/v1/tick -d '{{"seconds": 300}}'"""


def _render_serving(out: "Console", data: Serving) -> None:
    lines = (
        f"The embedded exchange of {data.folder} answers at {data.url} until Ctrl-C",
        f"  orders and prices (Alpaca's API): key {data.key}, secret {data.secret}",
        f"  options flow (Unusual Whales' API): Authorization: Bearer {data.flow_key}",
        f"  its time stands still until: {data.tick}",
    )
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def tick(bot: "App", step: str) -> Report:
    """Let engine time pass, by a duration or to a moment; OperatorError for anything else or a real venue."""
    amount = seconds_of(step)
    engine = bot.engine
    start = engine.now()
    if amount is None:
        end = engine.tick_to(step)
    else:
        engine.sleep(amount)
        end = engine.status()
    data = Ticked(start, end.now, end.session, end.is_open, end.next_open, end.next_close, end.finished)
    return Report("exchange-tick", data, lambda out: _render_ticked(out, data), mode=bot.mode, account=bot.account_tail)


def seconds_of(text: str) -> int | None:
    """Return the seconds of a duration such as 5m, None for a moment; OperatorError for anything else."""
    if text in MOMENTS or ISO_TIME.fullmatch(text):
        return None
    found = re.fullmatch(r"(\d{1,7})([smh])", text)
    if found is None or not int(found[1]):
        raise OperatorError(
            f"{clean(text)[:20]!r} is no step of time",
            "write 90s, 5m, 2h, open, close, next_open or a time such as 2026-11-16T21:00Z",
        )
    return int(found[1]) * UNITS[found[2]]


def _render_ticked(out: "Console", data: Ticked) -> None:
    out.print(f"{data.start:%Y-%m-%d %H:%M:%S} -> [bold]{data.end:%Y-%m-%d %H:%M:%S}[/bold] UTC")
    if data.finished:
        out.print("The market has ended: its last session is over. Next: tradebot init --state-dir NEW")
    elif data.is_open:
        out.print(f"  session {data.session} is [green]open[/green] until {data.next_close:%H:%M:%S} UTC")
    else:
        out.print(f"  the session is closed; the next one opens {data.next_open:%Y-%m-%d %H:%M:%S} UTC")


@app.command("serve", epilog="Example: tradebot exchange serve --port 8787")
def _serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
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
    """Serve the embedded exchange to other clients until Ctrl-C; a folder without a market gets one."""
    from commands.init import flags_of, market_flags, symbol_flags
    from tradebot.adapters import state_folder
    from tradebot.settings import load
    from tradebot.wiring import Options, user_file

    path = state_folder.resolve(state_dir, os.environ)
    sandbox = market_flags(bars, bar_stamp, sessions, start, seed, edge, flow_folder)
    flags = flags_of("sandbox", sandbox, symbol_flags(symbols))
    settings = load(user_file(Options(state_dir, config), path, os.environ), os.environ, flags).settings
    serve(path, settings, port, as_json)


@app.command("tick", epilog="Example: tradebot exchange tick 5m     or: tradebot exchange tick next_open")
def _tick(
    step: Annotated[str, typer.Argument(help="90s, 5m, 2h, open, close, next_open, or a time.")] = "5m",
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Move the embedded exchange's time; it stands still otherwise."""
    with opened(state_dir, config) as bot:
        report = tick(bot, step)
    finish(report, as_json)
