"""ARMED must be there and HALT must not: everything else adds no risk.

Who finds the send lock free after a latch fell knows that no order which saw the older state is still to begin.
"""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.kit.adapters.alpaca import intent
from tests.kit.fakes.machine import ROOT, another_process, without_privileges
from tests.kit.rows import NOW, minutes
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.send_lock import FolderSendLock, in_flight
from tradebot.adapters.state.state_folder import SENDING
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.trading import TradingState, TradingStateRecord


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    halt_switch.arm(tmp_path, "init", NOW)
    return tmp_path


def halt(folder: Path, state: str = "REDUCE_ONLY") -> None:
    halt_switch.halt(folder, "me", "storm", minutes(1), state)


def end_halt(folder: Path) -> None:
    """End the halt that is there, as the ledger does between its own rows."""
    assert halt_switch.lift(folder, halt_switch.halt_stat(folder))
    halt_switch.arm(folder, "me", minutes(2))


@pytest.mark.parametrize("state", ["REDUCE_ONLY", "FLATTEN"])
def test_halt_disarms_and_says_who_why_and_when_until_it_is_ended(folder: Path, state: str) -> None:
    assert halt_switch.is_armed(folder)
    assert halt_switch.read(folder) == TradingStateRecord(TradingState.ACTIVE, "init", "armed", NOW)
    halt(folder, state)
    assert not halt_switch.is_armed(folder)
    assert halt_switch.read(folder) == TradingStateRecord(TradingState(state), "me", "storm", minutes(1))
    end_halt(folder)
    assert halt_switch.read(folder) == TradingStateRecord(TradingState.ACTIVE, "me", "armed", minutes(2))


def test_a_halt_file_made_by_hand_halts(folder: Path) -> None:
    (folder / "HALT").touch()
    laid = datetime.fromtimestamp((folder / "HALT").stat().st_mtime, UTC)
    assert halt_switch.read(folder) == TradingStateRecord(TradingState.REDUCE_ONLY, "file", "HALT file", laid)


def claim_to_be_active(path: Path) -> None:
    """Write a HALT that says ACTIVE, and arm the folder beside it."""
    halt(path.parent, "ACTIVE")
    halt_switch.arm(path.parent, "someone", NOW)


CONTENTS = (b"{", b"\xff\xfe", b"[1]", b'{"state": "ACTIVE"}', b"null", b'{"state":"x","who":1,"why":2,"at":3}')
HALTS: tuple[Callable[[Path], object], ...] = (
    *(partial(Path.write_bytes, data=content) for content in CONTENTS),
    partial(Path.symlink_to, target="nowhere"),
    claim_to_be_active,
)


@pytest.mark.parametrize("make", HALTS)
def test_anything_named_halt_that_is_no_valid_record_halts(folder: Path, make: Callable[[Path], object]) -> None:
    make(folder / "HALT")
    assert halt_switch.read(folder).state is TradingState.REDUCE_ONLY


def test_folder_named_halt_halts_until_it_is_cleared(folder: Path) -> None:
    (folder / "HALT").mkdir()
    assert halt_switch.read(folder).state is TradingState.REDUCE_ONLY
    halt(folder)
    end_halt(folder)
    assert halt_switch.read(folder).state is TradingState.ACTIVE


def test_unhalt_leaves_a_filled_folder_named_halt_aside(folder: Path) -> None:
    (folder / "HALT").mkdir()
    (folder / "HALT" / "note").write_text("not yet")
    end_halt(folder)
    assert halt_switch.read(folder).state is TradingState.ACTIVE
    (aside,) = halt_switch.displaced_halt_folders(folder)
    assert [path.name for path in aside.iterdir()] == ["note"]


def test_next_unhalt_removes_what_a_killed_one_left(folder: Path) -> None:
    (folder / "HALT.1.taken").write_text("")
    end_halt(folder)
    assert [path.name for path in folder.iterdir()] == ["ARMED"]


def test_halt_that_can_not_be_checked_is_in_force(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halt(folder)
    halt_switch.arm(folder, "someone", NOW)

    def broken(path: Path) -> os.stat_result:
        raise OSError(errno.EIO, "the disk", str(path))

    monkeypatch.setattr(os, "lstat", broken)
    assert halt_switch.read(folder).state is TradingState.REDUCE_ONLY


@pytest.mark.parametrize("first", [True, False])
def test_a_newer_halt_is_not_cleared(folder: Path, first: bool) -> None:
    if first:
        halt(folder)
    shown = halt_switch.halt_stat(folder)
    halt_switch.halt(folder, "another", "fire", minutes(2), "REDUCE_ONLY")
    assert not halt_switch.lift(folder, shown)
    assert halt_switch.read(folder) == TradingStateRecord(TradingState.REDUCE_ONLY, "another", "fire", minutes(2))
    assert [path.name for path in folder.iterdir()] == ["HALT"]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        Path.mkdir,
        Path.touch,
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: path.write_text('{"state": "ACTIVE"}'),
        lambda path: path.write_text('{"state":"REDUCE_ONLY","who":"a","why":"b","at":"2026-01-05T00:00:00+00:00"}'),
    ],
)
def test_armed_file_without_a_valid_record_does_not_arm(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "ARMED")
    assert not halt_switch.is_armed(tmp_path)
    assert halt_switch.read(tmp_path).state is TradingState.REDUCE_ONLY


def run_with_full_disk(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process whose files may not grow at all, as on a full disk."""
    limit = (
        "import resource, signal, sys; from datetime import datetime, UTC; from pathlib import Path\n"
        "from tradebot.adapters.state import halt_switch\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "folder, now = Path(sys.argv[1]), datetime(2026, 1, 5, tzinfo=UTC)\n"
    )
    command = [sys.executable, "-c", limit + code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])


def test_a_halt_works_on_a_full_disk(folder: Path) -> None:
    done = run_with_full_disk("halt_switch.halt(folder, 'me', 'full', now, 'REDUCE_ONLY')", folder)
    assert done.returncode == 0, done.stderr
    # The disk was full indeed: the reason could not be written, and no half of it is left.
    assert list(folder.iterdir()) == []
    assert halt_switch.read(folder).state is TradingState.REDUCE_ONLY


@pytest.mark.parametrize(("before", "held"), [([], "REDUCE_ONLY"), (["FLATTEN"], "FLATTEN")])
def test_closing_everything_on_a_full_disk_says_what_the_files_hold(folder: Path, before: list[str], held: str) -> None:
    for state in before:
        halt(folder, state)
    done = run_with_full_disk("print(halt_switch.halt(folder, 'me', 'full', now, 'FLATTEN'))", folder)
    assert (done.stdout.strip(), halt_switch.read(folder).state.value) == (held, held), done.stderr


def test_arming_on_a_full_disk_fails_and_stays_halted(folder: Path) -> None:
    halt(folder)
    done = run_with_full_disk(
        "halt_switch.lift(folder, halt_switch.halt_stat(folder)); halt_switch.arm(folder, 'me', now)", folder
    )
    assert "CannotWriteError" in done.stderr
    assert halt_switch.read(folder).state is TradingState.REDUCE_ONLY


HALT_IT = (
    "import sys; from datetime import datetime, UTC; from pathlib import Path\n"
    "from tradebot.adapters.state import halt_switch\n"
    "print(halt_switch.halt(Path(sys.argv[1]), 'me', 'why', datetime(2026, 1, 5, tzinfo=UTC), 'REDUCE_ONLY'))"
)


def halted_where_nothing_can_be_made(folder: Path) -> subprocess.CompletedProcess[str]:
    folder.chmod(0o500)
    try:
        return without_privileges([sys.executable, "-c", HALT_IT, str(folder)])
    finally:
        folder.chmod(0o700)


def test_halt_empties_armed_in_a_read_only_folder(folder: Path) -> None:
    done = halted_where_nothing_can_be_made(folder)
    assert (done.stdout, [path.name for path in folder.iterdir()]) == ("REDUCE_ONLY\n", ["ARMED"]), done.stderr
    assert halt_switch.read(folder).state is TradingState.REDUCE_ONLY
    end_halt(folder)
    assert halt_switch.read(folder).state is TradingState.ACTIVE


def test_halt_does_not_wait_for_a_pipe_named_armed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ARMED")
    assert "CannotWriteError" in halted_where_nothing_can_be_made(tmp_path).stderr
    assert halt_switch.read(tmp_path).state is TradingState.REDUCE_ONLY


def test_halt_raises_when_it_could_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "bot").write_text("")
    with pytest.raises(OperatorError) as caught:
        halt(tmp_path / "bot")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOTDIR


LOOK = "import sys; from pathlib import Path; from tradebot.adapters.state import send_lock\n"


def another_process_sending(folder: Path) -> AbstractContextManager["subprocess.Popen[str]"]:
    return another_process("send_lock.FolderSendLock(folder).hold(intent())", folder)


def test_in_flight_is_none_and_creates_no_file_in_a_new_folder(tmp_path: Path) -> None:
    assert in_flight(tmp_path, 0) is None
    assert list(tmp_path.iterdir()) == []


def test_in_flight_names_the_order_after_a_bounded_wait(tmp_path: Path) -> None:
    with another_process_sending(tmp_path) as process:
        began = time.monotonic()
        said = in_flight(tmp_path, 0.05)
        assert 0.05 <= time.monotonic() - began < 60
        assert str(said).startswith(f"buy AAPL, {intent().client_order_id}, by process {process.pid} since 20")


@pytest.mark.parametrize("is_killed", [False, True])
def test_in_flight_is_none_as_soon_as_the_order_is_out_or_its_process_dead(tmp_path: Path, is_killed: bool) -> None:
    with another_process_sending(tmp_path) as process:
        assert process.stdin is not None
        process.kill() if is_killed else process.stdin.close()
        assert in_flight(tmp_path, 10) is None


def test_send_lock_is_free_after_a_failed_sending(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), FolderSendLock(tmp_path).hold(intent()):
        _ = 1 / 0
    assert in_flight(tmp_path, 0) is None


def test_hold_refuses_a_second_order_while_one_is_stuck(tmp_path: Path) -> None:
    with another_process_sending(tmp_path):
        with pytest.raises(TradebotError) as refused, FolderSendLock(tmp_path, 0.05).hold(intent()):
            raise AssertionError("it was sent")
        assert refused.value.code is ExitCode.ANOTHER_INSTANCE
        assert intent().client_order_id in refused.value.message


def test_in_flight_does_not_block_a_sender(tmp_path: Path) -> None:
    with FolderSendLock(tmp_path, 0).hold(intent()):
        assert in_flight(tmp_path, 0) is not None
        assert (tmp_path / SENDING).stat().st_mode & 0o777 == 0o600
    assert [in_flight(tmp_path, 0) for _ in range(3)] == [None, None, None]
    with FolderSendLock(tmp_path, 0).hold(intent()):
        pass


@pytest.mark.parametrize("note", [None, b"", b"\xff", b"[]", b'{"order": 1}'])
def test_in_flight_reports_an_order_without_a_readable_note(tmp_path: Path, note: bytes | None) -> None:
    path = tmp_path / SENDING
    with FolderSendLock(tmp_path).hold(intent()):
        path.unlink()
        if note is not None:
            path.write_bytes(note)
        assert in_flight(tmp_path, 0) == "it recorded no details of the order"
    path.unlink(missing_ok=True)
    path.mkdir()
    with FolderSendLock(tmp_path).hold(intent()):
        assert in_flight(tmp_path, 0) == "it recorded no details of the order"


def test_hold_refuses_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OperatorError), FolderSendLock(tmp_path / "none").hold(intent()):
        raise AssertionError("it was sent")


def test_in_flight_assumes_an_order_when_it_can_not_look(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        code = f"{LOOK}print(send_lock.in_flight(Path(sys.argv[1]), 0))"
        done = without_privileges([sys.executable, "-c", code, str(tmp_path)])
    finally:
        tmp_path.chmod(0o700)
    assert done.stdout.startswith("there may be one, but that can't be checked: Permission"), done.stderr


def test_send_lock_is_not_inherited_by_started_programs(tmp_path: Path) -> None:
    with FolderSendLock(tmp_path).hold(intent()):
        heir = subprocess.Popen(["sleep", "20"], close_fds=False)  # noqa: S607
    try:
        assert in_flight(tmp_path, 0) is None
    finally:
        heir.kill()
        heir.wait()


@pytest.mark.parametrize("name", ["halt_switch", "send_lock"])
def test_what_halts_and_what_sends_import_only_cheap_standard_modules(name: str) -> None:
    heavy = "{'sqlite3', 'msgspec', 'requests', 'typer', 'tradebot.model.order'}"
    code = f"import sys, tradebot.adapters.state.{name}; print(*({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
