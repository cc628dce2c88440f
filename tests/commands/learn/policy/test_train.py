"""Training says what it does otherwise than asked for, and what is left of it when it is stopped."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands.learn.policy import train as policy_training
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Said, typed
from tradebot.errors import ExitCode

MARKET = "--profile policy --sessions 2 --from 2026-11-16"
ROW = SimpleNamespace(at=SimpleNamespace(date=lambda: "2026-11-16"))


@pytest.fixture(autouse=True)
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Put a stand-in where a network is trained, and return the jobs that it is given."""
    jobs: list[Any] = []

    def train(job: Any, *_: object) -> Any:
        jobs.append(job)
        if job.settings.get("gamma") == job.seed / 4:
            signal.raise_signal(signal.SIGINT)
        return SimpleNamespace(on_arrays=False, why="")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(policy_training, "train", train)
    monkeypatch.setattr(policy_training, "span_of", lambda *_, **__: SimpleNamespace(rows=(ROW,)))
    monkeypatch.setattr(policy_training, "require_torch", lambda _: None)
    return jobs


def learned(capsys: pytest.CaptureFixture[str], words: str) -> Said:
    return typed(capsys, *f"learn policy train {MARKET} --state-dir bot {words}".split())


def test_agent_without_steps_refuses_them(capsys: pytest.CaptureFixture[str], trained: list[Any]) -> None:
    said = learned(capsys, "--agent logistic --steps 1")
    assert (said.code, trained) == (ExitCode.USAGE, [])
    assert said.err == "error: logistic isn't trained in steps\n  next: leave --steps out\n"


ONCE = "logistic learns the same with any seed, so it is trained only once"


@pytest.mark.parametrize(("words", "told"), [("--seeds 3", True), ("--seeds 1", False), ("", False)])
def test_agent_that_is_trained_once_says_so_if_more_was_asked_for(
    words: str, told: bool, capsys: pytest.CaptureFixture[str], trained: list[Any]
) -> None:
    said = learned(capsys, f"--agent logistic {words}")
    assert (said.code, ONCE in said.err, len(trained)) == (ExitCode.DONE, told, 1)


@pytest.mark.parametrize(("steps", "told"), [("--steps 500", True), ("--steps 1024", False), ("", False)])
def test_whole_steps_are_told(steps: str, told: bool, capsys: pytest.CaptureFixture[str], trained: list[Any]) -> None:
    said = learned(capsys, f"--agent ppo {steps}")
    assert (said.code, len(trained)) == (ExitCode.DONE, 5)
    assert ("Training for 1,024 steps instead of 500: a multiple of n_steps" in said.err) is told


def test_training_that_is_stopped_says_what_is_left_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    first = learned(capsys, "--agent ppo --seeds 3 --set gamma=0.25")
    assert (first.code, "nothing was kept; run the same command again" in first.err) == (ExitCode.INTERRUPTED, True)
    refuses(
        learned(capsys, "--agent ppo --seeds 3 --set gamma=0.75 --drafts mine"),
        ExitCode.INTERRUPTED,
        "Stopped after 2 of 3 seeds. Their drafts are kept in mine\n",
        "run the same command with another folder: --drafts FOLDER",
    )
