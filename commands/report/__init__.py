"""`tradebot report`: what an account earned, how certain that is, and how it compares."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.report.files import Files, Frame, Html, Plot, files_of, write_files
from commands.shared.completion import strategies, symbols
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import NOBODY, Identity
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
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from datetime import datetime

    from tradebot.app.wiring import App
    from tradebot.lab.performance.report import AccountReport
    from tradebot.lab.performance.report import PerformanceReport as Data
    from tradebot.ports.world import Progress
    from tradebot.views.trades.trade_row import Choice

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


def run(folders: Sequence[str], state_dir: str | None, config: str | None, choice: "Choice") -> Report:
    """Report one bot, or two side by side."""
    asked: list[tuple[str | None, str | None]] = [(folder, None) for folder in folders] or [(state_dir, config)]
    with progress_bar("measuring refusals") as progress:
        read = [_read(folder, file, choice, progress) for folder, file in asked]
    return _build_report(read, choice)


def run_here(app: "App", choice: "Choice") -> Report:
    """Report a bot that is open."""
    return _build_report([_read_here(app, str(app.folder.path), choice, lambda done, total: None)], choice)


def _build_report(read: "Sequence[tuple[AccountReport, datetime | None, Identity]]", choice: "Choice") -> Report:
    from commands.report.screen import render
    from tradebot.lab.performance.report import PerformanceReport as Data

    accounts, days = tuple(account for account, _, _ in read), choice.days
    at = max((at for _, at, _ in read if at), default=None)
    data = Data(at, days.first, days.last, choice.strategy, choice.symbol, accounts)
    return Report("report", data, render, whose=read[0][2] if len(read) == 1 else NOBODY)


def _read(
    folder: str | None, config: str | None, choice: "Choice", progress: "Progress"
) -> "tuple[AccountReport, datetime | None, Identity]":
    with open_bot(folder, config) as bot:
        return _read_here(bot, folder or str(bot.folder.path), choice, progress)


def _read_here(
    app: "App", place: str, choice: "Choice", progress: "Progress"
) -> "tuple[AccountReport, datetime | None, Identity]":
    from commands.report.report_inputs import read

    return *read(app, place, choice, progress), identity(app)


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

    Shows the curve beside SPY, or the universe held where no fund is traded, and cash; returns and ratios with 95%
    intervals, whether that is luck, months, drawdowns, costs, trades, and what the gates' refusals were worth. A
    figure that needs more observations than there are isn't shown; the report says how many it takes. Reads the bot's
    own books; only missing bars are fetched.
    """
    from tradebot.views.trades.trade_row import Choice

    choice = Choice(days_of(first, last), strategy, symbol.upper() if symbol else None)
    _refuse_combinations(folders or (), state_dir, config)
    if frame and len(folders or ()) > 1:
        raise OperatorError("--frame writes the tables of one account", "name one folder")
    files = files_of(plot, html, frame)
    report = run(folders or (), state_dir, config, choice)
    finish(with_files(report, report.data, files, config), as_json, explain)


def with_files(shown: Report, data: "Data", files: Files, config: str | None = None) -> Report:
    """Write the picture, the page and the tables of a report that are asked for, and name them below what is shown."""
    from commands.report.page import page
    from commands.report.report_inputs import frames
    from tradebot.lab.backtest.results import read_result
    from tradebot.views.trades.days import DateRange
    from tradebot.views.trades.trade_row import Choice

    results = [read_result(Path(account.label)) for account in data.accounts] if files.page else []
    choice = Choice(DateRange(data.from_date, data.to_date), data.strategy, data.symbol)
    label = data.accounts[0].label
    return write_files(shown, files, data.accounts, lambda: page(data, results), lambda: frames(label, config, choice))


def _refuse_combinations(folders: Sequence[str], state_dir: str | None, config: str | None) -> None:
    if len(folders) > MOST:
        raise OperatorError("report takes at most two folders", "name one or two")
    if folders and (state_dir or config):
        raise OperatorError(
            "the folders you name are read with their own configuration",
            "leave out --state-dir and --config",
        )
    if len({os.path.realpath(folder) for folder in folders}) < len(folders):
        raise OperatorError("both folders are the same", "name two different ones, or one alone")
