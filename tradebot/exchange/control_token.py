"""The token of a started exchange: it shows that a control request is its user's, where the kernel does not tell.

It is drawn anew at each start, stands in a file of its owner alone beside the port file, and goes out in a header and
nowhere else. Quick commands import this, so it needs the standard library alone.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from tradebot.exchange.private_files import write_atomically

TOKEN_FILE = "exchange.token"
TOKEN_HEADER = "X-Exchange-Token"
_BYTES = 32


def issue(state_dir: Path) -> str:
    """Draw a token and put it into the exchange's folder, for its owner's eyes only; raises OSError."""
    token = secrets.token_hex(_BYTES)
    # The mode is there from the first moment on: nobody else can have opened the file before it holds anything.
    write_atomically(state_dir / TOKEN_FILE, token)
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
