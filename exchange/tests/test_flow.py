"""Derived flow: rows shaped like the real feed, an edge of the requested size, and counted requests."""

import json
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import SHARED, World, open_world
from papervenue.faces.flow import FlowLimits
from papervenue.flow.alerts import Flow
from papervenue.market.bars import Market
from papervenue.market.generator import GeneratedBars
from papervenue.market.sessions import Calendar, build_calendar
from papervenue.market.spec import MarketSpec, default_symbols
from papervenue.process import create
from papervenue.times import HOUR, MINUTE, SECOND, parse_time

NOON = parse_time("2026-11-20T17:00:00Z")
EVENING = parse_time("2026-11-21T01:00:00Z")


def test_answer_says_how_many_requests_are_left_and_when_the_minute_ends() -> None:
    limits = FlowLimits(120, 15_000)
    for _ in range(3):
        headers, refused = limits.count("key", NOON + 20 * SECOND)
    names = (
        "token-req-limit",
        "daily-req-count",
        "minute-req-counter",
        "req-per-minute-remaining",
        "req-per-minute-reset",
    )
    values = ("15000", "3", "3", "117", "40000")
    assert (headers, refused) == ({f"x-uw-{name}": value for name, value in zip(names, values, strict=True)}, False)


def test_requests_over_the_minute_limit_are_refused_until_the_next_minute_for_each_key() -> None:
    limits = FlowLimits(2, None)
    assert [limits.count("key", NOON + 59 * SECOND).refused for _ in range(4)] == [False, False, True, True]
    assert not limits.count("other", NOON + 59 * SECOND).refused
    assert [limits.count("key", NOON + MINUTE).refused for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("later", [HOUR, EVENING - NOON - 1])
def test_requests_over_the_day_limit_are_refused_until_eight_in_the_evening_in_new_york(later: int) -> None:
    limits = FlowLimits(None, 2)
    assert [limits.count("key", NOON).refused for _ in range(3)] == [False, False, True]
    refused = limits.count("key", NOON + later)
    assert (refused.refused, refused.headers["x-uw-daily-req-count"]) == (True, "2")
    assert limits.count("key", EVENING).headers["x-uw-daily-req-count"] == "1"


LIVE = SHARED / "uw" / "live"
CAPTURES = {
    "option_flow_alerts": "/api/option-trades/flow-alerts",
    "dark_pool": "/api/darkpool/AAPL",
    "market_tide": "/api/market/market-tide",
    "greek_exposure": "/api/stock/AAPL/greek-exposure",
    "iv_rank": "/api/stock/AAPL/iv-rank",
    "oi_change": "/api/stock/AAPL/oi-change",
}


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return build_calendar(date(2025, 3, 3), 4)


@pytest.fixture(scope="module")
def traded(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder(), to="2025-03-04T22:40:00Z")


def kinds(value: Any) -> Any:
    return {name: type(field) for name, field in value.items()}


@pytest.mark.skipif(not LIVE.is_dir(), reason="needs ../shared/data/uw/live")
@pytest.mark.parametrize("name", CAPTURES)
def test_rows_have_the_fields_and_types_of_the_captured_ones(traded: World, name: str) -> None:
    captured = json.loads((LIVE / f"{name}.json").read_text())["response"]
    served = traded.get(CAPTURES[name])
    assert (set(served), set(served["data"][0])) == (set(captured), set(captured["data"][0]))
    expected: dict[str, set[type]] = {}
    for row in captured["data"]:
        for field, kind in kinds(row).items():
            expected.setdefault(field, set()).add(kind)
    for row in served["data"]:
        for field, kind in kinds(row).items():
            allowed = expected[field] | {type(None)} if None.__class__ in expected[field] else expected[field]
            assert kind in allowed | ({str} if expected[field] == {type(None)} else set()), field


def agreement(calendar: Calendar, *edges: float) -> list[float]:
    """Return for each edge the share of bursts whose direction is the sign of the next hour's return."""
    market = Market(GeneratedBars(7, calendar), calendar, default_symbols(20))
    flows = [Flow(market, 7, edge) for edge in edges]
    hits: list[list[bool]] = [[] for _ in edges]
    # Session by session: a market keeps the bars of a few.
    for index, session in enumerate(calendar.market):
        for flow, right in zip(flows, hits, strict=True):
            for row in flow.session_alerts(index):
                symbol = row.fields["ticker"]
                now = market.price(symbol, row.at_us)
                later = market.price(symbol, min(row.at_us + HOUR, session.close_us))
                if now is not None and later is not None and abs(later - now) * 400 >= now:
                    right.append((bullish(row.fields) > 0) == (later > now))
    assert all(len(right) > 300 for right in hits)
    return [sum(right) / len(right) for right in hits]


def bullish(alert: dict[str, Any]) -> int:
    bought = float(alert["total_ask_side_prem"]) > float(alert["total_bid_side_prem"])
    return 1 if bought == (alert["type"] == "call") else -1


def test_alerts_agree_with_the_next_hour_s_return_as_often_as_the_edge_says(calendar: Calendar) -> None:
    none, all_of_it, half = agreement(calendar, 0.0, 1.0, 0.5)
    assert 0.44 < none < 0.56
    assert all_of_it > 0.9
    assert 0.65 < half < 0.85


def test_alerts_are_plausible(traded: World) -> None:
    rows = traded.get("/api/option-trades/flow-alerts?limit=200")["data"]
    assert len({row["id"] for row in rows}) == len(rows) > 50
    for row in rows:
        ask, bid = int(row["total_ask_side_prem"]), int(row["total_bid_side_prem"])
        premium = int(row["total_premium"])
        assert ask + bid <= premium
        assert 5_000 <= premium <= 5_000_000
        assert row["expiry"] >= row["created_at"][:10]
        assert row["start_time"] <= row["end_time"] <= parse_time(row["created_at"]) // 1000
        assert row["option_chain"].startswith(row["ticker"] + row["expiry"][2:].replace("-", ""))


def test_alerts_of_a_ticker_are_asked_by_ticker_symbol_and_symbol_is_ignored(traded: World) -> None:
    get = partial(lambda query: traded.get(f"/api/option-trades/flow-alerts?limit=200&{query}")["data"])
    assert {row["ticker"] for row in get("ticker_symbol=SPY")} == {"SPY"}
    assert {row["ticker"] for row in get("symbol=SPY")} == {"AAPL", "SPY", "ZAAC"}
    assert get("ticker_symbol=NONE") == []
    assert {row["ticker"] for row in get("ticker_symbol=SPY,AAPL")} == {"AAPL", "SPY"}


def test_alerts_are_filtered_and_paged_newest_first(traded: World) -> None:
    get = partial(lambda query: traded.get(f"/api/option-trades/flow-alerts?{query}")["data"])
    rows = get("limit=200")
    times = [row["created_at"] for row in rows]
    assert sorted(times, key=parse_time, reverse=True) == times
    assert get("limit=3") == rows[:3]
    assert get(f"limit=200&older_than={times[5]}") == rows[5:]
    assert get(f"limit=200&newer_than={times[5]}") == rows[:6]
    assert get("limit=200&min_premium=400000") == [r for r in rows if int(r["total_premium"]) >= 400_000]
    assert get("limit=200&is_call=false") == [row for row in rows if row["type"] == "put"]
    assert get("limit=200&vol_greater_oi=true") == [r for r in rows if r["volume"] > r["open_interest"]]
    assert get("limit=200&rule_name[]=RepeatedHits") == [r for r in rows if r["alert_rule"] == "RepeatedHits"]
    assert get("limit=200&max_dte=0") == [r for r in rows if r["expiry"] == r["created_at"][:10]]


def test_requests_are_counted_by_engine_time(world: World) -> None:
    def counts() -> tuple[str, str]:
        headers = world.ask("GET", "/api/darkpool/AAPL").headers
        return headers["x-uw-daily-req-count"], headers["x-uw-minute-req-counter"]

    assert [counts(), counts()] == [("1", "1"), ("2", "2")]
    world.tick(seconds=60)
    assert counts() == ("3", "1")
    world.tick(to="2025-03-04T00:59:59Z")
    assert counts() == ("4", "1")
    world.tick(to="2025-03-04T01:00:00Z")
    assert counts() == ("1", "1")


def test_the_tide_is_cumulative_and_ends_with_the_session(traded: World) -> None:
    tide = traded.get("/api/market/market-tide?interval_5m=true&date=2025-03-03")
    stamps = [row["timestamp"] for row in tide["data"]]
    assert (stamps[0], stamps[-1], len(stamps)) == ("2025-03-03T09:30:00-05:00", "2025-03-03T16:00:00-05:00", 79)
    assert traded.get("/api/market/market-tide?interval_5m=false&date=2025-03-03")["data"][::5] == tide["data"]


def test_daily_rows_come_after_the_close_and_open_interest_before_the_open(world: World) -> None:
    def last_days() -> tuple[str, str, str]:
        greeks = world.get("/api/stock/AAPL/greek-exposure")["data"]
        ranks = world.get("/api/stock/AAPL/iv-rank")["data"]
        changes = world.get("/api/stock/AAPL/oi-change")["data"]
        assert len(greeks) == 249
        return greeks[-1]["date"], ranks[-1]["date"], changes[0]["curr_date"]

    assert last_days() == ("2025-02-28", "2025-02-28", "2025-03-03")
    world.tick(to="2025-03-03T22:34:59Z")
    assert last_days() == ("2025-02-28", "2025-02-28", "2025-03-03")
    world.tick(to="2025-03-03T22:35:00Z")
    assert last_days() == ("2025-03-03", "2025-03-03", "2025-03-03")
    world.tick(to="2025-03-04T12:30:00Z")
    assert last_days() == ("2025-03-03", "2025-03-03", "2025-03-04")


@pytest.mark.parametrize("ticker", ["BRK.B", "BRKB"])
def test_share_class_is_found_with_or_without_its_dot_and_written_without(tmp_path: Path, ticker: str) -> None:
    create(tmp_path, MarketSpec(symbols=("AAPL", "BRK.B"), sessions=2, start=date(2025, 3, 3)))
    world = open_world(tmp_path, to="2025-03-03T21:00:00Z")
    for target, name in (
        (f"/api/option-trades/flow-alerts?ticker_symbol={ticker}", "ticker"),
        (f"/api/darkpool/{ticker}", "ticker"),
        (f"/api/stock/{ticker}/oi-change", "underlying_symbol"),
    ):
        assert {row[name] for row in world.get(target)["data"]} == {"BRKB"}
    for target in (f"/api/stock/{ticker}/greek-exposure", f"/api/stock/{ticker}/iv-rank"):
        assert world.get(target)["data"]
