"""Listen to Unusual Whales' websocket of flow alerts in a thread, and keep what comes until it is taken.

The token is part of the address, so neither the address nor what the library says about it goes into any message, and
the library logs nothing.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol
from urllib.parse import quote

import certifi
from msgspec import Struct
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.flow.unusual_whales import UNUSUAL_WHALES_URL
from tradebot.adapters.wire.hosts import check_secret, check_url
from tradebot.adapters.wire.http import BodyError, decode, printable
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.flow import Heard

CHANNEL = "flow-alerts"
LONGEST_QUEUE = 10_000
"""How many rows wait to be taken: some minutes of the whole market's busiest."""
_JOIN = '{"channel":"flow-alerts","msg_type":"join"}'
_REFUSED = (401, 403)
_MOST_BYTES = 1_000_000
_GOODBYE_S = 2.0
_SILENT = logging.Logger("tradebot.flow.stream", logging.CRITICAL + 1)
"""The library logs handshakes, and with them the token; this logger passes nothing on."""


class Patience(Struct, frozen=True):
    """How long the stream waits, in seconds: for a connection and for the answer to a join, between pings and for their
    answers, and before it connects again. That wait doubles up to the longest one, until a connection lasted as long.
    """

    open_s: float = 10.0
    ping_s: float = 10.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0


class Ending(Protocol):
    """A connection that can be closed by another thread."""

    def close(self) -> None:
        """Close it."""


class FlowStream:
    """The channel of flow alerts. It connects when it is made, and again whenever the connection ends, until closed."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        patience: Patience | None = None,
        longest_queue: int = LONGEST_QUEUE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        check_url("the Unusual Whales address", base_url, (UNUSUAL_WHALES_URL,))
        check_secret("UW_API_KEY", token)
        self._address = f"ws{base_url.removeprefix('http')}/socket?token={quote(token, safe='')}"
        self._patience = patience or Patience()
        self._longest_queue = longest_queue
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rows: list[object] = []
        self._joined = self._lost = 0
        self._up = False
        self._problem = ""
        self._refusal: OperatorError | None = None
        self._connection: Ending | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flow stream", daemon=True)
        self._thread.start()

    def take(self) -> Heard:
        """Return what came since the last call, without waiting; raise OperatorError if the source refuses the key."""
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            rows, self._rows = tuple(self._rows), []
            return Heard(rows, self._joined, self._up, self._lost, self._problem)

    def renew(self) -> None:
        """Connect again, because the connection doesn't bring what it should."""
        with self._lock:
            connection = self._connection
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """End the connection and the thread; one that is just connecting ends by itself."""
        self._ending.set()
        self.renew()
        self._thread.join(_GOODBYE_S)

    def _run(self) -> None:
        try:
            self._keep_listening()
        finally:
            with self._lock:
                self._up = False

    def _keep_listening(self) -> None:
        wait_s = self._patience.first_wait_s
        while not self._ending.is_set():
            began_s = self._monotonic()
            problem = self._listen()
            with self._lock:
                self._up, self._connection, self._problem = False, None, problem
                if self._refusal is not None:
                    return
            lasted = self._monotonic() - began_s >= self._patience.longest_wait_s
            wait_s = self._patience.first_wait_s if lasted else wait_s
            self._ending.wait(wait_s)
            wait_s = min(2 * wait_s, self._patience.longest_wait_s)

    def _listen(self) -> str:
        """Connect and keep what comes until the connection ends; return why it did."""
        patience = self._patience
        secure = ssl.create_default_context(cafile=certifi.where()) if self._address.startswith("wss:") else None
        try:
            with connect(
                self._address,
                ssl=secure,
                proxy=None,
                logger=_SILENT,
                user_agent_header="tradebot",
                open_timeout=patience.open_s,
                ping_interval=patience.ping_s,
                ping_timeout=patience.ping_s,
                close_timeout=1.0,
                max_size=_MOST_BYTES,
            ) as connection:
                with self._lock:
                    self._connection = connection
                return self._hear(connection)
        except InvalidStatus as refused:
            status = refused.response.status_code
            if status in _REFUSED:
                self._refuse(status)
            return f"the flow source answered {status} instead of opening the stream"
        except (OSError, WebSocketException) as error:
            return _why(error)

    def _hear(self, connection: ClientConnection) -> str:
        with around("stream.join"):
            connection.send(_JOIN)
        deadline_s = self._monotonic() + self._patience.open_s
        while not self._ending.is_set():
            # Until the channel is joined an answer is due; after that, silence is the library's to notice.
            left_s = None if self._up else deadline_s - self._monotonic()
            try:
                frame = connection.recv(left_s)
            except TimeoutError:
                return "the flow source didn't answer the join in time"
            refused = self._keep(_read(frame))
            if refused:
                return refused
        return ""

    def _keep(self, message: object) -> str:
        """Keep a row; return why the source refuses the join, if it does."""
        if not isinstance(message, list) or len(message) != 2:
            self._put(message)
            return ""
        channel, payload = message
        if isinstance(payload, dict) and {"response", "status"} <= payload.keys():
            if payload["status"] != "ok":
                return f"the flow source refused the join: {printable(str(payload['response']))}"
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
    """Return a message, or for one that isn't JSON its beginning, which is counted as a bad row."""
    body = frame.encode() if isinstance(frame, str) else frame
    with suppress(BodyError):
        return decode(body)
    return printable(body[:200].decode("utf-8", "replace"))


def _why(error: Exception) -> str:
    """Return why a connection failed or ended, in words of our own: the library's may quote the address."""
    if isinstance(error, ConnectionClosed):
        code = error.rcvd.code if error.rcvd else None
        return f"the flow source closed the stream with code {code}" if code else "the stream broke off"
    if isinstance(error, TimeoutError):
        return "the flow source didn't open the stream in time"
    if isinstance(error, ssl.SSLError):
        return "no trusted connection, the certificate can't be verified"
    if isinstance(error, OSError):
        return "the flow source can't be reached"
    return "the flow source doesn't speak the websocket protocol"
