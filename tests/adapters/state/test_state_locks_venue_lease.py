"""Turns at the one connection of a bot: who has it, who waits for it, and who keeps it for a while."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.fakes.machine import another_process
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.state_locks import HELD, WANTED, ExitPriority, VenueTurn
from tradebot.errors import ExitCode, OperatorError, TemporaryError


@pytest.fixture
def wanted(tmp_path: Path) -> Iterator[ExitStack]:
    """Let another process want the connection until it is closed."""
    with ExitStack() as waiting:
        waiting.enter_context(state_locks.hold(tmp_path, "connection", name=WANTED))
        yield waiting


def taken(folder: Path) -> VenueTurn:
    turn = VenueTurn(folder, 0.05)
    turn.take()
    return turn


def test_a_turn_is_one_process_s_until_it_gives_it_back(tmp_path: Path) -> None:
    one = taken(tmp_path)
    one.take()
    with pytest.raises(TemporaryError, match=f"connected, and doesn't hand over: connection, process {os.getpid()}"):
        taken(tmp_path)
    assert state_locks.holder(tmp_path, WANTED) is None, "who gave up waiting is in nobody's way"
    one.give_back()
    one.give_back()
    other = taken(tmp_path)
    assert state_locks.holder(tmp_path, HELD) is not None
    other.give_back()


def test_whoever_waits_is_seen_and_how_long(tmp_path: Path, wanted: ExitStack) -> None:
    turn = VenueTurn(tmp_path)
    assert not turn.waits(0), "there is nothing to hand over"
    wanted.close()
    turn.take()
    wanted.enter_context(state_locks.hold(tmp_path, "connection", name=WANTED))
    assert not turn.waits(0.05)
    time.sleep(0.06)
    assert turn.waits(0.05)
    turn.give_back()


def test_nobody_waits_at_first_and_after_a_process_gave_up(tmp_path: Path) -> None:
    turn = taken(tmp_path)
    assert not turn.waits(0)
    with state_locks.hold(tmp_path, "connection", name=WANTED):
        assert turn.waits(0)
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
