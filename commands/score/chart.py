"""`score --explain SYMBOL --plot FILE`: the contributions to a score as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commands.shared.pictures import GAIN, INK, LOSS, QUIET, picture, title
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from commands.score.explained import Explained, ExplainedScore


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
    from commands.shared.times import when

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
