"""A policy learns from a file of recorded contracts as it does from a generated market."""

import json
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from commands.backtest.run_options import BacktestOptions
from commands.learn.policy.train import planned_for
from tests.kit.backtest.playing import generated, lines_of, written
from tests.kit.bot.folder import typed
from tradebot.errors import OperatorError
from tradebot.lab.backtest.market import open_market_in_memory

START, SESSIONS, BEFORE = date(2026, 12, 7), 3, 24
TRAINING = {"mode": "training"}
CONFIGURATION = """
venue: ibkr
universe: [MES]
sectors: {MES: indexes}
strategies: {flow: null, futures: null, policy: {mode: training, allotment_fraction: 1, exits: []}}
sandbox: {seed: 5}
"""


@cache
def rows(before: int) -> tuple[str, ...]:
    market = open_market_in_memory(generated(START, SESSIONS, "MES")).market()
    ahead = lines_of(market, ["MESZ6"], range(-before, SESSIONS))
    return (*ahead, *lines_of(market, ["MESH7"], range(-before, SESSIONS)))


def test_policy_is_planned_on_a_file_with_the_root_that_it_learns(tmp_path: Path) -> None:
    path = written(tmp_path / "mes.csv", rows(0))
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
        written(folder / f"{name}.csv", [row for row in rows(0) if contract in row])
    wish = BacktestOptions(state_dir=str(tmp_path / "bot"), profile="policy", bars=str(folder), bar_stamp="start")
    made = planned_for(wish, "MES", "policy", TRAINING)
    assert made.plan.settings.universe == ["MES"]
    assert [len(made.market.source.bars(symbol, 0)) for symbol in ("MESZ6", "MESH7")] == [23 * 60] * 2


def test_rows_of_a_file_that_cannot_be_used_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "mes.csv", [*rows(0), "2026-12-07T00:00:00Z,MESZ6,1,0,2,1,5"])
    planned_for(
        BacktestOptions(state_dir=str(tmp_path / "bot"), profile="futures", bars=str(path), bar_stamp="start"),
        None,
        "policy",
        TRAINING,
    )
    assert "rows left out: 1" in capsys.readouterr().err


def test_file_without_the_root_is_refused_before_anything_is_learned(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(CONFIGURATION.replace("MES", "MNQ"))
    path = written(tmp_path / "mes.csv", rows(0))
    wish = BacktestOptions(
        state_dir=str(tmp_path), config=str(tmp_path / "own.yaml"), bars=str(path), bar_stamp="start"
    )
    with pytest.raises(OperatorError, match="no usable bar for this market"):
        planned_for(wish, None, "policy", TRAINING)


@pytest.mark.campaign
def test_policy_learns_the_same_from_a_market_and_from_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(CONFIGURATION)
    path = written(tmp_path / "mes.csv", rows(BEFORE))
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
