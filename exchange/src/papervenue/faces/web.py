"""A small HTTP layer that the APIs share: it reads requests, refuses them, and sends JSON."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from papervenue.jsontext import encode
from papervenue.refusal import Refusal

LONGEST_BODY = 64 * 1024
"""Maximum bytes of a request body to keep; no request here needs more than a few hundred."""
EFFECTS = "papervenue.effects"
"""Key in the scope where a fault script stores its decisions about a request, as a JSON list."""
CONNECTION = "connection"
"""Key in the scope's state for the connection; on stopping, a server doesn't wait for connections of held requests."""
_JSON = "application/json; charset=utf-8"
_WITHOUT_BODY = (204, 304)
"""Statuses whose responses have no body and state no length."""
_HEADERS = "papervenue.headers"
MADE_AT = "x-exchange-time"
"""The header with the engine time of a clock or flow response; no real service sends it."""


@lru_cache(maxsize=256)
def _pairs(query: str) -> tuple[tuple[str, str], ...]:
    """Return the names and values of a query; clients repeat most of theirs."""
    return tuple(parse_qsl(query, keep_blank_values=True))


class Call(NamedTuple):
    """A request as handlers see it: `raw_path` is as sent, and `names` are parts of the path.

    A fault script may set `effects`.
    """

    method: str
    raw_path: str
    raw_query: str
    names: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    effects: str = ""

    @property
    def query(self) -> dict[str, str]:
        """Return the query parameters; if a name is repeated, its last value counts."""
        return dict(_pairs(self.raw_query))

    def values(self, name: str) -> list[str]:
        return [value for key, value in _pairs(self.raw_query) if key == name]


class Stream(NamedTuple):
    """The body of an endless response; `close` is called when its client has disconnected."""

    parts: AsyncIterable[bytes]
    close: Callable[[], None]


class Reply(NamedTuple):
    """A response: status, body, extra headers, and optionally a stream instead of the body."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    stream: Stream | None = None


Handler = Callable[[Call], Reply]


def ok(value: object) -> Reply:
    return Reply(200, encode(value))


class PathEndpoint:
    """The ASGI application of one path, with one handler per method. Each request finishes before the next starts."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; one whose client disconnects before its body is complete is ignored."""
        try:
            body = await _body(scope, receive)
        except ClientDisconnect:
            return
        reply = self.answer(_call(scope, body))
        # Alpaca numbers every answer so that its support can find the request.
        headers = {"x-request-id": os.urandom(16).hex(), **reply.headers}
        if reply.stream is None:
            await send_reply(send, reply._replace(headers=headers))
        else:
            response = StreamingResponse(reply.stream.parts, reply.status, headers)
            await _go_on(reply.stream, response, scope, receive, send)

    def answer(self, call: Call) -> Reply:
        """Return the response to a request; a Refusal becomes its error response."""
        handler = self._handlers.get(call.method) or (self._handlers.get("GET") if call.method == "HEAD" else None)
        if handler is None:
            allowed = dict.fromkeys([*self._handlers, *(["HEAD"] if "GET" in self._handlers else [])])
            body = encode({"code": 40510000, "message": "method not allowed"})
            return Reply(405, body, {"allow": ", ".join(allowed)})
        try:
            return handler(call)
        except Refusal as refusal:
            return Reply(refusal.status, encode(refusal.body))


_compiled = lru_cache(maxsize=1_000)(compile_path)


class Route(NamedTuple):
    """A path with its handler; each name in braces in the path matches one segment."""

    path: str
    app: ASGIApp

    def names(self, path: str) -> dict[str, str] | None:
        """Return the values of a path's named parts, or None if the path doesn't match this route."""
        pattern, _, _ = _compiled(self.path)
        match = pattern.match(path)
        return match.groupdict() if match else None


class Paths:
    """The ASGI application that finds a path's route: by lookup or, for routes with named parts, in order."""

    def __init__(self, routes: Iterable[Route], default: ASGIApp) -> None:
        self._literal: dict[str, ASGIApp] = {}
        self._named: list[Route] = []
        for route in routes:
            if "{" in route.path:
                self._named.append(route)
            else:
                self._literal[route.path] = route.app
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._literal.get(scope["path"])
        for route in () if app else self._named:
            names = route.names(scope["path"])
            if names is not None:
                scope["path_params"], app = names, route.app
                break
        await (app or self._default)(scope, receive, send)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a response that isn't a stream; its body is JSON unless its headers say otherwise."""
    headers = {**reply.headers}
    if reply.body:
        headers.setdefault("content-type", _JSON)
    if reply.status not in _WITHOUT_BODY:
        headers["content-length"] = str(len(reply.body))
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": reply.body})


async def _go_on(stream: Stream, response: StreamingResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a stream until it ends, its client leaves, or the server stops."""
    connection = scope.get("state", {}).get(CONNECTION)
    if connection is not None:
        connection.hold()
    try:
        await response(scope, receive, send)
    finally:
        stream.close()


def route(path: str, **handlers: Handler) -> Route:
    """Return the route of a path, with its handlers by method name."""
    return Route(path, PathEndpoint(handlers))


async def _body(scope: Scope, receive: Receive) -> str:
    """Read the body, discarding one that is unreasonably long. Raises ClientDisconnect."""
    if scope["method"] in ("GET", "HEAD"):
        return ""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")[: LONGEST_BODY + 1 - len(body)]
        more = message.get("more_body", False)
    return "" if len(body) > LONGEST_BODY else body.decode(errors="replace")


def headers_of(scope: Scope) -> Mapping[str, str]:
    """Return a request's headers as text, decoded only once; if a header is repeated, its last value counts."""
    headers: Mapping[str, str] | None = scope.get(_HEADERS)
    if headers is None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        scope[_HEADERS] = headers
    return headers


def _call(scope: Scope, body: str) -> Call:
    names = scope.get("path_params", {})
    return Call(
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        raw_query=scope["query_string"].decode("latin-1"),
        names={name: str(value) for name, value in names.items()},
        headers=headers_of(scope),
        body=body,
        effects=scope.get(EFFECTS, ""),
    )
