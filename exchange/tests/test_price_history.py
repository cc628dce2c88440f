"""Daily bars of the sessions before a market begins: made from the same seed, and served once they are over."""

from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import SYMBOLS, World, open_world
from papervenue.faces.data.history import DataHistory
from papervenue.market.bars import UNITS
from papervenue.market.generator import PAST_DAYS, GeneratedBars
from papervenue.market.sessions import HISTORY_SESSIONS, build_calendar
from papervenue.market.spec import MarketSpec
from papervenue.process import create
from papervenue.times import MINUTE

LONG_AGO = "start=2021-01-04&end=2025-02-28&limit=10000"


def bars(world: World, symbol: str, timeframe: str, query: str = LONG_AGO) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.get(f"/v2/stocks/{symbol}/bars?timeframe={timeframe}&{query}")["bars"]
    return rows


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_days_before_the_first_session_have_the_known_closes(world: World, symbol: str) -> None:
    days = bars(world, symbol, "1Day")
    market = world.exchange.market
    known = range(-PAST_DAYS, 0)
    assert [day["t"][:10] for day in days] == [market.calendar.session(index).date for index in known]
    closes = [market.close_of(symbol, index) for index in known]
    assert [round(day["c"] * UNITS) for day in days] == closes
    for day in days:
        assert 0 < day["l"] <= min(day["o"], day["c"]) <= max(day["o"], day["c"]) <= day["h"]
        assert day["l"] <= day["vw"] <= day["h"]
        assert day["v"] > day["n"] > 0
    assert max(day["h"] / day["l"] for day in days) < 1.5


def test_volume_does_not_jump_between_history_and_the_first_session(world: World) -> None:
    world.tick(to="2025-03-04T21:00:00Z")
    before = bars(world, "AAPL", "1Day")
    sessions = bars(world, "AAPL", "1Day", "start=2025-03-03")
    usual = sum(day["v"] for day in before) / len(before)
    assert all(0.5 < day["v"] / usual < 2 for day in [*before, *sessions])
    assert all(0.2 < day["n"] / before[-1]["n"] < 5 for day in sessions)


def test_snapshot_shows_the_daily_bars_of_the_days_before(world: World) -> None:
    last_but_one, last = bars(world, "AAPL", "1Day")[-2:]
    early = world.get("/v2/stocks/AAPL/snapshot")
    assert (early["prevDailyBar"], early["dailyBar"]) == (last_but_one, last)
    world.tick(to="2025-03-03T15:00:00Z")
    assert world.get("/v2/stocks/AAPL/snapshot")["prevDailyBar"] == last


def test_week_of_the_first_session_combines_history_and_sessions(tmp_path: Path) -> None:
    create(tmp_path, MarketSpec(symbols=("AAPL",), sessions=2, start=date(2025, 3, 5)))
    world = open_world(tmp_path, to="2025-03-06T21:00:00Z")
    (week,) = bars(world, "AAPL", "1Week", "start=2025-03-03")
    days = bars(world, "AAPL", "1Day", "start=2025-03-03")
    assert [day["t"][:10] for day in days] == ["2025-03-03", "2025-03-04", "2025-03-05", "2025-03-06"]
    assert (week["o"], week["c"], week["v"]) == (days[0]["o"], days[-1]["c"], sum(day["v"] for day in days))


def test_split_adjusts_the_days_before_the_first_session(world: World) -> None:
    raw = bars(world, "AAPL", "1Day")
    split = {"type": "forward_split", "symbol": "AAPL", "new_rate": 2, "old_rate": 1, "date": "2025-03-04"}
    assert world.ask("POST", "/exchange/v1/actions", split).status == 200
    world.tick(to="2025-03-04T15:00:00Z")
    adjusted = bars(world, "AAPL", "1Day", f"{LONG_AGO}&adjustment=split")
    assert bars(world, "AAPL", "1Day") == raw
    for old, new in zip(raw, adjusted, strict=True):
        assert Decimal(str(new["c"])) * 2 == Decimal(str(old["c"]))
        assert new["v"] == old["v"] * 2


def test_daily_bar_is_served_only_after_its_close(world: World) -> None:
    history, last = DataHistory(world.exchange.market), world.exchange.market.calendar.all[HISTORY_SESSIONS - 1]
    assert history.day("AAPL", -1, last.close_us - MINUTE) is None
    assert history.day("AAPL", -1, last.close_us) is not None
    assert history.day("AAPL", -PAST_DAYS, last.close_us) is not None
    assert history.day("AAPL", -PAST_DAYS - 1, last.close_us) is None


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_minutes_of_a_past_session_add_up_to_its_daily_bar(world: World, symbol: str) -> None:
    market = world.exchange.market
    for index in (-1, -2, -60, -250, -market.past_minutes):
        regular, day = market.day(symbol, index).bars, market.history_day(symbol, -index)
        whole = market.whole_day(symbol, index)
        assert day is not None
        assert whole is not None
        assert whole[1:] == day[1:]
        session = market.calendar.session(index)
        assert all(session.open_us <= bar.start_us < session.close_us for bar in regular)
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in regular)
        assert all(bar.volume > 0 for bar in (*regular, *market.extended(symbol, index).bars))


def test_minutes_of_past_sessions_are_served_with_trades_outside_regular_hours_marked(world: World) -> None:
    query = "start=2024-12-05&end=2024-12-07&limit=10000"
    minutes, days = bars(world, "AAPL", "1Min", query), bars(world, "AAPL", "1Day", query)
    assert sum(bar["v"] for bar in minutes) == sum(day["v"] for day in days)
    assert [day["t"][:10] for day in days] == ["2024-12-05", "2024-12-06"]
    trades = world.get("/v2/stocks/AAPL/trades?start=2024-12-05T14:00:00Z&end=2024-12-05T14:31:00Z&limit=10000")[
        "trades"
    ]
    marked = {trade["t"] < "2024-12-05T14:30" for trade in trades if "T" in trade["c"]}
    assert marked == {True}
    assert any("T" not in trade["c"] for trade in trades)


def test_past_is_the_same_for_every_caller_and_ends_at_a_fixed_day(world: World) -> None:
    whole = bars(world, "AAPL", "1Week")
    assert bars(world, "AAPL", "1Week", "start=2024-06-03&end=2024-06-21") == [
        week for week in whole if "2024-06-03" <= week["t"][:10] <= "2024-06-21"
    ]
    hours = bars(world, "AAPL", "1Hour", "start=2024-06-03&end=2024-06-07")
    assert bars(world, "AAPL", "1Hour", "start=2024-06-05&end=2024-06-07") == [
        h for h in hours if h["t"] >= "2024-06-05"
    ]
    first = world.exchange.market.calendar.session(-PAST_DAYS).date
    assert bars(world, "AAPL", "1Day")[0]["t"][:10] == first
    assert bars(world, "AAPL", "1Min", f"start={first}&end=2023-01-01") == []


def test_sessions_and_their_year_of_days_are_those_that_a_seed_always_had() -> None:
    source, parts = GeneratedBars(7, build_calendar(date(2025, 3, 3), 3)), list[object]()
    for symbol in ("AAPL", "SPY", "ZAAC"):
        parts += [(source.bars(symbol, index), source.extended_hours(symbol, index)) for index in range(3)]
        parts += [source.history_day(symbol, before) for before in range(1, HISTORY_SESSIONS + 1)]
    assert sha256(repr(parts).encode()).hexdigest()[:16] == "1fe9c78b978a9109"


def test_history_does_not_depend_on_other_symbols_or_the_market_s_length(world: World, tmp_path: Path) -> None:
    create(tmp_path, MarketSpec(symbols=("AAPL", "XOM"), sessions=9, start=date(2025, 3, 3)))
    assert bars(open_world(tmp_path), "AAPL", "1Day") == bars(world, "AAPL", "1Day")


def test_recorded_market_has_no_days_outside_its_file(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("ts,symbol,open,high,low,close,volume\n2025-03-03 09:31:00,AAPL,100,101,99,100.5,1000\n")
    spec = MarketSpec(source="csv", path=str(path), bar_stamp="end", start=date(2025, 3, 3), sessions=1)
    create(tmp_path / "state", spec)
    world = open_world(tmp_path / "state")
    assert bars(world, "AAPL", "1Day") == []
    snapshot = world.get("/v2/stocks/AAPL/snapshot")
    assert (snapshot["dailyBar"], snapshot["prevDailyBar"]) == (None, None)
