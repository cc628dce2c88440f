"""Write the numbers of a report for people."""

from typing import TYPE_CHECKING

from commands.shared.drawing import duration, signed

if TYPE_CHECKING:
    from tradebot.views.performance.report import Figure, Unit

DOT = "·"


def value_of(figure: "Figure") -> str:
    """Return a figure's value with its unit, or a dot."""
    from tradebot.views.performance.report import Unit

    if figure.value is None:
        return DOT
    text = number(figure.value, figure.unit, figure.name)
    return f"{text} USD" if figure.unit is Unit.USD else text


def number(value: float, unit: "Unit", name: str = "") -> str:
    """Return a number of a figure in its unit."""
    from tradebot.views.performance.report import Unit

    if unit is Unit.SESSIONS:
        return f"{value:,.0f}"
    if unit is Unit.SECONDS:
        return duration(value)
    if unit is Unit.USD:
        return f"{value:,.2f}"
    if unit is Unit.RATIO:
        return f"{round(value, 2) + 0.0:.2f}"
    if name in UNSIGNED:
        return f"{round(value, 3) + 0.0:.1%}"
    return f"{signed(100 * value, 3 if name == 'mean_return' else 2)}%"


UNSIGNED = frozenset(
    {
        *("volatility", "psr", "win_rate", "exposure", "max_drawdown", "deflated_sharpe"),
        *("rolling_losing", "rolling_behind"),
    }
)
"""Figures that only have one sign, so that a plus would say nothing."""


def interval_of(figure: "Figure") -> str:
    """Return a figure's 95% interval, or nothing."""
    if figure.low is None or figure.high is None:
        return ""
    return " to ".join(number(end, figure.unit, figure.name) for end in (figure.low, figure.high))


def basis_of(figure: "Figure") -> str:
    """Return what a figure comes from, or what it lacks, or why it has no value."""
    from tradebot.model.text import counted_kind

    if figure.lacks:
        return f"{figure.observations:,} of {counted_kind(figure.needed, figure.of)}"
    if figure.value is None:
        return figure.note
    return f"{counted_kind(figure.observations, figure.of)}{f'; {figure.note}' if figure.note else ''}"


def percent(value: float | None, places: int = 2) -> str:
    """Return a fraction in percent with its sign, or a dot."""
    return DOT if value is None else f"{signed(100 * value, places)}%"
