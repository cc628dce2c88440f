"""Costs are recorded, compared and used to choose what a commit runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.suite import costs
from tests.suite.costs import BESIDE, BUDGET, CHEAP, DEAR, TURNS, Row, dearer, scale, turn_of_commit, with_costs
from tests.suite.meter import Meter

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let costs be recorded in another file."""
    monkeypatch.setattr(costs, "FILE", tmp_path / "costs.txt")
    costs.rows.cache_clear()
    yield tmp_path / "costs.txt"
    costs.rows.cache_clear()


def test_every_test_in_the_file_of_costs_exists() -> None:
    texts = dict[str, str]()
    for name in costs.recorded():
        file, _, test = name.removeprefix("campaign ").partition("::")
        function = test.partition("[")[0].rpartition("::")[2]
        texts.setdefault(file, (TESTS.parent / file).read_text() if (TESTS.parent / file).is_file() else "")
        assert function in ("", "runTest") or f"def {function}(" in texts[file], (
            f"{name} is gone: make test ARGS='--all --record'"
        )


def test_what_a_commit_runs_keeps_its_budget() -> None:
    assert costs.expected() <= BUDGET, "make room, whoever's tests they are"


def test_any_four_commits_run_each_dear_test_and_each_commit_all_the_others(file: Path) -> None:
    spent = {
        f"t.py::{n}": cost for n, cost in enumerate((5.0, DEAR + 0.01, DEAR, 2.0, 1.0, 0.4, 0.06, 0.01, 3.0, 0.05))
    }
    costs.write(with_costs({}, spent, 12.34))
    assert costs.rows()[BESIDE] == Row(12.3)
    assert costs.rows()[CHEAP] == Row(0.0)
    assert "t.py::7" not in costs.rows()
    for test, cost in spent.items():
        turns = [turn for turn in range(1, TURNS + 1) if costs.is_due(test, turn)]
        assert len(turns) == (1 if cost > DEAR else TURNS)
    assert costs.is_due("t.py::new", 1)
    assert costs.expected() == pytest.approx(12.3 + 5.0 + DEAR + 0.06 + 0.05)


def test_a_dear_test_keeps_its_turn_and_one_that_became_cheap_runs_each_time() -> None:
    before = {"t.py::a": Row(5.0, 3), "t.py::b": Row(1.0, 2), "t.py::c": Row(1.0, 1)}
    after = with_costs(before, {"t.py::a": 0.5, "t.py::b": DEAR, "t.py::new": 9.0}, 0)
    expected = {"t.py::a": 3, "t.py::b": 0, "t.py::new": 1}
    assert {name: after[name].turn for name in ("t.py::a", "t.py::b", "t.py::new")} == expected
    assert "t.py::c" not in after


def test_tests_that_share_something_dear_take_turns_together(file: Path) -> None:
    spent = {"t.py": 2.0, "t.py::a": 0.1, "t.py::b": 0.9, "u.py": 0.1, "u.py::a": 0.1, "u.py::b": 2.9}
    costs.write(with_costs({}, spent, 0))
    turns = {name: [turn for turn in range(1, TURNS + 1) if costs.is_due(name, turn)] for name in spent}
    assert turns["t.py::a"] == turns["t.py::b"] == turns["t.py"] != turns["u.py::b"]
    assert (len(turns["t.py"]), len(turns["u.py::a"]), len(turns["u.py::b"])) == (1, TURNS, 1)


def test_a_slower_machine_is_told_by_the_tests_that_are_known() -> None:
    known = {str(n): 0.2 for n in range(60)} | {"cheap": 0.05}
    spent = {str(n): 0.5 for n in range(60)} | {"cheap": 9.0, "new": 9.0}
    assert scale(spent, known) == pytest.approx(2.5)
    assert scale({"1": 0.5}, known) == 1.0


def test_a_test_whose_cost_doubled_and_a_dear_one_that_is_new_are_named() -> None:
    known = {"a": 0.5, "b": 0.5, "c": 0.06}
    spent = {"a": 1.01, "b": 0.99, "c": 0.06 + DEAR / 2, "d": 2 * DEAR + 0.01, "e": 2 * DEAR}
    assert [line.rpartition(" ")[2] for line in dearer(spent, known)] == ["a", "d"]


def test_commits_take_turns_and_a_folder_without_history_goes_by_the_day(tmp_path: Path) -> None:
    assert turn_of_commit(tmp_path) in range(1, TURNS + 1)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run((*git, "init", "-q"), cwd=tmp_path, check=True)
    turns = list[int]()
    for _ in range(4):
        subprocess.run((*git, "commit", "-q", "--allow-empty", "-m", "x"), cwd=tmp_path, check=True)
        turns.append(turn_of_commit(tmp_path))
    assert sorted(turns) == [1, 2, 3, 4]
    commit = costs.clean_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "new").touch()
    assert costs.clean_commit(tmp_path) == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_what_an_exchange_spends_is_counted_while_it_runs_and_once_it_has_ended() -> None:
    meter = Meter()
    busy = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
    try:
        meter.watch(busy.pid)
        while meter.exchanges() < 0.05:
            pass
    finally:
        meter.unwatch(busy.pid)
        busy.kill()
        busy.wait()
    spent = meter.exchanges()
    assert spent >= 0.05
    meter.watch(os.getpid())
    assert meter.exchanges() > spent
