"""The pages are short and lead somewhere: every link, every anchor, and every page that the code names."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from commands.shared.listed_verbs import VERBS
from tests.kit.bot.folder import typed
from tradebot.errors import ExitCode

ROOT = Path(__file__).resolve().parents[2]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
READ = [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "internals"]
"""The pages that people read; those in internals are for looking things up."""
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
MOST_WORDS = 2_500


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> Iterator[str]:
    """Yield each link of a page that leads to no file or to no heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        if target.startswith("http"):
            continue
        if not there.exists() or (anchor and anchor not in anchors(there)):
            yield target


def words(page: Path) -> int:
    """Return how many words a page has; the bars of tables are none."""
    return len(re.findall(r"\S*\w\S*", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", READ, ids=lambda page: page.stem)
def test_a_page_outside_internals_stays_short_enough_to_read(page: Path) -> None:
    assert words(page) <= MOST_WORDS, "say it shorter, or move what is looked up to docs/internals"


def test_the_runbook_stays_at_two_pages() -> None:
    assert words(ROOT / "docs" / "RUNBOOK.md") <= 1_500


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert list(broken(page)) == []


def test_every_page_that_the_code_names_exists() -> None:
    files = [path for folder in ("tradebot", "commands", "jobs") for path in (ROOT / folder).rglob("*.py")]
    files += [path for folder in ("config", "deploy") for path in (ROOT / folder).rglob("*") if path.is_file()]
    named = {name for path in files for name in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))}
    assert "docs/RUNBOOK.md" in named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    # Hints name this section of the runbook.
    assert "damaged-state" in anchors(ROOT / "docs" / "RUNBOOK.md")


def test_the_reference_lists_each_of_its_pages_once() -> None:
    folder = ROOT / "docs" / "internals"
    listed = re.findall(r"^- \[(\w+\.md)\]", (folder / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")


def test_every_exit_code_is_explained_once_and_in_order() -> None:
    text = (
        (ROOT / "docs" / "AGENTS.md")
        .read_text(encoding="utf-8")
        .partition("\n## Exit codes\n")[2]
        .partition("\n## ")[0]
    )
    rows = re.findall(r"^\| ([\d, ]+) \|", text, flags=re.MULTILINE)
    codes = [int(code) for row in rows for code in row.split(",")]
    assert all(before < after for before, after in pairwise(codes))
    assert set(codes) == set(ExitCode)


def test_the_list_of_all_pages_has_each_of_them_once() -> None:
    folder = ROOT / "docs"
    linked = re.findall(
        r"\]\(((?:(?:guides|recipes)/)?\w[\w-]*\.md)\)", (folder / "README.md").read_text(encoding="utf-8")
    )
    pages = [str(page.relative_to(folder)) for page in READ if page.name != "README.md"]
    assert sorted(linked) == sorted(pages)


def test_each_guide_is_followed_by_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "docs").glob("test_*.py"))
    followed = set(re.findall(r'follow\("([\w-]+)"|"guides" / "([\w-]+)\.md"', tests))
    assert {name or read for name, read in followed} == {page.stem for page in GUIDES}


def options(text: str) -> set[str]:
    return set(re.findall(r"--[a-z-]+", text))


IN_TROUBLE = [
    ROOT / "docs" / name
    for name in ("RUNBOOK.md", "internals/SYMPTOMS.md", "internals/HEALTH.md", "internals/STORES.md")
]


@pytest.mark.parametrize("page", [*IN_TROUBLE, ROOT / "docs" / "TOUR.md", *GUIDES], ids=lambda page: page.stem)
def test_every_command_to_type_has_that_verb_and_those_options(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_a_sentence_or_block = (
        r"`tradebot ([a-z][^`\n]+)`|^tradebot ([a-z][^#\n]+?) +#|^\$(?: [^(\n]*)?(?:bin/| )tradebot ([a-z][^#\n]+)"
    )
    # What stands between quotation marks is a value, such as a chore with a verb of its own.
    text = re.sub(r"'[^'\n]*'(?=\n)", "VALUE", page.read_text(encoding="utf-8"))
    commands = {"".join(found) for found in re.findall(in_a_sentence_or_block, text, flags=re.MULTILINE)}
    assert commands
    for command in sorted(commands):
        first, _, rest = command.partition(" ")
        both = f"{first} {rest.partition(' ')[0]}"
        verb = both if both in VERBS else first
        assert verb in VERBS, command
        shown = typed(capsys, *verb.split(), "--help").out
        assert options(command) <= options(shown), command
