"""docs/internals/LIMITS.md says what the code does: each gate has a row, each predicate and each test exists."""

import ast
import importlib
from pathlib import Path

import pytest

from tests.docs.limits_rows import CLAUSES, DOCUMENT, ROWS, WITHOUT_ROW, render
from tradebot.limits import HaltRules, Limits
from tradebot.model.decision import Gate

ROOT = Path(__file__).resolve().parents[2]
PREDICATES = sorted({name for row in (*ROWS, *CLAUSES) for name in row.predicates})
TESTS = sorted({name for row in (*ROWS, *CLAUSES) for name in row.tests})
SIZES_OF_TIME = {"entry_life_s", "exit_life_s"}
"""Limits that end an order which is out, and keep none back."""


def test_the_document_is_what_the_rows_say() -> None:
    assert DOCUMENT.read_text() == render(), "write it anew: python -m tests.docs.limits_rows"


def test_every_gate_of_an_entry_has_a_row() -> None:
    assert {gate for row in ROWS for gate in row.gates} == set(Gate) - set(WITHOUT_ROW)


def test_every_limit_of_the_configuration_is_named_by_a_row() -> None:
    named = {part.strip().rpartition(".")[2] for row in ROWS for part in row.limit.split(",")}
    assert {*Limits.model_fields, *HaltRules.model_fields} - SIZES_OF_TIME <= named


@pytest.mark.parametrize("name", PREDICATES)
def test_a_predicate_that_is_named_is_there(name: str) -> None:
    module, _, function = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", TESTS)
def test_a_test_that_is_named_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    tests = [node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)]
    assert any(found.startswith("test_") if function == "*" else found == function for found in tests)
