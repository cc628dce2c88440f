"""`tradebot why-no-orders`: explain from the records why the bot did or didn't buy, and what a change would do."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import reasons, strategies, symbols
from commands.shared.declaration import VerbPurpose
from commands.shared.span_options import Since, span_of
from commands.shared.verb_options import Report, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App

OneReason = Annotated[
    str | None,
    typer.Option(
        "--reason", help="Show the candidates refused for this reason, or by this gate.", autocompletion=reasons
    ),
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="Show the last pass up to this time, such as 10:32 [last session]."),
]
Changed = Annotated[
    list[str] | None,
    typer.Option("--what-if", metavar="CHANGE", help="Decide again with a setting, price or time changed."),
]


@on_bot(
    "why-no-orders",
    VerbPurpose.LOOK,
    30,
    {
        "why-no-orders/2": (
            "tradebot.views.why_no_orders:WhyNoOrders",
            "tradebot.views.why_no_orders:SymbolWhy",
            "commands.why_no_orders.run:ReasonCandidates",
            "tradebot.views.why_no_orders:BySymbol",
            "tradebot.views.why_no_orders:SymbolSpan",
            "tradebot.views.what_if:WhatIf",
            "tradebot.views.what_if_span:WhatIfSpan",
        )
    },
    epilog="tradebot why-no-orders\ntradebot why-no-orders AAPL\ntradebot why-no-orders --since 2h\n"
    "tradebot why-no-orders --by-symbol --since 30d\n"
    "tradebot why-no-orders AAPL --session 2026-11-16 --at 10:32\n"
    "tradebot why-no-orders AAPL --what-if limits.max_open_positions=12",
    is_short=True,
)
def why_no_orders(
    bot: "App",
    symbol: Annotated[
        str | None, typer.Argument(help="Show how every gate decided on this symbol.", autocompletion=symbols)
    ] = None,
    last: Annotated[int | None, typer.Option("--last", min=1, max=10_000, help="Cover the last N passes.")] = None,
    since: Since = None,
    reason: OneReason = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", help="Cover only this strategy.", autocompletion=strategies)
    ] = None,
    by_symbol: Annotated[
        bool, typer.Option("--by-symbol", help="Show how many candidates each gate refused, symbol by symbol.")
    ] = False,
    session: Annotated[str | None, typer.Option("--session", metavar="DATE", help="Cover this session.")] = None,
    at: At = None,
    dry: Annotated[
        bool, typer.Option("--dry", help="Explain the last dry run of trade-once; without one, the last score.")
    ] = False,
    changed: Changed = None,
) -> Report:
    """Explain why the bot did or didn't trade.

    Shows how many candidates each gate refused and how close the nearest one came, or every gate for one symbol. With
    --what-if, recorded passes are decided again with a change: a setting (NAME=VALUE), a price (price:AAPL=230), a
    position removed ('no position:MSFT') or another time (at=10:32). Nothing is sent.
    """
    from commands.why_no_orders.run import require_one_question, run, run_by_symbol, run_reason, run_what_if

    span = span_of(last, since)
    options = {"a symbol": symbol, "--last": last, "--since": since, "--reason": reason, "--by-symbol": by_symbol}
    others = {"--session": session, "--at": at, "--dry": dry, "--strategy": strategy, "--what-if": changed}
    require_one_question({**options, **others})
    if changed:
        return run_what_if(bot, symbol, changed, session=session, at=at, span=span)
    if dry:
        from commands.why_no_orders.past_passes import run_dry

        return run_dry(bot, symbol, strategy)
    if by_symbol:
        return run_by_symbol(bot, span, session, strategy)
    if reason is not None:
        return run_reason(bot, reason, symbol, span, session, strategy)
    if session is not None or at is not None:
        from commands.why_no_orders.past_passes import run_session

        return run_session(bot, symbol, session, at, strategy)
    return run(bot, symbol, span, strategy)
