"""The tables of docs/RUNBOOK.md that are made of the code's own: the events, the findings and the reasons."""

from collections.abc import Iterable
from pathlib import Path

from tradebot.model.event import EventKind
from tradebot.model.reasons import REASONS
from tradebot.reconciliation.findings import TERMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "RUNBOOK.md"


def page() -> str:
    """Return the whole runbook, with these tables as the code has them."""
    text = PAGE.read_text(encoding="utf-8")
    text = with_table(text, "| subsystem | event |", events())
    return with_table(with_table(text, "| finding | entries |", findings()), "| code | cause |", reasons())


def reasons() -> Iterable[str]:
    """Yield the rows of the table of reasons."""
    for reason, row in REASONS.items():
        yield f"| {reason} | {row.cause} | {row.meaning} | {row.remedy} |"


def events() -> Iterable[str]:
    """Yield the rows of the table of events."""
    for kind in EventKind:
        yield f"| {kind.subsystem} | {kind.event_type} | {kind.severity} | {kind.meaning} |"


def findings() -> Iterable[str]:
    """Yield the rows of the table of findings."""
    for kind, terms in TERMS.items():
        entries, writes = "shut" if terms.blocking else "open", terms.writes or "nothing: no plan settles it"
        yield f"| {kind} | {entries} | {terms.meaning} | {writes} |"


def with_table(text: str, head: str, rows: Iterable[str]) -> str:
    """Return the text with other rows in the one table whose heading begins with `head`."""
    lines = text.splitlines()
    (heading,) = (number for number, line in enumerate(lines) if line.lower().startswith(head))
    first = heading + 2
    end = next((number for number in range(first, len(lines)) if not lines[number].startswith("|")), len(lines))
    return "\n".join((*lines[:first], *rows, *lines[end:], ""))
