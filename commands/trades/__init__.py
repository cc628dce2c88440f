"""`tradebot trades`: each trade, why it ended and its profit. Doesn't contact the broker."""

from pathlib import Path
from typing import Annotated

import typer

from commands.shared.completion import strategies, symbols
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.span_options import From, To, days_of
from commands.shared.verb_options import Config, Explain, Json, StateDir, finish, open_bot

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[note TRADE [TEXT]]", help="Add a note to a trade, named by its symbol or its id."),
]
Strategy = Annotated[
    str | None, typer.Option("--strategy", help="Only trades of this strategy.", autocompletion=strategies)
]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Only trades in this symbol.", autocompletion=symbols)]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="RULE", help="Only trades closed by this rule, such as trail_stop.")
]
Open = Annotated[bool | None, typer.Option("--open/--closed", help="Show only open or only closed trades.")]
Lots = Annotated[bool, typer.Option("--lots", help="Show each lot as it was closed, first in, first out.")]
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
    typer.Option("--tax", metavar="YEAR", help="Show the sales of a year, as on IRS Form 8949."),
]
Swaps = Annotated[
    bool, typer.Option("--swaps", help="Show positions closed to make room for others, and how both performed.")
]
Tag = Annotated[list[str] | None, typer.Option("--tag", help="With note: a tag to add; may be repeated.")]
Untag = Annotated[list[str] | None, typer.Option("--untag", help="With note: a tag to remove; may be repeated.")]
Remove = Annotated[bool, typer.Option("--remove", help="With note: remove the text and keep the tags.")]


@verb(
    "trades",
    VerbPurpose.LOOK,
    120,
    {
        "trades/1": ("commands.trades.report:Trades",),
        "trades-note/1": ("commands.trades.run:Noted",),
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
    explain: Explain = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show each trade, why it was closed and what it earned.

    A trade is a position from its first fill to its last, and it belongs to the day of its last exit. With --csv and
    --json, each trade has all columns: the entry's score and components, excursions, and slippage at decision, sending
    and arrival. `note` adds a text or tags to one trade: the open one in a symbol, or the last one. With --tax, all
    shares of the account are matched, and losses from wash sales are carried over. Reads the bot's own books, without
    contacting the broker.
    """
    from commands.shared.universe import symbol_named
    from commands.trades import run as shown
    from tradebot.views.trades.trade_row import Choice

    others = (reason, is_open, by_lot or None, csv, plot, tax)
    if words:
        shown.refuse_filters((first, last, strategy, symbol, swaps or None, *others))
        finish(shown.change_note(words, tag or (), untag or (), state_dir, config, remove=remove), as_json)
        return
    shown.refuse_what_goes_elsewhere(bool(tag or untag or remove), as_json and csv == Path("-"))
    days = days_of(first, last)
    with open_bot(state_dir, config) as bot:
        choice = Choice(days, strategy, symbol_named(bot.driver, symbol) if symbol else None, reason, is_open)
        if swaps:
            shown.refuse_beside_swaps(others)
            finish(shown.run_swaps(bot, choice), as_json, explain)
            return
        report = (
            shown.run(bot, choice, by_lot=by_lot)
            if tax is None
            else shown.report_taxes(bot, tax, choice, csv, by_lot=by_lot)
        )
        report = shown.drawn_in(bot, report, choice.symbol, plot) if plot else report
    finish(shown.written_as_csv(report, csv, by_lot=by_lot) if csv and tax is None else report, as_json, explain)
