"""Whether `serve` runs is shown by its lock; what it said about itself is read as it was written, or not at all."""

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradebot.adapters.state import state_locks
from tradebot.adapters.state.serve_status import is_running, read_serving, write_serving
from tradebot.adapters.state.state_folder import SERVING
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


def test_is_running_is_true_while_the_lock_is_held(tmp_path: Path) -> None:
    write_serving(tmp_path, FULL)
    assert not is_running(tmp_path)
    with state_locks.hold(tmp_path, "serve", name=state_locks.SERVE_LOCK):
        assert is_running(tmp_path)
    assert not is_running(tmp_path)


def test_is_running_is_true_for_a_holder_without_a_name(tmp_path: Path) -> None:
    with state_locks.hold(tmp_path, "serve", name=state_locks.SERVE_LOCK):
        (tmp_path / state_locks.SERVE_LOCK).write_bytes(b"")
        assert is_running(tmp_path)


def test_is_running_is_false_while_another_verb_holds_the_lock(tmp_path: Path) -> None:
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
