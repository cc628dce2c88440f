"""Bars straight from the engine: what the bot's own store gets over the exchange's API, and nothing from later."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from exchange.tests.kit.app import World
from papervenue.market.spec import MarketSpec
from papervenue.times import rfc3339
from tests.lab.backtest.roads import road_to, seen
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.setup import engine_of
from tradebot.lab.backtest.venue import EngineVenue
from tradebot.model.series import Series, width_of
from tradebot.model.view import BarNeed

SYMBOLS = ("AAPL", "NFLX", "SPY", "THIN")
ASKED = ("AAPL", "NFLX", "THIN", "NOPE")
SPEC = MarketSpec(symbols=SYMBOLS, sessions=8, start=date(2026, 11, 17), seed=22, corporate_actions=True)
"""On November 25th AAPL pays and NFLX splits three for one; on the 27th, a half day, NFLX gets another name."""
NEEDS = tuple(
    BarNeed(timeframe, depth, adjusted)
    for timeframe, depth in (("1Min", 30), ("1Min", 500), ("5Min", 500), ("7Min", 90), ("1Hour", 12), ("1Day", 600))
    for adjusted in (True, False)
)
MOMENTS = tuple(
    datetime.fromisoformat(f"2026-11-{at}Z")
    for at in (
        *("17T14:05", "17T15:07:20", "17T21:10", "24T20:59", "25T14:20"),
        *("25T15:03", "25T22:30", "27T17:44", "27T19:30", "28T15:00"),
    )
)
"""Before the first session, within sessions, after hours, at night, and around what happens to the companies."""
NewWorld = Callable[[MarketSpec], World]


@cache
def opened() -> OpenedMarket:
    return open_market_in_memory(SPEC)


def told(found: Mapping[str, Series]) -> dict[str, str]:
    return {symbol: repr(series) for symbol, series in found.items()}


def test_bars_are_those_of_the_bot_s_own_store(new_world: NewWorld, tmp_path: Path) -> None:
    world, compared = new_world(SPEC), 0
    bars = EngineBars(world.engine)
    with road_to(world, tmp_path) as road:
        for place, now in enumerate(MOMENTS):
            world.tick(to=rfc3339(int(now.timestamp()) * 1_000_000))
            for need in NEEDS[place % 3 :: 3]:
                # The store wouldn't ask again about the time before a name was in use, and it gives the actions of an
                # earlier name to the later one only if it isn't asked about both at once.
                for asked in (ASKED, ("NFLXX",)) if now.day >= 27 else (ASKED,):
                    straight = bars.closed(need, asked, now)
                    assert told(straight) == told(road.bars.closed(need, asked, now)), (now, need)
                    assert all(len(of.starts) == need.depth for name, of in straight.items() if name != "THIN")
                    compared += len(straight)
    assert compared > 60


def test_thin_symbol_gets_no_more_bars_than_the_store_looks_for(new_world: NewWorld, tmp_path: Path) -> None:
    days = [f"2025-03-{day:02}" for day in range(3, 29) if date(2025, 3, day).weekday() < 5]
    lines = [f"{day} 10:0{minute},RARE,10,11,9,10,5" for day in days for minute in (1, 7)]
    (tmp_path / "bars.csv").write_text("\n".join(("ts,symbol,open,high,low,close,volume", *lines)))
    spec = MarketSpec(
        source="csv", path=str(tmp_path / "bars.csv"), bar_stamp="start", start=date(2025, 3, 3), sessions=len(days)
    )
    world = new_world(spec)
    now = datetime.fromisoformat("2025-03-28T19:00Z")
    world.tick(to=rfc3339(int(now.timestamp()) * 1_000_000))
    bars = EngineBars(world.engine)
    with road_to(world, tmp_path) as road:
        for need in (BarNeed("1Min", 30), BarNeed("5Min", 9), BarNeed("1Hour", 40), BarNeed("1Day", 12)):
            straight = bars.closed(need, ["RARE"], now)
            assert told(straight) == told(road.bars.closed(need, ["RARE"], now)), need
        assert [len(bars.closed(BarNeed("1Min", depth), ["RARE"], now)["RARE"]) for depth in (3, 30)] == [3, 4]


DAILY = """date,symbol,open,high,low,close,volume,dividends,stock_splits
2025-02-27,ETF,40,42,39,41,1000,0,0
2025-02-28,ETF,41,42.5,40.5,42,1100,0.5,0
2025-03-03,ETF,42,43,41,42.5,900,0,0
2025-03-04,ETF,43,44,42,43.5,950,0.25,0
2025-03-05,ETF,21.5,22,21,21.5,1200,0,2
2025-03-06,ETF,21.5,23,21,22.5,1300,0,0
2025-03-03,OTHER,10,10.5,9.5,10.25,500,0,0
2025-03-05,OTHER,10.25,11,10,10.75,700,0,0
"""


@pytest.mark.filterwarnings("ignore:The 'float_precision'")
@pytest.mark.parametrize("prices", ["raw", "adjusted"])
def test_daily_bars_of_engine_and_api_are_one(
    prices: Literal["raw", "adjusted"], new_world: NewWorld, tmp_path: Path
) -> None:
    file = tmp_path / "days.csv"
    file.write_text(DAILY)
    spec = MarketSpec(source="daily", path=str(file), start=date(2025, 3, 3), sessions=4, prices=prices)
    market, world = open_market_in_memory(spec), new_world(spec)
    engine = engine_of(market, spec)
    bars, venue = EngineBars(engine, market.days), EngineVenue(engine, engine.main)
    moments = (
        "03T13:40",
        "03T14:35",
        "03T20:59",
        "03T21:30",
        "04T14:35",
        "05T02:00",
        "05T14:36",
        "05T22:10",
        "06T20:59",
    )
    with road_to(world, tmp_path) as road:
        for now in (datetime.fromisoformat(f"2025-03-{at}Z") for at in moments):
            engine.advance(int(now.timestamp()) * 1_000_000)
            world.tick(to=rfc3339(engine.now_us))
            for need in NEEDS[-2:]:
                straight = bars.closed(need, ["ETF", "OTHER"], now)
                assert told(straight) == told(road.bars.closed(need, ["ETF", "OTHER"], now)), (now, need)
            symbols = ("ETF", "OTHER")
            assert seen(venue, venue, symbols) == seen(road.reader, road.reader, symbols), now
    assert (len(straight["ETF"]), len(straight["OTHER"])) == (5, 2)


def test_bar_is_shown_only_when_complete_and_never_changes_later() -> None:
    engine = engine_of(opened(), SPEC)
    early, late = EngineBars(engine), EngineBars(engine)
    for need in NEEDS:
        late.closed(need, SYMBOLS, MOMENTS[-1])
    for place, now in enumerate(MOMENTS):
        for need in NEEDS[place % 2 :: 2]:
            found = early.closed(need, SYMBOLS, now)
            width = width_of(need.timeframe)
            if width is not None:
                assert all(series.start_of(-1) < now for series in found.values())
                assert told(found) == told(late.closed(need, SYMBOLS, now))
            else:
                closed = [series.start_of(-1).date() for series in found.values()]
                assert all(day < now.date() or now.hour >= 18 for day in closed)


def test_returned_bars_are_a_copy() -> None:
    bars, need = EngineBars(engine_of(opened(), SPEC)), BarNeed("1Day", 3)
    first = bars.closed(need, ["SPY"], MOMENTS[1])["SPY"]
    kept = first.close[0]
    first.close[0] = 1.0
    assert bars.closed(BarNeed("1Day", 4), ["SPY"], MOMENTS[1])["SPY"].close[1] == kept


def test_earlier_moment_gets_its_own_bars_after_more_of_the_past_was_read() -> None:
    need, session = BarNeed("5Min", 500), opened().calendar.market[2]
    close, minute = (datetime.fromtimestamp(at_us / 1_000_000, UTC) for at_us in (session.close_us, session.open_us))
    backward, alone = (EngineBars(engine_of(opened(), SPEC)) for _ in "ab")
    for symbol in ("AAPL", "SPY"):
        backward.closed(need, [symbol], close)
        assert told(backward.closed(need, [symbol], minute)) == told(alone.closed(need, [symbol], minute))
