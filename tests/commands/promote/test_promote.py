"""`tradebot promote`: what is shown, what is written, and what is refused with the next command."""

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.support.policies import Study, study
from commands.promote.run import other_models
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, Said
from tests.kit.bot.real_money import at_a_terminal, real_folder
from tests.kit.bot.state import accept, configure
from tests.kit.fakes.networks import Signed, constant
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.evidence import write_policy_results
from tradebot.adapters.text.codec import encode
from tradebot.app.loading import Options
from tradebot.app.settings import load
from tradebot.app.wiring import open_app
from tradebot.errors import ExitCode
from tradebot.lab.performance.of_strategy import OwnResults
from tradebot.lab.selection.conditions import Comparator
from tradebot.learning.model_card import CONFIGURATION
from tradebot.model.evidence import PolicyResults, Trials
from tradebot.model.promotion import MeanInterval, Promotion, Rung
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

DAYS = [date(2026, 1, 5) + timedelta(days=number) for number in range(130)]
RETURNS = dict(zip(DAYS, (0.004 * (np.random.default_rng(1).normal(size=130) + 0.4)).tolist(), strict=True))
MADE = tuple((DAYS[place], sum([*RETURNS.values()][place : place + 3])) for place in range(0, 129, 3))
GOOD = OwnResults(RETURNS, MADE, 0.01)


@pytest.fixture
def with_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the books of every folder show the same good results."""
    monkeypatch.setattr("commands.promote.run.own_results", lambda *_: GOOD)


def conditions(found: Any) -> dict[str, Any]:
    return {row["name"]: row for row in found["conditions"]}


def test_strategy_of_a_new_bot_is_a_candidate_that_lacks_evidence(bot: Bot) -> None:
    found = bot.says("promote", "flow", "--json")
    data = found.data
    assert (found.code, data["next"], data["strategies"][0]["rung"]) == (ExitCode.FINDINGS, "shadow", "candidate")
    rows = conditions(data)
    assert list(rows) == ["traded", "sessions", "trades", "costs_times", "drawdown_worse"]
    assert not any(row["met"] for row in rows.values())
    assert rows["sessions"]["number"] == 0
    assert rows["sessions"]["must"] == Comparator.AT_LEAST
    assert rows["sessions"]["bound"] == 60
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
        (("promote", "flow", "--to", "live"), "in mode sandbox, a strategy can't climb higher than paper"),
        (("promote", "--to", "shadow"), "name the strategy"),
        (("promote", "flow", "--without-evidence"), "--without-evidence needs a rung"),
        (("promote", "flow", "--to", "live", "--without-evidence"), "only real money needs a promotion"),
        (("promote", "flow", "--from", "/nowhere"), "/nowhere"),
    ],
)
def test_wrong_question_is_answered_with_the_next_command(bot: Bot, words: tuple[str, ...], message: str) -> None:
    refuses(bot.says(*words), ExitCode.USAGE, message, "next: ")


@pytest.mark.usefixtures("with_evidence")
def test_strategy_climbs_rung_by_rung_and_the_ledger_keeps_what_that_was_based_on(bot: Bot) -> None:
    assert bot.json("promote", "flow")["hint"] == "tradebot promote flow --to shadow"
    assert bot.shown("promote", "flow", "--to", "shadow").startswith("flow is now shadow.")
    found = bot.json("promote", "flow")
    assert (found["next"], found["sources"][0]["sessions"]) == ("paper", 130)
    assert bot.says("promote", "flow", "--to", "paper").code == ExitCode.DONE
    found = bot.json("promote", "flow")
    assert found["next"] is None
    assert found["hint"] == f"in the folder of the live bot: tradebot promote flow --from {bot.folder}"
    shadow, paper = written(bot.folder)
    assert [shadow.rung, paper.rung, paper.numbers["sessions"]] == [Rung.SHADOW, Rung.PAPER, 130]
    assert (shadow.digest, shadow.sentence) == (found["strategies"][0]["digest"], "")


@pytest.mark.usefixtures("with_evidence")
def test_evidence_of_another_folder_counts_only_with_the_same_hash(bot: Bot, tmp_path: Path) -> None:
    assert bot.says("promote", "flow", "--to", "shadow").code == ExitCode.DONE
    other = tmp_path / "other"
    shutil.copytree(bot.folder, other, ignore=shutil.ignore_patterns("exchange"))
    sources = bot.json("promote", "flow", "--from", str(other))["sources"]
    assert [(row["folder"], row["sessions"]) for row in sources] == [(str(bot.folder), 130), (str(other), 130)]
    rows = conditions(bot.json("promote", "flow", "--from", str(other)))
    alone = conditions(bot.json("promote", "flow"))
    assert rows == alone, "what both have counts once"
    assert rows["trades"]["number"] == len(MADE)
    (other / "tradebot.yaml").write_text(
        (other / "tradebot.yaml").read_text().replace("min_cluster: 1", "min_cluster: 2")
    )
    refuses(
        bot.says("promote", "flow", "--from", str(other)),
        ExitCode.USAGE,
        f"Evidence for flow in {other} doesn't count: its hash there is",
        "tradebot config diff",
    )


def test_promotion_lapses_with_other_values_and_a_person_may_put_a_strategy_down(bot: Bot) -> None:
    assert bot.shown("promote", "flow", "--to", "candidate").startswith("flow is now candidate.")
    assert bot.says("promote", "flow", "--to", "candidate").code == ExitCode.USAGE
    file = bot.folder / "tradebot.yaml"
    file.write_text(file.read_text().replace("min_cluster: 1", "min_cluster: 2"))
    accept(bot.folder)
    (row,) = bot.json("promote")["strategies"]
    assert (row["rung"], row["lapsed"]) == ("candidate", True)
    assert "its promotion was for other code or values" in bot.shown("promote")


def test_results_below_what_a_promotion_was_based_on_put_the_strategy_down(
    bot: Bot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Bot(real_folder(bot.folder, tmp_path / "real"), capsys)
    typed = written(real.folder)[0]
    with closing(SqliteLedger.open(real.folder)) as ledger:
        ledger.promotions.append(replace(typed, sentence="", based_on=MeanInterval(0.0002, 0.003, 300, 0.004)))
    days = [typed.at.date() + timedelta(days=number) for number in range(1, 131)]

    def review(sign: int) -> Said:
        since = OwnResults({day: sign * value for day, value in zip(days, RETURNS.values(), strict=True)})
        monkeypatch.setattr("commands.promote.run.own_results", lambda *_: since)
        return real.says("demote")

    assert review(1).code == ExitCode.DONE
    down = review(-1)
    assert down.code == ExitCode.FINDINGS
    assert "flow is demoted to shadow: the mean of the 130 sessions since its promotion is -0." in down.out
    last = written(real.folder)[-1]
    assert (last.rung, last.numbers["sessions"]) == (Rung.SHADOW, 130)
    assert last.numbers["mean"] < last.numbers["least"]
    with open_app(Options(str(real.folder)), {}) as app:
        climbed = (app.reached_rungs or {})["flow"]
    assert climbed.reason == Reason.DEMOTED
    assert climbed.found == f"shadow: {last.why}"
    assert climbed.share == 0
    assert review(-1).code == ExitCode.DONE, "it is down already"


FEWER = """promotion:
  live_small: {sessions: 120, sessions_here: 100, trades: 40, parity_sessions: null, parity_worse_bps: null}
  live: {parity_sessions: null, parity_worse_bps: null}
"""


def test_real_money_takes_evidence_and_a_person_at_a_terminal(
    bot: Bot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Bot(real_folder(bot.folder, tmp_path / "real"), capsys)
    configure(real.folder, FEWER)
    typed = written(real.folder)[0]
    with closing(SqliteLedger.open(real.folder)) as ledger:
        ledger.promotions.append(replace(typed, rung=Rung.PAPER, sentence=""))
    days = [typed.at.date() + timedelta(days=number) for number in range(1, 131)]
    good = replace(GOOD, returns=dict(zip(days, RETURNS.values(), strict=True)))
    monkeypatch.setattr("commands.promote.run.own_results", lambda *_: good)
    step = "promote", "flow", "--to", "live_small"
    refuses(real.says(*step), ExitCode.REFUSED, "mean_above, deflated_sharpe, spa_p")
    monkeypatch.setattr("commands.promote.run.read_trials", lambda *_: Trials(20, ()))
    assert real.says(*step, "--confirm", real.tail()).code == ExitCode.USAGE, "there is no terminal"
    with at_a_terminal("yes"):
        assert real.says(*step).code == ExitCode.REFUSED
    with at_a_terminal(real.tail()):
        assert real.says(*step).out.startswith("flow is now live small.")
    last = written(real.folder)[-1]
    assert last.based_on is not None
    assert 0 < last.based_on.low < last.based_on.high
    assert (last.sentence, last.numbers["sessions"]) == ("", 130)
    assert "without evidence" not in real.says("promote").out.replace("own: live without evidence", "")


def written(folder: Path) -> Sequence[Promotion]:
    with closing(SqliteLedger.open(folder, read_only=True)) as ledger:
        return ledger.promotions.every()


GOOD_POLICY = replace(study(3, Study(5.0)), name="ppo")
AS_TOLD = "not verified: the file doesn't have the checksum of a run"
NOISE = replace(study(1, Study()), name="sac")


def written_file(folder: Path, of: PolicyResults) -> str:
    file = folder / f"{of.name}.json"
    file.write_text(json.dumps(encode(of)))
    return str(file)


def test_policies_are_shown_with_seeds_benchmarks_conditions_and_one_sentence(bot: Bot, tmp_path: Path) -> None:
    both = ("--results", written_file(tmp_path, GOOD_POLICY), "--results", written_file(tmp_path, NOISE))
    shown = bot.shown("promote", *both)
    assert shown.rstrip().endswith("ppo passes: every condition is met; 1 of 2 don't.")
    for words in (
        f"ppo ({GOOD_POLICY.configuration}): 500 sessions from 2024-01-01 to 2025-11-28 "
        "that its models weren't trained on",
        "20 configurations trained, 20 compared",
        "without any skill, the chance that at least one of 20 configurations passes a 5% test is 64.2%",
        "To reach paper: 14 of 14 conditions for learned policies met",
        "seed 4",
        "buy and hold",
    ):
        assert words in shown
    found = bot.json("promote", *both)
    ppo, sac = found["policies"]
    assert (ppo["passes"], sac["passes"], found["rung"]) == (True, False, "paper")
    assert [run["seed"] for run in ppo["runs"]] == [*range(5)]
    assert all(run["low"] < run["sharpe"] < run["high"] for run in ppo["runs"])
    assert [one["name"] for one in ppo["benchmarks"]] == ["flat", "buy_and_hold", "rule", "logistic"]
    assert "policy_deflated_sharpe" in [row["name"] for row in sac["conditions"] if not row["met"]]


def test_results_that_were_edited_are_refused_and_unsealed_ones_are_told_as_such(bot: Bot, tmp_path: Path) -> None:
    file = tmp_path / "sealed.json"
    write_policy_results(file, GOOD_POLICY)
    sealed, unsealed = (
        bot.shown("promote", "--results", str(one)) for one in (file, written_file(tmp_path, GOOD_POLICY))
    )
    assert [AS_TOLD in shown for shown in (sealed, unsealed)] == [False, True]
    told = json.loads(file.read_text())
    told["runs"][0]["returns"][0] += 0.01
    file.write_text(json.dumps(told))
    refuses(bot.says("promote", "--results", str(file)), ExitCode.USAGE, f"{file} was changed after")


def test_sentence_says_so_if_none_passes(bot: Bot, tmp_path: Path) -> None:
    shows(
        bot.says("promote", "--results", written_file(tmp_path, NOISE)),
        ExitCode.FINDINGS,
        "None passes: sac lacks seeds_positive, doubled, later,",
        "waiting won't help: evaluate the policy again",
    )


def test_trials_that_this_bot_counted_count_too(bot: Bot, tmp_path: Path) -> None:
    backtests = bot.folder / "backtests"
    backtests.mkdir()
    lines = ({"strategy": "ppo", "digest": str(number), "sharpe": 0.1} for number in range(31))
    (backtests / "trials.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (row,) = bot.json("promote", "--results", written_file(tmp_path, GOOD_POLICY))["policies"]
    assert (row["trials"], row["compared"]) == (31, 20)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:-20], "can't be read as the results of a policy"),
        (lambda text: text.replace('"trials": 20', '"trials": "many"'), "can't be read as the results of a policy"),
        (lambda text: text.replace('"trials": 20', '"trials": 1'), "can't be judged: it reports 1 trials"),
        (lambda text: text.replace('"format": 1', '"format": 7'), "can't be judged: it has format 7"),
    ],
)
def test_file_that_is_no_evaluation_is_refused_by_name(bot: Bot, tmp_path: Path, change: object, said: str) -> None:
    file = Path(written_file(tmp_path, GOOD_POLICY))
    file.write_text(change(file.read_text()))  # type: ignore[operator]
    refuses(bot.says("promote", "--results", str(file)), ExitCode.USAGE, f"{file} {said}")


def test_results_promote_nothing(bot: Bot) -> None:
    said = bot.says("promote", "flow", "--results", "some.json")
    assert (said.code, "--results only evaluates files, so it can't be combined with other options" in said.err) == (
        ExitCode.USAGE,
        True,
    )


def policy_rows(bot: Bot) -> dict[str, object]:
    rows = bot.json("promote", "flow")["conditions"]
    return {row["name"]: row["missing"] for row in rows if row["name"].startswith("policy_")}


def test_strategy_with_an_evaluation_needs_what_its_rung_asks_of_policies(bot: Bot, tmp_path: Path) -> None:
    own = bot.folder / "tradebot.yaml"
    before, asks = own.read_text(), "promotion: {shadow: {policy: {sharpe_low: 0}}"

    def configured(settings: str) -> None:
        own.write_text(before)
        configure(bot.folder, settings)

    configured(f"{asks}}}\n")
    assert policy_rows(bot) == {}
    file = written_file(tmp_path, GOOD_POLICY)
    assert "{flow: {" in before, "the section of flow is there to be changed"
    own.write_text(before.replace("{flow: {", f"{{flow: {{evaluation: {file}, ") + f"{asks}}}\n")
    accept(bot.folder)
    assert policy_rows(bot) == {"policy_seen": "", "policy_sharpe_low": ""}
    Path(file).unlink()
    missing = f"{file} can't be read as the results of a policy: No such file or directory"
    assert policy_rows(bot) == {"policy_seen": missing, "policy_sharpe_low": missing}
    assert bot.says("demote").code == ExitCode.DONE, "nobody has to be judged to be put down"
    configured(f"{asks}, learned: [flow]}}\n")
    assert policy_rows(bot)["policy_seen"] == "no evaluation: name its file in strategies.NAME.evaluation"


RESULTS = replace(study(1, Study(configurations=2)), features={"rsi_14": "1"})


def told(place: Path, settings: dict[str, str], **changes: Any) -> str:
    signed = Signed(place)
    own = {**signed.settings(signed.write(constant([0.5], settings=settings))), "rule": None, **changes}
    loaded = load(None, {}, {"strategies": {"flow": None, "policy": own}}).settings
    app: Any = SimpleNamespace(settings=loaded)
    return other_models(app, "policy", RESULTS)


def test_model_of_the_evaluated_configuration_is_the_one(tmp_path: Path) -> None:
    assert told(tmp_path, {CONFIGURATION: RESULTS.configuration}) == ""


@pytest.mark.parametrize("settings", [{}, {CONFIGURATION: "0" * 64}])
def test_model_of_another_configuration_is_named(tmp_path: Path, settings: dict[str, str]) -> None:
    found = told(tmp_path, settings)
    assert "wasn't trained with the configuration that was evaluated" in found
    assert RESULTS.configuration[:8] in found


def test_model_of_other_features_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.commands.promote.test_promote.RESULTS", replace(RESULTS, features={"rsi_14": "2"}))
    assert "different features" in told(tmp_path, {CONFIGURATION: RESULTS.configuration})


def test_a_policy_that_only_trains_has_no_models_to_compare(tmp_path: Path) -> None:
    assert told(tmp_path, {}, mode="training", models=[]) == ""
