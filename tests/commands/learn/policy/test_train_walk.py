"""A walk that is killed again and again ends as one that never was, and leaves no half of a model."""

import json
import os
import random
import subprocess
import sys
import time
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.policies import Study, study
from commands.backtest.run_options import BacktestOptions
from commands.learn.policy.judge import require_embargo
from commands.learn.policy.train import planned_for
from tests.commands.shared.test_schema import said
from tests.kit.backtest.playing import generated, lines_of, written
from tests.kit.bot.folder import Said, typed
from tests.kit.bot.learning import LearningBot
from tests.suite import tiers
from tradebot.adapters.models.files import load_draft, read_model
from tradebot.adapters.models.model_folder import FILES, LARGEST, SUMS
from tradebot.adapters.models.signing import make_key
from tradebot.adapters.state.evidence import SEAL
from tradebot.errors import ExitCode, OperatorError
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.lab.learning.training.job import TrainingJob
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


def test_walk_that_passes_puts_a_model_of_the_newest_sessions_into_shadow_unless_another_is_being_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, trained = LearningBot(tmp_path, capsys, date(2026, 9, 30)), list[Any]()
    other = bot.write_model(date(2026, 4, 30))

    def train_model(of: Walk, label: str, job: TrainingJob, spans: Any, trials: int, models: Path) -> str:
        trained.append((job.seed, *((span.first, span.last) for span in spans), models))
        return other

    def walk(passes: bool) -> Said:
        results = study(1, Study(sharpe=6.0 if passes else None, configurations=2))
        monkeypatch.setattr("commands.learn.policy.train.run_tasks", lambda *_: results)
        words = f"--profile policy --key {bot.signed.key} --by cpcv --from 2026-03-30 --to 2026-04-30 --shadow --json"
        return bot.says(*f"learn policy walk --agent logistic {words} --results {tmp_path / 'kept'}".split())

    monkeypatch.setattr("commands.learn.policy.shadow.train_model", train_model)
    postponed = walk(passes=True)
    assert (postponed.code, trained, bot.in_force()["models"]) == (0, [], [bot.model])
    assert postponed.data["why"] == "the model of policy in shadow has 0 of the 20 sessions that paper requires."
    bot.put(mode="training", models=[])
    assert (walk(passes=False).code, trained, bot.in_force()["models"]) == (FINDINGS, [], [])
    passed = walk(passes=True)
    assert (passed.code, passed.data["in_shadow"]) == (0, other)
    newest = (date(2026, 3, 30), date(2026, 4, 30))
    assert (trained[0][1:], bot.in_force()["models"]) == ((newest, bot.signed.folder), [other])
    assert bot.in_force()["blocked"] == []
    # What trades keeps its models, and only the key whose signature the bot takes signs.
    bot.configure("shadow: true", "shadow: false")
    refused = [walk(passes=True)]
    bot.configure("shadow: false", "shadow: true")
    with monkeypatch.context() as patch:
        patch.setattr("commands.learn.policy.shadow.count_open_positions", lambda *_: 1)
        refused.append(walk(passes=True))
    bot.signed.key.unlink()
    make_key(bot.signed.key)
    refused.append(walk(passes=True))
    bot.signed.key.unlink()
    refused.append(walk(passes=True))
    assert [said.code for said in refused] == [ExitCode.USAGE] * 4
    errors = [json.loads(said.out)["error"] for said in refused]
    assert (
        errors[0]["message"] == "policy isn't in shadow, and a walk never replaces the models that a policy trades with"
    )
    assert "tradebot config set strategies.policy.shadow true" in errors[0]["hint"]
    assert "policy still has 1 position at the broker" in errors[1]["message"]
    assert "public_key doesn't match" in errors[2]["message"]
    assert "can't be read" in errors[3]["message"]
    assert (len(trained), bot.in_force()["models"]) == (1, [other])


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


def test_market_of_too_few_sessions_for_its_groups_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = walked(tmp_path, monkeypatch, "--by cpcv --from 2026-01-05 --to 2026-01-09")
    assert "5 sessions in 12 groups leave none for training" in found["error"]["message"]
    assert not asked


START, SESSIONS, AHEAD = date(2026, 12, 7), 3, 24
TRAINING = {"mode": "training"}
OF_ROOT = """
venue: ibkr
universe: [MES]
sectors: {MES: indexes}
strategies: {flow: null, futures: null, policy: {mode: training, allotment_fraction: 1, exits: []}}
sandbox: {seed: 5}
"""


@cache
def rows_of(before: int) -> tuple[str, ...]:
    market = open_market_in_memory(generated(START, SESSIONS, "MES")).market()
    ahead = lines_of(market, ["MESZ6"], range(-before, SESSIONS))
    return (*ahead, *lines_of(market, ["MESH7"], range(-before, SESSIONS)))


def test_policy_is_planned_on_a_file_with_the_root_that_it_learns(tmp_path: Path) -> None:
    path = written(tmp_path / "mes.csv", rows_of(0))
    wish = BacktestOptions(state_dir=str(tmp_path / "bot"), profile="futures", bars=str(path), bar_stamp="start")
    made = planned_for(wish, None, "policy", TRAINING)
    spec = made.plan.spec
    assert (spec.source, spec.path, spec.start, spec.sessions) == ("csv", str(path), START, SESSIONS)
    # Of the profile's roots, the file has this one.
    assert made.plan.settings.universe == ["MES"]
    assert len(made.market.source.bars("MESZ6", 0)) == 23 * 60
    with pytest.raises(OperatorError, match="contracts of MES, but the universe is GC"):
        planned_for(wish, "GC", "policy", TRAINING)


def test_folder_with_a_file_of_each_contract_is_learned_from_like_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "bars"
    folder.mkdir()
    for contract, name in (("MESZ6", "MES_2026_12"), ("MESH7", "MESH27")):
        written(folder / f"{name}.csv", [row for row in rows_of(0) if contract in row])
    wish = BacktestOptions(state_dir=str(tmp_path / "bot"), profile="policy", bars=str(folder), bar_stamp="start")
    made = planned_for(wish, "MES", "policy", TRAINING)
    assert made.plan.settings.universe == ["MES"]
    assert [len(made.market.source.bars(symbol, 0)) for symbol in ("MESZ6", "MESH7")] == [23 * 60] * 2


def test_rows_of_a_file_that_cannot_be_used_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "mes.csv", [*rows_of(0), "2026-12-07T00:00:00Z,MESZ6,1,0,2,1,5"])
    planned_for(
        BacktestOptions(state_dir=str(tmp_path / "bot"), profile="futures", bars=str(path), bar_stamp="start"),
        None,
        "policy",
        TRAINING,
    )
    assert "rows left out: 1" in capsys.readouterr().err


def test_file_without_the_root_is_refused_before_anything_is_learned(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OF_ROOT.replace("MES", "MNQ"))
    path = written(tmp_path / "mes.csv", rows_of(0))
    wish = BacktestOptions(
        state_dir=str(tmp_path), config=str(tmp_path / "own.yaml"), bars=str(path), bar_stamp="start"
    )
    with pytest.raises(OperatorError, match="no usable bar for this market"):
        planned_for(wish, None, "policy", TRAINING)


@pytest.mark.campaign
def test_policy_learns_the_same_from_a_market_and_from_its_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "own.yaml").write_text(OF_ROOT)
    path = written(here / "mes.csv", rows_of(AHEAD))
    learned = []
    for name, market in (("made", ("--sessions", "3")), ("read", ("--bars", str(path), "--bar-stamp", "start"))):
        words = ("learn", "policy", "train", "--agent", "logistic", "--config", "own.yaml", "--from", "2026-12-07")
        said = typed(capsys, *words, *market, "--drafts", name, "--state-dir", "bot", "--json")
        assert said.code == 0, said.err
        (draft,) = said.data["drafts"]
        scaling = json.loads((Path(draft["folder"]) / "scaling.json").read_text())
        learned.append((said.data["bars"], said.data["configuration"], scaling))
    (bars, configuration, made), (*same, read) = learned
    assert same == [bars, configuration]
    # Averages that begin earlier differ in their last digits.
    assert bars > 500
    for part in ("means", "deviations"):
        assert read[part] == pytest.approx(made[part], rel=1e-6, abs=1e-9)


BEFORE = [date(2026, 11, day) for day in (9, 10, 11, 12, 13)]
DAYS = [date(2026, 11, day) for day in (16, 17, 18, 19)]


@pytest.mark.parametrize(
    ("last", "embargo", "begin"),
    [
        (date(2026, 11, 12), 1, None),
        (date(2026, 11, 13), 1, date(2026, 11, 17)),
        (date(2026, 11, 17), 1, date(2026, 11, 19)),
        (date(2026, 11, 10), 3, None),
        (date(2026, 11, 11), 3, date(2026, 11, 17)),
        # Longer ago than the calendar of the market reaches.
        (date(2025, 1, 2), 20, None),
    ],
)
def test_sessions_of_the_embargo_are_not_judged(last: date, embargo: int, begin: date | None) -> None:
    if begin is None:
        require_embargo("m", last, DAYS, BEFORE, embargo)
        return
    with pytest.raises(OperatorError, match=rf"trained on sessions up to {last}") as refused:
        require_embargo("m", last, DAYS, BEFORE, embargo)
    assert refused.value.hint == f"judge it later: --from {begin}"
