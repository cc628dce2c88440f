"""An order found under our id is ours where it is what we asked for, and another's where any part of it differs."""

from decimal import Decimal

import pytest

from tests.builders import NOW
from tests.orders.test_sending import ready
from tests.venues import LOST
from tests.worlds import Scene, call, trade_once, wanted
from tradebot.model.candidate import Side
from tradebot.model.intent import ID_CONFLICT, Intent, IntentState, Operation
from tradebot.model.order import Order, OrderType
from tradebot.model.reasons import Reason
from tradebot.model.values import replace
from tradebot.orders.sending import replace_intent, send


def promised() -> tuple[Intent, Order]:
    scene = Scene()
    world, desk, intent = ready(scene)
    send(world, desk, intent, ())
    (order,) = scene.venue.book.values()
    return replace(intent, quantity=Decimal(5)), replace(order, quantity=Decimal(5))


DIFFERENT: list[dict[str, object]] = [
    {"client_order_id": "tb1.another"},
    {"symbol": "MSFT"},
    {"side": Side.SELL},
    {"quantity": None},
    {"quantity": Decimal(4)},
    {"quantity": Decimal(6)},
    {"limit_price": Decimal("100.19")},
    {"limit_price": Decimal("100.21")},
    {"order_type": OrderType.MARKET, "limit_price": None},
    {"order_type": OrderType.MARKET},
    {"order_type": OrderType.UNKNOWN, "limit_price": None},
]
UNTOLD: list[dict[str, object]] = [{"order_type": OrderType.UNKNOWN}, {"limit_price": None}]
"""What the venue words anew, or leaves out of an order with a limit."""


@pytest.mark.parametrize("operation", [Operation.SUBMIT, Operation.REPLACE])
@pytest.mark.parametrize("change", DIFFERENT, ids=str)
def test_any_part_that_differs_makes_it_anothers(change: dict[str, object], operation: Operation) -> None:
    intent, order = promised()
    intent = replace(intent, operation=operation)
    assert intent.asked_for(order)
    # What a replaced order had filled before may be counted out of the one that follows it.
    fewer = operation is Operation.REPLACE and change == {"quantity": Decimal(4)}
    assert intent.asked_for(replace(order, **change)) is fewer  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", [Operation.SUBMIT, Operation.REPLACE])
@pytest.mark.parametrize("change", UNTOLD, ids=str)
def test_what_the_venue_does_not_tell_is_no_difference(change: dict[str, object], operation: Operation) -> None:
    intent, order = promised()
    assert replace(intent, operation=operation).asked_for(replace(order, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(("limit_price", "ours"), [(None, True), (Decimal(100), False)])
def test_an_order_without_a_limit_is_not_one_with_a_limit(limit_price: Decimal | None, ours: bool) -> None:
    intent, order = promised()
    market = replace(intent, order_type=OrderType.MARKET, limit_price=None)
    kind = OrderType.MARKET if limit_price is None else OrderType.LIMIT
    assert market.asked_for(replace(order, order_type=kind, limit_price=limit_price)) is ours


@pytest.mark.parametrize("limit_price", [Decimal(90), None])
def test_another_order_found_under_the_id_of_a_lost_one_halts(limit_price: Decimal | None) -> None:
    scene = Scene()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    scene.venue.rest(intent.client_order_id, "AAPL", replace(intent, limit_price=limit_price))
    record = trade_once(scene.world(wanted("MSFT")), call(slot="next"))
    found = scene.ledger.intent(intent.client_order_id)
    assert found is not None
    assert (found.state, found.code) == (IntentState.REJECTED, ID_CONFLICT)
    assert [one.terminal and one.terminal.reason for one in record.candidates] == [Reason.HALTED]
    assert scene.ledger.trading_state().why == f"SECOND_WRITER: {intent.client_order_id} against 0"


def test_a_replace_carries_the_promise_on_and_belongs_to_the_pass_that_made_it() -> None:
    scene = Scene()
    world, desk, intent = ready(scene)
    send(world, desk, intent, ())
    (order,) = scene.venue.book.values()
    later = replace(desk, now=desk.now.replace(minute=31))
    changed = replace_intent(call(slot="later"), later, order, intent, Decimal("99.50"), 0)
    assert (changed.cycle_id, changed.at, changed.limit_price) == (
        call(slot="later").cycle_id,
        later.now,
        Decimal("99.50"),
    )
    assert (changed.quantity, changed.side, changed.instrument) == (intent.quantity, intent.side, intent.instrument)
    assert later.now > NOW
