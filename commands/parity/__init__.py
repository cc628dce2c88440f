"""`tradebot parity`: run a recorded session through the backtest, and compare it with the bot's actual decisions."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "parity",
    VerbPurpose.LOOK,
    50,
    {"parity/1": ("commands.parity.report:Parity",)},
    epilog="tradebot parity  # the last session\ntradebot parity 2026-11-16\ntradebot parity 2026-11-16 --json",
)
def parity(
    bot: "App",
    session: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="The session's date [the last recorded one].")
    ] = None,
) -> Report:
    """Compare a session with its backtest.

    Plays the recorded session through the backtest, on an exchange without faults. The backtest gets each fact when it
    became known, the settings that applied, and the halts when they happened. Each decision, order and fill is compared
    with the bot's, and each difference is explained with what it cost. The timetable runs this after every session.
    """
    from commands.parity.report import run

    return run(bot, session)
