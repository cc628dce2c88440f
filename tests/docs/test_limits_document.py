"""docs/internals/LIMITS.md says what the code does: each gate has a row, each predicate and each test exists."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import yaml

from tests.docs import limits_table
from tests.docs.exits import PAGE
from tests.docs.limits_rows import WITHOUT_ROW, clauses, rows
from tests.docs.tables import cells_of, table_row
from tradebot.exits.exit_rule import RuleInput
from tradebot.exits.rules import parse
from tradebot.model.decision import Gate
from tradebot.model.limits import HaltRules, Limits

ROOT = Path(__file__).resolve().parents[2]
EVERY = (*rows(), *clauses())
PREDICATES = sorted({name for row in EVERY for name in row.predicates})
TESTS = sorted({name for row in EVERY for name in row.tests})
SIZES_OF_TIME = {"entry_life_s", "exit_life_s"}
"""Limits that end an order which is out, and keep none back."""


def test_every_gate_of_an_entry_has_a_row() -> None:
    missing = set(Gate) - set(WITHOUT_ROW) - {gate for row in rows() for gate in row.gates}
    assert not missing, "tradebot/gates/entry.py: the question of a gate needs a docstring"


def test_every_limit_of_the_configuration_is_named_by_a_row() -> None:
    named = {part.strip().rpartition(".")[2] for row in rows() for part in row.limit.split(",")}
    unused = {*Limits.model_fields, *HaltRules.model_fields} - SIZES_OF_TIME - named
    assert not unused, "tradebot/gates/entry.py: no gate reads this limit, or docs/internals/LIMITS.md lacks it"


def test_every_limit_of_the_configuration_is_in_the_table_with_what_clears_it() -> None:
    for name, listed in (*limits_table.listed("limits").items(), *limits_table.listed("halts").items()):
        assert limits_table.unit(name, listed.gate) or listed.gate is Gate.SCORE, name


def test_the_table_of_limits_has_a_column_for_each_shipped_profile() -> None:
    lines = limits_table.PAGE.read_text(encoding="utf-8").splitlines()
    assert table_row(limits_table.columns()) in lines, "this is its heading now"


@pytest.mark.parametrize("name", PREDICATES)
def test_a_predicate_that_is_named_is_there(name: str) -> None:
    module, _, function = f"tradebot.{name}".rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", TESTS)
def test_a_test_that_is_named_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    module = ast.parse((ROOT / "tests" / path).read_text())
    tests = [node.name for node in module.body if isinstance(node, ast.FunctionDef)]
    assert any(found == function if function else found.startswith("test_") for found in tests)


TEXT = PAGE.read_text(encoding="utf-8")


def test_its_examples_load() -> None:
    whole, steps = (yaml.safe_load(example) for example in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
    for listed in (whole["strategies"]["flow"]["exits"], steps["exits"]):
        assert len(parse(listed)) == 3


def test_each_input_of_a_rule_has_a_row() -> None:
    assert [name for name, *_ in cells_of(TEXT, "| input |")] == list(RuleInput)
