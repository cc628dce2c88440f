"""Manage the token of a running exchange, which proves that a control request comes from its user if the kernel can't.

The token is drawn at each start and stored beside the port file, readable only by its owner. It is sent in a header and
nowhere else. Quick commands import this module, so it needs only the standard library.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from tradebot.exchange.private_files import write_atomically

TOKEN_FILE = "exchange.token"
TOKEN_HEADER = "X-Exchange-Token"
_BYTES = 32


def issue(state_dir: Path) -> str:
    """Draw a token and write it into the exchange's folder, readable only by its owner; raise OSError if that fails."""
    token = secrets.token_hex(_BYTES)
    # The file has its mode from the start, so nobody else can open it before it has content.
    write_atomically(state_dir / TOKEN_FILE, token)
    return token


def headers(state_dir: Path) -> dict[str, str]:
    """Return the headers for a control request; none if there is no readable token."""
    try:
        token = (state_dir / TOKEN_FILE).read_text(encoding="ascii")
    except (OSError, ValueError):
        return {}
    # A file that someone tampered with must not be able to inject a header into the request.
    return {TOKEN_HEADER: token} if token.isalnum() else {}
