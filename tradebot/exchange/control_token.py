"""The token of a started exchange: it shows that a control request is its user's, where the kernel does not tell.

It is drawn anew at each start, stands in a file of its owner alone beside the port file, and goes out in a header and
nowhere else. Quick commands import this, so it needs the standard library alone.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

TOKEN_FILE = "exchange.token"
TOKEN_HEADER = "X-Exchange-Token"
_BYTES = 32


def issue(state_dir: Path) -> str:
    """Draw a token and put it into the exchange's folder, for its owner's eyes only; raises OSError."""
    token = secrets.token_hex(_BYTES)
    temporary = state_dir / f"{TOKEN_FILE}.{os.getpid()}.tmp"
    temporary.unlink(missing_ok=True)
    # The mode is there from the first moment on: nobody else can have opened the file before it holds anything.
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(token)
    temporary.replace(state_dir / TOKEN_FILE)
    return token


def withdraw(state_dir: Path) -> None:
    """Take away the token of a server that has ended."""
    (state_dir / TOKEN_FILE).unlink(missing_ok=True)


def headers(state_dir: Path) -> dict[str, str]:
    """Return what a control request is sent with; nothing where there is no token that may be read."""
    try:
        token = (state_dir / TOKEN_FILE).read_text(encoding="ascii")
    except (OSError, ValueError):
        return {}
    # A file that somebody has changed must not put a line of its own into a request.
    return {TOKEN_HEADER: token} if token.isalnum() else {}


def fits(shown: bytes, token: str) -> bool:
    """Compare what a request shows with the token, in a time that tells nothing of it."""
    return secrets.compare_digest(shown, token.encode("ascii"))
