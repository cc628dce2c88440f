"""Enforce two HTTP rules before routing: where a request ends, and which host it is for.

Source of both rules: RFC 9112, sections 6.3 (two lengths) and 3.2.2 (the absolute form of a target).
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from tradebot.exchange.faces.web import Reply, send_reply
from tradebot.exchange.jsontext import encode
from tradebot.exchange.refusal import MALFORMED

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
