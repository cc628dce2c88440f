"""`tradebot export`: write the books' orders, executions and audit lines into a database for other programs."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose
from commands.shared.history import read_history
from commands.shared.verb_options import Report, on_bot
from tradebot.adapters.exports import POSTGRES, ExportTable, RowOwner, write
from tradebot.errors import OperatorError, word
from tradebot.model.sentences import pluralize
from tradebot.views.export_tables import AuditLine, ExecutionLine, OrderLine, export_account

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
To = Annotated[str, typer.Option("--to", help="An SQLite file, or postgresql://USER@HOST/DATABASE.")]
As = Annotated[str | None, typer.Option("--as", help="The bot's name in the tables [its folder's name].")]


class Tables(Struct, frozen=True):
    """The result of an export: the bot's name, the database, and the number of rows in each table.

    `books_at` is the last moment in the books.
    """

    bot: str
    to: str
    books_at: datetime | None
    orders: int
    executions: int
    audit: int


def run(app: "App", to: str, name: str | None) -> Report:
    """Replace this bot's rows in a database with those of its books. Raises OperatorError for an invalid path."""
    bot = name or app.folder.path.resolve().name
    if not NAME.fullmatch(bot):
        raise OperatorError(f"the tables can't have a bot named {word(bot)}", "use letters, digits, - and _: --as NAME")
    if "://" in to and not to.startswith(POSTGRES):
        raise OperatorError(
            f"can't export to an address of type {word(to.partition('://')[0])}", "--to books.db, or postgresql://…"
        )
    ledger, history = app.ledger_view, read_history(app)
    exported = export_account(history, ledger.intents(), ledger.orders())
    tables = {
        "orders": ExportTable(OrderLine, exported.orders),
        "executions": ExportTable(ExecutionLine, exported.executions),
        "audit": ExportTable(AuditLine, exported.audit),
    }
    write(to, RowOwner(bot, app.account_tail, app.mode_name), history.at, tables)
    shown = "PostgreSQL" if "://" in to else to
    rows = {table: len(of.rows) for table, of in tables.items()}
    return Report("export", Tables(bot, shown, history.at, **rows), _render)


def _render(console: "Console", data: Tables) -> None:
    parts = (
        pluralize(data.orders, "order"),
        pluralize(data.executions, "execution"),
        pluralize(data.audit, "audit line"),
    )
    console.print(f"{data.to} has {parts[0]}, {parts[1]} and {parts[2]} of {data.bot}", markup=False, soft_wrap=True)
    console.print("Try SELECT symbol, SUM(pnl) FROM executions GROUP BY symbol", markup=False)


@on_bot(
    "export",
    VerbPurpose.LOOK,
    190,
    {"export/1": (Tables,)},
    epilog="tradebot export --to books.db\ntradebot export --to postgresql://bots@localhost/books --as main",
)
def export(bot: "App", to: To, name: As = None) -> Report:
    """Write orders and executions to a database.

    The tables orders, executions and audit are views of the books. Several bots may share a database: each replaces
    only its own rows, in one transaction. No bot ever reads them.
    """
    return run(bot, to, name)
