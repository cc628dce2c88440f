"""No life of a position breaks a promise, whatever befalls it, and bots that break one are seen."""

from collections.abc import Callable

import pytest

from tests.faults.life_controls import CONTROLS
from tests.faults.programs import played
from tests.tiers import drawn, in_campaigns, sized

LIVES = sized(2, 60)
SHOWN_BY = {"first-rule-counts": 101}
"""What lives are drawn from that soon show a bot which is broken on purpose, where others take long."""
SEEDS = [0, *drawn("lives", [], range(1, 100), 1)]


@pytest.mark.sampled
@pytest.mark.parametrize("seed", SEEDS)
def test_lives_keep_every_promise_and_each_broken_bot_is_caught(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    controls = () if seed else sized(("stops-move-away",), tuple(CONTROLS))
    shown = (f"{name}={SHOWN_BY.get(name, seed)}" for name in controls)
    flags = [flag for control in shown for flag in ("--control", control)]
    quick = () if in_campaigns() else ("--quick",)
    told = played("lives", "--examples", str(LIVES), "--seed", str(seed), *quick, *flags)
    assert {name for name, seen in told["caught"].items() if seen} == set(controls)
    assert min(told[what] for what in ("judged stops", "judged money", "fill of open by limit")) > 0
    assert told["approved entries"] > 0 or not in_campaigns()
    record_property("lives of positions", told["lives"])
    record_property("passes in lives of positions", told["passes"])
