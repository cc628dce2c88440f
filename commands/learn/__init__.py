"""`tradebot learn`: what the closed trades suggest about settings. It changes nothing by itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import strategies
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import note
from commands.shared.span_options import From, To, days_of
from commands.shared.verb_options import (
    Config,
    Explain,
    Json,
    Report,
    StateDir,
    finish,
    identity,
    open_bot,
    progress_bar,
)
from tradebot.errors import OperatorError, word
from tradebot.views.trades.trade_row import Choice

if TYPE_CHECKING:
    from tradebot.app.wiring import App

Strategy = Annotated[
    str | None, typer.Option("--strategy", help="Only trades of this strategy.", autocompletion=strategies)
]
Write = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Write a configuration with what is proposed to FILE.")
]


def run(app: "App", choice: "Choice", config: str | None, write: Path | None) -> Report:
    """Return what is proposed; the bot's own configuration with that is written to the file to `write`, if any."""
    from commands.learn.learn_inputs import read
    from commands.learn.report import WORTH, Learned, fit_proposals, own_file, render
    from commands.shared.files import save

    if write is not None:
        _refuse_own(write, own_file(app, config))
    with progress_bar("measuring blocked trades") as progress:
        learn_result, problems, at = read(app, choice, progress)
    fit = fit_proposals(
        app, config, write or own_file(app, config) or app.folder.path / "tradebot.yaml", learn_result.proposals
    )
    proposed = sum(proposal.proposed is not None for proposal in fit.proposals)
    written = write if proposed else None
    if written is not None:
        save(fit.text, written)
    elif write is not None:
        note(f"{write} isn't written: nothing is proposed")
    data = Learned(
        at=at,
        from_date=choice.days.first,
        to_date=choice.days.last,
        trades=learn_result.counts,
        proposals=fit.proposals,
        proposed=proposed,
        unknown=learn_result.unknown,
        problems=problems,
        worth=WORTH,
        file=str(written) if written else None,
        looser=fit.looser if written else (),
    )
    return Report("learn", data, render, whose=identity(app))


def _refuse_own(file: Path, own: Path | None) -> None:
    """Refuse to write over the configuration in use: what is learned counts once a person takes it over."""
    if own is not None and file.exists() and file.samefile(own):
        raise OperatorError(
            f"{file} is this bot's configuration, and learning changes nothing by itself",
            "name another file, look at it, and take it over yourself: tradebot learn --write learned.yaml",
        )


@verb(
    "learn",
    VerbPurpose.LOOK,
    150,
    {"learn/1": ("commands.learn.report:Learned",)},
    epilog="tradebot learn\ntradebot learn --strategy flow --from 2026-11-16 --json\n"
    "tradebot learn --write learned.yaml  # then: tradebot config check learned.yaml",
)
def learn(
    write: Write = None,
    first: From = None,
    last: To = None,
    strategy: Strategy = None,
    explain: Explain = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Propose settings from what trades earned.

    Looks at the closed trades and at what gates blocked, and proposes weights of signals, times of entries, sizes of
    orders, exits, profit targets and limits, each with its evidence. Limits only get tighter. With too few trades, it
    says how many more it takes. Nothing is changed: --write makes a file that you can check, search with and take over.
    """
    choice = Choice(days_of(first, last), strategy)
    with open_bot(state_dir, config) as bot:
        in_use = bot.settings.strategies.sections()
        if strategy is not None and strategy not in in_use:
            raise OperatorError(f"strategy {word(strategy)} isn't in use", f"name one of these: {', '.join(in_use)}")
        report = run(bot, choice, config, write)
    finish(report, as_json, explain)
