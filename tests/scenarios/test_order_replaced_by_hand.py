"""An order that a person put in the place of one of ours: an entry ends like any of ours, an exit keeps its price."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import LIMITS
from tests.orders.test_working_orders import entered, exits, leaving, sent, why, working
from tests.venues import FakeReader
from tests.worlds import Scene, call
from tradebot.cycle import flatten
from tradebot.model.order import Order, OrderStatus
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.values import replace
from tradebot.reconciliation.reconcile import reconcile


def repriced(scene: Scene, times: int = 1, price: str = "99") -> Order:
    """Let a person replace our working order at the venue, again and again, each under their own id."""
    for number in range(times):
        change = replace(
            scene.venue.submitted[-1],
            client_order_id=f"by hand {number}",
            target_venue_id=working(scene).venue_id,
            limit_price=Decimal(price),
        )
        scene.venue.replacement(change)
    return working(scene)


def halted(scene: Scene) -> None:
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", scene.venue.now))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("times", [1, 3])
def test_a_halt_ends_the_entry_that_stands_in_the_place_of_ours(times: int, known: bool) -> None:
    scene = Scene()
    entered(scene)
    order = repriced(scene, times)
    if known:
        reconcile(FakeReader(scene.venue), scene.ledger)
    halted(scene)
    record = exits(scene, "open+31m")
    assert (sent(record), why(record.candidates[-1])) == ([("cancel", Reason.SENT)], Reason.HALTED)
    assert [intent.target_venue_id for intent in scene.venue.cancelled] == [order.venue_id]
    assert scene.venue.view().orders == ()


def test_an_entry_that_a_person_repriced_lives_no_longer_than_ours() -> None:
    scene = Scene()
    entered(scene)
    repriced(scene)
    scene.later(LIMITS.entry_life_s - 1)
    assert sent(exits(scene, "open+39m")) == []
    scene.later(1)
    assert sent(exits(scene, "open+40m")) == [("cancel", Reason.SENT)]


def test_an_exit_keeps_the_price_that_a_person_gave_it_until_flatten_closes_all() -> None:
    scene, _ = leaving()
    order = repriced(scene)
    scene.later(3600)
    assert sent(exits(scene, "open+95m")) == []
    assert working(scene) == order
    record = flatten(scene.world(), call(Job.EVALUATE_EXITS, "flatten"), None)
    assert sent(record) == [("replace", Reason.SENT)]
    assert working(scene).open_quantity == scene.venue.held["AAPL"]


def test_an_order_of_others_that_took_the_place_of_others_is_left_alone() -> None:
    scene = Scene()
    promised = entered(scene)
    exits(scene, "open+31m")
    stranger = scene.venue.rest("typed by hand", "MSFT", promised)
    followed = replace(stranger, venue_id="before", client_order_id="typed before", replaced_by=stranger.venue_id)
    ended = replace(followed, status=OrderStatus.REPLACED)
    scene.ledger.apply_orders([ended], scene.venue.now)
    halted(scene)
    assert [found.candidate.symbol for found in exits(scene, "open+32m").candidates] == ["AAPL"]


def test_a_venue_that_closes_a_chain_to_a_ring_is_not_followed_for_ever() -> None:
    scene = Scene()
    promised = entered(scene)
    ring = [scene.venue.rest(f"by hand {number}", "MSFT", promised) for number in range(3)]
    told = [replace(one, replaced_by=ring[(n + 1) % 3].venue_id) for n, one in enumerate(ring)]
    scene.ledger.apply_orders([replace(one, status=OrderStatus.REPLACED) for one in told[:2]], scene.venue.now)
    scene.venue.book["by hand 2"] = told[2]
    scene.venue.now += timedelta(seconds=1)
    halted(scene)
    assert sent(exits(scene, "open+31m")) == [("cancel", Reason.SENT)]
