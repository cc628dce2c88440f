"""`tradebot compare`: two or more backtests or bots side by side."""

import os
from pathlib import Path
from typing import Annotated

import typer

from commands.report.files import MOST_CURVES, Files, Html, Plot, files_of, write_files
from commands.shared.completion import runs
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Json, Report, StateDir, finish
from tradebot.adapters.state import state_folder
from tradebot.errors import OperatorError, word

MOST_NAMED = 5
"""So many runs are named to someone who asked for one that isn't there."""


def run(named: list[str], home: Path, files: Files) -> Report:
    from commands.compare.report import compare_reports, page, read_all, render

    if files and len(named) > MOST_CURVES:
        raise OperatorError(f"a picture has at most {MOST_CURVES} curves, not {len(named)}", "name fewer runs")
    read = read_all([_folder(home, one) for one in named])
    data, accounts = compare_reports(read), [run.account for run in read]
    report = Report("compare", data, render)
    return write_files(report, files, accounts, lambda: page(data, accounts))


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
        typer.Argument(metavar="RUN RUN...", help="Names of runs, or folders of runs or bots.", autocompletion=runs),
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
    from tradebot.lab.backtest.results import Results

    results = Results(state_folder.resolve(state_dir, os.environ))
    finish(run(folders, results.folder, files_of(plot, html)), as_json)


def _folder(home: Path, named: str) -> str:
    if Path(named).exists():
        return named
    if (home / named).exists():
        return str(home / named)
    known = ", ".join(sorted(path.parent.name for path in home.glob("*/result.json"))[:MOST_NAMED])
    raise OperatorError(
        f"there is no folder {word(named)}, and no run of that name in {home}",
        f"name one of {known}" if known else "tradebot backtest --name NAME",
    )
