"""Bars straight from the engine: what the bot's own store gets over the exchange's API, and nothing from later."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path

from tests.app.backtest.roads import road_to
from tests.exchange.worlds import World
from tradebot.app.backtest.assembly import engine_of
from tradebot.app.backtest.bars import EngineBars
from tradebot.app.backtest.market import open_market_in_memory
from tradebot.exchange.market.spec import MarketSpec
from tradebot.exchange.times import rfc3339
from tradebot.model.needs import BarNeed
from tradebot.model.series import Series, width_of

SYMBOLS = ("AAPL", "NFLX", "SPY", "THIN")
SPEC = MarketSpec(symbols=SYMBOLS, sessions=8, start=date(2026, 11, 17), seed=22, corporate_actions=True)
"""On November 25th AAPL pays and NFLX splits three for one; on the 27th, a half day, NFLX gets another name."""
NEEDS = tuple(
    BarNeed(timeframe, depth, adjusted)
    for timeframe, depth in (("1Min", 30), ("1Min", 900), ("5Min", 50), ("7Min", 90), ("1Hour", 12), ("1Day", 6))
    for adjusted in (True, False)
)
MOMENTS = tuple(
    datetime.fromisoformat(f"2026-11-{at}Z")
    for at in (
        *("17T14:05", "17T15:07:20", "17T21:10", "18T02:00", "24T20:59", "25T14:20"),
        *("25T15:03", "25T22:30", "27T17:44", "27T18:00", "27T19:30", "28T15:00"),
    )
)
"""Before the first session, within sessions, after hours, at night, and around what happens to the companies."""
NewWorld = Callable[[MarketSpec], World]


def told(found: Mapping[str, Series]) -> dict[str, str]:
    return {symbol: repr(series) for symbol, series in found.items()}


def test_bars_are_those_of_the_bot_s_own_store(new_world: NewWorld, tmp_path: Path) -> None:
    world, compared = new_world(SPEC), 0
    bars = EngineBars(world.engine)
    with road_to(world, tmp_path) as road:
        for place, now in enumerate(MOMENTS):
            world.tick(to=rfc3339(int(now.timestamp()) * 1_000_000))
            for need in NEEDS[place % 3 :: 3] if now.day < 25 else NEEDS[place % 2 :: 2]:
                # The store wouldn't ask again about the time before a name was in use, and it gives the actions of an
                # earlier name to the later one only if it isn't asked about both at once.
                for asked in ((*SYMBOLS, "NOPE"), ("NFLXX",)) if now.day >= 27 else ((*SYMBOLS, "NOPE"),):
                    straight = bars.closed(need, asked, now)
                    assert told(straight) == told(road.bars.closed(need, asked, now)), (now, need)
                    compared += len(straight)
    assert compared > 150


def test_of_a_symbol_that_hardly_trades_no_more_is_returned_than_the_store_looks_for(
    new_world: NewWorld, tmp_path: Path
) -> None:
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


def test_bars_are_adjusted_for_what_has_happened_and_nothing_else() -> None:
    engine = engine_of(open_market_in_memory(SPEC), SPEC)
    bars, (before, after) = EngineBars(engine), (MOMENTS[4], MOMENTS[6])
    adjusted, raw = BarNeed("1Day", 3), BarNeed("1Day", 3, adjusted=False)
    assert bars.closed(adjusted, ["NFLX"], before)["NFLX"].close == bars.closed(raw, ["NFLX"], before)["NFLX"].close
    once, then = (bars.closed(need, ["NFLX"], after)["NFLX"] for need in (raw, adjusted))
    assert [round(one / other, 1) for one, other in zip(once.close, then.close, strict=True)] == [3.0, 3.0, 3.0]


def test_no_bar_is_seen_before_it_is_complete_and_later_ones_change_nothing() -> None:
    engine = engine_of(open_market_in_memory(SPEC), SPEC)
    early, late = EngineBars(engine), EngineBars(engine)
    for need in NEEDS:
        late.closed(need, SYMBOLS, MOMENTS[-1])
    for now in MOMENTS:
        for need in NEEDS:
            found = early.closed(need, SYMBOLS, now)
            width = width_of(need.timeframe)
            if width is not None:
                assert all(series.start_of(-1) < now for series in found.values())
                assert told(found) == told(late.closed(need, SYMBOLS, now))
            else:
                closed = [series.start_of(-1).date() for series in found.values()]
                assert all(day < now.date() or now.hour >= 18 for day in closed)


def test_what_is_handed_out_is_a_copy() -> None:
    engine = engine_of(open_market_in_memory(SPEC), SPEC)
    bars, need = EngineBars(engine), BarNeed("1Day", 3)
    first = bars.closed(need, ["SPY"], MOMENTS[1])["SPY"]
    kept = first.close[0]
    first.close[0] = 1.0
    assert bars.closed(BarNeed("1Day", 4), ["SPY"], MOMENTS[1])["SPY"].close[1] == kept
