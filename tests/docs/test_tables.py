"""Each page that is made of the code or of the tests has what they give: it cannot go stale."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import features
from tests.docs.page_list import APPENDED, BUILT, COMMITTED, rendered
from tests.docs.tables import GeneratedTable, cells_of
from tradebot.signals.features import OBSERVED


@pytest.mark.parametrize(("page", "render"), COMMITTED, ids=[page.stem for page, _ in COMMITTED])
def test_a_committed_page_holds_the_table_that_the_code_gives(page: Path, render: Callable[[], str]) -> None:
    assert page.read_text(encoding="utf-8") == render(), "write it again: python -m tests.docs"


@pytest.mark.parametrize("table", BUILT, ids=lambda table: f"{table.page.stem} {table.head}")
def test_rows_that_only_repeat_the_code_are_built_and_not_committed(table: GeneratedTable) -> None:
    assert cells_of(table.page.read_text(encoding="utf-8"), table.head) == []
    columns = {len(cells) for cells in cells_of(rendered(table.page), table.head)}
    assert len(columns) == 1, "each row has as many cells"
    assert rendered(table.page).count("\n| ") > 5


@pytest.mark.parametrize("page", APPENDED, ids=lambda page: page.stem)
def test_a_page_of_the_code_alone_begins_as_committed_and_goes_on(page: Path) -> None:
    beginning, text = page.read_text(encoding="utf-8"), rendered(page)
    assert "\n| " not in beginning
    assert text.startswith(beginning)
    assert text.count("\n| ") > 90


def test_page_of_features_says_how_many_a_learned_policy_observes() -> None:
    assert f"observes\nthe first {OBSERVED}, and the six of the state." in features.PAGE.read_text(encoding="utf-8")
