"""An order found under our id is ours where it is what we asked for, and another's where any part of it differs."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.core.builders import NOW
from tests.core.test_sending_told import ready
from tests.core.worlds import Scene, call
from tradebot.model.candidate import Side
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order
from tradebot.orders import replace_intent, send


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
]


@pytest.mark.parametrize("operation", [Operation.SUBMIT, Operation.REPLACE])
@pytest.mark.parametrize("change", DIFFERENT, ids=str)
def test_any_part_that_differs_makes_it_anothers(change: dict[str, object], operation: Operation) -> None:
    intent, order = promised()
    intent = replace(intent, operation=operation)
    assert intent.asked_for(order)
    # What a replaced order had filled before may be counted out of the one that follows it.
    fewer = operation is Operation.REPLACE and change == {"quantity": Decimal(4)}
    assert intent.asked_for(replace(order, **change)) is fewer  # type: ignore[arg-type]


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
