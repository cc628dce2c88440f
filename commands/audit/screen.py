"""The screen of `tradebot audit`: first what to fix, then every item with its evidence."""

from typing import TYPE_CHECKING

from rich.markup import escape

from commands.shared.tables import Table, sentence, staying
from commands.shared.times import MINUTE, when
from tradebot.auditing.items import Item, State, span
from tradebot.text import counted, counted_kind

if TYPE_CHECKING:
    from rich.console import Console

    from commands.audit.report import Audited

STYLE = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red", State.UNKNOWN: "magenta"}


def show(console: "Console", data: "Audited", mode: str, tail: str) -> None:
    """Print the verdict, the findings with their commands, and all items."""
    console.print(f"Audit of [bold]{mode}[/bold], account …{tail}, at {when(data.as_of)}")
    asked = "the broker was asked" if data.broker_asked else "the broker was not asked"
    console.print(f"  counting since {when(data.since, MINUTE)}; {asked}; nothing was changed")
    counts = "  ".join(f"[{STYLE[State(name)]}]{count} {name}[/]" for name, count in data.states.items())
    console.print(f"  {counts}" + (f"  ({data.left_out} of these skipped)" if data.left_out else ""))
    if data.findings:
        console.print(f"What to fix, most urgent first ({counted(len(data.findings), 'finding')}):")
    _findings(console, data)
    console.print(_table(data.items))


def _findings(console: "Console", data: "Audited") -> None:
    if not data.findings:
        looked = sum(not item.left_out for item in data.items)
        console.print(f"[green]Nothing to fix[/green]: {looked} of {looked} items are ok.")
        return
    for rank, (command, items) in enumerate(_tasks(data.findings).items(), 1):
        console.print(f"{rank:>2}. {command or 'no command'}", markup=False)
        for item in items:
            console.print(f"    [{STYLE[item.state]}]{item.state}[/] {item.name}: {escape(item.found)}")


def _tasks(findings: tuple[Item, ...]) -> dict[str, list[Item]]:
    """Group the findings by the command that fixes them, in the order in which to run the commands."""
    tasks: dict[str, list[Item]] = {}
    for item in findings:
        tasks.setdefault(item.command or "", []).append(item)
    return tasks


def _table(items: tuple[Item, ...]) -> Table:
    table = Table("state", staying("item"), sentence("looked at", "looked at"), sentence("found"))
    for item in items:
        state = f"[{STYLE[item.state]}]{item.state}[/]"
        style = "dim" if item.left_out else ""
        table.row(state, item.name, _looked_at(item), escape(item.found), style=style)
    return table


def _looked_at(item: Item) -> str:
    """Describe what was checked: how many, and how old the newest is."""
    age = "" if item.age_s is None else f", {span(max(item.age_s, 0.0))}"
    return f"{counted_kind(item.count, item.looked_at)}{age}"
