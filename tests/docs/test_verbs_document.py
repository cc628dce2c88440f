"""docs/internals/VERBS.md is what the verbs' own help says, and commands/verbs.json what they declare."""

from tests.docs import verb_list
from tests.docs.verbs import PAGE, page


def test_the_page_of_verbs_is_what_their_help_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs"


def test_the_list_of_verbs_is_what_they_declare() -> None:
    assert verb_list.PAGE.read_text(encoding="utf-8") == verb_list.page(), "write it again: python -m tests.docs"
