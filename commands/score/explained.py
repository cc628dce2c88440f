"""`score --explain SYMBOL`: show how one symbol's score is computed, without recording anything."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from commands.shared.drawing import measured, signed
from commands.shared.surface import Report
from commands.shared.times import CLOCK, when

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.candidate import Component
    from tradebot.model.decision import Decision
    from tradebot.model.inputs import ComponentInputs, Input
    from tradebot.model.view import StrategyView
    from tradebot.model.wants import Open
    from tradebot.ports.strategy import Strategy

SHOWN = 9
"""Inputs of one component that a screen shows; the document has all of them."""


@dataclass(frozen=True, slots=True)
class ExplainedComponent:
    """One part of a score: contribution = value x weight / sum of all weights; None if its data is missing."""

    name: str
    value: float | None
    weight: float
    contribution: float | None
    formula: str | None
    absent: str | None
    inputs: "tuple[Input, ...]"


@dataclass(frozen=True, slots=True)
class ExplainedScore:
    """One strategy's score of the symbol: the sum of its contributions; `decisions` are the strategy's own filters.

    `coverage` is the share of the weight for which there is data. Side and score are None if the strategy's answer was
    refused; the decision says why.
    """

    strategy: str
    side: str | None
    score: float | None
    coverage: float | None
    components: tuple[ExplainedComponent, ...]
    decisions: "tuple[Decision, ...]"


@dataclass(frozen=True, slots=True)
class Explained:
    """How a symbol is scored now; `flow_age_s` is the age of its flow at `at`, None if it was never fetched."""

    symbol: str
    at: datetime
    flow_fetched_at: datetime | None
    flow_age_s: float | None
    scores: tuple[ExplainedScore, ...]


def run(app: "App", symbol: str) -> Report:
    """Score the universe as `score` does, record nothing, and break one symbol's score down."""
    from commands.shared.passes import in_universe
    from tradebot.desk.views import Sights

    symbol = in_universe(app, symbol)
    world, now = app.world(dry_run=True), app.now()
    facts = world.facts.last_answers((symbol,), now).get(symbol)
    fetched = facts.alerts_fetched_at if facts else None
    sights = Sights(world, now, app.strategies)
    data = Explained(
        symbol=symbol,
        at=now,
        flow_fetched_at=fetched,
        flow_age_s=(now - fetched).total_seconds() if fetched else None,
        scores=tuple(
            score for strategy in app.strategies for score in _scores(strategy, sights.of(strategy).view, symbol)
        ),
    )
    return Report("score-explain", data, lambda out: _render(out, data), mode=app.mode_name, account=app.account_tail)


def _scores(strategy: "Strategy", view: "StrategyView", symbol: str) -> "Iterator[ExplainedScore]":
    from tradebot.model.decision import Decision
    from tradebot.model.wants import Open

    proposed = strategy.propose(view)
    if isinstance(proposed, Decision):
        yield ExplainedScore(strategy.name, None, None, None, (), (proposed,))
        return
    for want in proposed:
        if isinstance(want, Open) and want.symbol == symbol:
            yield _explained(strategy.name, want, _inputs(strategy, view, symbol))


def _inputs(strategy: "Strategy", view: "StrategyView", symbol: str) -> "Sequence[ComponentInputs]":
    from tradebot.ports.strategy import ExplainedStrategy

    return strategy.inputs(view, symbol) if isinstance(strategy, ExplainedStrategy) else ()


def _explained(strategy: str, want: "Open", inputs: "Sequence[ComponentInputs]") -> ExplainedScore:
    total = sum(component.weight for component in want.components)
    by_name = {found.component: found for found in inputs}
    return ExplainedScore(
        strategy=strategy,
        side=want.side.value,
        score=want.score,
        coverage=want.coverage,
        components=tuple(_component(part, by_name.get(part.name), total) for part in want.components),
        decisions=want.decisions,
    )


def _component(part: "Component", found: "ComponentInputs | None", total: float) -> ExplainedComponent:
    there = part.value is not None and total > 0
    return ExplainedComponent(
        name=part.name,
        value=part.value,
        weight=part.weight,
        contribution=part.value * part.weight / total if there and part.value is not None else None,
        formula=found.formula if found else None,
        absent=found.absent if found else None,
        inputs=found.values if found else (),
    )


def _render(out: "Console", data: Explained) -> None:
    fetched = data.flow_fetched_at
    age = f"fetched at {when(fetched)}, {data.flow_age_s:,.0f} s earlier" if fetched else "never fetched"
    out.print(f"{data.symbol} at {when(data.at)}; its flow was {age}")
    for score in data.scores:
        _render_score(out, score)
    if not data.scores:
        out.print("No strategy proposes anything for it. Next: tradebot strategy list")


def _render_score(out: "Console", score: ExplainedScore) -> None:
    from commands.shared.tables import Table, number

    table = Table("component", *(number(name) for name in ("value", "weight", "contribution")))
    for part in score.components:
        table.row(part.name, _signed(part.value), f"{part.weight:g}", _signed(part.contribution))
    coverage = "·" if score.coverage is None else f"{score.coverage:.0%}"
    table.row("[bold]score[/bold]", "", f"coverage {coverage}", f"[bold]{_signed(score.score)}[/bold]")
    made = "contribution = value x weight / sum of weights"
    out.print(f"Strategy {score.strategy}: {score.side or 'no answer'}; {made}", markup=False)
    if score.components:
        out.print(table)
    for decision in score.decisions:
        observed, limit = decision.units
        numbers = f"observed {measured(decision.observed, observed)}, limit {measured(decision.limit, limit)}"
        out.print(f"  the strategy's filter: {decision.verdict} {decision.reason or ''} ({numbers})", markup=False)
    for part in score.components:
        _render_inputs(out, part)


def _render_inputs(out: "Console", part: ExplainedComponent) -> None:
    from rich.markup import escape

    from commands.shared.tables import Table, number, sentence

    if part.formula is None:
        return
    out.print(f"{part.name} = {part.formula}" + (f": absent, {part.absent}" if part.absent else ""), markup=False)
    table = Table("input", number("value"), "unit", sentence("time"), header=False)
    for found in part.inputs[:SHOWN]:
        table.row(escape(f"  {found.name}"), _number(found.value, found.unit), found.unit, _when(found.at))
    if part.inputs:
        out.print(table)
    if len(part.inputs) > SHOWN:
        out.print(f"  {len(part.inputs) - SHOWN} more; --json lists them all")


def _signed(value: float | None) -> str:
    return "·" if value is None else signed(value, 4)


def _number(value: object, unit: str) -> str:
    if unit == "USD" and not isinstance(value, int):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}".rstrip("0").rstrip(".")


def _when(at: datetime | date | None) -> str:
    if at is None:
        return ""
    return f"at {when(at, CLOCK)}" if isinstance(at, datetime) else f"of {at.isoformat()}"
