"""`tradebot promote --results` and the conditions of a strategy that is a learned policy."""

import json
from pathlib import Path

import pytest

from benchmarks.support.policies import Study, study
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tests.kit.bot.state import accept, configure
from tradebot.adapters.state.evidence import write_policy_results
from tradebot.adapters.text.codec import encode
from tradebot.errors import ExitCode
from tradebot.model.evidence import PolicyResults
from tradebot.model.struct_tools import replace

GOOD = replace(study(3, Study(5.0)), name="ppo")
AS_TOLD = "as stated in a file that doesn't have the checksum of a run"
NOISE = replace(study(1, Study()), name="sac")


def written(folder: Path, of: PolicyResults) -> str:
    file = folder / f"{of.name}.json"
    file.write_text(json.dumps(encode(of)))
    return str(file)


def test_policies_are_shown_with_seeds_benchmarks_conditions_and_one_sentence(bot: Bot, tmp_path: Path) -> None:
    both = ("--results", written(tmp_path, GOOD), "--results", written(tmp_path, NOISE))
    shown = bot.shown("promote", *both)
    assert shown.rstrip().endswith("ppo passes: every condition is met; 1 of 2 don't.")
    for words in (
        f"ppo ({GOOD.configuration}): 500 sessions from 2024-01-01 to 2025-11-28 that its models weren't trained on",
        "20 configurations trained, 20 compared",
        "by luck alone, one or more of that many would pass a 5% test in 64.2% of cases",
        "To reach paper: 14 of 14 conditions of learned policies met",
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
    write_policy_results(file, GOOD)
    sealed, unsealed = (bot.shown("promote", "--results", str(one)) for one in (file, written(tmp_path, GOOD)))
    assert [AS_TOLD in shown for shown in (sealed, unsealed)] == [False, True]
    told = json.loads(file.read_text())
    told["runs"][0]["returns"][0] += 0.01
    file.write_text(json.dumps(told))
    refuses(bot.says("promote", "--results", str(file)), ExitCode.USAGE, f"{file} was changed after")


def test_sentence_says_so_if_none_passes(bot: Bot, tmp_path: Path) -> None:
    shows(
        bot.says("promote", "--results", written(tmp_path, NOISE)),
        ExitCode.FINDINGS,
        "None passes: sac lacks seeds_positive, doubled, later,",
        "waiting doesn't help: it needs another evaluation",
    )


def test_trials_that_this_bot_counted_count_too(bot: Bot, tmp_path: Path) -> None:
    backtests = bot.folder / "backtests"
    backtests.mkdir()
    lines = ({"strategy": "ppo", "digest": str(number), "sharpe": 0.1} for number in range(31))
    (backtests / "trials.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (row,) = bot.json("promote", "--results", written(tmp_path, GOOD))["policies"]
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
    file = Path(written(tmp_path, GOOD))
    file.write_text(change(file.read_text()))  # type: ignore[operator]
    refuses(bot.says("promote", "--results", str(file)), ExitCode.USAGE, f"{file} {said}")


def test_results_promote_nothing(bot: Bot) -> None:
    said = bot.says("promote", "flow", "--results", "some.json")
    assert (said.code, "--results judges files, and promotes nothing" in said.err) == (ExitCode.USAGE, True)


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
    file = written(tmp_path, GOOD)
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
