"""uvicorn's websocket protocol, mended where a client's fault would cost more than its own connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.typing import ExtensionParameter

LONGEST_MESSAGE = 1024 * 1024
"""Bytes of a client's message: a subscription to every symbol there is fits several times."""
TRANSPORT = "transport"
"""Where in the scope's state the connection's transport is, with which a client that does not read can be cut off."""
_GOODBYE_S = 0.5
_INVALID_DATA = 1007
_BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_WINDOW_BITS = 12
"""Compression looks back 4 kB: a client that could look back further reads it too, and a connection costs little."""


class Deflate(ServerPerMessageDeflateFactory):
    """Agrees to compression with no parameter that the client did not offer: some clients know none but their own."""

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Return the parameters of the answer, and the extension; raises NegotiationError."""
        answer, agreed = super().process_request_params(params, accepted_extensions)
        return answer, PerMessageDeflate(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover,
            agreed.remote_max_window_bits,
            min(agreed.local_max_window_bits, _WINDOW_BITS),
            {"memLevel": 5},
        )


class StreamProtocol(WebSocketsSansIOProtocol):
    """The protocol of every websocket; its application can reach the transport."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn.available_extensions = [Deflate()]

    def data_received(self, data: bytes) -> None:
        """Refuse a handshake that cannot be read, such as one with a body, where uvicorn would stay silent."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(_BAD_HANDSHAKE)
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; text that is not UTF-8 ends the connection, and is no error of ours to be logged."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            self.conn.send_close(_INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """End the connection of a client that no longer answers pings; what waits for it could never be sent."""
        super().keepalive_timeout()
        self.transport.abort()

    def shutdown(self) -> None:
        """Say goodbye, and do not wait for a client that does not read it: the server could not end."""
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
