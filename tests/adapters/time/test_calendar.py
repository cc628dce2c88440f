"""The exchange's calendar against a recorded one."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tradebot.adapters.time.calendar import exchange_sessions
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
