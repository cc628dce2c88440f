"""Explain from the records why the bot did or didn't buy; no gate is evaluated again."""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime

from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.notes import cause_of_halt
from commands.shared.number_format import bar, format_signed, format_with_unit, in_units, off_by, usd
from commands.shared.skipped_passes import not_due, remedy_of
from commands.shared.span_options import PassSpan
from commands.shared.tables import Table, can_fold, explains, fold, last_folded_column, number, sentence
from commands.shared.times import MINUTE, slot_for_reader, when
from commands.why_no_orders.reading import cycles_of, load_refusal_counts, nothing_of, was_found
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.evidence import BACKTEST, read_evidence
from tradebot.app.thresholds import ThresholdQuestion, threshold_of
from tradebot.app.wiring import App
from tradebot.model import decision as gates
from tradebot.model.candidate import Component
from tradebot.model.decision import Decision, units_of
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CycleRecord, Job, SpanEnds
from tradebot.model.sentences import noun_for, pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode, TradingState
from tradebot.timetable.sessions import session_of
from tradebot.views.explain import (
    FROM_NOTHING,
    Explanation,
    Funnel,
    GatePath,
    NearMiss,
    NoOrdersAnswer,
    ReasonCount,
    gate_paths_of,
    why_no_orders,
)
from tradebot.views.why_no_orders import (
    PLAY_AGAIN,
    BySymbol,
    MissedSlots,
    SymbolWhy,
    WhyNoOrders,
    by_symbol,
    explain_symbol,
    left_out,
    missed_slots,
    was_halted,
    why_nothing_shown,
    without_records,
)

BAR = 8
VERDICT_STYLE: Mapping[NoOrdersAnswer, str] = {
    NoOrdersAnswer.TRADED: "green",
    NoOrdersAnswer.IDLE: "cyan",
    NoOrdersAnswer.BLOCKED: "yellow",
    NoOrdersAnswer.BROKEN: "red",
    NoOrdersAnswer.UNKNOWN: "magenta",
}
GATE_STYLE: Mapping[gates.Verdict, str] = {
    gates.Verdict.PASS: "green",
    gates.Verdict.FAIL: "red",
    gates.Verdict.UNKNOWN: "yellow",
}


def show(console: "Console", data: "WhyNoOrders") -> None:
    """Print the verdict, the deciding reason, its remedy, and the funnel."""
    answer = data.explanation
    style = VERDICT_STYLE[answer.verdict]
    console.print(f"[bold {style}]{answer.verdict.upper()}[/bold {style}]  {escape(answer.sentence)}")
    left_out = data.left_out if data.left_out != answer.sentence else None
    _show_lines(
        console,
        {
            "Dry": data.dry,
            "Asked": data.asked,
            "Next": answer.remedy,
            "Then": answer.then,
            "Since then": data.now,
            "Left out": left_out,
        },
    )
    if data.last_at and data.first_at:
        span = f"the pass at {when(data.last_at)}, slot {slot_for_reader(data.last_slot or '', data.last_at)}"
        if answer.funnel.passes > 1:
            first, last = when(data.first_at, MINUTE), when(data.last_at, MINUTE)
            span = f"{answer.funnel.passes:,} passes, {first} to {last}"
        console.print(f"\nLooked at: {span}", markup=False)
    for waiting in data.waiting:
        console.print(not_due(waiting), markup=False)
    _show_missed(console, data)
    if answer.funnel.passes:
        show_funnel(console, answer.funnel)


def _show_lines(console: "Console", lines: Mapping[str, str | None]) -> None:
    for heading, text in lines.items():
        if text:
            console.print(f"{heading}: {text}", markup=False)


def _show_missed(console: "Console", data: "WhyNoOrders") -> None:
    for row in data.missed:
        until = f" to {row.last}" if row.count > 1 else ""
        slots = f"{pluralize(row.count, 'slot')} of {row.job} in session {row.session}, {row.first}{until}"
        console.print(f"Missed {slots}: {row.reason}. {row.meaning}", markup=False)


def show_funnel(console: "Console", shown_funnel: Funnel) -> None:
    """Print how many candidates became orders, and for which reasons the others were refused."""
    refused = shown_funnel.refused_candidates
    waits = refused.pop(Reason.APPROVAL_WAITING, 0)
    lost = " + ".join(f"{count:,}" for _, count in refused.most_common()) or "0"
    waiting = f" + {waits:,} waiting for approval" if waits else ""
    inflow, sent = pluralize(shown_funnel.candidates, "candidate"), pluralize(shown_funnel.orders, "order")
    console.print(f"Funnel: {inflow} = {sent}{waiting} + {lost} refused", markup=False)
    show_refused_passes(console, shown_funnel)
    measures = (number(name) for name in ("observed", "limit", "off by"))
    table = Table("reason", number("count"), "", "nearest miss", *measures, sentence("meaning"))
    most = max((row.count for row in shown_funnel.reasons), default=1)
    for row in shown_funnel.reasons:
        style = VERDICT_STYLE[NoOrdersAnswer(row.cause.value)]
        name, drawn = f"[{style}]{row.reason}[/{style}]", f"[{style}]{bar(row.count, most, BAR)}[/{style}]"
        table.row(name, f"{row.count:,}", drawn, *_miss(row, row.nearest), in_units(row.meaning))
    if shown_funnel.reasons:
        console.print(table)
    by_strategy(console, shown_funnel)


def show_refused_passes(console: "Console", shown_funnel: Funnel) -> None:
    """Print how many passes were refused as a whole, and why, if any were."""
    reasons = shown_funnel.passes_by_reason
    named = ", ".join(f"{count:,} {reason}" if len(reasons) > 1 else reason for reason, count in reasons.items())
    if count := shown_funnel.refused_passes:
        was = noun_for(count, "was", "were")
        console.print(f"{pluralize(count, 'pass', 'passes')} {was} refused as a whole: {named}", markup=False)


def by_strategy(console: "Console", shown_funnel: Funnel) -> None:
    """Print the funnel of each strategy, if there are several."""
    if len(shown_funnel.by_strategy) < 2:
        return
    table = Table("strategy", number("candidates"), number("orders"), number("refused"), sentence("refused for"))
    for part in shown_funnel.by_strategy:
        counts = (f"{count:,}" for count in (part.candidates, part.orders, part.candidates - part.orders))
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in part.reasons.items())
        table.row(escape(part.strategy), *counts, reasons)
    console.print(table)


def _miss(row: ReasonCount, miss: NearMiss | None) -> tuple[str, str, str, str]:
    if miss is None:
        return "", "", "", ""
    units = units_of(miss.gate, row.reason, miss.unit)
    shown_funnel, limit = (_text(*each) for each in zip((miss.observed, miss.limit), units, strict=True))
    return escape(miss.symbol), shown_funnel, limit, off_by(miss.observed, miss.limit, units)


def show_symbol(console: "Console", way: "SymbolWhy") -> None:
    """Print one symbol's score and every gate's result."""
    ended = f"[red]{way.reason}[/red]  " if way.reason else "[green]SENT[/green]  " if way.at else ""
    console.print(f"[bold]{escape(way.symbol)}[/bold]  {ended}{escape(way.sentence)}")
    remedy = way.remedy.replace("NAME", way.strategy or "NAME")
    left_out = way.left_out if way.left_out != way.sentence else None
    _show_lines(
        console,
        {
            "Dry": way.dry,
            "Asked": way.asked,
            "Next": remedy,
            "Then": way.then,
            "What if": way.what_if,
            "Since then": way.now,
            "Left out": left_out,
        },
    )
    for strategy, other in way.others.items():
        ended = f"ended at {other}" if other else "sent its order"
        name = escape(way.symbol)
        console.print(f"Also: {strategy} {ended}. tradebot why-no-orders {name} --strategy {strategy}", markup=False)
    if way.at:
        more = f"; {way.passes:,} passes evaluated it" if way.passes > 1 else ""
        console.print(
            f"\nLooked at: the pass at {when(way.at)}, slot {slot_for_reader(way.slot or '', way.at)}{more}",
            markup=False,
        )
        console.print(f"Strategy {way.strategy}: {', '.join(_want_lines(way))}", markup=False)
    _components(console, way.components)
    _gates(console, way.decisions)


def _want_lines(way: "SymbolWhy") -> Iterator[str]:
    """Yield what the strategy wanted; only some wants have a score, and only some scores have a coverage."""
    yield f"{way.side}" if way.score is None else f"score {format_signed(way.score, 3)} ({way.side})"
    if way.coverage is not None:
        yield f"with data for {way.coverage:.0%} of its weight"
    if way.price is not None:
        yield f"checked at {usd(way.price, way.symbol)} USD"


def _components(console: "Console", components: "Sequence[Component]") -> None:
    table = Table("component", number("value"), number("weight"), sentence("source", "source"))
    for part in components:
        value = "absent" if part.value is None else format_signed(part.value, 3)
        table.row(part.name, value, f"{part.weight:.2f}", escape(clean(part.source)))
    if components:
        console.print(table)


def _gates(console: "Console", decisions: Sequence[Decision]) -> None:
    passed = [decision for decision in decisions if decision.passed]
    if passed and not explains(console):
        count_text = pluralize(len(passed), "check")
        console.print(f"{count_text} passed; --explain shows each with its numbers", markup=False)
        decisions = [decision for decision in decisions if not decision.passed]
    if passed and can_fold(console):
        # On a page, what refused it stands first, and the rest is there to be opened.
        _gate_table(console, [decision for decision in decisions if not decision.passed])
        fold(console, f"{pluralize(len(passed), 'check')} passed", lambda inner: _gate_table(inner, passed))
        return
    _gate_table(console, decisions)


def _gate_table(console: "Console", decisions: Sequence[Decision]) -> None:
    numbers = (number(name) for name in ("observed", "limit", "age"))
    table = Table("gate", last_folded_column("verdict"), *numbers, "reason")
    for decision in decisions:
        style = GATE_STYLE[decision.verdict]
        verdict = f"[{style}]{decision.verdict}[/{style}]"
        observed, limit = decision.units
        # If the age itself was compared with the limit, it is shown there already.
        age_s = None if decision.age_s == decision.observed else decision.age_s
        shown_funnel = _text(decision.observed, observed), _text(decision.limit, limit), _text(age_s, Unit.SECONDS)
        table.row(_gate(decision), verdict, *shown_funnel, decision.reason or "")
    if decisions:
        console.print(table)


def _gate(decision: Decision) -> str:
    """Return the gate's name, with its filter if it has one, or a note if the session gate compared two clocks."""
    if decision.about:
        return f"{decision.gate.value}: {escape(decision.about)}"
    clocks = decision.gate is gates.Gate.SESSION and not isinstance(decision.observed, str | None)
    return f"{decision.gate.value} (clocks apart)" if clocks else decision.gate.value


def _text(value: object, unit: Unit) -> str:
    return escape(clean(format_with_unit(value, unit)))


MANY_MISSED = 3
SEARCHED = 20
"""How many passes are searched for the last one that included a symbol."""


def build_answer(app: "App", cycles: "Sequence[CycleRecord]", session: date | None = None) -> "WhyNoOrders":
    """Explain these passes; without passes, explain the session's slots that weren't run."""
    return explained_ends(app, SpanEnds(tuple(cycles), (), cycles[-1] if cycles else None), session)


def explained_ends(app: "App", shown_funnel: SpanEnds, session: date | None = None) -> "WhyNoOrders":
    """Explain passes by representative candidates; without passes, explain why the session's slots weren't run."""
    cycles, last, lacking = shown_funnel.passes, shown_funnel.whole, left_out_of(app)
    answer = why_no_orders(cycles, shown_funnel.standing) if cycles else nothing_of(app, session)
    return WhyNoOrders(
        explanation=without_records(_with_remedy(app, answer, last), lacking),
        first_at=cycles[0].at if cycles else None,
        last_at=last.at if last else None,
        last_slot=last.slot if last else None,
        now=_changed_since(app, last),
        waiting=last.waiting if last else (),
        left_out=lacking,
        missed=_missed_in(app, {session} if session and not cycles else {cycle.session for cycle in cycles}),
    )


def counted_by_symbol(
    app: "App", span: PassSpan, strategy: str | None = None, session: date | None = None
) -> "BySymbol":
    """Count by gate and symbol where the candidates of a period or a session ended, without reading each of them.

    Raise OperatorError for an unknown strategy.
    """
    return by_symbol(
        load_refusal_counts(app, span, strategy, session), lambda name: was_found(app, name), left_out_of(app)
    )


def left_out_of(app: "App") -> str | None:
    """Return a sentence on what a backtest's records lack; None if they are complete, or not those of a backtest."""
    return left_out(read_evidence(app.folder.path).unrecorded) if app.folder.kind == BACKTEST else None


def _missed_in(app: "App", sessions: "Set[date]") -> "tuple[MissedSlots, ...]":
    claims = app.ledger_view.slot_claims
    return missed_slots(claim for session in sorted(sessions) for claim in claims(session))


def _with_remedy(app: "App", answer: "Explanation", last: "CycleRecord | None") -> "Explanation":
    """Return the answer with a remedy that helps now, for an ended market or a halt with a known cause."""
    if last is not None and answer.remedy == REASONS[Reason.HALTED].remedy:
        more, remedy = _why_halted(app, last.at)
        return replace(answer, sentence=f"{answer.sentence}{more}", remedy=remedy)
    refused = last.job_decision if last else None
    if last is None or refused is None or refused.reason is None or answer.remedy != REASONS[refused.reason].remedy:
        return answer
    return replace(answer, remedy=remedy_of(app, refused.reason, last.at))


def _why_halted(app: "App", at: datetime) -> tuple[str, str]:
    """Return a sentence with the cause of the halt and what clears it; ending the halt doesn't clear its cause."""
    cause = cause_of_halt(app, at)
    why = f" {cause}: {REASONS[cause].meaning}" if cause else ""
    return why, REASONS[cause or Reason.HALTED].remedy


def _changed_since(app: "App", last: "CycleRecord | None") -> str | None:
    then = _reasons(last) if last else frozenset[Reason]()
    # A pass records only the first closed condition.
    for reason, detail in app.permission.closed_to_entries(datetime.now(UTC))[:1]:
        if reason not in then:
            return f"Permission is closed now: {reason} ({clean(detail)})."
    state = halt_switch.read(app.folder.path)
    was_halted = bool(then & {Reason.HALTED, Reason.STATE_UNREADABLE})
    if state.state is not TradingState.ACTIVE and not was_halted:
        who = f" by {clean(state.who)}" if state.who else ""
        return f"Trading is halted now: {state.state}{who}: {clean(state.why)}. Next: tradebot unhalt"
    if state.state is TradingState.ACTIVE and was_halted:
        return "That halt has ended: trading is ACTIVE now. Next: tradebot trade-once"
    return _silent_since(app, last.at) if last else None


def _silent_since(app: "App", last: datetime) -> str | None:
    """Return a sentence if several slots of an open session have passed since the last pass; otherwise, and in the
    sandbox, None.
    """
    now = datetime.now(UTC)
    session = None if app.mode is Mode.SANDBOX else session_of(app.ledger_view, now, app.day)
    if session is None or not session.contains(now):
        return None
    missed = [due for due in app.settings.timetable[Job.TRADE_ONCE].in_session(session) if last < due.start <= now]
    if len(missed) < MANY_MISSED:
        return None
    return f"{len(missed)} slots of this session went by without a pass. Next: tradebot doctor"


def _reasons(cycle: "CycleRecord") -> frozenset[object]:
    return frozenset(decision.reason for record in cycle.candidates for decision in record.decisions)


def _newest(ways: "Sequence[GatePath]") -> "tuple[GatePath, ...]":
    """Return the paths through the last pass: one for each strategy that evaluated the symbol."""
    return tuple(way for way in ways if way.at == ways[-1].at)


def last_symbol_path(app: "App", symbol: str, strategy: str | None = None) -> "SymbolWhy":
    """Return a symbol's path through the gates in the last pass that included it, for one strategy or any."""
    cycles = cycles_of(app, PassSpan(), strategy)
    ways = gate_paths_of(symbol, cycles) or _newest(
        gate_paths_of(symbol, cycles_of(app, PassSpan(last=SEARCHED), strategy, symbol=symbol))
    )
    return symbol_path(app, symbol, cycles, ways)


def symbol_path(app: "App", symbol: str, cycles: "Sequence[CycleRecord]", ways: "Sequence[GatePath]") -> "SymbolWhy":
    """Return a symbol's path through the gates in these passes; the last of its recorded paths, `ways`, counts."""
    last = cycles[-1] if cycles else None
    now, lacking = _changed_since(app, last), left_out_of(app)
    if not ways:
        answer = why_no_orders(cycles) if cycles else nothing_of(app, None)
        way = why_nothing_shown(symbol, cycles, _with_remedy(app, answer, last), now)
        return replace(way, sentence=lacking, remedy=PLAY_AGAIN, left_out=lacking) if lacking else way
    halt = _why_halted(app, ways[-1].at) if was_halted(ways[-1]) else None
    way = replace(explain_symbol(ways, halt, now), left_out=lacking)
    return way if lacking else replace(way, what_if=_what_if(app, way))


def _what_if(app: "App", way: "SymbolWhy") -> str | None:
    if way.remedy == FROM_NOTHING:
        return None
    """Return the command that replays the pass with another value of the setting that refused a symbol, if any."""
    failed = next((decision for decision in way.decisions if not decision.passed), None)
    if failed is None or way.strategy is None:
        return None
    setting = threshold_of(app.settings, way.strategy, ThresholdQuestion(failed.gate, failed.about), failed.limit)
    return f"tradebot why-no-orders {way.symbol} --what-if {setting.key}=VALUE" if setting else None
