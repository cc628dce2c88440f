"""Serve one websocket client: read its messages one at a time, and queue outgoing ones with a limit.

Queueing a message is cheap and never waits. A client that doesn't read is notified and disconnected, regardless of the
state of its connection.

Websockets are routed by their paths.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio import Transport
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgpack
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.typing import ExtensionParameter

from papervenue.jsontext import check_text, encode, refuse_constant
from papervenue.refusal import not_found

LONGEST_MESSAGE = 1024 * 1024

"""Maximum bytes of a client's message, several times a subscription to every symbol."""

TRANSPORT = "transport"

"""Key in the scope's state for the connection's transport, used to cut off a client that doesn't read."""

_GOODBYE_S = 0.5

_INVALID_DATA = 1007

_BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_WINDOW_BITS = 12

"""Limits compression to a 4 kB window: clients with larger windows can read it too, and a connection stays cheap."""


class Deflate(ServerPerMessageDeflateFactory):
    """Negotiates compression with parameters that the client offered, because some clients support no others."""

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Return the parameters of the response and the extension; raise NegotiationError."""
        answer, agreed = super().process_request_params(params, accepted_extensions)
        return answer, PerMessageDeflate(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover,
            agreed.remote_max_window_bits,
            min(agreed.local_max_window_bits, _WINDOW_BITS),
            {"memLevel": 5},
        )


class StreamProtocol(WebSocketsSansIOProtocol):
    """The protocol of every websocket; it gives the application access to the transport."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn.available_extensions = [Deflate()]

    def data_received(self, data: bytes) -> None:
        """Refuse a handshake that can't be read, such as one with a body; uvicorn would leave it unanswered."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(_BAD_HANDSHAKE)
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; text that isn't UTF-8 ends the connection without an error in the log."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            self.conn.send_close(_INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """Abort the connection of a client that no longer answers pings; no queued message could reach it."""
        super().keepalive_timeout()
        self.transport.abort()

    def shutdown(self) -> None:
        """Close without waiting for a client that doesn't read, so that the server can stop."""
        super().shutdown()
        self.loop.call_later(_GOODBYE_S, self.transport.abort)

    async def run_asgi(self) -> None:
        """Run the application with the transport in its scope."""
        self.scope["state"][TRANSPORT] = self.transport
        await super().run_asgi()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


_JSON_STARTS = b"{[ \t\r\n"

"""The first byte of any JSON object or array; no MessagePack map or array starts with one of these."""


class FrameError(ValueError):
    """Raised for a frame that is neither JSON nor MessagePack."""


class Message:
    """One message of the server, encoded at most once per format, for any number of clients.

    Aware datetimes become RFC 3339 text in JSON, and the timestamp extension in MessagePack.
    """

    __slots__ = ("_as_json", "_packed", "value")

    def __init__(self, value: object) -> None:
        self.value: Any = value
        self._as_json: bytes | None = None
        self._packed: bytes | None = None

    def as_json(self) -> bytes:
        if self._as_json is None:
            self._as_json = json.dumps(self.value, separators=(",", ":"), default=_time_text).encode()
        return self._as_json

    def pack(self) -> bytes:
        if self._packed is None:
            self._packed = msgpack.packb(self.value, datetime=True)
        return self._packed


def decode(frame: str | bytes) -> Any:
    """Decode a client's frame; raise FrameError if it is invalid."""
    try:
        if is_packed(frame):
            return msgpack.unpackb(frame)
        value = json.loads(frame, parse_constant=refuse_constant)
        check_text(value)
        return value
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise FrameError("neither JSON nor MessagePack") from error


def is_packed(frame: str | bytes) -> bool:
    """Return True if a frame can only be MessagePack."""
    return isinstance(frame, bytes) and frame[:1] not in _JSON_STARTS


def _time_text(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} isn't allowed in a message")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


LONGEST_QUEUE = 20_000

"""How many messages may wait for a client: more than a day of many orders produces in one tick."""

_LAST_WORDS_S = 5.0

_POLICY_VIOLATION = 1008

_PACKED = "application/msgpack"


class Socket:
    """The connection of one client. `binary` means that JSON is sent in binary frames."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, binary: bool, farewell: Message) -> None:
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.closing = False
        self.news: Callable[[], Iterator[Message]] = lambda: iter(())
        """Makes what happened since the last call, for a client that has room for it."""
        self._telling: Iterator[Message] = iter(())
        self._packed = self.headers.get("content-type", "").lower().startswith(_PACKED)
        self._binary = binary
        self._farewell = farewell
        self._transport: Transport = scope["state"][TRANSPORT]
        self._receive = receive
        self._send = send
        self._queue: deque[Message] = deque()
        self._close: tuple[int, str] | None = None
        self._wake = asyncio.Event()
        self._cut: asyncio.TimerHandle | None = None

    async def serve(
        self, hear: Callable[[dict[str, Any] | None], None], greet: Callable[[], None] = lambda: None
    ) -> None:
        """Accept and greet the client, and let `hear` reply to each message until either side closes."""
        await self._receive()
        await self._send({"type": "websocket.accept"})
        greet()
        writer = asyncio.create_task(self._write())
        writer.add_done_callback(self._on_writer_end)
        try:
            async for message in self._messages():
                hear(message)
        finally:
            self.closing = True
            writer.cancel()
            if self._cut is not None:
                self._cut.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    async def _messages(self) -> AsyncIterator[dict[str, Any] | None]:
        """Yield the client's messages until the connection closes: an object, or None for anything else.

        A client that sends MessagePack is answered in MessagePack.
        """
        while (event := await self._receive())["type"] != "websocket.disconnect":
            if not self.closing:
                yield self._read(event["text"] if event.get("text") is not None else event["bytes"])

    def _read(self, frame: str | bytes) -> dict[str, Any] | None:
        try:
            message = decode(frame)
        except FrameError:
            return None
        if not isinstance(message, dict):
            return None
        self._packed = self._packed or is_packed(frame)
        return message

    def put(self, message: Message) -> None:
        """Queue a message; if the client's queue is full, send a final message instead, and disconnect the client."""
        if self.closing:
            return
        self._queue.append(message)
        if len(self._queue) > LONGEST_QUEUE:
            self._queue.clear()
            self._queue.append(self._farewell)
            self.close(_POLICY_VIOLATION, "slow client")
        self._wake.set()

    def wake(self) -> None:
        """Ask the feed for new messages again; they are created when the client has room."""
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Close the connection after sending what is queued; disconnect a client that doesn't receive it in time."""
        if self.closing:
            return
        self.closing, self._close = True, (code, reason)
        self._wake.set()
        self._cut = asyncio.get_running_loop().call_later(_LAST_WORDS_S, self._transport.abort)

    def drop(self) -> None:
        """Disconnect at once, without a closing message; the queue is lost."""
        self.closing = True
        self._transport.abort()

    def stall(self) -> None:
        """Stop serving the client, and stop answering pings, but leave the connection open."""
        self.closing = True
        self._queue.clear()
        self._transport.pause_reading()

    async def _write(self) -> None:
        try:
            while not (self._close and not self._queue):
                await self._wake.wait()
                self._wake.clear()
                await self._drain()
            code, reason = self._close
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            # The client is gone, and the reader will notice that too.
            return

    def _on_writer_end(self, writer: asyncio.Task[None]) -> None:
        """Cut off the connection if its writer failed, because nothing could ever be sent on it again."""
        if not writer.cancelled() and writer.exception() is not None:
            self._transport.abort()

    async def _drain(self) -> None:
        while (message := self._queue.popleft() if self._queue else self._next_message()) is not None:
            # This takes as long as the client takes to read, and raises OSError once the client has disconnected.
            await self._send({"type": "websocket.send", **self._frame_message(message)})
            # Sending returns at once while the client reads fast, so give other clients a turn here.
            await asyncio.sleep(0)

    def _next_message(self) -> Message | None:
        message = None if self.closing else next(self._telling, None)
        if message is None and not self.closing:
            self._telling = self.news()
            message = next(self._telling, None)
        return message

    def _frame_message(self, message: Message) -> dict[str, Any]:
        if self._packed:
            return {"bytes": message.pack()}
        return {"bytes": message.as_json()} if self._binary else {"text": message.as_json().decode()}


async def refuse_handshake(receive: Receive, send: Send, status: int, body: object) -> None:
    """Refuse a handshake with an error status and a JSON body."""
    await receive()
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": encode(body)})
    # uvicorn considers a refused handshake unanswered until the connection is over, which is its second event.
    await receive()
    await receive()


class Streams:
    def __init__(self, applications: Mapping[str, ASGIApp]) -> None:
        self._applications = applications

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse its handshake with a 404."""
        # Older clients end the path with a slash, and the real host accepts it.
        application = self._applications.get(scope["path"].rstrip("/"))
        if application is None:
            await refuse_handshake(receive, send, 404, not_found("endpoint not found.").body)
        else:
            await application(scope, receive, send)
