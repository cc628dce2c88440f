"""`tradebot exchange status`: show where the embedded exchange answers and what state it is in."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, convert

from commands.exchange.place import ANOTHER, Api, apis_of, exchange_of
from commands.shared.light_helpers import Identity
from commands.shared.times import MINUTE, when
from commands.shared.verb_options import Report
from tradebot.app import sandbox
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console


class AccountRow(Struct, frozen=True):
    """One account: its key, its balances in USD, and how many positions and orders it has."""

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
    """Report the exchange in a folder, from the process or else its files; raise OperatorError if there is none."""
    folder = exchange_of(path)
    settings = sandbox.market_settings(folder)
    market = convert({**settings, "fill": settings["fill"]["model"]}, MarketRow)
    url = sandbox.running(folder)
    if url is None:
        data = ExchangeStatus(str(folder), None, market, None, (), (), (), None)
    else:
        reply = sandbox.ask(folder, "GET", "/exchange/v1/status")
        accounts = tuple(convert(row, AccountRow) for row in reply["accounts"])
        armed = tuple(reply.get("faults", ()))
        apis, lines = apis_of(reply), reply["log_lines"]
        data = ExchangeStatus(str(folder), url, market, convert(reply, Time), accounts, apis, armed, lines)
    return Report("exchange-status", data, _render, whose=Identity("sandbox"))


def _render(out: "Console", data: ExchangeStatus) -> None:
    market = data.market
    if data.time is None:
        out.print(f"No process serves the exchange in {data.folder}", markup=False)
    else:
        out.print(f"The exchange in {data.folder} answers at {data.url}", markup=False)
        for api in (one for one in data.apis if one.port):
            out.print(f"  {api.title}{api.place}", markup=False)
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
