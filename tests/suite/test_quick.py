"""What `make quick` picks on a small made-up tree: what is near to a change first, within a cost."""

import pytest

from tests.suite.quick import DEAR, Graph, command, plan

TREE = {
    "tradebot/gates/book.py": "import abc",
    "tradebot/gates/entry.py": "from tradebot.gates import book",
    "tradebot/gates/kinds/__init__.py": "from importlib import import_module",
    "tradebot/gates/kinds/spread.py": "",
    "tradebot/cycle.py": "def run():\n    from tradebot.gates.entry import (  # later\n        allowed as may,\n    )",
    "tradebot/cellar.py": "",
    "commands/status/verb.py": 'LATER = "tradebot.cycle:run"',
    "commands/status/view.py": "",
    "commands/app.py": "import os, commands.status.verb",
    "tests/kit/core/scene.py": "import tradebot.cycle",
    "tests/gates/test_book.py": "def test_a(): ...\ndef test_b(): ...",
    "tests/gates/test_book_own.py": "",
    "tests/gates/test_books.py": "",
    "tests/gates/test_entry.py": "from tradebot.gates.entry import allowed",
    "tests/gates/test_all.py": "from tradebot.gates import kinds",
    "tests/desk/test_risk.py": "from tradebot.gates.book import gross\nfrom tests.desk import given",
    "tests/desk/test_days.py": "from tests.kit.core.scene import day",
    "tests/commands/status/test_status.py": "",
    "tests/commands/test_app.py": "from commands import app",
    "tests/desk/conftest.py": "",
    "tests/desk/test_fixed.py": "PAGE = 'page.html'",
}
OWN = {"tests/gates/test_book.py", "tests/gates/test_book_own.py"}
FREE = 1e6


def graph() -> Graph:
    return Graph({path: text.encode() for path, text in TREE.items()})


@pytest.mark.parametrize(
    ("changed", "degrees"),
    [
        # Named after it or importing it; then what its room has, and what tests its importers; and so on.
        (
            "tradebot/gates/book.py",
            [
                {*OWN, "tests/desk/test_risk.py"},
                {f"tests/gates/test_{name}.py" for name in ("books", "entry", "all")},
                set(),
                {"tests/commands/status/test_status.py", "tests/desk/test_days.py"},
            ],
        ),
        ("tests/kit/core/scene.py", [{"tests/desk/test_days.py"}]),
        # A module without tests of its own has those named after its folder.
        ("commands/status/view.py", [{"tests/commands/status/test_status.py"}]),
        # A package may import by their files' names what is in it.
        ("tradebot/gates/kinds/spread.py", [{"tests/gates/test_all.py"}]),
        ("tests/desk/conftest.py", [set(), {f"tests/desk/test_{name}.py" for name in ("risk", "days", "fixed")}]),
        # Who names a file that isn't Python counts as its importer.
        ("docs/page.html", [{"tests/desk/test_fixed.py"}]),
        ("tradebot/cellar.py", []),
    ],
)
def test_tests_are_found_by_name_and_by_how_many_imports_they_are_away(changed: str, degrees: list[set[str]]) -> None:
    found = graph().near([changed])
    assert found[: len(degrees)] == degrees
    assert not any(found[len(degrees) :])


RISK = "tests/desk/test_risk.py"
COSTS = {f"{RISK}::test_day": 6.0, f"{RISK}::test_hour": 0.2, "tests/gates/test_entry.py::test_x": DEAR + 0.01}
BOOK = "tradebot/gates/book.py"


@pytest.mark.parametrize(
    ("cap", "enough", "files", "without", "left_out"),
    [
        (FREE, FREE, 8, ["tests/gates/test_entry.py::test_x"], 0),
        (FREE, 7.4, 3, [], 5),
        (6.0, 6.0, 8, [f"{RISK}::test_day", "tests/gates/test_entry.py::test_x"], 0),
        (0.0, 0.0, 0, [], 8),
    ],
)
def test_what_is_dear_or_farther_away_is_left_out_first(
    cap: float, enough: float, files: int, without: list[str], left_out: int
) -> None:
    chosen = plan(graph(), [BOOK], COSTS, cap=cap, enough=enough)
    assert (len(chosen.files), [*chosen.without], chosen.left_out) == (files, without, left_out)
    assert {*chosen.files[:3]} == {*OWN, RISK} or not files
    words = command(chosen)
    assert words[-2 * len(without) or len(words) :] == [word for test in without for word in ("--deselect", test)]
    assert {*chosen.files} <= {*words}
