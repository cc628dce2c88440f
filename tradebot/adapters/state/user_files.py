"""Change a user's file completely or not at all, and never over someone else's change.

The file with the keys must be a small plain text file that only its owner can access, and every line must be valid.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.folder_permissions import another_owner
from tradebot.adapters.state.safe_open import FILE_KINDS, create_draft, flocked_within
from tradebot.adapters.state.state_folder import in_place, sync_folder
from tradebot.errors import CannotWriteError, ExitCode, OperatorError, TradebotError
from tradebot.gates.permission import NAMES

if TYPE_CHECKING:
    from dotenv.parser import Binding

MAX_BYTES = 65_536

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def read_env_file(path: Path) -> dict[str, str]:
    """Return the values in a file of NAME=VALUE lines; a name without a value is empty.

    The result is empty if there is no file. Raise OperatorError if others may access the file, if it isn't a plain text
    file, or if a line can't be read: a setting that was meant to restrict orders must not count as unset.
    """
    text = _read_safely(path)
    if not text:
        return {}
    from dotenv.parser import parse_stream  # Import this only if there is a file.

    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        _refuse_unclear(path, binding)
        if binding.key is not None:
            values[binding.key] = _gate_value(binding) if binding.key in NAMES else binding.value or ""
    return values


def _gate_value(binding: Binding) -> str:
    """Return a gate's value exactly as written, like the environment; the parser drops spaces around a bare word.

    Spaces before a comment aren't part of the value.
    """
    written = binding.original.string.partition("=")[2].rstrip("\r\n")
    bare = re.sub(r"\s+#.*", "", written)
    return bare if bare.strip() == binding.value else binding.value or ""


def _refuse_unclear(path: Path, binding: Binding) -> None:
    """Raise if a line may not mean what its writer intended; the message hides the text, because it may be a key.

    This covers lines that aren't NAME=VALUE, misspelled gates, and an open quote that has swallowed a gate.
    """
    name, value = binding.key or "", binding.value or ""
    if binding.error or (name and not NAME.fullmatch(name)):
        raise _line_error(path, binding, "it is not NAME=VALUE")
    gate = name.upper().replace("-", "_").replace(".", "_")
    if gate in NAMES and name != gate:
        raise _line_error(path, binding, f"{gate} must be spelled exactly like this")
    if "\n" in value.strip() and any(gate in value for gate in NAMES):
        raise _line_error(path, binding, "its quote is not closed on the same line")


def describe_sources(path: Path) -> str:
    """Describe where variables are read from: the environment, and the file, with its full path, if it exists."""
    try:
        full = path.absolute()
    except FileNotFoundError:
        return "the environment only: the current folder was deleted"
    return f"the environment, then {full}" if os.path.lexists(full) else f"the environment only: no {full}"


def full_paths(path: Path) -> tuple[Path, ...]:
    """Return a file's full path in the current folder; empty if the current folder was deleted."""
    try:
        return (path.absolute(),)
    except FileNotFoundError:
        return ()


def _line_error(path: Path, binding: Binding, problem: str) -> OperatorError:
    """Return an error that names the line; a binding starts with the empty lines before it."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    line = binding.original.line + len(f"{blank}x".splitlines()) - 1
    return OperatorError(f"{path}, line {line}: {problem}", f"write each line of {path} as NAME=VALUE and close quotes")


def _read_safely(path: Path) -> str:
    """Read the file safely: open it before checking it, so it can't be swapped, and don't wait for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # A dangling link means a lost file, not one that was never written.
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return ""
        raise OperatorError(f"{path}: {error.strerror}", f"ls -l {path}: it must be a plain file you own") from None
    try:
        _refuse_others(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _text(path, file.read(MAX_BYTES + 1))
    finally:
        os.close(descriptor)


def _refuse_others(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OperatorError(f"{path} is not a regular file", "put the keys in a plain file, or in the environment")
    # For a link, check both ends, because its owner decides where it leads.
    owners = (another_owner(path, owner) for owner in (status.st_uid, os.lstat(path).st_uid))
    problem = next(filter(None, owners), None)
    if problem:
        raise OperatorError(problem, f"create it as this user, or take ownership: sudo chown {os.geteuid()} {path}")
    if status.st_mode & 0o077:
        raise OperatorError(f"{path} is accessible to other users", f"chmod 600 {path}")


def _text(path: Path, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise OperatorError(f"{path}: a key file can't be larger than {MAX_BYTES} bytes", "name the right file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path}: not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None


WAIT_S, POLL_S = 5.0, 0.05

MOST_TRIES = 20

"""How often a file is opened again after another process has replaced it."""

AGAIN = "check what changed in the file, then run the command again"


class PersonFile:
    """A user's file that is being changed. A link is followed, and its target is replaced."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.exists = descriptor is not None
        self.content = b"" if descriptor is None else _read(descriptor)
        self._descriptor = descriptor

    def replace(self, text: str) -> None:
        """Replace the content that was read at opening with a new text; the file keeps its mode and owner.

        Raise OperatorError if the file can't be written, and TradebotError if somebody changed it meanwhile.
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
                with around("user_files.sync"):
                    os.fsync(descriptor)
            self._put(draft)
        except OSError as error:
            raise _cannot_change(self.path, error) from error
        finally:
            with around("user_files.drop_draft"):
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
                with around("user_files.make"):
                    os.link(draft, self.path)
            except FileExistsError:
                message = f"{self.path} was created by someone else meanwhile: nothing was written"
                raise TradebotError(message, AGAIN) from None
            return
        same = in_place(self.path, os.fstat(self._descriptor))
        if not same or _read(self._descriptor) != self.content:
            raise TradebotError(f"{self.path} was changed by someone else meanwhile: nothing was written", AGAIN)
        with around("user_files.replace"):
            draft.replace(self.path)


@contextmanager
def open_for_change(path: Path) -> Iterator[PersonFile]:
    """Yield a file that may be changed; other tradebot processes wait until the block ends. The file may be missing.

    Raise OperatorError if it is read-only or not a regular file, and TradebotError, exit 6, if another process keeps
    it open for too long.
    """
    if path.is_symlink() and not path.exists():
        lost = f"{path} is a link that leads nowhere: {path.readlink()} is missing"
        raise OperatorError(lost, f"restore the file, or remove the link: rm {quote(str(path))}")
    real = Path(os.path.realpath(path))
    descriptor = _open_changeable(real)
    try:
        yield PersonFile(real, descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_changeable(path: Path) -> int | None:
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


def _require_changeable(path: Path, stat_result: os.stat_result) -> None:
    if not stat.S_ISREG(stat_result.st_mode):
        kind = FILE_KINDS.get(stat.S_IFMT(stat_result.st_mode), "a device")
        raise OperatorError(f"{path} is {kind}, not a regular file", "name a regular file, or change this one yourself")
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise _cannot_change(path, OSError(errno.EROFS, os.strerror(errno.EROFS)))
    # The owner's bit counts for root too, although root could write anyway: somebody wanted the file left unchanged.
    if not stat_result.st_mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise OperatorError(f"{path} is read-only: nothing was written", f"chmod u+w {quote(str(path))}")


def _cannot_change(path: Path, error: OSError) -> OperatorError:
    """Return the error for a user's file that can't be written; it names that file, not its draft."""
    folder = quote(str(path.parent))
    what = f"free some space, or check what is in the way: df -h {folder}; ls -la {folder}"
    if error.errno == errno.EROFS:
        what = "its file system is read-only: mount it writable, or edit the original that is mounted here"
    elif error.errno in (errno.EACCES, errno.EPERM):
        what = f"check who may write there: ls -ld {folder}"
    return CannotWriteError(f"{path} can't be written: {error.strerror or error}. Nothing was written.", what)


def _read(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read()
