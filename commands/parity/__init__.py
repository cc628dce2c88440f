"""`tradebot parity`: play a recorded session through the backtest, and compare it with what the bot did."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, identity, on_bot, progress_bar
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.struct_tools import replace
from tradebot.views.parity import LATELY, over_time

if TYPE_CHECKING:
    from datetime import date

    from tradebot.app.wiring import App


def run(app: "App", typed: str | None) -> Report:
    """Compare a session, by default the last recorded one; exit 10 if a difference is ours."""
    from commands.parity.report import Parity, render
    from commands.score.run import day_of
    from tradebot.lab.parity import parity_of

    day = day_of(typed) if typed else _last(app)
    with progress_bar("playing the session again") as progress:
        day_parity = parity_of(app, day, progress)
    if day_parity.complete:
        app.facts.put_parity(replace(day_parity, differences=()))
    data = Parity(day_parity, over_time(app.facts.parities(LATELY)))
    return Report("parity", data, render, ExitCode.FINDINGS if day_parity.ours else ExitCode.DONE, identity(app))


def _last(app: "App") -> "date":
    every = app.passes.passes()
    if not every:
        hint = "passes are recorded as they run: tradebot serve; storage.replay_sessions says for how many sessions"
        raise OperatorError("No pass is recorded, so there is no session to play.", hint)
    return every[-1].session


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

    Plays the recorded session through the backtest: the facts as they became known, the settings in force, halts where
    they happened, on an exchange without faults. Compares each decision, order and fill with what the bot did, and says
    why each difference is there and what it cost. The timetable runs it after every session.
    """
    return run(bot, session)
