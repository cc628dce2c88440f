"""Instruments: what a market's specification may name, and prices as whole numbers of units on their ticks."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.tests.kit.ring import D, instrument
from papervenue.market import bars
from papervenue.market.futures import futures_venue
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.market.venue import SHARE, Grid, MarginLevel, Rules, TickStep, Venue

PERPETUAL = instrument("PF_XBTUSD", "0.5", lot=D("0.0001"), minimum=D("0.0002"), funding=D("0.9"))
FUTURE = instrument(
    "ESZ6",
    "0.25",
    multiplier=D(50),
    last_trading="2026-12-18T14:30:00Z",
    closes=(("2026-11-27", "2026-11-27T18:15:00Z"),),
)
VENUE = Venue(dialect="plain", calendar="CMES", instruments=(PERPETUAL, FUTURE), faces=("lean",))
SPEC = MarketSpec(start=date(2026, 11, 23), symbols=("PF_XBTUSD", "ESZ6"), venue=VENUE)


def test_specification_with_instruments_is_read_as_it_was_written() -> None:
    again = MarketSpec.from_json(SPEC.to_json())
    assert again == SPEC
    assert again.venue.instruments[1].ticks == (TickStep(D(0), D("0.25")),)
    fields = json.loads(SPEC.to_json())["venue"]
    assert (fields["dialect"], fields["instruments"][0]["lot"]) == ("plain", "0.0001")


@pytest.mark.parametrize("symbol", ["PF_XBTUSD", "ESZ6", "6EZ6"])
def test_symbol_that_is_no_ticker_needs_an_instrument(symbol: str) -> None:
    with pytest.raises(MarketError, match="not a ticker"):
        MarketSpec(start=date(2026, 11, 23), symbols=(symbol,))
    named = replace(VENUE, instruments=(replace(PERPETUAL, symbol=symbol),))
    assert MarketSpec(start=date(2026, 11, 23), symbols=(symbol,), venue=named).symbols == (symbol,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbol": "pf xbt"}, "capital letters"),
        ({"lot": D(0)}, "above 0"),
        ({"ticks": ()}, "above 0"),
        ({"minimum": D("0.00015")}, "multiple of its lot"),
        ({"ticks": (TickStep(D(1), D("0.5")),)}, "ascend from price 0"),
        ({"ticks": (TickStep(D(0), D("0.5")), TickStep(D(0), D(1)))}, "ascend from price 0"),
        ({"ticks": (TickStep(D(0), D("1e-13")),)}, "at most 12"),
        ({"lot": D("1e-9"), "minimum": D(0)}, "multiple of"),
        ({"margin_levels": ()}, "margin levels"),
        ({"settlement": "paid"}, "a paid one must have none"),
        ({"margin_levels": (MarginLevel(D(5), D("0.1"), D("0.05")),)}, "ascend from quantity 0"),
        ({"margin_levels": (MarginLevel(D(0), D("0.1"), D("0.2")),)}, "maintenance no higher than initial"),
        ({"margin_levels": (MarginLevel(D(0), D("0.0001"), D("0.0001")),)}, "from 0.001 to 1"),
        ({"calendar": "XLON"}, "its calendar must be one of"),
        ({"last_trading": "December"}, "ISO times"),
        ({"closes": (("2026-11-27", "noon"),)}, "ISO times"),
    ],
)
def test_instrument_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MarketError, match=message):
        replace(SPEC, venue=replace(VENUE, instruments=(replace(PERPETUAL, **changes), FUTURE)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dialect": "kraken"}, "unknown dialect"),
        ({"calendar": "XLON"}, "calendar"),
        ({"dialect": "alpaca"}, "for shares"),
        ({"instruments": (FUTURE,)}, "one instrument per symbol"),
        ({"instruments": (PERPETUAL, FUTURE, FUTURE)}, "one instrument per symbol"),
        ({"rules": Rules(client_ids="often")}, "client_ids"),  # type: ignore[arg-type]
        ({"rules": Rules(collar=D(2))}, "fractions from 0 to 1"),
        ({"rules": Rules(contract_fee=D(-1))}, "contract_fee"),
        ({"rules": Rules(liquidation_part=D(0))}, "liquidation_part"),
        ({"rules": Rules(fees_after_us=-1)}, "fees_after_us"),
        ({"faces": ()}, "without APIs"),
    ],
)
def test_venue_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MarketError, match=message):
        replace(SPEC, venue=replace(VENUE, **changes))


def test_plain_venue_plays_neither_corporate_actions_nor_bars_of_other_instruments() -> None:
    with pytest.raises(MarketError, match="can't have corporate actions, and it has rules instead of costs"):
        replace(SPEC, corporate_actions=True)
    recorded: dict[str, Any] = {"source": "csv", "path": "bars.csv", "bar_stamp": "start"}
    with pytest.raises(MarketError, match="recorded minutes of perpetuals or of months of futures"):
        replace(SPEC, **recorded)
    venue = futures_venue(SPEC.start, SPEC.sessions, ("ES",))
    months = replace(SPEC, venue=venue, symbols=tuple(one.symbol for one in venue.instruments))
    assert replace(months, **recorded, other_us=1).source == "csv"
    with pytest.raises(MarketError, match="recorded minutes"):
        replace(months, source="daily", path="bars.csv")


@pytest.mark.parametrize(("name", "value"), [("lots", "1"), ("lot", "many")])
def test_venue_that_was_changed_in_its_file_is_refused(name: str, value: str) -> None:
    fields = json.loads(SPEC.to_json())
    fields["venue"]["instruments"][0][name] = value
    with pytest.raises(MarketError, match="mistyped"):
        MarketSpec.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("tick", "places", "price", "units"),
    [("0.5", 4, "30000.5", 300_005_000), ("0.00001", 5, "0.00001", 1), ("0.00005", 5, "1.08005", 108_005)],
)
def test_unit_of_a_price_is_as_fine_as_its_ticks(tick: str, places: int, price: str, units: int) -> None:
    grid = Grid(instrument("X", tick))
    assert (grid.places, grid.of(D(price)), grid.usd(units)) == (places, units, D(price))


@pytest.mark.parametrize("price", ["30000.25", "0", "-1", "1e-9"])
def test_price_off_the_ticks_has_no_units(price: str) -> None:
    assert Grid(PERPETUAL).of(D(price)) is None


@given(price=st.integers(1, 10**9), spread=st.integers(0, 300))
def test_grid_of_a_share_quotes_as_the_bars_of_shares_do(price: int, spread: int) -> None:
    assert SHARE.tick(price) == bars.tick(price)
    assert SHARE.bid(price, spread) == bars.bid(price, spread)
    assert SHARE.ask(price, spread) == bars.ask(price, spread)
    assert SHARE.usd(price) == bars.usd(price) == Decimal(price) / 10_000


@given(price=st.integers(1, 10**12), spread=st.integers(0, 300), tick=st.sampled_from(["0.5", "0.00005", "0.0000001"]))
def test_quotes_lie_on_ticks_on_either_side_of_the_price(price: int, spread: int, tick: str) -> None:
    grid = Grid(instrument("X", tick))
    bid, ask = grid.bid(price, spread), grid.ask(price, spread)
    step = grid.tick(price)
    assert bid % step == ask % step == 0
    assert step <= bid
    assert bid <= max(step, price - step)
    assert price + step <= ask


@given(price=st.floats(1e-6, 1e6), tick=st.sampled_from(["0.5", "0.00005", "0.0000001"]))
def test_nearest_price_is_on_a_tick_and_within_half_of_one(price: float, tick: str) -> None:
    grid = Grid(instrument("X", tick))
    units = grid.nearest(price)
    step = grid.tick(units)
    assert units % step == 0
    assert units >= step
    assert units == step or abs(units - price * grid.units) <= step * 0.5001


def test_ticks_change_with_the_price() -> None:
    grid = Grid(instrument("X", "1", ticks=(TickStep(D(0), D("0.01")), TickStep(D(100), D("0.05")))))
    assert [grid.tick(int(D(price) * grid.units)) for price in ("99.99", "100", "250")] == [100, 500, 500]
