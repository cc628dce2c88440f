"""docs/guides/your-own-bot.md is true: by the log, its bot buys twice on a bad day, and once with the fix."""

import json
import os
import shlex
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.following import NOTHING, follow
from tests.kit.bot.folder import Said
from tests.kit.bot.forked import PROGRAM, start

pytestmark = pytest.mark.campaign(follows="docs/guides/your-own-bot.md")
PORT = "8787"


@pytest.fixture
def port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def run(command: str) -> Said:
    """Run Python as the guide says, with the installed `tradebot` on the path."""
    environ = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    program, *words = shlex.split(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, check=False, env=environ
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def second_terminal() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_bot_buys_twice_without_a_name_for_its_order_and_once_with_it(
    port: str,
    second_terminal: ExitStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    def serve(command: str) -> Said:
        served = second_terminal.enter_context(start(command.replace(PORT, port).split()[1:]))
        second_terminal.callback(served.terminate)
        assert served.stdout is not None
        assert f"answers at http://127.0.0.1:{port}" in served.stdout.readline()
        return NOTHING

    instead = {"tradebot exchange serve": serve, "python": run}
    said = follow("your-own-bot", capsys, instead, edit=lambda text: text.replace(PORT, port))
    assert "1 passed" in said["python -m pytest -q test_buyer.py"].out
    log = (tmp_path / "lab" / "exchange" / "log.jsonl").read_text(encoding="utf-8")
    fills = [event for event in map(json.loads, log.splitlines()) if event["event"] == "fill"]
    assert Counter(fill["client_order_id"] == "today-AAPL-1" for fill in fills) == {False: 3, True: 1}
