"""A backtest that is stopped keeps what is done, and goes on to the result of one that never was."""

import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from commands.backtest import run_backtest
from commands.backtest.run_backtest import Finished
from tests.kit.backtest.playing import TRADER, configured, traded_by
from tests.kit.bot.folder import Said, typed
from tradebot.adapters.ledger.deferred_signals import interrupt
from tradebot.errors import ExitCode
from tradebot.lab.backtest.results import Results
from tradebot.model.view import Needs, StrategyView, Want

MARKET = ("--sessions", "3", "--from", "2025-03-03", "--seed", "5")
MIDDLE = date(2025, 3, 4)
PROFILES = Path(__file__).parents[3] / "config" / "profiles"


@dataclass(frozen=True)
class Stopping:
    """Trades like the others, and does something in the middle of the second session."""

    act: Callable[[], object]
    name: str = TRADER.name
    times: str = TRADER.times

    @property
    def needs(self) -> Needs:
        return TRADER.needs

    def propose(self, view: StrategyView) -> Sequence[Want]:
        if view.now.date() == MIDDLE:
            self.act()
        return TRADER.propose(view)


def play(folder: Path, capture: pytest.CaptureFixture[str], *words: str) -> Said:
    place = ("--state-dir", str(folder / "state"), "--config", str(configured(folder)))
    return typed(capture, "backtest", *MARKET, "--name", "run", *place, *words)


def left(folder: Path) -> tuple[bytes, bytes]:
    run = folder / "state" / "backtests" / "run"
    return (run / "result.json").read_bytes(), (run / "journal.jsonl").read_bytes()


@pytest.fixture
def whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[bytes, bytes]:
    (tmp_path / "whole").mkdir()
    with traded_by():
        assert play(tmp_path / "whole", capsys).code == 0
    return left(tmp_path / "whole")


def test_an_interrupt_keeps_what_is_done_and_resume_ends_as_if_there_had_been_none(
    whole: tuple[bytes, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with traded_by(lambda: [Stopping(lambda: interrupt(KeyboardInterrupt()))]):
        said = play(tmp_path, capsys)
    assert said.code == ExitCode.INTERRUPTED
    assert "Stopped after 2 of 3 sessions, until 2025-03-04. Finished sessions are stored." in said.err
    assert "the same command with --resume" in said.err
    report = typed(capsys, "report", "--state-dir", str(tmp_path / "state" / "backtests" / "run"))
    assert "2025-03-03 to 2025-03-04, 2 sessions" in report.out
    assert report.out.startswith("This backtest was interrupted and ends with 2025-03-04.")
    with traded_by():
        assert "holds a run that was stopped" in play(tmp_path, capsys).err
        assert play(tmp_path, capsys, "--seed", "6", "--resume").code == ExitCode.USAGE, "it is of another market"
        assert play(tmp_path, capsys, "--resume").code == 0
    assert left(tmp_path) == whole
    assert not (tmp_path / "state" / "backtests" / "run.checkpoint").exists()


def test_a_killed_run_goes_on_from_what_was_kept_last(
    whole: tuple[bytes, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_backtest, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(run_backtest, "MOST_SHARE", 1e9)
    child = os.fork()
    if not child:
        with traded_by(lambda: [Stopping(lambda: os.kill(os.getpid(), signal.SIGKILL))]):
            play(tmp_path, capsys)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (tmp_path / "state" / "backtests" / "run.checkpoint").exists()
    with traded_by():
        said = play(tmp_path, capsys, "--resume", "--json")
    assert said.data["speed"]["sessions"] == 2, "the first session isn't played again"
    assert left(tmp_path) == whole


RARELY = """
timetable: {score: every 60m from open+2m until close, evaluate-exits: every 5m from open+1m until close,
            trade-once: every 15m from open+7m until close, reconcile: every 4m from open+1m until close}
"""
"""As few passes as load, so that a session doesn't take long."""


def play_elsewhere(folder: Path, capture: pytest.CaptureFixture[str], profile: str, *words: str) -> Said:
    """Play a shipped profile of another venue, with fewer passes."""
    folder.mkdir(exist_ok=True)
    file = folder / "bot.yaml"
    file.write_text((PROFILES / f"{profile}.yaml").read_text() + RARELY)
    place = ("--state-dir", str(folder / "state"), "--config", str(file))
    return typed(capture, "backtest", "--name", "run", *OF_PROFILE[profile], *place, *words, "--json")


OF_PROFILE = {
    "smart_money": ("--symbols", "5", "--sessions", "2", "--seed", "5"),
    "futures": ("--from", "2026-03-09", "--sessions", "4"),
}


@pytest.mark.campaign
@pytest.mark.parametrize("profile", OF_PROFILE)
def test_a_killed_run_at_another_venue_goes_on_as_if_it_never_was(
    profile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_backtest, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(run_backtest, "MOST_SHARE", 1e9)
    keep, lasts = run_backtest._keep, 2 if profile == "futures" else 1

    def keep_and_die(finished: Finished, results: Results) -> None:
        keep(finished, results)
        # The contracts of the second session are other ones than those of the first, and stay the same.
        if len(finished.run.ends) == lasts:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        monkeypatch.setattr(run_backtest, "_keep", keep_and_die)
        play_elsewhere(tmp_path / "killed", capsys, profile)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    again = play_elsewhere(tmp_path / "killed", capsys, profile, "--resume")
    whole = play_elsewhere(tmp_path / "whole", capsys, profile)
    assert (again.code, whole.code) == (0, 0), (again.err, whole.err)
    speeds = again.data["speed"], whole.data["speed"]
    assert speeds[0]["sessions"] == speeds[1]["sessions"] - lasts, "earlier sessions aren't played again"
    assert [speed["passes_ran"] for speed in speeds] == [speeds[1]["passes_ran"]] * 2
    assert left(tmp_path / "killed") == left(tmp_path / "whole")
    assert whole.data["result"]["fills"], "nothing was traded"


def test_resume_with_nothing_kept_plays_from_the_beginning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with traded_by():
        said = play(tmp_path, capsys, "--resume")
    assert said.code == 0
    assert "nothing is stored for run, so it is played from the beginning" in said.err


class Terminal(io.StringIO):
    """Takes what is drawn, as a terminal would."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_fast_it_goes_and_when_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with traded_by():
        assert play(tmp_path, capsys, "--sensitivity").code == 0
    drawn = screen.getvalue()
    for what, sessions in (("playing", 3), ("playing 1 variant", 3)):
        last = rf"{what} [━ ]*\S*m?[━ ]*.*?{sessions}/{sessions}.*? [\d,.]+ sessions/s, [\d,]+ bars/s.*?0:00:00"
        assert re.search(last, drawn), what
    assert drawn.endswith("\x1b[2K"), "it is gone in the end"
