"""Tell whether a control request comes from the user who runs this exchange, by asking the kernel or by token."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

from starlette.types import Scope

from papervenue.faces.web import CONNECTION
from papervenue.private_files import TOKEN_FILE, TOKEN_HEADER

FOREIGN = "only the user who runs this exchange can control it"
UNTOLD = f"can't tell which user sent this request: send the content of {TOKEN_FILE} as {TOKEN_HEADER}"
_CONNECTIONS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_HEADER = TOKEN_HEADER.lower().encode()
_ROOT = 0
_NO_SOCKET = "0"
_MAPPED = "0000000000000000FFFF0000"
"""The prefix in /proc/net/tcp6 of an IPv4 address that an IPv6 socket is connected to, on a little-endian machine."""


def objection(scope: Scope, token: str | None) -> str | None:
    """Return why a request may not control the exchange, or None; without a token only the kernel can authorize it."""
    if "client" not in scope and "server" not in scope:
        # There was no server: an application was called in its own process. A server always sets both keys.
        return None
    owner = _owner_of(scope)
    if owner is not None:
        return None if owner in (_ROOT, os.geteuid()) else FOREIGN
    tokens = [value for name, value in scope["headers"] if name == _HEADER]
    fits = token is not None and len(tokens) == 1 and secrets.compare_digest(tokens[0], token.encode("ascii"))
    return None if fits else UNTOLD


def _owner_of(scope: Scope) -> int | None:
    """Return the user id of the client's socket; ask once per connection, because a socket keeps its owner."""
    connection: Any = scope.get("state", {}).get(CONNECTION)
    owner: int | None = getattr(connection, "owner", None)
    if owner is None:
        owner = owner_of(scope.get("client"), scope.get("server"))
        if connection is not None:
            connection.owner = owner
    return owner


def owner_of(client: tuple[str, int] | None, server: tuple[str, int] | None) -> int | None:
    """Return the user id of the client's socket, or None if the kernel doesn't tell, as on macOS."""
    if client is None or server is None:
        return None
    ends = _written(*client), _written(*server)
    owners = (_owner_in(table, *ends) for table in _CONNECTIONS)
    return next((owner for owner in owners if owner is not None), None)


def _owner_in(table: Path, local: str, remote: str) -> int | None:
    """Find a connection in one of the kernel's tables."""
    try:
        rows = table.read_text(encoding="ascii").splitlines()[1:]
    except (OSError, ValueError):
        return None
    # A row is: number, local address, remote address, state, queues, timer, retransmits, user id, timeout, inode.
    for fields in (row.split() for row in rows):
        if (fields[1].removeprefix(_MAPPED), fields[2].removeprefix(_MAPPED)) == (local, remote):
            # A connection whose process has closed it, or exited, has no inode; the kernel then lists root as its
            # owner.
            return None if fields[9] == _NO_SOCKET else int(fields[7])
    return None


def _written(host: str, port: int) -> str:
    """Format an IPv4 address and port as the kernel does, with the address in the machine's byte order."""
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
