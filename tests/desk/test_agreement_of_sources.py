"""Sources that disagree: two that prove a fill protect it at once, whichever list is late."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call
from tests.orders.test_protecting import entered, exits, protecting, scene, working
from tradebot.cycle import flatten
from tradebot.desk.snapshot import take
from tradebot.model.candidate import Purpose, Side
from tradebot.model.order import Fill
from tradebot.model.record import Job

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
    assert take(found.world(), with_flow=False).positions == ()
    assert exits(found, "open+32m").gaps == ()
    assert (len(protecting(found)), working(found)) == (1, [])


def test_flatten_closes_what_no_list_of_fills_shows_yet() -> None:
    found = scene()
    late_fills(found)
    entry = entered(found)
    flatten(found.world(), call(Job.EVALUATE_EXITS, "open+31m"), None)
    (close,) = [intent for intent in found.venue.submitted if intent.purpose is Purpose.CLOSE]
    assert (close.quantity, close.side) == (entry.quantity, Side.SELL)
