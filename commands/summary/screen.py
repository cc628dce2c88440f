"""A summary on a terminal, as a chat message, and as one page that needs no other file."""

from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import Identity, clean
from commands.shared.number_format import gain, units, usd
from commands.shared.tables import Table, number, sentence
from commands.shared.times import MINUTE, when
from tradebot.views.summary.values import Held, Summary


def show(console: "Console", data: Summary, whose: str) -> None:
    """Print all sections."""
    console.print(f"[bold {'yellow' if data.needs else 'green'}]{escape(clean(data.headline))}[/]")
    console.print(whose, style="dim", markup=False)
    for section in data.sections:
        console.print(f"\n[bold]{section.title}[/bold]")
        for line in section.lines:
            console.print(clean(line), markup=False)
        if section.title == "What it did" and tells_reasons(data):
            _refusals(console, data)
        if section.title == "Positions" and data.positions:
            _positions(console, data)


def message(console: "Console", data: Summary) -> None:
    """Print the chat message; it isn't wrapped, because whoever shows it does that."""
    for line in data.short.splitlines():
        console.print(clean(line), markup=False, soft_wrap=True)


def page(data: Summary, whose: str) -> str:
    """Return the web page."""
    from commands.report.page import render_template

    tables = {"cells": cells, "columns": columns(data), "reasons": tells_reasons(data)}
    return render_template("summary.html", data=data, about=whose, **tables)


def about(data: Summary, whose: Identity) -> str:
    """Return whose session it is, and how fresh what is told."""
    fresh = f"as of {when(data.as_of, MINUTE)}" if data.as_of else "nothing was recorded yet"
    return f"{whose.mode}, {whose.place}, {fresh}; from the bot's own records, the broker was not asked"


def tells_reasons(data: Summary) -> bool:
    """Return True if the sentences don't say already why everything was refused."""
    return len(data.refusals) > (0 if data.orders else 1)


def _refusals(console: "Console", data: Summary) -> None:
    table = Table(number("refused"), sentence("because"))
    for row in data.refusals:
        table.row(f"{row.count:,}", row.meaning)
    console.print(table)


def _positions(console: "Console", data: Summary) -> None:
    names = columns(data)
    table = Table("symbol", *map(number, names))
    for row in data.positions:
        shown = cells(row) | ({} if row.gain_usd is None else {"gain USD": gain(row.gain_usd)})
        table.row(escape(clean(row.symbol)), *(shown[name] for name in names))
    console.print(table)


def columns(data: Summary) -> list[str]:
    """Return the headings of the positions' columns besides the symbol, without those that would be empty."""
    rows = list(map(cells, data.positions))
    return [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]


def cells(row: Held) -> dict[str, str]:
    """Return the cells of a position besides its symbol, as plain text by their heading."""
    return {
        units(): f"{row.quantity:,f}",
        "entry": usd(row.entry_usd, row.symbol),
        "now": usd(row.price_usd, row.symbol),
        "gain USD": "" if row.gain_usd is None else f"{row.gain_usd:+,.2f}",
        "stop": usd(row.stop_usd, row.symbol),
        "away": "" if row.distance is None else f"{row.distance:.1%}",
    }
