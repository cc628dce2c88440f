"""A position that was opened with its own stop and target is closed by them, whatever happened in between."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import ACCEPTED, LOST
from tests.reconciliation.test_activity_booking import activity, happens
from tradebot.exits.kinds.stops import StopLoss
from tradebot.exits.rules import Exits
from tradebot.model.candidate import Purpose, Side
from tradebot.model.order import Reply
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World

STOP, TARGET = Decimal("0.01"), Decimal("0.5")


def opened(side: Side = Side.BUY, *parts: int, reply: Reply = ACCEPTED) -> Scene:
    """Return a scene with a position at 100 that the strategy opened with its own stop and target."""
    scene = Scene()
    scene.venue.script = {"AAPL": reply}
    asked = replace(wanted("AAPL", side=side), stop_loss_fraction=STOP, profit_target_fraction=TARGET)
    trade_once(scene.world(asked), call())
    (entry,) = scene.venue.submitted
    scene.venue.script = {}
    for part in parts or (None,):
        scene.venue.fill(entry.client_order_id, "100", None if part is None else Decimal(part))
        scene.later(5)
    return scene


def world(scene: Scene, **lists: Exits) -> World:
    """Return the world in which strategies have these lists of exits; flow has none."""
    usual = scene.world()
    return replace(usual, rules=replace(usual.rules, own_exits={"flow": (), **lists}))


def decided(scene: Scene, price: str, world: World, symbol: str = "AAPL") -> Reason | None:
    """Return what a pass of exits decides at a price."""
    scene.venue.prices[symbol] = replace(scene.venue.prices["AAPL"], symbol=symbol)
    scene.price(symbol, price)
    scene.later(60)
    records = evaluate_exits(world, call(Job.EVALUATE_EXITS, f"{scene.venue.now:%H%M%S}")).candidates
    return next(record.decisions[1].reason for record in records if record.candidate.symbol == symbol)


@pytest.mark.parametrize(
    ("side", "holds", "stops", "gains"), [(Side.BUY, "99.01", "99", "150"), (Side.SELL, "100.99", "101", "50")]
)
def test_it_acts_at_its_own_distance_from_the_entry(side: Side, holds: str, stops: str, gains: str) -> None:
    for price, reason in ((holds, Reason.HOLD), (stops, Reason.STOP_LOSS), (gains, Reason.PROFIT_TARGET)):
        scene = opened(side)
        assert decided(scene, price, world(scene)) is reason
        sent = [intent.purpose for intent in scene.venue.submitted[1:]]
        assert sent == ([] if reason is Reason.HOLD else [Purpose.CLOSE])


def test_it_acts_in_addition_to_the_list_of_its_strategy_which_may_be_nearer() -> None:
    scene = opened()
    assert decided(scene, "99.5", world(scene, flow=(StopLoss(fraction=Decimal("0.005")),))) is Reason.STOP_LOSS
    scene = opened()
    assert decided(scene, "99", world(scene, flow=(StopLoss(fraction=Decimal("0.2")),))) is Reason.STOP_LOSS
    scene = opened()
    assert decided(scene, "97", world(scene, other=(StopLoss(fraction=Decimal("0.005")),))) is Reason.STOP_LOSS


def test_the_list_of_another_strategy_closes_nothing() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    assert decided(scene, "90", world(scene, other=(StopLoss(fraction=STOP),))) is Reason.HOLD
    assert decided(scene, "90", world(scene, flow=(StopLoss(fraction=STOP),))) is Reason.STOP_LOSS


@pytest.mark.parametrize(("parts", "reply"), [((2, 1), ACCEPTED), ((), LOST)])
def test_it_holds_for_what_filled_in_parts_and_after_a_lost_answer(parts: tuple[int, ...], reply: Reply) -> None:
    scene = opened(Side.BUY, *parts, reply=reply)
    assert decided(scene, "99.01", world(scene)) is Reason.HOLD
    assert decided(scene, "99", world(scene)) is Reason.STOP_LOSS


def test_after_a_split_it_is_the_same_distance_from_the_new_price() -> None:
    scene = opened()
    held = scene.venue.held["AAPL"]
    split = replace(activity("SPLIT", quantity=str(held)), at=scene.venue.now + timedelta(seconds=1))
    assert happens(scene, split, averages={"AAPL": "50"}).findings == ()
    assert decided(scene, "49.51", world(scene)) is Reason.HOLD
    assert decided(scene, "49.50", world(scene)) is Reason.STOP_LOSS


def test_it_goes_over_to_a_new_name() -> None:
    scene = opened()
    held, at = scene.venue.held["AAPL"], scene.venue.now + timedelta(seconds=1)
    gone = replace(activity("NC", quantity=str(-held), sub="SNC"), at=at)
    come = replace(activity("NC", "PEAR", str(held), sub="SNC", number=2), at=at)
    assert happens(scene, gone, come).findings == ()
    assert decided(scene, "99.01", world(scene), "PEAR") is Reason.HOLD
    assert decided(scene, "99", world(scene), "PEAR") is Reason.STOP_LOSS
