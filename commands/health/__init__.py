"""`tradebot health`: the state of each part of the bot with its evidence, and an exit code for programs."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, on_bot, opened_to_look

if TYPE_CHECKING:
    from tradebot.app.wiring import App


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
    """Show the health of each part of the bot, with evidence.

    Each part is OK, DEGRADED, FAILED, UNKNOWN or NOT_DUE, by the bot's own records. Nothing is contacted or changed.
    Exits with code 10 if any part has FAILED.
    """
    from commands.health.report import run

    return run(bot, probe=probe)
