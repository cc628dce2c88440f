"""Answer market-data requests as of an earlier engine time, to show a client stale data."""

from __future__ import annotations

from functools import cached_property

from starlette.types import Message, Receive, Scope

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.market_data import DataFace
from tradebot.exchange.faces.web import Endpoint, Paths
from tradebot.exchange.faults.answers import Answered


class Caught:
    def __init__(self) -> None:
        self._status = 500
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", []))
        else:
            self._body += message.get("body", b"")

    def answered(self) -> Answered:
        return Answered(self._status, self._headers, self._body)


class OlderData:
    """A second market-data API of an exchange that can answer as of any past time. It changes nothing."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._at_us = 0

    @cached_property
    def _paths(self) -> Paths:
        # Few exchanges ever show old data, so that this is made when it is first asked for.
        return Paths(DataFace(self._exchange, lambda: self._at_us).routes(), Endpoint({}))

    async def __call__(self, scope: Scope, receive: Receive, at_us: int) -> Answered:
        """Return a data request's answer at an engine time."""
        self._at_us, caught = at_us, Caught()
        # The handler never awaits, so no other request sees this time.
        await self._paths({**scope}, receive, caught)
        return caught.answered()
