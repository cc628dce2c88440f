"""The tables of reasons, findings, events and stores are the code's tables."""

import pytest

from tests.docs.tables import TABLES, GeneratedTable, with_table


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.page.stem)
def test_a_page_holds_the_table_that_the_code_gives(table: GeneratedTable) -> None:
    assert table.page.read_text(encoding="utf-8") == table.render(), "write it again: python -m tests.docs"


def test_a_table_changes_and_the_text_around_it_stays() -> None:
    text = "a\n\n| Code | x |\n|---|---|\n| A | 1 |\n| B | 2 |\n\nz\n"
    assert with_table(text, "| code |", ["| C | 3 |"]) == "a\n\n| Code | x |\n|---|---|\n| C | 3 |\n\nz\n"
    with pytest.raises(ValueError, match="not enough values"):
        with_table(text, "| finding |", [])
