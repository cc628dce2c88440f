"""Read and write the snapshot file: a state, and what the state belongs to.

A snapshot is used only if its digest is right and it was made by this very program, from this market, and from a log
whose first bytes equal this log's. Otherwise the log is replayed and a new snapshot is made.
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
from tradebot.exchange.state import ACTIONS_FILE, BARS_FILE, DAYS_FILE, MARKET_FILE, SNAPSHOT_FILE

_PROGRAM = Path(__file__).resolve().parents[1]
_DIGEST_BYTES = hashlib.sha256().digest_size


class Snapshot(NamedTuple):
    """A state, the beginning of the log that led to it, and the identity of the program and market that made it."""

    identity: bytes
    log: Prefix
    state: bytes


def write(state_dir: Path, snapshot: Snapshot) -> None:
    """Replace the snapshot; raise OSError if that fails."""
    content: bytes = msgpack.packb(snapshot)
    write_atomically(state_dir / SNAPSHOT_FILE, hashlib.sha256(content).digest() + content)


def read(state_dir: Path) -> Snapshot | None:
    """Return the snapshot of a folder, or None if there is no valid one."""
    try:
        file = memoryview(read_own(state_dir / SNAPSHOT_FILE))
    except OSError:
        return None
    digest, content = file[:_DIGEST_BYTES], file[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    made_by, log, state = msgpack.unpackb(content)
    return Snapshot(made_by, Prefix(*log), state) if made_by == identity_of(state_dir) else None


def identity_of(state_dir: Path) -> bytes:
    """Return the digest of what determines a state besides the log: this program and the market's files.

    Bars may be too many to read again, so their file counts as unchanged if its size and modification time are.
    """
    digest = hashlib.sha256(_program() + (state_dir / MARKET_FILE).read_bytes())
    for path in (state_dir / BARS_FILE, state_dir / DAYS_FILE, state_dir / ACTIONS_FILE):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.digest()


@cache
def _program() -> bytes:
    """Return the digest of the exchange's source when this process began, even if the source is replaced meanwhile."""
    digest = hashlib.sha256(f"{sys.version} {msgpack.version}".encode())
    for path in sorted(_PROGRAM.rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def forget_drafts(state_dir: Path) -> None:
    for draft in state_dir.glob(f"{SNAPSHOT_FILE}.*.tmp"):
        draft.unlink(missing_ok=True)
