"""Closing by hand: our orders on the symbol end first, then what is ours is closed, and nothing else is touched.

Canceling by hand: the one order ends, once, and nothing else is touched.
"""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import NOW, fill
from tradebot.cycle import cancel_on_request, flatten
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.intent import IntentState, Operation
from tradebot.model.limits import Protection
from tradebot.model.order import Order, OrderStatus
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


def test_only_the_symbol_named_is_closed_and_all_means_all_that_is_ours() -> None:
    scene = holding("flow", "flow")
    assert ends(flatten(scene.world(), BY_HAND, frozenset({"AAPL"}))) == [("AAPL", "flatten", None)]
    (intent,) = scene.venue.submitted
    assert (intent.side, intent.quantity) == (Side.SELL, Decimal(10))
    assert scene.ledger.intent(intent.client_order_id) is not None
    scene = holding("flow", "")
    assert ends(flatten(scene.world(), BY_HAND, None)) == [("AAPL", "flatten", None)], "never what is foreign"
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


def test_a_dry_run_shows_the_orders_and_sends_and_writes_nothing() -> None:
    scene = holding("flow", symbols=("AAPL",))
    flatten(scene.world(), BY_HAND, None)
    before = (len(scene.venue.submitted), len(scene.ledger.intents()))
    cycle = flatten(scene.world(dry_run=True), call(Job.EVALUATE_EXITS, "flatten"), None)
    assert ends(cycle) == [("AAPL", "exit", Reason.EXIT_WORKING)]
    assert (len(scene.venue.submitted), len(scene.ledger.intents()), scene.venue.cancelled) == (*before, [])


def test_a_halt_does_not_stop_it_and_a_closed_permission_or_session_does() -> None:
    scene = holding("flow")
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ann", "odd", NOW))
    assert ends(flatten(scene.world(), BY_HAND, None)) == [("AAPL", "flatten", None)]
    shut = holding("flow")
    shut.permission = Permission(((Reason.LIVE_NOT_ARMED, "mode live"),))
    (record,) = flatten(shut.world(), BY_HAND, None).candidates
    assert (record.terminal and record.terminal.gate, shut.venue.submitted) == (Gate.PERMISSION, [])
    late = holding("flow")
    late.venue.is_open = False
    cycle = flatten(late.world(), BY_HAND, None)
    assert (cycle.candidates, cycle.job_decision is not None, late.venue.submitted) == ((), True, [])


def test_a_pass_records_equity_and_what_closing_would_get() -> None:
    scene = holding("flow")
    cycle = flatten(scene.world(dry_run=True), BY_HAND, frozenset({"MSFT"}))
    assert cycle.equity == scene.venue.account().equity
    assert [(mark.symbol, mark.price) for mark in cycle.marks] == [("AAPL", scene.venue.prices["AAPL"].bid)]


CANCEL = call(Job.EVALUATE_EXITS, "cancel 15:00:00Z")
CANCEL_AGAIN = call(Job.EVALUATE_EXITS, "cancel 15:00:30Z")


def bought() -> Scene:
    """Return a bot that has bought AAPL, which is all that works or is held."""
    scene = holding()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    scene.later(60)
    return scene


def why_canceled(cycle: CycleRecord) -> list[Reason | None]:
    """Return for each cancel that was sent the reason that its record gives."""
    sent = (record for record in cycle.candidates if record.terminal is None)
    return [next(d.reason for d in record.decisions if d.gate is Gate.EXIT) for record in sent]


def test_cancel_ends_the_entry_that_is_named_and_leaves_the_others_and_every_position() -> None:
    scene = holding("flow")
    for symbol in ("MSFT", "JPM"):
        trade_once(scene.world(wanted(symbol)), call(slot=f"open+{symbol}"))
    first, second = working(scene)
    cycle = cancel_on_request(scene.world(), CANCEL, first.client_order_id)
    assert (ends(cycle), why_canceled(cycle)) == ([(first.symbol, "cancel", None)], [Reason.CANCELED_BY_HAND])
    assert [intent.target_venue_id for intent in scene.venue.cancelled] == [first.venue_id]
    assert working(scene) == [second]
    assert scene.venue.held == {"AAPL": Decimal(10)}
    (promise,) = [record for record in scene.ledger.intents() if record.intent.operation is Operation.CANCEL]
    assert (promise.intent.target_venue_id, promise.state) == (first.venue_id, IntentState.ACKED)


def test_second_cancel_of_an_order_sends_nothing_more() -> None:
    scene = holding()
    trade_once(scene.world(wanted("MSFT")), call())
    (entry,) = working(scene)
    for _ in range(2):
        cancel_on_request(scene.world(), CANCEL, entry.client_order_id)
    cancel_on_request(scene.world(), CANCEL_AGAIN, entry.client_order_id)
    assert len(scene.venue.cancelled) == 1
    # The venue is still busy with another one's first cancel.
    trade_once(scene.world(wanted("JPM")), call(slot="open+45m"))
    (entry,) = working(scene)
    scene.venue.book[entry.client_order_id] = replace(entry, status=OrderStatus.PENDING_CANCEL)
    assert cancel_on_request(scene.world(), CANCEL_AGAIN, entry.client_order_id).candidates == ()
    assert len(scene.venue.cancelled) == 1


def test_cancel_leaves_orders_of_others_alone() -> None:
    scene = holding("flow")
    flatten(scene.world(), BY_HAND, None)
    (order,) = working(scene)
    scene.venue.book["typed-elsewhere"] = replace(order, client_order_id="typed-elsewhere", venue_id="another")
    for name in ("typed-elsewhere", "unknown"):
        assert (cancel_on_request(scene.world(), CANCEL, name).candidates, scene.venue.cancelled) == ((), [])


def test_dry_run_and_closed_session_and_closed_permission_cancel_nothing() -> None:
    scene = holding()
    trade_once(scene.world(wanted("MSFT")), call())
    (entry,) = working(scene)
    assert ends(cancel_on_request(scene.world(dry_run=True), CANCEL, entry.client_order_id)) == [
        ("MSFT", "cancel", Reason.DRY_RUN)
    ]
    scene.permission = Permission(((Reason.LIVE_NOT_ARMED, "mode live"),))
    (refused,) = cancel_on_request(scene.world(), CANCEL, entry.client_order_id).candidates
    assert refused.terminal
    assert refused.terminal.gate is Gate.PERMISSION
    scene.permission, scene.venue.is_open = Permission(), False
    assert cancel_on_request(scene.world(), CANCEL, entry.client_order_id).job_decision is not None
    assert (scene.venue.cancelled, working(scene)) == ([], [entry])


def test_close_that_a_person_cancels_stays_canceled() -> None:
    scene = bought()
    flatten(scene.world(), BY_HAND, None)
    (close,) = working(scene)
    cancel_on_request(scene.world(), CANCEL, close.client_order_id)
    assert working(scene) == []
    scene.later(60)
    (kept,) = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+60m")).candidates
    assert (kept.terminal and kept.terminal.reason, working(scene)) == (Reason.HOLD, [])


def test_stop_that_a_person_cancels_is_a_gap_until_the_next_pass_places_one() -> None:
    scene = bought()
    scene.exits = scene.exits.model_copy(update={"protection": Protection.VENUE})
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+60m"))
    lead = next(order for order in working(scene) if order.leads_pair)
    scene.later(60)
    cycle = cancel_on_request(scene.world(), CANCEL, lead.client_order_id)
    assert why_canceled(cycle) == [Reason.STOP_CANCELED_BY_HAND]
    assert working(scene) == []
    assert [(gap.symbol, gap.shares, gap.why) for gap in cycle.gaps or ()] == [("AAPL", lead.quantity, "canceled")]
    scene.later(60)
    cycle = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+65m"))
    assert [order.leads_pair for order in working(scene)] == [True, False]


def test_cancel_of_an_entry_opens_no_gap_beside_a_stop_that_rests() -> None:
    scene = bought()
    scene.exits = scene.exits.model_copy(update={"protection": Protection.VENUE})
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+60m"))
    trade_once(scene.world(wanted("MSFT")), call())
    (entry,) = (order for order in working(scene) if order.symbol == "MSFT")
    cycle = cancel_on_request(scene.world(), CANCEL, entry.client_order_id)
    assert (why_canceled(cycle), cycle.gaps) == ([Reason.CANCELED_BY_HAND], ())
    assert len(working(scene)) == 2
