"""`papervenue`: what its commands make, print and refuse; and that its README can be followed."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from papervenue import cli, process, server
from papervenue.state import read_market

README = Path(__file__).resolve().parents[1] / "README.md"
CLIENTS = Path(__file__).resolve().parents[2] / "tests" / "clients"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "made"
    process.stop(tmp_path / "made")


@pytest.fixture(autouse=True)
def unserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `serve` return instead of serving; whoever needs an answer has the exchange started in the background."""
    monkeypatch.setattr(server, "serve", lambda *_, **__: None)


def serve_new(folder: Path, *words: str) -> int:
    return cli.main(["serve", "--folder", str(folder), "--sessions", "1", "--start", "2025-03-03", *words])


@pytest.mark.parametrize(
    ("words", "faces", "symbols"),
    [
        ((), ("flow", "alpaca"), "AAPL"),
        (("--as", "alpaca", "--symbols", "SPY"), ("flow", "alpaca"), "SPY"),
        (("--as", "kraken", "--symbols", "PF_XBTUSD"), ("kraken",), "PF_XBTUSD"),
        (("--as", "ibkr", "--symbols", "MES"), ("tws",), "MESH5"),
    ],
)
def test_serve_makes_a_market_of_the_venue_it_is_asked_for(
    folder: Path, words: tuple[str, ...], faces: tuple[str, ...], symbols: str
) -> None:
    assert serve_new(folder, *words) == 0
    stored = read_market(folder)
    assert (stored.spec.venue.faces, stored.spec.sessions) == (faces, 1)
    assert symbols in stored.symbols


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--as", "kraken", "--symbols", "BTC"), "no perpetual BTC"),
        (("--as", "ibkr", "--symbols", "AAPL"), "no root AAPL"),
        (("--time", "fast"), "papervenue serve --help"),
        (("--faults", "nothing-of-that-name"), "can't be used"),
        (("--bars", "nowhere.csv", "--bar-stamp", "end"), "nowhere.csv"),
    ],
)
def test_what_serve_refuses_leaves_no_market_behind(
    folder: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve_new(folder, *words) in (1, 2)
    assert says in capsys.readouterr().err
    assert not (folder / "market.json").exists()


def test_a_market_keeps_its_venue(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (serve_new(folder, "--as", "kraken"), serve_new(folder), serve_new(folder, "--as", "ibkr")) == (0, 0, 2)
    assert "papervenue serve --as kraken, or use another --folder for ibkr" in capsys.readouterr().err


def test_commands_move_time_arm_faults_and_reset_accounts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ran(*words: str) -> str:
        assert cli.main([*words, "--folder", str(folder)]) == 0
        return capsys.readouterr().out

    assert serve_new(folder, "--symbols", "SPY") == 0
    assert ran("tick", "open") == "2025-03-03T14:30:00Z: open until 2025-03-03T21:00:00Z\n"
    assert json.loads(ran("tick", "7m", "--json"))["now"] == "2025-03-03T14:37:00Z"
    assert ran("faults", "add", "lost-reply").startswith("lost-reply: when ")
    assert "  faults armed: lost-reply\n" in ran("status")
    assert ran("faults", "clear", "lost-reply") == "No faults are armed.\n"
    assert ran("faults", "show", "lost-reply").endswith("what: reply_lost\n")
    assert "lost-reply" in ran("faults", "ready")
    assert ran("reset", "main", "--cash", "5000").endswith(" and 5000 cash\n")
    assert ran("page").startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("status",), "papervenue serve --folder NEW"),
        (("tick", "soon"), "can't read 'soon' as a time step"),
        (("faults", "clear", "nothing"), "nothing"),
        (("faults", "show", "nothing"), "papervenue faults ready"),
        (("reset", "nobody"), "nobody"),
    ],
)
def test_refusals_say_what_to_do(
    folder: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if words != ("status",):
        serve_new(folder, "--symbols", "SPY")
    assert cli.main([*words, "--folder", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert says in error


def interpreter(program: str) -> str:
    """Return the Python that has what a program of the README imports; skip the test if none has."""
    if "import ccxt" not in program:
        return sys.executable
    python = CLIENTS / "kraken" / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("needs other clients: make clients")
    return str(python)


@pytest.mark.campaign
@pytest.mark.parametrize("client", ["alpaca-py", "ccxt", "ib_async"])
def test_readme_can_be_followed(client: str, tmp_path: Path) -> None:
    chapter = README.read_text().partition(f"with {client}\n")[2]
    console, program = re.findall(r"```(?:python)?\n(.*?)```", chapter, re.DOTALL)[:2]
    serve, tick = (line.partition("#")[0].split() for line in console.splitlines())
    with_python = interpreter(program)
    command = [sys.executable, "-m", "papervenue.cli", *serve[1:], "--json", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        status: dict[str, Any] = json.loads(serving.stdout.readline())
        subprocess.run([sys.executable, "-m", "papervenue.cli", *tick[1:]], cwd=tmp_path, check=True, timeout=60)
        program_text = re.sub(r"http://127\.0\.0\.1:\d+", status["url"], program)
        program_text = program_text.replace("7497", str(status["ports"].get("tws")))
        ran = subprocess.run(
            [with_python, "-c", program_text], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        serving.send_signal(signal.SIGINT)
    assert (ran.returncode, serving.returncode) == (0, 0), ran.stderr
    assert "filled" in ran.stdout.lower() or "BTC/USD:USD" in ran.stdout
