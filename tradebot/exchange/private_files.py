"""Write the exchange's own files for its owner alone, and never through a link that somebody else has put there.

Quick commands import this, so it needs the standard library alone.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def open_own(path: Path, flags: int) -> int:
    """Open a file of this folder; OSError for a link, and no pipe is waited for."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def read_own(path: Path) -> bytes:
    """Return the content of a file of this folder."""
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read()


def write_own(path: Path, content: bytes) -> None:
    """Write a file in its place."""
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(content)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file's content so that a reader sees the old or the new one, never a part."""
    # Nobody can guess the name, and what has it all the same is not written to.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    with os.fdopen(open_own(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
