"""The runbook's table of reasons is the code's table."""

from itertools import dropwhile, takewhile
from pathlib import Path

from tradebot.model.reasons import REASONS

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "RUNBOOK.md"


def test_the_runbook_holds_the_table_of_reasons_row_by_row() -> None:
    lines = iter(RUNBOOK.read_text().splitlines())
    headed = dropwhile(lambda line: line.lower() != "| code | cause | meaning | remedy |", lines)
    table = list(takewhile(lambda line: line.startswith("|"), headed))[2:]
    assert [row.replace("`", "") for row in table] == [
        f"| {reason} | {row.cause} | {row.meaning} | {row.remedy} |" for reason, row in REASONS.items()
    ]
