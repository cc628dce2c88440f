"""`tradebot exchange status`: show the address and the state of the embedded exchange."""

import os
import re
import webbrowser
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert

from commands.exchange.place import ANOTHER, Api, apis_of, exchange_of, note_if_started
from commands.shared.light_helpers import Identity, clean, confirm, note
from commands.shared.span_options import seconds_in
from commands.shared.times import CLOCK, MINUTE, stamp, when, zone
from commands.shared.verb_options import Report, identity
from tradebot.adapters.state import state_folder
from tradebot.adapters.time.clock import LockStepClock
from tradebot.app import sandbox
from tradebot.app.plugin_surroundings import without_keys
from tradebot.app.venues import EARLIER
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App


class AccountRow(Struct, frozen=True):
    """One account: its key, its balances in USD, and its numbers of positions and orders."""

    name: str
    account_number: str
    key: str
    equity: Decimal
    cash: Decimal
    positions: int
    open_orders: int
    orders: int


class Time(Struct, frozen=True):
    """The exchange's clock and pace: `step` if it stands still, `real`, or a multiple such as `60x`."""

    now: datetime
    pace: str
    session: date | None
    is_open: bool
    next_open: datetime
    next_close: datetime
    finished: bool


class MarketRow(Struct, frozen=True):
    """The market the exchange plays: source, symbols, first day, number of sessions, and the fill model."""

    source: str
    symbols: tuple[str, ...]
    start: date
    sessions: int
    seed: int
    fill: str
    corporate_actions: bool


class ExchangeStatus(Struct, frozen=True):
    """The exchange in a folder; the address, time and log are None if no process serves it."""

    folder: str
    url: str | None
    market: MarketRow
    time: Time | None
    accounts: tuple[AccountRow, ...]
    apis: tuple[Api, ...]
    faults: tuple[str, ...]
    log_lines: int | None


def run(path: Path) -> Report:
    """Report the exchange in a folder, from the process or its files; raise OperatorError if there is none."""
    folder = exchange_of(path)
    settings = sandbox.market_settings(folder)
    market = convert({**settings, "fill": settings["fill"]["model"]}, MarketRow)
    url = sandbox.running_exchange(folder)
    if url is None:
        data = ExchangeStatus(str(folder), None, market, None, (), (), (), None)
    else:
        reply = sandbox.ask(folder, "GET", "/exchange/v1/status")
        accounts = tuple(convert(row, AccountRow) for row in reply["accounts"])
        armed = tuple(reply.get("faults", ()))
        apis, lines = apis_of(reply), reply["log_lines"]
        data = ExchangeStatus(str(folder), url, market, convert(reply, Time), accounts, apis, armed, lines)
    return Report("exchange-status", data, _render, bot_identity=Identity("sandbox"))


def _render(out: "Console", data: ExchangeStatus) -> None:
    market = data.market
    if data.time is None:
        out.print(f"No process serves the exchange in {data.folder}", markup=False)
    else:
        out.print(f"The exchange in {data.folder} answers at {data.url}", markup=False)
        for api in (api for api in data.apis if api.port):
            out.print(f"  {api.title}{api.port_text}", markup=False)
        out.print(_time_line(data.time), markup=False)
    out.print(
        f"  market: {market.source}, {pluralize(len(market.symbols), 'symbol')}, "
        f"{pluralize(market.sessions, 'session')} from {market.start}, "
        f"orders fill by the {market.fill} model",
        markup=False,
    )
    if data.time is None:
        out.print("Next: tradebot exchange serve")
        return
    _render_accounts(out, data)
    out.print(
        f"  faults armed: {', '.join(data.faults) or 'none'}; log: {pluralize(data.log_lines or 0, 'line')}",
        markup=False,
    )
    if data.time.finished:
        out.print(f"The market has ended. Next: {ANOTHER}", markup=False)


def _time_line(time: Time) -> str:
    pace = "standing still" if time.pace == "step" else f"running: {time.pace}"
    if time.finished:
        state = "its last session is over"
    elif time.is_open:
        state = f"session {time.session} is open until {when(time.next_close, '%H:%M')}"
    else:
        state = f"closed, the next session opens {when(time.next_open, MINUTE)}"
    return f"  {when(time.now)}, {pace}; {state}"


def _render_accounts(out: "Console", data: ExchangeStatus) -> None:
    from commands.shared.tables import Table, number

    amounts = number("equity USD"), number("cash USD")
    table = Table("  account", "key", "number", *amounts, number("positions"), number("open"), number("orders"))
    for row in data.accounts:
        money = (f"{row.equity:,.2f}", f"{row.cash:,.2f}")
        counts = (str(row.positions), str(row.open_orders), str(row.orders))
        table.row(f"  {row.name}", row.key, row.account_number, *money, *counts)
    out.print(table)


class ExchangePage(Struct, frozen=True):
    """The page's address, and whether a browser opened it (null if none was requested)."""

    url: str
    opened: bool | None


def page(path: "Path", browser: bool) -> Report:
    """Return the page's address, starting the exchange if needed, and open a browser on request.

    Raise OperatorError if the folder has no exchange.
    """
    folder = exchange_of(path)
    with note_if_started(folder):
        url = sandbox.start(folder) + "/"
    data = ExchangePage(url, _open(url) if browser else None)
    code = ExitCode.ERROR if data.opened is False else ExitCode.DONE
    return Report("exchange-page", data, _render_page, code, bot_identity=Identity("sandbox"))


def _open(url: str) -> bool:
    """Open the address in a browser; remove API keys from the environment first, because the browser outlives us."""
    for name in os.environ.keys() - without_keys(os.environ, EARLIER).keys():
        del os.environ[name]
    return webbrowser.open(url)


def _render_page(out: "Console", data: ExchangePage) -> None:
    out.print(data.url, markup=False)
    if data.opened is False:
        out.print("Couldn't open a browser here. Open the address yourself.", markup=False)


MAIN = "main"


class ResetAccount(Struct, frozen=True):
    """An account before its reset, in USD; the exchange's log keeps its full history."""

    account_number: str
    equity: Decimal
    cash: Decimal
    positions: int
    open_orders: int
    orders: int


class Reset(Struct, frozen=True):
    """The account after its reset: a new number, the same key and secret, and its cash in USD."""

    name: str
    account_number: str
    key: str
    cash: Decimal
    gone: ResetAccount


def run_reset(path: Path, name: str, cash: str | None, confirmed: str | None) -> Report:
    """Show what a reset removes, ask the user to confirm it by the account's name, and reset the account."""
    _refuse_books(path, name)
    folder = exchange_of(path)
    before = convert(_account_named(sandbox.ask(folder, "GET", "/exchange/v1/accounts"), name), ResetAccount)
    note(f"account {name}, …{before.account_number[-4:]}: {_reset_text(before)}")
    confirm(name, confirmed, what=f"Resetting account {name}", command=f"tradebot exchange reset {name}", by_hand=False)
    body = {"account": name} | ({} if cash is None else {"cash": cash})
    reply = sandbox.ask(folder, "POST", "/exchange/v1/reset", body)
    data = convert(reply, Reset)
    return Report("exchange-reset", data, _render_reset, bot_identity=Identity("sandbox"))


def _refuse_books(path: Path, name: str) -> None:
    """Raise OperatorError, exit 3, for the account that a bot uses: its books belong to that account number."""
    if name == MAIN and state_folder.has_marker(path):
        raise OperatorError(
            f"{path} belongs to a bot, and its books are tied to account {MAIN}; a reset would give it a new number",
            "create another state folder: tradebot init --state-dir NEW",
            code=ExitCode.REFUSED,
        )


def _account_named(rows: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    for row in rows:
        if row["name"] == name:
            return row
    names = ", ".join(row["name"] for row in rows)
    raise OperatorError(f"no account is called {clean(name)[:40]!r}; accounts: {names}", "tradebot exchange status")


def _reset_text(gone: ResetAccount) -> str:
    return (
        f"{gone.equity:,.2f} USD of equity, {pluralize(gone.positions, 'position')}, "
        f"{pluralize(gone.open_orders, 'open order')} and "
        f"{pluralize(gone.orders, 'order')} in total are removed; the exchange's log keeps them"
    )


def _render_reset(out: "Console", data: Reset) -> None:
    out.print(
        f"Account {data.name} was reset: number …{data.account_number[-4:]}, {data.cash:,.2f} USD, key {data.key}"
    )
    out.print(f"  removed: {_reset_text(data.gone)}")


MOMENTS = frozenset({"open", "close", "next_open"})

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d[0-9:.]{0,12}(Z|[+-]\d\d:\d\d)")


class ClockAdvanced(Struct, frozen=True):
    """The exchange's clock after advancing it.

    `session` is None on a day without a session. `finished` is True once the market has ended.
    """

    start: datetime
    end: datetime
    session: date | None
    is_open: bool
    next_open: datetime | None
    next_close: datetime | None
    finished: bool


def tick(bot: "App", step: str) -> Report:
    """Advance the clock of a bot's exchange; raise OperatorError for an invalid step or a real broker."""
    return _report(_move_clock(lambda: bot.engine, step), identity(bot), "tradebot init --state-dir NEW")


def tick_served(path: "Path", step: str) -> Report:
    """Advance the clock of an exchange that no bot uses, starting it if needed."""

    def clock() -> LockStepClock:
        folder = exchange_of(path)
        return LockStepClock(sandbox.start(folder), lambda: sandbox.control_headers(folder))

    return _report(_move_clock(clock, step), Identity("sandbox"), ANOTHER)


def _move_clock(clock: "Callable[[], LockStepClock]", step: str) -> ClockAdvanced:
    amount = seconds_of(step)
    engine = clock()
    start = engine.now()
    if amount is None:
        end = engine.tick_to(step)
    else:
        engine.sleep(amount)
        end = engine.status()
    return ClockAdvanced(start, end.now, end.session, end.is_open, end.next_open, end.next_close, end.finished)


def _report(data: ClockAdvanced, bot_identity: Identity, another: str) -> Report:
    return Report("exchange-tick", data, lambda out, _: _render_ticked(out, data, another), bot_identity=bot_identity)


def seconds_of(text: str) -> int | None:
    """Return the seconds in a duration such as 5m; None if the text is a time. Raise OperatorError for other text."""
    if text in MOMENTS or ISO_TIME.fullmatch(text):
        return None
    amount = seconds_in(text)
    if amount is None:
        raise OperatorError(
            f"can't read {clean(text)[:20]!r} as a time step",
            "write 90s, 5m, 2h, 2d, open, close, next_open or a time such as 2026-11-16T21:00Z",
        )
    return amount


def _render_ticked(out: "Console", data: ClockAdvanced, another: str) -> None:
    out.print(f"{stamp(data.start)} -> [bold]{stamp(data.end)}[/bold] {zone()}")
    if data.finished:
        ended = f"The market has ended: its last session is over. Next: {another}"
        out.print(ended, markup=False)
    elif data.is_open:
        closes = data.next_close and when(data.next_close, CLOCK)
        out.print(f"  session {data.session} is [green]open[/green] until {closes}")
    else:
        out.print(f"  the session is closed; the next one opens {data.next_open and when(data.next_open)}")
