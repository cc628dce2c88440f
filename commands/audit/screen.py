"""The screen of `tradebot audit`: what to do first, then every item with its evidence."""

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from tradebot.auditing.items import Item, State, span

if TYPE_CHECKING:
    from rich.console import Console

    from commands.audit.verb import Audited

STYLE = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red", State.UNKNOWN: "magenta"}


def show(console: "Console", data: "Audited", mode: str, tail: str) -> None:
    """Print the verdict, the findings with their commands, and all items."""
    console.print(f"Audit of [bold]{mode}[/bold], account …{tail}, at {data.as_of:%Y-%m-%d %H:%M:%S} UTC")
    asked = "the broker was asked" if data.broker_asked else "the broker was left out"
    console.print(f"  counting since {data.since:%Y-%m-%d %H:%M} UTC; {asked}; nothing was changed")
    counts = "  ".join(f"[{STYLE[State(name)]}]{count} {name}[/]" for name, count in data.states.items())
    console.print(f"  {counts}" + (f"  ({data.left_out} of these not looked at)" if data.left_out else ""))
    if data.findings:
        console.print(f"To do, the first first, for {len(data.findings)} findings:")
    _findings(console, data)
    console.print(_table(data.items))


def _findings(console: "Console", data: "Audited") -> None:
    if not data.findings:
        looked = sum(not item.left_out for item in data.items)
        console.print(f"[green]Nothing to do[/green]: all {looked} items that were looked at are ok.")
        return
    for rank, (command, items) in enumerate(_tasks(data.findings).items(), 1):
        console.print(f"{rank:>2}. {command or 'nothing to type'}", markup=False, soft_wrap=True)
        for item in items:
            console.print(f"    [{STYLE[item.state]}]{item.state}[/] {item.name}: {escape(item.found)}")


def _tasks(findings: tuple[Item, ...]) -> dict[str, list[Item]]:
    """Return the findings by the command that deals with them, in the order in which the commands are wanted."""
    tasks: dict[str, list[Item]] = {}
    for item in findings:
        tasks.setdefault(item.command or "", []).append(item)
    return tasks


def _table(items: tuple[Item, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("state", no_wrap=True)
    for name in ("item", "looked at", "found"):
        table.add_column(name, overflow="fold")
    for item in items:
        state = f"[{STYLE[item.state]}]{item.state}[/]"
        style = "dim" if item.left_out else None
        table.add_row(state, item.name, _looked_at(item), escape(item.found), style=style)
    return table


def _looked_at(item: Item) -> str:
    """Return how many of what, and how old the newest is."""
    age = "" if item.age_s is None else f", {span(max(item.age_s, 0.0))}"
    return f"{item.count:,} {item.looked_at}{age}"
