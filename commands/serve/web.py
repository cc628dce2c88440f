"""Serve the bot's health over HTTP, only on this machine, while `serve` runs."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial

from commands.serve.web_pages import ResponseData, ServePages
from commands.shared.bot_records import last_passes, load_holdings
from commands.shared.evidence import attempt, budgets_of, evidence_of, figures_of
from commands.shared.evidence.machine import serve_of
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.judging.evidence import HealthEvidence, SessionEvidence, UnreadablePart
from tradebot.judging.judgment import Judgment, permission
from tradebot.judging.pass_health import judge_passes, judge_subject
from tradebot.views.holdings import Holding
from tradebot.views.metrics import MetricFigures

HOST = "127.0.0.1"


def process(app: "App") -> "Judgment":
    """Evaluate `serve` by its lock and its status note alone, without waiting for its lanes."""
    parts = {"serve": serve_of(app.folder.path, ())}
    return judge_subject("serve", HealthEvidence(datetime.now(UTC), None, budgets_of(app.settings), parts))


def gather_health(app: "App") -> ResponseData:
    """Gather all health data once, through a bot that is opened just for this."""
    with closing(app.twin()) as bot:
        evidence = evidence_of(bot)
        past = evidence.past
        return ResponseData(
            evidence,
            judge_passes(evidence),
            _figures(bot, past),
            is_open=isinstance(past, SessionEvidence) and any(session.contains(past.now) for session in past.sessions),
            permission=permission(bot.permission, evidence.at),
            positions=attempt(lambda: _positions(bot, past)),
        )


def _figures(app: "App", past: "SessionEvidence | UnreadablePart | None") -> "MetricFigures | UnreadablePart":
    if isinstance(past, SessionEvidence):
        return attempt(lambda: figures_of(app, past))
    return past or UnreadablePart("nothing was recorded yet", "tradebot reconcile")


def _positions(app: "App", past: "SessionEvidence | UnreadablePart | None") -> "tuple[Holding, ...]":
    now = past.now if isinstance(past, SessionEvidence) else None
    return load_holdings(app, app.ledger_view.totals(), last_passes(app.existing_facts), now)


@contextmanager
def serve_pages(
    app: "App", ports: Sequence[int], evidence: Callable[[], ResponseData] | None = None
) -> Iterator[tuple[int, ...]]:
    """Serve on these ports of 127.0.0.1 inside the block, from separate threads; yield the ports.

    Port 0 selects a free one. Without ports nothing listens. Raises OperatorError if a port can't be used.
    """
    if not ports:
        yield ()
        return
    # Only a bot that is asked pays for it.
    from commands.serve.health_server import answering

    pages = ServePages(
        app.folder.path / EVENTS,
        app.settings.health.hosts,
        partial(process, app),
        evidence or partial(gather_health, app),
    )
    with ExitStack() as open_sockets:
        listeners = [open_sockets.enter_context(_listening(port)) for port in ports]
        with answering(pages, listeners):
            yield tuple(listener.getsockname()[1] for listener in listeners)


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        finding = f"health can't be served on {HOST}:{port}: {error.strerror}"
        raise OperatorError(finding, "set another port under health.ports: tradebot config show health") from error
    return listener
