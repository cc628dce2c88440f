"""Decide who may talk to the exchange: programs on this machine, and no web page except its own.

Its control API needs no key, so only programs of the user who runs the exchange may change it; `callers` identifies
them.

A web page of another site can make a browser send requests to loopback. It can also point its own domain there, so that
its requests look like the exchange's own. The Origin header reveals the first, the Host header the second.

Enforce two HTTP rules before routing: where a request ends, and which host it is for.

Source of both rules: RFC 9112, sections 6.3 (two lengths) and 3.2.2 (the absolute form of a target).
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from tradebot.exchange.faces import callers
from tradebot.exchange.faces.web import Reply, send_reply
from tradebot.exchange.jsontext import encode
from tradebot.exchange.refusal import FORBIDDEN, MALFORMED

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
"""The page's data as JSON; foreign pages must never read it."""
_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(?::(\d{1,5}))?", re.ASCII | re.IGNORECASE)
_CONTROL = "/exchange/"
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """The ASGI application in front of all others: refuses whatever doesn't come from programs on this machine."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = objection(scope, self._token)
        if message is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Closing before accepting tells the ASGI server to answer the handshake with a 403.
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await send_reply(send, Reply(403, encode({"code": FORBIDDEN, "message": message})))


def objection(scope: Scope, token: str | None = None) -> str | None:
    """Return why a request is refused, or None. A client other than a browser may omit both headers."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    ports = [_port(host.decode("latin-1")) for host in hosts]
    if None in ports:
        return "the Host header must name this machine: 127.0.0.1, localhost or [::1]"
    foreign = any(_is_foreign(value.decode("latin-1"), ports) for name, value in scope["headers"] if name == b"origin")
    if foreign and (scope["type"] == "websocket" or scope["method"] not in _SAFE or scope["path"] == PAGE_DATA):
        return "a web page from another origin can't do this"
    controls = scope["path"].startswith(_CONTROL) and scope.get("method", "GET") not in _SAFE
    return callers.objection(scope, token) if controls else None


def _is_foreign(origin: str, ports: list[str | None]) -> bool:
    scheme, _, host = origin.partition("://")
    return scheme != "http" or _port(host) is None or _port(host) not in ports


def _port(host: str) -> str | None:
    """Return the port of a loopback host (80 if none is given), or None for any other host."""
    match = _HOST.fullmatch(host)
    return None if match is None else match[2] or "80"
