"""Answer a bot's requests from an exchange in this process, as its server would, without a connection in between.

No one else asks this exchange and no script of faults is armed in it, so what a server adds - who may talk to it,
limits, a log that survives a power loss - changes no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

from urllib3 import HTTPResponse

from papervenue.engine.engine import Engine
from papervenue.exchange import open_exchange, tick_to
from papervenue.faces.face import Serving
from papervenue.faces.web import Call, Endpoint, Route
from papervenue.faults.streaming import StreamFaults


class InProcess:
    """The exchange of a folder, and the connection to it: what `wire.http.exchange` sends its requests over."""

    url = "http://127.0.0.1"
    """An address on this machine, where nothing listens."""

    def __init__(self, place: Path) -> None:
        self._exchange = exchange = open_exchange(place)
        serving = Serving(exchange, None, StreamFaults(exchange.engine, exchange.faults.book), None)
        self._routes = [one for face in exchange.faces for one in face.serve(serving).routes]
        self._found: dict[str, tuple[Endpoint, Mapping[str, str]]] = {}

    @property
    def engine(self) -> Engine:
        return self._exchange.engine

    @property
    def now_us(self) -> int:
        return self.engine.now_us

    def tick_to(self, until_us: int) -> None:
        """Let time pass up to a moment in microseconds since 1970."""
        status, answer = self._exchange.run(tick_to(until_us))
        assert status == 200, answer
        self._exchange.record()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> HTTPResponse:
        """Return the answer to a request; its lines are in the log by then, as a server would have it."""
        parts = urlsplit(url)
        endpoint, names = self._endpoint(parts.path)
        named = {name.lower(): value for name, value in headers.items()}
        call = Call(method, parts.path, parts.query, names, named, (body or b"").decode())
        reply = endpoint.answer(call)
        self._exchange.record()
        return HTTPResponse(BytesIO(reply.body), reply.headers, reply.status, preload_content=False)

    def _endpoint(self, path: str) -> tuple[Endpoint, Mapping[str, str]]:
        if path not in self._found:
            self._found[path] = _route_of(self._routes, unquote(path))
        return self._found[path]


def _route_of(routes: list[Route], path: str) -> tuple[Endpoint, Mapping[str, str]]:
    for one in routes:
        names = one.names(path)
        if names is not None:
            assert isinstance(one.app, Endpoint), path
            return one.app, names
    raise AssertionError(f"no bot asks for {path}")
