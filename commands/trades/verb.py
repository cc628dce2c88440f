"""`tradebot trades`: what each trade was, why it ended and what it earned. The broker isn't asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import strategies, symbols
from commands.shared.declaration import Purpose, verb
from commands.shared.span_options import From, To, days_of
from commands.shared.verb_options import Config, Json, Report, StateDir, finish, identity, opened
from tradebot.errors import OperatorError
from tradebot.model.values import replace

if TYPE_CHECKING:
    from rich.console import Console

    from commands.trades.report import Trades
    from tradebot.app.wiring import App
    from tradebot.views.trades.trade_row import Choice

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[note TRADE [TEXT]]", help="Write a note to a trade, named by its symbol or its id."),
]
Strategy = Annotated[
    str | None, typer.Option("--strategy", help="Only trades of this strategy.", autocompletion=strategies)
]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Only trades in this symbol.", autocompletion=symbols)]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="RULE", help="Only trades closed by this rule, such as trail_stop.")
]
Open = Annotated[bool | None, typer.Option("--open/--closed", help="Only trades that are open, or that are over.")]
Lots = Annotated[bool, typer.Option("--lots", help="Show each piece as it was closed, first in, first out.")]
Csv = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write every column to FILE, or to stdout with -.")
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE", help="Draw a symbol's trades on candles, with stops and targets: FILE.svg or .png."
    ),
]
Tax = Annotated[
    int | None,
    typer.Option("--tax", metavar="YEAR", help="The sales of a year as the US tax office asks for them."),
]
Swaps = Annotated[
    bool, typer.Option("--swaps", help="Show which positions were closed for a newcomer, and what became of both.")
]
Tag = Annotated[list[str] | None, typer.Option("--tag", help="With note: a tag to add; may be repeated.")]
Untag = Annotated[list[str] | None, typer.Option("--untag", help="With note: a tag to remove; may be repeated.")]
Remove = Annotated[bool, typer.Option("--remove", help="With note: remove the text and keep the tags.")]

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


def _taxes(app: "App", year: int, choice: "Choice", csv: Path | None, *, by_lot: bool) -> Report:
    """Return the sales of a tax year, written to a file if one is named; raise typer.Exit after writing to stdout.

    Raises OperatorError if the year comes with options that choose among trades.
    """
    from commands.shared.files import to_csv
    from commands.shared.history import read_history
    from commands.trades.tax import NO_ADVICE, render, summary, taxed, written
    from tradebot.model.text import counted

    if year < OLDEST_YEAR:
        raise OperatorError(f"--tax {year} is not a year", "write --tax 2026")
    if replace(choice, strategy=None, symbol=None) != type(choice)() or by_lot:
        raise OperatorError(
            "--tax can only be combined with --strategy, --symbol and --csv", f"tradebot trades --tax {year}"
        )
    data = taxed(read_history(app), year, app.settings.tax.method, choice.strategy, choice.symbol)
    report = Report("trades-tax", data, render, whose=identity(app))
    if csv is None:
        return report
    rows = counted(len(data.rows), "row")
    return to_csv(report, written(data), csv, rows, below=summary(data), apart=(*data.notes, NO_ADVICE))


def _noted(
    words: Sequence[str],
    tags: Sequence[str],
    untag: Sequence[str],
    state_dir: str | None,
    config: str | None,
    *,
    remove: bool,
) -> Report:
    from commands.trades.note import run as note
    from commands.trades.note import words_of

    name, text = words_of(words)
    with opened(state_dir, config) as bot:
        return note(bot, name, text, tags, untag, remove=remove)


def _drawn(app: "App", report: Report, symbol: str | None, file: Path) -> Report:
    """Draw the trades, and return the report with the picture's name below it."""
    from commands.shared.pictures import checked
    from commands.trades.candles import draw, drawn

    checked(file, "trades.svg")
    if symbol is None or report.verb != "trades":
        raise OperatorError("--plot draws the trades of one symbol", "tradebot trades --symbol SPY --plot trades.svg")
    draw(drawn(app, report.data.trades, symbol, report.data.as_of), file)

    def render(out: "Console", data: object) -> None:
        report.render(out, data)
        out.print(f"Written: {file}", markup=False)

    return replace(report, render=render)


def _to_csv(report: Report, file: Path, *, by_lot: bool) -> Report:
    from commands.shared.files import to_csv
    from commands.trades.report import written
    from tradebot.model.text import counted

    data: Trades = report.data
    what = counted(len(data.lots), "lot") if by_lot else counted(len(data.trades), "trade")
    return to_csv(report, written(data.trades, data.lots if by_lot else None), file, what)


@verb(
    "trades",
    Purpose.LOOK,
    120,
    {
        "trades/1": ("commands.trades.report:Trades",),
        "trades-note/1": ("commands.trades.note:Noted",),
        "trades-tax/1": ("commands.trades.tax:Tax",),
        "trades-swaps/1": ("commands.trades.swaps:Swaps",),
    },
    epilog="tradebot trades\ntradebot trades --from 2026-11-16 --closed --reason trail_stop\n"
    "tradebot trades --lots --csv lots.csv\ntradebot trades --symbol SPY --plot spy.svg\n"
    "tradebot trades --tax 2026 --csv form-8949.csv\ntradebot trades --swaps --json\n"
    'tradebot trades note AAPL "bought the open" --tag swing\n'
    "tradebot trades note AAPL --remove",
)
def trades(
    words: Words = None,
    first: From = None,
    last: To = None,
    strategy: Strategy = None,
    symbol: Symbol = None,
    reason: Reason = None,
    is_open: Open = None,
    by_lot: Lots = False,
    csv: Csv = None,
    plot: Plot = None,
    tax: Tax = None,
    swaps: Swaps = False,
    tag: Tag = None,
    untag: Untag = None,
    remove: Remove = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show each trade, why it was closed and what it earned.

    A trade is a position from its first fill to its last, and it belongs to the day of its last exit. With --csv
    and --json, it has all columns: the entry's score and components, excursions, and slippage at decision, sending
    and arrival. With note, it writes a text or tags to one trade: the open one in a symbol, or else the last one.
    With --tax, it matches all shares of the account, and carries the losses of wash sales.
    Reads the bot's own books; the broker isn't asked.
    """
    from commands.shared.universe import symbol_named
    from tradebot.views.trades.trade_row import Choice

    if words:
        _refuse_filters((first, last, strategy, symbol, reason, is_open, by_lot or None, csv, plot, tax, swaps or None))
        finish(_noted(words, tag or (), untag or (), state_dir, config, remove=remove), as_json)
        return
    if tag or untag or remove:
        raise OperatorError("--tag, --untag and --remove belong to a note", "tradebot trades note AAPL --tag swing")
    if as_json and csv == Path("-"):
        raise OperatorError("--json and --csv - can't both go to stdout", "tradebot trades --json --csv trades.csv")
    days = days_of(first, last)
    with opened(state_dir, config) as bot:
        choice = Choice(days, strategy, symbol_named(bot.door, symbol) if symbol else None, reason, is_open)
        if swaps:
            _refuse_beside_swaps((reason, is_open, by_lot or None, csv, plot, tax))
            finish(run_swaps(bot, choice), as_json)
            return
        report = run(bot, choice, by_lot=by_lot) if tax is None else _taxes(bot, tax, choice, csv, by_lot=by_lot)
        report = _drawn(bot, report, choice.symbol, plot) if plot else report
    finish(_to_csv(report, csv, by_lot=by_lot) if csv and tax is None else report, as_json)


def _refuse_filters(given: tuple[object, ...]) -> None:
    if any(each is not None for each in given):
        raise OperatorError("a note is for one trade, so it takes no filters", 'tradebot trades note AAPL "TEXT"')


def _refuse_beside_swaps(given: tuple[object, ...]) -> None:
    if any(each is not None for each in given):
        raise OperatorError(
            "--swaps can only be combined with --from, --to, --strategy, --symbol and --json", "tradebot trades --swaps"
        )
