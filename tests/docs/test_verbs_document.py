"""docs/internals/VERBS.md is what the verbs' own help says: it cannot go stale."""

from tests.docs.verbs import PAGE, page


def test_the_page_of_verbs_is_what_their_help_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs"
