"""What each venue's adapter proves of the end of an order: never more than is true, and in the end enough."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.conformance.played import VenueAccount, made
from tradebot.model.candidate import Side
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import OrderStatus, TimeInForce, WriteOutcome
from tradebot.model.venue import Edit, End, Proof
from tradebot.model.venue_day import VenueDay

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LONG = (SECOND, MINUTE, 2 * MINUTE, HOUR, *[3 * HOUR] * 16)
"""Steps through two days: what never arrived is proven by then."""


def proof(desk: VenueAccount, intent: Intent) -> Proof:
    """Return what is proven now."""
    found = desk.reader.end_of(intent, desk.sessions(), desk.now)
    assert found.evidence
    return found


def proofs(desk: VenueAccount, intent: Intent, steps: tuple[timedelta, ...] = LONG) -> Iterator[Proof]:
    """Yield what is proven now, and after each step."""
    yield proof(desk, intent)
    for step in steps:
        desk.played.passes(step)
        yield proof(desk, intent)


def lost(desk: VenueAccount, intent: Intent, what: object) -> Intent:
    """Send a request whose answer is lost."""
    desk.trouble(what, request=str(intent.operation), nth=1)
    asks = {Operation.SUBMIT: desk.orders.submit, Operation.CANCEL: desk.orders.cancel}
    assert asks.get(intent.operation, desk.orders.replace)(intent).outcome is WriteOutcome.UNKNOWN
    return intent


def test_an_open_order_is_working_and_one_that_ended_is_over_as_it_ended(desk: VenueAccount) -> None:
    intent, order = desk.rests()
    found = proof(desk, intent)
    assert (found.end, found.order and found.order.venue_id) == (End.WORKING, order.venue_id)
    desk.orders.cancel(desk.cancel_of(order))
    desk.played.passes()
    found = proof(desk, intent)
    assert (found.end, found.order and found.order.status) == (End.OVER, OrderStatus.CANCELED)
    bought = proof(desk, desk.trades(Side.BUY, desk.size))
    assert (bought.end, bought.order and bought.order.status) == (End.OVER, OrderStatus.FILLED)
    assert bought.order is not None
    assert bought.order.filled_quantity == desk.size


def test_what_filled_at_once_and_whose_answer_was_lost_is_never_taken_for_nothing(desk: VenueAccount) -> None:
    intent = lost(desk, desk.at_market(), "reply_lost")
    for found in proofs(desk, intent, (SECOND, MINUTE, SECOND, SECOND, *[MINUTE] * 3)):
        assert found.order or found.end is End.UNKNOWN
    assert (found.end, found.order and found.order.status) == (End.OVER, OrderStatus.FILLED)


@pytest.mark.parametrize("operation", list(Operation), ids=str)
def test_what_never_arrived_is_unknown_until_it_can_not_arrive_any_more(
    desk: VenueAccount, operation: Operation
) -> None:
    if operation is Operation.REPLACE and desk.can.edit is Edit.NONE:
        return
    target = None if operation is Operation.SUBMIT else desk.rests()[1].venue_id
    intent = lost(desk, desk.intent(operation=operation, target_venue_id=target), {"status": 504})
    ends = [(found.end, found.order) for found in proofs(desk, intent)]
    over = ends.index((End.OVER, None))
    assert over > 1, "a second proves nothing"
    unknown = ends.index((End.UNKNOWN, None), over) if desk.played.venue.forgets else len(ends)
    assert ends[:over] + ends[unknown:] == [(End.UNKNOWN, None)] * (len(ends) - unknown + over)
    assert set(ends[over:unknown]) == {(End.OVER, None)}


@pytest.mark.parametrize("delay", ["20s", "100s", "10m", "90m"])
def test_what_arrives_late_is_not_over_before_and_is_found_or_refused_then(desk: VenueAccount, delay: str) -> None:
    intent = lost(desk, desk.intent(), {"late_arrival": delay})
    steps = (*[15 * SECOND] * 9, *[4 * MINUTE] * 3, *[30 * MINUTE] * 3)
    for found in proofs(desk, intent, steps):
        arrived = desk.accepted(intent.client_order_id)
        if found.end is End.OVER and not arrived:
            desk.played.passes(2 * HOUR)
            assert not desk.accepted(intent.client_order_id), "it was over, and then it arrived"
            assert desk.logged("order_rejected", "message_lost")
            return
        assert found.end in ((End.UNKNOWN, End.WORKING) if arrived else (End.UNKNOWN,))
    assert (found.end, found.order and found.order.client_order_id) == (End.WORKING, intent.client_order_id)


@pytest.mark.parametrize("delay", ["100s", "10m"])
def test_a_late_cancel_is_not_over_while_it_may_still_arrive(desk: VenueAccount, delay: str) -> None:
    intent, order = desk.rests()
    cancel = lost(desk, desk.cancel_of(order), {"late_arrival": delay})
    for found in proofs(desk, cancel, (*[15 * SECOND] * 9, *[4 * MINUTE] * 3)):
        if found.end is End.OVER:
            before = proof(desk, intent).end
            desk.played.passes(2 * HOUR)
            assert proof(desk, intent).end is before, "it was over, and then it arrived"
            return
        assert (found.end, found.order) == (End.UNKNOWN, None)
    assert proof(desk, intent).end is End.OVER


@pytest.mark.parametrize(
    ("what", "request_", "status"),
    [
        ("partial_then_cancel", "submit", OrderStatus.CANCELED),
        ("reject_after_acceptance", "submit", OrderStatus.REJECTED),
        ({"late_acknowledgement": "90s"}, "submit", OrderStatus.CANCELED),
        ("fill_during_cancel", "cancel", OrderStatus.FILLED),
        ("reject_after_acceptance", "cancel", OrderStatus.NEW),
    ],
    ids=str,
)
def test_what_becomes_of_an_order_after_it_was_accepted_is_told(
    desk: VenueAccount, what: object, request_: str, status: OrderStatus
) -> None:
    desk.trouble(what, request=request_, nth=1)
    partly = what == "partial_then_cancel"
    intent = desk.intent(quantity=desk.size, limit_price=desk.price("1.05" if partly else "0.8"))
    reply = desk.orders.submit(intent)
    # Where both are told within a moment, the refusal is the answer.
    order = desk.reader.order(intent.client_order_id) if reply.outcome is WriteOutcome.REJECTED else made(reply)
    assert order is not None
    assert reply.outcome is WriteOutcome.ACCEPTED or order.status is status is OrderStatus.REJECTED
    desk.played.passes(3 * MINUTE if partly else MINUTE)
    if "late" in str(what):
        assert proof(desk, intent).end is End.WORKING
        (found,) = desk.reader.view().orders
        assert found.status.is_arriving is desk.played.venue.word_for_new
    if request_ == "cancel" or "late" in str(what):
        assert desk.orders.cancel(desk.cancel_of(order)).outcome is WriteOutcome.ACCEPTED
        desk.played.passes()
    ended = proof(desk, intent)
    assert ended.order is not None
    assert ended.order.status is status
    assert ended.end is (End.WORKING if status is OrderStatus.NEW else End.OVER)
    told = sum(fill.quantity for fill in desk.reader.fills(None))
    assert ended.order.filled_quantity == told
    assert (0 < told < intent.quantity) is partly


def test_what_ended_as_it_arrived_late_is_never_taken_for_nothing(desk: VenueAccount) -> None:
    latest_s = desk.played.venue.latest_s
    intent = lost(desk, desk.intent(), {"late_arrival": f"{latest_s}s"})
    desk.played.passes(latest_s * SECOND)
    (arrived,) = desk.logged("order_accepted")
    assert arrived["client_order_id"] == intent.client_order_id
    order = desk.reader.order(intent.client_order_id)
    assert order is not None
    cancel = desk.cancel_of(order)
    assert desk.orders.cancel(cancel).outcome is WriteOutcome.ACCEPTED
    for found in proofs(desk, intent, (*[SECOND] * 15, MINUTE)):
        assert found.order or found.end is End.UNKNOWN
    assert (found.end, found.order and found.order.status) == (End.OVER, OrderStatus.CANCELED)


@pytest.mark.parametrize("whose", ["the venue's", "UTC's"])
def test_a_change_of_date_right_after_sending_proves_nothing(desk: VenueAccount, whose: str) -> None:
    day = desk.can.day if whose == "the venue's" else VenueDay("UTC")
    midnight = day.begins(day.date_of(desk.now) + timedelta(days=1))
    desk.played.tick(to=(midnight - SECOND).isoformat())
    intent = lost(desk, desk.intent(), {"late_arrival": "40s"})
    before = day.date_of(desk.now)
    for found in proofs(desk, intent, (2 * SECOND, 8 * SECOND)):
        assert (found.end, found.order) == (End.UNKNOWN, None)
    assert day.date_of(desk.now) > before
    desk.played.passes(MINUTE)
    assert proof(desk, intent).order
    assert desk.accepted(intent.client_order_id) == 1


def test_a_lost_replace_is_known_by_the_order_that_it_made(desk: VenueAccount) -> None:
    if desk.can.edit is Edit.NONE:
        return
    _, order = desk.rests()
    desk.played.passes()
    price = desk.price("0.85")
    asked = desk.intent(operation=Operation.REPLACE, target_venue_id=order.venue_id, limit_price=price)
    lost(desk, asked, "reply_lost")
    if desk.can.edit is Edit.IN_PLACE:
        changed = desk.reader.follower(order.venue_id)
        assert changed is not None
        assert asked.is_shown_by(changed)
        return
    found = proof(desk, asked)
    assert (found.end, found.order and found.order.limit_price) == (End.WORKING, price)


def test_an_order_outlives_itself_only_after_it_has_ended_by_its_own_life(desk: VenueAccount) -> None:
    lives = {life: desk.rests(time_in_force=life) for life in desk.can.lives}
    outlived = dict.fromkeys(lives, "")
    for step in (SECOND, *[2 * HOUR] * 14):
        desk.played.passes(step)
        sessions, now = desk.sessions(), desk.now
        # It asks nobody.
        desk.trouble({"status": 500}, request="any read")
        outlived = {life: desk.reader.has_outlived(order, sessions, now) for life, (_, order) in lives.items()}
        desk.calm()
        working = {order.venue_id for order in desk.reader.view().orders}
        assert not [life for life, (_, order) in lives.items() if outlived[life] and order.venue_id in working]
    for life, (intent, order) in lives.items():
        assert bool(outlived[life]) is (life is TimeInForce.DAY)
        found = proof(desk, intent)
        assert found.order is not None
        assert found.order.venue_id == order.venue_id
        assert found.end is (End.OVER if outlived[life] else End.WORKING)
        ended = OrderStatus.EXPIRED if desk.played.venue.word_for_expired else OrderStatus.CANCELED
        assert (found.order.status is ended) is bool(outlived[life])


def test_the_same_id_sent_again_is_proven_by_the_newest_order(desk: VenueAccount) -> None:
    intent, first = desk.rests()
    desk.orders.cancel(desk.cancel_of(first))
    desk.played.passes()
    again = desk.intent(client_order_id=intent.client_order_id, limit_price=intent.limit_price)
    order = made(desk.orders.submit(again))
    found = proof(desk, again)
    assert found.order is not None
    assert (found.order.venue_id, found.order.status.terminal) == (order.venue_id, order.venue_id == first.venue_id)
