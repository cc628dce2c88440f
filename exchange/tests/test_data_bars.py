"""Bars, trades, quotes and auctions by HTTP: pages, timeframes, adjustments and feeds follow from the minutes."""

from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import SYMBOLS, World, open_world
from papervenue.market.spec import MarketSpec
from papervenue.process import create
from papervenue.times import DAY, HOUR, MINUTE, at_new_york, parse_time, rfc3339

FIRST, NOON = parse_time("2025-03-03T09:00:00Z"), parse_time("2025-03-04T17:00:00Z")
KINDS = ("bars?timeframe=1Min", "bars?timeframe=7Min", "bars?timeframe=1Hour", "trades?", "quotes?", "auctions?")
FEW = {"trades?": MINUTE * 30, "quotes?": MINUTE * 40}
"""Trades and quotes are many: their intervals are kept to this length."""


@pytest.fixture(scope="module")
def world(new_folder: Callable[[], Path]) -> World:
    """Return a market at noon of its second session."""
    return open_world(new_folder(), to=rfc3339(NOON))


def pages(world: World, target: str, key: str) -> list[tuple[str, Any]]:
    """Return the rows of all pages, each with its symbol."""
    rows, token = [], ""
    for _ in range(500):
        page = world.get(f"{target}&page_token={token}")
        rows += [(symbol, row) for symbol, listed in page[key].items() for row in listed]
        token = page["next_page_token"]
        if token is None:
            return rows
    raise AssertionError("the pages do not end")


@given(
    kind=st.sampled_from(KINDS),
    start_us=st.integers(FIRST, NOON),
    length_us=st.integers(0, 6 * HOUR),
    limit=st.integers(1, 400),
    sort=st.sampled_from(["asc", "desc"]),
)
@settings(max_examples=40)
def test_pages_of_any_limit_are_the_one_big_page(
    world: World, kind: str, start_us: int, length_us: int, limit: int, sort: str
) -> None:
    length_us = min(length_us, FEW.get(kind, length_us))
    key = kind.split("?", maxsplit=1)[0]
    query = urlencode({"start": rfc3339(start_us), "end": rfc3339(start_us + length_us), "sort": sort})
    target = f"/v2/stocks/{kind}&symbols={','.join(SYMBOLS)}&{query}"
    whole = world.get(f"{target}&limit=10000")
    assert whole["next_page_token"] is None
    rows = [(symbol, row) for symbol, listed in whole[key].items() for row in listed]
    assert pages(world, f"{target}&limit={max(limit, len(rows) // 20)}", key) == rows
    times = [(symbol, row.get("t", row.get("d"))) for symbol, row in rows]
    assert len(set(times)) == len(times)
    # As moments, not as texts: a whole second stands before its fractions.
    moments = [(symbol, parse_time(at)) for symbol, at in times]
    turned = sorted(moments) if sort == "asc" else sorted(sorted(moments, reverse=True), key=lambda pair: pair[0])
    assert moments == turned
    assert all(start_us <= parse_time(at) <= start_us + length_us for _, at in times if len(at) > len("2025-03-03"))


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_counts_the_rows_of_all_symbols(world: World, limit: int) -> None:
    target = f"/v2/stocks/bars?symbols={','.join(SYMBOLS)}&timeframe=1Day&start=2025-03-01"
    assert sum(map(len, world.get(f"{target}&limit={limit}")["bars"].values())) == limit
    assert len(pages(world, f"{target}&limit={limit}", "bars")) == 2 * len(SYMBOLS)


def rows_of(world: World, symbol: str, timeframe: str, **query: str) -> list[dict[str, Any]]:
    params = {"timeframe": timeframe, "start": "2025-03-03", "limit": "10000", **query}
    rows: list[dict[str, Any]] = world.get(f"/v2/stocks/{symbol}/bars?{urlencode(params)}")["bars"]
    return rows


@given(
    timeframe=st.integers(1, 59).map("{}Min".format) | st.integers(1, 23).map("{}Hour".format),
    symbol=st.sampled_from(SYMBOLS),
    sort=st.sampled_from(["asc", "desc"]),
)
@settings(max_examples=25)
def test_a_bar_is_its_minutes_put_together_on_the_clock(world: World, timeframe: str, symbol: str, sort: str) -> None:
    number = int(timeframe.removesuffix("Min").removesuffix("Hour"))
    width_us = number * (HOUR if timeframe.endswith("Hour") else MINUTE)
    grouped: dict[int, list[dict[str, Any]]] = {}
    for minute in rows_of(world, symbol, "1T", start="2025-03-01"):
        at_us = parse_time(minute["t"])
        grouped.setdefault(at_us - at_us % DAY % width_us, []).append(minute)
    bars = rows_of(world, symbol, timeframe, start="2025-03-01", sort=sort)
    assert [bar["t"] for bar in bars] == [rfc3339(start) for start in sorted(grouped, reverse=sort == "desc")]
    for bar in bars:
        assert_is_sum(bar, grouped[parse_time(bar["t"])])


def assert_is_sum(bar: dict[str, Any], minutes: list[dict[str, Any]]) -> None:
    assert (bar["o"], bar["c"]) == (minutes[0]["o"], minutes[-1]["c"])
    assert (bar["h"], bar["l"]) == (max(m["h"] for m in minutes), min(m["l"] for m in minutes))
    assert (bar["v"], bar["n"]) == (sum(m["v"] for m in minutes), sum(m["n"] for m in minutes))
    assert bar["vw"] == pytest.approx(sum(m["vw"] * m["v"] for m in minutes) / bar["v"], abs=1e-5)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_daily_bar_has_the_prices_of_the_session_and_the_volume_of_all_the_day(world: World, symbol: str) -> None:
    for day in rows_of(world, symbol, "1Day"):
        midnight = parse_time(day["t"])
        opens, closes = (at_new_york(rfc3339(midnight)[:10], *clock) for clock in ((9, 30), (16, 0)))
        minutes = [m for m in rows_of(world, symbol, "1Min") if 0 <= parse_time(m["t"]) - midnight < 24 * HOUR]
        regular = [m for m in minutes if opens <= parse_time(m["t"]) < closes]
        assert len(regular) < len(minutes)
        assert (day["o"], day["c"]) == (regular[0]["o"], regular[-1]["c"])
        assert (day["h"], day["l"]) == (max(m["h"] for m in regular), min(m["l"] for m in regular))
        assert (day["v"], day["n"]) == (sum(m["v"] for m in minutes), sum(m["n"] for m in minutes))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_trades_of_a_minute_are_its_bar(world: World, symbol: str) -> None:
    for bar in rows_of(world, symbol, "1Min", start="2025-03-03T14:30:00Z", end="2025-03-03T15:00:00Z"):
        query = urlencode({"start": bar["t"], "end": rfc3339(parse_time(bar["t"]) + MINUTE - 1)})
        trades = world.get(f"/v2/stocks/{symbol}/trades?{query}")["trades"]
        prices = [trade["p"] for trade in trades]
        assert [prices[0], max(prices), min(prices), prices[-1]] == [bar[name] for name in "ohlc"]
        assert (sum(trade["s"] for trade in trades), len(trades)) == (bar["v"], bar["n"])


def test_trades_outside_the_session_say_so(world: World) -> None:
    rows = pages(world, "/v2/stocks/trades?symbols=AAPL&start=2025-03-03&end=2025-03-03&limit=10000", "trades")
    opens, closes = parse_time("2025-03-03T14:30:00Z"), parse_time("2025-03-03T21:00:00Z")
    outside = {opens <= parse_time(row["t"]) < closes: set() for _, row in rows}  # type: ignore[var-annotated]
    for _, row in rows:
        outside[opens <= parse_time(row["t"]) < closes].add("T" in row["c"])
    assert outside == {True: {False}, False: {True}}


def test_the_latest_are_the_last_of_the_past(world: World) -> None:
    shot = world.get("/v2/stocks/AAPL/snapshot")
    for name, key in (("trade", "latestTrade"), ("quote", "latestQuote"), ("bar", "minuteBar")):
        latest = world.get(f"/v2/stocks/AAPL/{name}s/latest")[name]
        timeframe = "timeframe=1Min&" if name == "bar" else ""
        (last,) = world.get(f"/v2/stocks/AAPL/{name}s?{timeframe}sort=desc&limit=1")[f"{name}s"]
        assert latest == shot[key] == last
    assert [shot["prevDailyBar"], shot["dailyBar"]] == rows_of(world, "AAPL", "1Day")


def test_auctions_are_the_sessions_first_and_last_prices(world: World) -> None:
    first, second = world.get("/v2/stocks/AAPL/auctions?start=2025-03-03")["auctions"]
    day = rows_of(world, "AAPL", "1Day")[0]
    assert ({row["p"] for row in first["o"]}, {row["p"] for row in first["c"]}) == ({day["o"]}, {day["c"]})
    assert [row["t"] for row in (first["o"][0], first["c"][0])] == ["2025-03-03T14:30:00Z", "2025-03-03T21:00:00Z"]
    assert second["o"]
    assert second["c"] == []


@pytest.mark.parametrize("adjustment", ["split", "dividend", "spin-off", "all", "split,spin-off"])
@pytest.mark.parametrize("timeframe", ["1Min", "1Hour", "1Day", "1Week"])
def test_any_adjustment_of_an_unsplit_symbol_is_raw(world: World, adjustment: str, timeframe: str) -> None:
    raw = rows_of(world, "AAPL", timeframe, start="2025-03-01")
    assert raw
    assert rows_of(world, "AAPL", timeframe, start="2025-03-01", adjustment=adjustment) == raw


@pytest.mark.parametrize("feed", ["otc", "boats"])
def test_a_feed_of_trading_that_the_market_does_not_have_is_empty(world: World, feed: str) -> None:
    assert world.get(f"/v2/stocks/bars?symbols=AAPL&timeframe=1Day&start=2025-03-01&feed={feed}")["bars"] == {}
    assert world.get(f"/v2/stocks/snapshots?symbols=AAPL&feed={feed}") == {}
    assert world.ask("GET", f"/v2/stocks/AAPL/quotes/latest?feed={feed}").status == 404


def test_the_delayed_feed_is_a_quarter_of_an_hour_old(world: World) -> None:
    assert world.get("/v2/stocks/AAPL/bars/latest?feed=delayed_sip")["bar"]["t"] == "2025-03-04T16:44:00Z"
    assert world.get("/v2/stocks/AAPL/bars/latest")["bar"]["t"] == "2025-03-04T16:59:00Z"


def test_a_date_is_a_whole_day_in_new_york(world: World) -> None:
    named = rows_of(world, "AAPL", "1Min", start="2025-03-03", end="2025-03-03")
    spelled = rows_of(world, "AAPL", "1Min", start="2025-03-03T05:00:00Z", end="2025-03-04T04:59:59.123456789Z")
    assert named == spelled
    assert len(named) > 390


def test_the_default_interval_is_today_so_far(world: World) -> None:
    rows = world.get("/v2/stocks/AAPL/bars?timeframe=1Min")["bars"]
    assert rows == rows_of(world, "AAPL", "1Min", start="2025-03-04", end=rfc3339(NOON))


def test_a_day_at_the_end_of_time_is_only_far_away(world: World) -> None:
    assert rows_of(world, "AAPL", "1Day", end="9999-12-31") == rows_of(world, "AAPL", "1Day")


def test_bars_of_many_sessions_show_each_once(tmp_path: Path) -> None:
    create(tmp_path, MarketSpec(symbols=("AAPL",), sessions=6, start=date(2025, 3, 6)))
    world = open_world(tmp_path, to="2025-03-13T20:00:00Z")
    for timeframe in ("23Hour", "7Hour", "12Hour"):
        shown = rows_of(world, "AAPL", timeframe, start="2025-03-01")
        assert all(one["t"] < other["t"] for one, other in pairwise(shown))
        days = rows_of(world, "AAPL", "1Day", start="2025-03-01")
        assert sum(bar["v"] for bar in shown) == sum(day["v"] for day in days)
