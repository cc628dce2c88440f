"""What the last step says of an order: each end with its reason and its numbers, at its edge in time, and on record."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.builders import NOW, SESSION
from tests.venues import LOST, REJECTED
from tests.worlds import Scene, call
from tradebot.desk.snapshot import take
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.instrument import Instrument
from tradebot.model.intent import ID_CONFLICT, NEVER_SENT, Intent, IntentState, Operation
from tradebot.model.order import Outcome, Reply
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.values import replace
from tradebot.orders.sending import LAST_MOMENT, QUICK_S, cancel_intent, closing_side, send, send_again, submit_intent
from tradebot.ports.world import World

LATE = [Purpose.OPEN, Purpose.CLOSE]
MICROSECOND = timedelta(microseconds=1)


def wanting(purpose: Purpose) -> Candidate:
    side = Side.BUY if purpose is Purpose.OPEN else Side.SELL
    return Candidate("flow", Instrument("AAPL"), side, purpose, NOW, 0.5, 0.9)


def ready(scene: Scene, purpose: Purpose = Purpose.OPEN) -> tuple[World, Desk, Intent]:
    """Return a world whose stopwatch stands, a desk and an order that could go out on it."""
    world = replace(scene.world(), stopwatch=lambda: 100.0)
    desk = take(world, with_flow=False)
    return world, desk, submit_intent(call(), desk, wanting(purpose), Decimal(1), Decimal("100.20"))


def passed(world: World, seconds: float) -> World:
    return replace(world, stopwatch=lambda: 100.0 + seconds)


def said(decision: Decision) -> tuple[object, ...]:
    return decision.gate, decision.verdict, decision.reason, decision.observed, decision.limit


REPLIES = [
    (Reply(Outcome.ACCEPTED, code="200", message="taken"), Verdict.PASS, Reason.SENT, "200 taken", None),
    (Reply(Outcome.ACCEPTED), Verdict.PASS, Reason.SENT, None, None),
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
    scene.venue.script["AAPL"] = Reply(Outcome.REJECTED, None, ID_CONFLICT, "another order")
    world, desk, intent = ready(scene)
    told = send(world, desk, intent, ())
    assert said(told) == (Gate.SEND, Verdict.FAIL, Reason.SECOND_WRITER, intent.client_order_id, 0)


def test_an_order_promised_before_is_named_and_not_sent() -> None:
    scene = Scene()
    world, desk, intent = ready(scene)
    scene.ledger.promise(intent, ())
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
    promise = scene.ledger.promise

    def halting(*given: object) -> bool:
        done = promise(*given)  # type: ignore[arg-type]
        scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", NOW))
        return done

    scene.ledger.promise = halting  # type: ignore[method-assign,assignment]
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


def test_an_exit_on_an_old_desk_goes_out_while_the_session_lasts() -> None:
    scene = Scene()
    world, desk, intent = ready(scene, Purpose.CLOSE)
    scene.venue.now = NOW + timedelta(hours=1)
    assert send(passed(world, 3600), desk, intent, ()).reason is Reason.SENT


def test_nothing_is_sent_again_after_the_close_and_its_record_stays_as_it_was() -> None:
    scene = Scene()
    world, desk, intent = ready(scene, Purpose.CLOSE)
    scene.ledger.promise(intent, ())
    before = scene.ledger.intent(intent.client_order_id)
    scene.venue.is_open = False
    told = send_again(passed(world, 60), desk, intent)
    assert said(told) == (Gate.SEND, Verdict.FAIL, Reason.MARKET_CLOSED, None, None)
    assert scene.ledger.intent(intent.client_order_id) == before
    assert scene.venue.submitted == []


def test_what_is_sent_again_is_dated_anew_and_an_id_conflict_of_it_is_told() -> None:
    scene = Scene()
    world, desk, intent = ready(scene, Purpose.CLOSE)
    scene.ledger.promise(intent, ())
    scene.venue.script["AAPL"] = Reply(Outcome.REJECTED, None, ID_CONFLICT, "another order")
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
    ending = cancel_intent(call(slot="later"), desk, order, "flow", Purpose.OPEN)
    shown = (ending.operation, ending.purpose, ending.instrument, ending.side, ending.quantity, ending.order_type)
    assert shown == (Operation.CANCEL, Purpose.OPEN, intent.instrument, Side.BUY, order.open_quantity, order.order_type)
    rest = (ending.limit_price, ending.time_in_force, ending.cycle_id, ending.at, ending.target_venue_id)
    assert rest == (order.limit_price, order.time_in_force, call(slot="later").cycle_id, desk.now, order.venue_id)
    assert ending.client_order_id == ending.key.client_order_id() != intent.client_order_id


@pytest.mark.parametrize(("held", "side"), [("0.5", Side.SELL), ("1", Side.SELL), ("-0.5", Side.BUY), ("-1", Side.BUY)])
def test_the_side_that_closes_is_the_other_one_for_any_part_of_a_share(held: str, side: Side) -> None:
    assert closing_side(Decimal(held)) is side
