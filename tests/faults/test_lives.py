"""No life of a position breaks a promise, whatever befalls it, and bots that break one are seen."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.life_controls import CONTROLS
from tests.tiers import drawn, in_campaigns, sized

ROOT = Path(__file__).resolve().parents[2]
LIVES = sized(4, 100)
SEEDS = [0, *drawn("lives", [], range(1, 100), 1)]


@pytest.mark.sampled
@pytest.mark.parametrize("seed", SEEDS)
def test_lives_keep_every_promise_and_each_broken_bot_is_caught(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    controls = () if seed else sized(("stops-move-away",), tuple(CONTROLS))
    flags = [flag for control in controls for flag in ("--control", control)]
    command = [sys.executable, "-m", "tests.faults.lives", "--examples", str(LIVES), "--seed", str(seed), *flags]
    done = subprocess.run(
        command if in_campaigns() else [*command, "--quick"],
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
