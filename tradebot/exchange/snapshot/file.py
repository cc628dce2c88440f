"""The snapshot's file: a state, and what it is a state of.

It is believed only if it is whole by its own digest, and was made by this very program, of this market, of a log that
begins byte for byte as this one does. Whatever else it is, the log is replayed and the file is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgpack

from tradebot.exchange.log import Prefix
from tradebot.exchange.private_files import read_own, write_atomically
from tradebot.exchange.state import ACTIONS_FILE, BARS_FILE, MARKET_FILE, SNAPSHOT_FILE

_PROGRAM = Path(__file__).resolve().parents[1]
_DIGEST_BYTES = hashlib.sha256().digest_size


class Snapshot(NamedTuple):
    """A state, the beginning of the log that led to it, and the identity of what made it so."""

    identity: bytes
    log: Prefix
    state: bytes


def write(state_dir: Path, snapshot: Snapshot) -> None:
    """Put a snapshot in the place of the one before; raises OSError."""
    content: bytes = msgpack.packb(snapshot)
    write_atomically(state_dir / SNAPSHOT_FILE, hashlib.sha256(content).digest() + content)


def read(state_dir: Path) -> Snapshot | None:
    """Return the snapshot of a folder; None where there is none to believe."""
    try:
        whole = memoryview(read_own(state_dir / SNAPSHOT_FILE))
    except OSError:
        return None
    digest, content = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    made_by, log, state = msgpack.unpackb(content)
    return Snapshot(made_by, Prefix(*log), state) if made_by == identity_of(state_dir) else None


def identity_of(state_dir: Path) -> bytes:
    """Return the digest of what a state follows from beside the log: this program, and the market's files.

    Bars may be too many to be read again: their file is the same as long as its size and its time are.
    """
    digest = hashlib.sha256(_program() + (state_dir / MARKET_FILE).read_bytes())
    for path in (state_dir / BARS_FILE, state_dir / ACTIONS_FILE):
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            digest.update(f"{path.name} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.digest()


@cache
def _program() -> bytes:
    """Return the digest of the exchange's source as it was when this process began, whoever replaces it meanwhile."""
    digest = hashlib.sha256(f"{sys.version} {msgpack.version}".encode())
    for path in sorted(_PROGRAM.rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def forget_drafts(state_dir: Path) -> None:
    """Remove what is left of snapshots whose writing was cut short."""
    for draft in state_dir.glob(f"{SNAPSHOT_FILE}.*.tmp"):
        draft.unlink(missing_ok=True)
