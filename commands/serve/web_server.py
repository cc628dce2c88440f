"""Serve the answers about health over HTTP, however many connections say nothing or dawdle."""

import socket
import time
from collections.abc import Sequence
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

MOST_WAITING = 20
"""How many connections of a port may have asked nothing yet."""


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when its next request has been awaited."""

    def service(self) -> None:
        """Answer what was asked; the next request gets as much time as the first."""
        super().service()
        self.creation_time = time.time()

    @property
    def is_waiting(self) -> bool:
        """Return True if nothing was asked that has no complete answer yet."""
        return not (self.requests or self.total_outbufs_len or self.will_close)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """A server in which a new connection always finds room: those that have asked nothing for longest make it.

    Waitress stops accepting when it is full, so whoever has a question would wait for those who have none.
    """

    channel_class = Channel

    def handle_accept(self) -> None:
        """Accept a connection, and let the one go that has kept us waiting longest if there are too many."""
        super().handle_accept()
        waiting = [channel for channel in self.active_channels.values() if channel.is_waiting]
        if len(waiting) > MOST_WAITING:
            min(waiting, key=lambda channel: channel.creation_time).will_close = True

    def maintenance(self, now: float) -> None:
        """Close the connections that don't ask or read in time, also if they do so bit by bit."""
        for channel in self.active_channels.values():
            if not channel.requests and now - channel.creation_time > self.adj.channel_timeout:
                channel.will_close = True


def servers_of(
    pages: Any, listeners: Sequence[socket.socket], channels: dict[int, Any], **settings: Any
) -> list[Server]:
    """Return a server for each listener. One loop polls `channels`; they share threads and waitress's settings."""
    adjustments = Adjustments(sockets=list(listeners), **settings)
    threads = ThreadedTaskDispatcher()
    threads.set_thread_count(adjustments.threads)
    return [
        Server(
            pages,
            channels,
            _sock=each,
            dispatcher=threads,
            adj=adjustments,
            bind_socket=False,
            sockinfo=(each.family, each.type, each.proto, each.getsockname()),
        )
        for each in listeners
    ]
