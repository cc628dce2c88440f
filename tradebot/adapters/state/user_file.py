"""Change a file that belongs to a person: completely or not at all, and never over a change that somebody else made."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import FILE_KINDS, create_draft, flocked_within
from tradebot.adapters.state.state_folder import in_place, sync_folder
from tradebot.errors import CannotWriteError, ExitCode, OperatorError, TradebotError

WAIT_S, POLL_S = 5.0, 0.05
MOST_TRIES = 20
"""How often a file is opened again because another process replaced it meanwhile."""
AGAIN = "look at the file, then run the command again"


class PersonFile:
    """A file while it is changed. A link is followed, so that its target is replaced."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.exists = descriptor is not None
        self.content = b"" if descriptor is None else _read(descriptor)
        self._descriptor = descriptor

    def replace(self, text: str) -> None:
        """Write a new text in place of what was there when the file was opened; mode and owner stay.

        Raises OperatorError if the file can't be written, and TradebotError if somebody changed it meanwhile.
        """
        try:
            draft, descriptor = create_draft(self.path)
        except OSError as error:
            raise _cannot_change(self.path, error) from error
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                self._take_over(descriptor)
                with around("user_file.sync"):
                    os.fsync(descriptor)
            self._put(draft)
        except OSError as error:
            raise _cannot_change(self.path, error) from error
        finally:
            with around("user_file.drop_draft"):
                draft.unlink(missing_ok=True)
        sync_folder(self.path.parent)

    def _take_over(self, descriptor: int) -> None:
        if self._descriptor is None:
            return
        before, after = os.fstat(self._descriptor), os.fstat(descriptor)
        if (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
            os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))

    def _put(self, draft: Path) -> None:
        if self._descriptor is None:
            try:
                with around("user_file.make"):
                    os.link(draft, self.path)
            except FileExistsError:
                message = f"{self.path} was made by someone else meanwhile: nothing was written"
                raise TradebotError(message, AGAIN) from None
            return
        same = in_place(self.path, os.fstat(self._descriptor))
        if not same or _read(self._descriptor) != self.content:
            raise TradebotError(f"{self.path} was changed by someone else meanwhile: nothing was written", AGAIN)
        with around("user_file.replace"):
            draft.replace(self.path)


@contextmanager
def open_for_change(path: Path) -> Iterator[PersonFile]:
    """Open a file for a change, while other tradebot processes wait; one that doesn't exist yet may be made.

    Raises OperatorError if it is read-only or no regular file, and TradebotError, exit 6, if another process holds it.
    """
    if path.is_symlink() and not path.exists():
        lost = f"{path} is a link that leads nowhere: {path.readlink()} is missing"
        raise OperatorError(lost, f"put the file back, or take the link away: rm {quote(str(path))}")
    real = Path(os.path.realpath(path))
    descriptor = _opened(real)
    try:
        yield PersonFile(real, descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(path: Path) -> int | None:
    for _ in range(MOST_TRIES):
        try:
            _require_changeable(path, os.stat(path))
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OperatorError(
                f"{path} can't be read: {error.strerror}", "check the path and its permissions"
            ) from None
        locked = flocked_within(descriptor, fcntl.LOCK_EX, WAIT_S, POLL_S)
        if locked is None:
            break
        if in_place(path, os.fstat(locked)):
            return locked
        os.close(locked)
    raise TradebotError(f"another process is changing {path}", "run the command again", code=ExitCode.ANOTHER_INSTANCE)


def _require_changeable(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = FILE_KINDS.get(stat.S_IFMT(found.st_mode), "a device")
        raise OperatorError(f"{path} is {kind}, not a regular file", "name a file, or change it yourself")
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise _cannot_change(path, OSError(errno.EROFS, os.strerror(errno.EROFS)))
    # The owner's bit counts for root too, who could write anyway: somebody wanted the file left as it is.
    if not found.st_mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise OperatorError(f"{path} is read-only: nothing was written", f"chmod u+w {quote(str(path))}")


def _cannot_change(path: Path, error: OSError) -> OperatorError:
    """Return the error for a person's file that can't be written; it names that file, and not a draft of it."""
    folder = quote(str(path.parent))
    what = f"make room, or see what is in the way: df -h {folder}; ls -la {folder}"
    if error.errno == errno.EROFS:
        what = "its file system is read-only: mount it writable, or change the file where it comes from"
    elif error.errno in (errno.EACCES, errno.EPERM):
        what = f"see who may write there: ls -ld {folder}"
    return CannotWriteError(f"{path} can't be written: {error.strerror or error}. Nothing was written.", what)


def _read(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read()
