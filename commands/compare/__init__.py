"""`tradebot compare`: two or more backtests or bots side by side."""

import os
from typing import Annotated

import typer

from commands.report.files import Html, Plot, files_of
from commands.shared.completion import backtest_names
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Json, StateDir, finish
from tradebot.adapters.state import state_folder


@verb(
    "compare",
    VerbPurpose.LOOK,
    160,
    {"compare/1": ("commands.compare.report:RunComparison",)},
    elsewhere=True,
    epilog="tradebot compare state/backtests/slow state/backtests/fast\ntradebot compare slow fast\n"
    "tradebot compare slow fast --plot curves.svg --html compared.html",
)
def compare(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...", help="Names of runs, or folders of runs or bots.", autocompletion=backtest_names
        ),
    ],
    plot: Plot = None,
    html: Html = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Compare backtests, or bots, side by side.

    Shows first which settings, markets and versions differ, then return, risk, exposure, turnover, costs and
    trades of each, with 95% intervals. A name is looked up in STATE/backtests.
    """
    from commands.compare.report import run
    from tradebot.lab.backtest.results import Results

    results = Results(state_folder.resolve(state_dir, os.environ))
    finish(run(folders, results.folder, files_of(plot, html)), as_json)
