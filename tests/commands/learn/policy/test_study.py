"""A study tries, ranks and counts configurations; whatever stops it, the same command ends with the same study."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from tests.commands.learn.policy.test_train_walk import CONFIGURATION
from tests.commands.search.test_search import said_by
from tests.kit.bot import forked
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Said
from tests.kit.waiting import until
from tests.suite import tiers
from tradebot.adapters.models.signing import make_key
from tradebot.adapters.state.evidence import SEAL, read_policy_results
from tradebot.adapters.state.state_locks import hold
from tradebot.errors import ExitCode
from tradebot.lab.backtest.results import Results
from tradebot.lab.learning.walking import walk as walking
from tradebot.lab.learning.walking.evaluation import JudgedSessions
from tradebot.lab.learning.walking.walk import UNITS, BenchmarkReturns, Diverged, Walk, WalkModel, WalkTask, save_result
from tradebot.model.evidence import BENCHMARKS

SPACE = """
settings:
  c: {from: 0.01, to: 10.0, log: true}
  size: [1, 2]
sampler: tpe
trials: 12
seed: 7
"""
DAYS = ("--from", "2026-11-02", "--to", "2027-01-29")


def made_up(of: Walk, wanted: WalkTask, trials: int) -> None:
    """Keep what a configuration might have earned: the more, the nearer c is to 1."""
    (split,) = of.splits[wanted.place].judged
    judged = [day for day in of.market if split.first <= day <= split.last]
    is_benchmark = wanted.who in BENCHMARKS
    chance = random.Random(f"{wanted.place} {wanted.who if is_benchmark else of.job.configuration}")  # noqa: S311
    drift = 0.0 if is_benchmark else 0.01 - abs(float(of.job.values["c"]) - 1) / 500
    returns = tuple(drift + chance.gauss(0, 0.01) for _ in judged)
    found: Any = JudgedSessions(tuple(judged), returns, returns, 20 * int(of.job.values["size"]))
    if is_benchmark:
        found = BenchmarkReturns((found,))
    else:
        found = WalkModel("model", sha256(of.job.configuration.encode()).hexdigest(), (found,), (found,))
    save_result(of.folder / UNITS / wanted.file, walking._result_of(of, wanted), found)


@pytest.fixture(autouse=True, scope="module")
def models_that_nobody_made() -> Iterator[None]:
    """Let results count whose models were never trained."""
    with patch.object(walking, "_require_model", lambda *_: None):
        yield


def place_in(folder: Path, space: str = SPACE) -> tuple[str, ...]:
    """Return the arguments of a study in a new folder."""
    folder.mkdir(exist_ok=True)
    (folder / "walk.yaml").write_text(CONFIGURATION)
    (folder / "space.yaml").write_text(space)
    if not (folder / "key").exists():
        make_key(folder / "key")
    named = {"space": "space.yaml", "key": "key", "config": "walk.yaml", "state-dir": "bot", "results": "policies"}
    files = (word for name, file in named.items() for word in (f"--{name}", str(folder / file)))
    return ("--agent", "logistic", "--without", "weekday_sine", *DAYS, *files)


def study(*arguments: str) -> Said:
    with patch("tradebot.lab.learning.walking.walk.run_task", made_up):
        return said_by("learn", "policy", "study", *arguments)


def data_of(said: Said) -> dict[str, Any]:
    return dict(json.loads(said.out)["data"])


def of_folder(folder: Path, text: str) -> Any:
    """Return a document without the place of its folder."""
    return json.loads(text.replace(str(folder), "PLACE"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Return the arguments of a study that was played."""
    found = place_in(tmp_path_factory.mktemp("studied"))
    assert study(*found, "--workers", "1").code == 0
    return found


def folder_of(place: tuple[str, ...]) -> Path:
    return Path(place[-1]).parent


def test_study_shows_its_configurations_best_first_and_what_to_do_next(place: tuple[str, ...]) -> None:
    said, tried = study(*place), data_of(study(*place, "--json"))["tried"]
    head, spans, columns, *rows, counted, kept, _, after = said.out.splitlines()
    assert head == "Study logistic of logistic: tpe, 12 trials, walked forward in 2 splits"
    assert spans == (
        "  chosen in 20 sessions from 2026-12-01 to 2026-12-29; held out: 21 sessions from 2026-12-31 to 2027-01-29"
    )
    assert columns == "rank  trial  Sharpe  held out  seeds positive  trades  settings"
    assert len(rows) == 11
    for row, one in zip(rows[:-1], tried, strict=False):
        shown = f"{one['rank']} {one['trial']} {one['sharpe']:.2f} {one['held_out']:.2f} {one['positive']} of 1"
        settings = ", ".join(f"{name}={value}" for name, value in one["settings"].items())
        assert " ".join(row.split()) == f"{shown} {one['trades']:.0f} {settings}"
    assert rows[-1] == "and 2 more with --json"
    assert counted == "12 configurations trained so far; promote counts all of them."
    assert kept == f"Kept: {folder_of(place) / 'policies' / 'logistic.journal'}"
    assert after.startswith("Next: tradebot promote ")
    assert after.endswith(f"--results {tried[0]['file']}")


def test_best_is_ranked_by_the_sessions_that_choose_and_compared_with_all_others(place: tuple[str, ...]) -> None:
    data = data_of(study(*place, "--json"))
    sharpes = [one["sharpe"] for one in data["tried"]]
    assert sharpes == sorted(sharpes, reverse=True)
    assert [one["held_out"] for one in data["tried"]] != sorted(
        (one["held_out"] for one in data["tried"]), reverse=True
    )
    best = read_policy_results(Path(data["tried"][0]["file"]))
    assert (best.configuration, best.trials, len(best.tried)) == (data["tried"][0]["configuration"], 12, 12)
    chosen = np.array([best.runs[0].returns[: data["chosen"]["sessions"]]])
    assert sharpes[0] == pytest.approx(chosen.mean() / chosen.std(ddof=1) * best.per_year**0.5)
    tried = Results(folder_of(place) / "bot").trials("policy")
    assert [one.digest for one in tried] == [
        one["configuration"] for one in sorted(data["tried"], key=lambda one: one["trial"])
    ]


def test_same_command_again_trains_nothing(place: tuple[str, ...]) -> None:
    with patch("tradebot.lab.learning.walking.walk.run_task", side_effect=AssertionError("nothing is left")):
        said = said_by("learn", "policy", "study", *place)
    assert (said.code, said.out) == (0, study(*place).out)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (("--set", "size=2", "--space", "other.yaml"), "it has a different agent, --set, --steps or --seeds"),
        (("--without", "rsi_14"), "it has different features"),
        (("--trials", "20"), "it has a different space"),
        (("--seed", "2"), "it has a different market"),
        (("--config", "other-bot.yaml"), "it has different settings"),
        (("--agent", "sac", "--study", "logistic"), "it has a different agent"),
    ],
)
def test_another_study_is_refused_by_what_differs(place: tuple[str, ...], changes: tuple[str, ...], why: str) -> None:
    folder = folder_of(place)
    (folder / "other.yaml").write_text("settings: {c: [1, 2]}")
    (folder / "other-bot.yaml").write_text(CONFIGURATION + "limits: {cooldown_s: 7}\n")
    (folder / "sac.yaml").write_text("settings: {gamma: [0.9, 0.99]}")
    files = [str(folder / word) if word.endswith(".yaml") else word for word in changes]
    with patch("tradebot.lab.learning.training.sb3_trainer.find_spec", lambda name: name):
        if "sac" in files:
            files += ["--space", str(folder / "sac.yaml")]
        said = study(*place, *files)
    assert (said.code, f"the study logistic can't continue: {why}" in said.err) == (2, True), said.err
    assert "change that back, or start a new search: --study with another name" in said.err


def test_study_beside_it_has_what_was_walked_and_is_compared_with_it(place: tuple[str, ...], tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("settings: {c: [1.0, 0.5], size: [1]}\nsampler: grid")
    copytree(folder_of(place), tmp_path / "copy")
    there = [word.replace(str(folder_of(place)), str(tmp_path / "copy")) for word in place]
    data = data_of(study(*there, "--study", "few", "--space", str(space), "--json"))
    assert (len(data["tried"]), data["counted"]) == (2, 14)
    assert len(read_policy_results(Path(data["tried"][0]["file"])).tried) == 14


@pytest.mark.parametrize(
    ("space", "why", "cure"),
    [
        ("settings: {gamma: [0.9, 0.99]}", "logistic has no setting gamma", "name some of these: c, size"),
        ("settings: {c: [0.0, 1.0]}", "c of logistic can't be 0", "correct "),
        ("settings: {size: {from: 0.5, to: 2.0}}", "size of logistic can't be 0.5", "correct "),
        ("settings: {c: {from: 2.0, to: 2.0}}", "from must be below to", "docs/SEARCH.md"),
        ("settings: {c: []}", "settings.c", "docs/SEARCH.md"),
        ("settings: {c: [1, 2]}\nobjectives: [calmar]", "objectives has no effect in a study", "remove that line"),
        ("settings: {c: [1, 2]}\nsampler: best", "sampler", "docs/SEARCH.md"),
    ],
)
def test_senseless_space_is_refused_before_a_market_is_opened(tmp_path: Path, space: str, why: str, cure: str) -> None:
    with patch("commands.learn.policy.train.planned_for", side_effect=AssertionError("no market")):
        said = study(*place_in(tmp_path, space))
    assert (said.code, why in said.err, cure in said.err) == (2, True, True), said.err
    assert not (tmp_path / "policies").exists()


def test_setting_that_is_searched_and_set_is_refused(tmp_path: Path) -> None:
    refuses(study(*place_in(tmp_path), "--set", "c=1"), 2, "c is both varied by", "leave out --set c")


def test_too_few_sessions_to_choose_in_are_named(tmp_path: Path) -> None:
    said = study(*place_in(tmp_path), "--to", "2026-12-07")
    assert (said.code, "judged sessions, which is too few" in said.err) == (2, True)
    assert "a study needs 6 judged sessions" in said.err


def test_storage_that_cannot_be_read_and_a_name_that_is_none_are_refused(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "logistic.journal").write_text("nonsense\n{}\n")
    refuses(study(*place), 2, "logistic.journal is damaged", "restore a copy of it")
    refuses(study(*place, "--study", "../other"), 2, "a study can't be called ../other")


def test_study_that_another_process_plays_is_left_alone(place: tuple[str, ...]) -> None:
    with hold(folder_of(place) / "policies", "learn policy study", 0.0, "logistic.lock"):
        said = study(*place)
    assert (said.code, "Another tradebot is working on" in said.err) == (ExitCode.ANOTHER_INSTANCE, True)


def test_configuration_that_diverges_counts_and_is_left_out(tmp_path: Path) -> None:
    def diverging(of: Walk, wanted: WalkTask, trials: int) -> None:
        made_up(of, wanted, trials)
        if wanted.who == 1 and of.job.values["size"] == 2:
            why = "logistic with seed 1 diverged: its weights are not numbers"
            save_result(of.folder / UNITS / wanted.file, walking._result_of(of, wanted), Diverged(why))

    place = place_in(tmp_path, "settings: {c: [1.0, 0.5], size: [1, 2]}\nsampler: grid")
    with patch("tradebot.lab.learning.walking.walk.run_task", diverging):
        said = said_by("learn", "policy", "study", *place)
        data = data_of(said_by("learn", "policy", "study", *place, "--json"))
    assert "Left out: 2 trials, logistic with seed 1 diverged: its weights are not numbers" in said.out
    assert ({one["trial"] for one in data["tried"]}, data["trials"], data["counted"]) == ({1, 3}, 4, 4)


def test_study_that_a_person_stops_says_how_far_it_is_and_how_to_go_on(place: tuple[str, ...], tmp_path: Path) -> None:
    def stopped(of: Walk, wanted: WalkTask, trials: int) -> None:
        if len([*of.folder.parent.glob("*/results.json")]) == 2:
            raise KeyboardInterrupt
        made_up(of, wanted, trials)

    there = place_in(tmp_path)
    with patch("tradebot.lab.learning.walking.walk.run_task", stopped):
        said = said_by("learn", "policy", "study", *there)
    assert (said.code, "Stopped after 2 trials of 12. They are stored." in said.err) == (ExitCode.INTERRUPTED, True)
    assert "to continue, run the same command" in said.err
    # The third one was begun, so it has been tried.
    assert len(Results(tmp_path / "bot").trials("policy")) == 3
    assert study(*there).code == 0
    assert_same(tmp_path, folder_of(place), there, place)


def test_benchmarks_are_played_once_for_all_configurations(tmp_path: Path) -> None:
    def noting(of: Walk, wanted: WalkTask, trials: int) -> None:
        made_up(of, wanted, trials)
        with (of.folder.parent / "noted").open("a") as file:
            file.write(f"{wanted.who}\n")

    with patch("tradebot.lab.learning.walking.walk.run_task", noting):
        said_by("learn", "policy", "study", *place_in(tmp_path, "settings: {size: [1, 2], c: [1.0]}\nsampler: grid"))
    noted = Counter((tmp_path / "policies" / "noted").read_text().split())
    assert noted == {"1": 4, "buy_and_hold": 2, "rule": 2, "logistic": 2}


class Deadly:
    """Plays as `made_up` does, and at some unit kills the process that has it played."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, of: Walk, wanted: WalkTask, trials: int) -> None:
        if len([*of.folder.parent.glob(f"*/{UNITS}/*.json")]) >= self.at:
            # Both workers may get here, and one may end while it writes.
            draft = of.folder.parent / f"draft-{os.getpid()}"
            draft.write_text(str(os.getpid()))
            draft.rename(of.folder.parent / f"killed-{self.at}")
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        made_up(of, wanted, trials)


def test_killed_study_ends_as_one_that_never_was_and_leaves_no_process(place: tuple[str, ...], tmp_path: Path) -> None:
    killed = place_in(tmp_path)
    for at in (1, 20, 64):
        play = partial(setattr, walking, "run_task", Deadly(at))
        words = ("learn", "policy", "study", *killed, "--workers", "2")
        assert forked.run(words, first=play).returncode == -signal.SIGKILL
        worker = int((tmp_path / "policies" / f"killed-{at}").read_text())
        until(lambda: not (Path("/proc") / str(worker)).exists())  # noqa: B023 -- it runs now
    assert study(*killed, "--workers", "2").code == 0
    assert_same(tmp_path, folder_of(place), killed, place)


def assert_same(one: Path, other: Path, *places: tuple[str, ...]) -> None:
    """Compare two studies by what they show, by the results of each configuration, and by what they counted."""
    shown = [of_folder(folder, study(*place, "--json").out) for folder, place in zip((one, other), places, strict=True)]
    assert {**shown[0]["data"], "counted": 0} == {**shown[1]["data"], "counted": 0}
    for tried in shown[0]["data"]["tried"]:
        both = [json.loads(Path(tried["file"].replace("PLACE", str(folder))).read_text()) for folder in (one, other)]
        # What a model is called depends on when it was made, and so does the seal over it; nothing else does.
        assert all(found.pop(SEAL) for found in both)
        for split in (split for found in both for split in found["splits"]):
            split["model"] = sorted(split["model"])
        assert both[0] == both[1]


STILL = ("weekday_cosine", "days_to_roll", "volume_high")
"""Features that don't change in so few sessions."""


def short_in(folder: Path) -> tuple[str, ...]:
    """Return the arguments of a study of two trials in a new folder that are trained in seconds."""
    found = place_in(folder, "settings: {size: [1, 2], c: [0.5]}\nsampler: grid")
    times = "exits: [], times: every 5m from open+5m until open+3h"
    (folder / "walk.yaml").write_text(CONFIGURATION.replace("exits: []", times))
    without = (word for name in STILL for word in ("--without", name))
    return (*found, "--from", "2026-11-25", "--to", "2026-12-08", *without)


@pytest.mark.campaign
def test_study_that_trains_and_is_killed_ends_as_one_that_never_was(tmp_path: Path) -> None:
    killed, spared = places = [short_in(tmp_path / name) for name in ("killed", "spared")]
    finished = random.Random(tiers.seed() or 0).randint(1, 6)  # noqa: S311 - any moment will do
    program = forked.start(("learn", "policy", "study", *killed, "--workers", "2"))
    while len([*tmp_path.glob(f"killed/policies/*/{UNITS}/*.json")]) < finished:
        assert program.poll() is None, program.communicate()
        time.sleep(0.05)
    program.kill()
    program.communicate()
    for place in places:
        said = said_by("learn", "policy", "study", *place)
        assert said.code == 0, said.err
    assert_same(tmp_path / "killed", tmp_path / "spared", killed, spared)
    rows = data_of(study(*killed, "--json"))["tried"]
    assert {one["settings"]["size"] for one in rows} == {1, 2}
    assert rows[0]["sharpe"] != rows[1]["sharpe"]
