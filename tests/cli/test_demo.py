"""The demo: one command from nothing to a session whose books agree, or say that they do not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import demo
from commands.init import flags_of
from tests.adapters import by_hand
from tradebot import sandbox
from tradebot.adapters import lock
from tradebot.wiring import Options, opened

MINUTES = "40"
EASY = {"TRADEBOT_LIMITS__MIN_SCORE": "0.05", "TRADEBOT_STRATEGIES__FLOW__MIN_CLUSTER": "1"}
"""Settings under which something is traded, noise or not."""
SELDOM = {
    "TRADEBOT_TIMETABLE__EVALUATE_EXITS": "every 15m from open+1m until close",
    "TRADEBOT_TIMETABLE__SCORE": "every 60m from open+2m until close",
}
"""A long day in a short time."""


def tradebot(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "tradebot", *arguments]
    environ = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(program, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """Return the data of the document that a demo has printed."""
    assert done.returncode == 0, done.stdout + done.stderr
    printed = json.loads(done.stdout)
    assert (printed["schema"], printed["mode"]) == ("tradebot.demo/1", "sandbox")
    return printed["data"]


@pytest.fixture(scope="module")
def played(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in EASY.items():
            patch.setenv(name, value)
        done = tradebot(folder, "demo", "--minutes", MINUTES, "--edge", "0")
    yield folder, done
    sandbox.stop(folder / "state" / "exchange")


def test_it_plays_a_session_and_says_that_the_books_agree(
    played: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = played
    assert done.returncode == 0, done.stderr
    assert f"{MINUTES} minutes, 20 symbols, seed 7" in done.stdout
    assert "Its flow is noise" in done.stdout
    assert "the ledger's own fold equals the exchange's account to the cent" in done.stdout


def test_the_commands_that_it_proposes_work(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = played
    proposed = [
        line.partition("tradebot ")[2].split()
        for line in done.stdout.partition("Try next")[2].splitlines()
        if line.strip()
    ]
    assert len(proposed) == 3
    for arguments in proposed:
        if arguments[0] != "demo":  # that one is this very test again
            again = tradebot(folder, *arguments)
            assert again.returncode in {0, 10}, again.stderr
            assert again.stdout.strip()


def test_it_leaves_a_bot_of_the_users_untouched(tmp_path: Path) -> None:
    assert tradebot(tmp_path, "init", "--symbols", "2").returncode == 0
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "state").iterdir())
    done = tradebot(tmp_path, "demo", "--minutes", "3")
    assert done.returncode == 2
    assert "holds a bot of yours" in done.stderr
    assert "tradebot demo --state-dir state/demo\n" in done.stderr
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "state").iterdir()) == before
    sandbox.stop(tmp_path / "state" / "exchange")


def test_a_second_demo_at_the_same_time_leaves_with_the_code_of_another_instance(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with lock.hold(tmp_path / "state", "demo", name=lock.SETUP_LOCK):
        for verb in (("demo", "--minutes", "3"), ("init",)):
            done = tradebot(tmp_path, *verb)
            assert (done.returncode, "demo, process" in done.stderr) == (6, True)
    assert not (tmp_path / "state" / "state.id").exists()


def test_a_demo_takes_the_place_of_another_keeps_what_a_person_edited_and_plays_a_half_day_to_its_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, times in SELDOM.items():
        monkeypatch.setenv(name, times)
    assert tradebot(tmp_path, "demo", "--minutes", "1", "--symbols", "2").returncode == 0
    edited = tmp_path / "state" / "tradebot.yaml"
    edited.write_text(edited.read_text() + "# mine\n")
    done = tradebot(tmp_path, "demo", "--start", "2026-11-27", "--symbols", "1")
    assert "note: your tradebot.yaml was moved to state/aside-1" in done.stderr
    assert (tmp_path / "state" / "aside-1" / "tradebot.yaml").read_text().endswith("# mine\n")
    assert "210 minutes, 1 symbols" in done.stdout
    again = tradebot(tmp_path, "demo", "--minutes", "3", "--symbols", "2", "--json")
    data = document(again)
    assert (again.stderr, data["minutes"], data["symbols"]) == ("", 3, 2)
    assert data["funnel"]["candidates"] == data["funnel"]["orders"] + sum(r["count"] for r in data["funnel"]["reasons"])
    sandbox.stop(tmp_path / "state" / "exchange")


def test_a_wrong_configuration_leaves_the_earlier_demo_alone(
    played: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = played
    assert tradebot(folder, "demo", "--seed", "-1").returncode == 2
    assert tradebot(folder, "status").returncode == 0


def test_one_corrupted_fill_is_seen_and_fails_the_demo(
    played: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    state = played[0] / "state"
    with opened(Options(str(state)), os.environ) as app:
        session = app.ledger.sessions(app.now().date(), app.now().date())[0]
        assert app.ledger.fills(), "nothing was traded, so nothing can be corrupted"
        assert demo.report(app, session, int(MINUTES), 0.0).exit_code == 0

    with by_hand.opened(state / "ledger.db") as ledger:
        sequence, body = ledger.execute("SELECT sequence, body FROM fills ORDER BY sequence LIMIT 1").fetchone()
        fill = json.loads(body)
        fill["fill"]["price"] = str(float(fill["fill"]["price"]) + 0.01)
        ledger.execute("UPDATE fills SET body = ? WHERE sequence = ?", (json.dumps(fill), sequence))
    ledger.close()

    with opened(Options(str(state)), os.environ) as app:
        report = demo.report(app, session, int(MINUTES), 0.0)
    assert report.exit_code == 1
    differences = " ".join(report.data.differences)
    assert "cash account" in differences
    assert "equity" in differences


def test_flags_of_a_demo_are_the_last_layer_of_its_configuration() -> None:
    assert flags_of("sandbox", {"seed": 9}, {"universe": ["AAPL"]}) == {
        "mode": "sandbox",
        "sandbox": {"seed": 9},
        "universe": ["AAPL"],
    }
