"""`tradebot orders`: each order is shown as the venue has it."""

from decimal import Decimal

from commands.orders import join_orders
from tests.kit.rows import make_intent, make_order
from tests.kit.values import NOW
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.struct_tools import replace


def test_order_that_the_venue_made_smaller_is_shown_with_what_is_left_of_it() -> None:
    record = IntentRecord(replace(make_intent(), quantity=Decimal(54)), IntentState.ACKED, None, None, NOW)
    order = replace(make_order(), client_order_id=record.intent.client_order_id)
    for told, shown in ((Decimal(24), "24"), (Decimal("54.0"), "54"), (None, "54")):
        (row,), _ = join_orders([record], [replace(order, quantity=told)])
        assert str(row.quantity) == shown


def test_order_whose_prices_a_corporate_action_moved_is_shown_as_it_rests() -> None:
    sent = replace(make_intent(), limit_price=Decimal("166.31"))
    record = IntentRecord(sent, IntentState.ACKED, None, None, NOW)
    order = replace(make_order(), client_order_id=sent.client_order_id, limit_price=Decimal("110.87"))
    for told, shown in ((Decimal("110.87"), "110.87"), (Decimal("166.310"), "166.31"), (None, "166.31")):
        (row,), _ = join_orders([record], [replace(order, limit_price=told)])
        assert (str(row.limit_price), row.stop_price) == (shown, None)
    stopped = replace(sent, limit_price=None, stop_price=Decimal(90))
    order = replace(order, limit_price=None, stop_price=Decimal(60))
    (row,), _ = join_orders([replace(record, intent=stopped)], [order])
    assert (row.limit_price, row.stop_price) == (None, Decimal(60))
