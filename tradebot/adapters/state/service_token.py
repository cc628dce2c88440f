"""Restrict a local service to clients with its token; the state folder stores only a digest."""

import json
from collections.abc import Sequence
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
        """Return True if `text` is this token."""
        return compare_digest(self.digest, _digest(text))


def load_token(folder: Path, name: str) -> ServiceToken | None:
    """Return the stored data of a token, or None if there is none; raise OperatorError if it can't be read."""
    path = folder / name
    try:
        document = json.loads(read_plain(path))
        return ServiceToken(bytes.fromhex(document["digest"]).hex(), datetime.fromisoformat(document["at"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{path} can't be read: {error}", AGAIN[name]) from error


def create_or_load(folder: Path, name: str, now: datetime, *, new: bool) -> tuple[str | None, ServiceToken]:
    """Return the token if this call created it (None otherwise), and its stored data.

    A token is created if `new` is True or if none is stored.
    """
    return create_or_load_for([folder], name, now, new=new)


def create_or_load_for(
    folders: Sequence[Path], name: str, now: datetime, *, new: bool
) -> tuple[str | None, ServiceToken]:
    """Create or load one token for several folders, so that all of them have the same digest.

    Folders that can't be written are left out. Raise OperatorError if none can be written, or if the folders have
    different digests and no new token replaces these.
    """
    stored = [load_token(folder, name) for folder in folders if not new]
    existing = {token.digest: token for token in stored if token is not None}
    if len(existing) > 1:
        problem = f"these bots have {len(existing)} different tokens"
        raise OperatorError(problem, f"{AGAIN[name]} creates one for all of them")
    if not existing:
        token = token_urlsafe(BYTES)
        chosen = ServiceToken(_digest(token), now.astimezone(UTC))
    else:
        token, (chosen,) = None, existing.values()
    lacking = folders if token else [folder for folder, has in zip(folders, stored, strict=True) if has is None]
    failed = [error for folder in lacking if (error := _save(folder, name, chosen))]
    if failed and len(failed) == len(folders):
        raise failed[0]
    return token, chosen


def _save(folder: Path, name: str, token: ServiceToken) -> OperatorError | None:
    """Store a token's digest; return the error if that is impossible."""
    try:
        write_durably(folder / name, json.dumps({"digest": token.digest, "at": token.at.isoformat()}))
    except OSError as error:
        return cannot_write(folder, error)
    return None


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
