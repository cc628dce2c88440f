"""`report --plot FILE`: the curve and its drawdown as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commands.report.contents import leveled_line, longest
from commands.shared.pictures import INK, QUIET, picture, title
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from tradebot.views.performance.report import AccountReport

ACCOUNTS = ("#1d4ed8", "#b45309", "#0f766e", "#a21caf", "#4d7c0f", "#be123c")
BENCHMARK, LEVELED = "#9aa5b1", "#52606d"


def draw(accounts: Sequence[AccountReport], file: Path) -> None:
    """Draw growth and drawdown; raise OperatorError if there is no curve, or if the file can't be written."""
    if not any(len(account.curve) > 1 for account in accounts):
        raise OperatorError("No session's equity is known, so there is no curve to draw", "tradebot report")
    with picture(file, 10, 6) as figure:
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        _grow(above, accounts)
        _fall(below, accounts)


def _name(account: AccountReport, accounts: Sequence[AccountReport]) -> str:
    return f"{account.mode} account" if len(accounts) == 1 else account.label


def _grow(axes: Axes, accounts: Sequence[AccountReport]) -> None:
    """Draw growth in percent since the start, of the accounts, the benchmark and cash."""
    first = longest(accounts)
    days = _dates(first)
    others: list[tuple[str, str, str, list[float | None]]] = []
    others.append(("cash", LEVELED, ":", [point.cash for point in first.curve]))
    if name := leveled_line(accounts):
        others.append((name, LEVELED, "--", [point.benchmark_leveled for point in first.curve]))
    if first.benchmark:
        others.append((first.benchmark, BENCHMARK, "-", [point.benchmark for point in first.curve]))
    for name, color, style, others_of in others:
        axes.plot(days, _percent(others_of), color=color, linewidth=1, linestyle=style, label=name)
    for color, account in _colored(accounts):
        sessions = _dates(account)
        values = _percent([point.index for point in account.curve])
        axes.plot(sessions, values, color=color, linewidth=1.8, label=_name(account, accounts))
    _finish(axes, "growth, %")
    axes.legend(frameon=False, loc="upper left", reverse=True)
    title(axes, _span(accounts))
    _date(axes)


def _span(accounts: Sequence[AccountReport]) -> str:
    """Return the first and the last session of all accounts; empty if there is none."""
    ends = [day for account in accounts for day in (account.from_session, account.to_session) if day]
    return f"{min(ends)} to {max(ends)}" if ends else ""


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


def _colored(accounts: Sequence[AccountReport]) -> Iterator[tuple[str, AccountReport]]:
    """Yield the accounts with their colors; the first one comes last, and lies on top."""
    return reversed([*zip(ACCOUNTS, accounts, strict=False)])


def _percent(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else 100 * (value - 1) for value in values]


def _fall(axes: Axes, accounts: Sequence[AccountReport]) -> None:
    alpha, width = (0.3, 0.0) if len(accounts) == 1 else (0.1, 1.0)
    for color, account in _colored(accounts):
        days, falls = _dates(account), [100 * point.drawdown for point in account.curve]
        axes.fill_between(days, falls, color=color, alpha=alpha, linewidth=0)
        axes.plot(days, falls, color=color, linewidth=width)
    _finish(axes, "drawdown, %")
    if min(point.drawdown for account in accounts for point in account.curve) < 0:
        axes.set_ylim(top=0)
    else:
        axes.set_yticks([0])


def _finish(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, color=QUIET)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.grid(axis="y", color=QUIET, alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
