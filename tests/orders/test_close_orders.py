"""What a strategy wants to close goes the way of every exit: its own shares only, and never twice."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, FixedStrategy, Wanting
from tests.kit.values import LIMITS, limits
from tests.orders.test_order_sender import end_of
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Gate
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.view import Close, Reduce, Target, Want
from tradebot.ports.world import World


def world(scene: Scene, *wants: Want, name: str = "momentum") -> World:
    return replace(scene.world(), strategies=[Wanting(*wants, name=name)])


QUICK = limits(cooldown_s=60, duplicate_window_s=60)


def holding(limits: Limits = LIMITS) -> Scene:
    scene = Scene(limits=limits)
    buys(scene, 20)
    return scene


def buys(scene: Scene, shares: int, name: str = "momentum", slot: str = "buy") -> None:
    """Let a strategy buy AAPL, the venue fill it, and the next pass book that."""
    trade_once(world(scene, Target("AAPL", quantity=Decimal(shares)), name=name), call(slot=slot))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(3600)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, f"after {slot}"))


def only(record: CycleRecord) -> CandidateRecord:
    (found,) = record.candidates
    return found


@pytest.mark.parametrize(
    ("want", "purpose", "shares"),
    [
        (Close("AAPL", "the mean is reached"), Purpose.CLOSE, 20),
        (Reduce("AAPL", Decimal(5), "half way there"), Purpose.REDUCE, 5),
        (Reduce("AAPL", Decimal("5.7"), "whole shares only"), Purpose.REDUCE, 5),
        (Reduce("AAPL", Decimal(20), "all of it"), Purpose.CLOSE, 20),
        (Reduce("AAPL", Decimal(50), "more than there is"), Purpose.CLOSE, 20),
    ],
)
def test_a_strategy_closes_what_it_holds_and_says_why(want: Close | Reduce, purpose: Purpose, shares: int) -> None:
    scene = holding()
    found = only(trade_once(world(scene, want), call(slot="open+90m")))
    intent = scene.venue.submitted[-1]
    assert (intent.purpose, intent.side, int(intent.quantity)) == (purpose, Side.SELL, shares)
    asked = [decision for decision in found.decisions if decision.reason is Reason.STRATEGY_CLOSES]
    assert (found.terminal, [decision.observed for decision in asked]) == (None, [want.why])


def test_less_than_a_share_is_not_closed_and_says_so() -> None:
    scene = holding()
    found = only(trade_once(world(scene, Reduce("AAPL", Decimal("0.5"), "a little")), call(slot="open+90m")))
    assert (end_of(found).reason, end_of(found).limit) == (Reason.SIZE_BELOW_ONE, 1)
    assert [intent.purpose for intent in scene.venue.submitted] == [Purpose.OPEN]


def test_what_was_closed_after_the_strategy_saw_it_is_not_a_difference_between_books_and_broker() -> None:
    scene = holding()
    closing = world(scene, Close("AAPL", "enough"))
    trade_once(closing, call(slot="open+90m"))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "101")
    # Nothing has read this fill yet, so the strategy still sees the position.
    found = only(trade_once(closing, call(slot="open+95m")))
    assert (end_of(found).reason, end_of(found).observed, len(scene.venue.submitted)) == (Reason.ALREADY_CLOSED, 0, 2)


def test_a_halted_bot_still_closes_and_opens_nothing() -> None:
    scene = holding()
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", scene.venue.now))
    both = world(scene, Close("AAPL", "enough"), Target("MSFT", quantity=Decimal(5)))
    # A want for a symbol that it doesn't hold is an entry, which the halt refuses.
    record = trade_once(both, call(slot="open+90m"))
    assert [r.terminal.reason if r.terminal else None for r in record.candidates] == [None, Reason.HALTED]
    assert [intent.purpose for intent in scene.venue.submitted] == [Purpose.OPEN, Purpose.CLOSE]


def test_of_two_holders_each_closes_its_own_shares() -> None:
    scene = holding(QUICK)
    buys(scene, 7, "flow", slot="buy more")
    found = only(trade_once(world(scene, Close("AAPL", "enough"), name="flow"), call(slot="open+90m")))
    assert (found.terminal, int(scene.venue.submitted[-1].quantity)) == (None, 7)
    assert scene.venue.submitted[-1].key.strategy == "flow"


def test_an_exit_is_not_held_back_by_another_strategys_exit_but_by_its_entry() -> None:
    scene = holding(QUICK)
    buys(scene, 7, "flow", slot="buy more")
    trade_once(world(scene, Close("AAPL", "enough"), name="flow"), call(slot="open+90m"))
    selling = only(trade_once(world(scene, Close("AAPL", "enough")), call(slot="open+91m")))
    assert (selling.terminal, int(scene.venue.submitted[-1].quantity)) == (None, 20)


def test_an_exit_waits_while_another_strategys_entry_would_trade_with_it() -> None:
    scene = holding(QUICK)
    trade_once(world(scene, Target("AAPL", quantity=Decimal(3)), name="flow"), call(slot="open+90m"))
    found = only(trade_once(world(scene, Close("AAPL", "enough")), call(slot="open+91m")))
    assert end_of(found).reason is Reason.ORDER_WORKING


def test_a_lost_close_is_not_sent_a_second_time() -> None:
    scene = holding()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once(world(scene, Close("AAPL", "enough")), call(slot="open+90m"))
    found = only(trade_once(world(scene, Close("AAPL", "enough")), call(slot="open+91m")))
    assert end_of(found).reason is Reason.INTENT_UNRESOLVED
    assert sum(intent.purpose is Purpose.CLOSE for intent in scene.venue.submitted) == 1


def test_another_strategys_lost_entry_holds_back_no_exit() -> None:
    scene = holding(QUICK)
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once(world(scene, Target("AAPL", quantity=Decimal(3)), name="flow"), call(slot="open+90m"))
    scene.venue.script.clear()
    scene.price("AAPL", "90")
    record = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+91m"))
    closes = [r for r in record.candidates if r.candidate.source == "exit"]
    assert [(r.candidate.strategy, r.terminal) for r in closes] == [("momentum", None)]


def test_a_close_and_an_entry_on_one_symbol_do_not_meet_in_one_pass() -> None:
    scene = holding(QUICK)
    both = replace(scene.world(), strategies=[Wanting(Close("AAPL", "enough")), FixedStrategy(wanted("AAPL"))])
    record = trade_once(both, call(slot="open+90m"))
    ends = {r.candidate.strategy: r.terminal.reason if r.terminal else None for r in record.candidates}
    assert ends["momentum"] is None
    assert ends["flow"] in (Reason.ORDER_WORKING, Reason.ALREADY_POSITIONED)


def test_a_want_that_is_too_old_closes_nothing() -> None:
    scene = holding()
    from tests.kit.core.scene import trade_once
    from tradebot.desk.proposals import propose

    asked = world(scene, Close("AAPL", "enough"))
    proposed = propose(asked, scene.venue.now)
    scene.later(3600)
    found = only(trade_once(asked, call(slot="open+150m"), proposed))
    assert (end_of(found).gate, end_of(found).reason) == (Gate.CANDIDATE_FRESH, Reason.CANDIDATE_EXPIRED)
