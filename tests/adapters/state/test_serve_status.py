"""Whether `serve` runs is shown by its lock; what it said about itself is read as it was written, or not at all.

The service manager hears what is sent, over both kinds of addresses; one that is deaf or absent delays nothing.

Starts that ended well don't count, those that didn't do for ten minutes, and the file never grows.
"""

import os
import signal
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradebot.adapters.state import state_locks
from tradebot.adapters.state.serve_status import (
    MOST_STARTS,
    Supervisor,
    forget_start,
    is_running,
    read_serving,
    record_start,
    write_serving,
)
from tradebot.adapters.state.state_folder import SERVING, STARTS
from tradebot.model.serving import ServeNote

NOW = datetime(2026, 11, 16, 15, 0, 0, 250_000, tzinfo=UTC)
FULL = ServeNote(
    pid=4711,
    since=NOW,
    lanes={"exits": NOW, "entries": NOW + timedelta(seconds=1)},
    at=NOW + timedelta(seconds=2),
    version="0.1.0",
    started_ticks=123,
    boot_id="b",
    ready_at=NOW,
    troubles={"config": "limits.max_open_positions: not a number"},
    memory_bytes=1,
    descriptors=12,
)


@pytest.mark.parametrize("serving", [FULL, ServeNote(1, NOW, {}, NOW, "0.1.0")])
def test_serving_note_is_read_as_written_and_leaves_no_draft(tmp_path: Path, serving: ServeNote) -> None:
    write_serving(tmp_path, FULL)
    write_serving(tmp_path, serving)
    assert read_serving(tmp_path) == serving
    assert [file.name for file in tmp_path.iterdir()] == [SERVING]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "many"}', "\x00" * 400])
def test_unreadable_serving_note_is_none(tmp_path: Path, text: str) -> None:
    assert read_serving(tmp_path) is None
    (tmp_path / SERVING).write_text(text)
    assert read_serving(tmp_path) is None


def test_failed_write_leaves_the_old_note_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    write_serving(tmp_path, FULL)
    monkeypatch.setattr(Path, "replace", full)
    write_serving(tmp_path, ServeNote(2, NOW, {}, NOW, "0.1.0"))
    assert read_serving(tmp_path) == FULL
    assert [file.name for file in tmp_path.iterdir()] == [SERVING]


def test_is_running_is_true_while_serve_holds_its_lock_with_or_without_a_name(tmp_path: Path) -> None:
    write_serving(tmp_path, FULL)
    assert not is_running(tmp_path)
    with state_locks.hold(tmp_path, "serve", name=state_locks.SERVE_LOCK):
        assert is_running(tmp_path)
        (tmp_path / state_locks.SERVE_LOCK).write_bytes(b"")
        assert is_running(tmp_path)
    assert not is_running(tmp_path)
    with state_locks.hold_all(tmp_path, "restore"):
        assert not is_running(tmp_path)


def test_is_running_is_false_after_the_process_was_killed(tmp_path: Path) -> None:
    held, holds = os.pipe()
    child = os.fork()
    if not child:
        with state_locks.hold(tmp_path, "serve", name=state_locks.SERVE_LOCK):
            os.write(holds, b"1")
            signal.pause()
    os.read(held, 1)
    try:
        assert is_running(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(held)
        os.close(holds)
    assert not is_running(tmp_path)


@pytest.mark.parametrize("abstract", [False, True])
def test_each_message_is_one_datagram_of_lines(tmp_path: Path, abstract: bool) -> None:
    name = f"tradebot-test-{os.getpid()}"
    address = f"@{name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else address)
        supervisor = Supervisor({"NOTIFY_SOCKET": address})
        supervisor.tell(READY="1", STATUS="two\nlines")
        supervisor.tell(WATCHDOG="1")
        assert [manager.recv(4096), manager.recv(4096)] == [b"READY=1\nSTATUS=two lines", b"WATCHDOG=1"]


def test_tell_returns_when_the_manager_is_gone_or_never_reads(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    gone = Supervisor({"NOTIFY_SOCKET": str(address)})
    gone.tell(READY="1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        for _ in range(2_000):
            gone.tell(STATUS="x" * 4_000)
        assert manager.recv(8_192).startswith(b"STATUS=xxx")


@pytest.mark.parametrize("environ", [{"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": ""}, {}])
def test_tell_sends_nothing_without_a_reachable_manager(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("it opened a socket"))
    Supervisor(environ).tell(WATCHDOG="1")


NOON = datetime(2026, 11, 16, 12, 0, 0, 123_456, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def test_each_start_counts_for_ten_minutes(tmp_path: Path) -> None:
    assert [record_start(tmp_path, NOON + number * MINUTE) for number in range(5)] == [1, 2, 3, 4, 5]
    assert record_start(tmp_path, NOON + 10 * MINUTE - SECOND) == MOST_STARTS + 1
    assert record_start(tmp_path, NOON + 30 * MINUTE) == 1


def test_many_starts_keep_a_small_file(tmp_path: Path) -> None:
    assert [record_start(tmp_path, NOON + number * SECOND) for number in range(50)][MOST_STARTS:] == [
        MOST_STARTS + 1
    ] * 45
    assert (tmp_path / STARTS).stat().st_size < 300


def test_a_start_that_ended_well_is_forgotten(tmp_path: Path) -> None:
    for number in range(20):
        at = NOON + number * SECOND
        assert record_start(tmp_path, at) == 1
        forget_start(tmp_path, at)


def test_note_start_counts_starts_when_the_clock_was_set_back(tmp_path: Path) -> None:
    assert [record_start(tmp_path, NOON - number * MINUTE) for number in range(7)][-1] == MOST_STARTS + 1


@pytest.mark.parametrize("text", ["", "{", "[1]", '["yesterday"]', '["2026-11-16T12:00:00"]', "7"])
def test_unreadable_file_of_starts_counts_nothing_and_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / STARTS).write_text(text)
    assert record_start(tmp_path, NOON) == 1
    assert record_start(tmp_path, NOON + SECOND) == 2


def test_a_start_that_cannot_be_noted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        record_start(tmp_path / "none", NOON)
