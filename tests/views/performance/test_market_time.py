"""Time in which the market was open."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.bar import Session
from tradebot.views.performance.market_time import MarketTime

MONDAY = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHORT = 3.5
"""The hours of the Friday, which ends early; the others have six and a half."""


def sessions() -> list[Session]:
    """Return two weeks of sessions."""
    opens = [MONDAY + DAY * day for day in range(12) if day % 7 < 5]
    return [Session(at.date(), at, at + HOUR * (SHORT if at.weekday() == 4 else 6.5)) for at in opens]


MARKET = MarketTime(sessions())
MOMENTS = st.integers(0, 11 * 24 * 60).map(lambda minutes: MONDAY + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        (MONDAY, MONDAY, 0),
        (MONDAY + HOUR, MONDAY + 2 * HOUR, 1),
        (MONDAY + HOUR, MONDAY + 10 * HOUR, 5.5),
        (MONDAY + 10 * HOUR, MONDAY + 20 * HOUR, 0),
        (MONDAY + 6 * HOUR, MONDAY + DAY + HOUR, 1.5),
        (MONDAY + 4 * DAY, MONDAY + 7 * DAY + HOUR, SHORT + 1),
    ],
)
def test_only_the_hours_of_sessions_count(start: datetime, end: datetime, hours: float) -> None:
    assert MARKET.between_s(start, end) == hours * 3600


@given(st.lists(MOMENTS, min_size=3, max_size=3).map(sorted))
def test_two_spans_that_meet_are_one_together(moments: list[datetime]) -> None:
    first, second, whole = (MARKET.between_s(moments[a], moments[b]) for a, b in ((0, 1), (1, 2), (0, 2)))
    assert first is not None
    assert second is not None
    assert whole == first + second
    assert 0 <= whole <= (moments[2] - moments[0]).total_seconds()


def test_a_span_with_a_day_that_is_not_known_is_not_known() -> None:
    known = sessions()
    assert MARKET.between_s(MONDAY - HOUR, MONDAY + HOUR) is None
    assert MarketTime(()).between_s(MONDAY, MONDAY) is None
    assert MARKET.between_s(MONDAY, MONDAY + 30 * DAY) is None
    gap = MarketTime([known[0], Session(date(2026, 12, 1), MONDAY + 15 * DAY, MONDAY + 15 * DAY + HOUR)])
    assert gap.between_s(MONDAY, MONDAY + 15 * DAY) is None
    assert gap.between_s(MONDAY, MONDAY + 3 * DAY) == 6.5 * 3600
