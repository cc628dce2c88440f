"""Writes docs/internals/LISTED_FAULTS.md from the tests that answer the listed faults.

Run it from the repository's root: python -m tests.docs
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# The listed faults, read from the tests that answer them: name and number, and the answer from the docstring.
#
# A test is named test_fault_NNN_what_goes_wrong, and its one-line docstring says what the bot has to do about it.

FOLDER = Path(__file__).resolve().parents[1] / "faults" / "listed"
COUNT = 150
NAME = re.compile(r"test_fault_(\d{3})_([a-z0-9_]+)")


class Section(NamedTuple):
    """Faults of one kind: they stand in their own file."""

    title: str
    first: int
    last: int
    file: str


SECTIONS = (
    Section("Configuration", 1, 22, "test_config.py"),
    Section("Environment", 23, 36, "test_environment.py"),
    Section("Command line", 37, 50, "test_cli.py"),
    Section("Flow source", 51, 66, "test_flow.py"),
    Section("Venue's answers", 67, 88, "test_venue.py"),
    Section("Network", 89, 104, "test_network.py"),
    Section("Time", 105, 116, "test_time.py"),
    Section("State files and books", 117, 132, "test_state.py"),
    Section("Process", 133, 142, "test_process.py"),
    Section("Disk", 143, 150, "test_disk.py"),
)


class Fault(NamedTuple):
    """One listed fault: `answer` is the test's docstring, None where it has none of one line."""

    number: int
    what: str
    answer: str | None
    file: str


def faults() -> list[Fault]:
    """Return every fault that a test answers, by number; one that two tests claim stands there twice."""
    found = (fault for path in sorted(FOLDER.glob("test_*.py")) for fault in faults_in(path))
    return sorted(found, key=lambda fault: fault.number)


def faults_in(path: Path) -> Iterator[Fault]:
    """Yield the faults of one file of tests."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        named = NAME.fullmatch(node.name) if isinstance(node, ast.FunctionDef) else None
        if named and isinstance(node, ast.FunctionDef):
            said = ast.get_docstring(node)
            yield Fault(
                int(named[1]), named[2].replace("_", " "), said if said and "\n" not in said else None, path.name
            )


PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "LISTED_FAULTS.md"


def page() -> str:
    found = faults()
    head = PAGE.read_text(encoding="utf-8")
    return "\n".join((head, *(line for section in SECTIONS for line in _section(section, found)))).rstrip() + "\n"


def _section(section: Section, found: list[Fault]) -> list[str]:
    rows = [_row(fault) for fault in found if fault.file == section.file]
    title = f"## {section.title}, {section.first} to {section.last}"
    where = f"`tests/faults/listed/{section.file}`"
    return [title, "", where, "", "| number | fault | what the bot does |", "|---|---|---|", *rows, ""]


def _row(fault: Fault) -> str:
    return f"| {fault.number} | {fault.what} | {(fault.answer or '').replace('|', chr(92) + '|')} |"
