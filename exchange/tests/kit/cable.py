"""The cable of the venue with a socket: its client's bytes reach an exchange's gateway in this very process.

Nobody waits: as soon as nothing else is to be done, the time of the client's loop is that of its next timer. So a
Gateway that says nothing has said nothing for as long as anybody listens, and the pace of reads costs nothing.
"""

import asyncio
import selectors
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ib_async.connection import Connection

from papervenue.exchange import Exchange
from papervenue.faces.tws.contracts import CONTRACT_FIELDS
from papervenue.faces.tws.face import REQUESTS
from papervenue.faces.tws.gateway import Gateway, GatewayConnection
from papervenue.faces.tws.place_order import HEAD
from papervenue.faces.tws.session import CANCEL_ORDER, PLACE_ORDER, TwsSession
from papervenue.faces.tws.wire import Frames, frame
from papervenue.faults.streaming import StreamFaults

PORT, _HAIR_S = 9, 1e-6
_WHAT_IF_AT = 2 + CONTRACT_FIELDS + HEAD.index("whatIf")

Lie = Callable[[Any], Any]


def is_change(fields: Sequence[str]) -> bool:
    """Return True if a message changes something: an order that only asks what it would need doesn't."""
    number = int(fields[0])
    return number == CANCEL_ORDER or (number == PLACE_ORDER and fields[_WHAT_IF_AT] != "1")


class _Impatient(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore] # it is chosen at run time
    ahead_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        # A hair more, because some wait until more than a second has passed.
        self.ahead_s += 0 if ready else timeout + _HAIR_S
        return ready


class Loop(asyncio.SelectorEventLoop):
    """A loop whose timers are due once nothing else is to be done."""

    def __init__(self) -> None:
        self._selector_here = _Impatient()
        super().__init__(self._selector_here)

    def time(self) -> float:
        """Return the seconds that its timers have waited for."""
        return self._selector_here.ahead_s


class Cable:
    """Leads from this process's clients to the gateway of the exchange that it is connected to.

    `lie` changes what a request is answered: a list of messages, each a list of its fields. `asked` is told of each
    message before it arrives.
    """

    def __init__(self) -> None:
        self.lie: Lie | None = None
        self._lifted: Callable[[], AbstractContextManager[None]] = nullcontext
        self._plugs: list[_Plug] = []

    def connect(
        self,
        exchange: Exchange,
        on_request: Callable[[Sequence[str]], None],
        lifted: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Lead to an exchange from now on; the limits of the bot's process are `lifted` while it answers."""
        self.exchange, self.asked, self._lifted = exchange, on_request, lifted
        self._gateway = Gateway(exchange, StreamFaults(exchange.engine, exchange.faults.book))

    def open(self, client: Connection) -> "_Plug":
        """Return a new connection of a client."""
        return _Plug(self, client)

    def session(self, line: GatewayConnection) -> TwsSession:
        """Return the gateway's end of a connection."""
        return TwsSession(self._gateway, line, REQUESTS)

    def carry(self, plug: "_Plug", data: bytes) -> None:
        """Let the gateway have what a client has written."""
        with self._lifted():
            plug.take(data)
            self.exchange.record()


class _Plug:
    """Both ends of one connection: the client's transport, and the gateway's line."""

    def __init__(self, cable: Cable, client: Connection) -> None:
        self._cable, self._client, self._loop = cable, client, asyncio.get_running_loop()
        self._frames = Frames()
        self._answer: list[bytes] | None = None
        self._open = True
        self._session = cable.session(self)

    def write(self, data: bytes) -> None:
        """Carry what the client sends."""
        if self._open:
            self._cable.carry(self, data)

    def take(self, data: bytes) -> None:
        """Let the session have it; what it is answered may be a lie."""
        greeted = self._frames.greeted
        for fields in self._frames.read(data):
            if greeted:
                self._cable.asked(fields)
        lie = self._cable.lie if greeted else None
        self._answer = None if lie is None else []
        self._session.receive(data)
        answer, self._answer = self._answer, None
        if lie is not None and answer:
            for message in lie([one[4:].decode().split("\0")[:-1] for one in answer]):
                fields = [message] if isinstance(message, str) else [*map(str, message)]
                self.send(frame("".join(f"{field}\0" for field in fields).encode()))

    def write_eof(self) -> None:
        """Do nothing: the end follows."""

    def send(self, data: bytes) -> None:
        """Carry what the gateway sends."""
        if self._answer is not None:
            self._answer.append(data)
        elif self._open:
            self._loop.call_soon_threadsafe(self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if self._client.transport is self:
            self._client.data_received(data)

    def close(self) -> None:
        """End the connection, from either end."""
        if self._open:
            self._open = False
            self._session.closed()
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self._client.transport is self:
            self._client.connection_lost(None)

    def record(self) -> None:
        """Write what has been done into the exchange's log."""
        self._cable.exchange.record()

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something once so much of the loop's time has passed."""
        self._loop.call_later(seconds, do)


def lay_cable(install: Callable[[object, str, object], None]) -> Cable:
    """Return the cable that every client of this process is connected by from now on, in loops that don't wait.

    `install` sets an attribute of something.
    """
    cable = Cable()

    async def connected(client: Connection, host: str, port: int) -> None:
        client.reset()
        client.transport = cable.open(client)

    install(Connection, "connectAsync", connected)
    install(asyncio, "new_event_loop", Loop)
    return cable
