"""One writer per state folder."""

import fcntl
import json
import os
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.kit.fakes.machine import another_process
from tradebot.adapters.state import state_locks
from tradebot.errors import ExitCode, OperatorError, TradebotError


def another_process_holding(folder: Path) -> AbstractContextManager["subprocess.Popen[str]"]:
    return another_process("state_locks.hold(folder, 'serve')", folder)


def test_hold_names_the_holder_after_waiting(tmp_path: Path) -> None:
    with another_process_holding(tmp_path) as holder:
        with pytest.raises(TradebotError) as caught, state_locks.hold(tmp_path, "trade-once", wait_s=0.05):
            pass
        assert caught.value.code is ExitCode.ANOTHER_INSTANCE
        assert f"serve, process {holder.pid}, since 20" in caught.value.message


@pytest.mark.parametrize("is_killed", [False, True])
def test_hold_takes_a_lock_whose_holder_ends_or_is_killed(tmp_path: Path, is_killed: bool) -> None:
    with another_process_holding(tmp_path) as holder:
        assert holder.stdin is not None
        holder.kill() if is_killed else holder.stdin.close()
        with state_locks.hold(tmp_path, "trade-once"):
            assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_lock_is_free_after_a_failed_pass(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), state_locks.hold(tmp_path, "score"):
        _ = 1 / 0
    with state_locks.hold(tmp_path, "score", wait_s=0.0):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_holder_with_an_unreadable_note_still_holds(tmp_path: Path) -> None:
    with state_locks.hold(tmp_path, "score"):
        (tmp_path / "lock").write_bytes(b"\xff")
        with pytest.raises(TradebotError, match="it left no name"), state_locks.hold(tmp_path, "halt", wait_s=0.0):
            pass


def test_hold_ignores_a_lock_on_a_replaced_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[int] = []
    kernel_flock = fcntl.flock

    def replace_then_flock(descriptor: int, operation: int) -> None:
        if not locked:
            (tmp_path / "new").touch()
            (tmp_path / "new").replace(tmp_path / "lock")
        locked.append(os.fstat(descriptor).st_ino)
        kernel_flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replace_then_flock)
    with state_locks.hold(tmp_path, "score"):
        assert len(locked) == 2
        assert locked[-1] == (tmp_path / "lock").stat().st_ino


def test_hold_refuses_a_missing_state_folder(tmp_path: Path) -> None:
    with pytest.raises(OperatorError), state_locks.hold(tmp_path / "none", "score", wait_s=0.0):
        pass


def test_holder_names_the_process_without_waiting_or_creating_a_file(tmp_path: Path) -> None:
    assert state_locks.holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    with another_process_holding(tmp_path) as holder:
        assert str(state_locks.holder(tmp_path)).startswith(f"serve, process {holder.pid}, since 20")
    assert state_locks.holder(tmp_path) is None
