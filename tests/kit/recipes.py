"""The recipes in docs/recipes as changes to files, so that a program can follow them to the letter.

A step names its file in bold (`**3. `path`**`), or `in `path``, and says where its block goes: above or below the one
line that begins with some text, or into a new file. A step that begins with "Then" stays in the same file.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "recipes"
STEP = re.compile(r"^((?:\*\*|Then, )(?:(?!```).)*?)\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"\*\*(?:\d+\.|Test:) `([^`]+)`\*\*|\bin `([^`]+)`")
PLACE = re.compile(r"\b(above|below) (`+) ?(.+?) ?\2(?!`)")


class Change(NamedTuple):
    """A block that goes above or below a line that begins with `anchor`; into a new file where there is no anchor."""

    path: str
    side: str
    anchor: str
    block: str


def recipe(name: str) -> tuple[Change, ...]:
    """Return what one of the pages changes."""
    return tuple(_changes(name, (GUIDES / f"{name}.md").read_text(encoding="utf-8")))


def _changes(name: str, page: str) -> Iterator[Change]:
    path = ""
    for lead, block in STEP.findall(page):
        named, place = FILE.search(lead), PLACE.search(lead)
        if named:
            path = named[1] or named[2]
        assert place or "a new file" in lead, f"{name}.md does not say where in {path} this goes:\n{block}"
        yield Change(path, place[1] if place else "", place[3] if place else "", block)


def renamed(change: Change, names: dict[str, str]) -> Change:
    """Return the change as somebody else who follows the recipe writes it: with other names in its path and block."""
    path, block = change.path, change.block
    for name, other in names.items():
        path, block = re.sub(name, other, path), re.sub(name, other, block)
    return change._replace(path=path, block=block)


def follow(change: Change, root: Path) -> None:
    """Make one change below a folder; AssertionError where a recipe names a file or a line that is not there."""
    path = root / change.path
    if not change.anchor:
        assert not path.exists(), f"a recipe calls {change.path} a new file, and it exists"
        path.write_text(change.block, encoding="utf-8")
        return
    assert path.exists(), f"a recipe names {change.path}, which does not exist"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if line.lstrip().startswith(change.anchor)]
    assert len(found) == 1, f"a recipe: {len(found)} lines of {change.path} begin with {change.anchor!r}, not 1"
    lines.insert(found[0] + (change.side == "below"), change.block)
    path.write_text("".join(lines), encoding="utf-8")
