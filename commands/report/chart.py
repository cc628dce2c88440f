"""`report --plot FILE`: the curve and its drawdown as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from tradebot.views.performance.report import AccountReport, Report

FORMATS = (".svg", ".png")
ACCOUNTS, BENCHMARK, LEVELED, INK, QUIET = ("#1d4ed8", "#b45309"), "#9aa5b1", "#52606d", "#1f2933", "#7b8794"


def checked(file: Path) -> Path:
    """Return the path of a picture; raise OperatorError if its name says no format that can be drawn."""
    if file.suffix.lower() not in FORMATS:
        raise OperatorError(
            f"{file} is neither .svg nor .png",
            "Name the picture after its format: --plot curve.svg",
            code=ExitCode.USAGE,
        )
    return file


def draw(data: Report, file: Path) -> None:
    """Draw growth and drawdown; raise OperatorError if there is no curve, or if the file can't be written."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    if not any(len(account.curve) > 1 for account in data.accounts):
        raise OperatorError("No session's equity is known, so there is no curve to draw", "tradebot report")
    # A picture of the same report is the same file: no time of making, and ids that are counted.
    with mpl.rc_context({"svg.hashsalt": "tradebot", "font.size": 10, "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        _grow(above, data.accounts)
        _fall(below, data.accounts)
        try:
            figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else None, dpi=150)
        except OSError as error:
            raise OperatorError(f"{file} can't be written: {error.strerror}", "Name another file.") from error


def _name(account: AccountReport, accounts: Sequence[AccountReport]) -> str:
    return f"{account.mode} account" if len(accounts) == 1 else account.label


def _grow(axes: Axes, accounts: Sequence[AccountReport]) -> None:
    """Draw growth in percent since the start, of the accounts, the benchmark and cash."""
    first = accounts[0]
    days = _dates(first)
    leverage = next((figure.value for figure in first.activity if figure.name == "exposure"), None)
    others: list[tuple[str, str, str, list[float | None]]] = []
    others.append(("cash", LEVELED, ":", [point.cash for point in first.curve]))
    if first.benchmark and leverage is not None:
        name = f"{first.benchmark} at {leverage:.0%}"
        others.append((name, LEVELED, "--", [point.benchmark_leveled for point in first.curve]))
    if first.benchmark:
        others.append((first.benchmark, BENCHMARK, "-", [point.benchmark for point in first.curve]))
    for name, color, style, others_of in others:
        axes.plot(days, _percent(others_of), color=color, linewidth=1, linestyle=style, label=name)
    for color, account in zip(ACCOUNTS, accounts, strict=False):
        sessions = _dates(account)
        values = _percent([point.index for point in account.curve])
        axes.plot(sessions, values, color=color, linewidth=1.8, label=_name(account, accounts))
    _finish(axes, "growth, %")
    axes.legend(frameon=False, loc="upper left", reverse=True)
    span = f"{first.from_session} to {first.to_session}" if first.from_session else ""
    axes.set_title(span, loc="left", color=INK, fontsize=12, fontweight="bold")
    _date(axes)


def _date(axes: Axes) -> None:
    """Mark two days or more by their dates: the curve has one point for each session, and no hours between."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    from tradebot.model.kind import NEW_YORK

    places = AutoDateLocator(NEW_YORK, minticks=2, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(places)
    texts = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        places,
        NEW_YORK,
        formats=["%Y", "%b", "%b %d", "%H:%M", "%H:%M", "%S"],
        zero_formats=["", "%Y", "%b %d", "%b %d", "%H:%M", "%H:%M"],
        show_offset=False,
    )
    axes.xaxis.set_major_formatter(texts)


def _dates(account: AccountReport) -> list[float]:
    """Return when the points of a curve are, as matplotlib counts days."""
    from matplotlib.dates import date2num

    found = date2num([point.at for point in account.curve])  # type: ignore[no-untyped-call]
    return [float(each) for each in found]


def _percent(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else 100 * (value - 1) for value in values]


def _fall(axes: Axes, accounts: Sequence[AccountReport]) -> None:
    for color, account in zip(ACCOUNTS, accounts, strict=False):
        days = _dates(account)
        axes.fill_between(days, [100 * point.drawdown for point in account.curve], color=color, alpha=0.3, linewidth=0)
    _finish(axes, "drawdown, %")
    if min(point.drawdown for account in accounts for point in account.curve) < 0:
        axes.set_ylim(top=0)
    else:
        axes.set_yticks([0])


def _finish(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, color=QUIET)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.grid(axis="y", color=QUIET, alpha=0.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
