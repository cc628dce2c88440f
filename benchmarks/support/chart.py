"""Prices as an SVG drawing: a panel for each symbol, with positions from entry to exit and what rested meanwhile."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from html import escape
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from benchmarks.support.followed import Followed, Rested

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1280, 300, 64, 20, 44, 30
INK, QUIET, GRID, PRICE, STOP, TARGET, WON, LOST = (
    "#1f2933", "#7b8794", "#e4e7eb", "#486581", "#c81e1e", "#1f7a4d", "#1f7a4d", "#c81e1e",
)  # fmt: skip
MARGIN = 0.06
LETTER, LINE = 6.2, 12
AWAY = (18, -10, 31, -23, 44, -36)
"""How far below a point words may stand, the best place first."""
LINES = 4
NEW_YORK = ZoneInfo("America/New_York")


class Panel(NamedTuple):
    """What one panel shows: closes of minutes by their end, oldest first, and the positions."""

    symbol: str
    closes: Sequence[tuple[datetime, Decimal]]
    positions: Sequence[Followed]


class _Scale:
    """Places of times and prices: minutes without a bar, such as nights, take no room."""

    def __init__(self, panel: Panel, top: float) -> None:
        self._times = [at for at, _ in panel.closes]
        prices = [price for _, price in panel.closes]
        middle, reach = (max(prices) + min(prices)) / 2, (max(prices) - min(prices)) * Decimal("2.2")
        levels = [
            level
            for position in panel.positions
            for row in position.rested
            for level in (row.stop, row.target)
            if level is not None and abs(level - middle) <= reach
        ]
        low, high = min([*prices, *levels]), max([*prices, *levels])
        room = float(high - low) * MARGIN or 1.0
        self.low, self.high, self._top = float(low) - room, float(high) + room, top

    def x(self, at: datetime) -> float:
        """Return the place of a time, between those of its neighbors."""
        from bisect import bisect_left

        place = bisect_left(self._times, at) / max(len(self._times) - 1, 1)
        return LEFT + min(place, 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, price: Decimal | float) -> float:
        """Return the place of a price, kept inside of the panel."""
        part = (float(price) - self.low) / (self.high - self.low)
        return self._top + TOP + (1 - min(max(part, 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM)

    def shows(self, price: Decimal) -> bool:
        """Return True if a price is inside of the panel."""
        return self.low <= float(price) <= self.high


class _Labels:
    """Places for words beside a point, so that none covers another."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float, float]] = []

    def place(self, x: float, y: float, words: str) -> tuple[float, float]:
        """Return where words begin and their baseline: the nearest free place."""
        width = len(words) * LETTER
        left = x - width if x + width > WIDTH - RIGHT else x
        baselines = [y + away for away in AWAY]
        free = (baseline for baseline in baselines if not self._meets(left, baseline, width))
        baseline = next(free, baselines[0])
        self._taken.append((left, baseline, width))
        return left, baseline

    def _meets(self, left: float, baseline: float, width: float) -> bool:
        return any(
            left < there + wide and there < left + width and abs(baseline - line) < LINE
            for there, line, wide in self._taken
        )


def svg(title: str, panels: Sequence[Panel]) -> str:
    """Return the drawing as a document of its own."""
    height = TOP + HEIGHT * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 26, title, INK, 'font-size="17" font-weight="600"'),
        *_legend(),
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, TOP + number * HEIGHT)
    return "\n".join([*parts, "</svg>"])


def _legend() -> Iterator[str]:
    x = WIDTH - 470
    for color, dash, words in ((PRICE, "", "price"), (STOP, "", "stop at rest"), (TARGET, "5 4", "target at rest")):
        yield _line(x, 22, x + 24, 22, color, dash, 2)
        yield _text(x + 30, 26, words, QUIET)
        x += 110 if words == "price" else 130
    yield _text(x, 26, "▲ bought  ▼ sold", QUIET)


def _panel(panel: Panel, top: float) -> Iterator[str]:
    scale = _Scale(panel, top)
    yield _text(LEFT, top + 30, panel.symbol, INK, 'font-size="15" font-weight="600"')
    yield from _axes(panel, scale, top)
    for position in panel.positions:
        yield from _levels(position, scale)
    for day in _sessions(panel.closes):
        places = " ".join(f"{scale.x(at):.1f},{scale.y(price):.1f}" for at, price in day)
        yield f'<polyline points="{places}" fill="none" stroke="{PRICE}" stroke-width="1.3"/>'
    labels = _Labels()
    for position in panel.positions:
        yield from _trade(position, scale, labels)


def _sessions(closes: Sequence[tuple[datetime, Decimal]]) -> Iterator[list[tuple[datetime, Decimal]]]:
    by_day: dict[object, list[tuple[datetime, Decimal]]] = {}
    for at, price in closes:
        by_day.setdefault(at.astimezone(NEW_YORK).date(), []).append((at, price))
    yield from by_day.values()


def _axes(panel: Panel, scale: _Scale, top: float) -> Iterator[str]:
    for number in range(LINES + 1):
        price = scale.low + (scale.high - scale.low) * number / LINES
        yield _line(LEFT, scale.y(price), WIDTH - RIGHT, scale.y(price), GRID)
        yield _text(LEFT - 8, scale.y(price) + 4, f"{price:,.2f}", QUIET, 'text-anchor="end"')
    for day in _sessions(panel.closes):
        opened, end = day[0][0].astimezone(NEW_YORK), top + HEIGHT - BOTTOM
        yield _line(scale.x(day[0][0]), top + TOP, scale.x(day[0][0]), end, QUIET)
        yield _text(scale.x(day[0][0]) + 4, end + 16, f"{opened:%a %b %-d}", QUIET)
        hours = {at.astimezone(NEW_YORK).hour: at for at, _ in reversed(day)}
        for hour, at in hours.items():
            if hour > opened.hour + 1:
                yield _line(scale.x(at), end, scale.x(at), end + 4, QUIET)
                yield _text(scale.x(at), end + 16, f"{hour}:00", QUIET, 'text-anchor="middle"')


def _levels(position: Followed, scale: _Scale) -> Iterator[str]:
    """Draw the resting stop and target as steps."""
    rows = [*position.rested]
    if not rows:
        return
    ends = [*rows[1:], rows[-1]._replace(at=position.trade.closed_at or rows[-1].at)]
    for row, after in zip(rows, ends, strict=True):
        yield from _step(row, after, row.stop, scale, STOP, "")
        yield from _step(row, after, row.target, scale, TARGET, "5 4")
    for row, after in pairwise(rows):
        if row.stop and after.stop and scale.shows(row.stop) and scale.shows(after.stop):
            yield _line(scale.x(after.at), scale.y(row.stop), scale.x(after.at), scale.y(after.stop), STOP, "", 1.6)


def _step(row: Rested, after: Rested, level: Decimal | None, scale: _Scale, color: str, dash: str) -> Iterator[str]:
    if level is not None and scale.shows(level):
        yield _line(scale.x(row.at), scale.y(level), scale.x(after.at), scale.y(level), color, dash, 1.6)


def _trade(position: Followed, scale: _Scale, labels: _Labels) -> Iterator[str]:
    """Draw the entry, the exit, a line between them, and why it was closed."""
    trade, gain = position.trade, position.gain
    x, y = scale.x(trade.opened_at), scale.y(trade.entry_price)
    yield _arrow(x, y, up=trade.side.sign > 0, color=INK)
    if trade.closed_at is None or trade.exit_price is None or gain is None:
        return
    color = WON if gain >= 0 else LOST
    there, below = scale.x(trade.closed_at), scale.y(trade.exit_price)
    yield _line(x, y, there, below, color, "2 3", 1)
    yield _arrow(there, below, up=trade.side.sign < 0, color=color)
    words = f"{gain:+.2%} {' '.join(position.why)}"
    left, baseline = labels.place(there, below, words)
    halo = 'font-size="11" paint-order="stroke" stroke="#ffffff" stroke-opacity="0.8" stroke-width="3"'
    yield _text(left, baseline, words, color, halo)


def _arrow(x: float, y: float, *, up: bool, color: str) -> str:
    tip, base = (y - 7, y + 4) if up else (y + 7, y - 4)
    return f'<path d="M{x:.1f} {tip:.1f} L{x - 6:.1f} {base:.1f} L{x + 6:.1f} {base:.1f} Z" fill="{color}"/>'


def _line(x: float, y: float, to_x: float, to_y: float, color: str, dash: str = "", width: float = 1) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}"{dashes}/>'


def _text(x: float, y: float, words: str, color: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" {more}>{escape(words)}</text>'


def busiest(positions: Iterable[Followed], count: int) -> list[str]:
    """Return the symbols with the most positions, at most `count`."""
    from collections import Counter

    return [symbol for symbol, _ in Counter(one.trade.symbol for one in positions).most_common(count)]
