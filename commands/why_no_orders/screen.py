"""The screens of `tradebot why-no-orders`."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.markup import escape

from commands.shared.drawing import bar, measured, off_by, signed, usd
from commands.shared.not_run import not_due
from commands.shared.plain import clean
from commands.shared.tables import Table, number, sentence, staying
from commands.shared.times import MINUTE, slot_for_reader, when
from tradebot.model import decision as gates
from tradebot.model.candidate import Component
from tradebot.model.decision import Decision, units_of
from tradebot.model.text import counted
from tradebot.model.units import Unit
from tradebot.views.explain import Funnel, NearMiss, ReasonCount, Verdict
from tradebot.views.why_no_orders import SymbolWhy, Why

BAR = 8
VERDICT_STYLE: Mapping[Verdict, str] = {
    Verdict.TRADED: "green",
    Verdict.IDLE: "cyan",
    Verdict.BLOCKED: "yellow",
    Verdict.BROKEN: "red",
    Verdict.UNKNOWN: "magenta",
}
GATE_STYLE: Mapping[gates.Verdict, str] = {
    gates.Verdict.PASS: "green",
    gates.Verdict.FAIL: "red",
    gates.Verdict.UNKNOWN: "yellow",
}


def show(console: "Console", data: "Why") -> None:
    """Print the verdict, what decided it, what would change it, and the funnel."""
    answer = data.explanation
    style = VERDICT_STYLE[answer.verdict]
    console.print(f"[bold {style}]{answer.verdict.upper()}[/bold {style}]  {escape(answer.sentence)}")
    left_out = data.left_out if data.left_out != answer.sentence else None
    _advice(console, {"Next": answer.remedy, "Then": answer.then, "Since then": data.now, "Left out": left_out})
    if data.last_at and data.first_at:
        span = f"the pass at {when(data.last_at)}, slot {slot_for_reader(data.last_slot or '', data.last_at)}"
        if answer.funnel.passes > 1:
            first, last = when(data.first_at, MINUTE), when(data.last_at, MINUTE)
            span = f"{answer.funnel.passes:,} passes, {first} to {last}"
        console.print(f"\nLooked at: {span}", markup=False)
    for waiting in data.waiting:
        console.print(not_due(waiting), markup=False)
    _missed(console, data)
    if answer.funnel.passes:
        _funnel(console, answer.funnel)


def _advice(console: "Console", lines: Mapping[str, str | None]) -> None:
    for heading, said in lines.items():
        if said:
            console.print(f"{heading}: {said}", markup=False)


def _missed(console: "Console", data: "Why") -> None:
    for row in data.missed:
        until = f" to {row.last}" if row.count > 1 else ""
        slots = f"{counted(row.count, 'slot')} of {row.job} in session {row.session}, {row.first}{until}"
        console.print(f"Nobody ran {slots}: {row.reason}. {row.meaning}", markup=False)


def _funnel(console: "Console", seen: Funnel) -> None:
    lost = " + ".join(f"{row.count:,}" for row in seen.reasons) or "0"
    inflow, sent = counted(seen.candidates, "candidate"), counted(seen.orders, "order")
    console.print(f"Funnel: {inflow} = {sent} + {lost} refused", markup=False)
    measures = (number(name) for name in ("observed", "limit", "off by"))
    table = Table("reason", number("count"), "", "nearest miss", *measures, sentence("meaning"))
    most = max((row.count for row in seen.reasons), default=1)
    for row in seen.reasons:
        style = VERDICT_STYLE[Verdict(row.cause.value)]
        name, drawn = f"[{style}]{row.reason}[/{style}]", f"[{style}]{bar(row.count, most, BAR)}[/{style}]"
        table.row(name, f"{row.count:,}", drawn, *_miss(row, row.nearest), row.meaning)
    if seen.reasons:
        console.print(table)
    by_strategy(console, seen)


def by_strategy(console: "Console", seen: Funnel) -> None:
    """Print each strategy's part of the funnel, if there are several."""
    if len(seen.by_strategy) < 2:
        return
    table = Table("strategy", number("candidates"), number("orders"), number("refused"), sentence("refused for"))
    for part in seen.by_strategy:
        counts = (f"{count:,}" for count in (part.candidates, part.orders, part.candidates - part.orders))
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in part.reasons.items())
        table.row(escape(part.strategy), *counts, reasons)
    console.print(table)


def _miss(row: ReasonCount, miss: NearMiss | None) -> tuple[str, str, str, str]:
    if miss is None:
        return "", "", "", ""
    observed, limit = units_of(miss.gate, row.reason)
    return escape(miss.symbol), _text(miss.observed, observed), _text(miss.limit, limit), off_by(miss.distance)


def show_symbol(console: "Console", way: "SymbolWhy") -> None:
    """Print one symbol's score and every gate's answer."""
    ended = f"[red]{way.reason}[/red]  " if way.reason else "[green]SENT[/green]  " if way.at else ""
    console.print(f"[bold]{escape(way.symbol)}[/bold]  {ended}{escape(way.sentence)}")
    remedy = way.remedy.replace("NAME", way.strategy or "NAME")
    left_out = way.left_out if way.left_out != way.sentence else None
    _advice(console, {"Next": remedy, "Then": way.then, "Since then": way.now, "Left out": left_out})
    for strategy, other in way.others.items():
        ended = f"ended at {other}" if other else "had its order sent"
        name = escape(way.symbol)
        console.print(f"Also: {strategy} {ended}. tradebot why-no-orders {name} --strategy {strategy}", markup=False)
    if way.at:
        more = f"; {way.passes:,} passes looked at it" if way.passes > 1 else ""
        console.print(
            f"\nLooked at: the pass at {when(way.at)}, slot {slot_for_reader(way.slot or '', way.at)}{more}",
            markup=False,
        )
        console.print(f"Strategy {way.strategy}: {', '.join(_wanted(way))}", markup=False)
    _components(console, way.components)
    _gates(console, way.decisions)


def _wanted(way: "SymbolWhy") -> Iterator[str]:
    """Yield what the strategy wanted; only some wants have a score, and only some scores say how much data they had."""
    yield f"{way.side}" if way.score is None else f"score {signed(way.score, 3)} ({way.side})"
    if way.coverage is not None:
        yield f"data for {way.coverage:.0%} of its weight"
    if way.price is not None:
        yield f"checked at {usd(way.price)} USD"


def _components(console: "Console", components: "Sequence[Component]") -> None:
    table = Table("component", number("value"), number("weight"), sentence("source", "source"))
    for part in components:
        value = "absent" if part.value is None else signed(part.value, 3)
        table.row(part.name, value, f"{part.weight:.2f}", escape(clean(part.source)))
    if components:
        console.print(table)


def _gates(console: "Console", decisions: Sequence[Decision]) -> None:
    numbers = (number(name) for name in ("observed", "limit", "age"))
    table = Table("gate", staying("verdict"), *numbers, "reason")
    for decision in decisions:
        style = GATE_STYLE[decision.verdict]
        verdict = f"[{style}]{decision.verdict}[/{style}]"
        observed, limit = decision.units
        # If the age itself was compared with the limit, it is shown there already.
        age_s = None if decision.age_s == decision.observed else decision.age_s
        seen = _text(decision.observed, observed), _text(decision.limit, limit), _text(age_s, Unit.SECONDS)
        table.row(_gate(decision), verdict, *seen, decision.reason or "")
    if decisions:
        console.print(table)


def _gate(decision: Decision) -> str:
    """Return the gate's name; the seconds beside `session` are how far apart two clocks are."""
    clocks = decision.gate is gates.Gate.SESSION and not isinstance(decision.observed, str | None)
    return f"{decision.gate.value} (clocks apart)" if clocks else decision.gate.value


def _text(value: object, unit: Unit) -> str:
    return escape(clean(measured(value, unit)))
