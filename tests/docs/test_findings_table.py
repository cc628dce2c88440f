"""The runbook's table of findings is the code's table."""

from itertools import dropwhile, takewhile
from pathlib import Path

from tradebot.reconciliation.findings import TERMS, FindingKind

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "RUNBOOK.md"


def test_the_runbook_holds_the_table_of_findings_row_by_row() -> None:
    lines = iter(RUNBOOK.read_text().splitlines())
    headed = dropwhile(lambda line: line != "| finding | entries | meaning | an accepted plan |", lines)
    table = list(takewhile(lambda line: line.startswith("|"), headed))[2:]
    assert table == [
        f"| {kind} | {'shut' if terms.blocking else 'open'} | {terms.meaning}"
        f" | {terms.writes or 'nothing: no plan settles it'} |"
        for kind, terms in TERMS.items()
    ]


def test_every_kind_has_its_terms() -> None:
    assert set(TERMS) == set(FindingKind)
