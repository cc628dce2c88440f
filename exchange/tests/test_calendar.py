"""The calendar from 1970 to 2029: sessions, holidays and half days, whatever the market plays."""

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import SHARED, World, open_world

RECORDED = SHARED / "market" / "nyse_calendar_2005_2027.csv"
CLOSED = {
    "a holiday": "2029-12-25",
    "Good Friday": "1998-04-10",
    "a holiday on a Sunday is kept on the Monday": "2022-12-26",
    "Juneteenth on a Sunday": "2022-06-20",
    "September 2001": "2001-09-11",
    "a storm": "2012-10-29",
    "a day of mourning": "2025-01-09",
}
HALF_DAYS = ("1999-11-26", "2024-07-03", "2024-11-29", "2029-12-24")


@pytest.fixture(scope="module")
def world(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder())


@pytest.fixture(scope="module")
def rows(world: World) -> list[dict[str, Any]]:
    days: list[dict[str, Any]] = world.get("/v2/calendar")
    return days


def test_calendar_reaches_from_1970_to_2029_without_a_gap(rows: list[dict[str, Any]]) -> None:
    assert (rows[0]["date"], rows[-1]["date"]) == ("1970-01-02", "2029-12-31")
    assert rows[-1]["settlement_date"] == "2030-01-02"
    assert all(one["date"] < other["date"] == one["settlement_date"] for one, other in pairwise(rows))
    assert len(rows) == 15_125


@pytest.mark.parametrize("day", CLOSED.values(), ids=CLOSED)
def test_calendar_leaves_out_a_day_without_trading(world: World, day: str) -> None:
    assert world.get(f"/v2/calendar?start={day}&end={day}") == []
    assert world.get(f"/v3/calendar/NYSE?start={day}&end={day}")["calendar"] == []


@pytest.mark.parametrize("day", HALF_DAYS)
def test_half_day_closes_at_one(world: World, day: str) -> None:
    (row,) = world.get(f"/v2/calendar?start={day}&end={day}")
    assert (row["open"], row["close"], row["session_open"], row["session_close"]) == ("09:30", "13:00", "0400", "1700")
    (row,) = world.get(f"/v3/calendar/NASDAQ?start={day}&end={day}")["calendar"]
    assert row["core_end"][11:16] == row["post_start"][11:16] == "13:00"


def test_calendar_has_the_sessions_and_hours_of_another_source(rows: list[dict[str, Any]]) -> None:
    if not RECORDED.is_file():
        pytest.skip(f"shared/data has no {RECORDED.name}")
    with RECORDED.open(newline="") as file:
        theirs = [(row["date"], row["open_et"], row["close_et"]) for row in csv.DictReader(file)]
    ours = [(row["date"], row["open"], row["close"]) for row in rows if theirs[0][0] <= row["date"] <= theirs[-1][0]]
    assert ours == theirs


def test_newer_clock_answers_for_any_time_within_the_calendar(world: World) -> None:
    (clock, _) = world.get("/v3/clock?time=2001-09-12T16:00:00Z")["clocks"]
    assert (clock["is_market_day"], clock["phase"]) == (False, "closed")
    assert clock["next_market_open"] == "2001-09-17T09:30:00-04:00"
    assert clock["phase_until"] == "2001-09-17T04:00:00-04:00"
    assert world.ask("GET", "/v3/clock?time=2031-01-02T16:00:00Z").status == 400


def test_calendar_of_the_market_s_own_sessions_needs_no_library(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("papervenue.faces.trading.sessions.full_calendar", None)
    assert len(world.get("/v2/calendar?start=2025-03-03&end=2025-03-14")) == 10
    assert len(world.get("/v3/calendar/NYSE")["calendar"]) == 6
