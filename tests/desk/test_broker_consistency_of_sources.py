"""Sources that disagree: two that prove a fill protect it at once, whichever list is late."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest

from tests.desk.test_broker_consistency import lying
from tests.kit.core.scene import Scene, call
from tests.kit.core.venue import REJECTED, FakeVenue
from tests.orders.test_stop_protection import entered, exits, protecting, scene, working
from tradebot.cycle import flatten
from tradebot.desk.snapshot import take_desk
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.order import Fill, OrderClass, OrderStatus
from tradebot.model.reasons import Reason
from tradebot.model.record import Job, PositionDifference
from tradebot.model.struct_tools import replace

D = Decimal


def late_fills(found: Scene) -> Callable[[], None]:
    """Let the venue's list of fills lack its rows; return what ends that."""
    rows = list[Fill]()
    found.venue.fills = lambda after: tuple(rows)  # type: ignore[method-assign]

    def ends() -> None:
        rows.extend(found.venue.executions)

    return ends


@pytest.mark.parametrize("side", Side)
def test_what_order_and_position_prove_is_protected_before_its_fill_is_listed(side: Side) -> None:
    found = scene()
    listed = late_fills(found)
    entry = entered(found, side)
    record = exits(found)
    (pair,) = protecting(found)
    assert (pair.quantity, pair.side.sign, record.gaps) == (entry.quantity, -side.sign, ())
    assert found.ledger.fills() == (), "the books wait for the row with its price"
    listed()
    for minute in range(32, 36):
        found.later(60)
        assert exits(found, f"open+{minute}m").gaps == ()
    assert [fill.fill.quantity for fill in found.ledger.fills()] == [entry.quantity]
    assert protecting(found) == [pair]
    assert len(working(found)) == 2


@pytest.mark.parametrize("known", [True, False])
def test_what_positions_and_the_list_of_ended_orders_prove_is_protected_whatever_an_old_answer_says(
    known: bool,
) -> None:
    found = scene()
    late_fills(found)
    entry = entered(found)
    was = replace(found.venue.book[entry.client_order_id], status=OrderStatus.NEW, filled_quantity=D(0))
    found.venue.order = lambda client_order_id: was if known else None  # type: ignore[method-assign]
    assert exits(found).gaps == ()
    assert [pair.quantity for pair in protecting(found)] == [entry.quantity]


@pytest.mark.parametrize(("shown", "protected"), [("0", []), ("20", ["20"]), ("49", ["49"]), ("100", [])])
def test_no_more_is_protected_than_the_positions_show(shown: str, protected: list[str]) -> None:
    found = scene()
    late_fills(found)
    assert entered(found).quantity == 49
    found.venue.held["AAPL"] = D(shown)
    record = exits(found)
    assert [pair.quantity for pair in protecting(found)] == [D(shares) for shares in protected]
    bare = 49 - sum(pair.quantity for pair in protecting(found))
    assert [gap.shares for gap in record.gaps or ()] == ([bare] if bare else []), "what its order filled is told"


def test_a_fill_of_a_stop_that_is_not_listed_ends_the_position_and_its_protection() -> None:
    found = scene()
    entered(found)
    exits(found)
    found.later(60)
    late_fills(found)
    (stop,) = [name for name, order in found.venue.book.items() if order.stop_price]
    found.venue.fill(stop, "98")
    assert take_desk(found.world(), for_entries=False).positions == ()
    assert exits(found, "open+32m").gaps == ()
    assert (len(protecting(found)), working(found)) == (1, [])


def test_flatten_closes_what_no_list_of_fills_shows_yet() -> None:
    found = scene()
    late_fills(found)
    entry = entered(found)
    flatten(found.world(), call(Job.EVALUATE_EXITS, "open+31m"), None)
    (close,) = [intent for intent in found.venue.submitted if intent.purpose is Purpose.CLOSE]
    assert (close.quantity, close.side) == (entry.quantity, Side.SELL)


def test_a_list_of_positions_that_flaps_cancels_no_stop_of_what_no_list_of_fills_shows() -> None:
    found = scene()
    late_fills(found)
    entered(found)
    exits(found)
    view = found.venue.view
    lying(found, lambda told: replace(told, positions=()))
    for minute in range(32, 36):
        found.later(60)
        exits(found, f"open+{minute}m")
    found.venue.view = lambda: replace(view(), positions=())  # type: ignore[method-assign]
    found.venue.position = lambda symbol: None  # type: ignore[method-assign]
    for minute in range(36, 40):
        found.later(60)
        exits(found, f"open+{minute}m")
    assert (len(protecting(found)), found.venue.cancelled) == (1, [])


def test_a_position_that_an_entry_may_have_made_which_is_listed_no_more_is_told_and_has_a_gap() -> None:
    found = scene()
    late_fills(found)
    entered(found)
    found.venue.order = lambda client_order_id: None  # type: ignore[method-assign]
    found.venue.ended = lambda since: ()  # type: ignore[method-assign]
    record = exits(found)
    assert [(gap.symbol, gap.shares) for gap in record.gaps or ()] == [("AAPL", D(49))]
    assert found.told("position_differs") == [{"books": "0", "broker": "49"}]


def denied(found: Scene, quantity: int | None) -> None:
    """Let the positions show this much of AAPL in place of what is held, or nothing, in the list and asked directly."""
    view = partial(FakeVenue.view, found.venue)

    def told() -> BrokerView:
        shown = (replace(one, quantity=D(quantity)) for one in view().positions if quantity is not None)
        return replace(view(), positions=tuple(shown))

    found.venue.view = told  # type: ignore[method-assign]
    found.venue.position = lambda symbol: next(iter(told().positions), None)  # type: ignore[method-assign]


@pytest.mark.parametrize("shown", [None, -49])
def test_flatten_closes_through_a_stop_that_rests_what_positions_deny_and_sends_nothing_without_one(
    shown: int | None,
) -> None:
    found = scene()
    entered(found)
    denied(found, shown)
    before = len(found.venue.submitted)
    record = flatten(found.world(), call(Job.EVALUATE_EXITS, "open+31m"), None)
    assert [end.reason for one in record.candidates if (end := one.terminal)] == [Reason.POSITION_UNPROVEN]
    assert (len(found.venue.submitted), found.venue.replaced) == (before, []), "it could open a position"
    denied(found, 49)
    exits(found, "open+32m")
    found.later(60)
    assert len(protecting(found)) == 1
    denied(found, shown)
    assert exits(found, "open+33m").differing == (PositionDifference("AAPL", D(49), D(shown or 0)),)
    before = len(found.venue.submitted)
    flatten(found.world(), call(Job.EVALUATE_EXITS, "open+34m"), None)
    (close,) = found.venue.replaced
    assert (len(found.venue.submitted), close.quantity, close.purpose) == (before, D(49), Purpose.CLOSE)


@pytest.mark.parametrize("shown", [None, -49])
@pytest.mark.parametrize("takes", [True, False])
def test_what_positions_deny_gets_a_pair_and_never_a_stop_that_could_open_a_position(
    shown: int | None, takes: bool
) -> None:
    found = scene()
    entry = entered(found)
    denied(found, shown)
    if not takes:
        found.venue.script["AAPL"] = REJECTED
    for minute in range(31, 34):
        exits(found, f"open+{minute}m")
        found.later(60)
    asked = [intent.order_class for intent in found.venue.submitted if intent.client_order_id != entry.client_order_id]
    assert asked == [OrderClass.OCO]
    assert len(working(found)) == 2 * takes
