"""The picture on the page: growth beside a benchmark and cash, and the drawdown below, as coordinates of an SVG.

Lines are in a box of 1000 by 1000 that is stretched to the page. Texts have places in percent of its width, so that
they keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, NamedTuple

from commands.report.contents import leveled_line, longest
from commands.report.page_words import drawdown_words, span
from commands.shared.drawing import signed
from tradebot.views.plots import thinned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tradebot.views.performance.report import AccountReport, CurvePoint

Points = Sequence[tuple[float, float | None]]
BOX = 1000
MOST_POINTS = 500
"""So many points of a line are drawn; no screen of a page shows more."""
MOST_DATES = 9
MARGIN = 0.04
"""The free part of the height above and below the lines."""
GROWTH_LINES, FALL_LINES = 7, 3
"""About how many lines of the grid there are."""


class Reach(NamedTuple):
    """What the lines of a picture reach: dates as ordinal numbers, and values as fractions."""

    first: float
    last: float
    low: float
    high: float

    def across(self, place: float) -> float:
        """Return how far to the right a date is, from 0 to 1."""
        return (place - self.first) / (self.last - self.first)

    def down(self, value: float) -> float:
        """Return how far down a value is, from 0 to 1."""
        return (self.high - value) / (self.high - self.low)


class Line(NamedTuple):
    """Growth by place, 1 at its start; `kind` says how it is drawn."""

    kind: str
    name: str
    points: Points


def curve(accounts: Sequence[AccountReport]) -> Mapping[str, Any] | None:
    """Return lines, areas, grid and words of the picture; None if no account has two points."""
    seen = [(place, account) for place, account in enumerate(accounts) if len(account.curve) > 1]
    if not seen:
        return None
    lines = [_account_line(place, account, alone=len(accounts) == 1) for place, account in seen]
    lines += _others(longest(accounts), leveled_line(accounts))
    values = [value - 1 for line in lines for _, value in line.points if value is not None]
    places = [_place(point) for _, account in seen for point in account.curve]
    lowest = min(point.drawdown for _, account in seen for point in account.curve)
    above = _padded(min(places), max(places), min(values), max(values))
    below = Reach(above.first, above.last, lowest * (1 + 2 * MARGIN) or -0.01, 0.0)
    return {
        "lines": [(line.kind, _path(line.points, above)) for line in reversed(lines)],
        "legend": [(line.kind, line.name, signed(100 * _last(line.points), 2)) for line in lines],
        "areas": [(place, _area(account, below)) for place, account in seen],
        "grid": grid(above, GROWTH_LINES),
        "fall_grid": grid(below, FALL_LINES) if lowest else [("0", "0%")],
        "dates": dates(above),
        "words": " ".join(_words(account, alone=len(accounts) == 1) for _, account in seen),
    }


def _account_line(number: int, account: AccountReport, *, alone: bool) -> Line:
    name = "account" if alone else account.label
    return Line(f"account{number}", name, [(_place(point), point.index) for point in _fewer(account.curve)])


def _others(account: AccountReport, leveled: str) -> list[Line]:
    """Return what an account is compared with, as far as it is known."""
    rows = _fewer(account.curve)
    others = (
        Line("benchmark", account.benchmark or "", [(_place(p), p.benchmark) for p in rows]),
        Line("leveled", leveled, [(_place(p), p.benchmark_leveled) for p in rows]),
        Line("cash", "cash", [(_place(p), p.cash) for p in rows]),
    )
    return [each for each in others if each.name and sum(value is not None for _, value in each.points) > 1]


def _fewer(points: Sequence[CurvePoint]) -> Sequence[CurvePoint]:
    """Return few enough of the points, among them the first, the last and the lowest."""
    if len(points) <= MOST_POINTS:
        return points
    kept = {0, points.index(min(points, key=lambda point: point.drawdown))}
    return [points[place] for place in sorted(kept.union(thinned(range(len(points)), MOST_POINTS - 2)))]


def _place(point: CurvePoint) -> float:
    """Return where a point lies on the axis of days: a session's end is at the end of its day."""
    return point.session.toordinal() + (0 if point.is_start else 1)


def _padded(first: float, last: float, low: float, high: float) -> Reach:
    room = (high - low) * MARGIN or 0.01
    return Reach(first, last, low - room, high + room)


def _path(points: Points, reach: Reach) -> str:
    """Return the path of a line, which is broken where a value isn't known."""
    path, joined = [], False
    for place, value in points:
        if value is not None:
            path.append(f"{'L' if joined else 'M'}{_at(place, value - 1, reach)}")
        joined = value is not None
    return "".join(path)


def _at(place: float, value: float, reach: Reach) -> str:
    return f"{BOX * reach.across(place):.0f} {BOX * reach.down(value):.0f}"


def _area(account: AccountReport, reach: Reach) -> str:
    points = _fewer(account.curve)
    lowest = "L".join(_at(_place(point), point.drawdown, reach) for point in points)
    return f"M{_at(_place(points[0]), 0, reach)}L{lowest}L{_at(_place(points[-1]), 0, reach)}Z"


def _last(points: Points) -> float:
    return next(value for _, value in reversed(points) if value is not None) - 1


def grid(reach: Reach, count: int) -> list[tuple[str, str]]:
    """Return lines at round values: how far down in percent of the height, and the value."""
    step = _round_step((reach.high - reach.low) / count)
    places = max(0, -floor(log10(100 * step)))
    numbers = range(ceil(reach.low / step - 1e-9), floor(reach.high / step + 1e-9) + 1)
    return [(f"{reach.down(number * step):.4f}", f"{_label(100 * number * step, places)}%") for number in numbers]


def _label(value: float, places: int) -> str:
    return signed(value, places) if round(value, places) else "0"


def _round_step(least: float) -> float:
    """Return the next larger number that begins with 1, 2 or 5."""
    scale: float = 10 ** floor(log10(least))
    return next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= least * (1 - 1e-9))


def dates(reach: Reach) -> list[tuple[str, str, bool]]:
    """Return dates below the picture: how far to the right in percent, the text, and if a phone shows it."""
    first, last = date.fromordinal(int(reach.first)), date.fromordinal(int(reach.last))
    marks = _months(first, last) if last - first > timedelta(days=75) else _days(first, last)
    return [(f"{100 * reach.across(day.toordinal()):.1f}", text, place % 2 == 0) for place, (day, text) in marks]


def _days(first: date, last: date) -> list[tuple[int, tuple[date, str]]]:
    count = (last - first).days
    found = [first + timedelta(days=number) for number in range(0, count, max(ceil(count / MOST_DATES), 1))]
    return list(enumerate((day, f"{day:%b} {day.day}") for day in found))


def _months(first: date, last: date) -> list[tuple[int, tuple[date, str]]]:
    """Return the first days of months, or of every second, third … one, at most so many."""
    spanned = range(12 * first.year + first.month, 12 * last.year + last.month)
    step = next(step for step in (1, 2, 3, 6, 12, 24, 60, 120, 1200) if len(spanned) / step <= MOST_DATES)
    days = [date(month // 12, month % 12 + 1, 1) for month in spanned if month % step == 0]
    return list(enumerate((day, f"{day:%Y}" if step >= 12 else f"{day:%b %Y}") for day in days))


def _words(account: AccountReport, *, alone: bool) -> str:
    """Return what the picture shows, for those who can't see it."""
    growth = account.curve[-1].index - 1
    name, verb = "the account" if alone else account.label, "grew" if growth >= 0 else "shrank"
    return f"{span(account)}: {name} {verb} by {abs(growth):.2%}. {drawdown_words(account)}"
