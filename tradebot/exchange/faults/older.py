"""Answer market-data requests as of an earlier engine time, to show a client stale data."""

from __future__ import annotations

from functools import cached_property

from starlette.types import Message, Scope

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.market_data import DataFace
from tradebot.exchange.faces.web import Endpoint, Paths


class OlderData:
    """A second market-data API of an exchange that can answer as of any past time. It changes nothing."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._at_us = 0

    @cached_property
    def _paths(self) -> Paths:
        # Few exchanges ever show old data, so that this is made when it is first asked for.
        return Paths(DataFace(self._exchange, lambda: self._at_us).routes(), Endpoint({}))

    async def __call__(self, scope: Scope, at_us: int) -> tuple[int, bytes]:
        parts: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            parts.append(message)

        self._at_us = at_us
        # The handler never awaits, so no other request sees this time.
        await self._paths({**scope}, receive, send)
        return parts[0]["status"], b"".join(part.get("body", b"") for part in parts[1:])
