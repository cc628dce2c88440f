"""The boundary of a command: full disks, closed streams, poor encodings, signals, folders of others."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from commands.shared.error_boundary import KEPT_OTHERWISE, run_command
from commands.shared.listed_verbs import VERBS
from tests.kit.bot.folder import Bot
from tests.kit.bot.forked import run
from tests.kit.fakes.machine import drop
from tests.kit.rows import NOW
from tests.kit.values import DECISIONS_KEPT, FACTS_KEPT
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.state.events import JsonlEvents
from tradebot.errors import OperatorError

PROGRAM = (sys.executable, "-m", "tradebot")


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def shell(bot: Bot, line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "T": " ".join(PROGRAM), "TRADEBOT_STATE": str(bot.folder), **environ}
    command = ["/bin/bash", "-c", line]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=settings, timeout=120)


@pytest.mark.parametrize("line", ["$T status > /dev/full", "$T status --json > /dev/full", "$T --help > /dev/full"])
def test_full_output_is_reported_in_one_sentence(bot: Bot, line: str) -> None:
    done = shell(bot, line)
    assert (done.returncode, done.stderr.count("error:"), "Traceback" in done.stderr) == (1, 1, False)
    assert "the output can't be written: No space left on device" in done.stderr


def test_error_with_closed_stderr_keeps_its_exit_code(bot: Bot) -> None:
    assert shell(bot, "$T status --nonsense > /dev/full 2> /dev/full").returncode == 2
    assert shell(bot, "$T status --nonsense >&- 2>&-").returncode == 2


@pytest.mark.parametrize(("verb", "code"), [("halt --flatten", 2), ("unhalt", 2), ("status", 0)])
def test_closed_streams_are_not_reported_as_a_bug(copy: Bot, verb: str, code: int) -> None:
    copy.says("halt")
    done = shell(copy, f"$T {verb} <&-")
    assert (done.returncode, "fault" in done.stderr, "Traceback" in done.stderr) == (code, False, False)
    assert shell(copy, f"$T {verb} <&- >&-").returncode == code


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letter_missing_from_the_encoding_becomes_a_question_mark(bot: Bot, encoding: str) -> None:
    done = shell(bot, "$T status", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "account ?" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_is_reported_with_its_exit_code(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        signal.raise_signal(number)
        return 0

    code = run_command(work, ["demo", "--json"])
    error = json.loads(capsys.readouterr().out)["error"]
    assert (code, error["code"], error["message"]) == (128 + number, 128 + number, "interrupted")
    assert error["hint"].endswith("tradebot status")


@pytest.mark.parametrize("verb", KEPT_OTHERWISE)
def test_signal_to_a_verb_without_state_says_what_is_left_of_it(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    assert run_command(interrupted, ["--debug", *verb.split(), "--agent", "ppo"]) == 130
    said = capsys.readouterr().err
    assert said == f"error: interrupted\n  next: {KEPT_OTHERWISE[verb]}\n"
    assert ("nothing was kept" in said) == (verb == "learn policy train")
    assert VERBS[verb].elsewhere


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_that_a_library_replaces_is_no_bug(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        try:
            signal.raise_signal(number)
        except BaseException as lost:
            raise ValueError("the schema can't be built") from lost
        return 0

    assert run_command(work, ["status"]) == 128 + number
    assert capsys.readouterr().err.startswith("error: interrupted\n")
    assert run_command(raiser(ValueError("later")), ["status"]) == 1
    assert "bug" in capsys.readouterr().err


def raiser(fault: Exception) -> Callable[[], int]:
    def work() -> int:
        raise fault

    return work


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (OperatorError("no", "do this"), 2, "error: no\n  next: do this\n"),
        (
            PermissionError(13, "Permission denied", "/x"),
            1,
            "error: /x: Permission denied\n  next: check its owner and permissions: ls -ld /x",
        ),
        (ZeroDivisionError("odd"), 1, "error: this is a bug in tradebot: ZeroDivisionError: odd\n  next: run it again"),
    ],
)
def test_an_exception_is_a_sentence(fault: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(raiser(fault), ["status"]) == code
    assert capsys.readouterr().err.startswith(said)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str | None, str | None, str | None]:
    run_command(raiser(OperatorError("no")), ["status", "--json", *arguments])
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["message"] == "no"
    return document["mode"], document["venue"], document["account"]


def test_error_document_names_mode_venue_and_account(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "--state-dir", str(bot.folder)) == ("sandbox", "alpaca", bot.tail())
    monkeypatch.setenv("TRADEBOT_STATE", str(bot.folder))
    assert told(capsys) == ("sandbox", "alpaca", bot.tail())
    assert told(capsys, "--state-dir", str(bot.folder / "nothing")) == (None, None, None)


@pytest.mark.parametrize("marker", ["", "{}", "[" * 100_000, "\udcff"])
def test_unreadable_marker_does_not_hide_the_error(copy: Bot, marker: str, capsys: pytest.CaptureFixture[str]) -> None:
    (copy.folder / "state.id").write_text(marker, errors="surrogateescape")
    assert told(capsys, "--state-dir", str(copy.folder)) == (None, None, None)
    assert told(capsys, "--state-dir", "\0") == (None, None, None)


@pytest.mark.parametrize("verb", ["halt", "status", "init", "demo"])
def test_forbidden_folder_is_reported_in_one_sentence(copy: Bot, verb: str) -> None:
    copy.folder.chmod(0)
    done = run([verb, "--state-dir", str(copy.folder)], first=drop)
    copy.folder.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: The state folder {copy.folder} can't be read: Permission denied.\n  next: ")


@pytest.mark.parametrize("ended", ["cleanly", "killed"])
@pytest.mark.parametrize(("verb", "code"), [("status", 0), ("why-no-orders", 10)])
def test_read_only_folder_can_be_read(copy: Bot, verb: str, code: int, ended: str) -> None:
    facts = SqliteFacts(copy.folder, JsonlEvents(copy.folder / "system_events.jsonl"), NOW)
    facts.prune(NOW, FACTS_KEPT, DECISIONS_KEPT)
    if ended == "cleanly":
        facts.close()
    # What is open here is copied as it would be left by one that is killed now.
    folder = copy.folder.with_name("left")
    shutil.copytree(copy.folder, folder)
    facts.close()
    before = sorted(path.name for path in folder.iterdir())
    assert ("facts.db-wal" in before) is (ended == "killed")
    modes = {path: path.stat().st_mode for path in (folder, *folder.iterdir())}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    done = run([verb, "--state-dir", str(folder)], first=drop)
    for path, mode in modes.items():
        path.chmod(mode)
    assert (done.returncode, done.stderr) == (code, "")
    assert sorted(path.name for path in folder.iterdir()) == before
