"""`tradebot pnl`: the account's profit, in parts that add up to its change. Doesn't contact the broker."""

from pathlib import Path
from typing import Annotated

import typer

from commands.shared.completion import cuts, strategies, symbols
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.span_options import From, To, days_of
from commands.shared.universe import symbol_named
from commands.shared.verb_options import Config, Explain, Json, StateDir, finish, open_bot
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.views.trades.pnl import ProfitGrouping
from tradebot.views.trades.trade_row import Choice

By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="PART",
        help="Group by day, week, month, strategy, symbol, hour, reason or component.",
        autocompletion=cuts,
    ),
]
Strategy = Annotated[
    str | None, typer.Option("--strategy", help="Only this strategy's part of the profit.", autocompletion=strategies)
]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Only the profit in this symbol.", autocompletion=symbols)]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows to FILE, or to stdout with -.")]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the rows: FILE.svg or FILE.png.")]


def cut_of(by: str) -> "ProfitGrouping":
    """Return the grouping of profit; raise OperatorError for an unknown word."""
    names = [cut.value for cut in ProfitGrouping]
    if by not in names:
        raise OperatorError(
            f"--by {word(by)} is none of {', '.join(names)}", "tradebot pnl --by strategy", code=ExitCode.USAGE
        )
    return ProfitGrouping(by)


@verb(
    "pnl",
    VerbPurpose.LOOK,
    130,
    {"pnl/1": ("commands.pnl.screen:ProfitAndLoss",)},
    epilog="tradebot pnl\ntradebot pnl --by month --plot pnl.svg\n"
    "tradebot pnl --by reason --from 2026-11-16 --to 2026-11-20\n"
    "tradebot pnl --by component --strategy flow --csv -",
)
def pnl(
    by: By = "day",
    first: From = None,
    last: To = None,
    strategy: Strategy = None,
    symbol: Symbol = None,
    csv: Csv = None,
    plot: Plot = None,
    explain: Explain = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what the account earned, by day, strategy or reason.

    Profit consists of realized profit, the change of unrealized profit, fees, dividends, interest, funding, and other
    movements of cash. The rows add up to the change of the account to the cent; deposits and withdrawals don't count as
    profit. Reads the bot's own books, without contacting the broker.
    """
    from commands.pnl.screen import draw, run, to_csv_file
    from commands.shared.files import picture_file

    if as_json and csv == Path("-"):
        raise OperatorError("--json and --csv - can't both go to stdout", "tradebot pnl --json --csv pnl.csv")
    cut, days, picture = cut_of(by), days_of(first, last), picture_file(plot, "pnl.svg")
    with open_bot(state_dir, config) as bot:
        choice = Choice(days, strategy, symbol_named(bot.driver, symbol) if symbol else None)
        report = run(bot, cut, choice)
    if picture:
        draw(report.data.pnl, picture)
    finish(to_csv_file(report, csv) if csv else report, as_json, explain)
