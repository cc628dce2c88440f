"""Tables of pages under docs/: what is made of the code is written into its page, the rest is read there."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from commands.status.stores import RETENTIONS
from papervenue.faults.fault_table import FAULTS
from tradebot.model.event import EventKind
from tradebot.model.finding import FindingKind
from tradebot.model.reasons import REASONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
INTERNALS = DOCS / "internals"


def reasons() -> Iterable[str]:
    for reason, row in REASONS.items():
        yield f"| {reason} | {row.cause} | {row.meaning} | {row.remedy} |"


def events() -> Iterable[str]:
    for kind in EventKind:
        yield f"| {kind.subsystem} | {kind.event_type} | {kind.severity} | {kind.meaning} |"


def findings() -> Iterable[str]:
    for kind in FindingKind:
        entries, writes = "shut" if kind.blocking else "open", kind.writes or "nothing: no plan settles it"
        yield f"| {kind} | {entries} | {kind.meaning} | {writes} |"


def stores() -> Iterable[str]:
    for one in RETENTIONS:
        yield f"| {one.name} | {one.holds} | {one.kept} |"


def faults() -> Iterable[str]:
    for name, fault in FAULTS.items():
        options = "; ".join(f"`{option}`: {parameter.allowed}" for option, parameter in fault.options.items())
        yield table_row((f"`{name}`", fault.value.allowed if fault.value else "", options, fault.does))


def with_table(text: str, head: str, rows: Iterable[str]) -> str:
    """Return the text with other rows in the one table whose heading begins with `head`."""
    lines = text.splitlines()
    first, end = _place(lines, head)
    return "\n".join((*lines[:first], *rows, *lines[end:], ""))


def cells_of(text: str, head: str) -> list[list[str]]:
    """Return the cells of the one table whose heading begins with `head`, row by row."""
    lines = text.splitlines()
    first, end = _place(lines, head)
    rows = (line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines[first:end])
    return [[cell.replace("\\|", "|") for cell in cells] for cells in rows]


def _place(lines: Sequence[str], head: str) -> tuple[int, int]:
    (heading,) = (number for number, line in enumerate(lines) if line.lower().startswith(head))
    first = heading + 2
    return first, next((number for number in range(first, len(lines)) if not lines[number].startswith("|")), len(lines))


def table_row(cells: Sequence[str]) -> str:
    """Return a row of a table with these cells."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


class GeneratedTable(NamedTuple):
    """A page, the beginning of its table's heading, and what yields the table's rows."""

    page: Path
    head: str
    rows: Callable[[], Iterable[str]]

    def render(self) -> str:
        return with_table(self.page.read_text(encoding="utf-8"), self.head, self.rows())


TABLES = (
    GeneratedTable(INTERNALS / "REASONS.md", "| code | cause |", reasons),
    GeneratedTable(INTERNALS / "FINDINGS.md", "| finding | entries |", findings),
    GeneratedTable(INTERNALS / "EVENTS.md", "| subsystem | event |", events),
    GeneratedTable(DOCS / "FAULTS.md", "| fault | value |", faults),
    GeneratedTable(INTERNALS / "STORES.md", "| store | what it holds |", stores),
)
