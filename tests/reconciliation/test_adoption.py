"""Adopting: a foreign position becomes known or ours; no money is made or lost, and nothing is sent."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import FakeReader
from tests.kit.values import NOW, VENUE_DAY, fill, listing
from tests.reconciliation.test_activity_booking import activity
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.candidate import Side
from tradebot.model.finding import FindingKind
from tradebot.model.instrument import ListingRecord, TickStep
from tradebot.model.position import ADOPTED, FOREIGN
from tradebot.reconciliation.adoption import ForeignPart, acknowledge, manage
from tradebot.reconciliation.read_books import read_books
from tradebot.reconciliation.reconcile import Reconciled, reconcile

AT = NOW - timedelta(minutes=5)
QUANTITIES = st.integers(-50, 50)


def scene_of(*, before: int = 0, foreign: int = 0, own: int = 0) -> Scene:
    """Return books whose AAPL was held before they began, traded by others since, and by the bot."""
    scene = Scene()
    for number, (owner, quantity) in enumerate(((FOREIGN, foreign), ("flow", own)), start=1):
        if quantity:
            side = Side.BUY if quantity > 0 else Side.SELL
            owned = fill(number, strategy=owner, side=side, quantity=str(abs(quantity)), price="90", at=AT)
            scene.ledger.apply_fills([owned], AT)
            scene.venue.cash -= quantity * Decimal(90)
    scene.venue.held = {"AAPL": Decimal(before + foreign + own)}
    return scene


def take_over(scene: Scene) -> tuple[ForeignPart, Reconciled]:
    return manage(FakeReader(scene.venue), scene.ledger, "AAPL", "ann", scene.venue.held["AAPL"])


def positions(scene: Scene) -> dict[str, Decimal]:
    folded = scene.ledger.totals().positions
    return {owner: position.quantity for (owner, _), position in folded.items() if position.quantity}


@given(QUANTITIES, QUANTITIES)
def test_adoption_takes_over_all_foreign_shares_and_leaves_the_cash(before: int, foreign: int) -> None:
    scene = scene_of(before=before, foreign=foreign)
    cash = read_books(scene.ledger, NOW, VENUE_DAY).cash
    if not before + foreign:
        with pytest.raises(OperatorError, match="the broker has no position in AAPL"):
            take_over(scene)
        return
    if before and foreign:
        # Books that know of trades in it do not take what is older for a stranger: a plan settles that first.
        with pytest.raises(OperatorError, match=r"different quantities|opposite sides"):
            take_over(scene)
        return
    found, after = take_over(scene)
    assert found.quantity == before + foreign
    assert positions(scene) == {ADOPTED: Decimal(before + foreign)}
    assert read_books(scene.ledger, NOW, VENUE_DAY).cash == cash
    assert after.findings == ()


def test_a_position_that_was_acknowledged_before_is_taken_over_whole() -> None:
    scene = scene_of(before=7)
    reader = FakeReader(scene.venue)
    acknowledge(reader, scene.ledger, "AAPL", "ann")
    assert scene.ledger.acknowledged() == {"AAPL": Decimal(7)}
    assert reconcile(reader, scene.ledger).findings == ()
    _, after = take_over(scene)
    assert (scene.ledger.acknowledged(), positions(scene), after.findings) == ({}, {ADOPTED: Decimal(7)}, ())


@given(QUANTITIES.filter(bool))
def test_a_trade_by_hand_is_noted_once_and_does_not_change_the_books(foreign: int) -> None:
    scene, quantity = scene_of(foreign=foreign), Decimal(foreign)
    reader, cash = FakeReader(scene.venue), read_books(scene.ledger, NOW, VENUE_DAY).cash
    _, after = acknowledge(reader, scene.ledger, "AAPL", "ann")
    assert (scene.ledger.acknowledged(), positions(scene), after.findings) == ({"AAPL": quantity}, {}, ())
    written = scene.ledger.fills()
    acknowledge(reader, scene.ledger, "AAPL", "ann")
    assert (read_books(scene.ledger, NOW, VENUE_DAY).cash, scene.ledger.fills()) == (cash, written)
    take_over(scene)
    assert (read_books(scene.ledger, NOW, VENUE_DAY).cash, positions(scene)) == (cash, {ADOPTED: quantity})


def test_what_was_taken_over_is_closed_by_the_exit_rules_like_any_other() -> None:
    scene = scene_of(before=10)
    take_over(scene)
    scene.price("AAPL", "80")
    (record,) = evaluate_exits(scene.world(), call()).candidates
    (intent,) = scene.venue.submitted
    assert (record.terminal, intent.key.strategy, intent.quantity) == (None, ADOPTED, Decimal(10))
    scene.venue.fill(intent.client_order_id, "80")
    assert reconcile(FakeReader(scene.venue), scene.ledger).findings == ()
    assert positions(scene) == {}


def test_only_the_foreign_part_of_a_shared_symbol_is_taken_over() -> None:
    scene = scene_of(foreign=4, own=6)
    found, after = take_over(scene)
    assert (found.quantity, after.findings) == (Decimal(4), ())
    assert positions(scene) == {"flow": Decimal(6), ADOPTED: Decimal(4)}


@pytest.mark.parametrize(("foreign", "own", "code"), [(0, 6, ExitCode.USAGE), (-2, 6, ExitCode.REFUSED)])
def test_adoption_refuses_our_own_shares_and_those_on_the_opposite_side(foreign: int, own: int, code: ExitCode) -> None:
    scene = scene_of(foreign=foreign, own=own)
    before = scene.ledger.fills()
    with pytest.raises(OperatorError) as refused:
        take_over(scene)
    assert (refused.value.code, scene.ledger.fills()) == (code, before)


def test_another_quantity_than_was_confirmed_is_not_taken_over() -> None:
    scene = scene_of(before=10)
    with pytest.raises(OperatorError, match="but the broker now holds 10; look again") as refused:
        manage(FakeReader(scene.venue), scene.ledger, "AAPL", "ann", Decimal(7))
    assert (refused.value.code, scene.ledger.fills()) == (ExitCode.REFUSED, ())


def test_a_symbol_on_which_somebody_elses_order_works_is_not_taken_over() -> None:
    scene, other = scene_of(before=10), Scene()
    trade_once(other.world(wanted("AAPL")), call())
    for name, symbol in (("by-hand-1", "MSFT"), ("by-hand-2", "AAPL")):
        scene.venue.rest(name, symbol, other.venue.submitted[0])
    with pytest.raises(OperatorError, match="someone else's order by-hand-2 is working there") as refused:
        take_over(scene)
    assert (refused.value.code, scene.ledger.fills()) == (ExitCode.REFUSED, ())
    del scene.venue.book["by-hand-2"]
    take_over(scene)
    assert positions(scene) == {ADOPTED: Decimal(10)}


def test_shares_that_an_assignment_brought_can_be_taken_over_like_any_others() -> None:
    scene = scene_of()
    scene.venue.happened = [activity("OPTRD", quantity="100", price="90", net="-9000")]
    scene.venue.held["AAPL"], scene.venue.cash = Decimal(100), scene.venue.cash - 9000
    found, after = take_over(scene)
    assert (found.quantity, positions(scene), after.findings) == (Decimal(100), {ADOPTED: Decimal(100)}, ())


def test_what_the_venue_does_not_list_is_acknowledged_but_not_managed() -> None:
    scene = scene_of(before=7)
    scene.venue.unlisted = {"AAPL"}
    with pytest.raises(OperatorError, match="the broker doesn't list AAPL") as refused:
        take_over(scene)
    assert (refused.value.code, positions(scene)) == (ExitCode.REFUSED, {})
    acknowledge(FakeReader(scene.venue), scene.ledger, "AAPL", "ann")
    assert scene.ledger.acknowledged() == {"AAPL": Decimal(7)}


def test_a_position_whose_terms_changed_today_can_be_adopted() -> None:
    scene = scene_of(before=7)
    scene.ledger.put_listings([ListingRecord(listing(read_at=NOW - timedelta(days=1)))])
    scene.venue.listed["AAPL"] = listing(ticks=(TickStep(Decimal(0), Decimal("0.05")),))
    _, after = take_over(scene)
    assert [finding.kind for finding in after.findings] == [FindingKind.INSTRUMENT_CHANGED]
    assert positions(scene) == {ADOPTED: Decimal(7)}
