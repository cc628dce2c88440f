"""The report of `tradebot audit`."""

from datetime import datetime

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.audit.audit_inputs import read
from commands.shared.judgment_table import counted_states, counts, table
from commands.shared.light_helpers import Identity, clean
from commands.shared.number_format import color_state
from commands.shared.times import MINUTE, when
from tradebot.adapters.state.evidence import BACKTEST, SHADOW
from tradebot.app.wiring import App
from tradebot.judging.audit import audit
from tradebot.judging.evidence import Trading
from tradebot.judging.judgment import Judgment, rank_judgments
from tradebot.model.text import pluralize
from tradebot.model.values import replace


class Audited(Struct, frozen=True):
    """One audit at trading time `as_of`, starting at `since`; `findings` are what to fix, most urgent first.

    `states` counts the judgments by state. `since` is None if the books couldn't be read.
    """

    as_of: datetime
    since: datetime | None
    broker_asked: bool
    states: dict[str, int]
    findings: "tuple[Judgment, ...]"
    judgments: "tuple[Judgment, ...]"


def run_audit(app: "App", since_s: int | None, *, offline: bool) -> Audited:
    """Read the evidence and judge it; `since_s` is in seconds, None for the session. A backtest has no broker."""
    finished = app.folder.kind in (BACKTEST, SHADOW)
    offline = offline or finished
    evidence, seen = read(app, since_s, offline=offline)
    # These sentences quote the broker and other people.
    judgments = tuple(replace(each, found=clean(each.found)) for each in audit(evidence, seen, finished=finished))
    moment = seen.moment if isinstance(seen, Trading) else None
    return Audited(
        as_of=moment.now if moment else evidence.at,
        since=moment.since if moment else None,
        broker_asked=not offline,
        states=counted_states(judgments),
        findings=rank_judgments(judgments),
        judgments=judgments,
    )


def show(console: "Console", data: "Audited", whose: Identity) -> None:
    """Print the verdict, the findings with their commands, and all items."""
    console.print(f"Audit of [bold]{whose.mode}[/bold], {whose.place}, at {when(data.as_of)}")
    asked = "the broker was asked" if data.broker_asked else "the broker was not asked"
    span_of = f"counting since {when(data.since, MINUTE)}; " if data.since else ""
    console.print(f"  {span_of}{asked}; nothing was changed")
    console.print(f"  {counts(data.states)}")
    show_findings(console, data)
    console.print(table(data.judgments, with_next=False))


def show_findings(console: "Console", data: "Audited") -> None:
    """Print the findings alone, each with its command."""
    if not data.findings:
        console.print(f"[green]Nothing to fix[/green]: {data.states['OK']} of {len(data.judgments)} subjects are OK.")
        return
    console.print(f"What to fix, most urgent first ({pluralize(len(data.findings), 'finding')}):")
    for rank, (command, items) in enumerate(_tasks(data.findings).items(), 1):
        console.print(f"{rank:>2}. {command}", markup=False)
        for item in items:
            console.print(f"    {color_state(item.state)} {item.subject}: {escape(item.found)}")


def _tasks(findings: tuple[Judgment, ...]) -> dict[str, list[Judgment]]:
    tasks: dict[str, list[Judgment]] = {}
    for item in findings:
        tasks.setdefault(item.next, []).append(item)
    return tasks
