"""The screens of `tradebot why-no-orders`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from commands.shared.drawing import bar
from commands.shared.plain import clean
from tradebot.explain import Funnel, NearMiss, Verdict, plain
from tradebot.model import decision as gates
from tradebot.model.decision import Decision

if TYPE_CHECKING:
    from rich.console import Console

    from commands.why_no_orders.verb import SymbolWhy, Why
    from tradebot.model.candidate import Component

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
    console.print(f"Next: {answer.remedy}", markup=False)
    if answer.then:
        console.print(f"Then: {answer.then}", markup=False)
    if data.now:
        console.print(f"Since then: {data.now}", markup=False)
    if data.last_at and data.first_at:
        span = f"pass of {data.last_at:%Y-%m-%d %H:%M:%S} UTC, slot {data.last_slot}"
        if answer.funnel.passes > 1:
            span = f"{answer.funnel.passes} passes, {data.first_at:%Y-%m-%d %H:%M} to {data.last_at:%Y-%m-%d %H:%M} UTC"
        console.print(f"\nLooked at: {span}", markup=False)
    if answer.funnel.passes:
        _funnel(console, answer.funnel)


def _funnel(console: "Console", seen: Funnel) -> None:
    lost = " + ".join(str(row.count) for row in seen.reasons) or "0"
    console.print(f"Funnel: {seen.candidates} candidates = {seen.orders} orders + {lost}", markup=False)
    table = Table(box=None, pad_edge=False)
    for name in ("reason", "count", "", "nearest miss", "observed", "limit", "off by"):
        table.add_column(
            name, justify="left" if name in ("reason", "", "nearest miss") else "right", no_wrap=name in ("reason", "")
        )
    table.add_column("meaning", overflow="fold")
    most = max((row.count for row in seen.reasons), default=1)
    for row in seen.reasons:
        style = VERDICT_STYLE[Verdict(row.cause.value)]
        name, drawn = f"[{style}]{row.reason}[/{style}]", f"[{style}]{bar(row.count, most, BAR)}[/{style}]"
        table.add_row(name, str(row.count), drawn, *_miss(row.nearest), row.meaning)
    if seen.reasons:
        console.print(table)


def _miss(miss: NearMiss | None) -> tuple[str, str, str, str]:
    if miss is None:
        return "", "", "", ""
    return (
        escape(miss.symbol),
        escape(clean(miss.observed)),
        escape(clean(miss.limit)),
        f"{miss.distance:.0%}",
    )


def show_symbol(console: "Console", way: "SymbolWhy") -> None:
    """Print one symbol's score and its way through every gate."""
    ended = f"[red]{way.reason}[/red]  " if way.reason else "[green]SENT[/green]  " if way.at else ""
    console.print(f"[bold]{escape(way.symbol)}[/bold]  {ended}{escape(way.sentence)}")
    console.print(f"Next: {way.remedy}", markup=False)
    if way.then:
        console.print(f"Then: {way.then}", markup=False)
    if way.now:
        console.print(f"Since then: {way.now}", markup=False)
    if way.at:
        more = f"; {way.passes} passes looked at it" if way.passes > 1 else ""
        console.print(f"\nLooked at: pass of {way.at:%Y-%m-%d %H:%M:%S} UTC, slot {way.slot}{more}", markup=False)
        score = "none" if way.score is None else f"{way.score:+.3f}"
        coverage = "unknown" if way.coverage is None else f"{way.coverage:.0%}"
        price = "" if way.price is None else f", tried at {way.price:,f} USD"
        console.print(f"Score {score} ({way.side}), {coverage} of its weight has data{price}", markup=False)
    _components(console, way.components)
    _gates(console, way.decisions)


def _components(console: "Console", components: "Sequence[Component]") -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("component", "value", "weight", "source"):
        table.add_column(name, justify="right" if name in ("value", "weight") else "left")
    for part in components:
        value = "absent" if part.value is None else f"{part.value:+.3f}"
        table.add_row(part.name.value, value, f"{part.weight:.2f}", escape(clean(part.source)))
    if components:
        console.print(table)


def _gates(console: "Console", decisions: Sequence[Decision]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("gate", "verdict", "observed", "limit", "age s"):
        table.add_column(name, justify="right" if name in ("observed", "limit", "age s") else "left")
    table.add_column("reason", overflow="fold")
    for decision in decisions:
        style = GATE_STYLE[decision.verdict]
        verdict = f"[{style}]{decision.verdict}[/{style}]"
        numbers = (_text(decision.observed), _text(decision.limit), _text(decision.age_s))
        table.add_row(decision.gate.value, verdict, *numbers, decision.reason or "")
    if decisions:
        console.print(table)


def _text(value: object) -> str:
    return escape(clean(plain(value)))
