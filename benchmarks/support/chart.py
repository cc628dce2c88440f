"""Prices as a picture: a panel for each symbol, with positions from entry to exit and what rested meanwhile."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from matplotlib.axes import Axes

from benchmarks.support.followed import Followed
from commands.shared.pictures import GAIN, INK, LOSS, QUIET, TITLE, picture, title

PRICE, STOP, TARGET = "#486581", "#c81e1e", "#1f7a4d"
AWAY = (-14, 10, -26, 22, -38, 34)
"""How far from an exit its words stand, in points; the words of neighbors take turns."""
NEW_YORK = ZoneInfo("America/New_York")


class Panel(NamedTuple):
    """What one panel shows: closes of minutes by their end, oldest first, and the positions."""

    symbol: str
    closes: Sequence[tuple[datetime, Decimal]]
    positions: Sequence[Followed]


def draw(name: str, panels: Sequence[Panel], file: Path) -> None:
    """Draw the panels below each other; raise OperatorError if the file can't be written."""
    with picture(file, 16, 0.6 + 3.8 * len(panels)) as figure:
        every = figure.subplots(len(panels), 1, squeeze=False)
        for axes, panel in zip(every.flat, panels, strict=True):
            _panel(axes, panel)
        figure.suptitle(f"{name} (▲ bought, ▼ sold)", x=0.01, ha="left", **TITLE)
        every[0, 0].legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=5)


def _panel(axes: Axes, panel: Panel) -> None:
    """Draw prices and positions by the number of the minute: minutes without a bar, such as nights, take no room."""
    times = [at for at, _ in panel.closes]

    def place(at: datetime) -> int:
        return min(bisect_left(times, at), len(times) - 1)

    start = 0
    for day, closes in groupby(panel.closes, key=lambda close: close[0].astimezone(NEW_YORK).date()):
        prices = [float(price) for _, price in closes]
        label = "price" if not start else None
        axes.plot(range(start, start + len(prices)), prices, color=PRICE, linewidth=1.2, label=label)
        axes.axvline(start, color=QUIET, linewidth=0.6)
        axes.text(start, -0.07, f" {day:%a %b %d}", transform=axes.get_xaxis_transform(), color=QUIET, va="top")
        start += len(prices)
    axes.set_ylim(*_reach(panel))
    for position in panel.positions:
        _levels(axes, position, place)
    for number, position in enumerate(panel.positions):
        _trade(axes, position, place, AWAY[number % len(AWAY)])
    hours = [number for number, at in enumerate(times) if at.astimezone(NEW_YORK).minute == 0]
    axes.set_xticks(hours, [f"{times[number].astimezone(NEW_YORK):%H:%M}" for number in hours], color=QUIET, fontsize=7)
    axes.grid(axis="y", color=QUIET, alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0)
    title(axes, panel.symbol)


def _reach(panel: Panel) -> tuple[float, float]:
    """Return the lowest and the highest price that is shown: levels far from all prices aren't."""
    prices = [price for _, price in panel.closes]
    middle, far = (max(prices) + min(prices)) / 2, (max(prices) - min(prices)) * Decimal("2.2")
    rested = (level for position in panel.positions for row in position.rested for level in (row.stop, row.target))
    shown = [*prices, *(level for level in rested if level is not None and abs(level - middle) <= far)]
    room = float(max(shown) - min(shown)) * 0.06 or 1.0
    return float(min(shown)) - room, float(max(shown)) + room


def _levels(axes: Axes, position: Followed, place: Callable[[datetime], int]) -> None:
    """Draw the resting stop and target as steps."""
    rows = [*position.rested]
    if not rows:
        return
    rows.append(rows[-1]._replace(at=position.trade.closed_at or rows[-1].at))
    across = [place(row.at) for row in rows]
    for levels, color, style in (([row.stop for row in rows], STOP, "-"), ([row.target for row in rows], TARGET, "--")):
        shown = [float("nan") if level is None else float(level) for level in levels]
        name = f"{'stop' if color == STOP else 'target'} at rest"
        known = name if name not in axes.get_legend_handles_labels()[1] else None
        axes.step(across, shown, where="post", color=color, linewidth=1.4, linestyle=style, label=known)


def _trade(axes: Axes, position: Followed, place: Callable[[datetime], int], away: int) -> None:
    """Draw the entry, the exit, a line between them, and why it was closed."""
    trade, gain = position.trade, position.gain
    bought, sold = ("^", "v") if trade.side.sign > 0 else ("v", "^")
    start = place(trade.opened_at), float(trade.entry_price)
    axes.plot(*start, marker=bought, color=INK)
    if trade.closed_at is None or trade.exit_price is None or gain is None:
        return
    end, color = (place(trade.closed_at), float(trade.exit_price)), GAIN if gain >= 0 else LOSS
    axes.plot(*zip(start, end, strict=True), color=color, linewidth=0.8, linestyle=":")
    axes.plot(*end, marker=sold, color=color)
    words = f"{gain:+.2%} {' '.join(position.why)}"
    side = "right" if end[0] > axes.get_xlim()[1] * 0.8 else "left"
    halo = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}
    axes.annotate(words, end, (0, away), textcoords="offset points", color=color, fontsize=8, ha=side, bbox=halo)


def busiest(positions: Iterable[Followed], count: int) -> list[str]:
    """Return the symbols with the most positions, at most `count`."""
    return [symbol for symbol, _ in Counter(one.trade.symbol for one in positions).most_common(count)]
