"""`tradebot why-no-orders`: explain from the records why the bot did or didn't buy, and what a change would do."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import reasons, strategies, symbols
from commands.shared.declaration import Purpose
from commands.shared.span_options import Since, Span, span_of
from commands.shared.verb_options import Report, on_bot
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from tradebot.app.wiring import App


OneReason = Annotated[
    str | None,
    typer.Option(
        "--reason", help="Show the candidates refused for this reason, or by this gate.", autocompletion=reasons
    ),
]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="Show the pass in force then, such as 10:32 [last session].")
]
Changed = Annotated[
    list[str] | None,
    typer.Option("--what-if", metavar="CHANGE", help="Decide again with a setting, price or time changed."),
]
CONFLICTS = (
    (
        "--dry",
        ("--session", "--at", "--last", "--since", "--reason", "--by-symbol"),
        "it explains one pass, the last dry run",
        "tradebot why-no-orders --dry, or tradebot why-no-orders SYMBOL --dry",
    ),
    (
        "--at",
        ("--last", "--since", "--reason", "--by-symbol"),
        "it shows one pass",
        "tradebot why-no-orders SYMBOL --session 2026-11-16 --at 10:32",
    ),
    (
        "--session",
        ("--last", "--since"),
        "it covers one session as a whole",
        "tradebot why-no-orders SYMBOL --session 2026-11-16",
    ),
    (
        "--what-if",
        ("--dry", "--reason", "--by-symbol", "--strategy"),
        "it decides recorded passes again",
        "tradebot why-no-orders SYMBOL --what-if limits.max_open_positions=12",
    ),
    (
        "--by-symbol",
        ("a symbol", "--reason"),
        "it counts all symbols and all reasons",
        "tradebot why-no-orders --by-symbol, or tradebot why-no-orders SYMBOL --since 30d",
    ),
)
"""Options, what each can't be combined with, why not, and what to type instead."""


def require_one_question(given: Mapping[str, object]) -> None:
    """Raise OperatorError if options ask two questions at once; what isn't given is None or False."""
    for option, others, why, instead in CONFLICTS:
        for other in others:
            if given[option] and given[other]:
                raise OperatorError(f"{option} and {other} can't be combined: {option} stands alone, {why}", instead)


def run_by_symbol(app: "App", span: Span, session: str | None, strategy: str | None = None) -> Report:
    """Count the recorded candidates by gate and symbol; exit 0 if an order was sent, otherwise 10."""
    from commands.why_no_orders.by_symbol import show
    from commands.why_no_orders.pass_selection import session_asked
    from commands.why_no_orders.past_passes import without_passes
    from commands.why_no_orders.report import counted_by_symbol

    day = session_asked(app, session) if session else None
    data = counted_by_symbol(app, span, strategy, day)
    if not data.passes:
        return without_passes(app, day)
    return Report("why-no-orders", data, show, ExitCode.DONE if data.orders else ExitCode.FINDINGS)


def run_reason(
    app: "App", reason: str, symbol: str | None, span: Span, session: str | None, strategy: str | None = None
) -> Report:
    """List the candidates that were refused for a reason; exit 10 if there are any."""
    from commands.why_no_orders import reason as why_reason
    from commands.why_no_orders.pass_selection import session_asked
    from commands.why_no_orders.reading import cycles_of
    from commands.why_no_orders.report import left_out_of
    from tradebot.views.why_no_orders import PLAY_AGAIN

    cycles = cycles_of(app, span, strategy, session=session_asked(app, session) if session else None)
    code = why_reason.reason_of(reason, cycles)
    if symbol is not None:
        raise OperatorError("a symbol and --reason can't be combined", f"tradebot why-no-orders --reason {code}")
    if lacking := left_out_of(app):
        raise OperatorError(lacking, PLAY_AGAIN)
    return why_reason.run(app, code, cycles)


def run(app: "App", symbol: str | None, span: Span, strategy: str | None = None) -> Report:
    """Sum up the recorded passes; exit 0 if an order was sent, otherwise 10. OperatorError for an unknown symbol."""
    from commands.why_no_orders.pass_selection import nothing_of
    from commands.why_no_orders.past_passes import dry_pass, run_all, run_dry, run_span
    from commands.why_no_orders.reading import cycles_of, has_passes, known_symbol
    from commands.why_no_orders.report import explained, show, show_symbol, way_of_symbol
    from tradebot.views.explain import Verdict

    only_dry = span == Span() and not has_passes(app) and dry_pass(app) is not None
    if only_dry and nothing_of(app, None).verdict is not Verdict.BROKEN:
        return run_dry(app, symbol, strategy)
    if span != Span():
        return run_all(app, span, strategy) if symbol is None else run_span(app, symbol, span, strategy)
    if symbol is None:
        cycles = cycles_of(app, span, strategy)
        data = explained(app, cycles)
        traded = data.explanation.verdict == "traded"
        code = ExitCode.DONE if traded else ExitCode.FINDINGS
        return Report("why-no-orders", data, show, code)
    way = way_of_symbol(app, known_symbol(app, symbol), strategy)
    sent = way.at is not None and way.reason is None
    code = ExitCode.DONE if sent else ExitCode.FINDINGS
    return Report("why-no-orders", way, lambda c, _: show_symbol(c, way), code)


def run_what_if(
    app: "App",
    symbol: str | None,
    typed: Sequence[str],
    *,
    session: str | None = None,
    at: str | None = None,
    span: Span,
) -> Report:
    """Answer a what-if about one pass or a span; exit 0 if it lets an order through, otherwise 10.

    OperatorError for a change that can't be read or wouldn't load, and for passes that aren't kept.
    """
    from commands.why_no_orders import what_if_span
    from commands.why_no_orders.pass_selection import session_asked
    from commands.why_no_orders.reading import known_symbol
    from commands.why_no_orders.what_if import Asking, of_pass, require_records
    from commands.why_no_orders.what_if_changes import changes_of
    from commands.why_no_orders.what_if_screen import show

    require_records(app)
    changes = changes_of(app, typed)
    name = known_symbol(app, symbol) if symbol else None
    with Asking(app, changes) as asking:
        if span != Span() or (session is not None and at is None and changes.at is None):
            return what_if_span.run(asking, name, span, session_asked(app, session) if session else None)
        data = of_pass(asking, name, session, at)
    return Report("why-no-orders", data, show, ExitCode.DONE if data.lets_through else ExitCode.FINDINGS)


@on_bot(
    "why-no-orders",
    Purpose.LOOK,
    30,
    {
        "why-no-orders/2": (
            "tradebot.views.why_no_orders:Why",
            "tradebot.views.why_no_orders:SymbolWhy",
            "commands.why_no_orders.reason:Ended",
            "tradebot.views.why_no_orders:BySymbol",
            "tradebot.views.symbol_span:SymbolSpan",
            "tradebot.views.what_if:WhatIf",
            "tradebot.views.what_if_span:WhatIfSpan",
        )
    },
    epilog="tradebot why-no-orders\ntradebot why-no-orders AAPL\ntradebot why-no-orders --since 2h\n"
    "tradebot why-no-orders --by-symbol --since 30d\n"
    "tradebot why-no-orders AAPL --session 2026-11-16 --at 10:32\n"
    "tradebot why-no-orders AAPL --what-if limits.max_open_positions=12",
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
        bool, typer.Option("--dry", help="Explain the last dry run of trade-once, or else the last score.")
    ] = False,
    changed: Changed = None,
) -> Report:
    """Explain why the bot did or didn't trade.

    Shows how many candidates each gate refused and how close the nearest one came, or every gate for one symbol.
    With --what-if, recorded passes are decided again with something changed: a setting (NAME=VALUE), price:AAPL=230,
    'no position:MSFT' or at=10:32. Nothing is sent.
    """
    span = span_of(last, since)
    given = {"a symbol": symbol, "--last": last, "--since": since, "--reason": reason, "--by-symbol": by_symbol}
    others = {"--session": session, "--at": at, "--dry": dry, "--strategy": strategy, "--what-if": changed}
    require_one_question({**given, **others})
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
