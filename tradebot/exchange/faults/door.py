"""Intercept every request while rules are armed, and apply the rules that fire."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.web import LONGEST_BODY, headers_of
from tradebot.exchange.faults.answers import ANSWERS, rightly
from tradebot.exchange.faults.facts import facts_of
from tradebot.exchange.faults.kinds import Facts, kind_of
from tradebot.exchange.faults.turn import Behind, Turn
from tradebot.exchange.faults.wire import Connection

_DECIDING = ("answer", "order")


class FaultDoor:
    """ASGI middleware that applies faults. `record` writes decisions into the log."""

    def __init__(self, inner: ASGIApp, exchange: Exchange, record: Callable[[], None]) -> None:
        self._behind = Behind(inner, exchange)
        self._book = exchange.faults.book
        self._catch_up = exchange.catch_up
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._book.on_requests or not kind_of(f"{scope['method']} {scope['path']}"):
            await self._behind.inner(scope, receive, send)
            return
        try:
            body = await _body(Request(scope, receive))
        except ClientDisconnect:
            return
        facts = self._facts(scope, body)
        firings = self._book.firings(facts, self._behind.engine.now_us)
        turn = Turn(self._behind, Connection(scope, receive, send, self._record), facts, firings, body)
        if not firings:
            await self._behind.inner(scope, turn.again, send)
            return
        deciding = next((firing for firing in firings if firing.role in _DECIDING), None)
        answering = rightly if deciding is None else ANSWERS.get(deciding.rule.fault, rightly)
        await answering(turn, {} if deciding is None else deciding.rule.settings)

    def _facts(self, scope: Scope, body: bytes) -> Facts:
        self._catch_up()
        query, text = scope["query_string"].decode("latin-1"), body.decode(errors="replace")
        return facts_of(scope["method"], scope["path"], query, headers_of(scope), text, self._behind.engine)


async def _body(request: Request) -> bytes:
    """Read the body; if it is unreasonably long, keep only a part that is still too long to be accepted."""
    kept = bytearray()
    async for chunk in request.stream():
        kept += chunk[: LONGEST_BODY + 1 - len(kept)]
    return bytes(kept)
