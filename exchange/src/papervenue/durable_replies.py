"""Hold back every answer until the log has what led to it: one write per change, one sync per batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from papervenue.exchange import Exchange
from papervenue.jsontext import encode
from papervenue.log import LogError

_BATCH_S = 0.005


class Recording:
    """Holds each answer back until the log holds everything done before it.

    What a reader learns must not be lost either, so a read also writes waiting lines. An answer waits until the system
    has its lines, which then survive this process; a thread syncs them to disk within milliseconds. `fail` is called if
    the log can't be written, and doesn't return.
    """

    def __init__(self, application: ASGIApp, exchange: Exchange, fail: Callable[[LogError], None]) -> None:
        self._application = application
        self._exchange = exchange
        self._fail = fail
        self._syncing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:

        async def send_recorded(message: Message) -> None:
            try:
                self._write()
            except LogError as error:
                if message.get("type") == "http.response.start":
                    await _tell(error, send)
                self._fail(error)
            await send(message)

        await self._application(scope, receive, send_recorded)

    def record(self) -> None:
        """Write everything done so far; call this in the event loop."""
        try:
            self._write()
        except LogError as error:
            self._fail(error)

    def _write(self) -> None:
        if not self._exchange.unrecorded:
            return
        self._exchange.record()
        if not self._syncing:
            self._syncing = True
            loop = asyncio.get_running_loop()
            loop.call_later(_BATCH_S, self._sync, loop)

    def _sync(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_in_executor(None, self._exchange.log.sync).add_done_callback(self._synced)

    def _synced(self, done: asyncio.Future[None]) -> None:
        self._syncing = False
        error = done.exception()
        if isinstance(error, LogError):
            self._fail(error)
        if self._exchange.log.unsynced:
            self._syncing = True
            self._sync(done.get_loop())


async def _tell(error: LogError, send: Send) -> None:
    """Say why the answer that was due doesn't come, before this process ends."""
    body = encode({"message": str(error)})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 507, "headers": headers})
    await send({"type": "http.response.body", "body": body})
