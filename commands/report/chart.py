"""Draw growth and drawdown: in a file (`report --plot`), and in a page for wide and narrow screens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from commands.report.report_text import curve_words, leveled_line, longest_account
from commands.shared.files import INK, QUIET, TITLE, inline_svg, open_figure
from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed
from commands.shared.times import venue_day
from tradebot.errors import OperatorError
from tradebot.lab.performance.report import AccountReport, CurvePoint
from tradebot.model.series import downsample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCOUNTS = ("#1d4ed8", "#b4530a", "#0f766e", "#a21caf", "#4d7c0f", "#be123c")
BENCHMARK, LEVELED = "#7c8794", "#3f4b59"
VARIABLES = {
    **{color: f"account{number}" for number, color in enumerate(ACCOUNTS)},
    BENCHMARK: "benchmark",
    LEVELED: "leveled",
    INK: "ink",
    QUIET: "quiet",
}
"""The page's name of each color, which is another one on a dark screen."""
WIDE, NARROW = (10.0, 6.0), (4.4, 5.0)
"""Inches of a picture in a file or on a wide screen, and of one on a phone."""
POINTS_PER_INCH = 50
TRIPLED = 3
"""From this ratio of the highest line to the lowest one, growth is on a log scale, because the early years would look
flat.
"""


class GrowthCurve(NamedTuple):
    """A growth curve: dates as matplotlib's day numbers, and growth, which is 1 at the start and NaN where unknown."""

    name: str
    color: str
    style: str
    width: float
    days: list[float]
    values: list[float]


def draw(accounts: Sequence[AccountReport], file: Path) -> None:
    """Draw growth and drawdown; raise OperatorError if there is no curve, or if the file can't be written."""
    if not _has_curve(accounts):
        raise OperatorError("No session's equity is known, so there is no curve to draw", "tradebot report")
    with open_figure(file, *WIDE) as figure:
        _draw(figure, accounts)
        ends = [day for account in accounts for day in (account.from_session, account.to_session) if day]
        figure.suptitle(f"{min(ends)} to {max(ends)}" if ends else "", x=0.01, ha="left", **TITLE)


def curve(accounts: Sequence[AccountReport]) -> dict[str, object] | None:
    """Return the picture as SVG for wide and narrow screens, and its description; None if no account has two points."""
    if not _has_curve(accounts):
        return None
    wide, narrow = (inline_svg(lambda figure: _draw(figure, accounts), *size, VARIABLES) for size in (WIDE, NARROW))
    return {"wide": wide, "narrow": narrow, "words": curve_words(accounts)}


def _has_curve(accounts: Sequence[AccountReport]) -> bool:
    return any(len(account.curve) > 1 for account in accounts)


def _draw(figure: Figure, accounts: Sequence[AccountReport]) -> None:
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    width = figure.get_figwidth()
    most = int(POINTS_PER_INCH * width)
    lines = [*_account_lines(accounts, most), *_others(longest_account(accounts), leveled_line(accounts), most)]
    # Draw the labeled series last, so that it lies on top.
    drawn = [
        above.plot(line.days, line.values, color=line.color, linewidth=line.width, linestyle=line.style)[0]
        for line in reversed(lines)
    ]
    names = [f"{line.name} {_percent(_last(line))}" for line in lines]
    columns = max(1, int(12 * width) // (max(map(len, names)) + 6))
    above.legend(
        drawn[::-1], names, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, labelcolor=INK
    )
    if len(accounts) == 1:
        _shade(above, accounts[0])
    _fall(below, accounts, most)
    finish(above, "growth", lambda value: format_change(100 * (value - 1)), 1)
    _scale(above, [value for line in lines for value in line.values if value == value])
    finish(below, "drawdown", format_change)
    date(below, width)


def _account_lines(accounts: Sequence[AccountReport], most: int) -> Iterator[GrowthCurve]:
    for color, account in zip(ACCOUNTS, accounts, strict=False):
        if len(account.curve) > 1:
            name = f"{account.mode} account" if len(accounts) == 1 else clean(account.label)
            yield _line(name, color, "-", 1.8, [(point, point.index) for point in _fewer(account.curve, most)])


def _others(account: AccountReport, leveled: str, most: int) -> Iterator[GrowthCurve]:
    points = _fewer(account.curve, most)
    for name, color, style, values in (
        (clean(account.benchmark or ""), BENCHMARK, "-", [(point, point.benchmark) for point in points]),
        (clean(leveled), LEVELED, "--", [(point, point.benchmark_leveled) for point in points]),
        ("cash", BENCHMARK, ":", [(point, point.cash) for point in points]),
    ):
        if name and sum(value is not None for _, value in values) > 1:
            yield _line(name, color, style, 1, values)


def _line(
    name: str, color: str, style: str, width: float, points: Sequence[tuple[CurvePoint, float | None]]
) -> GrowthCurve:
    values = [float("nan") if value is None else value for _, value in points]
    return GrowthCurve(name, color, style, width, days([point.at for point, _ in points]), values)


def _fewer(points: Sequence[CurvePoint], most: int) -> Sequence[CurvePoint]:
    """Return few enough of the points, among them the first, the last and the lowest."""
    if len(points) <= most:
        return points
    indices = {0, points.index(min(points, key=lambda point: point.drawdown))}
    return [points[index] for index in sorted(indices.union(downsample(range(len(points)), most - 2)))]


def days(times: Sequence[datetime]) -> list[float]:
    """Convert moments to matplotlib's day numbers."""
    from matplotlib.dates import date2num

    return [float(each) for each in date2num(times)]  # type: ignore[no-untyped-call]


def _last(line: GrowthCurve) -> float:
    return 100 * (next(value for value in reversed(line.values) if value == value) - 1)


def _shade(axes: Axes, account: AccountReport) -> None:
    """Shade the deepest drawdowns on the curve, each from its peak until it was made up for."""
    times = {point.session: point.at for point in account.curve}
    for fall in account.drawdowns:
        ends = days([times[fall.from_session], times[fall.recovered or account.curve[-1].session]])
        axes.axvspan(*ends, facecolor=(QUIET, 0.15), linewidth=0)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    if min(values) > 0 and max(values) / min(values) >= TRIPLED:
        # Both scales have the same words for growth, so only this says which one it is.
        axes.set_ylabel("growth, log scale")
        text = axes.yaxis.get_major_formatter()
        axes.set_yscale("log", subs=[])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter(text)
        axes.yaxis.set_minor_formatter(NullFormatter())


def _fall(axes: Axes, accounts: Sequence[AccountReport], most: int) -> None:
    alpha, width = (0.3, 0.0) if len(accounts) == 1 else (0.1, 1.0)
    for color, account in reversed([*zip(ACCOUNTS, accounts, strict=False)]):
        if points := _fewer(account.curve, most):
            places, falls = days([point.at for point in points]), [100 * point.drawdown for point in points]
            ends = [places[0], *places, places[-1]]
            axes.fill(ends, [0.0, *falls, 0.0], facecolor=(color, alpha), edgecolor=color, linewidth=width)
    if min(point.drawdown for account in accounts for point in account.curve) < 0:
        axes.set_ylim(top=0)
    else:
        axes.set_yticks([0])


def format_change(percent: float) -> str:
    """Return a change in percent, with its sign, as a label for an axis."""
    return f"{percent:+,.6g}%".replace("-", "−") if round(percent, 9) else "0%"


def finish(axes: Axes, label: str, text: Callable[[float], str], base: float = 0) -> None:
    """Set the vertical axis's label, number format and base line, and hide the frame and the ticks."""
    axes.set_ylabel(label, color=QUIET)
    axes.yaxis.set_major_formatter(lambda value, _: text(value))
    axes.axhline(base, color=INK, linewidth=0.6)
    axes.grid(axis="y", color=QUIET, alpha=0.2)
    axes.tick_params(length=0, labelcolor=QUIET)
    axes.margins(x=0)
    axes.spines[:].set_visible(False)


def _percent(value: float) -> str:
    return f"{format_signed(value, 2)}%".replace("-", "−")


def date(axes: Axes, width: float) -> None:
    """Label a time axis with dates only, because a curve has one point per session. It must span at least two days."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    first, last = axes.get_xlim()
    fewest = min(max(int(last - first), 2), 3)
    places = AutoDateLocator(venue_day().tzinfo, minticks=fewest, maxticks=max(7, int(width)))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(places)
    texts = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        places,
        venue_day().tzinfo,
        formats=["%Y", "%b", "%b %d", "%H:%M", "%H:%M", "%S"],
        zero_formats=["", "%Y", "%b %d", "%b %d", "%H:%M", "%H:%M"],
        show_offset=False,
    )
    axes.xaxis.set_major_formatter(texts)
