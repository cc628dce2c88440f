"""Answer questions about the bot's health over HTTP, on this machine alone, while `serve` runs."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from commands.serve.web_pages import Looked, Pages
from commands.shared.bot_records import held, last_passes
from commands.shared.evidence.gather import attempt, budgets_of, evidence_of, figures_of
from commands.shared.evidence.machine import serve_of
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.judging.evidence import Evidence, Past, Unread
from tradebot.judging.judgment import Judgment, permission
from tradebot.judging.pass_health import judge, judged
from tradebot.views.holdings import Holding
from tradebot.views.metrics import Figures

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


HOST = "127.0.0.1"
BACKLOG, MOST_CONNECTIONS = 1_024, 80
THREADS = 4
"""Some may wait for locked books; another one still answers whether the process lives."""
LONGEST_BODY, LONGEST_HEAD = 1_024, 16_384
ASKING_S, SWEEP_S = 5, 1
"""How long a connection may take to ask something, and how often that is checked."""
LAST_ANSWERS_S = 1.0
"""How long a stop waits for answers that are being made."""


def process(app: "App") -> "Judgment":
    """Judge `serve` by its lock and its note alone: this waits for nothing, whatever its lanes do."""
    parts = {"serve": serve_of(app.folder.path, ())}
    return judge("serve", Evidence(datetime.now(UTC), None, budgets_of(app.settings), parts))


def look(app: "App") -> Looked:
    """Look at everything once, through a bot that is opened for it and closed again."""
    with closing(app.twin()) as bot:
        evidence = evidence_of(bot)
        past = evidence.past
        return Looked(
            evidence,
            judged(evidence),
            _figures(bot, past),
            is_open=isinstance(past, Past) and any(session.contains(past.now) for session in past.sessions),
            permission=permission(bot.permission, evidence.at),
            positions=attempt(lambda: _positions(bot, past)),
        )


def _figures(app: "App", past: "Past | Unread | None") -> "Figures | Unread":
    if isinstance(past, Past):
        return attempt(lambda: figures_of(app, past))
    return past or Unread("nothing was recorded yet", "tradebot reconcile")


def _positions(app: "App", past: "Past | Unread | None") -> "tuple[Holding, ...]":
    now = past.now if isinstance(past, Past) else None
    return held(app, app.ledger_view.totals(), last_passes(app.recorded), now)


@contextmanager
def serving(
    app: "App", ports: Sequence[int], evidence: Callable[[], Looked] | None = None
) -> Iterator[tuple[int, ...]]:
    """Answer on these ports of 127.0.0.1 inside the block, from its own threads; yield the ports.

    Port 0 stands for a free one. Without ports nothing listens. Raises OperatorError if a port can't be used.
    """
    if not ports:
        yield ()
        return
    pages = Pages(
        app.folder.path / EVENTS, app.settings.health.hosts, partial(process, app), evidence or partial(look, app)
    )
    with ExitStack() as open_sockets:
        listeners = [open_sockets.enter_context(_listening(port)) for port in ports]
        with _answering(pages, listeners):
            yield tuple(listener.getsockname()[1] for listener in listeners)


@contextmanager
def _answering(pages: Any, listeners: Sequence[socket.socket]) -> Iterator[None]:
    from waitress import wasyncore

    logging.getLogger("waitress").addHandler(logging.NullHandler())
    channels: dict[int, Any] = {}
    server, *_ = servers_of(
        pages,
        listeners,
        channels,
        threads=THREADS,
        ident=None,
        max_request_body_size=LONGEST_BODY,
        max_request_header_size=LONGEST_HEAD,
        backlog=BACKLOG,
        connection_limit=MOST_CONNECTIONS,
        channel_timeout=ASKING_S,
        cleanup_interval=SWEEP_S,
    )
    thread = threading.Thread(target=server.run, name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.task_dispatcher.shutdown(timeout=LAST_ANSWERS_S)
        # What the loop polls is closed in its own thread, which thereby ends. A loop that a last client has just woken
        # may do so before this wakes it, and then there is nothing left to be woken by.
        with suppress(OSError):
            server.trigger.pull_trigger(partial(wasyncore.close_all, channels))
        thread.join(LAST_ANSWERS_S)


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        found = f"health can't be served on {HOST}:{port}: {error.strerror}"
        raise OperatorError(found, "set another one under health.ports: tradebot config show health") from error
    return listener
