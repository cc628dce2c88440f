"""No life of a position breaks a promise, whatever befalls it, and bots that break one are seen."""

from collections.abc import Callable

import pytest

from tests.faults.controls import LIFE_CONTROLS
from tests.faults.programs import played
from tests.suite.tiers import drawn

LIVES = 60
SHOWN_BY = {"first-rule-counts": 101, "makes-room-while-demoted": 4, "opens-while-demoted": 4}
"""What lives are drawn from that soon show a bot which is broken on purpose, where others take long."""
SEEDS = [0, *drawn("lives", [], range(1, 10_000))]


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_lives_keep_every_promise_and_each_broken_bot_is_caught(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    controls = () if seed else tuple(LIFE_CONTROLS)
    shown = (f"{name}={SHOWN_BY.get(name, seed)}" for name in controls)
    flags = [flag for control in shown for flag in ("--control", control)]
    told = played("lives", "--examples", str(LIVES), "--seed", str(seed), *flags)
    assert {name for name, seen in told["caught"].items() if seen} == set(controls)
    assert min(told[what] for what in ("judged stops", "judged money", "fill of open by limit")) > 0
    assert told["approved entries"] > 0
    record_property("lives of positions", told["lives"])
    record_property("passes in lives of positions", told["passes"])
