"""Restrict a local service to clients with its token; the state folder stores only a digest."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_urlsafe
from typing import NamedTuple

from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import MCP_TOKEN, WEB_TOKEN, cannot_write, write_durably
from tradebot.errors import OperatorError

AGAIN = {MCP_TOKEN: "tradebot mcp --http PORT --new-token", WEB_TOKEN: "tradebot web --new-token"}
"""The command that creates another token, by the name of the digest's file."""
BYTES = 32
"""The length of tokens, in bytes: too many to guess, so a slow digest isn't needed."""


class ServiceToken(NamedTuple):
    """A token's stored data: its digest, and when it was created."""

    digest: str
    at: datetime

    def fits(self, text: str) -> bool:
        """Return True if this is the token."""
        return compare_digest(self.digest, _digest(text))


def draw(folder: Path, name: str, now: datetime) -> str:
    """Create a new token, replacing any earlier one; OperatorError if its digest can't be written to `name`."""
    token = token_urlsafe(BYTES)
    try:
        write_durably(folder / name, json.dumps({"digest": _digest(token), "at": now.astimezone(UTC).isoformat()}))
    except OSError as error:
        raise cannot_write(folder, error) from error
    return token


def load_token(folder: Path, name: str) -> ServiceToken | None:
    """Return the stored token data, None if there is none; OperatorError if it can't be read."""
    path = folder / name
    try:
        document = json.loads(read_plain(path))
        return ServiceToken(bytes.fromhex(document["digest"]).hex(), datetime.fromisoformat(document["at"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{path} can't be read: {error}", AGAIN[name]) from error


def made_or_kept(folder: Path, name: str, now: datetime, *, new: bool) -> tuple[str | None, ServiceToken]:
    """Return the token if this call created it (with `new`, or if there was none), and its stored digest."""
    drawn = draw(folder, name, now) if new or load_token(folder, name) is None else None
    stored = load_token(folder, name)
    assert stored is not None, "it existed, or was just written"
    return drawn, stored


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
