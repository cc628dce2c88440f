"""The screen of `tradebot status`."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from commands.status import OpenOrder, Status

STATE_STYLE = {"ACTIVE": "green", "REDUCE_ONLY": "yellow", "FLATTEN": "red"}


def show(console: "Console", data: "Status", mode: str, tail: str) -> None:
    """Print the screen: who and where, what may be done, what was done, what is held."""
    console.print(f"[bold]{mode}[/bold], account …{tail}, state {escape(data.state_dir)}")
    console.print(f"  last recorded trading time {_when(data.as_of)}; the venue was not asked")
    served = f"running at {data.exchange_url}" if data.exchange_url else "not running"
    console.print(f"  embedded exchange {served}")
    _may(console, data)
    _passes(console, data)
    _positions(console, data)
    _orders(console, "working orders", data.orders)
    _orders(console, "orders of unknown fate", data.unresolved)
    console.print(f"Realized profit {data.realized_usd:,.2f} USD")
    seen = data.looked_at
    console.print(
        f"Looked at {seen.fills} fills, {seen.intents} intents, {seen.orders} working orders, "
        f"{seen.passes} last passes",
        style="dim",
    )


def _may(console: "Console", data: "Status") -> None:
    colour = STATE_STYLE[data.trading_state]
    who = f" by {escape(data.trading_who)}" if data.trading_who else ""
    at = f" at {_when(data.trading_at)}" if data.trading_at else ""
    console.print(f"Trading state [{colour}]{data.trading_state}[/{colour}]{who}{at}: {escape(data.trading_why)}")
    for door in data.doors:
        console.print(f"Permission [red]closed[/red]: {door.reason} ({escape(door.found)}): nothing is sent")
    if not data.doors:
        console.print("Permission open")
    if data.reconcile is None:
        console.print("Books [yellow]never compared[/yellow] with the broker's. Next: tradebot reconcile")
        return
    found = data.reconcile
    words = f"{found.findings} findings, {found.blocking} keep entries shut" if found.findings else "they agree"
    console.print(f"Books compared {_when(found.at)}, {found.age_s / 60:.0f} min before the last record: {words}")


def _passes(console: "Console", data: "Status") -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("last pass", "trading time", "slot", "did"):
        table.add_column(name)
    for last in data.passes:
        table.add_row(last.job, _when(last.at), last.slot or "", last.did)
    if data.passes:
        console.print(table)


def _positions(console: "Console", data: "Status") -> None:
    console.print(f"{len(data.positions)} positions")
    table = Table(box=None, pad_edge=False)
    for name in ("symbol", "quantity", "average", "cost USD", "opened", "strategy"):
        table.add_column(name, justify="right" if name in ("quantity", "average", "cost USD") else "left")
    for held in data.positions:
        numbers = (f"{held.quantity:,f}", f"{held.average_price:,.4f}", f"{held.cost:,.2f}")
        table.add_row(escape(held.symbol), *numbers, _when(held.opened_at), held.strategy)
    if data.positions:
        console.print(table)


def _orders(console: "Console", title: str, orders: "Sequence[OpenOrder]") -> None:
    console.print(f"{len(orders)} {title}")
    table = Table(box=None, pad_edge=False)
    for name in ("symbol", "side", "open", "limit", "status", "id"):
        table.add_column(name, justify="right" if name in ("open", "limit") else "left")
    for order in orders:
        numbers = (f"{order.quantity:,f}", _price(order.limit_price))
        table.add_row(escape(order.symbol), order.side, *numbers, order.status, escape(order.client_order_id))
    if orders:
        console.print(table)


def _price(price: Decimal | None) -> str:
    return "market" if price is None else f"{price:,f}"


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "none yet"
