"""How `score --explain` looks: a bar for each contribution, then each component's inputs, then the contracts."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from commands.score.explained import Explained, ExplainedComponent, ExplainedInput, ExplainedScore
from commands.shared.drawing import duration, measured, signed, usd
from commands.shared.pictures import GAIN, INK, LOSS, QUIET, picture, title
from commands.shared.tables import Table, number, sentence
from commands.shared.times import CLOCK, when
from tradebot.errors import OperatorError
from tradebot.model.decision import Decision

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes


def draw(data: Explained, file: Path) -> None:
    """Draw a panel of bars for each strategy that scores the symbol; raise OperatorError if it can't be written."""
    scored = [score for score in data.scores if score.components]
    if not scored:
        raise OperatorError(f"No strategy scores {data.symbol}, so there is nothing to draw", "tradebot strategy list")
    height = sum(0.34 * len(score.components) + 1.3 for score in scored)
    with picture(file, 9, height) as figure:
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
    said = "no score" if score.score is None else f"{score.score:+.3f}"
    coverage = "" if score.coverage is None else f", coverage {score.coverage:.0%}"
    title(axes, f"{data.symbol} at {when(data.at)}: {score.strategy} {said}{coverage}")


def _finish(axes: Axes, values: list[float], absent: list[bool]) -> None:
    reach = max(map(abs, values), default=0) or 0.1
    for place, (value, missing) in enumerate(zip(values, absent, strict=True)):
        words = "no data" if missing else f"{value:+.3f}"
        side = "left" if value >= 0 else "right"
        away = 0.02 * reach * (1 if value >= 0 else -1)
        axes.text(value + away, place, words, va="center", ha=side, color=QUIET if missing else INK, fontsize=9)
    axes.set_xlim(-1.25 * reach, 1.25 * reach)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("contribution to the score (bearish left, bullish right)", color=QUIET)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


SHOWN = 9
"""Inputs of one component that a screen shows; the document has all of them."""
HALF = 10
"""How wide a bar is on each side of zero."""


def render(out: Console, data: Explained) -> None:
    fetched = data.flow_fetched_at
    age = f"fetched at {when(fetched)}, {data.flow_age_s:,.0f} s earlier" if fetched else "never fetched"
    out.print(f"{data.symbol} at {when(data.at)}; its flow was {age}")
    for score in data.scores:
        _score(out, score)
    if not data.scores:
        out.print("No strategy proposes anything for it. Next: tradebot strategy list")


def _score(out: Console, score: ExplainedScore) -> None:
    largest = max((abs(part.contribution or 0) for part in score.components), default=0)
    table = Table("component", *(number(name) for name in ("value", "weight", "contribution")), "bearish | bullish")
    for part in score.components:
        bar = _bar(part.contribution, largest)
        table.row(part.name, _signed(part.value), f"{part.weight:g}", _signed(part.contribution), bar)
    coverage = "·" if score.coverage is None else f"{score.coverage:.0%}"
    table.row("[bold]score[/bold]", "", f"coverage {coverage}", f"[bold]{_signed(score.score)}[/bold]", "")
    made = "contribution = value x weight / sum of weights"
    side = "no direction" if score.score == 0 else score.side or "no answer"
    out.print(f"Strategy {score.strategy}: {side}; {made}", markup=False)
    if score.components:
        out.print(table)
    for decision in score.decisions:
        verdict = f"{decision.verdict} {decision.reason}" if decision.reason else f"{decision.verdict}"
        out.print(f"  the strategy's filter: {verdict} ({_observed(decision)})", markup=False)
    for part in score.components:
        _inputs(out, part)
    _contracts(out, score)


def _observed(decision: Decision) -> str:
    observed, limit = decision.units
    numbers = f"observed {measured(decision.observed, observed)}"
    return numbers if decision.limit is None else f"{numbers}, limit {measured(decision.limit, limit)}"


def _bar(contribution: float | None, largest: float) -> str:
    """Return a bar to the left of the middle for a bearish contribution, and to the right for a bullish one."""
    if not contribution or not largest:
        return f"{' ' * HALF}|"
    length = max(1, round(abs(contribution) / largest * HALF))
    if contribution < 0:
        return f"[red]{'█' * length:>{HALF}}[/red]|"
    return f"{' ' * HALF}|[green]{'█' * length}[/green]"


def _inputs(out: Console, part: ExplainedComponent) -> None:
    if part.formula is None:
        return
    out.print(f"{part.name} = {part.formula}" + (f": absent, {part.absent}" if part.absent else ""), markup=False)
    if part.inferred:
        out.print(f"  inferred: {part.inferred}", markup=False)
    table = Table("input", number("value"), "unit", sentence("time"), sentence("one more"), "row", header=False)
    for found in part.inputs[:SHOWN]:
        name, value = escape(f"  {found.name.replace('_', ' ')}"), _number(found.value, found.unit)
        table.row(name, value, found.unit, _when(found), _one_more(found), escape(found.row[:8]))
    if part.inputs:
        out.print(table)
    if len(part.inputs) > SHOWN:
        out.print(f"  {len(part.inputs) - SHOWN} more; --json lists them all")


def _one_more(found: ExplainedInput) -> str:
    if found.step is None or found.score_change is None:
        return ""
    return f"{found.step:,g} more: score {signed(found.score_change, 4)}"


def _contracts(out: Console, score: ExplainedScore) -> None:
    if not score.contracts:
        return
    out.print("Contracts behind it (whether trades were opening or sweeps is the source's inference):")
    numbers = (number(name) for name in ("net premium", "bid", "ask", "spread", "one costs", "volume", "open"))
    table = Table("contract", *numbers, "kind", "alert")
    for one in score.contracts:
        spread = "·" if one.spread_fraction is None else f"{one.spread_fraction:.1%}"
        kinds = [word for word, there in (("opening", one.opening_inferred), ("sweep", one.sweep_inferred)) if there]
        prices = (usd(one.bid), usd(one.ask), spread, usd(one.cost_usd))
        counts = (f"{one.volume:,}", f"{one.open_interest:,}")
        alert = escape(one.alerts[0][:8]) + (f" +{len(one.alerts) - 1}" if len(one.alerts) > 1 else "")
        table.row(one.contract, f"{one.net_premium_usd:,.0f}", *prices, *counts, " ".join(kinds), alert)
    out.print(table)


def _signed(value: float | None) -> str:
    return "·" if value is None else signed(value, 4)


def _number(value: object, unit: str) -> str:
    if unit == "USD" and not isinstance(value, int):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}".rstrip("0").rstrip(".")


def _when(found: ExplainedInput) -> str:
    at: datetime | date | None = found.at
    if at is None:
        return ""
    if isinstance(at, datetime):
        return f"at {when(at, CLOCK)}" + (f", {duration(found.age_s)} old" if found.age_s else "")
    return f"of {at.isoformat()}"
