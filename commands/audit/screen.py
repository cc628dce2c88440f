"""The screen of `tradebot audit`: first what to fix, then every item with its evidence."""

from rich.console import Console
from rich.markup import escape

from commands.audit.report import Audited
from commands.shared.drawing import colored
from commands.shared.judged import counts, table
from commands.shared.times import MINUTE, when
from tradebot.judging.judgment import Judgment
from tradebot.model.text import counted


def show(console: "Console", data: "Audited", mode: str, tail: str) -> None:
    """Print the verdict, the findings with their commands, and all items."""
    console.print(f"Audit of [bold]{mode}[/bold], account …{tail}, at {when(data.as_of)}")
    asked = "the broker was asked" if data.broker_asked else "the broker was not asked"
    span_of = f"counting since {when(data.since, MINUTE)}; " if data.since else ""
    console.print(f"  {span_of}{asked}; nothing was changed")
    console.print(f"  {counts(data.states)}")
    if data.findings:
        console.print(f"What to fix, most urgent first ({counted(len(data.findings), 'finding')}):")
    _findings(console, data)
    console.print(table(data.judgments, with_next=False))


def _findings(console: "Console", data: "Audited") -> None:
    if not data.findings:
        console.print(f"[green]Nothing to fix[/green]: {data.states['OK']} of {len(data.judgments)} subjects are OK.")
        return
    for rank, (command, items) in enumerate(_tasks(data.findings).items(), 1):
        console.print(f"{rank:>2}. {command}", markup=False)
        for item in items:
            console.print(f"    {colored(item.state)} {item.subject}: {escape(item.found)}")


def _tasks(findings: tuple[Judgment, ...]) -> dict[str, list[Judgment]]:
    tasks: dict[str, list[Judgment]] = {}
    for item in findings:
        tasks.setdefault(item.next, []).append(item)
    return tasks
