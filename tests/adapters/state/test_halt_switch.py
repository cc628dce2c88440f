"""ARMED must be there and HALT must not: everything else adds no risk."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.kit.fakes.machine import without_privileges
from tests.kit.rows import NOW, minutes
from tradebot.adapters.state import halt_switch
from tradebot.errors import OperatorError
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
