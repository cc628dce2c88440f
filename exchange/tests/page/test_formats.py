"""How the page writes moments and rules."""

import pytest

from exchange.tests.kit.app import World
from papervenue.page.formats import exact_moment, worded


@pytest.mark.parametrize(
    ("us", "shown"), [(0, "09:30:00"), (250_000, "09:30:00.25"), (1, "09:30:00.000001"), (1_000_000, "09:30:01")]
)
def test_a_moment_is_exact_only_if_it_is_no_whole_second(world: World, us: int, shown: str) -> None:
    world.tick(to="open")
    assert exact_moment(world.engine, world.engine.now_us + us) == shown


def test_a_rule_is_written_without_braces() -> None:
    assert worded({"request": ["submit", "cancel"], "at_most": 5}) == "request submit or cancel, at most 5"
