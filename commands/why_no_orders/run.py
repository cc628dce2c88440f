"""Run `tradebot why-no-orders`: explain from the records why the bot did or didn't buy, and what a change would do."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import clean, did_you_mean
from commands.shared.number_format import bar, format_with_unit, in_units, off_by
from commands.shared.span_options import PassSpan
from commands.shared.tables import LONGEST_NUMBER, Column, Table, number
from commands.shared.times import MINUTE, stamp, when, zone
from commands.shared.verb_options import Report, identity
from commands.why_no_orders import what_if_span
from commands.why_no_orders.past_passes import dry_pass, run_all, run_dry, run_span, without_passes
from commands.why_no_orders.reading import cycles_of, has_passes, known_symbol, nothing_of, requested_session
from commands.why_no_orders.report import build_answer, counted_by_symbol, last_symbol_path, left_out_of, show_symbol
from commands.why_no_orders.report import show as show_answer
from commands.why_no_orders.what_if import WhatIfRunner, changes_of, of_pass, require_records
from commands.why_no_orders.what_if_span import show_what_if
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.decision import Decision, Gate, Number, units_of
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CycleRecord
from tradebot.model.sentences import noun_for, pluralize
from tradebot.views.explain import NoOrdersAnswer, remedy_of
from tradebot.views.why_no_orders import PLAY_AGAIN, BySymbol

SHOWN = 40
NAMED = 3
"""How many symbols a line names; any others are counted."""


class EndedRow(Struct, frozen=True):
    """One candidate that ended with this reason; `distance` is how far it was from passing, as a fraction of the limit.

    `unit` is a code for the unit of the numbers, if a strategy's own filter returned them.
    """

    symbol: str
    at: datetime
    gate: str
    observed: "Number | str | None"
    limit: "Number | str | None"
    distance: float | None
    unit: str


class ReasonCandidates(Struct, frozen=True):
    """All candidates of some passes that ended with one reason, closest to passing first."""

    reason: str
    meaning: str
    remedy: str
    passes: int
    rows: tuple[EndedRow, ...]


def reason_of(text: str, cycles: "Sequence[CycleRecord]") -> "Reason":
    """Return the reason with this code or, given a gate's name, the only reason of that gate in these passes.

    Raises OperatorError for any other text, naming the closest codes, and for a gate with no reason or several.
    """
    code = text.strip().upper().replace("-", "_")
    if code in set(Reason):
        return Reason(code)
    if code.lower() in set(Gate):
        return _reason_at(Gate(code.lower()), cycles)
    near = did_you_mean(code, list(Reason))
    hint = near or "tradebot why-no-orders --schema lists them all"
    raise OperatorError(f"there is no reason code {clean(text)[:40]!r}", hint)


def _reason_at(gate: "Gate", cycles: "Sequence[CycleRecord]") -> "Reason":
    ends = (record.terminal for cycle in cycles for record in cycle.candidates)
    reasons = sorted({end.reason for end in ends if end is not None and end.gate is gate and end.reason is not None})
    if len(reasons) == 1:
        return reasons[0]
    looked_at = f"the {pluralize(len(cycles), 'pass', 'passes')} read"
    if not reasons:
        raise OperatorError(f"no candidate ended at gate {gate} in {looked_at}", "tradebot why-no-orders")
    every = "; ".join(f"tradebot why-no-orders --reason {reason}" for reason in reasons)
    raise OperatorError(f"gate {gate} gave more than one reason in {looked_at}", every)


def reason_report(app: "App", reason: "Reason", cycles: "Sequence[CycleRecord]") -> Report:
    """Report the candidates with this reason; exit 10 if there are any."""
    data = candidates_by_reason(reason, cycles)
    code = ExitCode.FINDINGS if data.rows else ExitCode.DONE
    return Report("why-no-orders", data, show_reason, code, identity(app))


def candidates_by_reason(reason: "Reason", cycles: "Sequence[CycleRecord]") -> ReasonCandidates:
    """Return the candidates of some passes that ended with a reason."""
    ends = list(_ends(reason, cycles))
    rows = (
        EndedRow(symbol, at, end.gate.value, end.observed, end.limit, end.distance, end.unit)
        for symbol, at, end in ends
    )
    nearest_first = sorted(rows, key=lambda row: (row.distance is None, row.distance or 0.0, row.at, row.symbol))
    remedy = remedy_of(reason, [end for _, _, end in ends])
    return ReasonCandidates(reason.value, REASONS[reason].meaning, remedy, len(cycles), tuple(nearest_first))


def _ends(reason: "Reason", cycles: "Sequence[CycleRecord]") -> "Iterator[tuple[str, datetime, Decision]]":
    for cycle in cycles:
        for record in cycle.candidates:
            if not record.is_cancel and record.terminal is not None and record.terminal.reason is reason:
                yield record.candidate.symbol, cycle.at, record.terminal


def show_reason(console: "Console", data: ReasonCandidates) -> None:
    """Print the reason's meaning, its remedy, and its candidates, equal ones in one line."""
    console.print(f"[bold]{data.reason}[/bold]  {in_units(data.meaning)}")
    console.print(f"Next: {data.remedy}", markup=False)
    refused = (
        f"{pluralize(len(data.rows), 'candidate')} {noun_for(len(data.rows), 'was', 'were')} refused for this reason"
    )
    passes = len({row.at for row in data.rows})
    console.print(f"{refused}, in {passes:,} of {pluralize(data.passes, 'pass', 'passes')}")
    numbers = (number(name) for name in ("observed", "limit", "off by"))
    table = Table("symbol", f"time {zone()}", "gate", *numbers)
    lines = _alike(data.rows)
    texts = {row.observed for row in data.rows} if len(lines) > 1 else set()
    common = clean(str(texts.pop())) if len(texts) == 1 else ""
    if len(common) > LONGEST_NUMBER:
        console.print(f"  each of them: {common}", markup=False)
    else:
        common = ""
    for rows in lines[:SHOWN]:
        row = rows[0]
        units = units_of(Gate(row.gate), Reason(data.reason), row.unit)
        observed, limit = (
            escape(clean(format_with_unit(*each))) for each in zip((row.observed, row.limit), units, strict=True)
        )
        off = off_by(row.observed, row.limit, units)
        table.row(escape(_symbols(rows)), stamp(row.at, MINUTE), row.gate, "" if common else observed, limit, off)
    if data.rows:
        console.print(table)
    if more := sum(map(len, lines[SHOWN:])):
        console.print(f"  {more:,} more; --json lists them all")


def _alike(rows: "Sequence[EndedRow]") -> "Sequence[Sequence[EndedRow]]":
    """Group the rows that differ only in their symbols; each group is shown as one line."""
    groups: dict[tuple[object, ...], list[EndedRow]] = {}
    for row in rows:
        groups.setdefault((row.at, row.gate, row.observed, row.limit), []).append(row)
    return list(groups.values())


def _symbols(rows: "Sequence[EndedRow]") -> str:
    names = [row.symbol for row in rows]
    return ", ".join(names) if len(names) <= NAMED else f"{names[0]} and {len(names) - 1:,} more"


CONFLICTS = (
    (
        "--dry",
        ("--session", "--at", "--last", "--since", "--reason", "--by-symbol"),
        "the last dry run is explained",
        "tradebot why-no-orders --dry, or tradebot why-no-orders SYMBOL --dry",
    ),
    (
        "--at",
        ("--last", "--since", "--reason", "--by-symbol"),
        "one pass is shown",
        "tradebot why-no-orders SYMBOL --session 2026-11-16 --at 10:32",
    ),
    (
        "--session",
        ("--last", "--since"),
        "one whole session is covered",
        "tradebot why-no-orders SYMBOL --session 2026-11-16",
    ),
    (
        "--what-if",
        ("--dry", "--reason", "--by-symbol", "--strategy"),
        "recorded passes are decided again",
        "tradebot why-no-orders SYMBOL --what-if limits.max_open_positions=12",
    ),
    (
        "--by-symbol",
        ("a symbol", "--reason"),
        "all symbols and all reasons are counted",
        "tradebot why-no-orders --by-symbol, or tradebot why-no-orders SYMBOL --since 30d",
    ),
)
"""Options, the options each can't be combined with, the reason, and the alternative."""


def require_one_question(options: Mapping[str, object]) -> None:
    """Raise OperatorError if options ask two questions at once; an absent option is None or False."""
    for option, others, why, instead in CONFLICTS:
        for other in others:
            if options[option] and options[other]:
                raise OperatorError(f"{option} and {other} can't be combined: with {option}, {why}", instead)


def run_by_symbol(app: "App", span: PassSpan, session: str | None, strategy: str | None = None) -> Report:
    """Count the recorded candidates by gate and symbol; exit 0 if an order was sent, otherwise 10."""
    day = requested_session(app, session) if session else None
    data = counted_by_symbol(app, span, strategy, day)
    if not data.passes:
        return without_passes(app, day)
    return Report("why-no-orders", data, show_by_symbol, ExitCode.DONE if data.orders else ExitCode.FINDINGS)


def run_reason(
    app: "App", reason: str, symbol: str | None, span: PassSpan, session: str | None, strategy: str | None = None
) -> Report:
    """List the candidates that were refused for a reason; exit 10 if there are any."""
    cycles = cycles_of(app, span, strategy, session=requested_session(app, session) if session else None)
    code = reason_of(reason, cycles)
    if symbol is not None:
        raise OperatorError("a symbol and --reason can't be combined", f"tradebot why-no-orders --reason {code}")
    if lacking := left_out_of(app):
        raise OperatorError(lacking, PLAY_AGAIN)
    return reason_report(app, code, cycles)


def run(app: "App", symbol: str | None, span: PassSpan, strategy: str | None = None) -> Report:
    """Summarize the recorded passes; exit 0 if an order was sent, otherwise 10.

    Raise OperatorError for an unknown symbol.
    """
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
        return Report("why-no-orders", data, show_answer, code)
    way = last_symbol_path(app, known_symbol(app, symbol), strategy)
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
    """Answer a what-if about one pass or a period; exit 0 if an order would be sent, otherwise 10.

    Raise OperatorError for an invalid change, and for passes without records.
    """
    require_records(app)
    changes = changes_of(app, typed)
    name = known_symbol(app, symbol) if symbol else None
    with WhatIfRunner(app, changes) as asking:
        if span != PassSpan() or (session is not None and at is None and changes.at is None):
            return what_if_span.run(asking, name, span, requested_session(app, session) if session else None)
        data = of_pass(asking, name, session, at)
    return Report("why-no-orders", data, show_what_if, ExitCode.DONE if data.lets_through else ExitCode.FINDINGS)


BAR = 16


def show_by_symbol(console: Console, data: BySymbol) -> None:
    """Print the checks in order, and a row for each symbol."""
    if data.left_out:
        console.print(f"Left out: {data.left_out}", markup=False)
    if data.first_at is None or data.last_at is None:
        return
    span = f"{when(data.first_at, MINUTE)} to {when(data.last_at, MINUTE)}"
    console.print(f"Looked at: {pluralize(data.passes, 'pass', 'passes')}, {span}", markup=False)
    refused = data.candidates - data.orders
    sent = f"{pluralize(data.candidates, 'candidate')} = {pluralize(data.orders, 'order')} + {refused:,} refused"
    console.print(f"Funnel: {sent}; each refusal counts at the first gate that failed", markup=False)
    if data.candidates:
        console.print(_by_gate(data))
        console.print()
        console.print(_by_symbol(data))


def _by_gate(data: BySymbol) -> Table:
    table = Table("question", number("came"), number("refused"), "")
    most = max((each.refused for each in data.gates), default=1)
    for each in data.gates:
        table.row(escape(clean(each.gate)), f"{each.came:,}", f"{each.refused:,}", bar(each.refused, most, BAR))
    table.row("sent", f"{data.orders:,}", "", "")
    return table


def _by_symbol(data: BySymbol) -> Table:
    names = [each.gate for each in data.gates]
    table = Table("symbol", *_columns(names))
    for each in data.symbols:
        cells = (f"{each.refused[name]:,}" if name in each.refused else "" for name in names)
        table.row(escape(clean(each.symbol)), f"{each.candidates:,}", f"{each.orders:,}", *cells)
    return table


def _columns(names: list[str]) -> Iterator[Column]:
    yield number("candidates")
    yield number("sent")
    for name in names:
        yield number(clean(name))
