"""What the last step says of an order: each end with its reason and its numbers, at its edge in time, and on record."""

import ast
import itertools
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import DAY, NOW, SESSION, desk, following, instrument, limits, quote
from tradebot.desk.snapshot import take_desk
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.intent import ID_CONFLICT, NEVER_SENT, Intent, IntentState, Operation
from tradebot.model.order import Order, OrderType, Reply, WriteOutcome
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.orders.order_sender import (
    LAST_MOMENT,
    MOST_LEGS,
    QUICK_S,
    cancel_intent,
    closing_side,
    replace_intent,
    send,
    send_again,
    submit_intent,
    submit_key,
    wanted_key,
)
from tradebot.ports.world import Call, World

ORDERS = ("submit", "replace", "cancel")
ROOT = Path(__file__).resolve().parents[2]
EXIT_CALL = call(Job.EVALUATE_EXITS, "open+31m")


def end_of(record: CandidateRecord) -> Decision:
    """Return the decision that ended a candidate, which is there unless its order was accepted."""
    assert record.terminal is not None
    return record.terminal


def halt(scene: Scene) -> None:
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", NOW))


def test_an_entry_holds_the_lock_from_its_promise_through_its_answer_and_not_while_it_is_settled() -> None:
    scene, held = Scene(), []
    promise, settle = scene.ledger.record_intent, scene.ledger.record_outcome
    scene.ledger.record_intent = lambda *said: held.append(("promise", scene.send_lock.held)) or promise(*said)  # type: ignore[method-assign,func-returns-value]
    scene.ledger.record_outcome = lambda *said: held.append(("settle", scene.send_lock.held)) or settle(*said)  # type: ignore[method-assign,func-returns-value]
    scene.venue.before_submit = lambda intent: held.append(("submit", scene.send_lock.held))
    trade_once(scene.world(wanted("AAPL")), call())
    assert held == [("promise", True), ("submit", True), ("settle", False)]
    assert scene.send_lock.orders == scene.venue.submitted


def test_a_halt_that_comes_while_an_entry_waits_for_the_lock_keeps_it_back_unpromised() -> None:
    scene = Scene()
    scene.send_lock.taken = lambda intent: halt(scene)
    record = trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    assert [found.terminal and found.terminal.reason for found in record.candidates] == [Reason.HALTED] * 2
    assert (scene.venue.submitted, scene.ledger.intents()) == ([], ())


def test_exits_and_cancels_go_out_while_an_entry_is_stuck_under_the_lock() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    (held,) = [i for i in scene.venue.submitted if i.instrument.symbol == "AAPL"]
    scene.venue.fill(held.client_order_id, "100")
    scene.later(60)
    scene.price("AAPL", "90")
    halt(scene)

    def stuck(intent: Intent) -> None:
        raise AssertionError("an exit or a cancel waited for the send lock")

    scene.send_lock.taken = stuck
    evaluate_exits(scene.world(), EXIT_CALL)
    assert [(i.instrument.symbol, i.purpose) for i in scene.venue.submitted[2:]] == [("AAPL", Purpose.CLOSE)]
    assert [i.instrument.symbol for i in scene.venue.cancelled] == ["MSFT"]


def test_a_lost_answer_lets_the_lock_go() -> None:
    scene = Scene()
    scene.venue.script = {"AAPL": LOST}
    trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    assert [i.instrument.symbol for i in scene.send_lock.orders] == ["AAPL", "MSFT"]
    assert not scene.send_lock.held


def test_an_entry_is_never_sent_again() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    assert intent.operation is Operation.SUBMIT
    with pytest.raises(AssertionError, match="never sent again"):
        send_again(scene.world(), None, intent)  # type: ignore[arg-type]


def test_one_module_alone_writes_to_the_order_port() -> None:
    writers = {
        str(path.relative_to(ROOT))
        for room in ("tradebot", "commands", "jobs")
        for path in (ROOT / room).rglob("*.py")
        if "exchange" not in path.parts and "orders" in (text := path.read_text()) and _writes(ast.parse(text))
    }
    assert writers == {"tradebot/orders/order_sender.py"}


def _writes(tree: ast.AST) -> bool:
    """Tell whether a module touches `submit`, `replace` or `cancel` of something called orders."""
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ORDERS]
    return any("orders" in ast.unparse(node.value) for node in named)


TOMORROW = DAY + timedelta(days=1)
OWN = replace(wanted("AAPL"), slot="open+5m", slot_session=DAY)


def intent_of(candidate: Candidate, by: Call, leg: int = 0) -> Intent:
    key = replace(submit_key(by, desk(), candidate), leg=leg)
    return submit_intent(Scene().world(), by, desk(), candidate, quote().bid, quote().bid, key)


def in_session(day: date, slot: str = "open+30m") -> Call:
    return replace(call(slot=slot), session=day)


def next_intent(scene: Scene, candidate: Candidate) -> Intent:
    by = in_session(DAY)
    return intent_of(candidate, by, wanted_key(scene.world(), by, desk(), candidate).leg)


def test_the_same_want_has_the_same_id_in_every_pass_of_its_slot() -> None:
    passes = [in_session(DAY), in_session(DAY, "open+35m"), in_session(TOMORROW)]
    assert len({intent_of(OWN, each).client_order_id for each in passes}) == 1
    assert len({intent_of(wanted("AAPL"), each).client_order_id for each in passes}) == 3


def test_another_slot_another_session_and_another_leg_have_other_ids() -> None:
    others = [
        intent_of(OWN, in_session(DAY)),
        intent_of(OWN, in_session(DAY), leg=1),
        intent_of(replace(OWN, slot="open+10m"), in_session(DAY)),
        intent_of(replace(OWN, slot_session=TOMORROW), in_session(TOMORROW)),
        # The slot of a pass may have the same name.
        intent_of(wanted("AAPL"), in_session(DAY, "open+5m")),
    ]
    assert len({each.client_order_id for each in others}) == len(others)


def test_an_order_belongs_to_the_session_in_which_it_is_sent() -> None:
    late = intent_of(OWN, in_session(TOMORROW))
    assert (late.key.session, late.session) == (DAY, TOMORROW)
    scene = Scene()
    scene.ledger.record_intent(late, ())
    assert [record.intent for record in scene.ledger.intents(session=TOMORROW)] == [late]
    assert scene.ledger.intents(session=DAY) == ()


def test_each_order_of_a_target_in_its_slot_is_the_next_leg() -> None:
    scene, target = Scene(), replace(OWN, want=WantKind.TARGET)
    for leg in range(MOST_LEGS):
        intent = next_intent(scene, target)
        assert intent.key.leg == leg
        assert scene.ledger.record_intent(intent, ())
    again = next_intent(scene, target)
    assert not scene.ledger.record_intent(again, ()), "after the last leg, nothing new is promised"


def test_any_other_want_has_one_order_in_its_slot() -> None:
    scene = Scene()
    for _ in range(2):
        intent = next_intent(scene, OWN)
        assert intent.key.leg == 0
        scene.ledger.record_intent(intent, ())


def test_an_unknown_order_is_not_given_up_while_the_session_of_its_sending_lasts() -> None:
    """Its slot began the day before, so the session in its key is over."""
    scene = Scene()
    late = intent_of(replace(OWN, slot_session=DAY - timedelta(days=3)), in_session(DAY))
    scene.ledger.record_intent(late, ())
    record = trade_once(scene.world(wanted("AAPL")), call(slot="next"))
    (found,) = scene.ledger.intents(session=DAY)
    assert found.state.is_unresolved
    assert end_of(record.candidates[0]).reason is Reason.INTENT_UNRESOLVED


LATE = [Purpose.OPEN, Purpose.CLOSE]
MICROSECOND = timedelta(microseconds=1)


def wanting(purpose: Purpose) -> Candidate:
    side = Side.BUY if purpose is Purpose.OPEN else Side.SELL
    return Candidate("flow", instrument("AAPL"), side, purpose, NOW, 0.5, 0.9)


def ready(scene: Scene, purpose: Purpose = Purpose.OPEN) -> tuple[World, Desk, Intent]:
    """Return a world whose stopwatch stands, a desk and an order that could go out on it."""
    world = replace(scene.world(), stopwatch=lambda: 100.0)
    desk = take_desk(world, for_entries=False)
    return world, desk, submit_intent(world, call(), desk, wanting(purpose), Decimal(1), Decimal("100.20"))


def passed(world: World, seconds: float) -> World:
    return replace(world, stopwatch=lambda: 100.0 + seconds)


def said(decision: Decision) -> tuple[object, ...]:
    return decision.gate, decision.verdict, decision.reason, decision.observed, decision.limit


REPLIES = [
    (Reply(WriteOutcome.ACCEPTED, code="200", message="taken"), Verdict.PASS, Reason.SENT, "200 taken", None),
    (Reply(WriteOutcome.ACCEPTED), Verdict.PASS, Reason.SENT, None, None),
    (REJECTED, Verdict.FAIL, Reason.VENUE_REJECTED, "40310000 insufficient buying power", None),
    (LOST, Verdict.UNKNOWN, Reason.VENUE_UNKNOWN, "no_answer", None),
]


@pytest.mark.parametrize(("reply", "verdict", "reason", "words", "limit"), REPLIES)
def test_every_answer_of_the_venue_is_told_in_its_words(
    reply: Reply, verdict: Verdict, reason: Reason, words: str | None, limit: object
) -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = reply
    world, desk, intent = ready(scene)
    told = send(world, desk, intent, ())
    expected = words if reply not in (REJECTED, LOST) else " ".join(w for w in (reply.code, reply.message) if w)
    assert said(told) == (Gate.SEND, verdict, reason, expected, limit)


def test_an_id_that_holds_another_order_names_it_and_the_limit_of_such_is_none() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = Reply(WriteOutcome.REJECTED, None, ID_CONFLICT, "another order")
    world, desk, intent = ready(scene)
    told = send(world, desk, intent, ())
    assert said(told) == (Gate.SEND, Verdict.FAIL, Reason.SECOND_WRITER, intent.client_order_id, 0)


def test_an_order_promised_before_is_named_and_not_sent() -> None:
    scene = Scene()
    world, desk, intent = ready(scene)
    scene.ledger.record_intent(intent, ())
    told = send(world, desk, intent, ())
    assert said(told) == (Gate.SEND, Verdict.FAIL, Reason.DUPLICATE_INTENT, intent.client_order_id, None)
    assert scene.venue.submitted == []


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("shadow", "reason"), [(True, Reason.SHADOW), (False, Reason.DRY_RUN)])
def test_shadow_and_a_dry_run_end_at_the_last_step_and_leave_nothing(again: bool, shadow: bool, reason: Reason) -> None:
    scene = Scene()
    world, desk, intent = ready(scene, Purpose.CLOSE)
    mute = replace(world, orders=None, shadow=shadow)
    told = send_again(mute, desk, intent) if again else send(mute, desk, intent, ())
    assert said(told) == (Gate.SEND, Verdict.FAIL, reason, None, None)
    assert scene.ledger.intents() == ()


def test_a_halt_between_promise_and_request_is_on_record_as_never_sent_at_the_desks_time() -> None:
    scene = Scene()
    world, desk, intent = ready(scene)
    promise = scene.ledger.record_intent

    def halting(*given: object) -> bool:
        done = promise(*given)  # type: ignore[arg-type]
        scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", NOW))
        return done

    scene.ledger.record_intent = halting  # type: ignore[method-assign,assignment]
    told = send(world, desk, intent, ())
    assert said(told) == (Gate.SEND, Verdict.FAIL, Reason.HALTED, None, None)
    record = scene.ledger.intent(intent.client_order_id)
    assert record is not None
    kept = (record.state, record.code, record.message, record.updated_at)
    assert kept == (IntentState.REJECTED, NEVER_SENT, "HALTED before it was sent", desk.now)
    assert scene.venue.submitted == []


@pytest.mark.parametrize("purpose", LATE)
@pytest.mark.parametrize(("before_close", "goes"), [(LAST_MOMENT + MICROSECOND, True), (LAST_MOMENT, False)])
def test_nothing_begins_in_the_last_moment_of_a_session(before_close: timedelta, goes: bool, purpose: Purpose) -> None:
    scene = Scene()
    scene.venue.now = SESSION.close - before_close
    world, desk, intent = ready(scene, purpose)
    told = send(world, desk, intent, ())
    assert (told.gate, told.reason) == (Gate.SEND, Reason.SENT if goes else Reason.MARKET_CLOSED)
    assert told.verdict is (Verdict.PASS if goes else Verdict.FAIL)
    assert len(scene.venue.submitted) == goes


def test_time_that_has_passed_since_the_desk_counts_before_the_venue_is_asked_again() -> None:
    scene = Scene()
    scene.venue.now = SESSION.close - LAST_MOMENT - timedelta(seconds=1)
    world, desk, intent = ready(scene)
    asked = list[datetime]()
    scene.venue.clock = lambda: asked.append(scene.venue.now)  # type: ignore[method-assign,assignment,return-value]
    assert send(passed(world, 1.5), desk, intent, ()).reason is Reason.MARKET_CLOSED
    assert asked == []


@pytest.mark.parametrize(("seconds", "asks"), [(QUICK_S - 0.001, False), (QUICK_S, True)])
def test_a_pass_that_took_long_asks_the_venue_what_time_it_is(seconds: float, asks: bool) -> None:
    scene = Scene()
    world, desk, intent = ready(scene)
    clock, asked = scene.venue.clock, list[bool]()
    scene.venue.clock = lambda: asked.append(True) or clock()  # type: ignore
    send(passed(world, seconds), desk, intent, ())
    assert bool(asked) is asks


@pytest.mark.parametrize(("age", "reason"), [(120, Reason.SENT), (121, Reason.DESK_STALE)])
def test_an_entry_on_a_desk_that_is_too_old_is_kept_back_with_its_age(age: int, reason: Reason) -> None:
    scene = Scene()
    world, desk, intent = ready(scene)
    scene.venue.now = NOW + timedelta(seconds=age)
    told = send(passed(world, age), desk, intent, ())
    assert told.reason is reason
    if reason is Reason.DESK_STALE:
        assert (*said(told), told.age_s) == (Gate.SEND, Verdict.FAIL, reason, 121.0, 120, 121.0)


def hurried(seconds: float, *, at: int, purpose: Purpose = Purpose.OPEN) -> tuple[Scene, World, Desk, Intent]:
    """Return a world whose stopwatch jumps at its nth reading, with limits of 100 and 500 ms."""
    scene = Scene()
    world, desk, intent = ready(scene, purpose)
    rules = replace(world.rules, limits=limits(max_decision_ms=100, max_sending_ms=500))
    readings = itertools.count(1)
    stopwatch = lambda: 100.0 + (seconds if next(readings) >= at else 0)  # noqa: E731
    return scene, replace(world, rules=rules, stopwatch=stopwatch), replace(desk, decision_started_s=100.0), intent


LATE_AT = ((1, 100, Reason.DECISION_LATE), (2, 500, Reason.SENDING_LATE))
"""At which reading of the stopwatch time has passed, the limit in ms, and what it is refused for."""


@pytest.mark.parametrize(("at", "limit", "reason"), LATE_AT)
def test_an_entry_that_takes_too_long_is_refused_with_both_numbers(at: int, limit: int, reason: Reason) -> None:
    scene, world, desk, intent = hurried(limit / 1000, at=at)
    assert send(world, desk, intent, (), timed=True).reason is Reason.SENT
    scene, world, desk, intent = hurried((limit + 1) / 1000, at=at)
    assert said(send(world, desk, intent, (), timed=True)) == (Gate.SEND, Verdict.FAIL, reason, limit + 1, limit)
    assert scene.venue.submitted == []
    record = scene.ledger.intent(intent.client_order_id)
    assert (record is None) is (reason is Reason.DECISION_LATE)
    assert record is None or not record.state.is_unresolved


@pytest.mark.parametrize("purpose", [Purpose.OPEN, Purpose.CLOSE])
def test_an_order_that_is_not_timed_is_never_too_slow(purpose: Purpose) -> None:
    _, world, desk, intent = hurried(1.0, at=1, purpose=purpose)
    assert send(world, desk, intent, ()).reason is Reason.SENT


def test_an_exit_on_an_old_desk_goes_out_while_the_session_lasts() -> None:
    scene = Scene()
    world, desk, intent = ready(scene, Purpose.CLOSE)
    scene.venue.now = NOW + timedelta(hours=1)
    assert send(passed(world, 3600), desk, intent, ()).reason is Reason.SENT


@pytest.mark.parametrize("purpose", LATE)
def test_what_was_decided_before_a_night_is_not_sent_after_it(purpose: Purpose) -> None:
    scene = Scene()
    world, desk, intent = ready(scene, purpose)
    scene.venue.session, scene.venue.now = following(SESSION), NOW + timedelta(days=1)
    told = send(passed(world, 86_400), desk, intent, ())
    assert said(told) == (Gate.SEND, Verdict.FAIL, Reason.DESK_STALE, 86_400, 120)
    assert scene.venue.submitted == []


def test_nothing_is_sent_again_after_the_close_and_its_record_stays_as_it_was() -> None:
    scene = Scene()
    world, desk, intent = ready(scene, Purpose.CLOSE)
    scene.ledger.record_intent(intent, ())
    before = scene.ledger.intent(intent.client_order_id)
    scene.venue.is_open = False
    told = send_again(passed(world, 60), desk, intent)
    assert said(told) == (Gate.SEND, Verdict.FAIL, Reason.MARKET_CLOSED, None, None)
    assert scene.ledger.intent(intent.client_order_id) == before
    assert scene.venue.submitted == []


def test_a_request_that_is_sent_again_gets_a_new_date_and_reports_an_id_conflict() -> None:
    scene = Scene()
    world, desk, intent = ready(scene, Purpose.CLOSE)
    scene.ledger.record_intent(intent, ())
    scene.venue.script["AAPL"] = Reply(WriteOutcome.REJECTED, None, ID_CONFLICT, "another order")
    later = replace(desk, now=NOW + timedelta(minutes=7))
    told = send_again(world, later, intent)
    assert (told.reason, told.observed) == (Reason.SECOND_WRITER, intent.client_order_id)
    record = scene.ledger.intent(intent.client_order_id)
    assert record is not None
    assert record.updated_at == later.now


def test_a_cancel_is_the_order_that_it_ends_with_a_key_of_its_own() -> None:
    scene = Scene()
    world, desk, intent = ready(scene)
    send(world, desk, intent, ())
    (order,) = scene.venue.book.values()
    of = intent.instrument
    ending = cancel_intent(call(slot="later"), desk.account.number, desk.now, order, of, "flow", Purpose.OPEN)
    shown = (ending.operation, ending.purpose, ending.instrument, ending.side, ending.quantity, ending.order_type)
    assert shown == (Operation.CANCEL, Purpose.OPEN, intent.instrument, Side.BUY, order.open_quantity, order.order_type)
    rest = (ending.limit_price, ending.time_in_force, ending.cycle_id, ending.at, ending.target_venue_id)
    assert rest == (order.limit_price, order.time_in_force, call(slot="later").cycle_id, desk.now, order.venue_id)
    assert ending.client_order_id == ending.key.client_order_id() != intent.client_order_id


@pytest.mark.parametrize(("held", "side"), [("0.5", Side.SELL), ("1", Side.SELL), ("-0.5", Side.BUY), ("-1", Side.BUY)])
def test_the_side_that_closes_is_the_other_one_for_any_part_of_a_share(held: str, side: Side) -> None:
    assert closing_side(Decimal(held)) is side


def promised() -> tuple[Intent, Order]:
    scene = Scene()
    world, desk, intent = ready(scene)
    send(world, desk, intent, ())
    (order,) = scene.venue.book.values()
    return replace(intent, quantity=Decimal(5)), replace(order, quantity=Decimal(5))


DIFFERENT: list[dict[str, object]] = [
    {"client_order_id": "tb1.another"},
    {"symbol": "MSFT"},
    {"side": Side.SELL},
    {"quantity": None},
    {"quantity": Decimal(4)},
    {"quantity": Decimal(6)},
    {"limit_price": Decimal("100.19")},
    {"limit_price": Decimal("100.21")},
    {"order_type": OrderType.MARKET, "limit_price": None},
    {"order_type": OrderType.MARKET},
    {"order_type": OrderType.UNKNOWN, "limit_price": None},
]
UNTOLD: list[dict[str, object]] = [{"order_type": OrderType.UNKNOWN}, {"limit_price": None}]
"""What the venue words anew, or leaves out of an order with a limit."""


@pytest.mark.parametrize("operation", [Operation.SUBMIT, Operation.REPLACE])
@pytest.mark.parametrize("change", DIFFERENT, ids=str)
def test_an_order_that_differs_in_any_field_is_not_ours(change: dict[str, object], operation: Operation) -> None:
    intent, order = promised()
    intent = replace(intent, operation=operation)
    assert intent.matches_order(order)
    # What a replaced order had filled before may be counted out of the one that follows it.
    fewer = operation is Operation.REPLACE and change == {"quantity": Decimal(4)}
    assert intent.matches_order(replace(order, **change)) is fewer  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", [Operation.SUBMIT, Operation.REPLACE])
@pytest.mark.parametrize("change", UNTOLD, ids=str)
def test_a_field_that_the_venue_leaves_out_is_no_difference(change: dict[str, object], operation: Operation) -> None:
    intent, order = promised()
    assert replace(intent, operation=operation).matches_order(replace(order, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(("limit_price", "ours"), [(None, True), (Decimal(100), False)])
def test_an_order_without_a_limit_is_not_one_with_a_limit(limit_price: Decimal | None, ours: bool) -> None:
    intent, order = promised()
    market = replace(intent, order_type=OrderType.MARKET, limit_price=None)
    kind = OrderType.MARKET if limit_price is None else OrderType.LIMIT
    assert market.matches_order(replace(order, order_type=kind, limit_price=limit_price)) is ours


@pytest.mark.parametrize("limit_price", [Decimal(90), None])
def test_another_order_found_under_the_id_of_a_lost_one_halts(limit_price: Decimal | None) -> None:
    scene = Scene()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    scene.venue.rest(intent.client_order_id, "AAPL", replace(intent, limit_price=limit_price))
    record = trade_once(scene.world(wanted("MSFT")), call(slot="next"))
    found = scene.ledger.intent(intent.client_order_id)
    assert found is not None
    assert (found.state, found.code) == (IntentState.REJECTED, ID_CONFLICT)
    assert [one.terminal and one.terminal.reason for one in record.candidates] == [Reason.HALTED]
    assert scene.ledger.trading_state().why == f"SECOND_WRITER: {intent.client_order_id} against 0"


def test_a_replace_carries_the_promise_on_and_belongs_to_the_pass_that_made_it() -> None:
    scene = Scene()
    world, desk, intent = ready(scene)
    send(world, desk, intent, ())
    (order,) = scene.venue.book.values()
    later = replace(desk, now=desk.now.replace(minute=31))
    changed = replace_intent(call(slot="later"), later, order, intent, Decimal("99.50"), 0)
    assert (changed.cycle_id, changed.at, changed.limit_price) == (
        call(slot="later").cycle_id,
        later.now,
        Decimal("99.50"),
    )
    assert (changed.quantity, changed.side, changed.instrument) == (intent.quantity, intent.side, intent.instrument)
    assert later.now > NOW
