"""Serve HTTP until a signal ends it."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from tradebot.errors import OperatorError

LAST_ANSWERS_S = 2


class Service(uvicorn.Server):
    """uvicorn, which ends cleanly at a signal instead of raising it again afterwards."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the server, and be as before afterwards."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listening(host: str, port: int, other: str) -> socket.socket:
    """Return a socket that listens at an address, port 0 for a free one; OperatorError, whose next step is `other`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise OperatorError(f"port {port} of {host} can't be used: {error.strerror}", other) from error
    return listener


def serve_on(listener: socket.socket, app: ASGIApp, cert: Path | None = None, key: Path | None = None) -> None:
    """Serve until SIGINT or SIGTERM; OperatorError if the certificate and its key can't be used."""
    settings = uvicorn.Config(
        app, access_log=False, log_level="warning", timeout_graceful_shutdown=LAST_ANSWERS_S, server_header=False,
        ssl_certfile=cert, ssl_keyfile=str(key) if key else None,
    )  # fmt: skip
    try:
        settings.load()
    except OSError as error:
        raise OperatorError(f"{cert} and {key} can't be used: {error}", "give a certificate and its own key") from error
    Service(settings).run([listener])
