"""Decide who may talk to the exchange: programs on this machine, and no web page except its own.

Its control API needs no key, so only programs of the user who runs the exchange may change it.

A web page of another site can make a browser send requests to loopback; the Origin header (or Sec-Fetch-Site) reveals
that. It can also point its own domain there, so that its requests look like those of the exchange's own page; the Host
header reveals that. The exchange's own page may change things, with a key that no other page can read.

Two HTTP rules are enforced before routing: where a request ends, and which host it is for. Source: RFC 9112, sections
6.3 (two lengths) and 3.2.2 (the absolute form of a target).

The kernel or a token shows whether a control request comes from the user who runs this exchange. For any other request,
key and secret determine the account.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from papervenue.commands.command import Command
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.faces.web import CONNECTION, Call, Reply, send_reply
from papervenue.jsontext import encode
from papervenue.private_files import TOKEN_FILE, TOKEN_HEADER
from papervenue.refusal import FORBIDDEN, MALFORMED, Refusal

_BASIC, _BEARER = "basic ", "bearer "


class Credentials(NamedTuple):
    key_id: str
    secret: str


def account_of(call: Call, engine: Engine) -> Account:
    """Return the caller's account; raise the 401 Refusal if no account has this key and secret."""
    account = account_with(credentials_of(call.headers), engine)
    if account is None:
        raise unauthorized_refusal()
    return account


def account_with(credentials: Credentials | None, engine: Engine) -> Account | None:
    if credentials is None:
        return None
    opened = (account for account in engine.accounts.values() if account.key_id == credentials.key_id)
    secret = credentials.secret.encode(errors="replace")
    return next((account for account in opened if hmac.compare_digest(account.secret.encode(), secret)), None)


def credentials_of(headers: Mapping[str, str]) -> Credentials | None:
    """Return the credentials from Alpaca's two headers, or from basic or bearer authentication; None without any.

    Here, an account's secret equals its key, so a single word can serve as an OAuth client's token.
    """
    key_id, secret = headers.get("apca-api-key-id"), headers.get("apca-api-secret-key")
    if key_id and secret:
        return Credentials(key_id, secret)
    header = headers.get("authorization", "")
    if header.lower().startswith(_BEARER):
        token = header[len(_BEARER) :].strip()
        return Credentials(token, token)
    return _basic(header[len(_BASIC) :]) if header.lower().startswith(_BASIC) else None


def command_of(call: Call, account: Account | None = None) -> Command:
    number = account.number if account else ""
    return Command(call.method, call.raw_path, call.raw_query, call.body, number, call.effects)


def _basic(encoded: str) -> Credentials | None:
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    key_id, colon, secret = text.partition(":")
    return Credentials(key_id, secret) if colon else None


def unauthorized_refusal() -> Refusal:
    """Return the 401 that Alpaca gives, which has no code."""
    return Refusal(401, {"message": "unauthorized."})


FOREIGN = "only the user who runs this exchange can control it"

UNTOLD = f"can't tell which user sent this request: send the content of {TOKEN_FILE} as {TOKEN_HEADER}"

_CONNECTIONS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))

_HEADER = TOKEN_HEADER.lower().encode()

_ROOT = 0

_NO_SOCKET = "0"

_MAPPED = "0000000000000000FFFF0000"

"""The prefix in /proc/net/tcp6 of an IPv4 address that an IPv6 socket is connected to, on a little-endian machine."""


def control_objection(scope: Scope, token: str | None) -> str | None:
    """Return why a request may not control the exchange, or None if it may.

    Without a token, only the kernel can show that the client is authorized.
    """
    if "client" not in scope and "server" not in scope:
        # Without a server, an application was called in its own process. A server always sets both keys.
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
    """Return the user id of the client's socket, or None if the kernel doesn't report it, as on macOS."""
    if client is None or server is None:
        return None
    ends = _kernel_address(*client), _kernel_address(*server)
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


def _kernel_address(host: str, port: int) -> str:
    """Format an IPv4 address and port as the kernel does, with the address in the machine's byte order."""
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"


_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)

_LENGTHS = {b"content-length", b"transfer-encoding"}


class RequestFraming:
    """The outermost ASGI application. It refuses requests with two lengths, and shortens absolute targets to paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and {name for name, _ in scope["headers"]} >= _LENGTHS:
            await _refuse(receive, send)
        else:
            await self._app(scope if scope["path"].startswith("/") else in_origin_form(scope), receive, send)


def in_origin_form(scope: Scope) -> Scope:
    """Return a request's scope with the target as a path; if the target names a host, that replaces the Host header."""
    match = _ABSOLUTE.fullmatch(scope["path"])
    raw = _ABSOLUTE.fullmatch(scope["raw_path"].decode("latin-1"))
    if match is None or raw is None:
        return scope
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope,
        "path": match[2] or "/",
        "raw_path": (raw[2] or "/").encode("latin-1"),
        "headers": [*headers, (b"host", raw[1].encode("latin-1"))],
    }


async def _refuse(receive: Receive, send: Send) -> None:
    """Refuse a complete request and close its connection, because what follows may be part of another request."""
    while (await receive()).get("more_body"):
        pass
    body = encode({"code": MALFORMED, "message": "a request can't have both a Content-Length and a Transfer-Encoding"})
    await send_reply(send, Reply(400, body, {"connection": "close"}))


PAGE_DATA = "/exchange/v1/page"

"""The page's data as JSON; foreign pages must never read it, because it holds the page's key."""

PAGE_HEADER = "X-Exchange-Page"

KEYLESS = f"a web page can control the exchange only with the page's key as {PAGE_HEADER}: open the exchange's own page"

_KEY = PAGE_HEADER.lower().encode()

_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(?::(\d{1,5}))?", re.ASCII | re.IGNORECASE)

_CONTROL = "/exchange/"

_SAFE = ("GET", "HEAD", "OPTIONS")

_OF_BROWSERS = {b"origin", b"sec-fetch-site"}

"""Browsers send at least one of these headers with every request of a page; no page can prevent that."""

_OTHER_SITES = (b"cross-site", b"same-site")


class ControlCredentials(NamedTuple):
    """What authorizes control requests: the key of the exchange's own page, and a token.

    The token is for users whom the kernel can't identify. Both are new for each process. Without a token, only the
    kernel can authorize a client.
    """

    page_key: str
    token: str | None = None


class Guard:
    """The outermost access check: refuses requests that don't come from programs on this machine."""

    def __init__(self, app: ASGIApp, may: ControlCredentials) -> None:
        self._app = app
        self._may = may

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = refusal_reason(scope, self._may)
        if message is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Closing before accepting tells the ASGI server to answer the handshake with a 403.
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await send_reply(send, Reply(403, encode({"code": FORBIDDEN, "message": message})))


def refusal_reason(scope: Scope, may: ControlCredentials) -> str | None:
    """Return why a request is refused, or None. Clients other than browsers may omit both headers."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    ports = [_port(host.decode("latin-1")) for host in hosts]
    if None in ports:
        return "the Host header must name this machine: 127.0.0.1, localhost or [::1]"
    foreign = any(_is_foreign(name, value, ports) for name, value in scope["headers"])
    if foreign and (scope["type"] == "websocket" or scope["method"] not in _SAFE or scope["path"] == PAGE_DATA):
        return "a web page from another origin can't do this"
    if not scope["path"].startswith(_CONTROL) or scope.get("method", "GET") in _SAFE:
        return None
    return _keyless(scope, may.page_key) or control_objection(scope, may.token)


def _keyless(scope: Scope, key: str) -> str | None:
    """Return why a browser's request is refused, or None if it has the page's key or no browser sent it."""
    if not any(name in _OF_BROWSERS for name, _ in scope["headers"]):
        return None
    keys = [value for name, value in scope["headers"] if name == _KEY]
    fits = len(keys) == 1 and secrets.compare_digest(keys[0], key.encode("ascii"))
    return None if fits else KEYLESS


def _is_foreign(name: bytes, value: bytes, ports: list[str | None]) -> bool:
    """Return True if a header shows that a page of another origin sent the request."""
    if name == b"sec-fetch-site":
        return value in _OTHER_SITES
    scheme, _, host = value.decode("latin-1").partition("://")
    return name == b"origin" and (scheme != "http" or _port(host) is None or _port(host) not in ports)


def _port(host: str) -> str | None:
    """Return the port of a loopback host (80 if none is given), or None for any other host."""
    match = _HOST.fullmatch(host)
    return None if match is None else match[2] or "80"
