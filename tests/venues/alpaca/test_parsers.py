"""Whatever stands in a row, a reader returns a value or raises its documented error."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.adapters.alpaca import (
    account_row,
    activity_row,
    clock_row,
    fill_row,
    order_row,
    position_row,
    reader,
    snapshot_row,
)
from tests.kit.fakes.scripted import Scripted, Wire
from tests.kit.values import NOW
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.errors import OperatorError
from tradebot.model.instrument import AssetClass, Instrument, TickStep
from tradebot.model.order import OrderStatus, OrderType, TimeInForce
from tradebot.venues.alpaca import parsers
from tradebot.venues.alpaca.parsers import listings

SESSION = {"date": "2026-11-27", "open": "09:30", "close": "13:00", "session_open": "0400"}
READERS: list[tuple[Any, dict[str, Any], type[Exception]]] = [
    (parsers.read_account, account_row(), OperatorError),
    (parsers.read_order, order_row(), RowError),
    (parsers.read_position, position_row(), RowError),
    (parsers.read_fill, fill_row(), RowError),
    (parsers.read_activity, activity_row(), RowError),
    (parsers.read_clock, clock_row(), RowError),
    (parsers.read_session, SESSION, RowError),
    (lambda raw, tally: parsers.read_quote("AAPL", raw, "iex", tally), snapshot_row(), RowError),
]

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.text(max_size=12)
    | st.sampled_from(["NaN", "-1", "1e999999", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "\uff11"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def garbled(draw: st.DrawFn) -> tuple[Any, Any, type[Exception]]:
    """Return a reader with a row of its kind, some fields dropped, replaced or added."""
    read, row, error = draw(st.sampled_from(READERS))
    dropped = draw(st.sets(st.sampled_from(sorted(row)), max_size=3))
    replaced = draw(st.dictionaries(st.sampled_from(sorted(row)), JUNK, max_size=3))
    added = draw(st.dictionaries(st.text(max_size=6), JUNK, max_size=2))
    return (read, {name: value for name, value in (row | replaced | added).items() if name not in dropped}, error)


@given(garbled())
def test_readers_raise_only_row_errors_for_garbled_rows(case: tuple[Any, Any, type[Exception]]) -> None:
    read, row, error = case
    try:
        value = read(row, DriftTally())
    except error:
        return
    assert value is not None


@given(st.sampled_from(READERS), JUNK)
def test_readers_raise_only_row_errors_for_anything_else(reader: tuple[Any, Any, type[Exception]], junk: Any) -> None:
    read, _, error = reader
    with pytest.raises(error):
        read(junk, DriftTally())


@given(st.dictionaries(st.text(min_size=1, max_size=6).map("new_".__add__), JUNK, min_size=1, max_size=3))
def test_new_fields_change_nothing_and_are_counted(added: dict[str, Any]) -> None:
    tally = DriftTally()
    assert parsers.read_order(order_row(**added), tally) == parsers.read_order(order_row(), DriftTally())
    assert sum(tally.counts.values()) == len(added)


def test_new_enum_values_are_unknown_and_counted() -> None:
    tally = DriftTally()
    row = order_row(status="restated", type="iceberg", time_in_force="gtd", asset_class="ipo")
    order = parsers.read_order(row, tally)
    assert (order.status, order.order_type) == (OrderStatus.UNKNOWN, OrderType.UNKNOWN)
    assert (order.time_in_force, order.asset_class) == (TimeInForce.UNKNOWN, AssetClass.UNKNOWN)
    assert not order.status.terminal
    assert sum(tally.counts.values()) == 4


@pytest.mark.parametrize("status", [status for status in OrderStatus if status.value not in ("unknown", "ended")])
def test_each_state_of_an_order_has_a_word_of_alpaca(status: OrderStatus) -> None:
    (word,) = (word for word, meaning in parsers.STATUSES.items() if meaning is status)
    tally = DriftTally()
    assert parsers.read_order(order_row(status=word), tally).status is status
    assert not tally.counts


def test_an_account_without_the_day_trading_fields_is_whole_and_its_blocks_are_named() -> None:
    tally = DriftTally()
    account = parsers.read_account(account_row(trading_blocked=True, account_blocked="yes"), tally)
    assert account.blocked == ("trading_blocked", "account_blocked")
    assert not tally.counts


def test_a_position_called_short_is_negative_whatever_its_sign_and_one_called_long_is_not_read_so() -> None:
    signs = [parsers.read_position(position_row(side="short", qty=qty), DriftTally()).quantity for qty in ("7", "-7")]
    assert signs == [Decimal(-7), Decimal(-7)]
    with pytest.raises(RowError, match="the side is long"):
        parsers.read_position(position_row(side="long", qty="-7"), DriftTally())


@pytest.mark.parametrize(("symbol", "multiplier"), [("AAPL", 1), ("BRK.B", 1), ("AAPL261218C00250000", 100)])
def test_an_option_contract_is_worth_a_hundred_times_its_price(symbol: str, multiplier: int) -> None:
    kind = AssetClass.US_EQUITY if multiplier == 1 else AssetClass.US_OPTION
    row = position_row(symbol=symbol, asset_class=kind.value, qty="2", market_value=None)
    held, bought = parsers.read_position(row, DriftTally()), parsers.read_fill(fill_row(symbol=symbol), DriftTally())
    assert held.value == 2 * multiplier * held.average_price
    assert bought.notional == bought.signed_quantity * bought.price * multiplier


def test_differences_are_told_apart_only_up_to_a_limit() -> None:
    tally = DriftTally()
    for number in range(2_000):
        tally.note("order", f"field{number}", "is an unknown field")
    assert len(tally.counts) <= 501
    assert sum(tally.counts.values()) == 2_000


@pytest.mark.parametrize(("given", "size"), [(300, Decimal(300)), (0, None), (None, None), ("many", None)])
def test_a_quote_is_usable_without_sizes(given: object, size: Decimal | None) -> None:
    row = snapshot_row("100.1", "100.2", "100.15")
    row["latestQuote"] = {**dict(row["latestQuote"]), "as": given}  # type: ignore[call-overload]
    row["prevDailyBar"] = {"c": "99.5"}
    found = parsers.read_quote("AAPL", row, "iex", DriftTally())
    assert (found.ask_size, found.bid_size, found.ask) == (size, Decimal(1), Decimal("100.2"))


D = Decimal


def test_a_share_is_listed_with_the_rules_that_alpaca_documents() -> None:
    listed = listings(["AAPL"], NOW)["AAPL"]
    assert listed.instrument == Instrument(
        symbol="AAPL",
        asset_class=AssetClass.US_EQUITY,
        multiplier=D(1),
        tick=D("0.01"),
        lot=D(1),
        currency="USD",
        calendar="XNYS",
    )
    assert listed.ticks == (TickStep(D(0), D("0.0001")), TickStep(D(1), D("0.01")))
    assert (listed.minimum, listed.margin_levels, listed.last_trading_day, listed.read_at) == (D(1), (), None, NOW)


def test_what_looks_like_a_us_shares_symbol_is_listed_and_nothing_else() -> None:
    shares = ["A", "AAPL", "GOOGL", "BRK.B", "BAC.PRL", "AUR.WS", "ABC.WS.A", "S0001"]
    assert [*listings(shares, NOW)] == shares
    others = ["AAPL261218C00300000", "BTC/USD", "BTCUSD", "DOGEUSD", "aapl", "", "AAPL ", "AAPL\n", "912CVR011", "^VIX"]
    assert listings([*others, "ES=F"], NOW) == {}


def test_a_listing_is_of_the_venues_time_and_takes_no_request(wire: Wire) -> None:
    wire.answer(Scripted(200, clock_row()))
    alpaca = reader(wire)
    assert abs(alpaca.listings(["AAPL"])["AAPL"].read_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert wire.asked == []
    now = alpaca.clock().now
    assert (alpaca.listings(["AAPL", "BTC/USD"]), len(wire.asked)) == (listings(["AAPL"], now), 1)
