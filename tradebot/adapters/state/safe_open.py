"""Open and lock a state folder's files: regular files only, never through a link, and without ever waiting.

A pipe in place of a file would block a reader forever, and a link would make us write to a different file. `halt`
imports this module, so it imports only small modules of the standard library. The kernel releases a dead process's
locks.
"""

import errno
import fcntl
import os
import stat
import time
from io import DEFAULT_BUFFER_SIZE, BufferedReader, BufferedWriter, FileIO
from pathlib import Path


def try_lock(descriptor: int, kind: int) -> bool:
    """Try to lock a file, shared or exclusively, without waiting; return False if another process holds the lock."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def flocked_within(descriptor: int, kind: int, wait_s: float, poll_s: float) -> int | None:
    """Lock a descriptor and return it; close it and return None if another process keeps it locked for `wait_s`."""
    deadline = time.monotonic() + wait_s
    try:
        while not try_lock(descriptor, kind):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(poll_s)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


FILE_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFLNK: "a link", stat.S_IFSOCK: "a socket"}


class NotRegularFileError(OSError):
    """Raised for a path that isn't a regular file; `strerror` says what it is."""

    def __init__(self, path: Path, mode: int) -> None:
        kind = FILE_KINDS.get(stat.S_IFMT(mode), "a device")
        super().__init__(errno.EINVAL, f"it is {kind}, not a regular file", str(path))


def require_plain(path: Path) -> None:
    """Raise NotRegularFileError if something other than a regular file is at the path; a missing file is fine."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(mode):
        raise NotRegularFileError(path, mode)


def is_plain(path: Path) -> bool:
    """Return True if a regular file is at the path; a link to one doesn't count."""
    return path.is_file() and not path.is_symlink()


def open_plain(path: Path, flags: int) -> int:
    """Open a regular file for its owner only and return its descriptor; raise NotRegularFileError for anything else."""
    require_plain(path)
    # The path may have been replaced since; don't follow a link or wait for a pipe.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise NotRegularFileError(path, mode)
    return descriptor


def opened_plain(path: Path, at_once: int = DEFAULT_BUFFER_SIZE) -> BufferedReader:
    """Open a regular file for reading with a buffer of `at_once` bytes."""
    return BufferedReader(FileIO(open_plain(path, os.O_RDONLY), "rb"), at_once)


def written_plain(path: Path) -> BufferedWriter:
    """Open a regular file for writing, replacing its content."""
    return os.fdopen(open_plain(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb")


def read_plain(path: Path) -> bytes:
    """Return the content of a regular file."""
    with opened_plain(path) as file:
        return file.read()


def create_draft(path: Path) -> tuple[Path, int]:
    """Create an empty file with an unguessable name next to `path`; return its path and descriptor."""
    draft = path.with_name(f"{path.name}.{os.urandom(8).hex()}.new")
    return draft, os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
