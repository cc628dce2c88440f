"""A receiver of notices on this machine, which answers as a test wants it to."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Receiver:
    """What came to a receiver: the path and the body of each request."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.got: list[tuple[str, bytes]] = []

    def bodies(self) -> str:
        """Return everything that came, as one text."""
        return "\n".join(f"{path} {body.decode()}" for path, body in self.got)


def says(status: int, body: bytes = b'{"ok": true}', **headers: str) -> Answer:
    """Return what answers with a status and a body."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, text in headers.items():
            request.send_header(name, text)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def hang(request: BaseHTTPRequestHandler) -> None:
    """Accept a request and don't answer for longer than anybody waits in a test."""
    time.sleep(20)


@contextmanager
def receiving(answer: Answer | None = None) -> Iterator[Receiver]:
    """Run a receiver inside the block; without an answer of its own, it accepts everything."""
    accept = answer or says(200)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            receiver.got.append((self.path, b""))
            accept(self)

        def do_POST(self) -> None:
            receiver.got.append((self.path, self.rfile.read(int(self.headers.get("Content-Length", "0")))))
            accept(self)

        do_PUT = do_POST  # noqa: N815 - the name is the library's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
