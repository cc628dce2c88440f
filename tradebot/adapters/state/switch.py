"""The two files that decide whether risk may be added: ARMED must be there and say so, and HALT must not be.

Halting removes ARMED first, because removing a file works on a full disk and needs no database; where the folder
cannot be written, ARMED is emptied in its place. `tradebot halt` runs this before anything else is imported, so it
uses the cheap part of the standard library only.
"""

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from errno import EEXIST, ENOTEMPTY
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.plain_files import read_plain
from tradebot.adapters.state.state_folder import cannot_write, sync_folder, write_durably
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from tradebot.model.trading import TradingStateRecord

ARMED = "ARMED"
HALT = "HALT"
TAKEN = ".taken"
"""How the name of a HALT ends that was moved away to be ended."""
Written = tuple[str, str, str, datetime, tuple[str, ...]]
"""What one of the two files says: the state, who, why, when, and the bot's own causes."""
Seen = tuple[int, int] | None
"""Which HALT file it is, by inode and time of writing in ns: each halt writes a new file."""


def armed(folder: Path) -> bool:
    """Tell whether ARMED is a regular file with a readable record that says so."""
    return _armed(folder) is not None


def arm(folder: Path, who: str, at: datetime) -> None:
    """Write ARMED durably; OperatorError where it cannot be written."""
    try:
        write_durably(folder / ARMED, _text("ACTIVE", who, "armed", at))
    except OSError as error:
        raise cannot_write(folder, error) from error


def halt(folder: Path, who: str, why: str, at: datetime, state: str, causes: Iterable[str] = ()) -> str:
    """Remove or empty ARMED, then write HALT; either one holds, so OperatorError only where both failed.

    Return the state that the two files hold now: the newest reason is kept, but FLATTEN is never weakened to
    REDUCE_ONLY. Where ARMED alone could be changed that is REDUCE_ONLY, whatever was asked. `causes` are the bot's own.
    """
    kept_armed = _failure(partial(_remove, folder / ARMED)) and _failure(partial(_empty, folder / ARMED))
    before = _parse(_content(folder / HALT) or "")
    flattening = before is not None and before[0] == "FLATTEN"
    state = "FLATTEN" if flattening else str(state)
    not_halted = _failure(partial(write_durably, folder / HALT, _text(state, who, why, at, causes)))
    if kept_armed and not_halted:
        raise cannot_write(folder, not_halted) from kept_armed
    return "REDUCE_ONLY" if not_halted and not flattening else state


def seen(folder: Path) -> Seen:
    """Return which HALT is there, so that `lift` can tell whether it is still the same; None where there is none."""
    try:
        found = os.lstat(folder / HALT)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def lift(folder: Path, shown: Seen) -> bool:
    """Remove ARMED, then the HALT that was shown: whoever dies, looks, or fails from here on finds the bot halted.

    False where another HALT has come, which stays in force. A folder of that name that holds something is left beside,
    under a name that `left_aside` tells. OperatorError where something cannot be removed.
    """
    taken = folder / f"{HALT}.{os.urandom(8).hex()}{TAKEN}"
    try:
        # A halt by hand has left ARMED there: without HALT it would let entries out before all of this is done.
        if _there(folder / ARMED):
            with around("switch.disarm_first"):
                (folder / ARMED).unlink()
        sync_folder(folder)
        # Moved before it is looked at: whatever comes to HALT from now on is another one, and is not touched.
        if _there(folder / HALT):
            with around("switch.take"):
                (folder / HALT).rename(taken)
        same = _same(taken, shown)
        if not same and _there(taken) and not _there(folder / HALT):
            with around("switch.put_back"):
                taken.rename(folder / HALT)
        for path in folder.glob(f"{HALT}.*{TAKEN}"):
            _discard(path)
        sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return same


def left_aside(folder: Path) -> tuple[Path, ...]:
    """Return the folders that stood in the place of HALT and hold something, which nobody here may throw away."""
    return tuple(sorted(folder.glob(f"{HALT}.*{TAKEN}")))


def newer_halt() -> OperatorError:
    """Return what to tell a person who would end another halt than the one that was shown."""
    return OperatorError(
        "a newer halt came while this one was being ended; it stays in force",
        "tradebot status says whose it is, then tradebot unhalt",
        code=ExitCode.REFUSED,
    )


def _same(taken: Path, shown: Seen) -> bool:
    if not _there(taken):
        return shown is None
    found = os.lstat(taken)
    return (found.st_ino, found.st_mtime_ns) == shown


def _discard(taken: Path) -> None:
    if taken.is_dir() and not taken.is_symlink():
        try:
            with around("switch.discard_folder"):
                taken.rmdir()
        except OSError as error:
            if error.errno not in (EEXIST, ENOTEMPTY):
                raise
    else:
        with around("switch.discard"):
            taken.unlink(missing_ok=True)


def read(folder: Path) -> "TradingStateRecord":
    """Return what the two files say; whatever is absent, damaged or odd counts as REDUCE_ONLY."""
    from tradebot.model.trading import TradingState, TradingStateRecord

    if _there(folder / HALT):
        return _read_halt(folder / HALT)
    record = _armed(folder)
    if record is None:
        return TradingStateRecord(TradingState.REDUCE_ONLY, "", "the ARMED file is absent or unreadable", None)
    _, who, why, at, _ = record
    return TradingStateRecord(TradingState.ACTIVE, who, why, at)


def _there(path: Path) -> bool:
    """Tell whether anything stands at a path; what cannot be looked at does."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _armed(folder: Path) -> Written | None:
    """Return the record of ARMED, None where it is absent, emptied, damaged or says anything else."""
    record = _parse(_content(folder / ARMED) or "")
    return record if record and record[0] == "ACTIVE" else None


def _read_halt(path: Path) -> "TradingStateRecord":
    from tradebot.model.reasons import Reason
    from tradebot.model.trading import TradingState, TradingStateRecord

    content = _content(path)
    touched = path.is_dir() if content is None else not content.strip()
    if touched:
        return TradingStateRecord(TradingState.REDUCE_ONLY, "file", "HALT file", _written(path))
    parsed = _parse(content or "")
    if parsed is None:
        return TradingStateRecord(TradingState.REDUCE_ONLY, "file", "HALT file that cannot be read", None)
    state, who, why, at, named = parsed
    known = TradingState.FLATTEN if state == "FLATTEN" else TradingState.REDUCE_ONLY
    return TradingStateRecord(known, who, why, at, frozenset(reason for reason in Reason if reason in named))


def _written(path: Path) -> datetime | None:
    """Return when somebody laid a HALT there by hand, which says nothing itself; None where the system does not."""
    try:
        return datetime.fromtimestamp(os.lstat(path).st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None


def _content(path: Path) -> str | None:
    """Return a regular file's text; None where it is absent, something else, or unreadable."""
    try:
        return read_plain(path).decode()
    except (OSError, UnicodeDecodeError):
        return None


def _parse(content: str) -> Written | None:
    try:
        record = json.loads(content)
        at, causes = datetime.fromisoformat(record["at"]), record.get("causes")
        named = tuple(map(str, causes)) if isinstance(causes, list) else ()
        return str(record["state"]), str(record["who"]), str(record["why"]), at, named
    except (ValueError, KeyError, TypeError):
        return None


def _text(state: str, who: str, why: str, at: datetime, causes: Iterable[str] = ()) -> str:
    named = sorted(causes)
    record = {"state": str(state), "who": who, "why": why, "at": at.astimezone(UTC).isoformat()}
    return json.dumps(record | ({"causes": named} if named else {})) + "\n"


def _failure(step: Callable[[], None]) -> OSError | None:
    try:
        step()
    except OSError as error:
        return error
    return None


def _empty(path: Path) -> None:
    """Take the content of a file away in its place, durably: neither room nor the folder's permission is needed."""
    # Nothing that is no file of ours may keep a halt waiting, or be emptied in its place.
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with around("switch.empty"):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with around("switch.disarm"):
        path.unlink(missing_ok=True)
    sync_folder(path.parent)
