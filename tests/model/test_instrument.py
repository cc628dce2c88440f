"""What a listing says of prices and quantities, and which of its changes count."""

from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, ago, instrument, listing
from tradebot.adapters.text.codec import decode, encode, pack, unpack
from tradebot.model.instrument import Instrument, Listing, ListingRecord, MarginLevel, TickStep, of_order

D = Decimal
STEPS = (TickStep(D(0), D("0.0001")), TickStep(D(1), D("0.01")), TickStep(D(500), D("0.25")))


@pytest.mark.parametrize(
    ("price", "tick"),
    [("0.5", "0.0001"), ("0.9999", "0.0001"), ("1", "0.01"), ("499.99", "0.01"), ("500", "0.25"), ("-1", "0.0001")],
)
def test_a_tick_holds_from_its_price_on(price: str, tick: str) -> None:
    assert listing(ticks=STEPS).tick_at(D(price)) == D(tick)


@given(st.decimals("0.00001", 1000, places=5), st.sampled_from([ROUND_FLOOR, ROUND_CEILING]))
def test_a_price_on_the_tick_is_less_than_one_tick_away_and_never_zero(price: Decimal, rounding: str) -> None:
    listed = listing(ticks=STEPS)
    found, tick = listed.on_tick(price, rounding), listed.tick_at(price)
    assert found % tick == 0
    assert found > 0
    assert abs(found - price) < tick
    assert found == tick or (found <= price if rounding == ROUND_FLOOR else found >= price)


@pytest.mark.parametrize(
    ("lot", "quantity", "whole"),
    [
        ("1", "10.9", "10"),
        ("1", "-10.9", "-10"),
        ("0.5", "10.9", "10.5"),
        ("100", "99", "0"),
        ("0.001", "0.0019", "0.001"),
    ],
)
def test_a_quantity_is_rounded_toward_zero_to_whole_lots(lot: str, quantity: str, whole: str) -> None:
    assert listing(lot=D(lot)).whole_lots(D(quantity)) == D(whole)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ticks": (TickStep(D(0), D("0.05")),)}, "tick 0.0001, 0.01 from 1, now 0.05"),
        ({"lot": D("0.1")}, "lot 1, now 0.1"),
        ({"minimum": D(5)}, "minimum 1, now 5"),
        ({"multiplier": D(50)}, "multiplier 1, now 50"),
        ({"currency": "EUR"}, "currency USD, now EUR"),
        ({"calendar": "CMES"}, "calendar XNYS, now CMES"),
        ({"last_trading_day": date(2026, 12, 18)}, "last trading day none, now 2026-12-18"),
    ],
)
def test_each_term_of_orders_that_changes_is_told_before_and_now(changes: dict[str, Any], said: str) -> None:
    assert [str(change) for change in listing(**changes).changes_from(listing())] == [said]
    again = ListingRecord(listing()).read_again(listing(**changes, read_at=NOW))
    assert (again.before, again.changed_at, [str(one) for one in again.changes]) == (listing(), NOW, [said])


@pytest.mark.parametrize(
    "changes",
    [{}, {"margin_levels": (MarginLevel(D(0), D("0.1"), D("0.05")),)}, {"last_trading_day": date(2026, 12, 21)}],
)
def test_what_was_only_read_again_or_follows_the_market_is_no_change(changes: dict[str, Any]) -> None:
    before = listing(last_trading_day=date(2026, 12, 18))
    now = listing(**{"last_trading_day": date(2026, 12, 18), **changes, "read_at": NOW})
    again = ListingRecord(before).read_again(now)
    assert again == ListingRecord(now)


def test_a_change_is_kept_until_the_next_one() -> None:
    changed = ListingRecord(listing()).read_again(listing(lot=D(10), read_at=ago(60)))
    again = changed.read_again(listing(lot=D(10), read_at=NOW))
    assert (again.listing.read_at, again.before, again.changed_at) == (NOW, listing(), ago(60))
    last = again.read_again(listing(lot=D(100), read_at=NOW))
    assert (last.before, last.changed_at) == (again.listing, NOW)


def test_the_instrument_of_an_order_says_its_tick_and_lot_and_no_more() -> None:
    of = instrument(tick=D("0.25"), lot=D(2))
    assert of_order(of, NOW) == Listing(of, (TickStep(D(0), D("0.25")),), D(2), NOW)


def test_an_instrument_comes_back_from_its_names_and_from_its_places() -> None:
    of = instrument("AAPL", strike=D(100))
    assert list(encode(of)) == list(Instrument.__struct_fields__)
    assert (decode(Instrument, encode(of)), unpack(Instrument, pack(of))) == (of, of)


def test_nothing_but_what_an_option_has_may_be_left_out() -> None:
    for name in ("asset_class", "multiplier", "tick", "lot", "currency", "calendar"):
        said = {each: getattr(instrument(), each) for each in Instrument.__struct_fields__ if each != name}
        with pytest.raises(TypeError, match=name):
            Instrument(**said)


def test_a_number_that_is_written_otherwise_is_no_change() -> None:
    again = listing(minimum=D("1.0"), ticks=tuple(TickStep(step.from_price, step.tick * D("1.00")) for step in STEPS))
    assert not [*again.changes_from(listing(minimum=D(1), ticks=STEPS))]
