"""`pnl --plot FILE`: the rows as bars, and for days, weeks and months what they add up to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.errors import ExitCode, OperatorError
from tradebot.views.performance.pnl import IN_TIME

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tradebot.views.performance.pnl import Pnl

FORMATS = (".svg", ".png")
GAIN, LOSS, INK, QUIET = "#1f7a4d", "#c81e1e", "#1f2933", "#7b8794"
LABELS = 12
"""How many names fit below a chart of days."""
FEWEST = 5
"""For how many bars there is room at least, so that one day isn't a wall."""


def checked(file: Path) -> Path:
    """Return the path of a picture; raise OperatorError if its name says no format that can be drawn."""
    if file.suffix.lower() not in FORMATS:
        raise OperatorError(
            f"{file} is neither .svg nor .png",
            "Name the picture after its format: --plot pnl.svg",
            code=ExitCode.USAGE,
        )
    return file


def draw(data: Pnl, file: Path) -> None:
    """Draw the rows; raise OperatorError if there are none, or if the file can't be written."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    if not data.rows:
        raise OperatorError("Nothing was earned or lost there, so there is nothing to draw", "tradebot pnl")
    in_time = data.by in IN_TIME
    # A picture of the same rows is the same file: no time of making, and ids that are counted.
    with mpl.rc_context({"svg.hashsalt": "tradebot", "font.size": 10, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 4.5 if in_time else 0.34 * len(data.rows) + 1.3), layout="constrained")
        axes = figure.subplots()
        _in_time(axes, data) if in_time else _by_name(axes, data)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.set_title(_title(data), loc="left", color=INK, fontsize=12, fontweight="bold")
        try:
            figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else None, dpi=150)
        except OSError as error:
            raise OperatorError(f"{file} can't be written: {error.strerror}", "Name another file.") from error


def _title(data: Pnl) -> str:
    days = f"{data.first}" if data.first == data.last else f"{data.first} to {data.last}"
    return f"Profit and loss by {data.by}, {days}: {data.total.total_usd:+,.2f} USD"


def _in_time(axes: Axes, data: Pnl) -> None:
    values, names = [float(row.total_usd) for row in data.rows], [row.name for row in data.rows]
    places = range(len(values))
    axes.bar(places, values, color=_colors(values))
    if len(values) > 1:
        sums = [sum(values[: place + 1]) for place in places]
        axes.plot(places, sums, color=INK, linewidth=1.6, marker="o", markersize=3, label="added up")
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    axes.set_xlim(-0.6, max(len(values), FEWEST) - 0.4)
    step = -(-len(names) // LABELS)
    axes.set_xticks(list(places)[::step], names[::step])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_ylabel("USD", color=QUIET)


def _by_name(axes: Axes, data: Pnl) -> None:
    rows = list(reversed(data.rows))
    values = [float(row.total_usd) for row in rows]
    axes.barh([row.name for row in rows], values, color=_colors(values))
    reach = max(map(abs, values)) or 1.0
    for place, value in enumerate(values):
        away, side = (0.02 * reach, "left") if value >= 0 else (-0.02 * reach, "right")
        axes.text(value + away, place, f"{value:+,.2f}", va="center", ha=side, color=INK, fontsize=9)
    axes.set_xlim(min(0.0, 1.3 * min(values)), max(0.0, 1.3 * max(values)) or reach)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("USD", color=QUIET)


def _colors(values: list[float]) -> list[str]:
    return [GAIN if value > 0 else LOSS for value in values]
