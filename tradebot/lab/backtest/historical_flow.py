"""Replay the flow that a bot fetched in the past. In a backtest, it becomes known at the time when the bot fetched
it.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime
from operator import attrgetter
from typing import TYPE_CHECKING

from tradebot.adapters.facts.history import load_replies
from tradebot.adapters.flow.reply_archive import KeptReplies
from tradebot.app.null_ports import NoEvents
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.fact_kind import NEW_YORK
from tradebot.signals.kinds import kind_names, kind_of
from tradebot.signals.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tradebot.adapters.memory.facts import MemoryFacts
    from tradebot.model.bar import Session
    from tradebot.model.flow import Intake

_AT = attrgetter("at")
_ALWAYS = datetime.max.replace(tzinfo=UTC)
Asked = tuple[str, str | None, datetime]


class PastFlow:
    """The replies in a bot's folder, oldest first: those stored with its facts, and archived raw replies that are
    missing there.

    Raise OperatorError if the folder has none, or can't be read.
    """

    def __init__(self, folder: Path) -> None:
        replies: dict[Asked, Intake] = {
            (reply.endpoint, reply.symbol, reply.at): reply for reply in load_replies(folder)
        }
        for reply in _archived_replies(folder):
            replies.setdefault((reply.endpoint, reply.symbol, reply.at), reply)
        if not replies:
            raise OperatorError(f"{folder} has no fetched flow", "give the folder of a bot that fetches flow")
        self.folder = folder
        self.replies: Sequence[Intake] = sorted(replies.values(), key=_AT)

    @property
    def days(self) -> tuple[date, date]:
        """Return the New York dates of the first reply and of the last one."""
        first, last = (self.replies[index].at.astimezone(NEW_YORK).date() for index in (0, -1))
        return first, last

    def require(self, sessions: Sequence[Session]) -> None:
        """Raise OperatorError if nothing was fetched during these sessions."""
        begin, end = (bisect_right(self.replies, at, key=_AT) for at in (sessions[0].open, sessions[-1].close))
        if begin == end:
            first, last = self.days
            raise OperatorError(
                f"{self.folder} has flow from {first} to {last}, but none in the sessions to run",
                f"--from {first} --to {last}",
            )

    def arriving(self, facts: MemoryFacts) -> ArrivingReplies:
        return ArrivingReplies(self.replies, facts)


class ArrivingReplies:
    """Delivers replies as time passes, so that nothing is known before it was fetched."""

    def __init__(self, replies: Sequence[Intake], facts: MemoryFacts) -> None:
        self._replies, self._facts = replies, facts
        self._next: int | None = None

    def __call__(self, now: datetime) -> None:
        begin = self._n_stored() if self._next is None else self._next
        self._next = bisect_right(self._replies, now, lo=begin, key=_AT)
        for reply in self._replies[begin : self._next]:
            self._facts.store(reply)

    def _n_stored(self) -> int:
        """Return how many replies are already stored, as in a resumed run."""
        stored = self._facts.intakes(datetime.min.replace(tzinfo=UTC))
        return bisect_right(self._replies, stored[-1].at, key=_AT) if stored else 0


def _archived_replies(folder: Path) -> Iterator[Intake]:
    """Yield the archived raw replies; unreadable ones are left out, because the bot couldn't read them either."""
    kept_replies = KeptReplies(folder, NoEvents(), 0)
    for reply in kept_replies.replies(kind_names(), (date.min, date.max), _ALWAYS):
        try:
            page = reply.page()
        except TemporaryError:
            continue
        yield normalize(kind_of(reply.kind), page, reply.at)
