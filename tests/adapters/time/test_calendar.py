"""The exchange's calendar against a recorded one."""

import csv
import sys
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.adapters.text.extras import install
from tradebot.adapters.time.calendar import BY_PRODUCT, exchange_sessions, require_library
from tradebot.errors import OperatorError
from tradebot.model.bar import Session

RECORDED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "market" / "nyse_calendar_2005_2027.csv"


def test_sessions_are_those_of_the_recorded_calendar_half_days_and_summer_time_included() -> None:
    if not RECORDED.exists():
        pytest.skip("no ../shared/data/market to read")
    with RECORDED.open() as file:
        recorded = [
            Session(
                date.fromisoformat(row["date"]),
                datetime.fromisoformat(row["open_utc"]),
                datetime.fromisoformat(row["close_utc"]),
            )
            for row in csv.DictReader(file)
        ]
    assert list(exchange_sessions(recorded[0].date, recorded[-1].date, "XNYS")) == recorded


def test_a_weekend_has_no_session_and_years_ahead_have_some() -> None:
    assert exchange_sessions(date(2026, 11, 21), date(2026, 11, 22), "XNYS") == ()
    ahead = exchange_sessions(date(2031, 1, 1), date(2031, 1, 10), "XNYS")
    assert ahead[0].open == datetime(2031, 1, 2, 14, 30, tzinfo=UTC)
    assert ahead[0].open.tzinfo is UTC


THANKSGIVING = {
    "CME Globex Equity": ("2026-11-26T18:00", "2026-11-27T18:15"),
    "CMEGlobex_GC": ("2026-11-26T19:30", "2026-11-27T19:45"),
    "CMEGlobex_FX": ("2026-11-26T22:00", "2026-11-27T18:15"),
}


@pytest.mark.parametrize("name", sorted(BY_PRODUCT))
def test_each_group_of_products_closes_at_its_own_time_around_thanksgiving(name: str) -> None:
    sessions = {one.date: one for one in exchange_sessions(date(2026, 11, 23), date(2026, 11, 27), name)}
    monday, thursday, friday = (sessions[date(2026, 11, day)] for day in (23, 26, 27))
    assert tuple(f"{one.close:%Y-%m-%dT%H:%M}" for one in (thursday, friday)) == THANKSGIVING[name]
    assert (monday.open, monday.close) == (utc(22, 23), utc(23, 22)), "it opens on Sunday evening"
    assert not monday.contains(utc(23, 22, 30)), "the break"
    assert sessions[date(2026, 11, 24)].contains(utc(23, 23, 30)), "an evening belongs to the next day"


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@given(st.integers(2015, 2035), st.sampled_from(sorted(BY_PRODUCT)))
@settings(max_examples=12)
def test_sessions_of_a_product_never_overlap_and_end_by_four_in_chicago_in_summer_and_winter(
    year: int, name: str
) -> None:
    chicago = ZoneInfo("America/Chicago")
    sessions = exchange_sessions(date(year, 1, 1), date(year, 12, 31), name)
    assert 255 <= len(sessions) <= 262
    assert all(a.close < b.open and a.date < b.date for a, b in pairwise(sessions))
    opens = {one.open.astimezone(chicago).hour for one in sessions}
    assert opens == {17}
    assert all(one.close.astimezone(chicago).time() <= time(16) for one in sessions)
    assert all(one.close.astimezone(chicago).date() == one.date for one in sessions)


def test_calendar_of_a_product_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    require_library("CMEGlobex_GC")
    monkeypatch.setitem(sys.modules, "pandas_market_calendars", None)
    with pytest.raises(OperatorError, match=r"CMEGlobex_GC needs the extra ibkr") as refused:
        require_library("CMEGlobex_GC")
    assert refused.value.hint == install("ibkr")
