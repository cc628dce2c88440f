"""docs/internals/SIGNALS.md says what the files of kinds and components say."""

from tests.docs.signals import PAGE, page


def test_the_document_is_what_the_files_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs"
