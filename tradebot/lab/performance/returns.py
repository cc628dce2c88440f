"""Compute an account's returns, session by session, without its owner's transfers."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.account import CashMovement
from tradebot.model.bar import Session
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.days import EVER, DateRange
from tradebot.views.trades.history import History

SESSIONS_PER_YEAR = 252
"""Sessions in a nominal year of a venue that closes."""
DAYS_PER_YEAR = 365
_NEVER = datetime.max.replace(tzinfo=UTC)
_ZERO = Decimal(0)


class EquityPoint(NamedTuple):
    """The account's equity in USD at a session's close, in the last pass, or when the books were opened."""

    session: date
    at: datetime
    equity_usd: Decimal
    is_start: bool = False


class EquityStep(NamedTuple):
    """The step from one equity point to the next one.

    `value` is the return as a fraction; None if the earlier equity was zero or less. `transfers_usd` is the sum of the
    owner's deposits in between, minus withdrawals.
    """

    before: EquityPoint
    after: EquityPoint
    transfers_usd: Decimal
    value: float | None


class Path(Struct, frozen=True):
    """An account's steps through a period, oldest first.

    `start` is the equity point at which the first step begins; None if there are no equity points. `sessions` are the
    dates of the exchange's sessions that the steps cover, and `missing` the dates of sessions without a recorded end:
    the next step covers them too. `year` is how many sessions the venue has in a year.
    """

    start: EquityPoint | None
    steps: tuple[EquityStep, ...]
    sessions: tuple[date, ...]
    missing: tuple[date, ...]
    year: int = SESSIONS_PER_YEAR

    @property
    def returns(self) -> tuple[float, ...]:
        """Return the known returns, oldest first."""
        return tuple(step.value for step in self.steps if step.value is not None)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Return when the first step begins and the last one ends; without steps, an empty range.

        The beginning itself isn't part of the range: an event exactly then came before the first step.
        """
        return (self.start.at, self.steps[-1].after.at) if self.start and self.steps else (_NEVER, _NEVER)

    @property
    def per_year(self) -> float:
        """Return how many returns a year has, if sessions are missing at the same rate as in this period."""
        return self.year * len(self.steps) / len(self.sessions) if self.steps and self.sessions else self.year


def account_steps(
    history: History, transfers: Sequence[CashMovement], sessions: Sequence[Session], days: DateRange = EVER
) -> Path:
    """Return the account's steps in a range of days; `transfers` are the owner's deposits (positive) and withdrawals.

    `sessions` are the exchange's sessions since the books were opened, oldest first. The first step begins at the last
    equity point before those days. A transfer counts at the end of its step, because it earned nothing in that session.
    """
    equity_points, year = _sights(history, sessions), sessions_per_year(history.day)
    until = [each for each in equity_points if not days.is_after(each.session)]
    before = [index for index, each in enumerate(until) if days.first is not None and each.session < days.first]
    within = until[max(before, default=0) :]
    if not within:
        return Path(None, (), (), (), year)
    steps = tuple(_step(before, after, transfers) for before, after in pairwise(within))
    covered = tuple(_covered_dates(within[0], within[-1], sessions)) if steps else ()
    played_sessions = {step.after.session for step in steps}
    missing = tuple(day for day in covered if day not in played_sessions)
    return Path(within[0], steps, covered, missing, year)


def sessions_per_year(day: VenueDay) -> int:
    """Return how many sessions a venue has in a year; at a venue that never closes, each day is a session."""
    return DAYS_PER_YEAR if day.never_ends else SESSIONS_PER_YEAR


def _sights(history: History, sessions: Sequence[Session]) -> Iterator[EquityPoint]:
    if history.opened_at is not None and history.opening_usd is not None:
        opened_on = history.day.date_of(history.opened_at)
        yield EquityPoint(opened_on, history.opened_at, history.opening_usd, is_start=True)
    looks = (
        EquityPoint(end.session, end.equity_at, end.equity)
        for end in history.ends
        if end.equity is not None and end.equity_at is not None
    )
    by_session = {each.session: each for each in (*looks, *_closes(history, sessions))}
    yield from sorted(by_session.values())


def _closes(history: History, sessions: Sequence[Session]) -> Iterator[EquityPoint]:
    """Yield the account's equity at each close that the venue reported in the next session."""
    closes = {end.session: end.last_close for end in history.ends}
    for session, after in pairwise(sessions):
        usd = closes.get(after.date)
        if usd and history.opened_at is not None and session.close > history.opened_at:
            yield EquityPoint(session.date, session.close, usd)


def _step(before: EquityPoint, after: EquityPoint, transfers: Sequence[CashMovement]) -> EquityStep:
    moved = sum((each.amount_usd for each in transfers if before.at < each.at <= after.at), _ZERO)
    earned = after.equity_usd - moved
    value = float(earned / before.equity_usd) - 1 if before.equity_usd > 0 else None
    return EquityStep(before, after, moved, value)


def _covered_dates(start: EquityPoint, end: EquityPoint, sessions: Sequence[Session]) -> Iterator[date]:
    """Yield the dates of the sessions that ended after the start, up to the last one seen."""
    for session in sessions:
        after = session.close > start.at if start.is_start else session.date > start.session
        if after and session.date <= end.session:
            yield session.date
