"""Harden uvicorn's websocket protocol where a client's mistake would affect more than its own connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.typing import ExtensionParameter

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
    """Negotiates compression with parameters that the client offered; some clients understand no others."""

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Return the parameters of the answer and the extension; raise NegotiationError."""
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
        """Refuse an unreadable handshake, such as one with a body, which uvicorn would leave unanswered."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(_BAD_HANDSHAKE)
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; text that isn't UTF-8 ends the connection without being logged as our error."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            self.conn.send_close(_INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """Abort the connection of a client that stopped answering pings; nothing queued could ever be sent."""
        super().keepalive_timeout()
        self.transport.abort()

    def shutdown(self) -> None:
        """Say goodbye without waiting for a client that doesn't read, so that the server can stop."""
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
