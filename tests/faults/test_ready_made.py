"""Under each ready-made script of Kraken Futures' own failures, no order is doubled and no fill or fee is lost."""

import pytest

from papervenue.faults import fault_table
from tests.faults.programs import played
from tests.kit.venues import KRAKEN

SCRIPTS = [name for name in fault_table.names() if name.startswith("kraken-")]


@pytest.mark.campaign
def test_every_script_of_kraken_futures_is_met_and_breaks_no_promise() -> None:
    found = played("ready_made", venue=KRAKEN)
    assert found["problems"] == []
    assert {name for name, days in found["met"].items() if sum(days.values())} == set(SCRIPTS)


@pytest.mark.campaign(share=20)
@pytest.mark.parametrize(
    ("control", "script"),
    [("retry-on-post", "kraken-errors-inside-success"), ("fate-not-asked", "kraken-errors-inside-success")],
)
def test_a_bot_that_is_broken_on_purpose_is_seen_under_a_script(control: str, script: str) -> None:
    assert played("ready_made", "--control", control, script, venue=KRAKEN)["problems"] != []
