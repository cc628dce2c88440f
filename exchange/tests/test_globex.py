"""Globex's sessions by product group: the worked days, and a year of them."""

from itertools import pairwise

import pytest

from papervenue.market.hours import CURRENCY, EQUITY, HOURS, METALS, trade_date
from papervenue.market.sessions import session_of
from papervenue.times import HOUR, rfc3339

THANKSGIVING = {
    EQUITY: ("2026-11-26T18:00:00Z", "2026-11-27T18:15:00Z"),
    METALS: ("2026-11-26T19:30:00Z", "2026-11-27T19:45:00Z"),
    CURRENCY: ("2026-11-26T22:00:00Z", "2026-11-27T18:15:00Z"),
}
"""When Thursday's and Friday's sessions end."""


@pytest.mark.parametrize("group", THANKSGIVING)
def test_thanksgiving_ends_when_the_venue_says(group: str) -> None:
    rows = HOURS[group].between("2026-11-23", "2026-11-27")
    assert tuple(rfc3339(close_us) for _, _, close_us in rows[3:]) == THANKSGIVING[group]
    assert [rfc3339(us) for us in rows[0][1:]] == ["2026-11-22T23:00:00Z", "2026-11-23T22:00:00Z"]
    assert rfc3339(rows[1][1]) == "2026-11-23T23:00:00Z"


def test_a_holidays_short_session_belongs_to_the_next_day() -> None:
    for group, rest in {EQUITY: "2026-11-27", METALS: "2026-11-27", CURRENCY: "2026-11-26"}.items():
        sessions = [session_of(one, HOURS[group]) for one in HOURS[group].between("2026-11-25", "2026-11-30")]
        assert [trade_date(*pair) for pair in pairwise(sessions)] == ["2026-11-25", rest, "2026-11-27"]


@pytest.mark.parametrize("group", THANKSGIVING)
def test_a_years_sessions_follow_each_other_through_daylight_saving(group: str) -> None:
    rows = HOURS[group].between("2026-01-01", "2026-12-31")
    assert len({day for day, _, _ in rows}) == len(rows) == {METALS: 258}.get(group, 259)
    for (_, _, close_us), (_, open_us, _) in pairwise(rows):
        assert open_us - close_us >= HOUR
    assert max(close_us - open_us for _, open_us, close_us in rows) == 23 * HOUR
    assert "2026-12-25" not in {day for day, _, _ in rows}
