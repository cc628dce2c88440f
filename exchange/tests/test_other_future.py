"""A market with another future is the same up to a moment, in every reply, and isn't after it."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.tests.kit.app import SYMBOLS
from exchange.tests.kit.kraken import XBT, spec
from papervenue.market.alternate_future import AlternateBars, OtherFuture
from papervenue.market.coins import kraken_venue
from papervenue.market.generator import GeneratedBars
from papervenue.market.sessions import build_calendar
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.market.venue import Grid
from papervenue.times import DAY, MINUTE

AROUND = build_calendar(date(2026, 11, 24), 3, "24/7")
GRIDS = [Grid(one) for one in kraken_venue(5, (XBT,)).instruments]
OWN, OTHER = (GeneratedBars(seed, AROUND, GRIDS) for seed in (5, 6))
OPEN_US = AROUND.market[0].open_us


@given(st.integers(0, 3 * DAY))
def test_minutes_that_had_ended_stay_and_later_ones_are_others(after_us: int) -> None:
    at_us = OPEN_US + after_us
    turned = OtherFuture(OWN, OTHER, at_us)
    for index in range(3):
        bars, own, other = (source.bars(XBT, index) for source in (turned, OWN, OTHER))
        assert [bar for bar in bars if bar.end_us <= at_us] == [bar for bar in own if bar.end_us <= at_us]
        assert [bar for bar in bars if bar.end_us > at_us] == [bar for bar in other if bar.end_us > at_us]
    assert OWN.bars(XBT, 2)[-1] != OTHER.bars(XBT, 2)[-1]


def test_the_past_before_the_market_stays() -> None:
    turned = OtherFuture(OWN, OTHER, OPEN_US)
    assert turned.bars(XBT, -1) == OWN.bars(XBT, -1)
    assert turned.history_day(XBT, 300) == OWN.history_day(XBT, 300)
    assert turned.past_candles(XBT, -9, 60 * MINUTE, wicks=True) == OWN.past_candles(XBT, -9, 60 * MINUTE, wicks=True)


def test_bars_of_a_file_have_another_future_whose_prices_are_all_higher_and_on_ticks() -> None:
    (grid,) = GRIDS
    turned = OtherFuture(OWN, AlternateBars(OWN, {XBT: grid}), OPEN_US + DAY)
    assert turned.bars(XBT, 0) == OWN.bars(XBT, 0)
    for own, other in zip(OWN.bars(XBT, 1), turned.bars(XBT, 1), strict=True):
        assert (other.start_us, other.volume) == (own.start_us, 2 * own.volume)
        for before, after in zip(own[1:5], other[1:5], strict=True):
            assert before < after < 1.02 * before
            assert after % grid.tick(after) == 0


def test_another_future_is_part_of_a_specification_only_if_it_is_asked_for() -> None:
    usual = spec()
    turned = replace(usual, other_us=OPEN_US)
    assert "other_us" not in usual.to_fields()
    assert MarketSpec.from_json(turned.to_json()) == turned
    with pytest.raises(MarketError, match="another future"):
        MarketSpec(start=usual.start, symbols=tuple(SYMBOLS), corporate_actions=True, other_us=OPEN_US)
