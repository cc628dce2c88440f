"""No life of a position breaks a promise, whatever befalls it, and bots that break one are seen."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests.faults.life_controls import CONTROLS

ROOT = Path(__file__).resolve().parents[2]
SOAK = hypothesis.settings().max_examples > 1000
LIVES = 200 if SOAK else 4
SEEDS = range(100 if SOAK else 1)
QUICKLY_SEEN = ("stops-move-away", "exits-for-more")
"""Broken bots that are seen in their first lives; the others take the time of a soak."""

pytestmark = pytest.mark.timeout(0 if SOAK else 600)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_life_breaks_a_promise_and_each_broken_bot_is_seen(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    controls = () if seed else tuple(CONTROLS) if SOAK else QUICKLY_SEEN
    flags = [flag for control in controls for flag in ("--control", control)]
    command = [sys.executable, "-m", "tests.faults.lives", "--examples", str(LIVES), "--seed", str(seed), *flags]
    done = subprocess.run(
        [*command, *(() if SOAK else ("--quick",))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=36_000,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert {name for name, seen in told["caught"].items() if seen} == set(controls)
    assert min(told[what] for what in ("judged stops", "judged money", "fill of open by limit")) > 0
    record_property("lives of positions", told["lives"])
    record_property("passes in lives of positions", told["passes"])
