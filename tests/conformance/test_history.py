"""What each venue's adapter tells of the past: orders that have ended, fills, fees, and where the money went."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from tests.conformance.played import CASH, PARTS, VenueAccount, made
from tradebot.model.account import Activity
from tradebot.model.candidate import Side
from tradebot.model.order import Fill, OrderStatus, fee_id
from tradebot.model.position import OwnedFill
from tradebot.model.totals import Totals
from tradebot.model.venue import Settlement

MINUTE = timedelta(minutes=1)


def test_orders_are_found_by_both_ids_while_they_work_and_after_they_have_ended(desk: VenueAccount) -> None:
    assert desk.reader.order("tb1.never") is None
    intent, order = desk.rests()
    desk.played.passes()
    for status in (OrderStatus.NEW, OrderStatus.CANCELED):
        found = desk.reader.order(intent.client_order_id)
        assert found is not None
        assert intent.matches_order(found)
        assert (found.venue_id, found.status) == (order.venue_id, status)
        assert desk.reader.follower(order.venue_id) == found
        assert list(desk.reader.legs(order.venue_id)) == []
        desk.orders.cancel(desk.cancel_of(order))
        desk.played.passes()


def test_of_orders_with_one_id_the_newest_is_found(desk: VenueAccount) -> None:
    intent, first = desk.rests()
    desk.orders.cancel(desk.cancel_of(first))
    desk.played.passes()
    _, second = desk.rests(client_order_id=intent.client_order_id, at=desk.now) if _may_repeat(desk) else (0, first)
    for _ in range(2):
        found = desk.reader.order(intent.client_order_id)
        assert found is not None
        assert found.venue_id == second.venue_id
        desk.orders.cancel(desk.cancel_of(second))
        desk.played.passes()


def _may_repeat(desk: VenueAccount) -> bool:
    return desk.can.client_ids.value != "unique"


def test_lists_have_each_order_once_and_in_order(desk: VenueAccount) -> None:
    start = desk.now
    _, canceled = desk.rests()
    desk.orders.cancel(desk.cancel_of(canceled))
    desk.played.passes(MINUTE)
    filled = desk.trades(Side.BUY, desk.size)
    middle = desk.now
    _, working = desk.rests()
    other = desk.reader.listings([desk.other])[desk.other].instrument
    desk.played.passes(MINUTE)
    _, elsewhere = desk.rests(instrument=other)
    desk.played.passes()
    ended = desk.reader.ended(start)
    assert [one.client_order_id for one in ended] == [canceled.client_order_id, filled.client_order_id]
    assert [one.status for one in ended] == [OrderStatus.CANCELED, OrderStatus.FILLED]
    assert [one.venue_id for one in desk.reader.ended(start + MINUTE)] == [ended[1].venue_id]
    assert list(desk.reader.ended(middle)) == []
    told = desk.reader.orders_of([desk.symbol])
    assert [one.venue_id for one in told.orders] == [working.venue_id, ended[1].venue_id, canceled.venue_id]
    assert not told.orders[0].status.terminal
    assert told.unreadable == 0
    both = desk.reader.orders_of([desk.symbol, desk.other]).orders
    assert both == (desk.reader.orders_of([desk.other]).orders[0], *told.orders)
    assert both[0].venue_id == elsewhere.venue_id
    assert not desk.tally.counts


def test_each_fill_is_told_once_oldest_first_and_after_is_exact(desk: VenueAccount) -> None:
    other = desk.at_market(instrument=desk.reader.listings([desk.other])[desk.other].instrument)
    made(desk.orders.submit(other))
    intent = desk.trades(Side.BUY, desk.size * PARTS)
    order = desk.reader.order(intent.client_order_id)
    assert order is not None
    every = list(desk.reader.fills(None))
    assert len({fill.activity_id for fill in every}) == len(every)
    assert [fill.at for fill in every] == sorted(fill.at for fill in every)
    fills = [fill for fill in every if fill.venue_order_id == order.venue_id]
    assert len(fills) > 2
    assert fills[0].at == every[0].at == every[1].at, "the first two are of one moment"
    assert {(fill.symbol, fill.side) for fill in fills} == {(desk.symbol, Side.BUY)}
    assert {fill.multiplier for fill in fills} == {desk.listing.instrument.multiplier}
    assert not any(fill.liquidation for fill in every)
    assert sum(fill.quantity for fill in fills) == order.filled_quantity == intent.quantity
    average = sum(fill.quantity * fill.price for fill in fills) / intent.quantity
    assert order.filled_average_price is not None
    assert abs(order.filled_average_price - average) < Decimal("0.000001")
    for fill in every:
        assert list(desk.reader.fills(fill.at)) == [one for one in every if one.at > fill.at]
        assert list(desk.reader.fills(fill.at - timedelta(microseconds=1))) == [x for x in every if x.at >= fill.at]
    assert desk.reader.unreadable_fills == 0


def test_a_fill_without_a_price_is_counted_and_left_out(desk: VenueAccount) -> None:
    desk.trades(Side.BUY, desk.size * PARTS)
    count = len(desk.reader.fills(None))
    desk.trouble({"missing_field": "price"}, request="activities")
    assert list(desk.reader.fills(None)) == []
    assert desk.reader.unreadable_fills == count


def test_a_fee_comes_with_its_fill_or_later_under_its_name_or_is_booked_apart(desk: VenueAccount) -> None:
    start = desk.now - MINUTE
    desk.trades(Side.BUY, desk.size)
    fills, activities = desk.reader.fills(None), desk.reader.activities(start)
    named = {one.id: one for one in activities}
    for fill in fills:
        later = named.get(fee_id(fill.activity_id))
        if fill.fee is None or fill.fee.amount is not None:
            assert later is None
            continue
        assert later is not None
        assert (later.fill_id, later.symbol) == (fill.activity_id, desk.symbol)
        assert later.net_amount < 0
        assert later.at >= fill.at
    if all(fill.fee is None for fill in fills):
        assert sum(one.net_amount for one in activities if one.symbol == desk.symbol) < 0


def test_each_activity_is_told_once_oldest_first_and_after_is_exact(desk: VenueAccount) -> None:
    start = desk.now - MINUTE
    desk.trades(Side.BUY, desk.size * PARTS)
    told = list(desk.reader.activities(start))
    assert len({one.id for one in told}) == len(told) > 1
    assert [one.at for one in told] == sorted(one.at for one in told)
    for one in told:
        assert list(desk.reader.activities(one.at)) == [other for other in told if other.at > one.at]


def test_cash_is_what_fills_and_activities_leave_of_the_opening_cash_to_the_cent(desk: VenueAccount) -> None:
    start = desk.now - MINUTE
    for side, parts in ((Side.BUY, PARTS), (Side.SELL, PARTS), (Side.SELL, 1), (Side.BUY, 1)):
        desk.trades(side, desk.size * parts)
    if not desk.played.venue.forgets:
        # Through the next session's beginning, where interest and funding are booked.
        desk.played.tick(to="next_open")
        desk.played.passes(MINUTE)
    account, fills, booked = desk.reader.account(), desk.reader.fills(None), desk.reader.activities(start)
    assert len(fills) > 6
    assert desk.reader.view().positions == ()
    assert account.cash == account.equity == _left(desk, fills, booked)


def test_equity_is_what_the_books_make_of_an_open_position(desk: VenueAccount) -> None:
    start = desk.now - MINUTE
    desk.trades(Side.BUY, desk.size * PARTS)
    desk.trades(Side.SELL, desk.size)
    account, fills, booked = desk.reader.account(), desk.reader.fills(None), desk.reader.activities(start)
    (held,) = desk.reader.view().positions
    assert held.market_value is not None
    totals = Totals.of(OwnedFill("flow", fill) for fill in fills)
    opened = totals.cost if desk.can.settlement is Settlement.MARGINED else Decimal(0)
    assert account.equity == _left(desk, fills, booked) - opened + held.market_value


def _left(desk: VenueAccount, fills: Sequence[Fill], booked: Sequence[Activity]) -> Decimal:
    """Return the cash that the books have after fills and activities."""
    totals = Totals.of(OwnedFill("flow", fill) for fill in fills)
    known = {fill.activity_id for fill in fills if fill.fee is not None and fill.fee.amount is not None}
    apart = sum((one.net_amount for one in booked if one.executed and one.fill_id not in known), Decimal(0))
    return totals.cash(CASH, desk.can.settlement) + apart
