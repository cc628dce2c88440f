"""The second picture of a page: what was held, what half years were like, and how returns spread."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from commands.report.chart import ACCOUNTS, LEVELED, NARROW, VARIABLES, WIDE, change, date, days, finish
from commands.shared.light_helpers import clean
from commands.shared.pictures import INK, inline
from tradebot.views.downsampling import downsample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tradebot.lab.performance.report import AccountReport, SessionExposure

COLORED = len(ACCOUNTS) - 1
"""So many symbols have a color of their own; the others share the last one."""
INCHES, POINTS_PER_INCH = 1.9, 25
"""How high each part of the picture is, and how many sessions it draws on an inch across."""
WORDS = {
    "held": "what was held (of the equity)",
    "volatility": "the volatility of the half year until each session",
    "sharpe": "its Sharpe ratio",
    "beta": "its beta",
    "returns": "how many sessions had which return",
}
"""What each part shows, by the name beside it."""


def details(account: AccountReport) -> dict[str, object] | None:
    """Return the picture as SVG for wide and narrow screens, and in words; None if there is nothing to draw."""
    names = [name for name, _ in _parts(account, NARROW[0])]
    if not names:
        return None
    wide, narrow = (
        inline(partial(_draw, account), width, INCHES * len(names), VARIABLES) for width, _ in (WIDE, NARROW)
    )
    return {"wide": wide, "narrow": narrow, "words": f"From above: {', '.join(WORDS[name] for name in names)}."}


def _draw(account: AccountReport, figure: Figure) -> None:
    width = figure.get_figwidth()
    parts = list(_parts(account, width))
    for axes, (name, part) in zip(figure.subplots(len(parts), 1, squeeze=False)[:, 0], parts, strict=True):
        part(axes)
        if name != "returns":
            date(axes, width)


def _parts(account: AccountReport, width: float) -> Iterator[tuple[str, Callable[[Axes], None]]]:
    of = account.further
    at = {point.session: point.at for point in account.curve}
    rows = downsample(of.over_time, int(POINTS_PER_INCH * width))
    places = days([at[row.session] for row in rows])
    if of.holdings:
        yield "held", partial(_held, [each.symbol for each in of.holdings], rows, places, int(0.7 * width))
    for each in of.windows:
        yield each.name, partial(_line, each.name, rows, places)
    if of.histogram:
        yield "returns", partial(_spread, account)


def _held(
    symbols: Sequence[str], rows: Sequence[SessionExposure], places: Sequence[float], columns: int, axes: Axes
) -> None:
    """Draw the symbols on top of each other, longs above zero and shorts below."""
    own, rest = symbols[:COLORED], symbols[COLORED:]
    layers = [(clean(symbol), [row.held.get(symbol, 0.0) for row in rows]) for symbol in own]
    if rest:
        layers.append((f"{len(rest)} others", [sum(row.held.get(symbol, 0.0) for symbol in rest) for row in rows]))
    for sign in (1, -1):
        values = [[100 * sign * max(sign * share, 0.0) for share in shares] for _, shares in layers]
        if sign > 0 or any(map(any, values)):
            axes.stackplot(places, values, colors=ACCOUNTS, alpha=0.6, linewidth=0)
    names = [name for name, _ in layers]
    axes.legend(names, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, labelcolor=INK)
    finish(axes, "held", _percent)


def _line(name: str, rows: Sequence[SessionExposure], places: Sequence[float], axes: Axes) -> None:
    factor, text = (100.0, _percent) if name == "volatility" else (1.0, _plain)
    values = [float("nan") if (value := getattr(row, name)) is None else factor * value for row in rows]
    axes.plot(places, values, color=ACCOUNTS[0], linewidth=1.4)
    axes.set_xlim(places[0], places[-1])
    finish(axes, name.replace("sharpe", "Sharpe"), text)


def _spread(account: AccountReport, axes: Axes) -> None:
    bins = account.further.histogram
    lows, width = [100 * each.low for each in bins], 100 * (bins[0].high - bins[0].low)
    axes.bar(lows, [each.count for each in bins], width=0.9 * width, align="edge", color=LEVELED)
    finish(axes, "sessions", _plain)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.xaxis.set_major_formatter(lambda value, _: change(value))


def _percent(value: float) -> str:
    return f"{_plain(value)}%"


def _plain(value: float) -> str:
    return f"{value:,.6g}".replace("-", "−")
