"""Each page that is made of the code or of the tests is what they give: it cannot go stale."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import features
from tests.docs.page_list import PAGES
from tests.docs.tables import cells_of, table_row, with_table
from tradebot.signals.features import OBSERVED


@pytest.mark.parametrize(("page", "render"), PAGES, ids=[page.stem for page, _ in PAGES])
def test_a_page_holds_the_table_that_the_code_gives(page: Path, render: Callable[[], str]) -> None:
    assert page.read_text(encoding="utf-8") == render(), "write it again: python -m tests.docs"


def test_a_table_changes_and_the_text_around_it_stays() -> None:
    text = "a\n\n| Code | x |\n|---|---|\n| A | 1 |\n| B | 2 |\n\nz\n"
    assert with_table(text, "| code |", ["| C | 3 |"]) == "a\n\n| Code | x |\n|---|---|\n| C | 3 |\n\nz\n"
    with pytest.raises(ValueError, match="not enough values"):
        with_table(text, "| finding |", [])


def test_cells_of_a_row_are_read_back_as_they_were_written() -> None:
    cells = ["a | b", "", "`c`"]
    assert cells_of(f"text\n\n| One | two | three |\n|---|---|---|\n{table_row(cells)}\n\nz\n", "| one |") == [cells]


def test_page_of_features_says_how_many_a_learned_policy_observes() -> None:
    assert f"The first {OBSERVED}, with the six\nof the state," in features.PAGE.read_text(encoding="utf-8")
