"""One writer per state folder.

Turns at the one connection of a bot: who has it, who waits for it, and who keeps it for a while.
"""

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.kit.fakes.machine import another_process
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.state_locks import HELD, WANTED, ExitPriority, VenueLease
from tradebot.errors import ExitCode, OperatorError, TemporaryError, TradebotError


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
        with pytest.raises(TradebotError, match="it recorded no name"), state_locks.hold(tmp_path, "halt", wait_s=0.0):
            pass


def test_hold_ignores_a_lock_on_a_replaced_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[int] = []
    kernel_flock, mine = fcntl.flock, threading.get_ident()

    def replace_then_flock(descriptor: int, operation: int) -> None:
        # An exchange that another test has left to a thread of this process locks its own files meanwhile.
        if threading.get_ident() == mine:
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


@pytest.fixture
def wanted(tmp_path: Path) -> Iterator[ExitStack]:
    """Let another process want the connection until it is closed."""
    with ExitStack() as waiting:
        waiting.enter_context(state_locks.hold(tmp_path, "connection", name=WANTED))
        yield waiting


def taken(folder: Path) -> VenueLease:
    turn = VenueLease(folder, 0.05)
    turn.take()
    return turn


def test_a_turn_is_one_process_s_until_it_gives_it_back(tmp_path: Path) -> None:
    one = taken(tmp_path)
    one.take()
    with pytest.raises(
        TemporaryError, match=f"is connected and doesn't release the connection: connection, process {os.getpid()}"
    ):
        taken(tmp_path)
    assert state_locks.holder(tmp_path, WANTED) is None, "who gave up waiting is in nobody's way"
    one.give_back()
    one.give_back()
    other = taken(tmp_path)
    assert state_locks.holder(tmp_path, HELD) is not None
    other.give_back()


def test_whoever_waits_is_seen_with_how_long_and_nobody_before_and_after(tmp_path: Path) -> None:
    turn = VenueLease(tmp_path)
    with state_locks.hold(tmp_path, "connection", name=WANTED):
        assert not turn.waits(0), "there is nothing to hand over"
    turn.take()
    assert not turn.waits(0)
    with state_locks.hold(tmp_path, "connection", name=WANTED):
        assert not turn.waits(0.05)
        time.sleep(0.06)
        assert turn.waits(0.05)
    assert not turn.waits(0)
    turn.give_back()


def test_a_pass_that_gives_way_to_nobody_keeps_the_connection(tmp_path: Path) -> None:
    turn = taken(tmp_path)
    with state_locks.hold(tmp_path, "connection", name=WANTED):
        for steady in (state_locks.hold(tmp_path, "evaluate-exits"), ExitPriority(tmp_path).without_yielding()):
            with steady:
                assert not turn.waits(0)
            assert turn.waits(0)
        for passing in (
            state_locks.hold(tmp_path, "trade-once", gives_way=True),
            state_locks.hold(tmp_path, "x", name="fetch.lock"),
        ):
            with passing:
                assert turn.waits(0)
    turn.give_back()


def test_a_process_that_hangs_keeps_others_waiting_for_so_long_and_a_killed_one_does_not(tmp_path: Path) -> None:
    with another_process("state_locks.hold(folder, 'connection', name='venue.lock')", tmp_path) as other:
        os.kill(other.pid, signal.SIGSTOP)
        with pytest.raises(TemporaryError, match=f"process {other.pid}") as refused:
            taken(tmp_path)
        assert (refused.value.code, "kill -9 NUMBER" in refused.value.hint) == (ExitCode.UNAVAILABLE, True)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        taken(tmp_path).give_back()


def test_what_stands_in_a_locks_place_is_named(tmp_path: Path) -> None:
    (tmp_path / WANTED).symlink_to("elsewhere")
    with pytest.raises(OperatorError, match="can't be used"):
        taken(tmp_path)


def test_where_no_lock_can_be_made_there_are_no_turns(tmp_path: Path) -> None:
    turn = taken(tmp_path / "gone")
    assert not turn.waits(0)
    turn.give_back()
