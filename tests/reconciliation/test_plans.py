"""A plan is of one view of the broker: whatever moves in it makes another one, and the order of rows does not."""

from decimal import Decimal

import pytest

from tests.builders import ask, book, candidate, quote
from tests.orders.test_sending import ready
from tests.worlds import Scene
from tradebot.gates.sizing import SHORT_MARKUP, entry_size
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.candidate import Side
from tradebot.model.instrument import AssetClass
from tradebot.model.values import replace
from tradebot.orders.sending import send
from tradebot.reconciliation.plans import fingerprint


def view() -> BrokerView:
    scene = Scene()
    world, desk, intent = ready(scene)
    send(world, desk, intent, ())
    held = tuple(
        BrokerPosition(symbol, AssetClass.US_EQUITY, Decimal(quantity), Decimal(100), None)
        for symbol, quantity in (("JPM", 3), ("XOM", -2))
    )
    return replace(scene.venue.view(), positions=held)


def test_the_order_of_rows_is_no_movement() -> None:
    seen = view()
    assert fingerprint(seen) == fingerprint(replace(seen, positions=seen.positions[::-1]))


@pytest.mark.parametrize("what", ["cash", "position", "symbol", "gone", "filled", "order"])
def test_whatever_a_plan_relies_on_makes_another_mark_when_it_moves(what: str) -> None:
    seen = view()
    (first, *rest), (order,) = seen.positions, seen.orders
    moved = {
        "cash": replace(seen, account=replace(seen.account, cash=seen.account.cash + Decimal("0.01"))),
        "position": replace(seen, positions=(replace(first, quantity=Decimal(4)), *rest)),
        "symbol": replace(seen, positions=(replace(first, symbol="MSFT"), *rest)),
        "gone": replace(seen, positions=tuple(rest)),
        "filled": replace(seen, orders=(replace(order, filled_quantity=Decimal(1)),)),
        "order": replace(seen, orders=()),
    }
    assert fingerprint(moved[what]) != fingerprint(seen)


def test_a_mark_is_twelve_digits_so_that_a_person_can_type_it() -> None:
    assert len(fingerprint(view())) == 12


@pytest.mark.parametrize("side", Side)
def test_a_short_ties_up_more_than_the_ask_and_a_long_its_limit(side: Side) -> None:
    size = entry_size(candidate(side=side), quote(), book(), ask().limits)
    price = size.limit_price if side is Side.BUY else max(size.limit_price, quote().ask * SHORT_MARKUP)
    assert size.margin_usd == size.quantity * price
