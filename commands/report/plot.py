"""Draw curves with characters: growth over sessions, several lines in one field."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from commands.shared.drawing import signed

HEIGHT = 12
LABEL = 9
"""How wide the labels at the left are, with the axis."""
NARROWEST = 24


Place = tuple[date, bool]
"""Where a point lies: at the end of a session or, if False, at the start of the books on that day."""


class Line(NamedTuple):
    """A line of growth by place, 1 at its start; its mark is one character, and its name says what it is."""

    mark: str
    name: str
    values: Mapping[Place, float]


def drawn(lines: Sequence[Line], width: int, height: int = HEIGHT) -> list[str]:
    """Return the lines of a plot; what comes first lies on top. There must be two places or more.

    Growth is shown in percent since the start.
    """
    days = sorted({day for line in lines for day in line.values})
    columns = min(max(width - LABEL, NARROWEST), max(4 * len(days), NARROWEST))
    values = [value for line in lines for value in line.values.values()]
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 0.01, high + 0.01
    field = [[" "] * columns for _ in range(height)]
    for line in reversed(lines):
        _put(field, line, days, (low, high))
    rows = [
        f"{_label(row, height, low, high):>{LABEL - 2}} ┤{''.join(cells).rstrip()}" for row, cells in enumerate(field)
    ]
    first, last = str(days[0][0]), str(days[-1][0])
    axis = f"{first}{last:>{max(columns - len(first), len(last) + 1)}}"
    legend = "  ".join(f"{line.mark} {line.name}" for line in lines)
    return [*rows, f"{'':>{LABEL - 1}}{axis}", f"{'':>{LABEL - 1}}{legend}"]


def _label(row: int, height: int, low: float, high: float) -> str:
    """Return the growth at a row in percent; only the first, the middle and the last one have a label."""
    if row not in (0, height // 2, height - 1):
        return ""
    value = high - (high - low) * row / (height - 1)
    return f"{signed(100 * (value - 1), 2)}%"


def _put(field: list[list[str]], line: Line, days: Sequence[Place], reach: tuple[float, float]) -> None:
    """Draw one line; between two dates it is straight, and what jumps over rows is filled."""
    height, columns = len(field), len(field[0])
    places = {day: place for place, day in enumerate(days)}
    known = [(places[day], _row(value, reach, height)) for day, value in sorted(line.values.items())]
    before: int | None = None
    for column in range(columns):
        row = _at(known, column * (len(days) - 1) / max(columns - 1, 1))
        if row is None:
            continue
        near = row if before is None else before
        for each in range(min(row, near), max(row, near) + 1):
            if each != near or before is None or each == row:
                field[each][column] = line.mark
        before = row


def _row(value: float, reach: tuple[float, float], height: int) -> float:
    low, high = reach
    return (high - value) / (high - low) * (height - 1)


def _at(known: Sequence[tuple[int, float]], place: float) -> int | None:
    """Return the row of a line at a place between its dates; None outside of them."""
    for (start, first), (end, last) in pairwise(known):
        if start <= place <= end:
            return round(first + (last - first) * (place - start) / (end - start))
    return None
