"""Explain a past session, one of its passes, all passes of a period for one symbol, or the last dry run."""

from datetime import date

from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_with_unit, in_units, off_by
from commands.shared.span_options import PassSpan
from commands.shared.tables import Table, number, sentence
from commands.shared.times import CLOCK, DAY_MINUTE, MINUTE, stamp, when, zone
from commands.shared.verb_options import Report
from commands.why_no_orders.reading import (
    JOB,
    ends_of,
    known_symbol,
    missing_pass_note,
    nothing_of,
    outcomes_of,
    requested_session,
    requested_time,
    too_early,
    with_later_outcomes,
)
from commands.why_no_orders.report import build_answer, explained_ends, left_out_of, show, show_symbol, symbol_path
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.state.dry_run import read_dry_run
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.decision import units_of
from tradebot.model.reasons import REASONS, Cause
from tradebot.model.record import CycleRecord, Job, SymbolOutcomes
from tradebot.model.sentences import noun_for, pluralize
from tradebot.model.struct_tools import replace
from tradebot.views.explain import NoOrdersAnswer, gate_paths_of
from tradebot.views.why_no_orders import PLAY_AGAIN, SymbolEnd, SymbolSpan, WhyNoOrders, as_unsent, symbol_span


def show_by_pass(console: Console, data: SymbolSpan) -> None:
    """Print the symbol's outcome, how close it came, and a row for each gate that refused it."""
    console.print(f"[bold]{escape(clean(data.symbol))}[/bold]  {escape(in_units(data.sentence))}")
    console.print(f"Next: {data.remedy}", markup=False)
    if data.left_out:
        console.print(f"Left out: {data.left_out}", markup=False)
    if data.first_at is None or data.last_at is None:
        return
    of = f" of session {data.session}" if data.session else ""
    span = f"{when(data.first_at, MINUTE)} to {when(data.last_at, MINUTE)}"
    looked = f"{data.looked_at:,} evaluated it" if data.looked_at != data.passes else "each evaluated it"
    console.print(f"\nLooked at: {pluralize(data.passes, 'pass', 'passes')}{of}, {span}; {looked}", markup=False)
    for reason, count in data.elsewhere.items():
        passes = pluralize(count, "pass or answer", "passes or answers")
        console.print(f"{passes} {noun_for(count, 'was', 'were')} refused as a whole: {reason}", markup=False)
    _print_sent(console, data)
    if data.nearest:
        _nearest(console, data, data.nearest)
    if data.ends:
        console.print(_table(data))


def _print_sent(console: Console, data: SymbolSpan) -> None:
    if data.sent_at:
        times = ", ".join(stamp(at, DAY_MINUTE) for at in data.sent_at[:5])
        more = f" and {len(data.sent_at) - 5:,} more" if len(data.sent_at) > 5 else ""
        console.print(f"Sent: {times}{more} ({zone()})", markup=False)


def _nearest(console: Console, data: SymbolSpan, end: SymbolEnd) -> None:
    miss = end.nearest
    assert miss is not None, "the nearest end has numbers"
    units = units_of(end.gate, end.reason, miss.unit)
    observed, limit = (clean(format_with_unit(*each)) for each in zip((miss.observed, miss.limit), units, strict=True))
    others = f"; it failed {pluralize(miss.failed - 1, 'other gate')} too" if miss.failed > 1 else ""
    nearest = f"Nearest: {when(miss.at)}, {end.about or end.gate}: {observed} against {limit}{others}"
    console.print(nearest, markup=False)
    name, day = clean(data.symbol), f" --session {data.session}" if data.session else ""
    if data.session:
        nearest = f"  every gate of that pass: tradebot why-no-orders {name}{day} --at {stamp(miss.at, CLOCK)}"
        console.print(nearest + ("Z" if zone() == "UTC" else ""), markup=False)


def _table(data: SymbolSpan) -> Table:
    several = len({end.strategy for end in data.ends}) > 1
    who = ("strategy",) if several else ()
    numbers = (number(name) for name in ("nearest", "limit", "off by"))
    table = Table(*who, "gate", "reason", number("count"), f"first {zone()}", "last", *numbers, sentence("meaning"))
    for end in data.ends:
        cells = ("", "", "")
        if miss := end.nearest:
            units = units_of(end.gate, end.reason, miss.unit)
            observed, limit = (format_with_unit(*each) for each in zip((miss.observed, miss.limit), units, strict=True))
            cells = observed, limit, off_by(miss.observed, miss.limit, units)
        name = (escape(end.strategy),) if several else ()
        times = stamp(end.first_at, DAY_MINUTE), stamp(end.last_at, DAY_MINUTE)
        gate, meaning = escape(clean(end.about or end.gate)), in_units(end.meaning)
        table.row(*name, gate, str(end.reason), f"{end.count:,}", *times, *(escape(clean(c)) for c in cells), meaning)
    return table


def run_session(app: App, symbol: str | None, session: str | None, at: str | None, strategy: str | None) -> Report:
    """Explain a session or, with `at`, its last pass up to that time; exit 0 if an order was sent, otherwise 10."""
    day, facts = requested_session(app, session), app.existing_facts
    if day is None or facts is None:
        return without_passes(app, day, symbol)
    if at is not None:
        return _run_pass(app, facts, day, at, symbol, strategy)
    if symbol is None:
        ends = ends_of(app, PassSpan(), strategy, day)
        return _answer_report(_of_whole_session(explained_ends(app, ends))) if ends.passes else without_passes(app, day)
    name = known_symbol(app, symbol)
    outcome = outcomes_of(app, PassSpan(), name, strategy, session=day)
    return _span_report(app, name, outcome, day) if outcome.passes else without_passes(app, day, name)


def _run_pass(app: App, facts: SqliteFacts, day: date, text: str, symbol: str | None, strategy: str | None) -> Report:
    at = requested_time(app, day, text)
    cycle_record, after = facts.pass_at(JOB, day, at)
    if cycle_record is None and after is None:
        return without_passes(app, day, symbol)
    if cycle_record is None:
        raise too_early(day, at, after, symbol)
    (cycle,) = with_later_outcomes(app, (cycle_record,), strategy)
    return _one(app, symbol, cycle, typed=missing_pass_note(day, at, cycle_record.at, after), changed=after is None)


def run_span(app: App, symbol: str, span: PassSpan, strategy: str | None) -> Report:
    """Summarize a symbol's outcomes in all passes of a period."""
    name = known_symbol(app, symbol)
    return _span_report(app, name, outcomes_of(app, span, name, strategy), None)


def run_all(app: App, span: PassSpan, strategy: str | None) -> Report:
    """Summarize all passes of a period."""
    return _answer_report(explained_ends(app, ends_of(app, span, strategy)))


def dry_pass(app: App) -> tuple[CycleRecord, str] | None:
    """Return the last dry run or scoring pass, and a sentence that says which it was; None if there is neither."""
    cycle = read_dry_run(app.folder.path)
    if cycle is not None:
        dry_note = f"This was a dry run at {when(cycle.at)}: nothing was sent, and the books are unchanged."
        return as_unsent(cycle), dry_note
    scored = app.existing_facts.cycles(job=Job.SCORE, last=1) if app.existing_facts else ()
    if not scored:
        return None
    dry_note = f"This was only scored at {when(scored[0].at)}: no gate was evaluated, and nothing was sent."
    return as_unsent(scored[0]), dry_note


def run_dry(app: App, symbol: str | None, strategy: str | None) -> Report:
    """Explain the last dry run; raise OperatorError if there was none."""
    passed = dry_pass(app)
    if passed is None:
        raise OperatorError("no dry run is on record", "tradebot trade-once --dry-run")
    (cycle,) = with_later_outcomes(app, (passed[0],), strategy)
    return _one(app, symbol, cycle, dry=passed[1])


def _one(
    app: App, symbol: str | None, cycle: CycleRecord, *, dry: str | None = None, typed: str | None = None,
    changed: bool = True,
) -> Report:  # fmt: skip
    """Explain one pass, or a symbol's path through it; what has `changed` since is shown for the last pass only."""
    if symbol is None:
        why = replace(build_answer(app, (cycle,)), dry=dry, asked=typed)
        return _answer_report(why if changed else replace(why, now=None))
    name = known_symbol(app, symbol, (cycle,))
    way = replace(symbol_path(app, name, (cycle,), gate_paths_of(name, (cycle,))), dry=dry, asked=typed)
    way = way if changed else replace(way, now=None)
    code = ExitCode.DONE if way.at is not None and way.reason is None else ExitCode.FINDINGS
    return Report("why-no-orders", way, lambda console, _: show_symbol(console, way), code)


def _span_report(app: App, name: str, outcome: SymbolOutcomes, session: date | None) -> Report:
    data, lacking = symbol_span(name, outcome, session), left_out_of(app)
    if lacking:
        data = replace(data, left_out=lacking)
        data = data if data.orders else replace(data, sentence=lacking, remedy=PLAY_AGAIN)
    return Report("why-no-orders", data, show_by_pass, ExitCode.DONE if data.orders else ExitCode.FINDINGS)


def without_passes(app: App, session: date | None, symbol: str | None = None) -> Report:
    """Explain that no pass of a session is recorded, and name the nearest sessions with recorded passes."""
    name = known_symbol(app, symbol) if symbol else None
    why = replace(build_answer(app, (), session), explanation=nothing_of(app, session, name))
    return _answer_report(_of_whole_session(why))


def _of_whole_session(why: WhyNoOrders) -> WhyNoOrders:
    """Return the answer about a whole session: slots missed because something is broken take precedence."""
    lost = next((row for row in why.missed if row.job == JOB and REASONS[row.reason].cause is Cause.BROKEN), None)
    answer = why.explanation
    if lost is None or answer.verdict is NoOrdersAnswer.BROKEN:
        return why
    slots = f"{lost.count} slots" if lost.count > 1 else "1 slot"
    sentence = f"{answer.sentence} {lost.job} missed {slots}: {lost.reason}."
    return replace(
        why,
        explanation=replace(
            answer, verdict=NoOrdersAnswer.BROKEN, sentence=sentence, remedy=REASONS[lost.reason].remedy
        ),
    )


def _answer_report(why: WhyNoOrders) -> Report:
    code = ExitCode.DONE if why.explanation.verdict is NoOrdersAnswer.TRADED else ExitCode.FINDINGS
    return Report("why-no-orders", why, show, code)
