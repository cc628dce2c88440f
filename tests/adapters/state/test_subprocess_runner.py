"""A verb in its own process: its exit code and last output, and its end when it is over its limit or stopped."""

import os
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.kit.bot.folder import Bot
from tests.kit.waiting import until
from tradebot.adapters.state import subprocess_runner
from tradebot.adapters.state.subprocess_runner import KEPT, Confirmation, ConfirmedAt, OneShots
from tradebot.errors import ExitCode
from tradebot.model.struct_tools import replace
from tradebot.model.variables import CONFIRMED, HANDED_OVER

TALKS = "import sys; print('x' * 9_000_000); print('the end', flush=True); sys.exit(7)"
HANGS = "import time; print('begun', flush=True); time.sleep(60)"
TAKES_OVER = """
import os
from tradebot.adapters.plugins.linux_syscalls import end_with_parent
from tradebot.adapters.state.subprocess_runner import take_over
take_over(os.environ, end_with_parent)
"""
SHOWS = """
import os
from pathlib import Path
from tradebot.adapters.plugins.linux_syscalls import end_with_parent
from tradebot.adapters.state.subprocess_runner import take_over
print("started with it:", b"a-key-of-this-test" in Path("/proc/self/environ").read_bytes())
take_over(os.environ, end_with_parent)
print("taken over:", os.environ.get("ALPACA_KEY") == "a-key-of-this-test" and "TRADEBOT_HANDED_OVER" not in os.environ)
"""
CONFIRMED_BY = """
import os
from pathlib import Path
from tradebot.adapters.plugins.linux_syscalls import end_with_parent
from tradebot.adapters.state.subprocess_runner import take_confirmation, take_over
take_over(os.environ, end_with_parent)
shown = Path("/proc/self/environ").read_bytes() + Path("/proc/self/cmdline").read_bytes()
print([take_confirmation(), take_confirmation()], "TRADEBOT_CONFIRMED" in os.environ, b"AAPL" in shown)
"""
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {HANGS}"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OneShots:
    """Run the code in a file, whatever the verb is."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path / 'code.py'}\n")
    program.chmod(0o755)
    monkeypatch.setattr(subprocess_runner, "PATIENCE_S", 0.5)
    monkeypatch.setattr(sys, "executable", str(program))
    return OneShots(tmp_path)


def test_one_shot_returns_exit_code_and_output(bot: Bot) -> None:
    ended = OneShots(bot.folder)(["status", "--json"], 120, lambda: False)
    assert (ended.code, ended.why) == (0, None)
    assert ended.output.endswith("}")
    wrong = OneShots(bot.folder, "/nowhere.yaml")(["status"], 120, lambda: False)
    assert (wrong.code, "/nowhere.yaml" in wrong.output) == (2, True)


def test_confirmation_goes_through_the_pipe_alone_and_counts_once(
    runs: OneShots, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs.folder / "code.py").write_text(CONFIRMED_BY)
    monkeypatch.setenv(CONFIRMED, '{"source": "page", "typed": "MSFT", "token": null}')
    typed = Confirmation(ConfirmedAt.PAGE, "AAPL", "a-token")
    for given in (typed, None):
        ended = runs(["flatten"], 60, lambda: False, given)
        assert (ended.code, ended.output) == (0, f"{[given, None]} False False")


def test_one_shot_of_one_of_several_bots_runs_in_its_own_folder(runs: OneShots, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    (runs.folder / "code.py").write_text("import os; print(os.getcwd())")
    inside = replace(runs, working_folder=tmp_path / "beside")
    printed = [each(["status"], 60, lambda: False).output for each in (runs, inside)]
    assert printed == [os.getcwd(), str(tmp_path / "beside")]


def test_one_shot_keeps_only_the_last_output(runs: OneShots) -> None:
    (runs.folder / "code.py").write_text(TALKS)
    ended = runs(["audit"], 60, lambda: False)
    assert (ended.code, ended.why, len(ended.output) <= KEPT, ended.output[-7:]) == (7, None, True, "the end")


@pytest.mark.parametrize(("code", "number"), [(HANGS, 15), (DEAF, 9)])
def test_one_shot_over_its_limit_is_ended_even_if_it_ignores_sigterm(runs: OneShots, code: str, number: int) -> None:
    (runs.folder / "code.py").write_text(code)
    began = time.monotonic()
    ended = runs(["audit"], 1, lambda: False)
    assert (ended.code, ended.why) == (-number, "ended after its limit of 1 second")
    assert time.monotonic() - began < 20


def test_one_shot_is_ended_when_serve_stops(runs: OneShots) -> None:
    (runs.folder / "code.py").write_text(HANGS)
    ended = runs(["audit"], 60, lambda: True)
    assert (ended.code, ended.why) == (-15, "stopped")


def test_key_reaches_a_one_shot_but_not_its_initial_environment(
    runs: OneShots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPACA_KEY", "a-key-of-this-test")
    (runs.folder / "code.py").write_text(SHOWS)
    assert runs(["audit"], 60, lambda: False).output.splitlines() == ["started with it: False", "taken over: True"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_one_shot_ends_when_its_starter_is_killed(runs: OneShots) -> None:
    started = runs.folder / "started"
    (runs.folder / "code.py").write_text(f"{TAKES_OVER}\nopen({str(started)!r}, 'w').write(str(os.getpid()))\n{HANGS}")
    starter = os.fork()
    if not starter:
        runs(["audit"], 60, lambda: False)
        os._exit(0)
    until(lambda: started.exists() and started.read_text())
    chore = os.pidfd_open(int(started.read_text()))
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    assert select.select([chore], [], [], 20)[0], "it goes on without anybody who ends it"


def test_take_over_exits_when_the_starter_is_gone() -> None:
    ours, theirs = os.pipe()
    with pytest.raises(SystemExit) as ended:
        subprocess_runner.take_over({HANDED_OVER: f"{ours} 999999999"}, lambda number: None)
    assert ended.value.code == ExitCode.TERMINATED
    os.close(ours)
    os.close(theirs)


def test_take_over_changes_nothing_in_an_ordinary_process() -> None:
    environ = {"A": "b"}
    subprocess_runner.take_over(environ, lambda number: None)
    assert environ == {"A": "b"}
