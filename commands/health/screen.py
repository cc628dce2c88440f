"""The screen of `tradebot health`."""

from typing import TYPE_CHECKING

from rich.markup import escape

from commands.shared.drawing import colored, duration
from commands.shared.plain import clean
from commands.shared.tables import Table, number, sentence, staying

if TYPE_CHECKING:
    from rich.console import Console

    from commands.health.report import Health
    from tradebot.judging.judgment import Judgment


def show(console: "Console", data: "Health", mode: str, tail: str) -> None:
    """Print a row for each part: its state, how much was looked at, how old that is, and what was found."""
    console.print(f"[bold]{mode}[/bold], account …{tail}, state {escape(data.state_dir)}; the broker was not asked")
    table = Table(staying("part"), "state", number("looked at"), number("age"), sentence("found"))
    for judgment in data.judgments:
        age = "" if judgment.age_s is None else duration(judgment.age_s)
        table.row(judgment.subject, colored(judgment.state), f"{judgment.count:,}", age, _words(judgment))
    console.print(table)
    console.print(f"Health {colored(data.state)}: {data.summary}")


def _words(judgment: "Judgment") -> str:
    following = f"\n[bold]next:[/bold] {escape(clean(judgment.next))}" if judgment.next else ""
    return f"{escape(clean(judgment.found))}{following}"
