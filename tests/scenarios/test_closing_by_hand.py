"""Closing by hand: our orders on the symbol end first, then what is ours is closed, and nothing else is touched."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import NOW, fill
from tradebot.cycle import flatten
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.intent import Operation
from tradebot.model.order import Order
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, TradingState, TradingStateRecord

AT = NOW - timedelta(minutes=5)
BY_HAND = call(Job.EVALUATE_EXITS, "flatten 15:00:00Z")


def holding(*owners: str, symbols: tuple[str, ...] = ("AAPL", "MSFT")) -> Scene:
    scene = Scene()
    for number, (owner, symbol) in enumerate(zip(owners, symbols, strict=False), start=1):
        owned = fill(number, symbol=symbol, strategy=owner, side=Side.BUY, quantity="10", price="100", at=AT)
        scene.ledger.apply_fills([owned], AT)
        scene.venue.cash -= 1000
        scene.venue.held[symbol] = Decimal(10)
    return scene


def ends(cycle: CycleRecord) -> list[tuple[str, str, Reason | None]]:
    rows = ((r.candidate, r.terminal) for r in cycle.candidates)
    return [(one.symbol, one.source, end.reason if end else None) for one, end in rows]


def test_only_the_symbol_named_is_closed() -> None:
    scene = holding("flow", "flow")
    assert ends(flatten(scene.world(), BY_HAND, frozenset({"AAPL"}))) == [("AAPL", "flatten", None)]
    (intent,) = scene.venue.submitted
    assert (intent.side, intent.quantity) == (Side.SELL, Decimal(10))
    assert scene.ledger.intent(intent.client_order_id) is not None


def test_all_means_all_that_is_ours_and_never_what_is_foreign() -> None:
    scene = holding("flow", "")
    assert ends(flatten(scene.world(), BY_HAND, None)) == [("AAPL", "flatten", None)]
    assert {intent.instrument.symbol for intent in scene.venue.submitted} == {"AAPL"}


def test_our_working_order_ends_before_the_position_is_closed() -> None:
    scene = holding("flow")
    trade_once(scene.world(wanted("MSFT")), call())
    assert ends(flatten(scene.world(), BY_HAND, None)) == [("MSFT", "cancel", None), ("AAPL", "flatten", None)]
    assert [intent.operation for intent in scene.venue.cancelled] == [Operation.CANCEL]
    assert all(order.status.terminal for order in scene.venue.book.values() if order.symbol == "MSFT")


def test_what_a_cancelled_entry_had_filled_is_closed_too() -> None:
    scene = holding()
    trade_once(scene.world(wanted("MSFT")), call())
    (entry,) = scene.venue.submitted
    scene.venue.fill(entry.client_order_id, "100", Decimal(3))
    assert ends(flatten(scene.world(), BY_HAND, None)) == [("MSFT", "cancel", None), ("MSFT", "flatten", None)]
    assert scene.venue.submitted[-1].quantity == Decimal(3)


def working(scene: Scene) -> list[Order]:
    return [order for order in scene.venue.book.values() if not order.status.terminal]


@pytest.mark.parametrize(
    ("bid", "end", "price"),
    [("100", ("AAPL", "exit", Reason.EXIT_WORKING), "99.50"), ("90", ("AAPL", "replace", None), "89.55")],
)
def test_a_closing_order_that_still_works_is_left_or_repriced_when_flatten_is_typed_again(
    bid: str, end: tuple[str, str, Reason | None], price: str
) -> None:
    scene = holding("flow")
    scene.price("AAPL", "100")
    flatten(scene.world(), BY_HAND, None)
    scene.price("AAPL", bid)
    again = flatten(scene.world(), call(Job.EVALUATE_EXITS, "flatten 15:00:00Z#2"), None)
    assert ends(again) == [end]
    assert scene.venue.cancelled == []
    assert [order.limit_price for order in working(scene)] == [Decimal(price)]


def test_an_exit_of_a_part_is_canceled_when_flatten_closes_everything() -> None:
    scene = holding("flow")
    flatten(scene.world(), BY_HAND, None)
    (order,) = working(scene)
    scene.venue.book[order.client_order_id] = replace(order, quantity=Decimal(4))
    again = flatten(scene.world(), call(Job.EVALUATE_EXITS, "flatten 15:00:00Z#2"), None)
    assert ends(again) == [("AAPL", "cancel", None), ("AAPL", "flatten", None)]
    assert [order.quantity for order in working(scene)] == [Decimal(10)]


def test_the_same_call_sends_nothing_a_second_time() -> None:
    scene = holding("flow")
    scene.venue.script["AAPL"] = REJECTED
    flatten(scene.world(), BY_HAND, None)
    assert ends(flatten(scene.world(), BY_HAND, None)) == [("AAPL", "flatten", Reason.DUPLICATE_INTENT)]
    assert len(scene.venue.submitted) == 1


def test_an_order_of_unknown_fate_keeps_the_position_from_being_closed_twice() -> None:
    scene = holding("flow")
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    flatten(scene.world(), BY_HAND, None)
    again = flatten(scene.world(), call(Job.EVALUATE_EXITS, "flatten#2"), None)
    assert ends(again) == [("AAPL", "flatten", Reason.INTENT_UNRESOLVED)]


def test_a_halt_does_not_stop_it_and_a_closed_permission_does() -> None:
    scene = holding("flow")
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ann", "odd", NOW))
    assert ends(flatten(scene.world(), BY_HAND, None)) == [("AAPL", "flatten", None)]
    shut = holding("flow")
    shut.permission = Permission(((Reason.LIVE_NOT_ARMED, "mode live"),))
    (record,) = flatten(shut.world(), BY_HAND, None).candidates
    assert (record.terminal and record.terminal.gate, shut.venue.submitted) == (Gate.PERMISSION, [])


def test_a_dry_run_shows_the_orders_and_sends_and_writes_nothing() -> None:
    scene = holding("flow", symbols=("AAPL",))
    flatten(scene.world(), BY_HAND, None)
    before = (len(scene.venue.submitted), len(scene.ledger.intents()))
    cycle = flatten(scene.world(dry_run=True), call(Job.EVALUATE_EXITS, "flatten"), None)
    assert ends(cycle) == [("AAPL", "exit", Reason.EXIT_WORKING)]
    assert (len(scene.venue.submitted), len(scene.ledger.intents()), scene.venue.cancelled) == (*before, [])


def test_a_closed_session_refuses_it_as_a_whole() -> None:
    scene = holding("flow")
    scene.venue.is_open = False
    cycle = flatten(scene.world(), BY_HAND, None)
    assert (cycle.candidates, cycle.job_decision is not None, scene.venue.submitted) == ((), True, [])


def test_a_pass_records_equity_and_what_closing_would_get() -> None:
    scene = holding("flow")
    cycle = flatten(scene.world(dry_run=True), BY_HAND, frozenset({"MSFT"}))
    assert cycle.equity == scene.venue.account().equity
    assert [(mark.symbol, mark.price) for mark in cycle.marks] == [("AAPL", scene.venue.prices["AAPL"].bid)]
