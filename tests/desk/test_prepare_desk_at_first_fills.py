"""The first pass that sees an entry filled keeps the midpoint of that moment, and later ones don't change it."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.values import quote
from tradebot.model.candidate import Side
from tradebot.model.position import EntryTerms
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace


def kept(scene: Scene) -> EntryTerms:
    ledger = scene.world().ledger
    (position,) = ledger.totals().own_positions()
    return ledger.entry_terms([position.key])[position.key]


def look(scene: Scene) -> None:
    scene.later(60)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, f"{scene.venue.now:%H%M%S}"))


@pytest.mark.parametrize(("side", "gain"), [(Side.BUY, "0.03"), (Side.SELL, "-0.03")])
def test_gain_at_the_first_look_is_kept_whatever_the_price_does_then(side: Side, gain: str) -> None:
    scene = Scene()
    trade_once(scene.world(replace(wanted("AAPL", side=side), stop_loss_fraction=Decimal("0.5"))), call())
    (entry,) = scene.venue.submitted
    scene.venue.fill(entry.client_order_id, "100", Decimal(1))
    scene.price("AAPL", "103")
    middle = scene.venue.prices["AAPL"].middle
    look(scene)
    first = kept(scene).first_gain
    assert first == (middle / 100 - 1) * side.sign
    assert first == pytest.approx(Decimal(gain), abs=Decimal("0.001"))
    scene.price("AAPL", "99")
    look(scene)
    assert kept(scene).first_gain == first
    (order,) = [order for order in scene.ledger.orders() if order.client_order_id == entry.client_order_id]
    assert (order.fill_mid, order.status.terminal) == (middle, True), "a later report, of its end, doesn't change it"


def test_a_pass_without_a_quote_leaves_the_first_look_to_the_next_one() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    shown = scene.venue.prices.pop("AAPL")
    look(scene)
    assert kept(scene).first_gain is None
    scene.venue.prices["AAPL"] = replace(shown, bid=quote().bid, ask=quote().bid)
    look(scene)
    assert kept(scene).first_gain == quote().bid / 100 - 1
