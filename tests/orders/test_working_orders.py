"""Working orders in an exit pass: priced again in their place, ended where they cannot be, and repeated when lost."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import SESSION, Killed, fill, limits
from tradebot.desk.snapshot import take_desk
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.intent import TARGET_DONE, Intent, IntentState, Operation
from tradebot.model.order import Order, OrderStatus, Reply
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, TradingState, TradingStateRecord
from tradebot.orders.amendments import AGAIN
from tradebot.orders.working_orders import cancel_working_entries


def exits(scene: Scene, slot: str, *, dry_run: bool = False) -> CycleRecord:
    return evaluate_exits(scene.world(dry_run=dry_run), call(Job.EVALUATE_EXITS, slot))


def sent(record: CycleRecord) -> list[tuple[str, Reason | None]]:
    """Return what a pass did to working orders, and how it ended."""
    tended = [found for found in record.candidates if found.candidate.source in ("replace", "cancel")]
    return [(found.candidate.source, found.decisions[-1].reason) for found in tended]


def why(record: CandidateRecord) -> Reason | None:
    return next(decision.reason for decision in record.decisions if decision.gate is Gate.EXIT)


def entered(scene: Scene) -> Intent:
    trade_once(scene.world(wanted("AAPL")), call())
    return scene.venue.submitted[-1]


def leaving(price: str = "97") -> tuple[Scene, Order]:
    """Return a scene in which the bot holds a position and an exit has just become stale, and that exit."""
    scene = Scene()
    scene.venue.fill(entered(scene).client_order_id, "100")
    scene.later(60)
    scene.price("AAPL", price)
    exits(scene, "open+31m")
    scene.later(180)
    scene.price("AAPL", "96")
    return scene, working(scene)


def working(scene: Scene) -> Order:
    (order,) = scene.venue.view().orders
    return order


def killed(scene: Scene, verb: str, slot: str, *, after: bool = False) -> None:
    """Run a pass whose process dies before or after a request."""
    honest: Callable[[Intent], object] = getattr(scene.venue, verb)

    def dies(intent: Intent) -> None:
        if after:
            honest(intent)
        raise Killed

    setattr(scene.venue, verb, dies)
    with pytest.raises(Killed):
        exits(scene, slot)
    setattr(scene.venue, verb, honest)


def states(scene: Scene, operation: Operation) -> list[IntentState]:
    return [record.state for record in scene.ledger.intents() if record.intent.operation is operation]


def test_a_new_price_keeps_the_quantity_and_what_was_filled() -> None:
    scene, old = leaving()
    scene.venue.fill(old.client_order_id, "96.60", Decimal(9))
    assert sent(exits(scene, "open+35m")) == [("replace", Reason.SENT)]
    new = working(scene)
    assert (new.quantity, new.limit_price) == (old.quantity, Decimal("95.52"))
    assert new.filled_quantity == 9
    scene.venue.fill(new.client_order_id, "95.60")
    scene.later(60)
    assert exits(scene, "open+36m").candidates == ()
    assert scene.venue.held["AAPL"] == 0
    assert len(scene.ledger.fills()) == 3
    assert {owned.strategy for owned in scene.ledger.fills()} == {"flow"}


@pytest.mark.parametrize("after", [False, True])
def test_a_replace_that_died_with_its_process_is_found_or_repeated_unchanged(after: bool) -> None:
    scene, _ = leaving()
    killed(scene, "replace", "open+35m", after=after)
    scene.price("AAPL", "95")
    again = exits(scene, "open+35m")
    assert sent(again) == ([] if after else [("replace", Reason.SENT)])
    assert after or AGAIN in again.candidates[-1].decisions
    assert working(scene).limit_price == Decimal("95.52")
    assert states(scene, Operation.REPLACE) == [IntentState.ACKED]


@pytest.mark.parametrize("swallows", [False, True])
def test_a_replace_whose_answer_was_lost_doubles_nothing(swallows: bool) -> None:
    scene, _ = leaving()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, swallows
    assert sent(exits(scene, "open+35m")) == [("replace", Reason.VENUE_UNKNOWN)]
    scene.venue.script, scene.venue.swallows = {}, False
    scene.later(60)
    assert sent(exits(scene, "open+36m")) == ([("replace", Reason.SENT)] if swallows else [])
    assert len({intent.client_order_id for intent in scene.venue.replaced}) == 1
    assert working(scene).open_quantity == scene.venue.held["AAPL"]


def test_a_repeated_replace_is_repriced_by_the_next_one() -> None:
    scene, _ = leaving()
    killed(scene, "replace", "open+35m")
    scene.later(300)
    scene.price("AAPL", "94")
    assert sent(exits(scene, "open+40m")) == [("replace", Reason.SENT)]
    scene.later(60)
    assert sent(exits(scene, "open+41m")) == [("replace", Reason.SENT)]
    assert working(scene).limit_price == Decimal("93.53")


def test_a_lost_replace_of_an_exit_that_has_filled_since_is_proven_to_be_none() -> None:
    scene, old = leaving()
    killed(scene, "replace", "open+35m")
    scene.venue.fill(old.client_order_id, "96.60")
    scene.later(60)
    exits(scene, "open+36m")
    (record,) = [r for r in scene.ledger.intents() if r.intent.operation is Operation.REPLACE]
    assert (record.state, record.code) == (IntentState.REJECTED, TARGET_DONE)
    assert scene.venue.held["AAPL"] == 0
    assert scene.venue.replaced == []


@pytest.mark.parametrize("hidden", [False, True])
def test_a_replaced_exit_whose_follower_the_venue_does_not_show_yet_keeps_others_back(hidden: bool) -> None:
    scene, old = leaving()
    killed(scene, "replace", "open+35m")
    by_hand = replace(scene.venue.submitted[-1], client_order_id="by hand", target_venue_id=old.venue_id)
    scene.venue.replacement(by_hand)
    follower = scene.venue.book.pop("by hand")
    if not hidden:
        scene.venue.book["by hand"] = replace(follower, status=OrderStatus.CANCELED)
    scene.later(60)
    exits(scene, "open+36m")
    (state,) = states(scene, Operation.REPLACE)
    sold = sum(intent.side is Side.SELL for intent in scene.venue.submitted)
    assert (state, sold) == ((IntentState.SENT, 1) if hidden else (IntentState.REJECTED, 2))


def test_a_refused_replace_is_followed_by_a_cancel_in_the_same_pass_and_a_later_one_has_another_id() -> None:
    scene, _ = leaving()
    scene.venue.script["AAPL"] = REJECTED
    scene.venue.cancel = lambda intent: REJECTED  # type: ignore[method-assign]
    refused = [sent(exits(scene, slot)) for slot in ("open+35m", "open+36m")]
    assert refused == [[("replace", Reason.VENUE_REJECTED), ("cancel", Reason.VENUE_REJECTED)]] * 2
    assert len({intent.client_order_id for intent in scene.venue.replaced}) == 2


def test_a_replace_that_the_venue_took_and_then_rejected_is_followed_by_one_of_another_id() -> None:
    scene, old = leaving()
    exits(scene, "open+35m")
    new = working(scene)
    scene.later(60)
    now = scene.venue.now
    scene.venue.book[new.client_order_id] = replace(new, status=OrderStatus.REJECTED, updated_at=now)
    scene.venue.book[old.client_order_id] = replace(old, updated_at=now)
    scene.ledger.apply_orders([replace(old, updated_at=now)], now)
    scene.price("AAPL", "95")
    assert sent(exits(scene, "open+36m")) == [("replace", Reason.SENT)]
    assert len({intent.client_order_id for intent in scene.venue.replaced}) == 2
    assert working(scene).limit_price == Decimal("94.52")


def test_an_order_that_is_listed_beside_the_one_that_takes_its_place_is_left_alone() -> None:
    scene, old = leaving()
    exits(scene, "open+35m")
    scene.venue.book[old.client_order_id] = old
    scene.later(60)
    scene.price("AAPL", "95")
    assert sent(exits(scene, "open+36m")) == []


@pytest.mark.parametrize(
    ("status", "seconds", "done"),
    [
        (OrderStatus.PENDING_REPLACE, 179, []),
        (OrderStatus.PENDING_REPLACE, 180, [("cancel", Reason.SENT)]),
        (OrderStatus.PENDING_NEW, 179, []),
        (OrderStatus.NEW, 0, [("replace", Reason.SENT)]),
    ],
)
def test_an_exit_that_the_venue_is_at_work_on_is_left_to_it_for_one_life(
    status: OrderStatus, seconds: int, done: list[tuple[str, Reason]]
) -> None:
    scene, order = leaving()
    scene.venue.book[order.client_order_id] = replace(order, status=status, updated_at=scene.venue.now)
    scene.later(seconds)
    scene.price("AAPL", "96")
    assert sent(exits(scene, "open+40m")) == done


def test_an_exit_at_the_price_of_now_stays_as_it_is() -> None:
    scene, _ = leaving()
    scene.price("AAPL", "97")
    assert sent(exits(scene, "open+35m")) == []


@pytest.mark.parametrize(
    ("state", "done"), [(TradingState.ACTIVE, []), (TradingState.FLATTEN, [("cancel", Reason.SENT)])]
)
def test_without_a_quote_an_exit_stays_unless_all_must_go(state: TradingState, done: list[tuple[str, Reason]]) -> None:
    scene, _ = leaving()
    scene.venue.prices = {}
    scene.ledger.set_trading_state(TradingStateRecord(state, "ada", "why not", scene.venue.now))
    assert sent(exits(scene, "open+35m")) == done


@pytest.mark.parametrize("quoted", [True, False])
def test_a_market_order_that_nothing_fills_stays(quoted: bool) -> None:
    scene, order = leaving()
    scene.venue.book[order.client_order_id] = replace(order, limit_price=None)
    scene.venue.prices = scene.venue.prices if quoted else {}
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.FLATTEN, "ada", "all of it", scene.venue.now))
    assert sent(exits(scene, "open+35m")) == []


@pytest.mark.parametrize("left", [20, -5])
def test_an_exit_for_more_than_is_left_ends_and_the_next_is_smaller(left: int) -> None:
    scene, _ = leaving()
    scene.venue.held["AAPL"] = Decimal(left)
    assert sent(exits(scene, "open+35m")) == [("cancel", Reason.SENT)]
    scene.later(60)
    exits(scene, "open+36m")
    sold = [intent.quantity for intent in scene.venue.submitted if intent.side is Side.SELL]
    assert sold[1:] == ([left] if left > 0 else [])


def test_an_exit_on_the_side_of_the_position_itself_ends() -> None:
    scene, _ = leaving()
    turned = fill(9, side=Side.SELL, quantity="98", price="97", at=scene.venue.now)
    scene.ledger.apply_fills([turned], scene.venue.now)
    scene.venue.held["AAPL"] = Decimal(-49)
    assert sent(exits(scene, "open+35m")) == [("cancel", Reason.SENT)]


def test_an_exit_is_canceled_even_when_the_outcome_of_its_new_price_is_unknown() -> None:
    scene, _ = leaving()
    killed(scene, "replace", "open+35m")
    scene.venue.held["AAPL"] = Decimal(20)
    assert sent(exits(scene, "open+36m")) == [("cancel", Reason.SENT)]
    assert (scene.venue.view().orders, scene.venue.replaced) == ((), [])


def test_what_is_unknown_of_a_change_adds_no_exposure_and_a_cancel_is_no_unanswered_order() -> None:
    scene, _ = leaving()
    before = take_desk(scene.world(), for_entries=False)
    killed(scene, "replace", "open+35m")
    killed(scene, "replace", "open+36m")
    changed = take_desk(scene.world(), for_entries=False)
    assert changed.book.exposure == before.book.exposure
    assert (len(before.halt_evidence.unanswered), len(changed.halt_evidence.unanswered)) == (0, 1)
    scene.venue.held["AAPL"] = Decimal(20)
    killed(scene, "cancel", "open+37m")
    assert len(take_desk(scene.world(), for_entries=False).halt_evidence.unanswered) == 1


def test_no_new_price_leaves_in_the_last_moment_of_a_session() -> None:
    scene, _ = leaving()
    scene.venue.now = SESSION.close - timedelta(seconds=1)
    assert sent(exits(scene, "close")) == [("replace", Reason.MARKET_CLOSED)]
    assert scene.venue.replaced == []


def test_a_lost_exit_that_is_found_is_repriced_once() -> None:
    scene = lost_exit(swallows=False)
    scene.later(300)
    scene.price("AAPL", "90")
    assert sent(exits(scene, "open+36m")) == [("replace", Reason.SENT)]


def test_a_lost_exit_whose_second_sending_died_too_is_sent_by_the_next_pass() -> None:
    scene = lost_exit(swallows=True)
    scene.later(300)
    killed(scene, "submit", "open+36m")
    scene.later(60)
    assert exits(scene, "open+37m").candidates[0].terminal is None
    assert sum(intent.side is Side.SELL for intent in scene.venue.submitted) == 2


def test_an_order_that_has_ended_at_the_venue_is_none_of_a_dry_run() -> None:
    scene, old = leaving()
    exits(scene, "open+34m", dry_run=True)
    scene.venue.fill(old.client_order_id, "96.60")
    assert sent(exits(scene, "open+35m", dry_run=True)) == []


def test_a_venue_that_does_not_name_the_follower_leaves_its_fills_ours_by_their_id() -> None:
    scene, old = leaving()
    exits(scene, "open+35m")
    new = working(scene)
    silent = replace(scene.venue.book[old.client_order_id], replaced_by=None)
    scene.venue.book[old.client_order_id] = silent
    scene.venue.fill(new.client_order_id, "95.60")
    scene.later(60)
    exits(scene, "open+36m")
    assert {owned.strategy for owned in scene.ledger.fills()} == {"flow"}


def lost_exit(*, swallows: bool) -> Scene:
    """Return a scene in which the bot holds a position, and the answer to its exit was lost."""
    scene = Scene()
    scene.venue.fill(entered(scene).client_order_id, "100")
    scene.later(60)
    scene.price("AAPL", "97")
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, swallows
    exits(scene, "open+31m")
    scene.venue.script, scene.venue.swallows = {}, False
    return scene


@pytest.mark.parametrize("answered", [True, False])
def test_a_lost_exit_is_sent_again_under_its_id_at_the_price_of_this_moment(answered: bool) -> None:
    scene = lost_exit(swallows=True)
    submit = scene.venue.submit

    def taken_in(intent: Intent) -> Reply:
        reply = submit(intent)
        if not answered:
            return LOST
        assert reply.order is not None
        return replace(reply, order=replace(reply.order, status=OrderStatus.PENDING_NEW))

    scene.venue.submit = taken_in  # type: ignore[method-assign]
    scene.later(300)
    scene.price("AAPL", "90")
    lost = next(intent for intent in scene.venue.submitted if intent.side is Side.SELL)
    exits(scene, "open+36m")
    scene.later(1)
    exits(scene, "open+37m")
    again = [intent for intent in scene.venue.submitted if intent.side is Side.SELL][1:]
    assert [(one.client_order_id, one.limit_price) for one in again] == [(lost.client_order_id, Decimal("89.55"))]
    assert working(scene).limit_price == Decimal("89.55")
    assert scene.ledger.trading_state().state is TradingState.ACTIVE


def test_a_dry_run_shows_the_new_price_and_changes_nothing() -> None:
    scene, old = leaving()
    (record,) = [r for r in exits(scene, "open+35m", dry_run=True).candidates if r.candidate.source == "replace"]
    assert (record.decisions[-1].reason, record.reference_price) == (Reason.DRY_RUN, Decimal("95.52"))
    assert (working(scene), scene.venue.replaced, states(scene, Operation.REPLACE)) == (old, [], [])


def test_an_exit_that_a_person_replaced_by_hand_is_still_ours_and_is_not_sent_a_second_time() -> None:
    scene, old = leaving()
    by_hand = replace(scene.venue.submitted[-1], client_order_id="by hand", target_venue_id=old.venue_id)
    scene.venue.replacement(by_hand)
    assert [found.terminal and found.terminal.reason for found in exits(scene, "open+35m").candidates] == [
        Reason.ORDER_WORKING
    ]
    scene.venue.fill("by hand", "96")
    scene.later(60)
    exits(scene, "open+36m")
    assert {owned.strategy for owned in scene.ledger.fills()} == {"flow"}
    assert sum(intent.side is Side.SELL for intent in scene.venue.submitted) == 1


@pytest.mark.parametrize("slot", ["open+40m", "open+41m"])
def test_a_cancel_that_died_before_its_request_is_sent_again_in_its_own_slot_and_in_a_later_one(slot: str) -> None:
    scene = Scene(limits=limits(entry_life_s=300))
    entered(scene)
    scene.later(300)
    killed(scene, "cancel", "open+40m")
    again = exits(scene, slot)
    assert sent(again) == [("cancel", Reason.SENT)]
    assert AGAIN in again.candidates[-1].decisions
    assert scene.venue.view().orders == ()
    exits(scene, "open+50m")
    assert states(scene, Operation.CANCEL) == [IntentState.ACKED]


def test_a_promised_cancel_is_carried_out_though_its_reason_has_passed() -> None:
    scene = Scene()
    entered(scene)
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", scene.venue.now))
    killed(scene, "cancel", "open+31m")
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "ada", "over", scene.venue.now))
    scene.later(60)
    (record,) = exits(scene, "open+32m").candidates
    assert (why(record), record.terminal) == (Reason.INTENT_UNRESOLVED, None)
    assert scene.venue.view().orders == ()


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (OrderStatus.NEW, IntentState.SENT),
        (OrderStatus.PENDING_CANCEL, IntentState.ACKED),
        (OrderStatus.CANCELED, IntentState.ACKED),
        (OrderStatus.FILLED, IntentState.ACKED),
    ],
)
def test_a_cancel_without_an_answer_is_settled_by_the_order_alone(status: OrderStatus, state: IntentState) -> None:
    scene = Scene()
    name = entered(scene).client_order_id
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", scene.venue.now))
    killed(scene, "cancel", "open+31m")
    scene.later(60)
    scene.venue.book[name] = replace(scene.venue.book[name], status=status, updated_at=scene.venue.now)
    trade_once(scene.world(), call(slot="open+32m"))
    assert states(scene, Operation.CANCEL) == [state]


def a_day_back(scene: Scene) -> None:
    day = timedelta(days=1)
    scene.venue.now -= day
    scene.ledger.put_sessions([Session(SESSION.date - day, SESSION.open - day, SESSION.close - day)])


def test_an_exit_sent_while_the_venue_was_a_day_ahead_is_repriced_once_the_day_is_right() -> None:
    scene, _ = leaving()
    a_day_back(scene)
    assert sent(exits(scene, "open+35m")) == [("replace", Reason.SENT)]


def test_an_exit_lost_while_the_venue_was_a_day_ahead_is_sent_again_once_the_day_is_right() -> None:
    scene = lost_exit(swallows=True)
    a_day_back(scene)
    scene.venue.script, scene.venue.swallows = {}, False
    before = len(scene.venue.submitted)
    exits(scene, "open+35m")
    (again,) = scene.venue.submitted[before:]
    assert again.client_order_id == scene.venue.submitted[before - 1].client_order_id


def test_a_halt_ends_entries_first_once_and_leaves_exits_to_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, _ = leaving()
    trade_once(scene.world(wanted("MSFT")), call(slot="open+36m"))
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "person", "odd", scene.venue.now))
    listed = scene.venue.view()
    ended = cancel_working_entries(scene.world(), call(Job.EVALUATE_EXITS, "halt"), scene.venue.clock())
    assert [intent.instrument.symbol for intent in scene.venue.cancelled] == ["MSFT"]
    # Even if the venue still lists the order, it isn't cancelled twice.
    monkeypatch.setattr(scene.venue, "view", lambda: listed)
    told = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+37m"), ended)
    assert sent(told) == [("cancel", Reason.SENT), ("replace", Reason.SENT)]
    assert [intent.instrument.symbol for intent in scene.venue.cancelled] == ["MSFT"]


@pytest.mark.parametrize("shut", ["permission", "session", "account", "dry run", "blocked"])
def test_a_halt_ends_no_entry_first_where_a_pass_would_end_none(shut: str) -> None:
    scene = Scene()
    entered(scene)
    if shut == "permission":
        scene.permission = Permission(((Reason.DRY_RUN, "true"),))
    scene.venue.is_open = shut != "session"
    scene.venue.number = "ANOTHER" if shut == "account" else scene.venue.number
    scene.venue.blocked = ("trading_blocked",) if shut == "blocked" else ()
    world = scene.world(dry_run=shut == "dry run")
    assert cancel_working_entries(world, call(Job.EVALUATE_EXITS, "halt"), scene.venue.clock()) == {}
    assert scene.venue.cancelled == []
