"""`tradebot audit`: everything that could be wrong, judged from evidence; it looks and changes nothing."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.plain import clean
from commands.shared.surface import Config, Json, Report, StateDir, finish, opened
from tradebot.errors import ExitCode

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.auditing.items import Item


@dataclass(frozen=True, slots=True)
class Audited:
    """One audit at trading time `as_of`, counting from `since`: `findings` are the items to work on, the first first.

    `states` counts the items by state; `left_out` those that nobody looked at, on request or for want of anything.
    """

    as_of: datetime
    since: datetime
    broker_asked: bool
    states: dict[str, int]
    left_out: int
    findings: "tuple[Item, ...]"
    items: "tuple[Item, ...]"


def run(app: "App", *, since_s: int | None = None, offline: bool = False) -> Report:
    """Read the evidence and judge it; exit 10 where anything is to be done."""
    from commands.audit.reading import read
    from commands.audit.screen import show
    from tradebot.auditing.audit import audit

    evidence = read(app, since_s, offline=offline)
    result = audit(evidence)
    items = tuple(_printable(item) for item in result.items)
    data = Audited(
        as_of=evidence.moment.now,
        since=evidence.moment.since,
        broker_asked=not offline,
        states=_counted(items),
        left_out=sum(item.left_out for item in items),
        findings=tuple(_printable(item) for item in result.findings),
        items=items,
    )
    code = ExitCode.FINDINGS if data.findings else ExitCode.DONE
    name, tail = app.mode_name, app.account_tail
    return Report("audit", data, lambda console: show(console, data, name, tail), code, name, tail)


def _counted(items: "tuple[Item, ...]") -> dict[str, int]:
    from tradebot.auditing.items import State

    return {state.value: sum(item.state is state for item in items) for state in State}


def _printable(item: "Item") -> "Item":
    """What the venue and other people write stands in these sentences."""
    return replace(item, found=clean(item.found))


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command("audit", epilog="tradebot audit\ntradebot audit --since 2h --offline")
    def audit(
        since: Annotated[str, typer.Option("--since", help="Time to cover: session, 30m, 2h, 1d.")] = "session",
        offline: Annotated[bool, typer.Option("--offline", help="Don't contact the broker.")] = False,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Audit jobs, data, books and limits, and say what to fix."""
        from commands.why_no_orders.verb import span_of

        span = span_of(None, since)
        with opened(state_dir, config) as bot:
            report = run(bot, since_s=span.since_s, offline=offline)
        finish(report, as_json)
