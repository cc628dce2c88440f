"""`tradebot audit`: check everything that could be wrong, from stored evidence, without changing anything."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, identity, on_bot
from tradebot.errors import ExitCode

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def run(app: "App", *, since_s: int | None = None, offline: bool = False) -> Report:
    """Audit the evidence; exit 10 if there are findings."""
    from commands.audit.audit_inputs import run_audit, show

    data = run_audit(app, since_s, offline=offline)
    code = ExitCode.FINDINGS if data.findings else ExitCode.DONE
    bot_identity = identity(app)
    return Report("audit", data, lambda console, _: show(console, data, bot_identity), code, bot_identity)


@on_bot(
    "audit",
    VerbPurpose.LOOK,
    230,
    {"audit/2": ("commands.audit.audit_inputs:Audited",)},
    epilog="tradebot audit\ntradebot audit --since 2h --offline\ntradebot audit --explain",
    is_short=True,
)
def audit(
    bot: "App",
    since: Annotated[str, typer.Option("--since", help="Time to cover: session, 30m, 2h, 1d.")] = "session",
    offline: Annotated[bool, typer.Option("--offline", help="Don't contact the broker.")] = False,
) -> Report:
    """Audit jobs, data, books and limits, and say what to fix."""
    from commands.shared.span_options import span_of

    span = span_of(None, since)
    return run(bot, since_s=span.since_s, offline=offline)
