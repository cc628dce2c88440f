"""Who finds the send lock free after a latch fell knows that no order which saw the older state is still to begin."""

import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.kit.adapters.alpaca import intent
from tests.kit.fakes.machine import ROOT, another_process, without_privileges
from tradebot.adapters.state.send_lock import FolderSendLock, in_flight
from tradebot.adapters.state.state_folder import SENDING
from tradebot.errors import ExitCode, OperatorError, TradebotError

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
