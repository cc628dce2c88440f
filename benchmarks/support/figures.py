"""The table that every measurement prints: what was found beside what is wanted, without a judgement."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One line: `measured` in words, `value` in the unit named, `bound` the largest value wanted."""

    name: str
    measured: str
    value: float | None = None
    unit: str = ""
    bound: float | None = None


def show(title: str, figures: Iterable[Figure]) -> None:
    """Print the figures; a value above its bound is marked."""
    table = Table("what", title=title, title_justify="left")
    for heading in ("measured", "value", "bound"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    for figure in figures:
        table.add_row(figure.name, figure.measured, _value(figure), _number(figure.bound), figure.unit)
    Console(width=110).print(table)


def _value(figure: Figure) -> str:
    over = figure.value is not None and figure.bound is not None and figure.value > figure.bound
    return _number(figure.value) + (" over" if over else "")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
