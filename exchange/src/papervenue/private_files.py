"""Write the exchange's files so that only their owner can read them, and never through a link that someone else made.

One of these files is the token of a running exchange. It proves that a control request comes from the exchange's user
where the kernel can't. The token is generated at each start, stored next to the port file, and sent only in a header.
Quick commands import this module, so it uses only the standard library.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def open_own(path: Path, flags: int) -> int:
    """Open a file of this folder; raise OSError for a symbolic link, and never block on a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def read_own(path: Path) -> bytes:
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read()


def write_own(path: Path, content: bytes) -> None:
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(content)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file's content atomically, so that a reader sees either the old or the new content."""
    # The name can't be guessed; if it exists all the same, the file isn't written to.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    with os.fdopen(open_own(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


TOKEN_FILE = "exchange.token"
TOKEN_HEADER = "X-Exchange-Token"
_BYTES = 32


def issue(state_dir: Path) -> str:
    """Generate a token and write it to the exchange's folder, readable only by its owner; raise OSError on failure."""
    token = secrets.token_hex(_BYTES)
    # The file has its mode from the start, so nobody else can open it before it has content.
    write_atomically(state_dir / TOKEN_FILE, token)
    return token


def headers(state_dir: Path) -> dict[str, str]:
    """Return the headers for a control request; empty without a readable token."""
    try:
        token = (state_dir / TOKEN_FILE).read_text(encoding="ascii")
    except (OSError, ValueError):
        return {}
    # A file that someone tampered with must not be able to inject a header into the request.
    return {TOKEN_HEADER: token} if token.isalnum() else {}
