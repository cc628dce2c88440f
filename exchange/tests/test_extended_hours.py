"""Bars before the open and after the close: thin, in order of time, and without a say in sessions, days and flow."""

import hashlib
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import SYMBOLS, open_world
from papervenue.creation import market_remarks
from papervenue.exchange import open_exchange
from papervenue.flow.alerts import Flow, Prints
from papervenue.market.bars import Bar, Market
from papervenue.market.generator import GeneratedBars
from papervenue.market.sessions import Calendar, build_calendar
from papervenue.market.spec import MarketSpec, default_symbols
from papervenue.process import create
from papervenue.times import HOUR, at_new_york, parse_time

REGULAR_BARS = "9d375a202e63014b"
"""The digest of the standard market's session bars from before it had any bars outside of its sessions."""
FIRST, LAST = parse_time("2025-03-03T08:00:00Z"), parse_time("2025-03-05T03:00:00Z")


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return build_calendar(date(2025, 3, 3), 2)


@pytest.fixture(scope="module")
def market(calendar: Calendar) -> Market:
    return Market(GeneratedBars(7, calendar), calendar, SYMBOLS)


def every_bar(market: Market, symbol: str) -> list[Bar]:
    """Return all bars of a symbol, found without the market's own search."""
    days = [day(symbol, index) for index in (0, 1) for day in (market.day, market.extended)]
    return sorted(bar for day in days for bar in day.bars)


def test_session_bars_are_to_the_byte_what_they_were_without_extended_hours(market: Market) -> None:
    rows = [tuple(bar) for symbol in SYMBOLS for index in (0, 1) for bar in market.day(symbol, index).bars]
    assert hashlib.sha256(repr(rows).encode()).hexdigest()[:16] == REGULAR_BARS


def test_bars_around_a_session_are_few_and_outside_of_it(market: Market, calendar: Calendar) -> None:
    for symbol in SYMBOLS:
        for index, session in enumerate(calendar.market):
            bars = market.extended(symbol, index).bars
            assert 0 < len(bars) <= 24
            assert [bar.start_us for bar in bars] == sorted({bar.start_us for bar in bars})
            for bar in bars:
                assert session.pre_us <= bar.start_us < session.post_us
                assert not session.open_us <= bar.start_us < session.close_us
                assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
                assert calendar.is_extended(bar.start_us)


def test_a_night_begins_at_the_close_and_each_bar_where_the_one_before_it_ended(market: Market) -> None:
    evening = [bar for bar in market.extended("AAPL", 0).bars if bar.start_us > market.calendar.market[0].open_us]
    morning = [bar for bar in market.extended("AAPL", 1).bars if bar.start_us < market.calendar.market[1].open_us]
    assert evening[0].open == market.close_of("AAPL", 0)
    assert all(one.close == other.open for one, other in pairwise([*evening, *morning]))


def test_what_a_night_has_shown_says_nothing_of_where_it_goes(calendar: Calendar) -> None:
    """A bridge that is less spread than the gap would let a strategy buy what has risen since the close."""
    symbols = [symbol for symbol in default_symbols(700) if symbol.startswith("Z")]
    market = Market(GeneratedBars(11, calendar), calendar, symbols)
    seen, left = [], []
    for symbol in symbols:
        close, opening = market.close_of(symbol, -1), market.day(symbol, 0).bars[0].open
        shown = [bar for bar in market.extended(symbol, 0).bars if bar.start_us < calendar.market[0].open_us - 2 * HOUR]
        assert close is not None
        if shown:
            seen.append(shown[-1].close / close - 1)
            left.append(opening / close - 1 - seen[-1])
    assert len(seen) > 400
    products = sum(a * b for a, b in zip(seen, left, strict=True))
    scale = (sum(a * a for a in seen) * sum(b * b for b in left)) ** 0.5
    assert abs(products / scale) < 0.12


@given(symbol=st.sampled_from(SYMBOLS), now_us=st.integers(FIRST, LAST))
@settings(max_examples=60)
def test_the_last_bar_is_the_newest_complete_one_of_all(market: Market, symbol: str, now_us: int) -> None:
    complete = [bar for bar in every_bar(market, symbol) if bar.end_us <= now_us]
    assert market.last_bar(symbol, now_us) == (complete[-1] if complete else None)
    assert market.price(symbol, now_us) == (complete[-1].close if complete else market.close_of(symbol, -1))


@given(symbol=st.sampled_from(SYMBOLS), now_us=st.integers(FIRST, LAST))
@settings(max_examples=40)
def test_the_session_price_knows_sessions_alone(market: Market, symbol: str, now_us: int) -> None:
    bars = [bar for index in (0, 1) for bar in market.day(symbol, index).bars if bar.end_us <= now_us]
    assert market.session_price(symbol, now_us) == (bars[-1].close if bars else market.close_of(symbol, -1))


def test_flow_is_the_same_whatever_happens_outside_of_sessions(calendar: Calendar) -> None:
    class Silent(GeneratedBars):
        def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
            return ()

    rows = []
    for source in (GeneratedBars(7, calendar), Silent(7, calendar)):
        flow = Flow(Market(source, calendar, SYMBOLS), 7, 0.3)
        alerts, prints = [flow.session_alerts(index) for index in (0, 1)], Prints(flow)
        rows.append((alerts, [prints.session(symbol, 1) for symbol in SYMBOLS]))
    assert rows[0] == rows[1]


def test_after_an_early_close_trading_goes_on_for_four_hours() -> None:
    calendar = build_calendar(date(2024, 11, 29), 1)
    session = calendar.market[0]
    assert session.close_us == at_new_york("2024-11-29", 13)
    assert (session.pre_us, session.post_us) == (at_new_york("2024-11-29", 4), at_new_york("2024-11-29", 17))
    moments = [session.pre_us - 1, session.pre_us, session.open_us, session.close_us, session.post_us]
    assert [calendar.is_extended(us) for us in moments] == [False, True, False, True, False]


def test_a_snapshot_before_the_open_shows_the_morning_and_the_day_before(new_folder: Callable[[], Path]) -> None:
    world = open_world(new_folder(), to="2025-03-04T14:25:00Z")
    shown = world.get("/v2/stocks/AAPL/snapshot")
    assert "2025-03-04T09:00:00Z" <= shown["latestTrade"]["t"] <= "2025-03-04T14:25:00Z"
    assert shown["dailyBar"]["t"] == "2025-03-03T05:00:00Z"


def test_recorded_rows_outside_the_session_are_kept_and_counted_apart(tmp_path: Path) -> None:
    rows = ("03:59", "08:00", "09:30", "15:59", "16:00", "19:59", "20:00")
    lines = [f"2025-03-03 {clock}:00,AAPL,100,101,99,100.5,1000" for clock in rows]
    (tmp_path / "bars.csv").write_text("\n".join(["ts,symbol,open,high,low,close,volume", *lines]) + "\n")
    spec = MarketSpec(
        source="csv", path=str(tmp_path / "bars.csv"), bar_stamp="start", start=date(2025, 3, 3), sessions=1
    )
    create(tmp_path / "state", spec)
    market = open_exchange(tmp_path / "state").market
    session = market.calendar.market[0]
    assert [bar.start_us for bar in market.day("AAPL", 0).bars] == [session.open_us, session.close_us - 60_000_000]
    assert [bar.start_us for bar in market.extended("AAPL", 0).bars] == [
        at_new_york("2025-03-03", 8),
        session.close_us,
        session.post_us - 60_000_000,
    ]
    said = market_remarks(tmp_path / "state").sentences
    assert "skipped 2 rows of the recorded bars: 2 outside the market's sessions" in said[0]
    assert said[1].startswith("3 rows of the recorded bars outside regular hours")


def test_a_moment_long_before_the_market_has_reached_none_of_its_sessions(calendar: Calendar) -> None:
    moments = [at_new_york("2019-03-04", 12), calendar.market[0].pre_us - 1, calendar.market[0].pre_us]
    assert [calendar.last_reached(us) for us in moments] == [-1, -1, 0]
    assert calendar.last_reached(calendar.horizon_us + 24 * HOUR) == 1
