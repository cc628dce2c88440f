"""What each venue's adapter says of its requests, and that the venue keeps what the capabilities claim."""

from collections.abc import Iterator
from copy import copy
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from typing import Any

import pytest

from tests.conformance.played import PARTS, UNKNOWN_ID, UNTRADED, VenueAccount, made, truth
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import ID_CONFLICT, Intent, Operation
from tradebot.model.order import Order, OrderClass, OrderStatus, OrderType, Reply, WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.model.venue import ClientIds, Edit, Pairs

Place = tuple[str | int, ...]
"""The names and numbers on the way to something in an answer."""
NOTHING_PROVEN: list[Any] = [
    "reply_lost",
    {"status": 504},
    {"status": 503, "acceptance": "after"},
    {"status": 429},
    {"redirect": 302},
    {"html_body": None, "acceptance": "before"},
    "html_body",
    "empty_body",
    {"truncated_json": 9},
    {"truncated_json": None, "connection": "closed"},
    {"reset": "before"},
    {"reset": "after"},
    {"hang": "1s"},
    {"late_arrival": "5s"},
]
"""Answers from which nobody can tell whether the request was carried out."""


def is_open(desk: VenueAccount, order: Order) -> bool:
    """Return True if the venue lists an order as open."""
    return order.venue_id in {one.venue_id for one in desk.reader.view().orders}


def replace_of(desk: VenueAccount, order: Order, factor: str = "0.85") -> Intent:
    """Return what asks for another price of an order."""
    price = desk.price(factor)
    return desk.intent(operation=Operation.REPLACE, target_venue_id=order.venue_id, limit_price=price)


def test_an_order_is_accepted_as_it_was_asked_for_by_one_request(desk: VenueAccount) -> None:
    intent, order = desk.rests()
    assert len(desk.played.sent) == 1
    assert intent.matches_order(order)
    assert (order.limit_price, order.quantity) == (intent.limit_price, intent.quantity)
    assert not order.filled_quantity
    assert order.submitted_at == desk.now
    assert not order.status.terminal
    assert order.status is not OrderStatus.UNKNOWN
    assert is_open(desk, order)


def test_every_type_and_life_that_the_venue_claims_is_accepted_as_such(desk: VenueAccount) -> None:
    assert {desk.can.passing_life, desk.can.resting_life} <= desk.can.lives
    above, beyond = desk.price("1.2"), desk.price("1.21")
    prices: dict[OrderType, dict[str, Decimal]] = {
        OrderType.MARKET: {},
        OrderType.LIMIT: {"limit_price": desk.price("0.8")},
        OrderType.STOP: {"stop_price": above},
        OrderType.STOP_LIMIT: {"stop_price": above, "limit_price": beyond},
    }
    for kind in desk.can.order_types:
        for life in desk.can.lives:
            intent, order = desk.rests(order_type=kind, time_in_force=life, **prices[kind])
            shown = (order.order_type, order.time_in_force, order.limit_price, order.stop_price)
            assert shown == (kind, life, intent.limit_price, intent.stop_price)


def test_a_price_on_a_tick_is_accepted_and_one_beside_it_refused(desk: VenueAccount) -> None:
    steps, last = desk.listing.ticks, desk.price()
    for step, above in zip_longest(steps, steps[1:]):
        # Where the market isn't, on this step: an order to buy below it, or one to sell above.
        end = above.from_price if above else last
        below = step.from_price < last
        price = min(end, last) / 2 + step.from_price / 2 if below else max(step.from_price, last * 2)
        price, side = desk.listing.on_tick(price, "ROUND_UP"), Side.BUY if below else Side.SELL
        assert desk.listing.tick_at(price) == step.tick
        assert desk.rests(side=side, limit_price=price)[1].limit_price == price
        beside = desk.intent(side, limit_price=price + step.tick / 10)
        assert desk.orders.submit(beside).outcome is WriteOutcome.REJECTED
        assert not desk.accepted(beside.client_order_id)
    assert desk.rests(quantity=desk.listing.minimum)[1].quantity == desk.listing.minimum


@pytest.mark.parametrize("kind", ["too large", "not listed", "keys"])
def test_a_refusal_has_a_code_and_words_and_leaves_nothing_at_the_venue(desk: VenueAccount, kind: str) -> None:
    if kind == "keys" and not desk.played.has_keys:
        return
    intent = desk.intent()
    if kind == "too large":
        intent = replace(intent, quantity=desk.size * 1_000_000)
    elif kind == "not listed":
        intent = replace(intent, instrument=replace(intent.instrument, symbol=UNTRADED))
    else:
        desk.trouble("expired_keys", request="submit")
    reply = desk.orders.submit(intent)
    assert (reply.outcome, reply.order) == (WriteOutcome.REJECTED, None)
    assert reply.code
    assert reply.message
    # An adapter that has to know the contract first doesn't send what it doesn't know.
    assert len(desk.played.sent) == (0 if reply.code == "not_sent" else 1)
    assert not desk.logged("order_accepted")
    assert desk.reader.view().orders == ()
    assert desk.reader.order(intent.client_order_id) is None


def test_words_of_a_refusal_under_a_servers_error_prove_nothing(desk: VenueAccount) -> None:
    refused = desk.intent(quantity=desk.size * 1_000_000)
    for status in desk.played.road.statuses:
        desk.played.road.status = status
        assert desk.orders.submit(refused).outcome is WriteOutcome.UNKNOWN, status
    desk.played.road.status = None
    assert desk.orders.submit(refused).outcome is WriteOutcome.REJECTED


@pytest.mark.parametrize("what", NOTHING_PROVEN, ids=str)
def test_an_answer_that_proves_nothing_is_unknown_after_one_request(desk: VenueAccount, what: object) -> None:
    intent = desk.intent()
    desk.trouble(what, request="submit", nth=1)
    reply = desk.orders.submit(intent)
    assert reply.outcome is WriteOutcome.UNKNOWN
    assert reply.code
    assert len(desk.played.sent) == 1
    desk.played.passes()
    arrived = desk.accepted(intent.client_order_id)
    assert (desk.reader.order(intent.client_order_id) is not None) == bool(arrived)
    if desk.can.may_repeat(Operation.SUBMIT):
        assert made(desk.orders.submit(intent)).client_order_id == intent.client_order_id
        assert desk.accepted(intent.client_order_id) == 1


def test_an_answer_with_a_spoiled_field_is_never_taken_for_another_order_or_a_refusal(desk: VenueAccount) -> None:
    price, outcomes = desk.price("0.8"), list[WriteOutcome]()
    for place in _fields(desk):
        intent = desk.intent(limit_price=price)
        desk.played.road.lie = partial(_spoiled, place)
        reply = desk.orders.submit(intent)
        desk.played.road.lie = truth
        assert reply.outcome is not WriteOutcome.REJECTED, place
        assert reply.outcome is WriteOutcome.UNKNOWN or (reply.order and intent.matches_order(reply.order)), place
        outcomes.append(reply.outcome)
    assert outcomes.count(WriteOutcome.UNKNOWN) >= 6


def _fields(desk: VenueAccount) -> list[Place]:
    """Return the places of what the venue says of an order that it accepts."""
    intent, said = desk.intent(), list[Any]()
    desk.played.road.lie = lambda body: said.append(body) or body  # type: ignore[func-returns-value]
    desk.orders.submit(intent)
    desk.played.road.lie = truth
    return list(_places(said[0]))


def _places(said: Any) -> Iterator[Place]:
    inner = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for name, value in inner:
        yield (name,)
        yield from ((name, *place) for place in _places(value))


def _spoiled(place: Place, body: Any) -> Any:
    if not place:
        return "4.321"
    found = copy(body)
    found[place[0]] = _spoiled(place[1:], body[place[0]])
    return found


@pytest.mark.parametrize("what", NOTHING_PROVEN, ids=str)
@pytest.mark.parametrize("operation", [Operation.CANCEL, Operation.REPLACE], ids=str)
def test_a_change_whose_answer_proves_nothing_is_unknown_after_one_request(
    desk: VenueAccount, operation: Operation, what: object
) -> None:
    if operation is Operation.REPLACE and desk.can.edit is Edit.NONE:
        return
    _, order = desk.rests()
    desk.played.passes()
    asked = desk.cancel_of(order) if operation is Operation.CANCEL else replace_of(desk, order)
    desk.trouble(what, request=str(operation), nth=1)
    desk.played.sent.clear()
    reply = _asks(desk, asked)
    assert len(desk.played.sent) == 1
    desk.played.passes()
    # A yes without a body can't be cut.
    whole = reply.outcome is WriteOutcome.ACCEPTED and "truncated" in str(what) and not is_open(desk, order)
    assert whole or reply.outcome is WriteOutcome.UNKNOWN
    assert desk.can.may_repeat(operation)
    assert _asks(desk, asked).outcome is WriteOutcome.ACCEPTED
    desk.played.passes()
    assert is_open(desk, order) is (operation is Operation.REPLACE and desk.can.edit is Edit.IN_PLACE)


def _asks(desk: VenueAccount, intent: Intent) -> Reply:
    return (desk.orders.cancel if intent.operation is Operation.CANCEL else desk.orders.replace)(intent)


def test_a_request_that_arrives_twice_makes_one_order_unless_ids_are_free_and_then_a_finding(
    desk: VenueAccount,
) -> None:
    free = desk.can.client_ids is ClientIds.FREE
    for answer in ("first", "second"):
        intent = desk.intent()
        desk.trouble(
            {"delivered_twice": None, "answer": answer}, request="submit", client_order_id=intent.client_order_id
        )
        assert made(desk.orders.submit(intent)).client_order_id == intent.client_order_id
        assert desk.accepted(intent.client_order_id) == (2 if free else 1)
        desk.tally.counts.clear()
        assert desk.reader.order(intent.client_order_id)
        assert bool(desk.tally.counts) is free


def test_an_id_makes_no_second_order_for_as_long_as_the_venue_claims(desk: VenueAccount) -> None:
    intent, order = desk.rests()
    if desk.can.client_ids is not ClientIds.FREE:
        assert made(desk.orders.submit(intent)).venue_id == order.venue_id
        other = desk.orders.submit(replace(intent, quantity=intent.quantity * 2))
        assert (other.outcome, other.code) == (WriteOutcome.REJECTED, ID_CONFLICT)
        assert desk.accepted(intent.client_order_id) == 1
    assert desk.orders.cancel(desk.cancel_of(order)).outcome is WriteOutcome.ACCEPTED
    desk.played.passes()
    again = made(desk.orders.submit(intent))
    once = desk.can.client_ids is ClientIds.UNIQUE
    assert desk.accepted(intent.client_order_id) == (1 if once else 2)
    assert (again.venue_id == order.venue_id) is once


def test_a_cancel_is_accepted_of_what_is_open_or_has_ended_and_of_nothing_else(desk: VenueAccount) -> None:
    _, order = desk.rests()
    desk.played.sent.clear()
    for times in (1, 2):
        assert desk.orders.cancel(desk.cancel_of(order)).outcome is WriteOutcome.ACCEPTED
        # One who has looked needn't ask for the end of what has ended.
        assert 1 <= len(desk.played.sent) <= times
    assert not is_open(desk, order)
    unknown = desk.orders.cancel(desk.cancel_of(replace(order, venue_id=UNKNOWN_ID)))
    assert (unknown.outcome, bool(unknown.code)) == (WriteOutcome.REJECTED, True)


class Unpromised:
    """A cancel that no intent was made for."""

    def __init__(self, venue_id: str) -> None:
        self.target_venue_id = venue_id


def test_a_cancel_needs_no_intent(desk: VenueAccount) -> None:
    _, order = desk.rests()
    assert desk.orders.cancel(Unpromised(order.venue_id)).outcome is WriteOutcome.ACCEPTED
    assert not is_open(desk, order)


def test_a_cancel_that_the_venue_refuses_is_rejected_and_the_order_works(desk: VenueAccount) -> None:
    _, order = desk.rests()
    desk.trouble("refused", request="cancel", nth=1)
    reply = desk.orders.cancel(desk.cancel_of(order))
    assert (reply.outcome, bool(reply.code), bool(reply.message)) == (WriteOutcome.REJECTED, True, True)
    assert is_open(desk, order)


def test_an_order_is_edited_as_the_venue_claims(desk: VenueAccount) -> None:
    _, order = desk.rests()
    desk.played.passes()
    asked = replace_of(desk, order)
    desk.played.sent.clear()
    if desk.can.edit is Edit.NONE:
        with pytest.raises(AssertionError):
            desk.orders.replace(asked)
        assert not desk.played.sent
        return
    new = made(desk.orders.replace(asked))
    assert len(desk.played.sent) == 1
    assert (new.limit_price, new.quantity) == (asked.limit_price, asked.quantity)
    in_place = desk.can.edit is Edit.IN_PLACE
    assert (new.venue_id == order.venue_id) is in_place
    assert new.client_order_id == (order.client_order_id if in_place else asked.client_order_id)
    old = desk.reader.follower(order.venue_id)
    assert old is not None
    if not in_place:
        assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, new.venue_id)
    after = desk.reader.follower(new.venue_id)
    assert after is not None
    assert (after.client_order_id, after.limit_price) == (new.client_order_id, asked.limit_price)


def test_a_replace_of_what_has_ended_is_rejected_and_makes_no_order(desk: VenueAccount) -> None:
    if desk.can.edit is Edit.NONE:
        return
    _, order = desk.rests()
    desk.orders.cancel(desk.cancel_of(order))
    asked = replace_of(desk, order)
    reply = desk.orders.replace(asked)
    assert (reply.outcome, bool(reply.code)) == (WriteOutcome.REJECTED, True)
    assert not desk.accepted(asked.client_order_id)


def protecting(desk: VenueAccount, above: str, below: str) -> list[tuple[Intent, Reply]]:
    """Hold something, and let a target above the market and a stop below it rest for all of it, as the venue can."""
    desk.trades(Side.BUY, desk.size)
    prices = {"limit_price": desk.price(above), "stop_price": desk.price(below)}
    common: dict[str, Any] = {"purpose": Purpose.PROTECT, "time_in_force": desk.can.resting_life}
    if desk.can.pairs is Pairs.NATIVE:
        both = [desk.intent(Side.SELL, order_class=OrderClass.OCO, **prices, **common)]
    else:
        target, stop = prices["limit_price"], prices["stop_price"]
        both = [
            desk.intent(Side.SELL, limit_price=target, **common),
            desk.intent(Side.SELL, order_type=OrderType.STOP, stop_price=stop, **common),
        ]
    # The stop first: where nothing holds an order to what is left, a target joins the stop that is there.
    return [(intent, desk.orders.submit(intent)) for intent in reversed(both)][::-1]


def halves(desk: VenueAccount, sent: list[tuple[Intent, Reply]]) -> tuple[Order, Order]:
    """Return target and stop as they are."""
    orders = [made(reply) for _, reply in sent]
    if desk.can.pairs is Pairs.NATIVE:
        (leg,) = sent[0][1].legs
        assert leg.parent == orders[0].venue_id
        assert [one.venue_id for one in desk.reader.legs(orders[0].venue_id)] == [leg.venue_id]
        orders.append(leg)
    now = [desk.reader.follower(order.venue_id) for order in orders]
    assert now[0] is not None
    assert now[1] is not None
    return now[0], now[1]


def test_target_and_stop_rest_for_the_same_units_as_the_venue_claims(desk: VenueAccount) -> None:
    sent = protecting(desk, "1.2", "0.8")
    target, stop = halves(desk, sent)
    assert (target.order_type, stop.order_type) == (OrderType.LIMIT, OrderType.STOP)
    assert target.quantity == stop.quantity == desk.size
    shown = {order.venue_id: order for order in desk.reader.view().orders}
    assert shown.keys() == {target.venue_id, stop.venue_id}
    assert shown[stop.venue_id].status.can_trigger
    assert desk.orders.cancel(desk.cancel_of(stop)).outcome is WriteOutcome.ACCEPTED
    assert is_open(desk, target) is (desk.can.pairs is not Pairs.NATIVE)


def test_both_halves_together_never_sell_more_than_is_held(desk: VenueAccount) -> None:
    sent = protecting(desk, "1.0015", "0.9985")
    halves(desk, sent)
    desk.until(lambda: desk.reader.position(desk.symbol) is None)
    desk.played.passes()
    one, other = sorted(halves(desk, sent), key=lambda half: half.filled_quantity, reverse=True)
    assert (one.status, one.filled_quantity) == (OrderStatus.FILLED, desk.size)
    assert not other.filled_quantity
    assert other.status.terminal or desk.can.pairs is not Pairs.NATIVE
    # By then, the market has been at both prices.
    desk.played.passes(timedelta(hours=5))
    assert sum(half.filled_quantity for half in halves(desk, sent)) == desk.size
    assert desk.reader.position(desk.symbol) is None


def test_an_order_that_closes_opens_nothing_where_the_venue_can_hold_it_to_that(desk: VenueAccount) -> None:
    closing = desk.at_market(Side.SELL, purpose=Purpose.CLOSE)
    reply = desk.orders.submit(closing)
    desk.until(lambda: not desk.reader.view().orders)
    held = desk.reader.position(desk.symbol)
    if desk.can.reduce_only:
        assert held is None
        assert reply.outcome is WriteOutcome.REJECTED
        desk.trades(Side.BUY, desk.size)
        large = desk.orders.submit(desk.at_market(Side.SELL, quantity=desk.size * 2, purpose=Purpose.CLOSE))
        assert large.outcome is not WriteOutcome.UNKNOWN
        desk.until(lambda: not desk.reader.view().orders)
        left = desk.reader.position(desk.symbol)
        assert left is None or left.quantity >= 0
    else:
        assert held is not None
        assert held.quantity == -desk.size


def test_a_large_order_fills_in_parts_and_what_is_left_of_it_can_be_canceled(desk: VenueAccount) -> None:
    intent, _ = desk.rests(quantity=desk.size * PARTS, limit_price=desk.price("1.05"))
    desk.until(lambda: desk.reader.position(desk.symbol))
    (order,) = desk.reader.view().orders
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert 0 < order.filled_quantity < intent.quantity
    assert desk.orders.cancel(desk.cancel_of(order)).outcome is WriteOutcome.ACCEPTED
    desk.played.passes()
    ended = desk.reader.order(intent.client_order_id)
    assert ended is not None
    assert (ended.status, ended.filled_quantity) == (OrderStatus.CANCELED, order.filled_quantity)


def test_the_stop_of_an_entry_waits_for_it_and_then_protects_what_it_bought(desk: VenueAccount) -> None:
    if desk.can.pairs is not Pairs.BRACKET:
        return
    stop: dict[str, Any] = {"order_class": OrderClass.BRACKET, "stop_price": desk.price("0.7")}
    waiting, filling = desk.orders.submit(desk.intent(**stop)), desk.intent(limit_price=desk.price("1.01"), **stop)
    entry = made(waiting)
    ((leg,), reply) = waiting.legs, desk.orders.submit(filling)
    assert (leg.parent, leg.status, entry.has_legs) == (entry.venue_id, OrderStatus.HELD, True)
    assert desk.orders.cancel(desk.cancel_of(entry)).outcome is WriteOutcome.ACCEPTED
    desk.until(lambda: desk.reader.end_of(filling, desk.sessions(), desk.now).end.value == "over")
    desk.played.passes()
    ((gone,), (works,)) = (desk.reader.legs(made(each).venue_id) for each in (waiting, reply))
    assert (gone.status, works.status.can_trigger, works.quantity) == (OrderStatus.CANCELED, True, desk.size)
    assert works.status is not OrderStatus.HELD
    assert {order.venue_id for order in desk.reader.view().orders} == {works.venue_id}
