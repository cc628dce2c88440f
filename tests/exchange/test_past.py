"""Minutes of the past are those of the obvious model, and candles of any span are made of them, whoever asks when."""

from datetime import date

import pytest

from tests.exchange.past_model import past_session_bars
from tests.kit.exchange.kraken import PEPE, XBT
from tradebot.exchange.market.bars import Bar, without_wicks
from tradebot.exchange.market.coins import kraken_venue
from tradebot.exchange.market.generator import PAST_DAYS, GeneratedBars
from tradebot.exchange.market.instruments import Grid
from tradebot.exchange.market.makers import Maker, of_instrument, of_share
from tradebot.exchange.market.sessions import build_calendar
from tradebot.exchange.market.trends import shocks_of
from tradebot.exchange.times import HOUR, MINUTE

SEED = 5
AROUND, NEW_YORK = (build_calendar(date(2026, 11, 24), 4, name) for name in ("24/7", "XNYS"))
GRIDS = [Grid(one) for one in kraken_venue(SEED, (XBT, PEPE)).instruments]
SHOCK = max(day for day in shocks_of(SEED, AROUND.all) if day < "2026-11-01")
THIN = next(symbol for symbol in ("JPM", "XOM", "KO", "T", "PFE") if of_share(symbol).character.missing_rate)


def coins() -> GeneratedBars:
    return GeneratedBars(SEED, AROUND, GRIDS)


def merged(bars: tuple[Bar, ...], span_us: int) -> list[Bar]:
    places = sorted({bar.start_us // span_us for bar in bars})
    groups = [[bar for bar in bars if bar.start_us // span_us == place] for place in places]
    return [
        Bar(
            place * span_us,
            group[0].open,
            max(bar.high for bar in group),
            min(bar.low for bar in group),
            group[-1].close,
            sum(bar.volume for bar in group),
        )
        for place, group in zip(places, groups, strict=True)
    ]


def maker_of(symbol: str) -> Maker:
    grid = next(grid for grid in GRIDS if grid.instrument.symbol == symbol)
    return of_instrument(grid.instrument, 0.0, tuple(shocks_of(SEED, AROUND.all).items()))


@pytest.mark.parametrize(("symbol", "index"), [(XBT, -2), (PEPE, -2), (XBT, AROUND.place(SHOCK) - AROUND.first)])
def test_minutes_of_the_past_are_those_of_the_obvious_model(symbol: str, index: int) -> None:
    day, session = coins().history_day(symbol, -index), AROUND.session(index)
    assert day is not None
    assert coins().bars(symbol, index) == past_session_bars(SEED, symbol, session, day, maker_of(symbol))


def test_minutes_of_shares_lack_those_of_the_obvious_model_and_add_up_with_what_is_around_them() -> None:
    shares = GeneratedBars(SEED, NEW_YORK)
    day = shares.history_day(THIN, 3)
    assert day is not None
    regular = day._replace(volume=day.volume - sum(bar.volume for bar in shares.extended(THIN, -3)))
    minutes = shares.bars(THIN, -3)
    assert minutes == past_session_bars(SEED, THIN, NEW_YORK.session(-3), regular, of_share(THIN))
    assert len(minutes) < 390


@pytest.mark.parametrize("span_us", [15 * MINUTE, 4 * HOUR])
def test_candles_of_the_past_are_made_of_its_minutes_in_any_order(span_us: int) -> None:
    asked = coins()
    later = asked.past_candles(PEPE, -9, span_us, wicks=True)
    bars = asked.bars(PEPE, -9)
    assert later == merged(bars, span_us) == coins().past_candles(PEPE, -9, span_us, wicks=True)
    closes = tuple(without_wicks(bar) for bar in bars)
    assert asked.past_candles(PEPE, -9, span_us, wicks=False) == merged(closes, span_us)


def test_candles_before_the_minutes_add_up_to_their_day() -> None:
    day = coins().history_day(XBT, PAST_DAYS)
    assert day is not None
    candles = coins().past_candles(XBT, -PAST_DAYS, 4 * HOUR, wicks=True)
    assert [candle.start_us for candle in candles] == [day.start_us + 4 * HOUR * place for place in range(6)]
    (whole,) = merged(tuple(candles), 24 * HOUR)
    assert whole == day
