"""`tradebot backtest --sensitivity`: what it plays again, what it says, and what an interrupt leaves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from commands.backtest import run_backtest
from commands.backtest.options import PlannedBacktest
from tests.kit.backtest.playing import configured, rotation, traded_by
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import typed
from tradebot.adapters.state.evidence import read_evidence
from tradebot.errors import ExitCode
from tradebot.ports.strategy import Strategy


@contextmanager
def interrupted_before(play: int) -> Iterator[None]:
    """Interrupt as soon as strategies are loaded for this play; those of the run itself are loaded for two."""
    usual, loads = run_backtest.load_strategies, 0

    @contextmanager
    def loaded(planned: PlannedBacktest, **_: object) -> Iterator[Sequence[Strategy]]:
        nonlocal loads
        loads += 1
        if loads == play:
            raise KeyboardInterrupt
        with usual(planned) as strategies:
            yield strategies

    with patch.object(run_backtest, "load_strategies", loaded):
        yield


def test_a_rotation_is_played_dearer_later_and_in_every_session_of_the_month(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, words = ("--state-dir", str(tmp_path / "state")), rotation(tmp_path)
    said = typed(capsys, "backtest", *words, "--name", "r", "--cost", "commission_bps=10", "--sensitivity", *place)
    assert said.code == 0, said.err + said.out
    assert "Played again" in said.out
    assert "isn't played" not in said.out
    folder = tmp_path / "state" / "backtests" / "r"
    kept = read_evidence(folder)
    found = {one.name: one for one in kept.variants}
    assert list(found)[:3] == ["costs x2", "a session later", "first session of month"]
    assert [one.sessions for one in kept.variants] == [8] * 23
    first, later = found["first session of month"].total_return, found["a session later"].total_return
    assert found["costs x2"].total_return < first
    assert later == found["2nd session of month"].total_return != first
    assert found["21st session of month"].total_return == found["19th session of month"].total_return
    report = typed(capsys, "report", "--state-dir", str(folder))
    assert "costs x2" in report.out
    assert "SPY" in report.out.split("Returns")[1].splitlines()[0]


def test_an_interrupt_keeps_the_variants_that_are_done_and_resume_plays_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, words = ("--state-dir", str(tmp_path / "state")), rotation(tmp_path)
    play = ("backtest", *words, "--name", "r", "--sensitivity", *place)
    folder = tmp_path / "state" / "backtests" / "r"
    with interrupted_before(5):
        said = typed(capsys, *play)
    assert said.code == ExitCode.INTERRUPTED
    # The first session is the run itself, and the second one is the session later.
    assert "Stopped after 4 of 23 variants. The backtest and these variants are kept." in " ".join(said.err.split())
    assert "to continue: the same command with --resume" in said.err
    done = read_evidence(folder).variants
    names = [one.name for one in done]
    assert names == ["costs x2", "a session later", "first session of month", "2nd session of month"]
    before = (folder / "result.json").read_bytes(), (folder / "journal.jsonl").read_bytes()
    with interrupted_before(5):
        # Strategies are loaded for the run, which is over, and then for each variant that is played.
        again = typed(capsys, *play, "--resume")
    assert "Stopped after 6 of 23 variants." in again.err
    assert read_evidence(folder).variants[:4] == done
    other_run = "the checkpoint belongs to other settings", "the same command with --force instead of --resume"
    refuses(typed(capsys, *play, "--resume", "--cash", "50000"), ExitCode.USAGE, *other_run)
    whole = typed(capsys, *play, "--resume", "--json").data
    assert whole["speed"]["sessions"] == 0, "the backtest itself isn't played again"
    assert len(read_evidence(folder).variants) == 23
    assert ((folder / "result.json").read_bytes(), (folder / "journal.jsonl").read_bytes()) == before
    assert not folder.with_name("r.checkpoint").exists()
    assert "already has this run" in typed(capsys, *play, "--resume").err


def test_variant_that_cannot_be_played_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--sessions", "1", "--seed", "5", "--config", str(configured(tmp_path)), "--sensitivity")
    with traded_by():
        said = typed(capsys, "backtest", *words, "--state-dir", str(tmp_path / "state"))
    assert said.code == 0, said.err
    flat = " ".join(said.out.split())
    assert "A day's delay isn't played: whims may trade in every session." in flat
    assert "Other sessions of the month aren't played" in flat
    assert "costs x2" in flat
