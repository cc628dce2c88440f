"""A position that is closed in parts: each level once, whoever acts, the bot or an order that rests at the venue."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tradebot.exits.rules import parse
from tradebot.model.candidate import Purpose, ScaleOutLevel, Side
from tradebot.model.intent import Intent
from tradebot.model.limits import Protection
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World

SOURCES = [("0.02", "0.3"), ("0.05", "0.3"), ("0.10", "0.4")]
LISTED = parse(
    [
        {"scale_out": {"levels": [{"fraction": fraction, "share": share} for fraction, share in SOURCES]}},
        {"stop_loss": {"fraction": 0.05}},
        {"flow_reversal": {"min_flow": 0.2}},
    ]
)
TARGETS = tuple(ScaleOutLevel(Decimal(fraction), Decimal(share)) for fraction, share in SOURCES)


def world(scene: Scene, protection: Protection, *, by_strategy: bool = False) -> World:
    """Return a world whose flow has this list of exits, or only a stop if the strategy brings its own targets."""
    usual = scene.world()
    exits = usual.rules.exits.model_copy(update={"protection": protection})
    return replace(
        usual, rules=replace(usual.rules, exits=exits, own_exits={"flow": LISTED[1 if by_strategy else 0 :]})
    )


def opened(side: Side = Side.BUY, *, by_strategy: bool = False) -> Scene:
    """Return a scene with 49 shares at 100, or 50 sold short, with the strategy's own targets if it brings them."""
    scene = Scene()
    targets = TARGETS if by_strategy else ()
    trade_once(scene.world(replace(wanted("AAPL", side=side), targets=targets)), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    return scene


def exits_at(scene: Scene, price: str, protection: Protection, *, by_strategy: bool = False) -> list[Intent]:
    """Run a pass of exits at a price, let the venue fill what exits it sends, and return these."""
    scene.price("AAPL", price)
    scene.later(60)
    before = len(scene.venue.submitted)
    evaluate_exits(
        world(scene, protection, by_strategy=by_strategy), call(Job.EVALUATE_EXITS, f"{scene.venue.now:%H%M%S}")
    )
    sent = scene.venue.submitted[before:]
    for intent in sent:
        if intent.purpose is not Purpose.PROTECT:
            scene.venue.fill(intent.client_order_id, price)
    return sent


@pytest.mark.parametrize("by_strategy", [False, True])
@pytest.mark.parametrize(
    ("side", "path", "shares"),
    [
        (Side.BUY, ["101.5", "102.5", "104", "102.5", "106", "103", "106", "111"], [14, 14, 21]),
        (Side.SELL, ["98.5", "97.5", "96", "97.5", "94", "97", "94", "89"], [15, 15, 20]),
    ],
)
def test_each_level_closes_once_and_says_why(side: Side, path: list[str], shares: list[int], by_strategy: bool) -> None:
    scene = opened(side, by_strategy=by_strategy)
    sent = [exits_at(scene, price, Protection.BOT, by_strategy=by_strategy) for price in path]
    assert [len(each) for each in sent] == [0, 1, 0, 0, 1, 0, 0, 1]
    intents = [intent for each in sent for intent in each]
    assert [int(intent.quantity) for intent in intents] == shares
    assert [intent.purpose for intent in intents] == [Purpose.REDUCE, Purpose.REDUCE, Purpose.CLOSE]
    stored = [record.intent for record in scene.ledger.intents()]
    assert [intent.why for intent in stored] == ["", "scale_out(2.5%)", "scale_out(6%)", "scale_out(11%)"]
    assert not scene.venue.held.get("AAPL")


def test_the_levels_rest_at_the_venue_with_a_stop_for_each_part() -> None:
    sent = exits_at(opened(), "100.5", Protection.VENUE)
    assert {(intent.purpose, intent.stop_price) for intent in sent} == {(Purpose.PROTECT, Decimal(95))}
    assert [(str(intent.limit_price), int(intent.quantity)) for intent in sent] == [
        ("102.00", 14), ("105.00", 14), ("110.00", 21),
    ]  # fmt: skip


def test_what_a_rule_does_not_know_stands_beside_the_decision_to_hold_and_stops_no_exit() -> None:
    scene = opened()
    scene.later(60)
    for price, decisions in (
        ("100.5", [(Reason.HOLD, None), (Reason.EXIT_INPUT_MISSING, "FLOW_REVERSAL")]),
        ("94", [(Reason.STOP_LOSS, None)]),
    ):
        scene.price("AAPL", price)
        scene.later(60)
        record = evaluate_exits(world(scene, Protection.BOT), call(Job.EVALUATE_EXITS, price)).candidates[0]
        told = [each for each in record.decisions if each.gate == "exit"]
        assert [(each.reason, each.limit if isinstance(each.limit, str) else None) for each in told] == decisions
    assert scene.venue.submitted[-1].purpose is Purpose.CLOSE
