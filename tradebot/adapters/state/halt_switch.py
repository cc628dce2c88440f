"""Read and write the two files that decide whether risk may be added: ARMED must be valid and HALT absent.

Halting removes ARMED first, because removing a file works on a full disk and needs no database; in a read-only folder,
ARMED is emptied instead. `tradebot halt` runs this before importing anything else, so it imports only small modules of
the standard library.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from errno import EEXIST, ENOTEMPTY
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import cannot_write, sync_folder, write_durably
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from tradebot.model.trading import TradingStateRecord

ARMED = "ARMED"
HALT = "HALT"
TAKEN = ".taken"
"""The suffix of a HALT file's name while it is being ended."""
Written = tuple[str, str, str, datetime, tuple[str, ...]]
"""The content of one of the two files: state, who, why, when, and the causes if the bot halted itself."""
Seen = tuple[int, int] | None
"""Identifies a HALT file by inode and modification time in ns: each halt writes a new file."""


def is_armed(folder: Path) -> bool:
    """Return True if ARMED is a regular file with a valid record that says so."""
    return _armed_record(folder) is not None


def arm(folder: Path, who: str, at: datetime) -> None:
    """Write ARMED durably; raise OperatorError if it can't be written."""
    try:
        write_durably(folder / ARMED, _text("ACTIVE", who, "armed", at))
    except OSError as error:
        raise cannot_write(folder, error) from error


def halt(folder: Path, who: str, why: str, at: datetime, state: str, causes: Iterable[str] = ()) -> str:
    """Remove or empty ARMED, then write HALT. Either step halts trading, so raise OperatorError only if both fail.

    Return the resulting state of the two files. The newest reason is kept, but FLATTEN is never weakened to
    REDUCE_ONLY. If only ARMED could be changed, the state is REDUCE_ONLY, whatever was requested. If the bot halts
    itself, `causes` has the reasons.
    """
    kept_armed = _error_of(partial(_remove, folder / ARMED)) and _error_of(partial(_empty, folder / ARMED))
    before = _parse(_content(folder / HALT) or "")
    flattening = before is not None and before[0] == "FLATTEN"
    state = "FLATTEN" if flattening else str(state)
    not_halted = _error_of(partial(write_durably, folder / HALT, _text(state, who, why, at, causes)))
    if kept_armed and not_halted:
        raise cannot_write(folder, not_halted) from kept_armed
    return "REDUCE_ONLY" if not_halted and not flattening else state


def halt_stat(folder: Path) -> Seen:
    """Return HALT's file stats, from which `lift` can tell whether HALT has changed; None if there is no HALT."""
    try:
        status = os.lstat(folder / HALT)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def lift(folder: Path, shown: Seen) -> bool:
    """Remove ARMED and then HALT, if HALT still has the file stats `shown`. If anything fails on the way, the bot stays
    halted.

    Return False if a different HALT has arrived; that one stays in force. If HALT is a folder with content, it is
    renamed, and `displaced_halt_folders` lists it. Raise OperatorError if something can't be removed.
    """
    taken = folder / f"{HALT}.{os.urandom(8).hex()}{TAKEN}"
    try:
        # A HALT created by hand leaves ARMED in place, so removing only HALT would let entries out too early.
        if _exists(folder / ARMED):
            with around("halt_switch.disarm_first"):
                (folder / ARMED).unlink()
        sync_folder(folder)
        # Move it before checking it: any HALT that appears from now on is a different one and is not touched.
        if _exists(folder / HALT):
            with around("halt_switch.take"):
                (folder / HALT).rename(taken)
        was_same = _same(taken, shown)
        if not was_same and _exists(taken) and not _exists(folder / HALT):
            with around("halt_switch.put_back"):
                taken.rename(folder / HALT)
        for path in folder.glob(f"{HALT}.*{TAKEN}"):
            _discard(path)
        sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return was_same


def displaced_halt_folders(folder: Path) -> tuple[Path, ...]:
    """Return the folders that had the name HALT and were renamed; they have content, which must not be deleted."""
    return tuple(sorted(folder.glob(f"{HALT}.*{TAKEN}")))


def newer_halt() -> OperatorError:
    """Return the error for a halt that arrived after the halt that the user wanted to end."""
    return OperatorError(
        "a newer halt arrived while this one was being ended, and it stays in force",
        "tradebot status shows who set it; then run tradebot unhalt",
        code=ExitCode.REFUSED,
    )


def _same(taken: Path, shown: Seen) -> bool:
    if not _exists(taken):
        return shown is None
    status = os.lstat(taken)
    return (status.st_ino, status.st_mtime_ns) == shown


def _discard(taken: Path) -> None:
    if taken.is_dir() and not taken.is_symlink():
        try:
            with around("halt_switch.discard_folder"):
                taken.rmdir()
        except OSError as error:
            if error.errno not in (EEXIST, ENOTEMPTY):
                raise
    else:
        with around("halt_switch.discard"):
            taken.unlink(missing_ok=True)


def read(folder: Path) -> "TradingStateRecord":
    """Return the state of the two files; anything missing, damaged or odd counts as REDUCE_ONLY."""
    from tradebot.model.trading import TradingState, TradingStateRecord

    if _exists(folder / HALT):
        return _read_halt(folder / HALT)
    record = _armed_record(folder)
    if record is None:
        return TradingStateRecord(TradingState.REDUCE_ONLY, "", "the ARMED file is missing or unreadable", None)
    _, who, why, at, _ = record
    return TradingStateRecord(TradingState.ACTIVE, who, why, at)


def _exists(path: Path) -> bool:
    """Return True if the path exists, or if we aren't allowed to check."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _armed_record(folder: Path) -> Written | None:
    """Return ARMED's record; None if it is missing, emptied, damaged or says anything else."""
    record = _parse(_content(folder / ARMED) or "")
    return record if record and record[0] == "ACTIVE" else None


def _read_halt(path: Path) -> "TradingStateRecord":
    from tradebot.model.reasons import Reason
    from tradebot.model.trading import TradingState, TradingStateRecord

    content = _content(path)
    is_empty = path.is_dir() if content is None else not content.strip()
    if is_empty:
        return TradingStateRecord(TradingState.REDUCE_ONLY, "file", "HALT file", _halt_file_time(path))
    parsed = _parse(content or "")
    if parsed is None:
        return TradingStateRecord(TradingState.REDUCE_ONLY, "file", "HALT file that cannot be read", None)
    state, who, why, at, named = parsed
    halted = TradingState.FLATTEN if state == "FLATTEN" else TradingState.REDUCE_ONLY
    return TradingStateRecord(halted, who, why, at, frozenset(reason for reason in Reason if reason in named))


def _halt_file_time(path: Path) -> datetime | None:
    """Return when a HALT was created by hand, from the file system; None if unknown."""
    try:
        return datetime.fromtimestamp(os.lstat(path).st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None


def _content(path: Path) -> str | None:
    """Return a regular file's text; None if it is missing, something else, or unreadable."""
    try:
        return read_plain(path).decode()
    except (OSError, UnicodeDecodeError):
        return None


def _parse(content: str) -> Written | None:
    try:
        record = json.loads(content)
        at = datetime.fromisoformat(record["at"])
        return str(record["state"]), str(record["who"]), str(record["why"]), at, _causes(record)
    except (ValueError, KeyError, TypeError):
        return None


def _causes(record: Mapping[str, Any]) -> tuple[str, ...]:
    causes = record.get("causes")
    return tuple(map(str, causes)) if isinstance(causes, list) else ()


def _text(state: str, who: str, why: str, at: datetime, causes: Iterable[str] = ()) -> str:
    named = sorted(causes)
    record = {"state": str(state), "who": who, "why": why, "at": at.astimezone(UTC).isoformat()}
    return json.dumps(record | ({"causes": named} if named else {})) + "\n"


def _error_of(step: Callable[[], None]) -> OSError | None:
    try:
        step()
    except OSError as error:
        return error
    return None


def _empty(path: Path) -> None:
    """Empty a file in place, durably; this needs neither disk space nor permission to change the folder."""
    # Anything that isn't our own file must neither delay a halt nor be emptied.
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with around("halt_switch.empty"):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with around("halt_switch.disarm"):
        path.unlink(missing_ok=True)
    sync_folder(path.parent)
