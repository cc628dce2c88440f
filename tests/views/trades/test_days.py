"""Days in New York, and how long the market was open between two moments."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import VENUE_DAY, there
from tradebot.model.bar import Session
from tradebot.views.trades.days import EVER, DateRange, MarketTime

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


def test_a_day_begins_at_midnight_in_new_york_and_spans_may_be_open_ended() -> None:
    moments = [(16, 4, 59), (16, 5, 0), (18, 4, 59), (18, 5, 0)]
    inside = [DateRange(MONDAY, TUESDAY).has(datetime(2026, 11, *at, tzinfo=UTC), VENUE_DAY) for at in moments]
    assert inside == [False, True, True, False]
    at = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
    spans = (EVER, DateRange(MONDAY), DateRange(TUESDAY), DateRange(None, MONDAY))
    assert [days.has(at, VENUE_DAY) for days in spans] == [True, True, False, True]
    assert (DateRange(None, MONDAY).is_after(TUESDAY), DateRange(None, MONDAY).is_after(MONDAY)) == (True, False)


FIRST = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHORT = 3.5
"""The hours of the Friday, which ends early; the others have six and a half."""


def sessions() -> list[Session]:
    """Return two weeks of sessions."""
    opens = [FIRST + DAY * day for day in range(12) if day % 7 < 5]
    return [Session(at.date(), at, at + HOUR * (SHORT if at.weekday() == 4 else 6.5)) for at in opens]


MARKET = MarketTime(sessions())
MOMENTS = st.integers(0, 11 * 24 * 60).map(lambda minutes: FIRST + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        (FIRST, FIRST, 0),
        (FIRST + HOUR, FIRST + 2 * HOUR, 1),
        (FIRST + HOUR, FIRST + 10 * HOUR, 5.5),
        (FIRST + 10 * HOUR, FIRST + 20 * HOUR, 0),
        (FIRST + 6 * HOUR, FIRST + DAY + HOUR, 1.5),
        (FIRST + 4 * DAY, FIRST + 7 * DAY + HOUR, SHORT + 1),
    ],
)
def test_market_time_counts_only_session_hours(start: datetime, end: datetime, hours: float) -> None:
    assert MARKET.between_s(start, end) == hours * 3600


@given(st.lists(MOMENTS, min_size=3, max_size=3).map(sorted))
def test_market_time_of_adjacent_spans_adds_up(moments: list[datetime]) -> None:
    first, second, whole = (MARKET.between_s(moments[a], moments[b]) for a, b in ((0, 1), (1, 2), (0, 2)))
    assert whole == there(first) + there(second)
    assert 0 <= whole <= (moments[2] - moments[0]).total_seconds()


def test_market_time_is_unknown_when_a_session_is_unknown() -> None:
    known = sessions()
    assert MARKET.between_s(FIRST - HOUR, FIRST + HOUR) is None
    assert MarketTime(()).between_s(FIRST, FIRST) is None
    assert MARKET.between_s(FIRST, FIRST + 30 * DAY) is None
    gap = MarketTime([known[0], Session(date(2026, 12, 1), FIRST + 15 * DAY, FIRST + 15 * DAY + HOUR)])
    assert gap.between_s(FIRST, FIRST + 15 * DAY) is None
    assert gap.between_s(FIRST, FIRST + 3 * DAY) == 6.5 * 3600
