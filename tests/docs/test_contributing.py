"""The recipes are true: a program follows each of them twice in a copy of the source, and what comes out works."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

from tests.kit.recipes import GUIDES, ROOT, Change, follow, recipe, renamed

RECIPES = ("gate", "exit-rule", "verb", "strategy", "signal")
LONGEST = 8 * 1024
SECOND: dict[str, dict[str, str]] = {
    "gate": {"AFTER_OPEN": "WELL_OPEN", "after_open": "well_open", "JUST_OPENED": "NOT_WELL_OPEN"},
    "exit-rule": {"MAX_LOSS": "SEVERE_LOSS", "max_loss": "severe_loss", "MaxLoss": "SevereLoss", '"dollars"': '"most"'},
    "verb": {r"(?<!settings\.)sectors": "groups"},
    "strategy": {"breakout": "new_high", "Breakout": "NewHigh"},
    "signal": {"short_volume": "short_shares", "SHORT_VOLUME": "SHORT_SHARES", "ShortVolume": "ShortShares"},
}
"""The names of whoever follows a recipe after somebody else did."""
OURS = ("tradebot", "commands", "jobs", "tests", "benchmarks", "papervenue")
"""Our packages, which ruff sorts last among imports and cannot see where only some of their files are."""
COPIED = (
    *("tradebot", "commands", "jobs", "config", "docs", "exchange", "tests", "benchmarks"),
    *("README.md", "pyproject.toml", "CONTRIBUTING.md", "CHANGELOG.md"),
)
ROOMS = (
    *("tests/gates", "tests/exits", "tests/model", "tests/signals", "tests/strategies"),
    *("tests/app/test_baseline.py", "tests/app/test_settings.py"),
    *("tests/commands/shared/test_number_format.py", "tests/commands/shared/test_hints.py"),
    *("tests/commands/test_sectors.py", "tests/commands/test_groups.py"),
    *("tests/docs/test_limits_document.py", "tests/docs/test_tables.py"),
)
"""All tests of the rooms that the recipes touch, of which each finds a place that was left out."""
DOCUMENTS = (
    "from tests.commands.shared.test_number_format import KEPT, form\n"
    "KEPT.write_text(KEPT.read_text() + ''.join(form(name) + chr(10) for name in ('sectors', 'groups')))"
)
"""Adds what a test prints about the documents of new verbs, as their recipe says."""


def ran(copy: Path, *arguments: str, **environ: str) -> str:
    command, around = [sys.executable, *arguments], {**os.environ, **environ}
    done = subprocess.run(command, cwd=copy, env=around, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("contributing")
    for name in COPIED:
        if (ROOT / name).is_dir():
            # What is compiled comes along, with its times, so that only what changes is compiled again.
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("node_modules", ".venv"))
        else:
            shutil.copy2(ROOT / name, root)
    for title in RECIPES:
        for change in recipe(title):
            follow(change, root)
    for change in second():
        follow(change, root)
    ran(root, "-m", "ruff", "check", "-q", "--no-cache", "--fix", "commands", "tradebot")
    ran(root, "-m", "tests.docs")
    ran(root, "-c", DOCUMENTS)
    return root


def install(root: Path) -> None:
    """Write what pip writes about the copy, so that its entry points are found before the installed ones."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    info = root / f"tradebot_cli-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tradebot-cli\nVersion: {project['version']}\n")
    points = (f"{name} = {place}" for name, place in project["entry-points"]["tradebot.strategies"].items())
    (info / "entry_points.txt").write_text("\n".join(["[tradebot.strategies]", *points]))


def built(root: Path) -> Path:
    """Lay out the documentation of the copy, and return the folder of its reference."""
    ran(root, "-m", "tests.docs.site", "build/docs")
    return root / "build" / "docs" / "pages" / "internals"


def second() -> list[Change]:
    return [renamed(change, SECOND[title]) for title in RECIPES for change in recipe(title)]


@pytest.mark.campaign(follows="docs/recipes")
def test_what_each_recipe_makes_passes_its_own_tests_and_those_that_find_a_place_left_out(copy: Path) -> None:
    flags = ("-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", f"--basetemp={copy / 'kept'}")
    ran(copy, "-m", "pytest", *flags, *ROOMS)
    limits, reasons = ((built(copy) / name).read_text() for name in ("LIMITS.md", "REASONS.md"))
    for name in ("after_open", "well_open"):
        assert f"| Refuse entries in the first minutes of a session | limits.min_{name}_s | `{name}` |" in limits
    codes = ("JUST_OPENED", "NOT_WELL_OPEN", "MAX_LOSS", "SEVERE_LOSS")
    assert all(f"| {code} | idle by design |" in reasons for code in codes)


@pytest.mark.campaign(follows="docs/recipes")
def test_the_verb_that_the_recipe_makes_has_help_a_document_and_its_schema(copy: Path) -> None:
    state = str(copy / "kept" / "cli0" / "state")
    document = json.loads(ran(copy, "-m", "tradebot", "sectors", "--json", "--state-dir", state))
    jsonschema.validate(document, json.loads(ran(copy, "-m", "tradebot", "sectors", "--schema")))
    assert document["data"]["sectors"]["consumer_cyclical"] == ["AMZN"]
    assert "List the universe by sector" in ran(copy, "-m", "tradebot", "--help")
    assert "| `sectors` | List the universe by sector. |" in (built(copy) / "VERBS.md").read_text()
    # That test starts a bot and types every verb, which is too much to do twice.
    assert 'bot.all_say("sectors")' in (copy / "tests/commands/shared/test_schema.py").read_text()


@pytest.mark.campaign(follows="docs/recipes")
def test_the_strategy_that_the_recipe_makes_is_off_until_a_setting_turns_it_on(copy: Path) -> None:
    install(copy)
    settings = {"TRADEBOT_STRATEGIES__NEW_HIGH__SESSIONS": "55"}
    document = json.loads(ran(copy, "-m", "tradebot", "strategy", "list", "--json", **settings))
    rows = {row["name"]: row for row in document["data"]["rows"]}
    assert (rows["breakout"]["state"], rows["breakout"]["needs"]) == ("off", None)
    assert (rows["new_high"]["state"], rows["new_high"]["own_process"]) == ("ok", False)
    assert [(need["timeframe"], need["depth"]) for need in rows["new_high"]["needs"]["bars"]] == [("1Day", 56)]
    settings["TRADEBOT_STRATEGIES__NEW_HIGH__SESSIONS"] = "0"
    with pytest.raises(AssertionError, match=r"strategies\.new_high\.sessions: must be greater than or equal to 1"):
        ran(copy, "-m", "tradebot", "strategy", "list", **settings)


def test_what_the_recipes_make_names_only_what_exists_and_is_formatted_and_clean(tmp_path: Path) -> None:
    changes = [*(change for title in RECIPES for change in recipe(title)), *second()]
    for path in ("pyproject.toml", *(change.path for change in changes if change.anchor)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, tmp_path / path)
    for change in changes:
        (tmp_path / change.path).parent.mkdir(parents=True, exist_ok=True)
        follow(change, tmp_path)
    changed = sorted({change.path for change in changes if change.path.endswith(".py")})
    lint = ("-m", "ruff", "check", "-q", "--no-cache", "--config", f"lint.isort.known-first-party = {list(OURS)}")
    ran(tmp_path, *lint, "--fix", "commands", "tradebot")
    ran(tmp_path, *lint, *changed)
    ran(tmp_path, "-m", "ruff", "format", "-q", "--no-cache", "--check", *changed)


@pytest.mark.parametrize(
    ("name", "places"), [(RECIPES[0], 4), (RECIPES[1], 2), (RECIPES[2], 1), (RECIPES[3], 3), (RECIPES[4], 3)]
)
def test_a_recipe_changes_as_few_places_as_it_says_and_one_test_file(name: str, places: int) -> None:
    section = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    numbers = [int(line[2]) for line in section.splitlines() if line.startswith("**") and line[2].isdigit()]
    assert numbers == list(range(1, places + 1))
    files = dict.fromkeys(change.path for change in recipe(name))
    assert [path.startswith("tests/") for path in files][: places + 1] == [*[False] * places, True]


def test_every_file_and_every_link_that_the_guides_name_leads_somewhere() -> None:
    new = {change.path for title in RECIPES for change in recipe(title) if not change.anchor}
    inside = r"`((?:commands|jobs|config|tradebot|tests|docs|benchmarks)/[\w/.-]*)"
    named = set[Path]()
    for page in (ROOT / "CONTRIBUTING.md", *GUIDES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        typed = {*re.findall(inside, text), *re.findall(r"ARGS=\"([^-\"][^\"]*)", text)}
        words = {path for several in typed for path in several.split() if not path.startswith("-")} - new
        named |= {ROOT / path for path in words}
        named |= {page.parent / path for path in re.findall(r"\]\((?!http)([^)#]+)", text)}
    assert len(named) >= 30
    assert [path for path in sorted(named) if not path.exists()] == []


def test_the_first_page_stays_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_bytes()) <= LONGEST
