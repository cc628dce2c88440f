"""A walk that is killed again and again ends as one that never was, and leaves no half of a model."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.policies import Study, study
from tests.commands.shared.test_schema import said
from tests.suite import tiers
from tradebot.adapters.models.files import load_draft, read_model
from tradebot.adapters.models.model_folder import FILES, LARGEST, SUMS
from tradebot.adapters.models.signing import make_key
from tradebot.adapters.state.evidence import SEAL
from tradebot.lab.learning.walking.walk import Walk

KILLS = 4
CONFIGURATION = """
venue: ibkr
universe: [MES]
sectors: {MES: indexes}
strategies: {flow: null, futures: null, policy: {mode: training, allotment_fraction: 1, exits: []}}
promotion: {splits: {train_months: 1, test_months: 1}}
"""
FINDINGS = 10


def started(folder: Path, key: Path) -> "subprocess.Popen[bytes]":
    (folder / "walk.yaml").write_text(CONFIGURATION)
    line = f"learn policy walk --agent logistic --without weekday_sine --key {key} --from 2026-11-23 --to 2026-12-02"
    words = [*line.split(), "--config", "walk.yaml", "--state-dir", "bot", "--workers", "2", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "tradebot", *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ, start_new_session=True,
    )  # fmt: skip


def whole(folder: Path, public: str) -> int:
    """Check that all that has a name is whole, and return how many models that are."""
    for draft in folder.glob("policies/*/drafts/[0-9]*"):
        assert {path.name for path in draft.iterdir()} == {*LARGEST, SUMS}
        load_draft(draft)
    models = [path for path in folder.glob("policies/*/models/*") if not path.name.startswith(".")]
    for model in models:
        assert {path.name for path in model.iterdir()} == FILES
        read_model(model.parent, model.name, public)
    for unit in folder.glob("policies/*/units/[0-9]*.json"):
        json.loads(unit.read_text())
    return len(models)


@pytest.mark.campaign
def test_walk_that_is_killed_again_and_again_ends_as_one_that_never_was(tmp_path: Path) -> None:
    key, chance = tmp_path / "key", random.Random(tiers.seed() or 0)  # noqa: S311 - any moment will do
    public = make_key(key)
    (killed, spared) = (tmp_path / name for name in ("killed", "spared"))
    for place in (killed, spared):
        place.mkdir()
    for _ in range(KILLS):
        program = started(killed, key)
        time.sleep(chance.uniform(1.0, 7.0))
        os.killpg(program.pid, 9)
        program.communicate()
        whole(killed, public)
    results = []
    for place in (killed, spared):
        out, _ = (program := started(place, key)).communicate(timeout=300)
        assert program.returncode == FINDINGS, out
        assert whole(place, public) >= 2
        (file,) = place.glob("policies/*/results.json")
        results.append(json.loads(file.read_text()))
        assert json.loads(out)["data"]["file"] == str(file)
    # What a model is called depends on when it was made, and so does the seal over it; nothing else does.
    for one in results:
        assert one.pop(SEAL)
        for split in one["splits"]:
            split["model"] = sorted(split["model"])
    assert results[0] == results[1]
    # A configuration is one trial, however often it was begun.
    assert results[0]["trials"] == 1


def walked(place: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> tuple[Any, list[Walk]]:
    """Return the document of a walk, and what would have been played, which takes long."""
    asked: list[Walk] = []

    def noted(of: Walk, *rest: object) -> object:
        asked.append(of)
        return study(1, Study(configurations=2))

    monkeypatch.setattr("commands.learn.policy.train.run_tasks", noted)
    if not (key := place / "key").exists():
        make_key(key)
    line = f"learn policy walk --agent logistic --profile futures --symbol MES --key {key} {words}"
    return json.loads(said(f"{line} --state-dir {place / 'bot'} --results {place / 'kept'}")), asked


def test_groups_of_sessions_are_judged_along_eleven_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, (of,) = walked(tmp_path, monkeypatch, "--by cpcv --from 2026-01-05 --to 2026-04-30")
    data = found["data"]
    assert (found["exit_code"], data["paths"], len(data["splits"]), len(of.splits)) == (FINDINGS, 11, 66, 66)
    first = data["splits"][0]
    # The first two of twelve groups are judged, and a session after them is left out.
    assert [one["first"] for one in first["judged"]] == [str(of.market[0]), str(of.market[7])]
    (trained,) = first["trained"]
    left_out = [day for day in of.market if first["judged"][-1]["last"] < str(day) < trained["first"]]
    assert (len(left_out), trained["last"]) == (1, str(of.market[-1]))


def test_market_with_too_few_sessions_for_its_groups_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, asked = walked(tmp_path, monkeypatch, "--by cpcv --from 2026-01-05 --to 2026-01-09")
    assert "5 sessions in 12 groups leave none for training" in found["error"]["message"]
    assert not asked
