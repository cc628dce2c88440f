"""An exchange on loopback: served by a thread of this process, with both ends of a socket in sight."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgpack
import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from exchange.tests.kit.app import KEYS
from papervenue import server
from papervenue.exchange import Exchange, open_exchange
from papervenue.faces.flow import FlowLimits
from papervenue.flow.derived import DerivedFlow
from papervenue.socket_listeners import Lines


def needed(program: str | None, name: str) -> str:
    """Return a program's path; skip the test where it is absent."""
    if program is None:
        pytest.skip(f"needs {name}")
    return program


_TIMEOUT_S = 60


class Client:
    """A websocket of a test. What it sends and gets is JSON, or MessagePack where frames are that."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket

    def send(self, message: object, packed: bool = False) -> None:
        self.websocket.send(msgpack.packb(message) if packed else json.dumps(message))

    def frame(self) -> str | bytes:
        return self.websocket.recv(_TIMEOUT_S)

    def get(self) -> Any:
        frame = self.frame()
        return msgpack.unpackb(frame) if isinstance(frame, bytes) and frame[:1] not in b"{[" else json.loads(frame)

    def ask(self, message: object, packed: bool = False) -> Any:
        self.send(message, packed)
        return self.get()

    def end(self) -> tuple[int, str]:
        """Wait until the server closes; return its code and reason."""
        with pytest.raises(ConnectionClosed) as closed:
            self.frame()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason


class Served:
    """A served exchange: its address, and what a test asks of it."""

    def __init__(
        self,
        exchange: Exchange,
        port: int,
        running: server.Server,
        thread: threading.Thread,
        loop: asyncio.AbstractEventLoop,
        ports: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._loop = loop
        self.ports = ports
        self.exchange = exchange
        self._running = running
        self._thread = thread
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        text = None if body is None else json.dumps(body)
        return self._session.request(method, self.url + path, data=text, headers=KEYS | headers, timeout=_TIMEOUT_S)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tick(self, **step: object) -> Any:
        answer = self.ask("POST", "/exchange/v1/tick", step)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def order(self, symbol: str, side: str, qty: object, key: str = "sandbox", **others: object) -> Any:
        kind = {"type": "limit"} if "limit_price" in others else {"type": "market"}
        body = {"symbol": symbol, "side": side, "qty": qty, "time_in_force": "day", **kind, **others}
        names = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": key}
        answer = self.ask("POST", "/v2/orders", body, **names)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @contextmanager
    def connect(self, path: str, **headers: str) -> Iterator["Client"]:
        """Open a websocket for as long as the block runs."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with connect(self.ws + path, additional_headers=named, proxy=None, open_timeout=_TIMEOUT_S) as websocket:
            yield Client(websocket)

    def unsent_bytes(self) -> int:
        """Return what waits in this process for clients that do not read."""
        connections: list[Any] = list(self._running.server_state.connections)
        return sum(connection.transport.get_write_buffer_size() for connection in connections)

    def stop(self) -> None:
        """Tell the server to stop, in its own thread, because asyncio lets no other one close a listening socket."""
        with suppress(RuntimeError):  # Its loop is closed: it has stopped.
            self._loop.call_soon_threadsafe(self._running.stop)

    def end(self) -> None:
        """Stop, and wait for the end."""
        self.stop()
        self._session.close()
        self._thread.join(_TIMEOUT_S)
        assert not self._thread.is_alive()


@contextmanager
def served(
    folder: Path, port: int = 0, token: str | None = None, flow_limits: FlowLimits | None = None
) -> Iterator[Served]:
    """Serve a folder's exchange for as long as the block runs; `token` controls it where the kernel tells nothing."""
    exchange = open_exchange(folder)
    spec = exchange.stored.spec
    feed = DerivedFlow(exchange.market, spec.seed, spec.edge)
    application = server.build_application(exchange, feed, "test", token=token, flow_limits=flow_limits)
    # The protocol is named because asyncio turns Nagle's delay off only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    running = server.Server(server.configuration(application))
    ports: dict[str, int] = {}
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        lines = Lines()
        await lines.listen(application, application.lines)
        ports.update(lines.ports())
        ready.set()
        await running.serve(sockets=[listener])
        await lines.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    ready.wait(_TIMEOUT_S)
    served_exchange = Served(exchange, listener.getsockname()[1], running, thread, loops[0], ports)
    try:
        yield served_exchange
    finally:
        served_exchange.end()
        listener.close()
