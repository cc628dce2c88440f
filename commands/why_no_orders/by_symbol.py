"""`tradebot why-no-orders --by-symbol`: how many candidates each question refused, symbol by symbol."""

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.number_format import bar
from commands.shared.tables import Column, Table, number
from commands.shared.times import MINUTE, when
from tradebot.model.text import pluralize
from tradebot.views.why_no_orders import BySymbol

BAR = 16


def show(console: Console, data: BySymbol) -> None:
    """Print the questions in the order of asking, and a row for each symbol."""
    if data.left_out:
        console.print(f"Left out: {data.left_out}", markup=False)
    if data.first_at is None or data.last_at is None:
        return
    span = f"{when(data.first_at, MINUTE)} to {when(data.last_at, MINUTE)}"
    console.print(f"Looked at: {pluralize(data.passes, 'pass', 'passes')}, {span}", markup=False)
    refused = data.candidates - data.orders
    sent = f"{pluralize(data.candidates, 'candidate')} = {pluralize(data.orders, 'order')} + {refused:,} refused"
    console.print(f"Funnel: {sent}; each counts where it was refused first", markup=False)
    if data.candidates:
        console.print(_by_gate(data))
        console.print()
        console.print(_by_symbol(data))


def _by_gate(data: BySymbol) -> Table:
    table = Table("question", number("came"), number("refused"), "")
    most = max((each.refused for each in data.gates), default=1)
    for each in data.gates:
        table.row(escape(clean(each.gate)), f"{each.came:,}", f"{each.refused:,}", bar(each.refused, most, BAR))
    table.row("sent", f"{data.orders:,}", "", "")
    return table


def _by_symbol(data: BySymbol) -> Table:
    names = [each.gate for each in data.gates]
    table = Table("symbol", *_columns(names))
    for each in data.symbols:
        cells = (f"{each.refused[name]:,}" if name in each.refused else "" for name in names)
        table.row(escape(clean(each.symbol)), f"{each.candidates:,}", f"{each.orders:,}", *cells)
    return table


def _columns(names: list[str]) -> Iterator[Column]:
    yield number("candidates")
    yield number("sent")
    for name in names:
        yield number(clean(name))
