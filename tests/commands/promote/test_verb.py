"""`tradebot promote`: what is shown, what is written, and what is refused with the next command."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.accepting import accept
from tests.bot import Bot, made
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.errors import ExitCode
from tradebot.model.promotion import Promotion, Rung
from tradebot.views.performance.of_strategy import OwnResults
from tradebot.views.selection.promotion import Must

DAYS = [date(2026, 1, 5) + timedelta(days=number) for number in range(130)]
RETURNS = dict(zip(DAYS, (0.004 * (np.random.default_rng(1).normal(size=130) + 0.4)).tolist(), strict=True))
GOOD = OwnResults(RETURNS, tuple(sum([*RETURNS.values()][place : place + 3]) for place in range(0, 129, 3)), 0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made(tmp_path_factory.mktemp("cli") / "state") as path:
        yield path


@pytest.fixture
def bot(folder: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    return Bot(folder, capsys)


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the books of every folder show the same good results."""
    monkeypatch.setattr("commands.promote.gather.own_results", lambda *_: GOOD)


def conditions(found: Any) -> dict[str, Any]:
    return {row["name"]: row for row in found["conditions"]}


def test_strategy_of_a_new_bot_is_a_candidate_that_lacks_evidence(bot: Bot) -> None:
    found = bot.says("promote", "flow", "--json")
    data = found.data
    assert (found.code, data["next"], data["strategies"][0]["rung"]) == (ExitCode.FINDINGS, "shadow", "candidate")
    rows = conditions(data)
    assert list(rows) == ["traded", "sessions", "trades", "costs_times", "drawdown_worse"]
    assert not any(row["met"] for row in rows.values())
    assert (rows["sessions"]["number"], rows["sessions"]["must"], rows["sessions"]["bound"]) == (0, Must.AT_LEAST, 60)
    assert rows["drawdown_worse"]["missing"] == "fewer than 20 sessions with a known return"
    shown = bot.shown("promote", "flow")
    assert "To reach shadow: 0 of 5 conditions met" in shown
    assert "60 sessions more, about 20" in shown


def test_promotion_without_evidence_on_the_way_is_refused_and_names_what_is_missing(bot: Bot) -> None:
    refused = bot.says("promote", "flow", "--to", "shadow")
    assert refused.code == ExitCode.REFUSED
    assert "flow hasn't shown enough for shadow: traded, sessions, trades, costs_times, drawdown_worse" in refused.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("promote", "nope"), "this bot has no strategy nope in use; it has flow"),
        (("promote", "flaw"), "did you mean flow?"),
        (("promote", "flow", "--to", "paper"), "flow is candidate, and the next rung is shadow"),
        (("promote", "flow", "--to", "live"), "in mode sandbox, a strategy climbs up to paper"),
        (("promote", "--to", "shadow"), "name the strategy that this is about"),
        (("promote", "flow", "--without-evidence"), "--without-evidence needs a rung"),
        (("promote", "flow", "--to", "live", "--without-evidence"), "only real money needs a promotion"),
        (("promote", "flow", "--from", "/nowhere"), "/nowhere"),
    ],
)
def test_wrong_question_is_answered_with_the_next_command(bot: Bot, words: tuple[str, ...], message: str) -> None:
    said = bot.says(*words)
    assert said.code == ExitCode.USAGE
    assert message in said.err
    assert "next: " in said.err


@pytest.mark.usefixtures("shows")
def test_strategy_climbs_rung_by_rung_and_the_ledger_keeps_what_that_was_based_on(bot: Bot) -> None:
    assert bot.json("promote", "flow")["hint"] == "tradebot promote flow --to shadow"
    assert bot.shown("promote", "flow", "--to", "shadow").startswith("flow is now shadow.")
    found = bot.json("promote", "flow")
    assert (found["next"], found["sources"][0]["sessions"]) == ("paper", 130)
    assert bot.says("promote", "flow", "--to", "paper").code == ExitCode.DONE
    found = bot.json("promote", "flow")
    assert (found["next"], found["hint"]) == (
        None,
        f"in the folder of the live bot: tradebot promote flow --from {bot.folder}",
    )
    shadow, paper = written(bot.folder)
    assert [shadow.rung, paper.rung, paper.numbers["sessions"]] == [Rung.SHADOW, Rung.PAPER, 130]
    assert (shadow.digest, shadow.sentence) == (found["strategies"][0]["digest"], "")


@pytest.mark.usefixtures("shows")
def test_evidence_of_another_folder_counts_only_with_the_same_hash(bot: Bot, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bot.folder, other, ignore=shutil.ignore_patterns("exchange"))
    sources = bot.json("promote", "flow", "--from", str(other))["sources"]
    assert [(row["folder"], row["sessions"]) for row in sources] == [(str(bot.folder), 130), (str(other), 130)]
    (other / "tradebot.yaml").write_text(
        (other / "tradebot.yaml").read_text().replace("min_cluster: 1", "min_cluster: 2")
    )
    said = bot.says("promote", "flow", "--from", str(other))
    assert said.code == ExitCode.USAGE
    assert f"What {other} shows of flow doesn't count: it has its hash" in said.err
    assert "tradebot config diff" in said.err


def test_promotion_lapses_with_other_values_and_a_person_may_put_a_strategy_down(bot: Bot) -> None:
    assert bot.shown("promote", "flow", "--to", "candidate").startswith("flow is now candidate.")
    assert bot.says("promote", "flow", "--to", "candidate").code == ExitCode.USAGE
    file = bot.folder / "tradebot.yaml"
    file.write_text(file.read_text().replace("min_cluster: 1", "min_cluster: 2"))
    accept(bot.folder)
    (row,) = bot.json("promote")["strategies"]
    assert (row["rung"], row["lapsed"]) == ("candidate", True)
    assert "its promotion was for other code or values" in bot.shown("promote")


def written(folder: Path) -> Sequence[Promotion]:
    with closing(SqliteLedger.open(folder, read_only=True)) as ledger:
        return ledger.promotions.every()
