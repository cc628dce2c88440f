"""Who finds the send lock free after a latch fell knows that no order which saw the older state is still to begin."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.adapters.alpaca.samples import intent
from tests.privileges import without_privileges
from tradebot.adapters.state.send_lock import FolderSendLock, in_flight
from tradebot.adapters.state.state_folder import SENDING
from tradebot.errors import ExitCode, OperatorError, TradebotError

ROOT = Path(__file__).parents[3]
HOLD = (
    "import sys; from pathlib import Path; from tests.adapters.alpaca.samples import intent\n"
    "from tradebot.adapters.state.send_lock import FolderSendLock\n"
    "with FolderSendLock(Path(sys.argv[1])).hold(intent()):\n    print('held', flush=True); sys.stdin.read(1)\n"
)
LOOK = "import sys; from pathlib import Path; from tradebot.adapters.state import send_lock\n"


@contextmanager
def another_process_sending(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_in_which_nothing_was_ever_sent_is_free_and_stays_as_it_is(tmp_path: Path) -> None:
    assert in_flight(tmp_path, 0) is None
    assert list(tmp_path.iterdir()) == []


def test_the_order_that_is_going_out_is_named_after_a_bounded_wait(tmp_path: Path) -> None:
    with another_process_sending(tmp_path) as process:
        began = time.monotonic()
        said = in_flight(tmp_path, 0.05)
        assert 0.05 <= time.monotonic() - began < 60
        assert str(said).startswith(f"buy AAPL, {intent().client_order_id}, by process {process.pid} since 20")


def test_whoever_waits_learns_at_once_that_the_order_is_out(tmp_path: Path) -> None:
    with another_process_sending(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert in_flight(tmp_path, 10) is None


def test_a_dead_sender_holds_nothing(tmp_path: Path) -> None:
    with another_process_sending(tmp_path) as process:
        process.kill()
        process.wait()
        assert in_flight(tmp_path, 0) is None


def test_the_lock_is_free_again_after_a_sending_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), FolderSendLock(tmp_path).hold(intent()):
        _ = 1 / 0
    assert in_flight(tmp_path, 0) is None


def test_a_second_order_is_not_sent_while_another_one_is_stuck(tmp_path: Path) -> None:
    with another_process_sending(tmp_path):
        with pytest.raises(TradebotError) as refused, FolderSendLock(tmp_path, 0.05).hold(intent()):
            raise AssertionError("it was sent")
        assert refused.value.code is ExitCode.ANOTHER_INSTANCE
        assert intent().client_order_id in refused.value.message


def test_many_may_look_at_once_and_keep_no_sender_back(tmp_path: Path) -> None:
    with FolderSendLock(tmp_path, 0).hold(intent()):
        assert in_flight(tmp_path, 0) is not None
    assert [in_flight(tmp_path, 0) for _ in range(3)] == [None, None, None]
    with FolderSendLock(tmp_path, 0).hold(intent()):
        pass


@pytest.mark.parametrize("note", [b"", b"\xff", b"[]", b'{"order": 1}'])
def test_an_order_that_could_not_be_signed_is_in_flight_all_the_same(tmp_path: Path, note: bytes) -> None:
    with FolderSendLock(tmp_path).hold(intent()):
        (tmp_path / "sending").write_bytes(note)
        assert in_flight(tmp_path, 0) == "it left no note of which one"


def test_an_order_goes_out_where_its_name_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "sending").mkdir()
    with FolderSendLock(tmp_path).hold(intent()):
        assert in_flight(tmp_path, 0) == "it left no note of which one"


def test_removing_every_file_of_the_folder_frees_nothing(tmp_path: Path) -> None:
    with FolderSendLock(tmp_path).hold(intent()):
        (tmp_path / "sending").unlink()
        assert in_flight(tmp_path, 0) is not None


def test_a_folder_that_is_gone_lets_nothing_be_sent(tmp_path: Path) -> None:
    with pytest.raises(OperatorError), FolderSendLock(tmp_path / "none").hold(intent()):
        raise AssertionError("it was sent")


def test_a_folder_that_cannot_be_looked_at_counts_as_one_with_an_order_in_flight(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        code = f"{LOOK}print(send_lock.in_flight(Path(sys.argv[1]), 0))"
        done = without_privileges([sys.executable, "-c", code, str(tmp_path)])
    finally:
        tmp_path.chmod(0o700)
    assert done.stdout.startswith("there may be one, but that can't be checked: Permission"), done.stderr


def test_the_lock_is_not_handed_on_to_a_program_that_is_started_meanwhile(tmp_path: Path) -> None:
    with FolderSendLock(tmp_path).hold(intent()):
        heir = subprocess.Popen(["sleep", "20"], close_fds=False)  # noqa: S607
    try:
        assert in_flight(tmp_path, 0) is None
    finally:
        heir.kill()
        heir.wait()


def test_looking_loads_nothing_but_the_cheap_part_of_the_standard_library() -> None:
    code = f"{LOOK}print(*({{'sqlite3', 'msgspec', 'requests', 'typer', 'tradebot.model'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_the_note_says_who_sends_what(tmp_path: Path) -> None:
    with FolderSendLock(tmp_path).hold(intent()):
        note = json.loads((tmp_path / SENDING).read_text())
    assert (note["order"], note["symbol"], note["side"]) == (intent().client_order_id, "AAPL", "buy")
    assert (tmp_path / SENDING).stat().st_mode & 0o777 == 0o600
