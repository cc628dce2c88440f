"""Carry HTTP requests to an exchange in this process: the library's transport is patched, and no socket is opened.

What a socket would do is said in the client library's own words: a connection that ends without an answer, a read that
times out, a body that stops before its length. Whole sockets are met by the campaigns of kills, stops and typed verbs.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import urllib3
import yaml
from starlette.types import ASGIApp, Message, Scope

from papervenue.exchange import Exchange
from papervenue.faces.alpaca import TradingFace
from papervenue.faces.data import history
from papervenue.faces.face import Serving
from papervenue.faces.market_data import DataFace
from papervenue.faces.web import PathEndpoint, Paths, Route
from papervenue.faults import yamltext
from papervenue.faults.middleware import FaultMiddleware
from papervenue.faults.streaming import StreamFaults
from papervenue.market.spec import MarketSpec
from papervenue.market.ticks import Totals

URL = "http://127.0.0.1:9"
"""Never opened: what is sent there goes through a wire."""

Send = Callable[..., Any]
"""Takes what the library's own `urlopen` takes, and returns what that returns."""
Change = Callable[[str, str, str], None]
"""Is told of a request that changes something, before it arrives: method, path, and its body or its query."""
Lifted = Callable[[], AbstractContextManager[None]]


class Wire:
    """Carries each request of this process to the exchange that it is connected to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._exchange: Exchange
        self._app: ASGIApp
        self._change: Change
        self._lifted: Lifted

    def close(self) -> None:
        """End what a fault that waits has needed."""
        self._loop.close()

    def connect(
        self, exchange: Exchange, change: Change, lifted: Lifted = nullcontext, own: Iterable[Route] = ()
    ) -> None:
        """Lead requests to an exchange from now on; the limits of the bot's process are `lifted` while it answers.

        `own` are routes besides those that a bot asks.
        """
        faces = Paths([*_routes(exchange), *own], PathEndpoint({}))
        self._app = FaultMiddleware(faces, exchange, exchange.record)
        self._exchange, self._change, self._lifted = exchange, change, lifted

    def send(
        self, method: str, url: str, body: str | bytes | None, headers: Mapping[str, str], **_: object
    ) -> "urllib3.BaseHTTPResponse | Whole":
        """Send one request, as the library's own connections do; raises what they raise where no answer comes."""
        call = Call(body or b"")
        with self._lifted():
            if method != "GET":
                parts = urlsplit(url)
                self._change(method, parts.path, call.body.decode() or parts.query)
            self._drive(self._app(scope_of(method, url, headers), call.receive, call.send))
        if not call.sent and call.waited:
            raise urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("exchange"), url, "silence")
        if not call.sent:
            raise urllib3.exceptions.ProtocolError("closed")
        return call.response(method)

    def _drive(self, call: Awaitable[None]) -> None:
        """Run an application to its end; only a fault that waits needs a loop."""
        if any(armed.rule.fault == "hang" for armed in self._exchange.faults.book):
            self._loop.run_until_complete(call)
            return
        assert isinstance(call, Coroutine)
        try:
            call.send(None)
        except StopIteration:
            return
        raise AssertionError("the exchange waits, and nothing would ever wake it")


def _routes(exchange: Exchange) -> Iterable[Route]:
    """Return the routes that a bot asks; of Alpaca's faces those without streams and flow."""
    if exchange.stored.spec.venue.dialect == "alpaca":
        return [*DataFace(exchange).routes(), *TradingFace(exchange).routes()]
    serving = Serving(exchange, None, StreamFaults(exchange.engine, exchange.faults.book), None)
    return [route for face in exchange.faces for route in face.serve(serving).routes]


class Whole:
    """An answer that came as long as it was promised to be: of the library's own, what a bot and a test ask."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self._body = status, headers, body

    def __enter__(self) -> None:
        """Be read."""

    def __exit__(self, *error: object) -> None:
        """There is no connection to be given back."""

    def read1(self, _amount: int, decode_content: bool = True) -> bytes:
        """Return the body, and then nothing more."""
        body, self._body = self._body, b""
        return body

    read, reason = read1, ""


class Call:
    """Both ends of one request: what the application is given, and what it gives.

    A client that is still being answered leaves after `patience_s`.
    """

    def __init__(self, body: str | bytes, patience_s: float = 0) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self._patience_s = patience_s
        self._begun = False
        self.sent: list[Message] = []
        self.waited = False

    async def receive(self) -> Message:
        """Give the body, and then no more: a client that waited has left by then."""
        if self._begun:
            self.waited = True
            if self._patience_s:
                await asyncio.sleep(self._patience_s)
            return {"type": "http.disconnect"}
        self._begun = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Take a part of the answer in."""
        self.sent.append(message)

    def response(self, method: str) -> urllib3.BaseHTTPResponse | Whole:
        """Return the answer as the library has it; reading a body that is shorter than promised fails."""
        status, named, body = self.answer()
        headers = urllib3.HTTPHeaderDict(named)
        if headers.get("content-length") == str(len(body)) and "content-encoding" not in headers:
            return Whole(status, headers, body)
        return urllib3.HTTPResponse(io.BytesIO(body), headers, status, preload_content=False, request_method=method)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of the answer."""
        start, *parts = self.sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], headers, b"".join(part.get("body", b"") for part in parts)


def scope_of(method: str, url: str, headers: Mapping[str, str]) -> Scope:
    """Return what an application is told of a request first."""
    parts = urlsplit(url)
    return {
        "type": "http",
        "method": method,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode(), str(value).encode()) for name, value in headers.items()],
    }


class _QuickLoader(yaml.CSafeLoader):
    """Reads scripts of faults as the exchange does, with the C library's own parser."""

    yaml_implicit_resolvers = yamltext._Loader.yaml_implicit_resolvers


def lead(patch: pytest.MonkeyPatch, send: Send, address: str = URL) -> None:
    """Let `send` carry each request of this process for an address; others go their own way."""
    far = urllib3.HTTPConnectionPool.urlopen

    def urlopen(
        pool: urllib3.HTTPConnectionPool, method: str, url: str, body: Any = None, *rest: Any, **named: Any
    ) -> Any:
        is_there = f"{pool.scheme}://{pool.host}:{pool.port}" == address
        return send(method, url, body, *rest, **named) if is_there else far(pool, method, url, body, *rest, **named)

    patch.setattr(urllib3.HTTPConnectionPool, "urlopen", urlopen)


def lay() -> Wire:
    """Return the wire that every session of this process sends through from now on.

    What each exchange of the same market would work out anew is worked out once: sums of days, and the words of its own
    description.
    """
    wire = Wire()
    urllib3.HTTPConnectionPool.urlopen = wire.send  # type: ignore[method-assign,assignment]
    vars(history)["Totals"] = cache(Totals)
    vars(yamltext)["_Loader"] = _QuickLoader
    for name in ("to_fields", "to_json"):
        setattr(MarketSpec, name, cache(getattr(MarketSpec, name)))
    return wire
