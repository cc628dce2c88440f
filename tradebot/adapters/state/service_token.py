"""Let a service on this machine be asked only by whoever has its token, of which the state folder keeps a digest."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_urlsafe
from typing import NamedTuple

from tradebot.adapters.state.plain_files import read_plain
from tradebot.adapters.state.state_folder import MCP_TOKEN, cannot_write, write_durably
from tradebot.errors import OperatorError

BYTES = 32
"""So much chance needs no slow digest: nobody can try that many tokens."""


class ServiceToken(NamedTuple):
    """What is kept of a token: its digest, and when it was made."""

    digest: str
    at: datetime

    def fits(self, text: str) -> bool:
        """Return whether this is the token."""
        return compare_digest(self.digest, _digest(text))


def draw(folder: Path, now: datetime) -> str:
    """Return a new token, in place of any earlier one; OperatorError if its digest can't be written."""
    token = token_urlsafe(BYTES)
    try:
        write_durably(folder / MCP_TOKEN, json.dumps({"digest": _digest(token), "at": now.astimezone(UTC).isoformat()}))
    except OSError as error:
        raise cannot_write(folder, error) from error
    return token


def kept(folder: Path) -> ServiceToken | None:
    """Return what is kept of the token, None if none was made; OperatorError if that can't be read."""
    path = folder / MCP_TOKEN
    try:
        found = json.loads(read_plain(path))
        return ServiceToken(str(found["digest"]), datetime.fromisoformat(found["at"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{path} can't be read: {error}", "tradebot mcp --http PORT --new-token") from error


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
