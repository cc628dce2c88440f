"""Run `tradebot trades`: what each trade was, why it ended and what it earned. The broker isn't asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands.shared.verb_options import Report, identity, open_bot
from commands.trades.candles import draw, draw_candles
from commands.trades.note import run as note
from commands.trades.note import words_of
from tradebot.errors import OperatorError
from tradebot.model.text import pluralize
from tradebot.model.values import replace

if TYPE_CHECKING:
    from rich.console import Console

    from commands.trades.report import Trades
    from tradebot.app.wiring import App
    from tradebot.views.trades.trade_row import Choice

OLDEST_YEAR = 1900
"""A smaller number is a slip, such as 26."""


def run(app: "App", choice: "Choice", *, by_lot: bool = False) -> Report:
    """Return the chosen trades, as a table of trades or of lots."""
    from commands.trades.report import read
    from commands.trades.screen import show

    data = read(app, choice, by_lot=by_lot)
    return Report("trades", data, lambda out, shown: show(out, shown, by_lot=by_lot), whose=identity(app))


def run_swaps(app: "App", choice: "Choice") -> Report:
    """Return which positions were closed for which newcomers."""
    from commands.trades.swaps import read, show

    return Report("trades-swaps", read(app, choice), show, whose=identity(app))


def taxes(app: "App", year: int, choice: "Choice", csv: Path | None, *, by_lot: bool) -> Report:
    """Return the sales of a tax year, written to a file if one is named; raise typer.Exit after writing to stdout.

    Raises OperatorError if the year comes with options that choose among trades.
    """
    from commands.shared.files import to_csv
    from commands.shared.history import read_history
    from commands.trades.tax import NO_ADVICE, format_csv, render, sales_of_year, summary

    if year < OLDEST_YEAR:
        raise OperatorError(f"--tax {year} is not a year", "write --tax 2026")
    if replace(choice, strategy=None, symbol=None) != type(choice)() or by_lot:
        raise OperatorError(
            "--tax can only be combined with --strategy, --symbol and --csv", f"tradebot trades --tax {year}"
        )
    data = sales_of_year(read_history(app), year, app.settings.tax.method, choice.strategy, choice.symbol)
    report = Report("trades-tax", data, render, whose=identity(app))
    if csv is None:
        return report
    rows = pluralize(len(data.rows), "row")
    return to_csv(report, format_csv(data), csv, rows, below=summary(data), apart=(*data.notes, NO_ADVICE))


def change_note(
    words: Sequence[str],
    tags: Sequence[str],
    untag: Sequence[str],
    state_dir: str | None,
    config: str | None,
    *,
    remove: bool,
) -> Report:
    name, text = words_of(words)
    with open_bot(state_dir, config) as bot:
        return note(bot, name, text, tags, untag, remove=remove)


def drawn_in(app: "App", report: Report, symbol: str | None, file: Path) -> Report:
    """Draw the trades, and return the report with the picture's name below it."""
    from commands.shared.pictures import picture_file

    picture_file(file, "trades.svg")
    if symbol is None or report.verb != "trades":
        raise OperatorError("--plot draws the trades of one symbol", "tradebot trades --symbol SPY --plot trades.svg")
    draw(draw_candles(app, report.data.trades, symbol, report.data.as_of), file)

    def render(out: "Console", data: object) -> None:
        report.render(out, data)
        out.print(f"Written: {file}", markup=False)

    return replace(report, render=render)


def written_as_csv(report: Report, file: Path, *, by_lot: bool) -> Report:
    from commands.shared.files import to_csv
    from commands.trades.report import format_csv

    data: Trades = report.data
    what = pluralize(len(data.lots), "lot") if by_lot else pluralize(len(data.trades), "trade")
    return to_csv(report, format_csv(data.trades, data.lots if by_lot else None), file, what)


def refuse_filters(given: tuple[object, ...]) -> None:
    if any(each is not None for each in given):
        raise OperatorError("a note is for one trade, so it takes no filters", 'tradebot trades note AAPL "TEXT"')


def refuse_what_goes_elsewhere(of_a_note: bool, both_to_stdout: bool) -> None:
    if of_a_note:
        raise OperatorError("--tag, --untag and --remove belong to a note", "tradebot trades note AAPL --tag swing")
    if both_to_stdout:
        raise OperatorError("--json and --csv - can't both go to stdout", "tradebot trades --json --csv trades.csv")


def refuse_beside_swaps(given: tuple[object, ...]) -> None:
    if any(each is not None for each in given):
        raise OperatorError(
            "--swaps can only be combined with --from, --to, --strategy, --symbol and --json", "tradebot trades --swaps"
        )
