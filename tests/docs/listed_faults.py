"""Writes docs/internals/LISTED_FAULTS.md from the tests that answer the listed faults.

Run it from the repository's root: python -m tests.docs
"""

from pathlib import Path

from tests.faults.listed.catalogue import COUNT, SECTIONS, Fault, Section, faults

PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "LISTED_FAULTS.md"
HEAD = f"""# Listed faults

{COUNT} bad inputs and faults, and what the bot does about each. Each has a test, named by its number. To run one:
`.venv/bin/pytest tests/faults/listed -k fault_092`. The page is generated from the names and docstrings of those tests.
"""


def page() -> str:
    found = faults()
    return "\n".join((HEAD, *(line for section in SECTIONS for line in _section(section, found)))).rstrip() + "\n"


def _section(section: Section, found: list[Fault]) -> list[str]:
    rows = [_row(fault) for fault in found if fault.file == section.file]
    title = f"## {section.title}, {section.first} to {section.last}"
    where = f"`tests/faults/listed/{section.file}`"
    return [title, "", where, "", "| number | fault | what the bot does |", "|---|---|---|", *rows, ""]


def _row(fault: Fault) -> str:
    return f"| {fault.number} | {fault.what} | {(fault.answer or '').replace('|', chr(92) + '|')} |"
