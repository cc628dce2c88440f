"""An entry waits for a person's approval, which makes one order; exits never wait, and nothing is displaced first."""

from decimal import Decimal
from typing import Any

import pytest

from tests.kit.core.scene import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, Wanting
from tests.kit.values import DAY, limits
from tests.orders.test_entry_orders import RULES as DISPLACED
from tests.orders.test_entry_orders import ends
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.limits import ApprovalRules, StrategyRules
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ApprovalAnswer, TradingState, TradingStateRecord
from tradebot.model.view import Close, Target, Want
from tradebot.ports.world import World

RULES = ApprovalRules(wait_s=300, max_worse_fraction=Decimal("0.01"))
BUY = wanted("AAPL")


def world(scene: Scene, *candidates: Candidate, dry_run: bool = False, **own: Any) -> World:
    now = (replace(one, at=scene.venue.now) for one in candidates)
    usual = scene.world(*now, dry_run=dry_run)
    rules = StrategyRules(scene.universe, scene.limits, approval=RULES, **own)
    return replace(usual, rules=replace(usual.rules, own={"flow": rules, "momentum": rules}))


def end(scene: Scene, slot: str, *candidates: Candidate) -> Reason | None:
    cycle = trade_once(world(scene, *(candidates or (BUY,))), call(slot=slot))
    return ends(cycle)["AAPL", Purpose.OPEN]


def yes(scene: Scene, symbol: str = "AAPL") -> None:
    scene.approvals.answer(symbol, ApprovalAnswer.YES, scene.venue.now)


def test_an_entry_waits_is_asked_about_once_and_goes_out_once_after_a_yes() -> None:
    scene = Scene()
    assert end(scene, "a") is Reason.APPROVAL_WAITING
    scene.later(60)
    assert end(scene, "b") is Reason.APPROVAL_WAITING
    assert len(scene.approvals.asked) == len(scene.told("asked")) == 1
    assert not scene.venue.submitted
    yes(scene)
    assert end(scene, "c") is None
    (sent,) = scene.venue.submitted
    (asked,) = scene.approvals.asked
    assert (sent.approval, sent.quantity, sent.limit_price) == (asked.id, asked.quantity, asked.price)


def test_a_yes_makes_one_order_even_if_its_outcome_is_lost_and_every_pass_wants_it_again() -> None:
    scene = Scene(limits=limits(cooldown_s=1, duplicate_window_s=1))
    end(scene, "a")
    yes(scene)
    scene.venue.script = {"AAPL": LOST}
    end(scene, "b")
    for number in range(5):
        scene.later(30)
        end(scene, f"again {number}")
    assert len([one for one in scene.ledger.intents() if one.intent.approval]) == 1


def test_after_a_no_nothing_goes_out_and_nobody_is_asked_again() -> None:
    scene = Scene()
    end(scene, "a")
    scene.approvals.answer("AAPL", ApprovalAnswer.NO, scene.venue.now)
    scene.later(5000)
    assert end(scene, "b") is Reason.APPROVAL_REFUSED
    assert len(scene.approvals.asked) == 1


def test_after_a_yes_every_gate_is_asked_again_with_fresh_prices() -> None:
    scene = Scene()
    end(scene, "a")
    yes(scene)
    shown = scene.approvals.asked[0].price
    scene.price("AAPL", str((shown * Decimal("1.02")).quantize(Decimal("0.01"))))
    assert end(scene, "b") is Reason.APPROVAL_PRICE_WORSE
    scene.price("AAPL", str((shown * Decimal("1.5")).quantize(Decimal("0.01"))))
    assert end(scene, "c") is Reason.PRICE_MOVED
    assert not scene.venue.submitted


def test_a_yes_never_allows_more_shares_than_were_shown() -> None:
    scene = Scene(limits=limits(max_order_notional_usd=Decimal(1000)))
    end(scene, "a")
    yes(scene)
    shown, scene.limits = scene.approvals.asked[0].quantity, limits()
    assert end(scene, "b") is None
    assert [one.quantity for one in scene.venue.submitted] == [shown]
    assert shown < 10


def test_an_entry_that_any_gate_refuses_is_asked_of_nobody() -> None:
    scene = Scene(limits=limits(min_score=0.9))
    assert end(scene, "a") is Reason.SCORE_BELOW_MIN
    assert not scene.approvals.asked


def test_dry_run_says_that_a_person_would_be_asked_and_asks_nobody() -> None:
    scene = Scene()
    assert ends(trade_once(world(scene, BUY, dry_run=True), call()))["AAPL", Purpose.OPEN] is Reason.APPROVAL_WAITING
    assert not scene.approvals.asked


def test_exits_never_wait() -> None:
    scene = Scene()
    end(scene, "a")
    yes(scene)
    end(scene, "b")
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    scene.later(60)
    evaluate_exits(world(scene), call(Job.EVALUATE_EXITS, "book"))
    closing = replace(world(scene), strategies=[Wanting(Close("AAPL", "enough"), name="flow")])
    assert ends(trade_once(closing, call(slot="close")))["AAPL", Purpose.CLOSE] is None


def full() -> Scene:
    """Return a scene whose strategy holds AAPL, with no room for a second position."""
    scene = Scene(limits=limits(max_open_positions=1, max_new_entries=1, cooldown_s=1, duplicate_window_s=1))
    end(scene, "a")
    yes(scene)
    end(scene, "b")
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    scene.later(7200)
    evaluate_exits(world(scene), call(Job.EVALUATE_EXITS, "book"))
    return scene


def test_nothing_is_displaced_for_an_entry_without_a_yes() -> None:
    scene = full()
    better = wanted("XOM", 0.9)
    for slot in ("c", "d"):
        cycle = trade_once(world(scene, better, displacement=DISPLACED), call(slot=slot))
        assert ends(cycle) == {("XOM", Purpose.OPEN): Reason.APPROVAL_WAITING}
    yes(scene, "XOM")
    cycle = trade_once(world(scene, better, displacement=DISPLACED), call(slot="e"))
    assert ends(cycle) == {("AAPL", Purpose.CLOSE): None, ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_STARTED}
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(60)
    cycle = trade_once(world(scene, better, displacement=DISPLACED), call(slot="f"))
    assert ends(cycle) == {("XOM", Purpose.OPEN): None}


def rebalanced(scene: Scene, slot: str, *wants: Want) -> dict[tuple[str, Purpose], Reason | None]:
    targets = replace(world(scene), strategies=[Wanting(*wants, name="flow")])
    return ends(trade_once(targets, call(slot=slot)))


@pytest.mark.parametrize("answer", list(ApprovalAnswer))
def test_a_rebalance_sells_nothing_for_what_nobody_approved(answer: ApprovalAnswer) -> None:
    scene = full()
    swap = Target("AAPL", weight=Decimal(0)), Target("XOM", weight=Decimal("0.04"))
    kept = Reason.APPROVAL_WAITING
    assert rebalanced(scene, "c", *swap)["AAPL", Purpose.CLOSE] is kept
    scene.approvals.answer("XOM", answer, scene.venue.now)
    found = rebalanced(scene, "d", *swap)
    assert found["AAPL", Purpose.CLOSE] is (None if answer is ApprovalAnswer.YES else Reason.APPROVAL_REFUSED)


@pytest.mark.parametrize("halted", [True, False])
def test_a_close_that_changes_sides_waits_for_nobody(halted: bool) -> None:
    scene = full()
    if halted:
        scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "lunch", scene.venue.now))
    crossing = Target("AAPL", weight=Decimal("-0.04")), Target("XOM", weight=Decimal("0.04"))
    assert rebalanced(scene, "c", *crossing)["AAPL", Purpose.CLOSE] is None


def test_a_strategy_that_only_sells_asks_nobody() -> None:
    scene = full()
    assert rebalanced(scene, "c", Target("AAPL", weight=Decimal(0)))["AAPL", Purpose.CLOSE] is None


def test_two_strategies_are_asked_about_separately() -> None:
    scene = Scene()
    trade_once(world(scene, BUY), call(slot="a"))
    other = replace(world(scene), strategies=[Wanting(Target("AAPL", weight=Decimal("0.02")))])
    trade_once(other, call(slot="b"))
    assert {(one.strategy, one.session) for one in scene.approvals.asked} == {("flow", DAY), ("momentum", DAY)}


def test_every_candidate_of_a_pass_was_sent_waits_or_was_refused() -> None:
    scene = Scene(limits=limits(max_new_entries=1, max_open_positions=1))
    trade_once(world(scene, *map(wanted, NAMES)), call(slot="a"))
    yes(scene, "MSFT")
    cycle = trade_once(world(scene, *map(wanted, NAMES)), call(slot="b"))
    found = [record.terminal.reason if record.terminal else None for record in cycle.candidates]
    assert len(found) == len(NAMES)
    assert found.count(None) == len(scene.venue.submitted) == 1
    assert None not in [record.client_order_id for record in cycle.candidates if record.terminal is None]
