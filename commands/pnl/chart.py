"""`pnl --plot FILE`: the rows as bars, and for days, weeks and months what they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commands.shared.pictures import GAIN, INK, LOSS, QUIET, picture, title
from tradebot.errors import OperatorError
from tradebot.views.trades.pnl import IN_TIME, Pnl

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

LABELS = 12
"""How many names fit below a chart of days."""
FEWEST = 5
"""For how many bars there is room at least, so that one day isn't a wall."""


def draw(data: Pnl, file: Path) -> None:
    """Draw the rows; raise OperatorError if there are none, or if the file can't be written."""
    if not data.rows:
        raise OperatorError("Nothing was earned or lost there, so there is nothing to draw", "tradebot pnl")
    in_time = data.by in IN_TIME
    with picture(file, 9, 4.5 if in_time else 0.34 * len(data.rows) + 1.3) as figure:
        axes = figure.subplots()
        _in_time(axes, data) if in_time else _by_name(axes, data)
        axes.spines[["top", "right"]].set_visible(False)
        title(axes, _title(data))


def _title(data: Pnl) -> str:
    days = f"{data.first}" if data.first == data.last else f"{data.first} to {data.last}"
    return f"Profit and loss by {data.by}, {days}: {data.profit_usd:+,.2f} USD"


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
