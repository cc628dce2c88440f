"""The screen of `tradebot doctor`."""

from typing import TYPE_CHECKING

from rich.markup import escape

from commands.shared.drawing import STATE_STYLE, colored
from commands.shared.plain import clean
from commands.shared.tables import Table, sentence, staying
from tradebot.judging.looks import span
from tradebot.text import counted_kind

if TYPE_CHECKING:
    from rich.console import Console

    from commands.doctor.report import Health
    from tradebot.judging.judgment import Judgment


def show(console: "Console", data: "Health", mode: str | None, tail: str | None) -> None:
    """Print a row for each judgment, its evidence below it, and the fix if one is needed."""
    whose = f"{mode}, account …{tail}, state" if mode else "state"
    asked = "broker and flow source contacted" if data.asked else "offline: broker and flow source not contacted"
    console.print(f"[bold]{whose}[/bold] {escape(data.state_dir)}; {asked}")
    table = Table("state", staying("check"), sentence("found"), header=False)
    for row in data.judgments:
        table.row(colored(row.state), row.subject, _words(row))
    console.print(table)
    console.print(", ".join(f"[{STATE_STYLE[name]}]{count} {name}[/]" for name, count in data.states.items() if count))


def _words(row: "Judgment") -> str:
    age = f", {span(row.age_s)} old" if row.age_s else ""
    seen = f" [dim]({counted_kind(row.count, row.looked_at)}{age})[/]" if row.count else ""
    fix = f"\n[bold]fix:[/] {escape(clean(row.next))}" if row.next else ""
    return f"{escape(clean(row.found))}{seen}{fix}"
