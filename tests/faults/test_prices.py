"""A new price for an exit under every trouble that its request can meet; judged by the exchange's own log."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.prices import TROUBLES, TWINS

ROOT = Path(__file__).resolve().parents[2]
CONTROL = "cancel-and-send-anew"

pytestmark = pytest.mark.timeout(300)


def test_an_exit_that_is_priced_anew_is_never_doubled_lost_or_missing_and_a_bare_position_is_seen() -> None:
    names = [*TROUBLES, TWINS, CONTROL]
    command = [
        sys.executable,
        "-m",
        "tests.faults.play",
        "prices",
        *(word for name in names for word in ("--only", name)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    found = json.loads(done.stdout)
    broken = [problem for problem in found["problems"] if not problem.startswith(CONTROL)]
    assert (done.returncode, broken) == (1, [])
    assert any("had no exit" in problem for problem in found["problems"])
    # Each has opened, left, and asked for another price.
    assert {name for name, count in found["hit"].items() if count < 3} == set()
