"""Orders over the embedded exchange's TWS: one message each, and only the venue's words say what became of it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.kit.adapters.ibkr import Connection, Exchange, Message, desk, intent, made, scripted, usual
from tests.kit.fakes.failpoints import hooked
from tests.kit.rows import make_order
from tradebot.errors import TemporaryError
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import TARGET_DONE, Intent, Operation
from tradebot.model.order import OrderClass, OrderStatus, OrderType, WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.model.venue import End
from tradebot.venues.ibkr import orders

NOBODY = "77"


def bracket(**changes: Any) -> Intent:
    """Return an entry with its stop."""
    return intent(order_class=OrderClass.BRACKET, stop_price=Decimal(5_000), **changes)


def target(quantity: int, limit: int, **changes: Any) -> Intent:
    """Return a target that rests apart from its stop."""
    asked = intent(
        Side.SELL, quantity=Decimal(quantity), limit_price=Decimal(limit), purpose=Purpose.PROTECT, **changes
    )
    return replace(asked, key=replace(asked.key, side=Side.SELL, role=Purpose.PROTECT))


def cancel(venue_id: str) -> Intent:
    """Return what asks to cancel an order."""
    return replace(intent(operation=Operation.CANCEL), target_venue_id=venue_id)


def test_a_cancel_is_accepted_of_what_is_open_or_ended_and_answered_with_the_ended_order(one: Connection) -> None:
    asked = intent()
    order = made(one.orders.submit(asked))
    first, again = (one.orders.cancel(cancel(order.venue_id)) for _ in range(2))
    assert {first.outcome, again.outcome} == {WriteOutcome.ACCEPTED}
    over = made(first)
    assert (over.venue_id, over.status, over.filled_quantity) == (order.venue_id, OrderStatus.CANCELED, Decimal(0))
    assert again.order is None, "of one that has ended, the lists tell"
    ended = one.reader.end_of(asked, [], asked.at)
    assert ended.order is not None
    assert (ended.end, ended.order.status) == (End.OVER, OrderStatus.CANCELED)
    reply = one.orders.cancel(cancel(NOBODY))
    assert (reply.outcome, reply.code) == (WriteOutcome.REJECTED, "not_found")
    changed = one.orders.replace(intent(operation=Operation.REPLACE, target_venue_id=order.venue_id))
    assert (changed.outcome, changed.code) == (WriteOutcome.REJECTED, TARGET_DONE)


def test_an_order_of_another_client_id_is_left_alone(one: Connection, there: Exchange) -> None:
    with desk(there.port, client_id=77) as other:
        order = made(other.orders.submit(intent()))
        for reply in (one.orders.cancel(cancel(order.venue_id)), one.orders.replace(cancel(order.venue_id))):
            assert (reply.outcome, reply.code) == (WriteOutcome.REJECTED, "another_client")
        assert other.orders.cancel(cancel(order.venue_id)).outcome is WriteOutcome.ACCEPTED


@pytest.mark.parametrize("what", ["reply_lost", {"reset": "after"}, {"reset": "before"}, {"hang": "2s"}], ids=str)
def test_an_answer_that_proves_nothing_is_unknown_and_looked_up(one: Connection, there: Exchange, what: object) -> None:
    asked = intent(at=there.now)
    one.reader.listings(["ESZ6"])
    there.trouble(what, request="submit", nth=1)
    reply = one.orders.submit(asked)
    assert (reply.outcome, reply.code) == (WriteOutcome.UNKNOWN, "no_answer")
    there.calm()
    one.venue.link.hang_up()
    arrived = there.accepted(asked.client_order_id)
    proof = one.reader.end_of(asked, [], there.now)
    assert proof.end is (End.WORKING if arrived else End.UNKNOWN), "two minutes have to pass first"
    later = one.reader.end_of(asked, [], there.now + timedelta(minutes=3))
    assert later.end is (End.WORKING if arrived else End.OVER)
    if later.order is not None:
        one.orders.cancel(cancel(later.order.venue_id))


def test_nothing_is_sent_while_the_venue_is_lost(one: Connection, there: Exchange) -> None:
    one.reader.listings(["ESZ6"])
    there.trouble({"connection_lost": "30s"}, request="clock", nth=1)
    with pytest.raises(TemporaryError, match="1100"):
        one.reader.clock()
    asked = intent()
    reply = one.orders.submit(asked)
    assert (reply.outcome, reply.code) == (WriteOutcome.REJECTED, "not_sent")
    there.calm()
    there.passes(60)
    assert not there.accepted(asked.client_order_id)


def test_a_bracket_is_sent_parent_first_and_works_with_its_last_message(one: Connection, there: Exchange) -> None:
    asked = bracket(limit_price=Decimal("6500"), at=there.now)
    reply = one.orders.submit(asked)
    entry = made(reply)
    (stop,) = reply.legs
    assert (entry.order_class, entry.parent, stop.parent) == (OrderClass.BRACKET, None, entry.venue_id)
    assert (stop.status, stop.stop_price, stop.side) == (OrderStatus.HELD, Decimal(5_000), Side.SELL)
    there.passes(120)
    filled = one.reader.order(asked.client_order_id)
    assert filled is not None
    assert (filled.status, filled.filled_quantity) == (OrderStatus.FILLED, Decimal(2))
    (works,) = one.reader.legs(entry.venue_id)
    assert (works.venue_id, works.status, works.quantity) == (stop.venue_id, OrderStatus.NEW, Decimal(2))
    one.orders.cancel(cancel(stop.venue_id))
    made(one.orders.submit(intent(Side.SELL, order_type=OrderType.MARKET, limit_price=None)))
    there.passes(120)
    assert one.reader.position("ESZ6") is None


class LostError(Exception):
    """Stands for the end of a process between two messages."""


class _Ends:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, name: str, *rest: object) -> None:
        if self.name in name:
            raise LostError(name)


@pytest.fixture
def dies() -> Iterator[None]:
    with hooked(_Ends("ibkr.send_stop")):
        yield


@pytest.mark.usefixtures("dies")
def test_a_bracket_whose_last_message_is_lost_leaves_nothing_at_work(there: Exchange) -> None:
    with desk(there.port) as one:
        asked = bracket(limit_price=Decimal("6500"), at=there.now)
        with pytest.raises(LostError):
            one.orders.submit(asked)
    there.passes(180)
    with desk(there.port) as after:
        assert not there.accepted(asked.client_order_id)
        assert after.reader.view().orders == ()
        assert after.reader.position("ESZ6") is None
        assert after.reader.end_of(asked, [], there.now).end is End.OVER


def said(*messages: Message) -> Any:
    """Return a Gateway's answers: these to an order, in which ID stands for the order's id, and the usual ones."""

    def answer(fields: Sequence[str]) -> list[Message]:
        if fields[0] == "9":
            return [_details(fields[2]), (52, 1, fields[2])]
        if fields[0] == "3":
            return [tuple(fields[1] if one == "ID" else one for one in message) for message in messages]
        return usual(fields)

    return answer


def _details(number: str) -> Message:
    names = (10, number, "ES", "FUT", "20261218 08:30 US/Central", 0, "", "CME", "USD", "ESZ6", "ES", "ES", 1, 0.25, 50)
    hours = ("", "CME", 1, 1, "E-mini", "", "202612", "", "", "", "US/Central", "", "", "", 0, 0)
    return (*names, *hours, 1, "ES", "IND", "1", "20261218", "", 1, 1, 1)


def test_a_target_and_the_stop_of_its_entry_never_both_fill(one: Connection, there: Exchange) -> None:
    entry = bracket(order_type=OrderType.MARKET, limit_price=None, at=there.now)
    order = made(one.orders.submit(entry))
    there.passes(120)
    apart, beside = (made(one.orders.submit(target(size, 9_000, at=there.now))) for size in (1, 2))
    (stop,) = one.reader.legs(order.venue_id)
    groups = {name: sent.ocaGroup for name, (_, _, sent) in one.reader.order_reports().own.items()}
    assert groups == {stop.venue_id: entry.client_order_id, beside.venue_id: entry.client_order_id, apart.venue_id: ""}
    one.orders.cancel(cancel(apart.venue_id))
    closing = target(2, 4_000, operation=Operation.REPLACE, target_venue_id=beside.venue_id, at=there.now)
    made(one.orders.replace(replace(closing, client_order_id=beside.client_order_id)))
    there.passes(120)
    view = one.reader.view()
    assert (view.positions, view.orders) == ((), ()), "the stop has gone with the fill of the target"


@pytest.mark.parametrize(
    ("messages", "outcome", "code"),
    [
        ([(4, 2, "ID", 201, "Order rejected - reason: margin", "")], WriteOutcome.REJECTED, "201"),
        ([(4, 2, "ID", 321, "The API interface is currently in Read-Only mode.", "")], WriteOutcome.REJECTED, "321"),
        ([(4, 2, "ID", 12345, "a number nobody knows", "")], WriteOutcome.UNKNOWN, "12345"),
        ([(4, 2, "ID", 399, "Warning: your order will be placed later", "")], WriteOutcome.UNKNOWN, "no_answer"),
        ([(3, "ID", "Inactive", 0, 2, 0, 11, 0, 0, 9102, "", 0)], WriteOutcome.UNKNOWN, "no_answer"),
        ([(3, "ID", "Submitted", 0, 2, 0, 11, 0, 0, 9102, "", 0)], WriteOutcome.UNKNOWN, "no_answer"),
        ([], WriteOutcome.UNKNOWN, "no_answer"),
    ],
)
def test_what_each_answer_proves(messages: list[Message], outcome: WriteOutcome, code: str) -> None:
    with scripted(said(*messages)) as gateway, desk(gateway.port) as one:
        reply = one.orders.submit(intent())
        assert (reply.outcome, reply.code) == (outcome, code)
        assert sum(fields[0] == "3" for fields in gateway.heard) == 1
        if code == "321":
            assert "Read-Only API" in str(reply.message)


def test_a_refused_stop_takes_its_entry_with_it_and_proves_nothing_alone() -> None:
    def answer(fields: Sequence[str]) -> list[Message]:
        if fields[0] == "3" and "STP" in fields:
            return [(4, 2, fields[1], 201, "Order rejected - reason: the stop", "")]
        return list(said()(fields))

    with scripted(answer) as gateway, desk(gateway.port) as one:
        reply = one.orders.submit(bracket())
        assert (reply.outcome, reply.code) == (WriteOutcome.UNKNOWN, "201")
        for _ in range(100):
            if any(fields[0] == "4" for fields in gateway.heard):
                break
            time.sleep(0.005)
        parent, stop, ended = [fields for fields in gateway.heard if fields[0] in ("3", "4")]
        assert ended[2] == parent[1]
        assert int(stop[1]) > int(parent[1])


def test_an_entry_says_that_it_is_not_to_work_before_its_stop() -> None:
    with scripted(said()) as gateway, desk(gateway.port) as one:
        asked = bracket()
        one.orders.submit(asked)
        parent, stop = [fields for fields in gateway.heard if fields[0] == "3"]
        # The number, the order's id, twelve fields of the contract, two ids of the security, then the order.
        mark, transmit, hangs_on = 26, 27, 28
        assert (parent[transmit], stop[transmit]) == ("0", "1")
        assert (parent[hangs_on], stop[hangs_on]) == ("0", parent[1])
        assert parent[mark] == asked.client_order_id


@pytest.mark.parametrize(("reports", "is_proven"), [(1, False), (2, True)])
def test_a_cancel_in_progress_is_followed_to_its_end_for_a_moment_only(reports: int, is_proven: bool) -> None:
    words = [("status", SimpleNamespace(word=word, filled=0)) for word in ("PendingCancel", "Cancelled")]
    seen = iter([words[:1], words[:reports]])
    line: Any = SimpleNamespace(
        patience=SimpleNamespace(order=60.0),
        receiver=SimpleNamespace(
            gone=False, messages_about=lambda _: next(seen, words[:reports]), something=lambda: asyncio.sleep(0.02)
        ),
    )
    order = replace(make_order(), quantity=Decimal(2), filled_quantity=Decimal(0))
    reply = asyncio.run(asyncio.wait_for(orders._wait_for_cancel(line, 5, order), 10))
    assert (reply.outcome, reply.order is not None) == (WriteOutcome.ACCEPTED, is_proven)
