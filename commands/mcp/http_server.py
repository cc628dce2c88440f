"""Serve the protocol over HTTP on this machine alone, to whoever has the token and comes from no web page."""

from collections.abc import Callable
from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

HOST = "127.0.0.1"
PATH = "/mcp"
SCHEME = "bearer"
LONGEST_BODY = 100_000
MOST_SESSIONS = 20


class WithToken:
    """An application that only answers requests with the token."""

    def __init__(self, app: ASGIApp, fits: Callable[[str], bool]) -> None:
        self._app, self._fits = app, fits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 401 before anything of the request is read."""
        if scope["type"] == "http" and not self._allowed(Headers(scope=scope)):
            refusal = Response("the token is missing or wrong", 401, {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allowed(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == SCHEME and self._fits(token.strip())


def application(server: Server[Any], port: int, fits: Callable[[str], bool]) -> ASGIApp:
    """Return what answers on a port: the token first, then Host, then Origin. There are no pages here to ask it."""
    hosts = [f"{name}:{port}" for name in (HOST, "localhost")]
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=LONGEST_BODY,
        max_sessions=MOST_SESSIONS,
        transport_security=TransportSecuritySettings(
            allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts]
        ),
    )
    return WithToken(app, fits)
