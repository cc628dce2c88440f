"""`tradebot exchange serve`: the embedded exchange for other clients."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.completing import ready_names
from commands.exchange.faults import script_of
from commands.init import Actions, Bars, BarStamp, DataPlan, Edge, Fill, FlowFolder, Seed, Sessions, Start, Symbols
from commands.plain import clean
from commands.surface import Config, Json, Report, StateDir, finish
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.settings import Settings
    from tradebot.wiring import Options

A_WEEK = timedelta(days=7)
SESSIONS_IN_REAL_TIME = 30
ACCOUNT = re.compile(r"([a-z][a-z0-9_-]{0,31})(?:=(\d{1,12}(?:\.\d{1,2})?))?")
FILLS = {
    "paper": "at once at the quote, as Alpaca's paper accounts do",
    "next-bar": "strictly, only in minutes that begin after the order",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """An account of the exchange, the key and secret that open it, and its cash in USD."""

    name: str
    account_number: str
    key: str
    secret: str
    cash: Decimal


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the exchange answers, with which keys, and the command that moves its time.

    `pace` is step where time stands still until it is moved, else how it runs: real, or a number such as 60x.
    """

    url: str
    page: str
    folder: str
    key: str
    secret: str
    flow_key: str
    accounts: tuple[Opened, ...]
    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime
    pace: str
    fill: str
    rate_limit: int | None
    faults: tuple[str, ...]
    tick: str


@dataclass(frozen=True, slots=True)
class Wish:
    """How the exchange is to be served; `settings` is None where the market that is there is taken as it is."""

    settings: "Settings | None"
    port: int
    pace: str
    rate_limit: int | None
    accounts: tuple[tuple[str, Decimal | None], ...]
    faults: tuple[str, ...] = ()


def serve(path: Path, wish: Wish, as_json: bool) -> None:
    """Serve the exchange of a folder until a signal ends it, making its market first where it has none."""
    from tradebot import sandbox
    from tradebot.adapters.state_folder import EXCHANGE, prepare

    prepare(path)
    folder = path / EXCHANGE
    if wish.settings is not None:
        sandbox.create(folder, wish.settings)

    def ready(url: str, status: Mapping[str, Any]) -> None:
        data = _serving(path, url, status, wish.rate_limit)
        finish(Report("exchange-serve", data, lambda out: _render(out, data), mode="sandbox"), as_json)

    sandbox.serve(
        folder,
        wish.port,
        ready,
        pace=wish.pace,
        rate_limit=wish.rate_limit,
        accounts=wish.accounts,
        faults=wish.faults,
    )


def _serving(path: Path, url: str, status: Mapping[str, Any], rate_limit: int | None) -> Serving:
    from tradebot.adapters.state_folder import EXCHANGE
    from tradebot.wiring import SANDBOX_KEY

    times = {name: datetime.fromisoformat(status[name]) for name in ("now", "next_open", "next_close")}
    step = "5m" if status["is_open"] else "open"
    return Serving(
        url=url,
        page=f"{url}/",
        folder=str(path / EXCHANGE),
        key=SANDBOX_KEY,
        secret=SANDBOX_KEY,
        flow_key=SANDBOX_KEY,
        accounts=tuple(_opened(row) for row in status["accounts"]),
        is_open=status["is_open"],
        pace=status["pace"],
        fill=status["market"]["fill"]["model"],
        rate_limit=rate_limit,
        faults=tuple(status["faults"]),
        tick=f"tradebot exchange tick {step} --state-dir {path}",
        **times,
    )


def _opened(row: Mapping[str, Any]) -> Opened:
    return Opened(row["name"], row["account_number"], row["key"], row["secret"], Decimal(row["cash"]))


def _render(out: "Console", data: Serving) -> None:
    limit = "no limit of requests" if data.rate_limit is None else f"{data.rate_limit} requests a minute for each key"
    lines = (
        f"The embedded exchange of {data.folder} answers at {data.url} until Ctrl-C",
        "  orders and prices (Alpaca's API), trading and data at that one address:",
        *(f"    key {row.key}, secret {row.secret}: account {row.name}, {row.cash:,.2f} USD" for row in data.accounts),
        f"  options flow (Unusual Whales' API): Authorization: Bearer {data.flow_key}",
        f"  in a browser: {data.page}",
        f"  orders fill {FILLS[data.fill]}; {limit}",
        *([f"  faults armed: {', '.join(data.faults)}; see: tradebot exchange faults"] if data.faults else []),
        *_time_lines(data),
    )
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def _time_lines(data: Serving) -> Sequence[str]:
    state = f"open until {data.next_close:%H:%M}" if data.is_open else f"closed until {data.next_open:%m-%d %H:%M}"
    now = f"  it is {data.now:%Y-%m-%d %H:%M:%S} UTC there, and the market is {state}"
    if data.pace == "step":
        return (now, f"  its time stands still until: {data.tick}")
    return (now, f"  its time runs by itself: {data.pace}")


def account_flag(text: str) -> tuple[str, Decimal | None]:
    """Return the name and the cash of --account NAME or NAME=CASH; OperatorError for anything else."""
    found = ACCOUNT.fullmatch(text)
    if found is None or found[1] == "main":
        raise OperatorError(
            f"--account takes the NAME or NAME=CASH of one more account than main, not {clean(text)[:40]!r}",
            "a small letter, then small letters, digits, - or _: --account alice=50000",
        )
    return found[1], Decimal(found[2]) if found[2] else None


def _settings(path: Path, options: "Options", pace: str, flags: dict[str, Any]) -> "Settings | None":
    """Return the settings of the market to be made, None where there is one and no flag asks for another."""
    from tradebot import sandbox
    from tradebot.adapters.state_folder import EXCHANGE
    from tradebot.settings import load
    from tradebot.wiring import user_file

    held = sandbox.holds_market(path / EXCHANGE)
    if held and len(flags) == 1:
        return None
    # A new exchange for other clients fills as the paper API does; one that is there says itself how it fills.
    fill = sandbox.described(path / EXCHANGE)["fill"]["model"] if held else "paper"
    market = dict(flags.get("sandbox", {}))
    market.setdefault("fill", {"model": fill})
    if pace == "real" and not held and not {"start", "sessions", "path", "flow_folder"} & set(market):
        market |= _around_today()
    file = user_file(options, path, os.environ)
    return load(file, os.environ, flags | {"sandbox": market}).settings


def _around_today() -> dict[str, Any]:
    """Return the sessions of a market that plays in real time: it has begun, whatever day it is, and lasts a while."""
    return {"start": (datetime.now(UTC).date() - A_WEEK).isoformat(), "sessions": SESSIONS_IN_REAL_TIME}


Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")]
Pace = Annotated[str, typer.Option("--time", help="step: time stands still; real, or a number of times real: 60x.")]
RateLimit = Annotated[
    int | None, typer.Option("--rate-limit", min=1, max=1_000_000, help="Requests a minute for each key; Alpaca: 200.")
]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--account", help="One more account, NAME or NAME=CASH; its key and secret are NAME."),
]
FaultScripts = Annotated[
    list[str] | None,
    typer.Option("--faults", help="Arm a fault script: a file, or a ready-made name.", autocompletion=ready_names),
]


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command(
        "serve", epilog="Example: tradebot exchange serve --port 8787     or: … --time 60x --account alice=50000"
    )
    def _serve(
        port: Port = 0,
        pace: Pace = "step",
        rate_limit: RateLimit = None,
        account: Accounts = None,
        faults: FaultScripts = None,
        fill: Fill = None,
        bars: Bars = None,
        bar_stamp: BarStamp = None,
        sessions: Sessions = None,
        start: Start = None,
        seed: Seed = None,
        edge: Edge = None,
        flow_folder: FlowFolder = None,
        corporate_actions: Actions = None,
        data_plan: DataPlan = None,
        symbols: Symbols = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Serve the embedded exchange to other clients until Ctrl-C; a folder without a market gets one."""
        from commands.init import MarketWish, flags_of, market_flags, symbol_flags
        from tradebot.adapters import state_folder
        from tradebot.wiring import Options

        path = state_folder.resolve(state_dir, os.environ)
        accounts = tuple(account_flag(text) for text in account or ())
        asked = MarketWish(
            bars, bar_stamp, sessions, start, seed, edge, flow_folder, fill, corporate_actions, data_plan
        )
        flags = flags_of("sandbox", market_flags(asked), symbol_flags(symbols))
        scripts = tuple(script_of(name) for name in faults or ())
        settings = _settings(path, Options(state_dir, config), pace, flags)
        wish = Wish(settings, port, pace, rate_limit, accounts, scripts)
        serve(path, wish, as_json)
