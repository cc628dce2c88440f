"""The rehearsal on fakes: one order that cannot fill, cancelled again, through the road of all orders."""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import NOW, listing, quote
from tradebot.model.candidate import Side
from tradebot.model.intent import IntentState, Operation
from tradebot.model.order import OrderStatus
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, TradingState, TradingStateRecord
from tradebot.orders.rehearsal import LOOKS, RehearsalProgress, far_below, rehearse

T = TypeVar("T")


def at_once(step: Callable[[], T]) -> T:
    return step()


def rehearsed(scene: Scene, slot: str = "doctor") -> RehearsalProgress:
    found = rehearse(scene.world(), call(slot=slot), lambda: None, at_once)
    assert found is not None
    return found


def test_one_share_is_promised_sent_cancelled_and_known_to_have_ended() -> None:
    scene = Scene()
    scene.price("MSFT", "400")
    found = rehearsed(scene)
    (sent,), (cancel,) = scene.venue.submitted, scene.venue.cancelled
    assert (sent.instrument.symbol, sent.side, sent.quantity, sent.limit_price) == (
        "MSFT",
        Side.BUY,
        Decimal(1),
        Decimal(40),
    )
    assert found.working is not None
    assert found.ended is not None
    assert (found.working.status, found.ended.status) == (OrderStatus.NEW, OrderStatus.CANCELED)
    promised = scene.ledger.intents()
    assert [record.intent for record in promised] == [sent, cancel]
    assert {record.state for record in promised} == {IntentState.ACKED}
    assert {record.intent.key.strategy for record in promised} == {"doctor"}
    assert scene.ledger.orders(working=True) == ()
    assert scene.facts.cycles(job="trade-once") == ()


@pytest.mark.parametrize(("reply", "reason"), [(LOST, Reason.VENUE_UNKNOWN), (REJECTED, Reason.VENUE_REJECTED)])
def test_an_order_that_was_not_accepted_is_not_cancelled(reply: object, reason: Reason) -> None:
    scene = Scene()
    scene.venue.script = dict.fromkeys(scene.venue.prices, reply)  # type: ignore[arg-type]
    found = rehearsed(scene)
    assert (found.sent.reason, found.cancelled) == (reason, None)
    assert scene.venue.cancelled == []


def test_a_halt_and_a_closed_door_refuse_it_before_the_promise() -> None:
    halted, closed = Scene(), Scene(permission=Permission(((Reason.LIVE_NOT_ARMED, "live"),)))
    halted.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "test", "why", NOW))
    assert rehearsed(halted).sent.reason is Reason.HALTED
    assert rehearsed(closed).sent.reason is Reason.LIVE_NOT_ARMED
    for scene in (halted, closed):
        assert (scene.venue.submitted, scene.ledger.intents()) == ([], ())


def test_the_same_slot_is_rehearsed_once() -> None:
    scene = Scene()
    rehearsed(scene)
    assert rehearsed(scene).sent.reason is Reason.DUPLICATE_INTENT
    assert rehearsed(scene, "doctor#2").sent.passed
    assert [intent.operation for intent in scene.venue.submitted] == [Operation.SUBMIT] * 2


def test_without_a_free_symbol_that_has_a_quote_nothing_is_tried() -> None:
    scene = Scene()
    scene.venue.prices = {}
    assert rehearse(scene.world(), call(), lambda: None, at_once) is None
    scene = Scene()
    scene.venue.prices = {"AAPL": quote("AAPL")}
    scene.venue.held["AAPL"] = Decimal(5)
    assert rehearse(scene.world(), call(), lambda: None, at_once) is None


def test_a_venue_that_never_says_that_the_order_ended_is_asked_a_bounded_number_of_times() -> None:
    scene, waited = Scene(), [0]
    stubborn = scene.venue.order

    def order(name: str) -> object:
        found = stubborn(name)
        return replace(found, status=OrderStatus.PENDING_CANCEL) if found else None

    def pause() -> None:
        waited[0] += 1

    scene.venue.order = order  # type: ignore[assignment,method-assign]
    found = rehearse(scene.world(), call(), pause, at_once)
    assert found is not None
    assert found.ended is not None
    assert (found.ended.status, waited) == (OrderStatus.PENDING_CANCEL, [LOOKS])


@given(st.decimals("0.0001", "100000", places=4, allow_nan=False))
def test_the_price_is_a_tenth_of_the_bid_on_the_tick_and_never_zero(bid: Decimal) -> None:
    price = far_below(listing(), replace(quote("AAPL"), bid=bid))
    tick = Decimal("0.01") if bid >= 10 else Decimal("0.0001")
    assert price % tick == 0
    assert tick <= price <= max(bid / 10, tick)
