"""Decide who may talk to the exchange: programs on this machine, and no web page except its own.

Its control API needs no key, so only programs of the user who runs the exchange may change it; `callers` identifies
them.

A web page of another site can make a browser send requests to loopback. It can also point its own domain there, so that
its requests look like the exchange's own. The Origin header (or Sec-Fetch-Site) reveals the first, the Host header the
second. The exchange's own page may change things, and shows a key for it that no other page can read.

Enforce two HTTP rules before routing: where a request ends, and which host it is for.

Source of both rules: RFC 9112, sections 6.3 (two lengths) and 3.2.2 (the absolute form of a target).
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from papervenue.faces import local_auth
from papervenue.faces.web import Reply, send_reply
from papervenue.jsontext import encode
from papervenue.refusal import FORBIDDEN, MALFORMED

_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_LENGTHS = {b"content-length", b"transfer-encoding"}


class Framing:
    """The outermost ASGI application: refuses requests with two lengths, shortens absolute targets to paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and {name for name, _ in scope["headers"]} >= _LENGTHS:
            await _refuse(receive, send)
        else:
            await self._app(scope if scope["path"].startswith("/") else in_origin_form(scope), receive, send)


def in_origin_form(scope: Scope) -> Scope:
    """Return the scope of a request whose target may name a host, which then replaces the Host header."""
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
    """Refuse a complete request and close its connection: what follows may be part of another request."""
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
"""Browsers send at least one of these with whatever a page's script or form sends, and no page can prevent it."""
_OTHER_SITES = (b"cross-site", b"same-site")


class ControlCredentials(NamedTuple):
    """What control requests are known by: the key of the own page, and the user's token if the kernel doesn't tell.

    Both are drawn anew for each process. Without a token, nothing replaces the kernel's word.
    """

    page_key: str
    token: str | None = None


class Guard:
    """The ASGI application in front of all others: refuses whatever doesn't come from programs on this machine."""

    def __init__(self, app: ASGIApp, may: ControlCredentials) -> None:
        self._app = app
        self._may = may

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = objection(scope, self._may)
        if message is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Closing before accepting tells the ASGI server to answer the handshake with a 403.
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await send_reply(send, Reply(403, encode({"code": FORBIDDEN, "message": message})))


def objection(scope: Scope, may: ControlCredentials) -> str | None:
    """Return why a request is refused, or None. A client other than a browser may omit both headers."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    ports = [_port(host.decode("latin-1")) for host in hosts]
    if None in ports:
        return "the Host header must name this machine: 127.0.0.1, localhost or [::1]"
    foreign = any(_is_foreign(name, value, ports) for name, value in scope["headers"])
    if foreign and (scope["type"] == "websocket" or scope["method"] not in _SAFE or scope["path"] == PAGE_DATA):
        return "a web page from another origin can't do this"
    if not scope["path"].startswith(_CONTROL) or scope.get("method", "GET") in _SAFE:
        return None
    return _keyless(scope, may.page_key) or local_auth.objection(scope, may.token)


def _keyless(scope: Scope, key: str) -> str | None:
    """Return why a browser's request is refused, or None if it has the page's key or no browser sent it."""
    if not any(name in _OF_BROWSERS for name, _ in scope["headers"]):
        return None
    keys = [value for name, value in scope["headers"] if name == _KEY]
    fits = len(keys) == 1 and secrets.compare_digest(keys[0], key.encode("ascii"))
    return None if fits else KEYLESS


def _is_foreign(name: bytes, value: bytes, ports: list[str | None]) -> bool:
    """Return True if a header says that a page of another origin sent the request."""
    if name == b"sec-fetch-site":
        return value in _OTHER_SITES
    scheme, _, host = value.decode("latin-1").partition("://")
    return name == b"origin" and (scheme != "http" or _port(host) is None or _port(host) not in ports)


def _port(host: str) -> str | None:
    """Return the port of a loopback host (80 if none is given), or None for any other host."""
    match = _HOST.fullmatch(host)
    return None if match is None else match[2] or "80"
