"""What is shown of a backtest at another venue are the minutes that it played, and none that had not ended."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papervenue.market.coins import kraken_venue
from papervenue.market.spec import MarketSpec
from tests.kit.backtest.playing import generated
from tradebot.app.settings import load
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.results import PlayedBars, benchmark_of, daily_prices, last_prices
from tradebot.model.view import BarNeed

COIN, FIRST = "PF_PEPEUSD", date(2026, 11, 16)
BEGINS = datetime(2026, 11, 16, tzinfo=UTC)


@cache
def market() -> OpenedMarket:
    venue = kraken_venue(7, (COIN,))
    return open_market_in_memory(MarketSpec(start=FIRST, symbols=(COIN,), sessions=2, seed=7, venue=venue))


@given(st.sampled_from(["1Min", "5Min", "4Hour", "1Day"]), st.integers(1, 400), st.integers(1, 3000))
@settings(max_examples=6, deadline=None)
def test_bars_are_the_newest_that_had_ended_made_of_their_minutes(timeframe: str, depth: int, minutes: int) -> None:
    bars, until = PlayedBars(market()), BEGINS + timedelta(minutes=minutes)
    width = {"1Min": 1, "5Min": 5, "4Hour": 240, "1Day": 1440}[timeframe]
    ended = min(minutes, 2 * 1440) // width
    found = bars.closed(BarNeed(timeframe, depth), [COIN, "AAPL"], until)
    assert set(found) == ({COIN} if ended else set())
    for one in found.values():
        assert len(one) == min(depth, ended)
        assert one.starts[-1] == BEGINS.timestamp() + 60 * width * (ended - 1)
        newest = bars.closed(BarNeed("1Min", width), [COIN], BEGINS + timedelta(minutes=width * ended))[COIN]
        assert (one.open[-1], one.high[-1]) == (newest.open[0], max(newest.high))
        assert (one.low[-1], one.close[-1]) == (min(newest.low), newest.close[-1])


def test_daily_prices_are_those_of_the_minutes_of_sessions_that_had_ended() -> None:
    second = FIRST + timedelta(days=1)
    bars = PlayedBars(market()).closed(BarNeed("1Day", 2), [COIN], BEGINS + timedelta(days=2))[COIN]
    found = daily_prices(market(), BEGINS + timedelta(days=2), [COIN, "AAPL"])[COIN]
    assert found.closes == {FIRST: bars.close[0], second: bars.close[1]}
    assert found.opens[FIRST] == pytest.approx(bars.open[0], rel=0.01)
    assert found.opens[second] == bars.close[0]
    early = BEGINS + timedelta(days=2, minutes=-1)
    assert daily_prices(market(), early, [COIN])[COIN].closes == {FIRST: bars.close[0]}
    assert last_prices(market(), early) == {COIN: Decimal(str(bars.close[0]))}
    assert last_prices(market(), BEGINS) == {}


def test_run_at_a_venue_without_a_fund_is_compared_with_holding_its_universe() -> None:
    until = BEGINS + timedelta(days=2)
    settings = load(None, {}, {"universe": [COIN], "costs": {
        "taker_bps": 5, "maker_bps": 2, "slippage_bps": 5, "funding_day_bps": 10, "hold_s": 86_400,
    }}).settings  # fmt: skip
    made = SimpleNamespace(now=lambda: until, world=SimpleNamespace(rules=SimpleNamespace(universe=[COIN])))
    run: Any = SimpleNamespace(plan=SimpleNamespace(settings=settings, spec=market().spec), market=market(), made=made)
    kept, prices = benchmark_of(run), daily_prices(market(), until, [COIN])[COIN]
    grown = [0.999 * close / prices.opens[FIRST] for close in prices.closes.values()]
    assert [each.close for each in kept.prices] == pytest.approx(grown)
    assert [each.open for each in kept.prices] == pytest.approx([1.0, grown[0]])
    assert (kept.name, kept.problem) == ("1 coin", "")
    assert "for 0.10% of fees and slippage" in kept.how
    made.now = lambda: BEGINS
    assert "no session was played to its end" in benchmark_of(run).problem


def test_prices_of_contracts_are_those_that_were_played_up_to_their_ends() -> None:
    opened = open_market_in_memory(generated(date(2026, 12, 17), 2, "MES", "GC"))
    market, until = opened.market(), datetime(2026, 12, 18, 22, tzinfo=UTC)
    last = last_prices(opened, until)
    assert last["GCG7"] == market.grids["GCG7"].usd(market.day("GCG7", 1).bars[-1].close)
    # December's index ends in its last morning, and September's ended long ago.
    ended = market.day("MESZ6", 1).bars[-1]
    assert (ended.end_us, last["MESZ6"]) == (market.grids["MESZ6"].last_us, market.grids["MESZ6"].usd(ended.close))
    assert "MESU6" not in last
    bars = PlayedBars(opened).closed(BarNeed("1Day", 2), ["MESH7", "GCG7"], until)
    found = daily_prices(opened, until, ["MESH7", "GCG7"])
    assert {symbol: [*one.closes.values()] for symbol, one in found.items()} == {
        symbol: [*one.close] for symbol, one in bars.items()
    }
