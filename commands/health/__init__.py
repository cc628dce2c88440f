"""`tradebot health`: the state of each part of the bot and the evidence for it, with an exit code for programs."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, identity, on_bot, opened_to_look
from tradebot.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App


def run(app: "App", *, probe: bool = False) -> Report:
    """Judge every part by the bot's own records; exit 10 if any has FAILED, as a probe if anyone has to act."""
    from commands.health.report import Health, show, summary
    from commands.shared.evidence import evidence_of
    from tradebot.judging.judgment import HealthState, overall
    from tradebot.judging.pass_health import judge_passes

    judgments = judge_passes(evidence_of(app))
    state, whose = overall(judgments), identity(app)
    data = Health(str(app.folder.path), state, summary(judgments), judgments)

    def render(console: "Console", data: Health) -> None:
        if not probe:
            show(console, data, whose)
            return
        console.print(f"{state}: {data.summary}", markup=False, soft_wrap=True)

    code = ExitCode.FINDINGS if state is HealthState.FAILED or (probe and state.is_finding) else ExitCode.DONE
    return Report("health", data, render, code, whose)


@on_bot(
    "health",
    VerbPurpose.LOOK,
    80,
    {"health/2": ("commands.health.report:Health",)},
    epilog="tradebot health\ntradebot health --probe  # for scripts: exits with 10 unless all is well",
    opens=opened_to_look,
)
def health(
    bot: "App",
    probe: Annotated[
        bool, typer.Option("--probe", help="Print one line, and exit with code 10 if anyone has to act.")
    ] = False,
) -> Report:
    """Show how each part of the bot is, and by what evidence.

    Each part is OK, DEGRADED, FAILED, UNKNOWN or NOT_DUE, judged by the bot's own records. Nothing is asked or
    changed. Exits with code 10 if any part has FAILED.
    """
    return run(bot, probe=probe)
