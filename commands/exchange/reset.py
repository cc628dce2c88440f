"""`tradebot exchange reset`: reset an account of the embedded exchange, like a reset of a paper account."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert

from commands.exchange.place import exchange_of
from commands.shared.light_helpers import Identity, clean, confirm, note
from commands.shared.verb_options import Report
from tradebot.adapters.state import state_folder
from tradebot.app import sandbox
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console


MAIN = "main"


class ResetAccount(Struct, frozen=True):
    """An account as it was before its reset, in USD; the exchange's log keeps its full history."""

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


def run(path: Path, name: str, cash: str | None, confirmed: str | None) -> Report:
    """Say what a reset removes, ask the user to confirm it by the account's name, and reset the account."""
    _refuse_books(path, name)
    folder = exchange_of(path)
    before = convert(_account_named(sandbox.ask(folder, "GET", "/exchange/v1/accounts"), name), ResetAccount)
    note(f"account {name}, …{before.account_number[-4:]}: {_described(before)}")
    confirm(name, confirmed, what=f"Resetting account {name}", command=f"tradebot exchange reset {name}", by_hand=False)
    body = {"account": name} | ({} if cash is None else {"cash": cash})
    reply = sandbox.ask(folder, "POST", "/exchange/v1/reset", body)
    data = convert(reply, Reset)
    return Report("exchange-reset", data, _render, whose=Identity("sandbox"))


def _refuse_books(path: Path, name: str) -> None:
    """Refuse to reset the account that a bot uses, because the bot's books belong to that account number."""
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


def _described(gone: ResetAccount) -> str:
    return (
        f"{gone.equity:,.2f} USD of equity, {pluralize(gone.positions, 'position')}, "
        f"{pluralize(gone.open_orders, 'open order')} and "
        f"{pluralize(gone.orders, 'order')} in total are removed; the exchange's log keeps them"
    )


def _render(out: "Console", data: Reset) -> None:
    out.print(
        f"Account {data.name} was reset: number …{data.account_number[-4:]}, {data.cash:,.2f} USD, key {data.key}"
    )
    out.print(f"  removed: {_described(data.gone)}")
