"""The file of keys: its owner's alone, small, text, and a plain file, or nothing is read from it."""

import os
import stat
from io import StringIO
from pathlib import Path

from tradebot.errors import OperatorError

MOST_BYTES = 65_536


def read_env_file(path: Path) -> dict[str, str]:
    """Return what a file of NAME=VALUE lines says, nothing where there is none.

    Raises OperatorError for one that others may touch, and for what is no plain file of text.
    """
    text = _owners_text(path)
    if not text:
        return {}
    from dotenv import dotenv_values  # only a run with a file pays for it

    return {name: value for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items() if value}


def _owners_text(path: Path) -> str:
    """Open first and look then, so that nothing can take the file's place between; a pipe is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failed:
        # A link that leads nowhere is a file that is lost, not one that was never written.
        if isinstance(failed, FileNotFoundError) and not path.is_symlink():
            return ""
        raise OperatorError(f"{path}: {failed.strerror}", f"ls -l {path}: it must be a plain file of yours") from None
    try:
        _refuse_others(path, os.fstat(descriptor).st_mode)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _text(path, file.read(MOST_BYTES + 1))
    finally:
        os.close(descriptor)


def _refuse_others(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OperatorError(f"{path} is not a regular file", "put the keys into a plain file, or into the environment")
    if mode & 0o077:
        raise OperatorError(f"{path} can be read by others than its owner", f"chmod 600 {path}")


def _text(path: Path, data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise OperatorError(f"{path}: more than {MOST_BYTES} bytes are no keys", "give the right file")
    try:
        return data.decode()
    except UnicodeDecodeError as bad:
        raise OperatorError(f"{path}: not UTF-8 text (byte {bad.start})", "save the file as UTF-8") from None
