"""Refuse the handshake of a websocket."""

from __future__ import annotations

from starlette.types import Receive, Send

from tradebot.exchange.jsontext import encode


async def refuse(receive: Receive, send: Send, status: int, body: object) -> None:
    """Answer a handshake with an error status and a JSON body."""
    await receive()
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": encode(body)})
    # uvicorn considers a refused handshake unanswered until the connection is over, which is its second event.
    await receive()
    await receive()
