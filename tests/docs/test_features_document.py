"""docs/internals/FEATURES.md says what the rows of features say."""

from tests.docs.features import PAGE, page


def test_the_document_is_what_the_rows_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs"
