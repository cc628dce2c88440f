"""An instrument's trading hours in the next days, as the venue gives them. They take precedence over any calendar."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from msgspec import Struct

from tradebot.model.bar import Session


class Hours(Struct, frozen=True):
    """The sessions of an instrument as its venue gives them, and its liquid hours.

    They cover `since` until just before `until`: within that period, nothing trades outside of `trading`. Both lists
    are sorted; a date may have several entries with breaks between them.
    """

    since: datetime
    until: datetime
    trading: tuple[Session, ...]
    liquid: tuple[Session, ...]

    def tells(self, at: datetime) -> bool:
        """Return True if the venue's hours at a moment are known: open, liquid or closed."""
        return self.since <= at < self.until

    def trades(self, at: datetime) -> bool:
        """Return True if the instrument trades at a moment."""
        return any(session.contains(at) for session in self.trading)

    def is_liquid(self, at: datetime) -> bool:
        """Return True if a moment is in the liquid hours."""
        return any(session.contains(at) for session in self.liquid)

    def becomes_liquid(self, at: datetime, day: date) -> bool:
        """Return True if liquid hours of a date are still to come."""
        return any(session.date == day and session.open > at for session in self.liquid)

    def session_at(self, at: datetime, today: date) -> Session | None:
        """Return the open session, or today's next or last one; None without any."""
        current = next((session for session in self.trading if session.contains(at)), None)
        own = [session for session in self.trading if session.date == today]
        return current or next((session for session in own if session.open > at), own[-1] if own else None)

    def over(self, usual: Iterable[Session]) -> Sequence[Session]:
        """Return a calendar's sessions, one per date, with those in the covered period replaced by the venue's."""
        session_by_day = {own.date: own for own in usual if own.close <= self.since or own.open >= self.until}
        for session in self.trading:
            before = session_by_day.get(session.date)
            session_by_day[session.date] = Session(session.date, before.open, session.close) if before else session
        return [session_by_day[day] for day in sorted(session_by_day)]
