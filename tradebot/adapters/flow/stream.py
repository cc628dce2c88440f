"""Receive flow alerts from Unusual Whales' websocket in a thread, and buffer rows until they are taken.

The token is part of the address, so no message contains the address.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from websockets.sync.client import ClientConnection

from tradebot.adapters.failpoint import around
from tradebot.adapters.flow.unusual_whales import UNUSUAL_WHALES_URL
from tradebot.adapters.wire.allowed_hosts import check_secret, check_url
from tradebot.adapters.wire.http import BodyError, decode, printable
from tradebot.adapters.wire.reconnecting_websocket import ReconnectingWebsocket, WebsocketTimeouts
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.flow import StreamRows

CHANNEL = "flow-alerts"
LONGEST_QUEUE = 10_000
"""The most rows that are buffered: several of the whole market's busiest minutes."""
_JOIN = '{"channel":"flow-alerts","msg_type":"join"}'
_REFUSED = (401, 403)


class FlowStream:
    """The channel of flow alerts. It connects as soon as it is created, and reconnects until it is closed."""

    who = "the flow source"

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        patience: WebsocketTimeouts | None = None,
        longest_queue: int = LONGEST_QUEUE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        check_url("the Unusual Whales address", base_url, (UNUSUAL_WHALES_URL,))
        check_secret("UW_API_KEY", token)
        self._patience = patience or WebsocketTimeouts()
        self._longest_queue = longest_queue
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rows: list[object] = []
        self._joined = self._lost = 0
        self._up = False
        self._problem = ""
        self._refusal: OperatorError | None = None
        address = f"ws{base_url.removeprefix('http')}/socket?token={quote(token, safe='')}"
        self._kept = ReconnectingWebsocket(address, self, self._patience, monotonic)

    def take(self) -> StreamRows:
        """Return the rows received since the last call, without waiting; raise OperatorError if the key is refused."""
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            rows, self._rows = tuple(self._rows), []
            return StreamRows(rows, self._joined, self._up, self._lost, self._problem)

    def renew(self) -> None:
        """Reconnect, because the connection doesn't deliver rows as expected."""
        self._kept.renew()

    def close(self) -> None:
        """Close the connection and end the thread; a connection that is still being opened closes on its own."""
        self._kept.close()

    def on_connection_end(self, problem: str, status: int | None) -> bool:
        """Record why a connection ended; return False if the source refuses the key."""
        if status in _REFUSED:
            self._refuse(status)
        with self._lock:
            self._up, self._problem = False, problem
            return self._refusal is None

    def talk(self, connection: ClientConnection) -> str:
        """Join the channel and buffer its rows until the connection ends.

        Return the reason if the source refuses to let us join, or doesn't answer in time.
        """
        with around("stream.join"):
            connection.send(_JOIN)
        deadline_s = self._monotonic() + self._patience.open_s
        while True:
            # Until the channel is joined, a reply is due; after that, the library detects a dead connection.
            left_s = None if self._up else deadline_s - self._monotonic()
            try:
                frame = connection.recv(left_s)
            except TimeoutError:
                return "the flow source didn't answer in time when we joined its channel"
            refused = self._keep(_read(frame))
            if refused:
                return refused

    def _keep(self, message: object) -> str:
        """Buffer a row; return the reason if the source refuses the join."""
        if not isinstance(message, list) or len(message) != 2:
            self._put(message)
            return ""
        channel, payload = message
        if isinstance(payload, dict) and {"response", "status"} <= payload.keys():
            if payload["status"] != "ok":
                return f"the flow source refused to let us join its channel: {printable(str(payload['response']))}"
            with self._lock:
                self._joined, self._up, self._problem = self._joined + (not self._up), True, ""
        elif channel == CHANNEL:
            self._put(payload)
        return ""

    def _put(self, row: object) -> None:
        with self._lock:
            if len(self._rows) < self._longest_queue:
                self._rows.append(row)
            else:
                self._lost += 1

    def _refuse(self, status: int) -> None:
        refusal = OperatorError(
            f"the flow source refused the stream with {status}: the key is wrong, or its plan has no websocket",
            "Check UW_API_KEY; without a plan that includes the websocket, set unusual_whales.stream to false.",
            code=ExitCode.AUTHENTICATION,
        )
        with self._lock:
            self._refusal = refusal


def _read(frame: str | bytes) -> object:
    """Parse a message; if it isn't JSON, return its beginning, which is counted as a bad row."""
    body = frame.encode() if isinstance(frame, str) else frame
    with suppress(BodyError):
        return decode(body)
    return printable(body[:200].decode("utf-8", "replace"))
