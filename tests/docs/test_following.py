"""A guide that shows anything else than what is printed is caught."""

import pytest

from tests.docs.following import Typed, Written, is_shown, require_shown, steps

PRINTED = "\nTRADED  8 of 165 candidates\n  one line   \n  another\nend\n"
PAGE = """# A guide

Write this
to `a/b.yaml`, for example:

```yaml
x: 1
```

```console
$ tradebot status          # a comment
0 positions

…
$ tradebot orders
```

```text
$ tradebot elsewhere
```
"""


@pytest.mark.parametrize(
    "shown", ["TRADED  8 of 165 candidates\n  one line\n\n  another\nend", "TRADED  … of 165 …\n…\nend", "…\nend\n…"]
)
def test_a_screen_with_parts_left_out_is_what_is_printed(shown: str) -> None:
    assert is_shown(shown, PRINTED)


@pytest.mark.parametrize(
    "shown", ["TRADED  9 of 165 candidates\n…", "…\n  one line", "…\n one line\n…", "…one line\n…\nend", "end\n…"]
)
def test_a_screen_with_another_word_or_with_lines_missing_is_not(shown: str) -> None:
    assert not is_shown(shown, PRINTED)
    with pytest.raises(AssertionError, match="the guide shows"):
        require_shown(Typed("tradebot status", shown), PRINTED)


def test_a_guides_files_and_commands_come_in_its_order() -> None:
    assert list(steps(PAGE)) == [
        Written("a/b.yaml", "x: 1\n"),
        Typed("tradebot status", "0 positions\n\n…\n"),
        Typed("tradebot orders", ""),
    ]
