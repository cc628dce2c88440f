"""`score --explain SYMBOL --plot FILE`: the contributions to a score as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from commands.score.explained import Explained, ExplainedScore

FORMATS = (".svg", ".png")
BULLISH, BEARISH, INK, QUIET = "#1f7a4d", "#c81e1e", "#1f2933", "#7b8794"


def checked(file: Path) -> Path:
    """Return the path of a picture; raise OperatorError if its name says no format that can be drawn."""
    if file.suffix.lower() not in FORMATS:
        raise OperatorError(
            f"{file} is neither .svg nor .png",
            "Name the picture after its format: --plot score.svg",
            code=ExitCode.USAGE,
        )
    return file


def draw(data: Explained, file: Path) -> None:
    """Draw a panel of bars for each strategy that scores the symbol; raise OperatorError if it can't be written."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    scored = [score for score in data.scores if score.components]
    if not scored:
        raise OperatorError(f"No strategy scores {data.symbol}, so there is nothing to draw", "tradebot strategy list")
    height = sum(0.34 * len(score.components) + 1.3 for score in scored)
    # A picture of the same score is the same file: no time of making, and ids that are counted.
    with mpl.rc_context({"svg.hashsalt": "tradebot", "font.size": 10, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, height), layout="constrained")
        ratios = [len(score.components) + 1 for score in scored]
        panels = figure.subplots(len(scored), 1, squeeze=False, gridspec_kw={"height_ratios": ratios})
        for axes, score in zip(panels.flat, scored, strict=True):
            _panel(axes, data, score)
        try:
            figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else None, dpi=150)
        except OSError as error:
            raise OperatorError(f"{file} can't be written: {error.strerror}", "Name another file.") from error


def _panel(axes: Axes, data: Explained, score: ExplainedScore) -> None:
    from commands.shared.times import when

    parts = list(reversed(score.components))
    names = [part.name.replace("_", " ") for part in parts]
    values = [part.contribution or 0.0 for part in parts]
    axes.barh(names, values, color=[BULLISH if value > 0 else BEARISH for value in values])
    _finish(axes, values, [part.contribution is None for part in parts])
    said = "no score" if score.score is None else f"{score.score:+.3f}"
    coverage = "" if score.coverage is None else f", coverage {score.coverage:.0%}"
    title = f"{data.symbol} at {when(data.at)}: {score.strategy} {said}{coverage}"
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")


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
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
