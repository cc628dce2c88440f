"""Lay out the documentation for `make docs`: python -m tests.docs.site FOLDER

Pages of docs/ get the tables that are made of the code, and links to files outside of docs/ get a page or become text.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.docs.page_list import rendered

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BESIDE = {
    ROOT / "README.md": "start.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "CHANGELOG.md": "changelog.md",
    ROOT / "exchange" / "README.md": "papervenue.md",
    ROOT / "tests" / "README.md": "tests.md",
    ROOT / "tests" / "kit" / "README.md": "test-kit.md",
}
"""Pages outside of docs/, each with its place on the site."""
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def places() -> dict[Path, str]:
    """Return each page with its place on the site."""
    return {**BESIDE, **{path: path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))}}


def site_text(path: Path) -> str:
    """Return the text of a page with all of its tables, and with links to what the site has."""
    text, position = rendered(path), 0
    parts = list[str]()
    for block in BLOCK.finditer(text):
        parts += [_with_links(path, text[position : block.start()]), block.group()]
        position = block.end()
    return "".join((*parts, _with_links(path, text[position:])))


def _with_links(path: Path, text: str) -> str:
    place, known = places()[path], places()

    def link(match: re.Match[str]) -> str:
        words, target = match.groups()
        name, hash_sign, anchor = target.partition("#")
        if not name or target.startswith("http"):
            return match.group()
        there = (path.parent / name).resolve()
        if there not in known:
            # The site has no sources; a path is enough to find one in the repository.
            return words
        up = "../" * place.count("/")
        return f"[{words}]({up}{known[there]}{hash_sign}{anchor})"

    return LINK.sub(link, text)


def navigation() -> list[Any]:
    """Return the sections of docs/README.md, each with the pages that it lists, then the reference."""
    known, sections = places(), list[Any]([{"Start": ["README.md", BESIDE[ROOT / "README.md"]]}])
    for section in (DOCS / "README.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        sections.append({heading: list(dict.fromkeys(_linked(DOCS, body)))})
    reference = (DOCS / "internals" / "README.md").read_text(encoding="utf-8")
    sections.append({"Reference": ["internals/README.md", *_linked(DOCS / "internals", reference, "- ")]})
    named = {page for section in sections for pages in section.values() for page in pages}
    sections.append({"Project": [place for place in known.values() if place not in named]})
    return sections


def _linked(folder: Path, text: str, before: str = "") -> Iterator[str]:
    known = places()
    for target in re.findall(rf"(?m){'^' if before else ''}{before}\[[^\]]*\]\(([^)#\s]+)\)", text):
        there = (folder / target).resolve()
        if there in known and there.name != "README.md":
            yield known[there]


def lay_out(folder: Path) -> None:
    """Write the site's pages and its configuration into a folder, in place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, place in places().items():
        page = folder / "pages" / place
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(site_text(path), encoding="utf-8")
    settings = yaml.safe_load((DOCS / "mkdocs.yml").read_text(encoding="utf-8"))
    (folder / "mkdocs.yml").write_text(yaml.safe_dump({**settings, "nav": navigation()}), encoding="utf-8")


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]))
