"""Thousands of kills between any two effects on the stores; each time the books are whole, and nothing done is gone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import stores
from tests.faults.failpoints import OFF_THE_ROAD, every_point
from tests.faults.programs import played
from tests.kit.ledgers import without_the_seal
from tests.suite.tiers import drawn
from tradebot.adapters.ledger.account_history import FillTotals

SEEDS = drawn("stores", [1], range(1, 1_000))
FOLDERS = 36
"""So many are over five thousand kills."""
STORES = (
    "ledger_file.",
    "integrity.",
    "journal.",
    "halt_switch.",
    "state_folder.",
    "json_lines.",
    "cache_database.create",
)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_stores_lose_nothing_done_when_killed_between_any_two_effects(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    found = played("stores", "--seed", str(seed), "--folders", str(FOLDERS))
    assert found["problems"] == []
    record_property("kills at failpoints", found["hits"])
    assert found["hits"] >= 105 * FOLDERS
    missed = {point for point in every_point() if point.startswith(STORES)} - set(found["hit"])
    # A cache is made once in a folder, so few folders see anybody killed who makes one.
    assert {point.rpartition(".")[0] for point in missed} <= {*OFF_THE_ROAD, "cache_database.create"}


@pytest.mark.campaign
def test_judge_catches_a_checkpoint_believed_without_its_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A fill comes late in each round, so whoever believes the checkpoint misses it.
    monkeypatch.setattr(FillTotals, "_current_checkpoint", without_the_seal)
    found = stores.campaign(tmp_path, 1, range(1))
    assert any("the totals are not what the fills add up to" in problem for problem in found.problems)
