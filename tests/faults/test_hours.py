"""A day and a night at Kraken Futures, minute by minute under troubles, double no order and lose no fill or stop."""

from collections.abc import Callable

import pytest

from tests.faults.programs import played
from tests.kit.venues import KRAKEN
from tests.suite.tiers import drawn

SEEDS = drawn("hours", [7], range(1, 100_000))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_twenty_four_hours_keep_every_promise(seed: int, record_property: Callable[[str, object], None]) -> None:
    found = played("hours", "--seed", str(seed), venue=KRAKEN)
    assert found["problems"] == []
    assert found["runs"] > 24 * 60 <= 60 * found["events"]["fill"], found["events"]
    record_property("minutes of a day and a night", found["runs"])
    record_property("troubles that befell them", sum(found["befell"].values()))


@pytest.mark.campaign(share=40)
@pytest.mark.parametrize("control", ["retry-on-post", "gaps-untold", "fate-not-asked"])
def test_a_bot_that_is_broken_on_purpose_is_seen_within_an_hour(control: str) -> None:
    assert played("hours", "--seed", "7", "--minutes", "60", "--control", control, venue=KRAKEN)["problems"] != []
