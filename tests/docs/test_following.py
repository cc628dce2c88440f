"""A guide that shows anything else than what is printed is caught."""

import pytest

from tests.docs.following import Typed, is_shown, require_shown

PRINTED = "\nTRADED  8 of 165 candidates\n  one line   \n  another\nend\n"


@pytest.mark.parametrize(
    "shown", ["TRADED  9 of 165 candidates\n…", "…\n  one line", "…\n one line\n…", "…one line\n…\nend", "end\n…"]
)
def test_a_screen_with_another_word_or_with_lines_missing_is_not(shown: str) -> None:
    assert not is_shown(shown, PRINTED)
    with pytest.raises(AssertionError, match="the guide shows"):
        require_shown(Typed("tradebot status", shown), PRINTED)
