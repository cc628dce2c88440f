"""No answer before the log has what led to it: a write for each change, a sync for each batch of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.log import LogError

_BATCH_S = 0.005


class Recording:
    """Holds each answer back until the log holds everything that was done before it.

    What a reader is told must not be lost either, so a read writes too where lines are waiting. An answer waits for
    the system to have its lines, which outlives this process; the disk has them within milliseconds, by a thread.
    `fail` is told of a log that is refused, and does not return.
    """

    def __init__(self, application: ASGIApp, exchange: Exchange, fail: Callable[[LogError], None]) -> None:
        self._application = application
        self._exchange = exchange
        self._fail = fail
        self._syncing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request; its answer leaves after the write that holds its lines."""

        async def send_recorded(message: Message) -> None:
            self.record()
            await send(message)

        await self._application(scope, receive, send_recorded)

    def record(self) -> None:
        """Write everything done so far; it is called in the event loop."""
        if not self._exchange.unrecorded:
            return
        try:
            self._exchange.record()
        except LogError as error:
            self._fail(error)
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
