"""Which small mistakes are drawn, and how a run is judged on each."""

import ast
import sys
from pathlib import Path

import pytest

from tests.suite.mutants import Copy, Mutant, Result, drawn, mutants, summary

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


def test_a_seed_draws_the_same_mutants_again_as_many_in_each_room() -> None:
    texts = {f"tradebot/room{number}/a.py": CODE * 10 for number in range(20)} | {"tests/test_a.py": CODE * 10}
    first = drawn(texts, 7, 30)
    assert first == drawn(texts, 7, 30)
    assert first != drawn(texts, 8, 30)
    rooms = [one.path for one in first]
    assert {rooms.count(path) for path in rooms} == {2}
    assert len({*rooms}) == 15


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


def test_a_tier_is_counted_against_all_that_any_tier_catches() -> None:
    chosen = [Mutant("a.py", line, 0, 1, "<", "<=") for line in range(3)]
    results = [
        Result(chosen[0].name, "quick", "test_a", 2.0, 3),
        *(Result(one.name, "quick", "", 4.0, 3) for one in chosen[1:]),
        Result(chosen[1].name, "test", "test_b", 8.0, 9),
        Result(chosen[2].name, "test", "", 9.0, 9),
    ]
    assert list(summary(results, chosen, ["quick", "test"])) == [
        "quick: 1 of 3, median 4.0 CPU-s, all 10",
        "test: 1 of 2, median 9.0 CPU-s, all 17",
        "caught by quick 1 of 2 that quick, test catch, of 3 drawn",
        f"not caught: {chosen[2].name}",
    ]
