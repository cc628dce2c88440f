"""Market data as they were at an earlier engine time, for a client that is to see old ones."""

from __future__ import annotations

from starlette.routing import Router
from starlette.types import Message, Scope

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.market_data import DataFace


class OlderData:
    """A second data face of an exchange, whose time is any that has been. It changes nothing."""

    def __init__(self, exchange: Exchange) -> None:
        self._at_us = 0
        face = DataFace(exchange, lambda: self._at_us)
        self._router = Router(face.routes(), redirect_slashes=False)

    async def __call__(self, scope: Scope, at_us: int) -> tuple[int, bytes]:
        """Return how a data request was answered at an engine time: status and body."""
        parts: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            parts.append(message)

        self._at_us = at_us
        # The face answers without waiting, so that no other request sees this time.
        await self._router({**scope}, receive, send)
        return parts[0]["status"], b"".join(part.get("body", b"") for part in parts[1:])
