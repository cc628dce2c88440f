"""Orders at venues that can do less than Alpaca: no id leads to a second order, judged by what the venue received."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from tests.kit.core.apart import MADE_UP, MadeUpVenue
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import CASH, EXITS, NOW, SESSION, there
from tradebot.desk.snapshot import take_desk
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Gate
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, IntentState
from tradebot.model.limits import Protection
from tradebot.model.order import OrderClass, OrderStatus, OrderType, TimeInForce
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Capabilities, ClientIds, Edit, Pairs
from tradebot.orders.amendments import WAITS
from tradebot.orders.entry_orders import lost_close

EVERY = pytest.mark.parametrize("ids", list(ClientIds))
REUSABLE = pytest.mark.parametrize("ids", [ClientIds.WHILE_OPEN, ClientIds.FREE])


def scene(can: Capabilities = MADE_UP, protection: Protection = Protection.BOT) -> tuple[Scene, MadeUpVenue]:
    """Return a scene at a made-up venue that can do so much, and that venue."""
    venue = MadeUpVenue(SESSION, NOW, CASH, can)
    return Scene(venue=venue, exits=EXITS.model_copy(update={"protection": protection})), venue


def exits(found: Scene, slot: str) -> CycleRecord:
    return evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, slot))


def holding(can: Capabilities = MADE_UP, protection: Protection = Protection.BOT) -> tuple[Scene, MadeUpVenue]:
    """Return a scene in which the bot holds AAPL, bought at 100, and nothing was received since."""
    found, venue = scene(can, protection)
    trade_once(found.world(wanted("AAPL")), call())
    venue.fill(venue.submitted[-1].client_order_id, "100")
    found.later(60)
    venue.received.clear()
    return found, venue


def leaving(ids: ClientIds, *, arrives: bool) -> tuple[Scene, MadeUpVenue, Intent]:
    """Return a scene whose exit was sent just now, and its answer lost; whether it arrived is the question."""
    found, venue = holding(replace(MADE_UP, client_ids=ids))
    found.price("AAPL", "97")
    venue.script["AAPL"], venue.swallows = LOST, not arrives
    exits(found, "open+31m")
    venue.script.clear()
    return found, venue, venue.submitted[-1]


def looks(found: Scene, count: int, seconds: int = 31) -> None:
    """Run so many passes of exits, this far apart."""
    for number in range(count):
        found.later(seconds)
        exits(found, f"open+{32 + number}m")


def state_of(found: Scene, intent: Intent) -> IntentState:
    return there(found.ledger.intent(intent.client_order_id)).state


def held(found: Scene) -> Decimal:
    return sum((position.quantity for position in found.ledger.totals().own_positions()), Decimal(0))


@EVERY
def test_an_exit_whose_answer_was_lost_makes_one_order_however_often_it_is_looked_at(ids: ClientIds) -> None:
    found, venue, lost = leaving(ids, arrives=True)
    looks(found, 4)
    mine = [order for order in venue.made if order.side is lost.side]
    assert [order.client_order_id for order in mine] == [lost.client_order_id]
    assert venue.received == [lost.client_order_id]


@REUSABLE
def test_a_request_is_not_sent_again_where_it_could_make_a_second_order(ids: ClientIds) -> None:
    found, venue, lost = leaving(ids, arrives=False)
    venue.history_answers = False
    looks(found, 4)
    assert venue.received == [lost.client_order_id]
    record = exits(found, "open+40m")
    (last,) = (decision for each in record.candidates for decision in each.decisions if not decision.passed)
    assert (last.gate, last.reason) == (Gate.UNRESOLVED, Reason.INTENT_UNRESOLVED)


def test_an_id_that_is_unique_for_ever_is_sent_again_until_its_order_is_there() -> None:
    found, venue, lost = leaving(ClientIds.UNIQUE, arrives=False)
    venue.history_answers = False
    venue.swallows = False
    looks(found, 1)
    assert venue.received == [lost.client_order_id] * 2
    assert [order.client_order_id for order in venue.made if order.side is lost.side] == [lost.client_order_id]


@REUSABLE
def test_another_exit_goes_out_once_the_first_is_proven_never_to_have_arrived(ids: ClientIds) -> None:
    found, venue, lost = leaving(ids, arrives=False)
    venue.swallows = False
    looks(found, 1)
    assert state_of(found, lost) is IntentState.ABANDONED
    assert len(venue.received) == 2
    assert venue.received[1] != lost.client_order_id
    assert [order.quantity for order in venue.made if order.side is lost.side] == [lost.quantity]


@EVERY
def test_an_exit_that_filled_and_was_forgotten_is_found_in_the_history_and_not_sent_again(ids: ClientIds) -> None:
    found, venue, lost = leaving(ids, arrives=True)
    venue.history_answers = False
    venue.fill(lost.client_order_id, "97")
    looks(found, 2)
    assert state_of(found, lost) is IntentState.UNKNOWN
    venue.history_answers = True
    looks(found, 2)
    assert state_of(found, lost) is IntentState.ACKED
    assert held(found) == venue.held["AAPL"] == 0
    assert {owned.strategy for owned in found.ledger.fills()} == {"flow"}
    assert venue.received == [lost.client_order_id]


@REUSABLE
def test_a_slot_that_runs_again_sends_no_order_under_an_id_that_the_venue_would_take_again(ids: ClientIds) -> None:
    found, venue = scene(replace(MADE_UP, client_ids=ids))
    trade_once(found.world(wanted("AAPL")), call())
    (name,) = venue.received
    venue.cancel(replace(venue.submitted[-1], target_venue_id=venue.made[-1].venue_id))
    assert not venue._is_taken(name), "the venue would make a second order"
    for _ in range(2):
        found.later(60)
        trade_once(found.world(wanted("AAPL")), call())
    assert venue.received == [name]


@REUSABLE
def test_another_order_under_our_id_does_not_stand_for_the_one_we_sent_whose_end_is_learned(ids: ClientIds) -> None:
    found, venue = scene(replace(MADE_UP, client_ids=ids))
    trade_once(found.world(wanted("AAPL")), call())
    (order,) = venue.made
    # The first one has ended, and the network delivers its request once more.
    venue.book = {"ended": replace(order, status=OrderStatus.CANCELED)}
    again = venue.rest(order.client_order_id, "AAPL", venue.submitted[-1])
    again = replace(again, venue_id="another", status=OrderStatus.FILLED, filled_quantity=Decimal(1))
    venue.order = lambda name: again  # type: ignore
    venue.book.pop(order.client_order_id)
    found.later(60)
    exits(found, "open+31m")
    # The list of ended orders tells of the first one, by the venue's id.
    assert [(o.venue_id, o.status) for o in found.ledger.orders()] == [(order.venue_id, OrderStatus.CANCELED)]


def test_orders_live_until_canceled_where_there_is_no_day() -> None:
    _, venue = holding()
    assert [intent.time_in_force for intent in venue.submitted] == [TimeInForce.GTC]


def test_an_exit_is_sent_anew_where_no_order_changes_its_price() -> None:
    found, venue = holding()
    found.price("AAPL", "97")
    exits(found, "open+31m")
    found.later(180)
    found.price("AAPL", "96")
    exits(found, "open+35m")
    assert venue.replaced == []
    assert [order.status for order in venue.made[1:]] == [OrderStatus.CANCELED, OrderStatus.NEW]
    assert [order.quantity for order in venue.made[1:]] == [venue.held["AAPL"]] * 2


def test_an_exit_without_a_quote_waits_where_there_are_no_market_orders() -> None:
    found, venue = holding(replace(MADE_UP, order_types=frozenset({OrderType.LIMIT, OrderType.STOP})))
    found.later(EXITS.time_exit_s + 60)
    del venue.prices["AAPL"]
    record = exits(found, "open+390m")
    (last,) = (decision for each in record.candidates for decision in each.decisions if not decision.passed)
    assert (last.gate, last.reason) == (Gate.QUOTE_FRESH, Reason.QUOTE_MISSING)
    assert venue.received == []


@pytest.mark.parametrize("edit", [Edit.NONE, Edit.NEW_ID])
def test_a_stop_rests_beside_its_target_where_there_are_no_pairs_and_follows_the_price(edit: Edit) -> None:
    found, venue = holding(replace(MADE_UP, edit=edit, pairs=Pairs.TWO_ORDERS), Protection.VENUE)
    exits(found, "open+31m")
    stop, target = (intent for intent in venue.submitted if intent.purpose is Purpose.PROTECT)
    assert (target.order_type, target.stop_price) == (OrderType.LIMIT, None)
    assert (stop.order_class, stop.order_type, stop.stop_price) == (OrderClass.SIMPLE, OrderType.STOP, Decimal("98.00"))
    found.later(60)
    found.price("AAPL", "102")
    exits(found, "open+32m")
    working = [order for order in venue.made if order.stop_price and not order.status.terminal]
    assert len(working) == 1
    assert working[0].stop_price is not None
    assert working[0].stop_price > Decimal("98.00")
    assert bool(venue.replaced) is (edit is Edit.NEW_ID)


@REUSABLE
def test_a_lost_stop_is_not_sent_again_where_it_could_rest_twice(ids: ClientIds) -> None:
    found, venue = holding(replace(MADE_UP, client_ids=ids), Protection.VENUE)
    venue.script["AAPL"], venue.swallows, venue.history_answers = LOST, True, False
    looks(found, 4)
    (name,) = venue.received
    assert venue.submitted[-1].purpose is Purpose.PROTECT
    venue.script.clear()
    venue.swallows, venue.history_answers = False, True
    looks(found, 6)
    assert [order.client_order_id == name for order in venue.made if order.stop_price] == [False]
    stops = [one for one in venue.submitted if one.purpose is Purpose.PROTECT and one.stop_price]
    assert len(stops) == 2, "another one, once the first is proven never to have arrived"


@REUSABLE
def test_a_lost_replace_is_not_sent_again_where_it_could_make_a_second_order(ids: ClientIds) -> None:
    found, venue = holding(replace(MADE_UP, client_ids=ids, edit=Edit.NEW_ID))
    found.price("AAPL", "97")
    exits(found, "open+31m")
    found.later(180)
    found.price("AAPL", "96")
    venue.script["AAPL"], venue.swallows, venue.history_answers = LOST, True, False
    for minute in (35, 36, 37):
        found.later(60)
        record = exits(found, f"open+{minute}m")
    assert len(venue.replaced) == 1
    waits = [each for each in record.candidates if WAITS in each.decisions]
    assert [each.candidate.source for each in waits] == ["replace"]


def test_a_close_that_makes_room_is_not_sent_again_where_it_could_close_twice() -> None:
    for ids, found_again in ((ClientIds.UNIQUE, True), (ClientIds.FREE, False)):
        found, venue, lost = leaving(ids, arrives=False)
        venue.history_answers = False
        found.ledger.record_intent(replace(lost, client_order_id="tb1.displaced", displaced_by="JPM"), ())
        found.later(31)
        world = found.world()
        assert bool(lost_close(world, take_desk(world, for_entries=False), "flow")) is found_again


class SmallestOrder(MadeUpVenue):
    """Takes orders for at least three units."""

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        return {name: replace(one, minimum=Decimal(3)) for name, one in super().listings(symbols).items()}


def test_less_than_the_smallest_order_is_asked_to_be_closed_once_a_session() -> None:
    venue = SmallestOrder(SESSION, NOW, CASH, MADE_UP)
    found = Scene(venue=venue, exits=EXITS.model_copy(update={"protection": Protection.BOT}))
    trade_once(found.world(wanted("AAPL")), call())
    venue.fill(venue.submitted[-1].client_order_id, "100", Decimal(2))
    found.later(700)
    found.price("AAPL", "97")
    venue.script["AAPL"] = REJECTED
    passes = list[CycleRecord]()
    for number in range(3):
        found.later(60)
        passes.append(exits(found, f"open+{40 + number}m"))
    closing = [intent for intent in venue.submitted if intent.purpose is not Purpose.OPEN]
    assert [intent.quantity for intent in closing] == [Decimal(2)]
    refused = [decision for record in passes[-1].candidates for decision in record.decisions]
    assert {one.reason for one in refused if not one.passed} == {Reason.FRACTION_REFUSED}
