"""`score --explain SYMBOL`: break down one symbol's score, without recording anything.

The document contains everything needed to recompute the score: a component's value is its formula over its inputs, its
contribution is value x weight / the sum of all weights, and the score is the sum of the contributions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.files import GAIN, INK, LOSS, QUIET, open_figure, write_title
from commands.shared.number_format import duration, format_signed, format_with_unit, usd
from commands.shared.tables import Table, number, sentence
from commands.shared.times import CLOCK, when
from commands.shared.universe import in_universe
from tradebot.app.wiring import App
from tradebot.desk.strategy_views import StrategyInputs, ViewBuilder
from tradebot.errors import OperatorError
from tradebot.model.candidate import Component, ComponentInputs, Input, OptionContract
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.view import Open, StrategyView
from tradebot.ports.strategy import ExplainedStrategy, Strategy
from tradebot.signals.scoring import evaluate, names

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes


STEPS: Mapping[str, float] = {
    "USD": 100_000,
    "fraction": 0.01,
    "volatility": 0.01,
    "a year": 0.01,
    "of the float": 0.01,
    "0 to 1": 0.01,
    "-1 to 1": 0.01,
    "contracts": 1_000,
    "shares": 100_000,
}
"""The step for "one unit more" in units in which one is too small to matter; in all others it is 1."""


class ExplainedInput(Struct, frozen=True):
    """One input of a component, in `unit`; `row` is the id of the stored row that it was read from, if any.

    `age_s` is its age at the time of the explanation. An increase by `step` would change the score by `score_change`;
    both are None if the formula doesn't read it by its name.
    """

    name: str
    value: Decimal | float
    unit: str
    at: datetime | date | None
    age_s: float | None
    row: str
    step: float | None
    score_change: float | None


class ExplainedComponent(Struct, frozen=True):
    """One part of a score: contribution = value x weight / sum of all weights; None if its data is missing.

    `inferred` says what the formula assumes although the flow source doesn't define it.
    """

    name: str
    value: float | None
    weight: float
    contribution: float | None
    formula: str | None
    absent: str | None
    inferred: str
    inputs: tuple[ExplainedInput, ...]


class ExplainedContract(Struct, frozen=True):
    """An option contract behind the score, with its trading costs: the spread as a fraction, and in USD.

    `alerts` are the ids of the stored alerts about it, newest first.
    """

    contract: str
    net_premium_usd: Decimal
    at: datetime
    bid: Decimal | None
    ask: Decimal | None
    spread_fraction: Decimal | None
    cost_usd: Decimal | None
    volume: int
    open_interest: int
    opening_inferred: bool | None
    sweep_inferred: bool
    alerts: tuple[str, ...]


class ExplainedScore(Struct, frozen=True):
    """One strategy's score of the symbol: the sum of its contributions; `decisions` are the strategy's own filters.

    `coverage` is the share of the total weight for which there is data. Side and score are None if the strategy's
    result was refused, or if the symbol was `left_out` of its view; the decision says why. `contracts` are the options
    that support the score's direction.
    """

    strategy: str
    side: str | None
    score: float | None
    coverage: float | None
    total_weight: float
    components: tuple[ExplainedComponent, ...]
    contracts: tuple[ExplainedContract, ...]
    decisions: tuple[Decision, ...]
    left_out: bool = False


class Explained(Struct, frozen=True):
    """A symbol's current score; `flow_age_s` is the age of its flow at `at`, None if it was never fetched.

    `reads_flow` is False if no strategy reads flow, so that its age is irrelevant.
    """

    symbol: str
    at: datetime
    flow_fetched_at: datetime | None
    flow_age_s: float | None
    scores: tuple[ExplainedScore, ...]
    reads_flow: bool = True


def explain_score(app: App, symbol: str) -> Explained:
    """Score the universe as `score` does, record nothing, and break one symbol's score down."""
    symbol = in_universe(app, symbol)
    world, now = app.world(dry_run=True), app.now()
    facts = world.facts.last_answers((symbol,), now).get(symbol)
    fetched = facts.alerts_fetched_at if facts else None
    sights = ViewBuilder(world, now, app.strategies)
    return Explained(
        symbol=symbol,
        at=now,
        flow_fetched_at=fetched,
        flow_age_s=(now - fetched).total_seconds() if fetched else None,
        scores=tuple(
            score for strategy in app.strategies for score in scores_of(strategy, sights.of(strategy), symbol)
        ),
        reads_flow=any(strategy.needs.facts for strategy in app.strategies),
    )


def scores_of(strategy: Strategy, inputs: StrategyInputs, symbol: str) -> Iterator[ExplainedScore]:
    """Yield a strategy's scores of one symbol, computed together with all other symbols that the strategy sees."""
    left_out = [refused.decision for refused in inputs.left_out if refused.symbol == symbol]
    if left_out:
        yield ExplainedScore(strategy.name, None, None, None, 0, (), (), tuple(left_out), left_out=True)
        return
    proposed = inputs.unmet or strategy.propose(inputs.view)
    proposals = () if isinstance(proposed, Decision) else proposed
    wants = [want for want in proposals if isinstance(want, Open) and want.symbol == symbol]
    if isinstance(proposed, Decision):
        yield ExplainedScore(strategy.name, None, None, None, 0, (), (), (proposed,))
    elif not wants and symbol in inputs.view.lots:
        decision = Decision(Gate.POSITIONED, Verdict.FAIL, Reason.ALREADY_POSITIONED)
        yield ExplainedScore(strategy.name, None, None, None, 0, (), (), (decision,), left_out=True)
    yield from (_explain_want(strategy, want, inputs.view) for want in wants)


def _explain_want(strategy: Strategy, want: Open, view: StrategyView) -> ExplainedScore:
    inputs: Sequence[ComponentInputs] = ()
    contracts: Sequence[OptionContract] = want.contracts
    if isinstance(strategy, ExplainedStrategy):
        inputs = strategy.inputs(view, want.symbol)
        contracts = strategy.contracts(view, want.symbol, 1 if want.score > 0 else -1) if want.score else ()
    total = sum(component.weight for component in want.components)
    by_name = {component_inputs.component: component_inputs for component_inputs in inputs}
    parts = (_component(part, by_name.get(part.name), total, view.now) for part in want.components)
    return ExplainedScore(
        strategy=strategy.name,
        side=want.side.value,
        score=want.score,
        coverage=want.coverage,
        total_weight=total,
        components=tuple(parts),
        contracts=tuple(map(_contract, contracts)),
        decisions=want.decisions,
    )


def _component(part: Component, inputs: ComponentInputs | None, total: float, now: datetime) -> ExplainedComponent:
    share = part.weight / total if total else 0.0
    return ExplainedComponent(
        name=part.name,
        value=part.value,
        weight=part.weight,
        contribution=None if part.value is None else part.value * share,
        formula=inputs.formula if inputs else None,
        absent=inputs.absent if inputs else None,
        inferred=inputs.inferred if inputs else "",
        inputs=tuple(_inputs(inputs, part.value, share, now)) if inputs else (),
    )


def _inputs(inputs: ComponentInputs, value: float | None, share: float, now: datetime) -> Iterator[ExplainedInput]:
    read = names(inputs.formula) if value is not None else frozenset()
    values = {each.name: float(each.value) for each in inputs.values}
    for each in inputs.values:
        age_s = (now - each.at).total_seconds() if isinstance(each.at, datetime) else None
        step, change = _one_more(each, inputs.formula, values, share) if each.name in read else (None, None)
        yield ExplainedInput(each.name, each.value, each.unit, each.at, age_s, each.row, step, change)


def _one_more(
    each: Input, formula: str, values: Mapping[str, float], share: float
) -> tuple[float | None, float | None]:
    """Return the step for one unit more of an input, and its effect on the score; None if there is no result."""
    step = STEPS.get(each.unit, 1.0)
    try:
        change = evaluate(formula, {**values, each.name: values[each.name] + step}) - evaluate(formula, values)
    except ArithmeticError:
        return None, None
    return step, change * share


def _contract(option_contract: OptionContract) -> ExplainedContract:
    return ExplainedContract(
        contract=option_contract.symbol,
        net_premium_usd=option_contract.net_premium,
        at=option_contract.at,
        bid=option_contract.bid,
        ask=option_contract.ask,
        spread_fraction=option_contract.spread_fraction,
        cost_usd=option_contract.cost_usd,
        volume=option_contract.volume,
        open_interest=option_contract.open_interest,
        opening_inferred=option_contract.opening,
        sweep_inferred=option_contract.sweep,
        alerts=option_contract.alerts,
    )


def draw(data: Explained, file: Path) -> None:
    """Draw a panel of bars for each strategy that scores the symbol; raise OperatorError if it can't be written."""
    scored = [score for score in data.scores if score.components]
    if not scored:
        raise OperatorError(f"No strategy scores {data.symbol}, so there is nothing to draw", "tradebot strategy list")
    height = sum(0.34 * len(score.components) + 1.3 for score in scored)
    with open_figure(file, 9, height) as figure:
        ratios = [len(score.components) + 1 for score in scored]
        panels = figure.subplots(len(scored), 1, squeeze=False, gridspec_kw={"height_ratios": ratios})
        for axes, score in zip(panels.flat, scored, strict=True):
            _panel(axes, data, score)


def _panel(axes: Axes, data: Explained, score: ExplainedScore) -> None:
    parts = list(reversed(score.components))
    names = [part.name.replace("_", " ") for part in parts]
    values = [part.contribution or 0.0 for part in parts]
    axes.barh(names, values, color=[GAIN if value > 0 else LOSS for value in values])
    _finish(axes, values, [part.contribution is None for part in parts])
    score_text = "no score" if score.score is None else f"{score.score:+.3f}"
    coverage = "" if score.coverage is None else f", coverage {score.coverage:.0%}"
    write_title(axes, f"{data.symbol} at {when(data.at)}: {score.strategy} {score_text}{coverage}")


def _finish(axes: Axes, values: list[float], absent: list[bool]) -> None:
    reach = max(map(abs, values), default=0) or 0.1
    for index, (value, missing) in enumerate(zip(values, absent, strict=True)):
        words = "no data" if missing else f"{value:+.3f}"
        side = "left" if value >= 0 else "right"
        away = 0.02 * reach * (1 if value >= 0 else -1)
        axes.text(value + away, index, words, va="center", ha=side, color=QUIET if missing else INK, fontsize=9)
    axes.set_xlim(-1.25 * reach, 1.25 * reach)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("contribution to the score (bearish left, bullish right)", color=QUIET)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


SHOWN = 9
"""How many inputs of one component a screen shows; the document has all of them."""
HALF = 10  # the width of a bar on each side of zero


def render(out: Console, data: Explained) -> None:
    fetched = data.flow_fetched_at
    age = f"fetched at {when(fetched)}, {data.flow_age_s:,.0f} s earlier" if fetched else "never fetched"
    out.print(f"{data.symbol} at {when(data.at)}" + (f"; its flow was {age}" if data.reads_flow else ""))
    for score in data.scores:
        _score(out, score, data.symbol)
    if not data.scores:
        out.print("No strategy proposes anything for it. Next: tradebot strategy list")


def _unseen(out: Console, score: ExplainedScore) -> None:
    """Print why a strategy skipped the symbol, in the words of why-no-orders."""
    for reason in filter(None, (decision.reason for decision in score.decisions)):
        out.print(f"{score.strategy} skipped it: {reason}. {REASONS[reason].meaning}", markup=False)
        out.print(f"Next: {REASONS[reason].remedy}", markup=False)


def _score(out: Console, score: ExplainedScore, symbol: str) -> None:
    if score.left_out:
        _unseen(out, score)
        return
    largest = max((abs(part.contribution or 0) for part in score.components), default=0)
    table = Table("component", *(number(name) for name in ("value", "weight", "contribution")), "bearish | bullish")
    for part in score.components:
        bar = _bar(part.contribution, largest)
        table.row(part.name, _signed_text(part.value), f"{part.weight:g}", _signed_text(part.contribution), bar)
    coverage = "·" if score.coverage is None else f"{score.coverage:.0%}"
    table.row("[bold]score[/bold]", "", f"coverage {coverage}", f"[bold]{_signed_text(score.score)}[/bold]", "")
    formula = "contribution = value x weight / sum of weights"
    side = "no direction" if score.score == 0 else score.side or "no answer"
    out.print(f"Strategy {score.strategy}: {side}; {formula}", markup=False)
    if score.components:
        out.print(table)
    for decision in score.decisions:
        verdict = f"{decision.verdict} {decision.reason}" if decision.reason else f"{decision.verdict}"
        name = decision.about or "the strategy's filter"
        out.print(f"  {name}: {verdict}{_numbers_text(decision)}", markup=False)
    for part in score.components:
        _input_rows(out, part, symbol)
    _contracts(out, score)


def _numbers_text(decision: Decision) -> str:
    """Return the numbers of a decision in parentheses, after a space; empty if it has none."""
    numbers = zip(("observed", "limit"), (decision.observed, decision.limit), decision.units, strict=True)
    texts = [f"{name} {text}" for name, value, unit in numbers if (text := format_with_unit(value, unit))]
    return f" ({', '.join(texts)})" if texts else ""


def _bar(contribution: float | None, largest: float) -> str:
    """Return a bar to the left of the middle for a bearish contribution, and to the right for a bullish one."""
    if not contribution or not largest:
        return f"{' ' * HALF}|"
    length = max(1, round(abs(contribution) / largest * HALF))
    if contribution < 0:
        return f"[red]{'█' * length:>{HALF}}[/red]|"
    return f"{' ' * HALF}|[green]{'█' * length}[/green]"


def _input_rows(out: Console, part: ExplainedComponent, symbol: str) -> None:
    if part.formula is None:
        return
    out.print(f"{part.name} = {part.formula}" + (f": absent, {part.absent}" if part.absent else ""), markup=False)
    if part.inferred:
        out.print(f"  inferred: {part.inferred}", markup=False)
    table = Table("input", number("value"), "unit", sentence("time"), sentence("one more"), "row", header=False)
    for row in part.inputs[:SHOWN]:
        name, value = escape(f"  {row.name.replace('_', ' ')}"), _number(row.value, row.unit, symbol)
        table.row(name, value, row.unit, _when(row), _one_more_cell(row), escape(row.row[:8]))
    if part.inputs:
        out.print(table)
    if len(part.inputs) > SHOWN:
        out.print(f"  {len(part.inputs) - SHOWN} more; --json lists them all")


def _one_more_cell(explained_input: ExplainedInput) -> str:
    if explained_input.step is None or explained_input.score_change is None:
        return ""
    return f"{explained_input.step:,g} more: score {format_signed(explained_input.score_change, 4)}"


def _contracts(out: Console, score: ExplainedScore) -> None:
    if not score.contracts:
        return
    out.print("Contracts behind the score (the source infers which trades were opening or sweeps):")
    numbers = (number(name) for name in ("net premium", "bid", "ask", "spread", "one costs", "volume", "open"))
    table = Table("contract", *numbers, "kind", "alert")
    for row in score.contracts:
        spread = "·" if row.spread_fraction is None else f"{row.spread_fraction:.1%}"
        kinds = [word for word, there in (("opening", row.opening_inferred), ("sweep", row.sweep_inferred)) if there]
        prices = (usd(row.bid), usd(row.ask), spread, usd(row.cost_usd))
        counts = (f"{row.volume:,}", f"{row.open_interest:,}")
        alert = escape(row.alerts[0][:8]) + (f" +{len(row.alerts) - 1}" if len(row.alerts) > 1 else "")
        table.row(row.contract, f"{row.net_premium_usd:,.0f}", *prices, *counts, " ".join(kinds), alert)
    out.print(table)


def _signed_text(value: float | None) -> str:
    return "·" if value is None else format_signed(value, 4)


def _number(value: Decimal | float, unit: str, symbol: str) -> str:
    if unit == "USD" and not isinstance(value, int):
        return usd(Decimal(str(value)), symbol)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}".rstrip("0").rstrip(".")


def _when(row: ExplainedInput) -> str:
    if isinstance(row.at, datetime):
        return f"at {when(row.at, CLOCK)}" + (f", {duration(row.age_s)} old" if row.age_s else "")
    return f"of {row.at.isoformat()}" if row.at else ""
