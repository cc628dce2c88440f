"""Whether a control request is of the user who runs this exchange: by the kernel's word, else by the token."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from starlette.types import Scope

from tradebot.exchange.control_token import TOKEN_FILE, TOKEN_HEADER, fits

FOREIGN = "only the user who runs this exchange may control it"
UNTOLD = f"this machine does not tell whose request this is: send what {TOKEN_FILE} holds as {TOKEN_HEADER}"
_CONNECTIONS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_HEADER = TOKEN_HEADER.lower().encode()
_ROOT = 0
_NO_SOCKET = "0"
_MAPPED = "0000000000000000FFFF0000"
"""How /proc/net/tcp6 begins an IPv4 address that an IPv6 socket is connected to, on a little-endian machine."""


def objection(scope: Scope, token: str | None) -> str | None:
    """Return why a request may not control the exchange, or None; without a token nothing takes the kernel's place."""
    if "client" not in scope and "server" not in scope:
        # No server took it in: an application was asked in its own process. A server names both, if only as None.
        return None
    owner = _owner(scope.get("client"), scope.get("server"))
    if owner is not None:
        return None if owner in (_ROOT, os.geteuid()) else FOREIGN
    shown = [value for name, value in scope["headers"] if name == _HEADER]
    return None if token is not None and len(shown) == 1 and fits(shown[0], token) else UNTOLD


def _owner(client: tuple[str, int] | None, server: tuple[str, int] | None) -> int | None:
    """Return the user id of the socket at the client's end; None where the kernel does not tell, as on macOS."""
    if client is None or server is None:
        return None
    ends = _written(*client), _written(*server)
    found = (_owner_in(table, *ends) for table in _CONNECTIONS)
    return next((owner for owner in found if owner is not None), None)


def _owner_in(table: Path, local: str, remote: str) -> int | None:
    """Find a connection in a table of the kernel's."""
    try:
        rows = table.read_text(encoding="ascii").splitlines()[1:]
    except (OSError, ValueError):
        return None
    # A row is: number, local address, remote address, state, queues, timer, retransmits, user id, timeout, inode.
    for fields in (row.split() for row in rows):
        if (fields[1].removeprefix(_MAPPED), fields[2].removeprefix(_MAPPED)) == (local, remote):
            # A connection whose process has closed it, or ended, has no inode: the kernel then names root.
            return None if fields[9] == _NO_SOCKET else int(fields[7])
    return None


def _written(host: str, port: int) -> str:
    """Write an IPv4 address and port as the kernel does: the address in the order of the machine's bytes."""
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
