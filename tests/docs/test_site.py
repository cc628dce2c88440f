"""What `make docs` builds has every page once, and each of its links leads to one."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.docs import site


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site.lay_out(folder)
    return folder


def test_each_page_of_the_site_is_listed_once(pages: Path) -> None:
    listed = Counter(
        place
        for section in yaml.safe_load((pages / "mkdocs.yml").read_text())["nav"]
        for places in section.values()
        for place in places
    )
    there = {path.relative_to(pages / "pages").as_posix() for path in (pages / "pages").rglob("*.md")}
    assert (set(listed), set(listed.values())) == (there, {1})


def test_each_link_between_pages_leads_to_a_page_of_the_site(pages: Path) -> None:
    links = [
        (path, target.partition("#")[0])
        for path in (pages / "pages").rglob("*.md")
        for _, target in site.LINK.findall(site.BLOCK.sub("", path.read_text(encoding="utf-8")))
        if not target.startswith(("http", "#"))
    ]
    assert [link for link in links if not (link[0].parent / link[1]).is_file()] == []
    assert len(links) > 100


def test_the_site_has_the_rows_that_the_repository_leaves_out(pages: Path) -> None:
    reasons, verbs = ((pages / "pages" / "internals" / f"{name}.md").read_text() for name in ("REASONS", "VERBS"))
    assert re.search(r"^\| MARKET_CLOSED \| idle by design \| ", reasons, re.MULTILINE)
    assert "\n| `trade-once` | " in verbs
