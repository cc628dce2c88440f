"""`tradebot report`: an account's profit, its uncertainty, and how it compares."""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from commands.report.files import Frame, Html, Plot, files_of
from commands.shared.completion import strategies, symbols
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.span_options import From, To, days_of
from commands.shared.verb_options import Config, Explain, Json, StateDir, finish
from tradebot.errors import OperatorError

MOST = 2
Folders = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FOLDER [FOLDER]]", help="State folders to report, two of them side by side."),
]
Strategy = Annotated[
    str | None,
    typer.Option("--strategy", help="Only profit and trades of this strategy.", autocompletion=strategies),
]
Symbol = Annotated[
    str | None, typer.Option("--symbol", help="Only profit and trades in this symbol.", autocompletion=symbols)
]


@verb(
    "report",
    VerbPurpose.LOOK,
    140,
    {"report/1": ("tradebot.lab.performance.report:PerformanceReport",)},
    epilog="tradebot report\ntradebot report --from 2026-11-16 --to 2026-11-20\n"
    "tradebot report --plot curve.svg --html report.html --frame run.csv\n"
    "tradebot report state other-state  # two bots side by side",
)
def report(
    folders: Folders = None,
    first: From = None,
    last: To = None,
    strategy: Strategy = None,
    symbol: Symbol = None,
    plot: Plot = None,
    html: Html = None,
    frame: Frame = None,
    explain: Explain = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Report what the account earned, and what may be chance.

    Shows the equity curve compared with cash and with SPY, or with holding the universe if no fund is traded; returns
    and ratios with 95% intervals, and whether they could be luck; months, drawdowns, costs and trades; and the value of
    the gates' refusals. Instead of a number that needs more observations than there are, the report shows how many it
    takes. Reads the bot's own books, and fetches only missing bars.
    """
    from commands.report.report_inputs import run
    from tradebot.views.trades.trade_row import Choice

    choice = Choice(days_of(first, last), strategy, symbol.upper() if symbol else None)
    _refuse_combinations(folders or (), state_dir, config)
    if frame and len(folders or ()) > 1:
        raise OperatorError("--frame writes the tables of one account", "name one folder")
    files = files_of(plot, html, frame)
    report = run(folders or (), state_dir, config, choice)
    if files:
        from commands.report.page import with_files

        report = with_files(report, report.data, files, config)
    finish(report, as_json, explain)


def _refuse_combinations(folders: Sequence[str], state_dir: str | None, config: str | None) -> None:
    if len(folders) > MOST:
        raise OperatorError("report takes at most two folders", "name one or two")
    if folders and (state_dir or config):
        raise OperatorError(
            "folders that you name are read with their own configuration",
            "leave out --state-dir and --config",
        )
    if len({os.path.realpath(folder) for folder in folders}) < len(folders):
        raise OperatorError("both folders are the same", "name two different ones, or one alone")
