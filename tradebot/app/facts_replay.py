"""Rebuild the facts known at a time of an earlier session from the flow source's archived replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.app.null_ports import NoEvents
from tradebot.desk.strategy_views import reads_quotes
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.fact_kind import NEW_YORK
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.struct_tools import replace
from tradebot.model.view import Needs
from tradebot.ports.world import Progress, World
from tradebot.signals.kinds import kind_names, kind_of
from tradebot.signals.normalize import normalize

if TYPE_CHECKING:
    from tradebot.adapters.flow.reply_archive import KeptReplies, KeptSession
    from tradebot.app.wiring import App
    from tradebot.ports.strategy import Strategy

DAY = timedelta(days=1)


class ReplayedFacts(Struct, frozen=True):
    """The facts known at the time `at` of a session, and the number of archived replies.

    `unreadable` counts replies that couldn't be parsed. `complete` is False if facts of earlier days are needed whose
    replies are no longer archived. `left_out` has the strategies that can't use past facts, because they read the
    account or quotes.
    """

    session: date
    at: datetime
    replies: int
    unreadable: int
    complete: bool
    left_out: tuple[str, ...]


@contextmanager
def world_as_of(
    app: App, session: date, at: datetime | None, progress: Progress = lambda done, total: None
) -> Iterator[tuple[World, ReplayedFacts]]:
    """Yield a pass's ports with the facts known at a time of a session, by default the time of its last archived reply.

    These ports record nothing. Raise OperatorError if no reply of the session is archived up to that time.
    """
    kept_sessions = app.replies.sessions()
    kept_session = _session(kept_sessions, session, at)
    at = at or kept_session.last_at
    strategies = tuple(strategy for strategy in app.strategies if not _reads_the_present(strategy.needs))
    kinds = {kind for strategy in strategies for kind in _kinds(strategy)}
    first = session - timedelta(days=max((kind_of(name).past_days for name in kinds), default=0))
    with TemporaryDirectory() as folder, closing(SqliteFacts(Path(folder), NoEvents(), at)) as facts:
        expected = sum(archived.replies for archived in kept_sessions if first <= archived.session <= session)
        total, unreadable = _replay(
            app.replies, facts, kinds, (first, session), at, lambda done: progress(done, expected)
        )
        world = replace(app.world(dry_run=True, asking=True), facts=facts, events=NoEvents(), strategies=strategies)
        left_out = tuple(strategy.name for strategy in app.strategies if strategy not in strategies)
        yield world, ReplayedFacts(session, at, total, unreadable, _complete(app, kept_sessions[0], first), left_out)


def _reads_the_present(needs: Needs) -> bool:
    return reads_quotes(needs) or needs.lots or needs.equity or needs.trades or needs.situation


def _session(archived: Sequence[KeptSession], session: date, at: datetime | None) -> KeptSession:
    kept_session = next((session_kept for session_kept in archived if session_kept.session == session), None)
    if kept_session is None:
        names = (
            ", ".join(str(day.session) for day in archived)
            or "none; unusual_whales.keep_raw_sessions sets how many are kept"
        )
        raise OperatorError(
            f"No reply from the flow source is stored for session {session}.", f"stored sessions: {names}"
        )
    if at is not None and at < kept_session.first_at:
        raise OperatorError(
            f"The first stored reply of session {session} arrived at {kept_session.first_at:%Y-%m-%d %H:%M:%S} UTC.",
            "name a later time with --at",
        )
    return kept_session


def _complete(app: App, oldest: KeptSession, first: date) -> bool:
    """Return True if nothing was fetched on days that are no longer archived."""
    if oldest.session <= first or app.existing_facts is None:
        return True
    fetched = app.existing_facts.intakes(datetime.combine(first, time(), NEW_YORK))
    return not fetched or fetched[0].at >= oldest.first_at


def _kinds(strategy: Strategy) -> frozenset[str]:
    needs = strategy.needs.facts
    return (needs and needs | {FLOW_ALERTS}) & frozenset(kind_names())


def _replay(
    replies: KeptReplies,
    facts: SqliteFacts,
    kinds: set[str],
    sessions: tuple[date, date],
    until: datetime,
    progress: Callable[[int], None],
) -> tuple[int, int]:
    """Store the archived replies in order of arrival; return how many there were, and how many were unreadable."""
    first, session = sessions
    lasting = {name for name in kinds if kind_of(name).past_days}
    total = unreadable = 0
    for names, span in ((lasting, (first, session - DAY)), (kinds, (session, session))):
        for reply in replies.replies(names, span, until):
            total += 1
            progress(total)
            try:
                page = reply.page()
            except TemporaryError:
                unreadable += 1
                continue
            facts.store(normalize(kind_of(reply.kind), page, reply.at))
    return total, unreadable
