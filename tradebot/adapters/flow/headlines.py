"""Add headlines from a source of their own to the flow, so that both are fetched, stored and read in the same way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING

from tradebot.errors import AllowanceSpentError, NotServedError, OperatorError, one_line
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import NEWS, FlowPage, Quota
from tradebot.signals.headlines import period_start

if TYPE_CHECKING:
    from tradebot.ports.world import FlowSource, HeadlineSource

NO_QUOTA = Quota(None, None, None)


class FlowWithHeadlines:
    """A flow source whose headlines come from elsewhere.

    `open_source` opens the source of headlines, `now` returns trading time, and `last` returns when that source last
    replied. With `simulated` time, a reply is dated by the time of its request, because that time stands still during a
    request. If the key for headlines is missing or refused, or the day's calls are used up, only requests for headlines
    fail.
    """

    def __init__(
        self,
        flow: FlowSource,
        open_source: Callable[[], HeadlineSource],
        now: Callable[[], datetime],
        last: Callable[[], datetime | None],
        *,
        simulated: bool = False,
    ) -> None:
        self._flow, self._open_source, self._now, self._last = flow, open_source, now, last
        self._simulated = simulated

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Fetch one kind of facts about a symbol, or about the whole market, for a session."""
        if kind.name != NEWS:
            return self._flow.fetch(kind, symbol, session)
        try:
            now = self._now()
            rows = self._open_source().headlines(period_start(now, self._last()), now)
        except (OperatorError, AllowanceSpentError) as refused:
            raise NotServedError(one_line(refused), refused.hint) from refused
        return FlowPage(kind.name, symbol, tuple(rows), NO_QUOTA, now if self._simulated else None)

    def calls_left(self) -> int | None:
        """Return how many calls the timetable may still make to the flow source; None if there is no limit."""
        return self._flow.calls_left()
