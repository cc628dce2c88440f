"""A loopback HTTP server that answers as scripted and keeps what it was asked: a fake at the transport."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct, field


class Asked(Struct, frozen=True):
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Scripted(Struct, frozen=True):
    """One answer; `fault` says how the transport spoils it: hang, reset, truncate or trickle."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Script = Callable[[Asked], Scripted]


class Wire:
    """What a test holds: the address, the script in force, the requests and connections so far."""

    def __init__(self, url: str, released: threading.Event) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.connections = 0
        self.script: Script = lambda asked: Scripted(404)
        self.released = released

    def answer(self, *answers: Scripted) -> None:
        """Give these answers in order, the last one for ever after."""
        left = list(answers)
        self.script = lambda asked: left.pop(0) if len(left) > 1 else left[0]

    def count(self, method: str) -> int:
        """Return how many requests of a method arrived."""
        return sum(asked.method == method for asked in self.asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wire: Wire

    def setup(self) -> None:
        """Count the connection."""
        super().setup()
        self.wire.connections += 1

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Asked(self.command, parts.path, query, dict(self.headers), body)
        self.wire.asked.append(asked)
        self._send(self.wire.script(asked))

    def _send(self, answer: Scripted) -> None:
        if answer.fault == "hang":
            self.wire.released.wait(2)
        if answer.fault == "reset":
            self._cut()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        spoiled = 10 if answer.fault == "truncate" else 0
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.raw) + spoiled))
        self.end_headers()
        self._send_body(answer)

    def _send_body(self, answer: Scripted) -> None:
        if answer.fault == "trickle":
            for byte in answer.raw:
                self.wfile.write(bytes([byte]))
                if self.wire.released.wait(0.02):
                    break
            self.close_connection = True
            return
        self.wfile.write(answer.raw)
        if answer.fault == "truncate":
            self.close_connection = True

    def _cut(self) -> None:
        # Zero linger makes the close a reset, as a dying server's is.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names are the base class's.

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class.
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing where a client has gone: some tests hang up on purpose."""


@contextmanager
def serving() -> Iterator[Wire]:
    """Serve on a free port of loopback until left; hanging answers are let go then."""
    released = threading.Event()
    handler = type("_Bound", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        wire = Wire(f"http://127.0.0.1:{server.server_address[1]}", released)
        handler.wire = wire  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            released.set()
            server.shutdown()
            thread.join()
