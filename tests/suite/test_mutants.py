"""Which small mistakes are drawn, and how a run is judged on each."""

import ast
import sys
from pathlib import Path

import pytest

from tests.suite.mutants import Copy, mutants

CODE = b'''\
LIMIT = 3


def answer(passed: bool = True, most: "1 + 1" = 2) -> bool:
    """Return 1 + 1."""
    assert passed is not None, 1 + 2
    text = f"{LIMIT + 1}" + "a"
    if passed and not LIMIT <= 3 or text in "b":
        LIMITS.append(text)
        print(LIMIT - 1)
        return True
    count: int = 1
    count -= len(text) * 2
    raise ValueError(count + 1)
'''


def test_mutants_are_small_changes_of_what_a_function_does() -> None:
    found = mutants("a.py", CODE)
    assert {(one.line, one.before, one.after) for one in found} == {
        (8, "and", "or"),
        (8, "or", "and"),
        (8, "not ", ""),
        (8, "<=", "<"),
        (8, "3", "2"),
        (8, "in", "not in"),
        (9, "LIMITS.append(text)", "pass"),
        (11, "True", "False"),
        (12, "1", "2"),
        (13, "-", "+"),
        (13, "*", "/"),
        (13, "2", "1"),
    }
    for one in found:
        ast.parse(one.apply(CODE))
        assert one.apply(CODE) != CODE


CHECK = """\
from a import limit

if limit() != 3:
    print("FAILED test_a.py::test_limit - assert 2 == 3")
    raise SystemExit(1)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    made = Copy.__new__(Copy)
    made.folder = tmp_path
    (tmp_path / "a.py").write_text("def limit():\n    return 3\n")
    (tmp_path / "check.py").write_text(CHECK)
    return made


def test_a_mutant_is_written_while_it_is_judged_and_the_first_test_that_fails_is_named(copy: Copy) -> None:
    words = [sys.executable, "-S", "check.py"]
    (mutant,) = mutants("a.py", (copy.folder / "a.py").read_bytes())
    with copy.changed(mutant):
        failed, cost = copy.run(words)
    assert failed == "test_a.py::test_limit"
    assert cost > 0
    assert copy.run(words)[0] == ""
