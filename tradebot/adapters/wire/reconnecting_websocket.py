"""Keep a websocket open in a thread: connect, use the connection until it ends, wait, and reconnect, until closed.

An address can contain a key, so neither the address nor the library's messages about it are quoted anywhere, and the
library logs nothing.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Protocol

import certifi
from msgspec import Struct
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from tradebot.model.retry_waits import wait_after

_MOST_BYTES = 1_000_000
_GOODBYE_S = 2.0
_SILENT = logging.Logger("tradebot.websocket", logging.CRITICAL + 1)
"""The library logs handshakes, and with them the address; this logger passes nothing on."""


class WebsocketTimeouts(Struct, frozen=True):
    """How many seconds a websocket waits: to open, for pings, and before it reconnects.

    `open_s` is the limit for the connection and its first reply. `ping_s` is the time between pings, and the limit for
    their replies. The wait before reconnecting doubles from `first_wait_s` up to `longest_wait_s`; it starts over after
    a connection that lasted at least `longest_wait_s`.
    """

    open_s: float = 10.0
    ping_s: float = 10.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0


class Party(Protocol):
    """A user of a websocket; its methods are called in the websocket's thread."""

    who: str
    """Who is at the other end, for messages."""

    def talk(self, connection: ClientConnection) -> str:
        """Use the connection until something is wrong, and return the problem.

        Raise an error once the connection has ended.
        """

    def on_connection_end(self, problem: str, status: int | None) -> bool:
        """Record why a connection ended or couldn't be opened; return False to stop reconnecting.

        `status` is the HTTP status returned in place of a websocket.
        """


class _Closing(Protocol):
    def close(self) -> None: ...


class ReconnectingWebsocket:
    """A websocket that connects when it is created, and reconnects whenever the connection ends, until it is closed."""

    def __init__(
        self, address: str, party: Party, patience: WebsocketTimeouts, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = address
        self._party = party
        self._patience = patience
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._connection: _Closing | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"websocket of {party.who}", daemon=True)
        self._thread.start()

    def renew(self) -> None:
        """Reconnect, because the connection doesn't deliver messages as expected."""
        with self._lock:
            connection = self._connection
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close the connection and end the thread; a connection that is still being opened closes on its own."""
        self._ending.set()
        self.renew()
        self._thread.join(_GOODBYE_S)

    def _run(self) -> None:
        problem = "a bug ended the stream"
        try:
            self._keep_open()
            problem = ""
        finally:
            if problem:
                self._party.on_connection_end(problem, None)

    def _keep_open(self) -> None:
        failures = 0
        while not self._ending.is_set():
            began_s = self._monotonic()
            problem, status = self._connect_and_listen()
            with self._lock:
                self._connection = None
            if not self._party.on_connection_end(problem, status):
                return
            lasted = self._monotonic() - began_s >= self._patience.longest_wait_s
            failures = 1 if lasted else failures + 1
            self._ending.wait(wait_after(failures, self._patience.first_wait_s, self._patience.longest_wait_s))

    def _connect_and_listen(self) -> tuple[str, int | None]:
        """Connect and read until the connection ends.

        Return why it ended, and the status received instead of a websocket.
        """
        patience, who = self._patience, self._party.who
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
                # A process that closes it from now on finds the connection.
                return ("" if self._ending.is_set() else self._party.talk(connection)), None
        except InvalidStatus as refused:
            status = refused.response.status_code
            return f"{who} answered {status} instead of opening the stream", status
        except (OSError, WebSocketException) as error:
            return _why(error, who), None


def _why(error: Exception, who: str) -> str:
    """Return why a connection failed or ended, in words of our own: the library's may quote the address."""
    if isinstance(error, ConnectionClosed):
        code = error.rcvd.code if error.rcvd else None
        return f"{who} closed the stream with code {code}" if code else "the stream was interrupted"
    if isinstance(error, TimeoutError):
        return f"{who} didn't open the stream in time"
    if isinstance(error, ssl.SSLError):
        return "the connection isn't trusted: the certificate can't be verified"
    if isinstance(error, OSError):
        return f"{who} can't be reached"
    return f"{who} doesn't speak the websocket protocol"
