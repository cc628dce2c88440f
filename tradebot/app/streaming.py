"""Follow the flow source's stream of alerts for the symbols that the strategies in use need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tradebot.adapters.state import state_locks
from tradebot.desk.streaming import Follower, FollowerInputs
from tradebot.errors import OperatorError
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.trading import Mode
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.bar import Session

AFTER_CLOSE = timedelta(minutes=15)
"""How long alerts may still come after a session."""
_CHECK_SHARE = 0.75
"""How often everything is fetched, as a fraction of the interval without a stream.

It is slightly more often, so that no slot of the timetable finds a fetch due.
"""


@contextmanager
def follow_stream(app: App) -> Iterator[Follower]:
    """Follow the stream inside the block; raise TradebotError with exit code 6 if another process already does."""
    from tradebot.adapters.flow.stream import FlowStream

    path, symbols = app.folder.path, _symbols(app)
    # Create this first, because its error explains a missing key or address.
    flow = app.flow
    url = app.exchange_url if app.mode is Mode.SANDBOX else app.settings.unusual_whales.url
    check_s = int(FLOW_ALERTS_KIND.interval_s(app.settings.unusual_whales.poll_s) * _CHECK_SHARE)
    with (
        state_locks.hold(path, "stream", 0.0, state_locks.STREAM_LOCK),
        closing(FlowStream(url or "", app.secrets.uw_key or "")) as stream,
    ):
        alone = lambda: state_locks.hold(path, "stream", 0.0, state_locks.FETCH_LOCK)  # noqa: E731
        facts, events, keep = app.facts, app.events, app.replies.keep
        yield Follower(FollowerInputs(stream, flow, facts, events, symbols, check_s, alone, keep))


def _symbols(app: App) -> Sequence[str]:
    for kind, symbols in app.needed_facts.items():
        if kind.name == FLOW_ALERTS:
            return symbols
    raise OperatorError(
        "no strategy in use reads options flow, so there is nothing to stream",
        "Add a strategy that reads options flow to strategies.",
    )


def trading_time(app: App) -> Callable[[], datetime]:
    """Return a function that returns trading time: the engine's in the sandbox, otherwise the venue's, fetched
    periodically.
    """
    from tradebot.adapters.time.clock import RealTime

    if app.mode is Mode.SANDBOX:
        return app.now
    pace = RealTime(app.now, app.settings.limits.max_clock_disagreement_s)
    return lambda: next(pace.moments())


def may_stream(session: Session | None, now: datetime) -> bool:
    """Return True during the part of a session in which alerts may arrive."""
    return session is not None and session.open <= now <= session.close + AFTER_CLOSE
