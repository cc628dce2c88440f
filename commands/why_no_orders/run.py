"""Run `tradebot why-no-orders`: explain from the records why the bot did or didn't buy, and what a change would do."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from commands.shared.span_options import PassSpan
from commands.shared.verb_options import Report
from commands.why_no_orders import reason as why_reason
from commands.why_no_orders import what_if_span
from commands.why_no_orders.pass_selection import nothing_of, session_asked
from commands.why_no_orders.past_passes import dry_pass, run_all, run_dry, run_span, without_passes
from commands.why_no_orders.reading import cycles_of, has_passes, known_symbol
from commands.why_no_orders.report import counted_by_symbol, left_out_of
from commands.why_no_orders.what_if import WhatIfRunner, of_pass, require_records
from commands.why_no_orders.what_if_changes import changes_of
from tradebot.errors import ExitCode, OperatorError
from tradebot.views.explain import NoOrdersAnswer
from tradebot.views.why_no_orders import PLAY_AGAIN

if TYPE_CHECKING:
    from tradebot.app.wiring import App

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
    """Raise OperatorError if options ask two questions at once; an absent option is None or False."""
    for option, others, why, instead in CONFLICTS:
        for other in others:
            if given[option] and given[other]:
                raise OperatorError(f"{option} and {other} can't be combined: {option} stands alone, {why}", instead)


def run_by_symbol(app: "App", span: PassSpan, session: str | None, strategy: str | None = None) -> Report:
    """Count the recorded candidates by gate and symbol; exit 0 if an order was sent, otherwise 10."""
    from commands.why_no_orders.by_symbol import show

    day = session_asked(app, session) if session else None
    data = counted_by_symbol(app, span, strategy, day)
    if not data.passes:
        return without_passes(app, day)
    return Report("why-no-orders", data, show, ExitCode.DONE if data.orders else ExitCode.FINDINGS)


def run_reason(
    app: "App", reason: str, symbol: str | None, span: PassSpan, session: str | None, strategy: str | None = None
) -> Report:
    """List the candidates that were refused for a reason; exit 10 if there are any."""
    cycles = cycles_of(app, span, strategy, session=session_asked(app, session) if session else None)
    code = why_reason.reason_of(reason, cycles)
    if symbol is not None:
        raise OperatorError("a symbol and --reason can't be combined", f"tradebot why-no-orders --reason {code}")
    if lacking := left_out_of(app):
        raise OperatorError(lacking, PLAY_AGAIN)
    return why_reason.run(app, code, cycles)


def run(app: "App", symbol: str | None, span: PassSpan, strategy: str | None = None) -> Report:
    """Sum up the recorded passes; exit 0 if an order was sent, otherwise 10. OperatorError for an unknown symbol."""
    from commands.why_no_orders.report import build_answer, show, show_symbol, way_of_symbol

    only_dry = span == PassSpan() and not has_passes(app) and dry_pass(app) is not None
    if only_dry and nothing_of(app, None).verdict is not NoOrdersAnswer.BROKEN:
        return run_dry(app, symbol, strategy)
    if span != PassSpan():
        return run_all(app, span, strategy) if symbol is None else run_span(app, symbol, span, strategy)
    if symbol is None:
        cycles = cycles_of(app, span, strategy)
        data = build_answer(app, cycles)
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
    span: PassSpan,
) -> Report:
    """Answer a what-if about one pass or a span; exit 0 if it lets an order through, otherwise 10.

    OperatorError for a change that can't be read or wouldn't load, and for passes that aren't kept.
    """
    from commands.why_no_orders.what_if_screen import show

    require_records(app)
    changes = changes_of(app, typed)
    name = known_symbol(app, symbol) if symbol else None
    with WhatIfRunner(app, changes) as asking:
        if span != PassSpan() or (session is not None and at is None and changes.at is None):
            return what_if_span.run(asking, name, span, session_asked(app, session) if session else None)
        data = of_pass(asking, name, session, at)
    return Report("why-no-orders", data, show, ExitCode.DONE if data.lets_through else ExitCode.FINDINGS)
