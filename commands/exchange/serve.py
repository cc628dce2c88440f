"""`tradebot exchange serve`: serve the embedded exchange to other clients."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert

from commands.exchange.place import ANOTHER, BEARER, Api, apis_of
from commands.init.profiles import WELL_KNOWN
from commands.shared.light_helpers import Identity, clean, note
from commands.shared.times import DAY_MINUTE, when
from commands.shared.verb_options import Report, finish
from tradebot.adapters.state.state_folder import EXCHANGE, option, prepare
from tradebot.app import sandbox
from tradebot.app.loading import Options, user_file
from tradebot.app.settings import Loaded, Settings, load
from tradebot.errors import OperatorError
from tradebot.venues.door import SANDBOX_KEY

if TYPE_CHECKING:
    from rich.console import Console


A_WEEK = timedelta(days=7)

SERVED_SESSIONS = 60
"""Default number of sessions in a new market: about a quarter, so that no client reaches the end soon."""

SHIPPED = ("base.yaml", "sandbox.yaml", None)

ACCOUNT = re.compile(r"([a-z][a-z0-9_-]{0,31})(?:=(\d{1,12}(?:\.\d{1,2})?))?")

FILLS = {
    "paper": "at once at the quote, as Alpaca's paper accounts do",
    "next-bar": "strictly, only in minutes that begin after the order",
    "next-open": "in minutes that begin after the order; marketable orders fill completely at the open",
    "close": "at once and completely at the last price if marketable, otherwise in minutes that begin after the order",
}


class Opened(Struct, frozen=True):
    """An account of the exchange: its cash in USD, and the key and secret that clients use.

    Key and secret are None if clients need none.
    """

    name: str
    account_number: str
    key: str
    secret: str | None
    cash: Decimal


class ExchangeAddress(Struct, frozen=True):
    """The address of the exchange, the keys it accepts, and the command that advances its clock.

    `pace` is `step` if the clock only advances on request, `real`, or a multiple such as `60x`. `latency` is the delay
    of cancels and replacements. `optimistic` says in what way fills are better than real ones would be. `tick` is null
    once the market has ended (`finished`), because the clock can't advance further.
    """

    url: str
    page: str
    folder: str
    key: str
    secret: str | None
    flow_key: str | None
    apis: tuple[Api, ...]
    accounts: tuple[Opened, ...]
    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime
    pace: str
    fill: str
    optimistic: str
    latency: str
    rate_limit: int | None
    flow_per_minute: int | None
    flow_per_day: int | None
    faults: tuple[str, ...]
    finished: bool
    tick: str | None


class ServeOptions(Struct, frozen=True):
    """How to serve the exchange; `settings` is None to use the existing market unchanged.

    `every_symbol` plays all symbols of a recorded file.
    """

    settings: "Settings | None"
    every_symbol: bool
    port: int
    pace: str
    rate_limit: int | None
    accounts: tuple[tuple[str, Decimal | None], ...]
    faults: tuple[str, ...] = ()
    latency: str | None = None
    flow_per_minute: int | None = None
    flow_per_day: int | None = None


def serve(path: Path, wish: ServeOptions, as_json: bool) -> None:
    """Serve the exchange in a folder until a signal stops it; create the market first if there is none."""
    prepare(path)
    folder = path / EXCHANGE

    def ready(url: str, status: Mapping[str, Any]) -> None:
        data = _serving(path, url, status, wish)
        finish(Report("exchange-serve", data, _render, bot_identity=Identity("sandbox")), as_json)
        _note_other_cash(wish.accounts, status["accounts"])

    with sandbox.undone_if_refused(folder):
        if wish.settings is not None:
            sandbox.create(folder, wish.settings, every_symbol=wish.every_symbol)
        sandbox.serve(
            folder,
            wish.port,
            ready,
            pace=wish.pace,
            rate_limit=wish.rate_limit,
            flow_limits=(wish.flow_per_minute, wish.flow_per_day),
            accounts=wish.accounts,
            faults=wish.faults,
            latency=wish.latency,
            note=note,
        )


def _note_other_cash(requested: Sequence[tuple[str, Decimal | None]], accounts: Sequence[Mapping[str, Any]]) -> None:
    began = {row["name"]: Decimal(row["began_with"]) for row in accounts}
    for name, cash in requested:
        if cash is not None and cash != began[name]:
            note(
                f"note: account {name} already exists and started with {began[name]:,.2f} USD; "
                f"to reset it: tradebot exchange reset {name} --cash {cash}"
            )


def _serving(path: Path, url: str, status: Mapping[str, Any], wish: ServeOptions) -> ExchangeAddress:
    model = status["market"]["fill"]["model"]
    times = {name: datetime.fromisoformat(status[name]) for name in ("now", "next_open", "next_close")}
    step = "5m" if status["is_open"] else "open"
    apis = apis_of(status)
    secrets = {name: secret for statu in status["apis"] for name, secret in statu["secrets"].items()}
    return ExchangeAddress(
        url=url,
        page=f"{url}/",
        folder=str(path / EXCHANGE),
        key=SANDBOX_KEY,
        secret=secrets.get("main"),
        flow_key=next((SANDBOX_KEY for api in apis if api.login == BEARER), None),
        apis=apis,
        accounts=tuple(convert({**row, "secret": secrets.get(row["name"])}, Opened) for row in status["accounts"]),
        is_open=status["is_open"],
        pace=status["pace"],
        fill=model,
        optimistic=sandbox.fill_optimism(model),
        latency=status["latency"],
        rate_limit=wish.rate_limit,
        flow_per_minute=wish.flow_per_minute,
        flow_per_day=wish.flow_per_day,
        faults=tuple(status["faults"]),
        finished=status["finished"],
        tick=None if status["finished"] else f"tradebot exchange tick {step} {option(path)}",
        **times,
    )


def _render(out: "Console", data: ExchangeAddress) -> None:
    limit = "no request limit" if data.rate_limit is None else f"{data.rate_limit} requests per minute for each key"
    lines = (
        f"The embedded exchange of {data.folder} answers at {data.url} until Ctrl-C",
        *(line for api in sorted(data.apis, key=lambda api: api.login == BEARER) for line in _api_lines(data, api)),
        f"  in a browser: {data.page}",
        f"  orders fill {FILLS[data.fill]}; {limit}",
        f"  optimistic: {data.optimistic}",
        *([f"  cancels and replacements are delayed: latency {data.latency}"] if data.latency != "instant" else []),
        *([f"  faults armed: {', '.join(data.faults)}; see: tradebot exchange faults"] if data.faults else []),
        *_time_lines(data),
    )
    for line in lines:
        out.print(line, markup=False)


def _api_lines(data: ExchangeAddress, api: Api) -> Iterator[str]:
    if api.login == BEARER:
        yield f"  {api.title}: Authorization: Bearer {data.flow_key}{_flow_limits(data)}"
        return
    yield f"  {api.title}{api.port_text or ':'}"
    for row in data.accounts:
        login = f"key {row.key}, secret {row.secret}: " if row.secret else ""
        yield f"    {login}account {row.name}, {row.cash:,.2f} USD"


def _flow_limits(data: ExchangeAddress) -> str:
    limits = (
        f"{most:,} requests a {time}"
        for most, time in ((data.flow_per_minute, "minute"), (data.flow_per_day, "day"))
        if most is not None
    )
    return "".join(f"; {limit}" for limit in limits)


def _time_lines(data: ExchangeAddress) -> Sequence[str]:
    if data.finished:
        ended = f"  exchange time is {when(data.now)}; the market has ended (its last session is over)"
        return (ended, f"  start another one: {ANOTHER}")
    state = (
        f"open until {when(data.next_close, '%H:%M')}"
        if data.is_open
        else f"closed until {when(data.next_open, DAY_MINUTE)}"
    )
    now = f"  exchange time is {when(data.now)}; the market is {state}"
    if data.pace == "step":
        return (now, f"  its clock stands still until you run: {data.tick}")
    return (now, f"  its clock runs automatically: {data.pace}")


def account_flag(text: str) -> tuple[str, Decimal | None]:
    """Parse `--account NAME` or `NAME=CASH`; raise OperatorError for anything else."""
    match = ACCOUNT.fullmatch(text)
    if match is None or match[1] == "main":
        raise OperatorError(
            f"--account takes NAME or NAME=CASH of an account besides main, not {clean(text)[:40]!r}",
            "start with a lowercase letter, then use lowercase letters, digits, - or _: --account alice=50000",
        )
    return match[1], Decimal(match[2]) if match[2] else None


def accounts_of(flags: Sequence[str]) -> tuple[tuple[str, Decimal | None], ...]:
    """Parse all --account flags; raise OperatorError for an invalid one or a repeated name."""
    accounts = tuple(account_flag(text) for text in flags)
    names = [name for name, _ in accounts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OperatorError(
            f"--account names {twice} twice", f"name it once with its starting cash: --account {twice}=50000"
        )
    return accounts


def venue_at(path: Path, options: "Options") -> str:
    """Return the venue of the configuration for an exchange in a folder."""
    return load(user_file(options, path, os.environ), os.environ).settings.venue


def settings_for(path: Path, options: "Options", pace: str, flags: dict[str, Any]) -> "tuple[Settings | None, bool]":
    """Return the settings for a new market, and whether to play every symbol of a recorded file.

    The settings are None if a market exists and no flag changes it. If flags do, all other settings stay unchanged.
    """
    file, sandbox_flags = user_file(options, path, os.environ), dict(flags.get("sandbox", {}))
    if not sandbox.holds_market(path / EXCHANGE):
        configured = load(file, os.environ, flags)
        defaults = {"sandbox": _new_market(configured, pace) | sandbox_flags}
        settings = load(file, os.environ, _every_default(configured) | flags | defaults).settings
        return settings, settings.sandbox.source != "generated" and "universe" not in flags
    if len(flags) == 1:
        return None, False
    market, symbols = sandbox.held_settings(path / EXCHANGE)
    if sandbox_flags.get("fill", {}).get("model") == market["fill"]["model"]:
        del sandbox_flags["fill"]
    named = ({"universe": symbols} if symbols else {}) | flags
    return load(file, os.environ, named | {"sandbox": market | sandbox_flags}).settings, "universe" not in named


def _every_default(configured: "Loaded") -> dict[str, Any]:
    """Return the full list of well-known symbols as the universe, unless the user chose one. A bot watches fewer."""
    if configured.settings.sandbox.source != "generated" or configured.origins.get("universe") not in SHIPPED:
        return {}
    return {"universe": list(sandbox.default_symbols(WELL_KNOWN))}


def _new_market(configured: "Loaded", pace: str) -> dict[str, Any]:
    """Return the defaults of a new exchange for other clients: it fills orders like the paper API.

    A generated market gets more sessions. If it runs in real time, it starts in the past, so that it is already trading
    on any day of the week.
    """
    own = {"source", "start", "sessions", "path", "flow_folder"}
    chosen = {name for name in own if configured.origins.get(f"sandbox.{name}") not in SHIPPED}
    market: dict[str, Any] = {"fill": {"model": "paper"}}
    if "sessions" not in chosen and configured.settings.sandbox.source == "generated":
        market["sessions"] = SERVED_SESSIONS
        if pace == "real" and not chosen:
            market["start"] = (datetime.now(UTC).date() - A_WEEK).isoformat()
    return market
