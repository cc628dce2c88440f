"""`tradebot watchdog`: whatever becomes of a bot, somebody is told once, and told when it is over."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from commands.watchdog import watch
from commands.watchdog.watch import MEMORY
from tests.kit.bot import forked
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, typed
from tests.kit.fakes.receivers import Answer, Receiver, hang, receiving, says
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.serve_status import write_serving
from tradebot.model.serving import ServeNote


@pytest.fixture(autouse=True)
def told_by_a_copy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a copy of this process tell a bot's health, unless a test wants the program."""
    if "new_interpreters" not in request.fixturenames:
        monkeypatch.setattr(watch, "subprocess", Copies)


class Copies:
    """Stands for the module `subprocess`."""

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    @staticmethod
    def run(command: Sequence[str], *, env: dict[str, str], **_: object) -> "subprocess.CompletedProcess[str]":
        assert command[1:3] == ["-m", "tradebot"]
        return forked.run(command[3:], TRADEBOT_STATE=env["TRADEBOT_STATE"])


class Watch:
    """A watch over one bot, and what it says."""

    def __init__(self, folder: Path, bot: str, capture: pytest.CaptureFixture[str], late_s: int = 1) -> None:
        self.folder = folder
        self._capture = capture
        folder.mkdir(exist_ok=True)
        settings = {"channels": ["phone"], "bots": {"main": bot}, "late_s": late_s}
        (folder / "watchdog.yaml").write_text(json.dumps(settings))

    def says(self, *more: str) -> Any:
        """Return the exit code and the data of one round."""
        said = typed(self._capture, "watchdog", "--once", "--folder", str(self.folder), "--json", *more)
        return said.code, json.loads(said.out)["data"]

    def ages(self, seconds: int) -> None:
        """Let what the watch knows be that much older."""
        memory = json.loads((self.folder / MEMORY).read_text())
        for cause in memory["causes"].values():
            since = datetime.fromisoformat(cause["since"]) - timedelta(seconds=seconds)
            cause["since"] = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        (self.folder / MEMORY).write_text(json.dumps(memory))


def gone(bot: Bot) -> None:
    shutil.rmtree(bot.folder)


def broken_configuration(bot: Bot) -> None:
    (bot.folder / "tradebot.yaml").write_text("limits: {nonsense: 1}\n")
    (bot.folder / "ledger.db").write_bytes(b"")


def silent(bot: Bot) -> None:
    old = datetime.now(UTC) - timedelta(hours=1)
    write_serving(bot.folder, ServeNote(os.getpid(), old, {"exits": old}, old, "1.0"))


@pytest.mark.campaign
@pytest.mark.parametrize("becomes", [gone, broken_configuration, silent], ids=lambda found: found.__name__)
@pytest.mark.usefixtures("new_interpreters")
def test_cause_is_told_once_and_its_end_once(
    copy: Bot, tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str], becomes: Callable[[Bot], None]
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(copy.folder, kept)
    watch = Watch(tmp_path / "watch", str(copy.folder), capsys)
    code, data = watch.says()
    before = {each["found"] for each in data["wrong"]}
    becomes(copy)
    code, data = watch.says()
    assert code == 10
    assert {each["found"] for each in data["wrong"]} - before
    watch.ages(5)
    watch.says()
    assert receiver.bodies().count("CRITICAL") == 2, "in the title and as the severity of one message"
    watch.says()
    assert len(receiver.got) == 1
    shutil.rmtree(copy.folder, ignore_errors=True)
    shutil.copytree(kept, copy.folder)
    watch.says()
    assert len(receiver.got) == 2
    assert "over after" in receiver.bodies()
    watch.says()
    assert len(receiver.got) == 2


def test_soon_over_is_not_told(
    copy: Bot, tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Watch(tmp_path / "watch", str(copy.folder / "nowhere"), capsys, late_s=600).says()[0] == 10
    Watch(tmp_path / "watch", str(copy.folder), capsys, late_s=600).says()
    assert receiver.got == []


def test_alarm_that_could_not_be_sent_is_tried_in_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(tmp_path / "watch", str(tmp_path / "nowhere"), capsys)
    watch.says()
    watch.ages(5)
    with receiving(says(500)) as broken:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{broken.address}/hook")
        code, data = watch.says()
    assert (code, data["problems"]) == (5, {"phone": "the receiver answered 500"})
    assert [each["told"] for each in data["wrong"]] == [False]
    with receiving() as receiver:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook")
        code, data = watch.says()
        assert len(receiver.got) == 1
    assert (code, [each["told"] for each in data["wrong"]]) == (10, [True])


def test_memory_that_cannot_be_written_costs_a_repeated_alarm_and_no_silence(
    tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(tmp_path / "watch", str(tmp_path / "nowhere"), capsys)
    watch.says()
    watch.ages(5)
    before = (watch.folder / MEMORY).read_text()
    watch.folder.chmod(0o500)
    try:
        if os.access(watch.folder, os.W_OK):
            watch.folder.chmod(0o700)
            (watch.folder / MEMORY).unlink()
            (watch.folder / MEMORY).mkdir()
        code, data = watch.says()
    finally:
        watch.folder.chmod(0o700)
    assert code == 5
    assert "so alarms are sent at once and repeated" in data["problems"]["memory"]
    assert before


def breaks_off(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b"{")


def trickles(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    with suppress(OSError):
        for _ in range(100):
            request.wfile.write(b" ")
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (breaks_off, "its health port's answer was interrupted: ProtocolError"),
        (
            says(200, b"nonsense", **{"Content-Encoding": "gzip"}),
            "its health port's answer was interrupted: DecodeError",
        ),
        (trickles, "its health port's answer wasn't complete in 1 s"),
    ],
)
def test_health_port_whose_answer_is_no_whole_one_is_a_cause_and_ends_no_watch(
    tmp_path: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Answer,
    found: str,
) -> None:
    monkeypatch.setattr("commands.watchdog.watch.LIMIT_S", 1.0)
    with receiving(answer) as port:
        code, data = Watch(tmp_path / "watch", f"http://{port.address}", capsys).says()
    assert (code, [each["found"] for each in data["wrong"]]) == (10, [found])


def test_health_port_needs_no_folder(tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    _, data = Watch(tmp_path / "watch", "http://127.0.0.1:9", capsys).says()
    assert [each["found"] for each in data["wrong"]] == ["its health port can't be reached: ConnectionError"]


def test_ping_goes_out_once_an_hour_and_only_while_all_is_well(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    well = json.dumps({"subsystems": [{"subject": "exits", "state": "OK", "found": "x"}]}).encode()
    with receiving(says(200, well)) as port:
        monkeypatch.setenv("WATCHDOG_PING", f"http://{port.address}/ping")
        watch = Watch(tmp_path / "watch", f"http://{port.address}", capsys)
        assert [watch.says()[1]["pinged"] for _ in range(3)] == [True, False, False]
        assert [path for path, _ in port.got].count("/ping") == 1
    failed = well.replace(b"OK", b"FAILED")
    with receiving(says(503, failed)) as port:
        monkeypatch.setenv("WATCHDOG_PING", f"http://{port.address}/ping")
        watch = Watch(tmp_path / "other", f"http://{port.address}", capsys)
        code, data = watch.says()
    assert (code, data["pinged"], data["wrong"][0]["found"]) == (10, False, "exits: x")


def test_receiver_that_hangs_ends_the_round_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tradebot.adapters.notices.sender.LIMIT_S", 1.0)
    watch = Watch(tmp_path / "watch", str(tmp_path / "nowhere"), capsys)
    watch.says()
    watch.ages(5)
    with receiving(hang) as stuck:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{stuck.address}/hook")
        began = time.monotonic()
        code, _ = watch.says()
    assert code == 5
    assert time.monotonic() - began < 15


@pytest.mark.usefixtures("new_interpreters")
def test_failed_unit_is_told_at_once_and_each_time(
    copy: Bot, tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(tmp_path / "watch", str(copy.folder), capsys, late_s=600)
    for count in (1, 2):
        code, data = watch.says("--failed", "tradebot-exits@main")
        assert code == 10
        assert (
            data["wrong"][-1]["found"]
            == "tradebot-exits@main failed, and systemd doesn't start it again: systemctl status"
        )
        assert receiver.bodies().count("tradebot-exits main failed") == count


def test_failed_unit_that_nobody_could_be_told_of_is_told_in_the_next_round_and_only_once(
    copy: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(tmp_path / "watch", str(copy.folder), capsys, late_s=600)
    with receiving(says(500)) as broken:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{broken.address}/hook")
        code, data = watch.says("--failed", "tradebot@main.service")
    assert (code, data["wrong"][-1]["told"]) == (5, False)
    with receiving() as receiver:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook")
        code, data = watch.says()
        assert (code, data["wrong"][-1]["bot"], data["wrong"][-1]["told"]) == (10, "tradebot@main.service", True)
        _, data = watch.says()
        assert "tradebot@main.service" not in {each["bot"] for each in (*data["wrong"], *data["over"])}
        assert receiver.bodies().count("failed, and systemd doesn't start it again") == 1


def test_without_settings_the_way_to_write_them_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuses(typed(capsys, "watchdog", "--once", "--folder", str(tmp_path)), 2, "watchdog.yaml doesn't exist", "bots:")


@pytest.mark.parametrize(
    ("text", "why"),
    [("channels: []\nbots: {main: x}", "channels"), ("channels: [a]\nbots: {}", "bots"), ("nonsense: 1", "nonsense")],
)
def test_wrong_settings_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str) -> None:
    (tmp_path / "watchdog.yaml").write_text(text)
    refuses(typed(capsys, "watchdog", "--once", "--folder", str(tmp_path)), 2, why)


@pytest.mark.parametrize(("state", "runs", "causes"), [("DEGRADED", False, 1), ("DEGRADED", True, 0), ("OK", False, 0)])
def test_serve_that_was_stopped_is_a_cause_where_no_slot_is_ever_late(
    state: str, runs: bool, causes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = {
        "subject": "serve",
        "state": state,
        "found": "it was stopped, and nothing else runs the slots that are due",
    }
    said = json.dumps({"data": {"judgments": [judged]}}).encode()
    ended = subprocess.CompletedProcess([], 0, said, b"")
    monkeypatch.setattr(Copies, "run", staticmethod(lambda command, **_: ended))
    with state_locks.hold(tmp_path, "serve", name=state_locks.SERVE_LOCK) if runs else nullcontext():
        assert len(watch.find_problems(str(tmp_path)).causes) == causes
