"""Losses of power at any call on the disk: nothing that was done is gone, and what is broken on purpose is seen."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import power
from tests.faults.disk import Disk
from tests.faults.programs import played
from tests.kit.fakes.calls import FILE, Call
from tests.kit.ledgers import without_the_seal
from tests.kit.venues import ELSEWHERE, KRAKEN, CampaignVenue
from tests.suite.tiers import drawn, in_turn, sized
from tradebot.adapters.ledger.account_history import FillTotals

SEEDS = drawn("power", [1], range(1, 1_000))
BOTS, FOLDERS = 3, sized(1, 26)
"""One bot loses its power some fifty times in a day, one folder about twelve times."""
SEEN_IN_DAYS = ("journal-not-synced", "synchronous-off")
SEEN_IN_FOLDERS = ("synchronous-off", *sized((), ("journal-not-synced", "folder-not-synced")))


def controlled(*names: str) -> list[str]:
    """Return the words that play so many broken ones too."""
    return [word for name in names for word in ("--control", name)]


def held(problems: list[str], *controls: str) -> list[str]:
    """Return what was broken though nobody had broken it on purpose; each control must have been seen."""
    culprit = {problem: problem.partition(":")[0] for problem in problems}
    assert set(culprit.values()) >= set(controls), "a sync that is left out was not seen"
    return [problem for problem in problems if culprit[problem] not in controls]


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_day_ends_the_same_after_a_power_loss_anywhere(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    found = played("power", "days", "--seed", str(seed), "--count", str(BOTS), *controlled(*SEEN_IN_DAYS))
    assert held(found["problems"], *SEEN_IN_DAYS) == []
    record_property("losses of power", found["losses"])
    assert found["losses"] > 40 * BOTS
    assert found["unsafe"] > found["losses"], "hardly anything was at stake"


@pytest.mark.campaign
@pytest.mark.parametrize("venue", in_turn([ELSEWHERE, KRAKEN], 2), ids=lambda venue: venue.name)
@pytest.mark.parametrize("seed", drawn("power elsewhere", [], range(1, 1_000)))
def test_day_at_a_venue_unlike_alpaca_ends_the_same_after_a_power_loss_anywhere(
    seed: int, venue: CampaignVenue, record_property: Callable[[str, object], None]
) -> None:
    found = played("power", "days", "--seed", str(seed), "--count", str(BOTS), venue=venue)
    assert found["problems"] == []
    record_property("losses of power", found["losses"])
    assert found["losses"] > 30 * BOTS


@pytest.mark.sampled
@pytest.mark.parametrize("seed", SEEDS)
def test_books_and_latches_are_whole_after_each_power_loss(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    found = played("power", "folders", "--seed", str(seed), "--count", str(FOLDERS), *controlled(*SEEN_IN_FOLDERS))
    assert held(found["problems"], *SEEN_IN_FOLDERS) == []
    record_property("losses of power", found["losses"])
    assert found["losses"] > 10 * FOLDERS
    assert found["unsafe"] > found["losses"], "hardly anything was at stake"


def test_judge_catches_an_unsealed_checkpoint_after_a_power_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FillTotals, "_current_checkpoint", without_the_seal)
    _, _, problems = power.folders(tmp_path, 1, ["folder1"])
    assert any("the totals are not what the fills add up to" in problem for problem in problems)


class Model:
    """A folder on a model of the disk, changed in both at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.disk = Disk(root)

    def add(self, name: str, path: str, handle: int = 0, offset: int = 0, data: bytes = b"", target: str = "") -> None:
        where = str(self.root / path)
        self.disk.add(Call(FILE, name, where, handle, offset, data, target and str(self.root / target)))

    def write(self, path: str, data: bytes, *, synced: bool = False, handle: int = 1) -> None:
        with (self.root / path).open("wb") as file:
            file.write(data)
        self.add("open", path, handle, 1)
        self.add("write", path, handle, 0, data)
        if synced:
            self.add("sync", path, handle)


def ends(tmp_path: Path, name: str, *, synced: bool, named: bool) -> Counter[str]:
    """Return how a new file ended, in how many of sixty losses."""
    found = Counter[str]()
    for seed in range(60):
        root = tmp_path / hashlib.sha256(f"{name}{seed}".encode()).hexdigest()[:8]
        root.mkdir()
        model = Model(root)
        model.write("a", b"12345678" * 200, synced=synced)
        if named:
            model.add("sync_names", "")
        assert list(model.disk.unlike()) == []
        model.disk.lose(random.Random(seed))
        content = (root / "a").read_bytes() if (root / "a").exists() else None
        ends_as = {None: "gone", b"": "empty", b"12345678" * 200: "whole"}
        found[ends_as.get(content, "in pieces")] += 1
    return found


def test_disk_model_keeps_of_a_file_only_what_was_synced(tmp_path: Path) -> None:
    assert set(ends(tmp_path, "both", synced=True, named=True)) == {"whole"}
    assert set(ends(tmp_path, "file", synced=True, named=False)) == {"whole", "gone"}
    assert set(ends(tmp_path, "name", synced=False, named=True)) == {"whole", "empty", "in pieces"}
    assert set(ends(tmp_path, "none", synced=False, named=False)) == {"whole", "gone", "empty", "in pieces"}


def test_disk_model_keeps_a_rename_wholly_or_not_at_all(tmp_path: Path) -> None:
    found = set()
    for seed in range(60):
        root = tmp_path / str(seed)
        root.mkdir()
        (root / "old").write_bytes(b"old")
        model = Model(root)
        model.write("new", b"new", synced=True)
        model.add("rename", "new", target="old")
        model.disk.lose(random.Random(seed))
        found.add((root / "old").read_bytes())
    assert found == {b"old", b"new"}


def test_disk_model_names_files_that_differ_from_it(tmp_path: Path) -> None:
    model = Model(tmp_path)
    (tmp_path / "unseen").write_bytes(b"x")
    assert list(model.disk.unlike()) == [str(tmp_path / "unseen")]
