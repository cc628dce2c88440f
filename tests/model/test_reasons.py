"""The table of reasons and the code hold each other."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tradebot.app.settings import load
from tradebot.model.reasons import REASONS, Reason

ROOT = Path(__file__).resolve().parents[2]
TABLE = [*(ROOT / "tradebot" / "model").glob("*_reasons.py"), ROOT / "tradebot" / "model" / "reasons.py"]


@cache
def used() -> frozenset[str]:
    """Return the names read as `Reason.NAME` anywhere but in the table itself."""
    paths = {path for folder in ("tradebot", "commands", "jobs") for path in (ROOT / folder).rglob("*.py")}
    texts = [text for path in paths.difference(TABLE) if "Reason" in (text := path.read_text())]
    return frozenset(name for text in texts for name in reasons_in(ast.parse(text)))


def reasons_in(tree: ast.AST) -> list[str]:
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    ]


def test_every_reason_has_its_row_and_its_name_for_a_value() -> None:
    rows = "tradebot/model/reasons.py and what it merges: one row for each code of reason_codes.py, in the same order"
    assert list(REASONS) == list(Reason), rows
    assert [reason.value for reason in Reason] == [reason.name for reason in Reason]


def test_every_setting_that_a_remedy_names_is_one_that_the_loader_takes() -> None:
    settings = load(None, {}).settings.model_dump()
    named = [
        name for row in REASONS.values() for name in re.findall(r"(?:limits|plugins|strategies\.flow)\.\w+", row.remedy)
    ]
    for name in named:
        section = settings
        for part in name.split(".")[:-1]:
            section = section[part]
        assert name.rpartition(".")[2] in section, name
    assert len(named) >= 8


def test_a_remedy_that_loosens_a_setting_says_that_it_needs_approval() -> None:
    loosening = [row.remedy for row in REASONS.values() if re.search(r"\b([Rr]aise|[Ll]ower|long_only)\b", row.remedy)]
    assert len(loosening) >= 8
    assert all("tradebot config accept" in remedy for remedy in loosening), loosening


@pytest.mark.parametrize("reason", Reason)
def test_a_row_says_what_it_means_and_what_would_change_it(reason: Reason) -> None:
    row = REASONS[reason]
    assert row.meaning.endswith(".")
    assert row.remedy.strip()


def test_every_reason_is_given_by_some_code() -> None:
    assert {reason.value for reason in Reason} - used() == set()


def test_every_reason_that_code_gives_is_in_the_table() -> None:
    assert used() <= {reason.value for reason in Reason}
