"""A passive entry moves from its own side of the spread toward the other, one replace at a time, and never twice."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.core.scene import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import Killed, limits
from tradebot.desk.snapshot import take_desk
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.limits import StrategyRules
from tradebot.model.order import Execution, LastStep, Order, Reply, Style
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import RungReached, TradingState, TradingStateRecord
from tradebot.ports.world import World

DEMOTED, NOT_PROMOTED = Reason.DEMOTED, Reason.NOT_PROMOTED
PASSIVE = Execution(Style.PASSIVE, patience_s=60, steps=3)


def world(scene: Scene, execution: Execution, side: Side | None = None) -> World:
    """Return the scene's world, in which entries are sent this way, and one is wanted if there is a side."""
    made = scene.world(*([] if side is None else [wanted("AAPL", side=side)]))
    own = StrategyRules(NAMES, scene.limits, execution=execution)
    return replace(made, rules=replace(made.rules, own={"flow": own}))


def entered(scene: Scene, execution: Execution = PASSIVE, side: Side = Side.BUY) -> Intent:
    """Let the bot enter at 99.60 bid, 100.00 ask."""
    spread(scene, "99.60", "100.00")
    trade_once(world(scene, execution, side), call())
    return scene.venue.submitted[-1]


def spread(scene: Scene, bid: str, ask: str) -> None:
    seen = scene.venue.prices["AAPL"]
    scene.venue.prices["AAPL"] = replace(
        seen, bid=Decimal(bid), ask=Decimal(ask), last=Decimal(ask), at=scene.venue.now
    )


def minute(scene: Scene, slot: int, execution: Execution = PASSIVE, seconds: int = 60) -> CycleRecord:
    scene.later(seconds)
    return evaluate_exits(world(scene, execution), call(Job.EVALUATE_EXITS, f"open+{slot}m"))


def working(scene: Scene) -> list[Order]:
    found = ((scene.ledger.intent(order.client_order_id), order) for order in scene.venue.view().orders)
    return [order for record, order in found if record and record.intent.purpose is Purpose.OPEN]


def prices(scene: Scene, side: Side, execution: Execution = PASSIVE, minutes: int = 6) -> list[str]:
    entered(scene, execution, side)
    seen = [str(order.limit_price) for order in working(scene)]
    for number in range(1, minutes):
        minute(scene, 30 + number, execution)
        seen += [str(order.limit_price) for order in working(scene)]
    return seen


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (Side.BUY, ["99.60", "99.70", "99.80", "99.90", "100.20", "100.20"]),
        (Side.SELL, ["100.00", "99.90", "99.80", "99.70", "99.40", "99.40"]),
    ],
)
def test_an_entry_steps_across_the_spread_and_ends_as_a_marketable_limit(side: Side, expected: list[str]) -> None:
    scene = Scene()
    assert prices(scene, side) == expected
    assert len(scene.venue.replaced) == 4
    assert len({intent.client_order_id for intent in scene.venue.replaced}) == 4


def test_an_entry_that_may_not_cross_is_canceled_after_its_last_step() -> None:
    scene = Scene()
    assert prices(scene, Side.BUY, replace(PASSIVE, last_step=LastStep.CANCEL)) == ["99.60", "99.70", "99.80", "99.90"]
    assert len(scene.venue.cancelled) == 1


def test_passes_that_come_often_do_not_hurry_an_entry() -> None:
    scene = Scene()
    entered(scene)
    for number in range(31, 40):
        minute(scene, number, seconds=10)
    assert [str(intent.limit_price) for intent in scene.venue.replaced] == ["99.70"]


def test_an_entry_waits_while_the_spread_is_too_wide_and_then_catches_up() -> None:
    scene = Scene()
    entered(scene)
    spread(scene, "99.00", "101.00")
    assert minute(scene, 31).candidates == ()
    spread(scene, "99.60", "100.00")
    minute(scene, 32)
    assert [str(intent.limit_price) for intent in scene.venue.replaced] == ["99.80"]


def test_an_entry_never_follows_the_market_past_its_first_collar() -> None:
    scene = Scene()
    entered(scene)
    spread(scene, "102.00", "102.02")
    for number in range(31, 37):
        minute(scene, number)
    assert [str(order.limit_price) for order in working(scene)] == ["100.20"]


def test_all_prices_together_live_as_long_as_one_entry() -> None:
    scene = Scene(limits=limits(entry_life_s=300))
    entered(scene)
    for number in range(31, 36):
        minute(scene, number)
    assert (working(scene), len(scene.venue.cancelled)) == ([], 1)


def test_a_halt_cancels_a_stepping_entry_and_no_step_follows() -> None:
    scene = Scene()
    entered(scene)
    minute(scene, 31)
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", scene.venue.now))
    minute(scene, 32)
    assert (working(scene), len(scene.venue.replaced), len(scene.venue.cancelled)) == ([], 1, 1)


DOWN = {reason: {"flow": RungReached(Decimal(0), "shadow", "paper", reason)} for reason in (DEMOTED, NOT_PROMOTED)}


@pytest.mark.parametrize(
    ("closed", "reason"),
    [
        ({"in_shadow": frozenset({"flow"})}, Reason.IN_SHADOW),
        ({"awaiting_promotion": DOWN[DEMOTED]}, DEMOTED),
        ({"climbed": DOWN[NOT_PROMOTED]}, NOT_PROMOTED),
    ],
)
def test_an_entry_of_a_strategy_that_may_not_enter_any_more_is_canceled(
    closed: Mapping[str, Any], reason: Reason
) -> None:
    scene = Scene()
    entered(scene)
    scene.permission = replace(scene.permission, **closed)
    (record,) = minute(scene, 31).candidates
    assert (working(scene), scene.venue.replaced, len(scene.venue.cancelled)) == ([], [], 1)
    assert reason in [decision.reason for decision in record.decisions]


def test_a_halt_that_comes_in_the_middle_of_a_pass_blocks_the_step() -> None:
    scene = Scene()
    entered(scene)
    promise = scene.ledger.record_intent

    def halts_first(intent: Intent, verdicts: object) -> bool:
        scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "now", scene.venue.now))
        return promise(intent, verdicts)  # type: ignore[arg-type]

    scene.ledger.record_intent = halts_first  # type: ignore[method-assign]
    (found,) = minute(scene, 31).candidates
    assert (found.decisions[-1].reason, scene.venue.replaced) == (Reason.HALTED, [])


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("side", Side)
def test_the_book_counts_a_passive_entry_at_the_worst_it_may_step_to(side: Side, lost: bool) -> None:
    scene = Scene()
    if lost:
        scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    sent = entered(scene, side=side)
    assert sent.approach is not None
    assert sent.limit_price is not None
    desk = take_desk(scene.world(), for_entries=True)
    usd = sent.quantity * max(sent.approach.collar, sent.limit_price)
    assert desk.book.exposure["AAPL"] == usd
    assert [stake.usd for stake in desk.book.stakes] == [usd]


@pytest.mark.parametrize("swallows", [False, True])
def test_a_step_whose_answer_was_lost_makes_no_second_order(swallows: bool) -> None:
    scene = Scene()
    entered(scene)
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, swallows
    (found,) = minute(scene, 31).candidates
    assert found.decisions[-1].reason is Reason.VENUE_UNKNOWN
    scene.venue.script, scene.venue.swallows = {}, False
    minute(scene, 32, seconds=10)
    assert [str(order.limit_price) for order in working(scene)] == ["99.70"]
    assert len({intent.client_order_id for intent in scene.venue.replaced}) == 1


def test_a_step_that_the_venue_refuses_ends_the_entry() -> None:
    scene = Scene()
    entered(scene)
    scene.venue.script["AAPL"] = REJECTED
    minute(scene, 31)
    assert (working(scene), len(scene.venue.cancelled)) == ([], 1)


def test_what_fills_between_two_steps_is_the_strategys_own() -> None:
    scene = Scene()
    scene.venue.fill(entered(scene).client_order_id, "99.60", Decimal(3))
    minute(scene, 31)
    (order,) = working(scene)
    scene.venue.fill(order.client_order_id, "99.70")
    minute(scene, 32)
    fills = scene.ledger.fills()
    assert sum(owned.fill.quantity for owned in fills) == order.quantity == scene.venue.held["AAPL"]
    assert {owned.strategy for owned in fills} == {"flow"}


def test_a_market_entry_has_no_limit_and_passes_the_same_gates() -> None:
    scene = Scene()
    market = Execution(Style.MARKET)
    sent = entered(scene, market)
    assert (sent.limit_price, sent.order_type.value, sent.operation) == (None, "market", Operation.SUBMIT)
    assert minute(scene, 31, market).candidates == ()
    wide = Scene()
    spread(wide, "99.00", "101.00")
    (found,) = trade_once(world(wide, market, Side.BUY), call()).candidates
    assert (found.terminal and found.terminal.reason, wide.venue.submitted) == (Reason.SPREAD_TOO_WIDE, [])


def test_an_entry_larger_than_its_share_of_the_quote_is_refused() -> None:
    scene = Scene()
    spread(scene, "99.60", "100.00")
    scene.venue.prices["AAPL"] = replace(scene.venue.prices["AAPL"], bid_size=Decimal(9000), ask_size=Decimal(30))
    half = replace(PASSIVE, max_quote_share=Decimal("0.5"))
    (found,) = trade_once(world(scene, half, Side.BUY), call()).candidates
    assert (found.terminal and found.terminal.reason, scene.venue.submitted) == (Reason.QUOTE_TOO_THIN, [])


def test_what_an_order_was_decided_and_sent_at_is_kept_with_it() -> None:
    scene = Scene()
    first = entered(scene)
    spread(scene, "99.70", "100.10")
    minute(scene, 31)
    (step,) = scene.venue.replaced
    assert (first.decision_mid, first.send_mid) == (Decimal("99.80"), Decimal("99.80"))
    assert (step.decision_mid, step.send_mid, step.send_mid_at) == (Decimal("99.80"), Decimal("99.90"), scene.venue.now)


@pytest.mark.parametrize("after", [False, True])
def test_a_step_that_died_with_its_process_is_found_or_repeated_unchanged(after: bool) -> None:
    scene = Scene()
    entered(scene)
    honest = scene.venue.replace

    def dies(intent: Intent) -> Reply:
        if after:
            honest(intent)
        raise Killed

    scene.venue.replace = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        minute(scene, 31)
    scene.venue.replace = honest  # type: ignore[method-assign]
    spread(scene, "99.00", "101.00")
    minute(scene, 32, seconds=10)
    assert [str(order.limit_price) for order in working(scene)] == ["99.70"]
    assert [record.state for record in scene.ledger.intents() if record.intent.operation is Operation.REPLACE] == [
        IntentState.ACKED
    ]
