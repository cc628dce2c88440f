"""Route the websockets of an exchange by path."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from papervenue.refusal import not_found
from papervenue.streams.socket import refuse


class Streams:
    def __init__(self, applications: Mapping[str, ASGIApp]) -> None:
        self._applications = applications

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse its handshake with a 404."""
        # Older clients end the path with a slash, and the real host accepts it.
        application = self._applications.get(scope["path"].rstrip("/"))
        if application is None:
            await refuse(receive, send, 404, not_found("endpoint not found.").body)
        else:
            await application(scope, receive, send)
