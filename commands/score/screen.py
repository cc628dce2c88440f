"""How the scores of a universe look: strongest first, a column for each component."""

from typing import TYPE_CHECKING

from commands.shared.number_format import format_signed
from commands.shared.tables import Table, number
from commands.shared.times import when
from tradebot.model.candidate import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from commands.shared.pass_reports import CandidateRow, PassData

SHORT = {"dark_pool": "dark", "market_tide": "tide", "greek_exposure": "gamma", "iv_rank": "iv", "oi_change": "oi"}
"""Component names cut to what a narrow column holds."""
DOT = "·"


def show(console: "Console", data: "PassData") -> None:
    """Print the scores as a table, strongest first."""
    from commands.shared.pass_reports import legend

    # A plug-in may name no components, or only some.
    names = list(dict.fromkeys(component.name for row in data.rows for component in row.components))
    several = len({row.strategy for row in data.rows}) > 1
    numbers = (number(name) for name in ("score", "coverage", *(SHORT.get(name, name) for name in names)))
    table = Table("symbol", *(("strategy",) if several else ()), *numbers, "result")
    for row in data.rows:
        who = (row.symbol, row.strategy) if several else (row.symbol,)
        found = {c.name: c.value for c in row.components}
        coverage = DOT if row.coverage is None else f"{row.coverage:.0%}"
        table.row(*who, _score(row), coverage, *_values(names, found), row.reason or _wanted(row))
    dot = "; a dot means no data" if any(DOT in cells for cells, _ in table.rows) else ""
    console.print(f"Scores at {when(data.at)}, from -1 (bearish) to 1 (bullish){dot}")
    console.print(table)
    legend(console, data)


def _values(names: "Sequence[str]", found: "Mapping[str, float | None]") -> "Iterator[str]":
    for name in names:
        value = found.get(name)
        yield DOT if value is None else format_signed(value, 2)


def _wanted(row: "CandidateRow") -> str:
    """Return what a row without a no is: something to enter, or a position that its strategy wants to leave."""
    return "candidate" if row.purpose == Purpose.OPEN else f"wants to {row.purpose}"


def _score(row: "CandidateRow") -> str:
    if row.score is None:
        return DOT
    colour = "green" if row.score > 0 else "red" if row.score < 0 else "dim"
    return f"[{colour}]{format_signed(row.score, 3)}[/{colour}]"
