"""The campaigns of kills and stops, and the controls that they must catch; judged by the exchange's own log."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.faults.failpoints import OFF_THE_ROAD, every_point

ROOT = Path(__file__).resolve().parents[2]
SOAK = hypothesis.settings().max_examples > 1000
SEEDS = range(1, 21) if SOAK else range(1, 2)
BOTS = 12 if SOAK else 3
"""One bot is about seventy kills; the stores alone see many times as many."""
ROAD = ("http.", "alpaca.", "ledger_file.commit", "journal.sync", "facts.commit", "lock.", "send_lock.")
"""Points that a day of trading passes."""
CAUGHT_BY_KILLS = (
    "retry-on-post",
    "gate-after-the-post",
    "unknown-is-rejected",
    "reconcile-that-flattens",
    "believe-the-orders",
    "believe-the-positions",
)
CAUGHT_BY_STOPS = ("halt-1-no-lock", "halt-2-cached-halt", "twin-3-random-ids")

pytestmark = pytest.mark.timeout(0 if SOAK else 600)


def played(campaign: str, seed: int, bots: int, controls: Sequence[str]) -> Any:
    """Play one campaign in a program of its own and return what it says; only what is broken on purpose is broken."""
    command = [sys.executable, "-m", "tests.faults.play", campaign, "--seed", str(seed), "--bots", str(bots)]
    broken = controls if seed == SEEDS[0] else ()
    command += [word for name in broken for word in ("--control", name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    whose = {problem: problem.partition(":")[0] for problem in found["problems"]}
    assert [problem for problem in whose if whose[problem] not in broken] == []
    assert set(whose.values()) == set(broken), "what is broken on purpose was not seen"
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bot_that_is_killed_at_any_point_ends_its_day_as_one_that_never_was(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    found = played("kills", seed, BOTS, CAUGHT_BY_KILLS)
    record_property("kills at failpoints", found["hits"])
    assert found["hits"] >= 60 * BOTS
    missed = {point for point in every_point() if point.startswith(ROAD)} - set(found["hit"])
    assert missed == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_entry_begins_after_a_halt_and_no_order_is_doubled_by_another_machine(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    found = played("stops", seed, 90 if SOAK else 12, CAUGHT_BY_STOPS)
    record_property("bots stopped in the middle of a pass", found["hits"])


def test_what_no_campaign_passes_is_named_and_exists() -> None:
    assert {f"{name}.before" for name in OFF_THE_ROAD} <= every_point()
