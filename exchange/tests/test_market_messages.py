"""The market-data streams send what the historical API shows: completely, once, in order, and never early."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import SYMBOLS, World, open_world
from papervenue.streams.market_data import DataPoint, MarketMessages
from papervenue.times import HOUR, MINUTE, from_datetime, parse_time, rfc3339

EARLY, LATE = parse_time("2025-03-03T09:00:00Z"), parse_time("2025-03-04T15:00:00Z")
OPEN = parse_time("2025-03-03T14:30:00Z")
EVERYTHING = dict.fromkeys(("trades", "quotes", "bars", "dailyBars", "updatedBars", "lulds"), ("*",))


def wanted(channels: Mapping[str, Iterable[str]]) -> Callable[[str], Iterable[str]]:
    return lambda channel: channels.get(channel, ())


@pytest.fixture(scope="module")
def world(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder(), to=rfc3339(LATE))


@pytest.fixture(scope="module")
def messages(world: World) -> MarketMessages:
    return MarketMessages(world.engine)


def points_between(
    messages: MarketMessages, from_us: int, to_us: int, channels: Mapping[str, Iterable[str]], feed: str = "sip"
) -> list[DataPoint]:
    return [point for due in messages.between(feed, from_us, to_us, wanted(channels)) for point in due.points]


@given(cuts=st.lists(st.integers(OPEN - HOUR, OPEN + HOUR), min_size=2, max_size=6).map(sorted))
@settings(max_examples=8)
def test_messages_of_consecutive_spans_equal_those_of_the_whole_span(messages: MarketMessages, cuts: list[int]) -> None:
    whole = points_between(messages, cuts[0], cuts[-1], EVERYTHING)
    pieces = [points_between(messages, *cut, EVERYTHING) for cut in pairwise(cuts)]
    assert [point for piece in pieces for point in piece] == whole


@given(from_us=st.integers(OPEN - HOUR, LATE), length_us=st.integers(0, 30 * MINUTE))
@settings(max_examples=15)
def test_data_points_are_due_in_order_at_the_end_of_their_minute(
    messages: MarketMessages, from_us: int, length_us: int
) -> None:
    before = from_us
    for due in messages.between("sip", from_us, from_us + length_us, wanted(EVERYTHING)):
        assert before < due.at_us <= from_us + length_us
        before = due.at_us
        kinds = [point["T"] for point in due.points]
        ticks = [point for point in due.points if point["T"] in "tq"]
        assert kinds == [*(point["T"] for point in ticks), *sorted(kinds[len(ticks) :])]
        times = [from_datetime(point["t"]) for point in ticks]
        assert times == sorted(times)
        assert all(due.at_us - MINUTE <= at_us <= due.at_us for at_us in times)


@pytest.mark.parametrize(
    ("channel", "kind", "subscription"), [("trades", "t", ""), ("quotes", "q", ""), ("bars", "b", "1Min")]
)
def test_stream_sends_what_the_historical_api_shows(
    world: World, messages: MarketMessages, channel: str, kind: str, subscription: str
) -> None:
    end_us = OPEN + 40 * MINUTE
    for symbol in SYMBOLS:
        points = points_between(messages, OPEN, end_us, {channel: (symbol,)})
        target = f"/v2/stocks/{symbol}/{channel}?timeframe={subscription}&start={rfc3339(OPEN)}&limit=10000"
        rows = world.get(f"{target}&end={rfc3339(end_us - (MINUTE if subscription else 0))}")[channel]
        assert points == [{"T": kind, "S": symbol, **row, "t": datetime.fromisoformat(row["t"])} for row in rows]
        assert points


def test_daily_bars_grow_with_every_minute_of_the_session(world: World, messages: MarketMessages) -> None:
    points = points_between(messages, OPEN - HOUR, LATE, {"dailyBars": ("AAPL",)})
    first_day = [point for point in points if point["t"] == datetime(2025, 3, 3, 5, tzinfo=UTC)]
    assert len(first_day) == 390
    volumes = [point["v"] for point in first_day]
    assert volumes == sorted(volumes)
    (row,) = world.get("/v2/stocks/AAPL/bars?timeframe=1Day&start=2025-03-03&end=2025-03-03")["bars"]
    shown = {name: first_day[-1][name] for name in "ohlc"}
    assert shown == {name: row[name] for name in "ohlc"}


def test_unlisted_symbol_or_feed_without_trading_has_no_messages(messages: MarketMessages) -> None:
    assert points_between(messages, EARLY, OPEN + HOUR, {"bars": ("NONE", "aapl")}) == []
    assert points_between(messages, EARLY, OPEN + HOUR, EVERYTHING, feed="boats") == []
    assert points_between(messages, EARLY, OPEN + HOUR, {}) == []


def test_iex_feed_has_only_trades_of_iex(messages: MarketMessages) -> None:
    points = points_between(messages, OPEN, OPEN + 5 * MINUTE, {"trades": ("AAPL",)}, feed="iex")
    assert {point["x"] for point in points} == {"V"}


def test_test_feed_sends_its_one_symbol_day_and_night(messages: MarketMessages) -> None:
    night = parse_time("2025-03-02T03:00:00Z")
    points = points_between(messages, night, night + 10 * MINUTE, EVERYTHING, feed="test")
    assert ({point["S"] for point in points}, sum(point["T"] == "b" for point in points)) == ({"FAKEPACA"}, 10)
    assert points_between(messages, night, night + 10 * MINUTE, {"bars": ("AAPL",)}, feed="test") == []


def test_statuses_are_sent_when_a_halt_starts_and_ends(new_folder: Callable[[], Path]) -> None:
    world = open_world(new_folder())
    messages, every, known = MarketMessages(world.engine), wanted({"statuses": ("*",)}), set[str]()
    assert messages.statuses(every, known) == []
    world.engine.halted = {"AAPL", "SPY"}
    told_first: list[dict[str, Any]] = messages.statuses(every, known)
    assert [(point["S"], point["sc"], point["z"]) for point in told_first] == [("AAPL", "H", "C"), ("SPY", "2", "B")]
    assert messages.statuses(every, known) == []
    world.engine.halted = {"SPY"}
    (resumed,) = messages.statuses(every, known)
    assert (resumed["T"], resumed["S"], resumed["sc"], resumed["sm"]) == ("s", "AAPL", "T", "Trading Resumption")
    assert known == {"SPY"}
