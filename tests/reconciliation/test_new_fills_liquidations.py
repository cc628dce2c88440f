"""What a venue liquidates closes our oldest lots, if it can be nobody else's; then the books agree with the venue."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import FakeReader
from tests.kit.values import EXITS, NOW, fill
from tests.orders.test_stop_protection import entered
from tests.reconciliation.comparing import accepted, compared, kinds
from tradebot.desk.snapshot import take_desk
from tradebot.errors import TemporaryError
from tradebot.model.account import BrokerPosition
from tradebot.model.candidate import Side
from tradebot.model.event import EventKind
from tradebot.model.finding import FindingKind
from tradebot.model.limits import Protection
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, Origin, OwnedFill
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace

D = Decimal
EARLIER = NOW - timedelta(minutes=5)


def holding(**lots: str) -> Scene:
    """Return a scene in which strategies hold AAPL, bought one after the other at 100, 101 and so on."""
    scene = Scene()
    for place, (strategy, quantity) in enumerate(lots.items()):
        side = Side.BUY if D(quantity) > 0 else Side.SELL
        bought = fill(
            place, side=side, quantity=f"{abs(D(quantity)):f}", price=str(100 + place), strategy=strategy.rstrip("_"),
            at=EARLIER + timedelta(seconds=place),
        )  # fmt: skip
        scene.ledger.apply_fills([bought], EARLIER)
        scene.venue.cash -= bought.fill.signed_quantity * bought.fill.price
    scene.venue.held["AAPL"] = sum(map(D, lots.values()), D(0))
    return scene


def own(scene: Scene) -> dict[str, Decimal]:
    """Return what each strategy still holds of AAPL."""
    return {position.strategy: position.quantity for position in scene.ledger.totals().own_positions()}


def told(scene: Scene) -> list[str]:
    return [details["strategies"] for details in scene.told(EventKind.LIQUIDATED.event_type)]


def exits(scene: Scene, slot: str = "open+31m") -> None:
    assert evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, slot)).job_decision is None


def foreign(scene: Scene) -> dict[str, Decimal]:
    return scene.ledger.totals().foreign_quantities(scene.ledger.acknowledged())


@pytest.mark.parametrize(
    ("lots", "change", "left", "owners"),
    [
        ({"flow": "10"}, "-4", {"flow": "6"}, "flow"),
        ({"flow": "10"}, "-10", {}, "flow"),
        ({"flow": "-10"}, "4", {"flow": "-6"}, "flow"),
        ({"flow": "3", "rotation": "5"}, "-2", {"flow": "1", "rotation": "5"}, "flow"),
        ({"flow": "3", "rotation": "5"}, "-6", {"rotation": "2"}, "flow, rotation"),
        ({"rotation": "3", "flow": "5"}, "-6", {"flow": "2"}, "rotation, flow"),
        ({"flow": "3", "rotation": "5", "flow_": "4"}, "-10", {"flow": "2"}, "flow, rotation"),
        ({"flow": "-3", "rotation": "-5"}, "6", {"rotation": "-2"}, "flow, rotation"),
        ({"rotation": "-3", "flow": "10"}, "-7", {"rotation": "-3", "flow": "3"}, "flow"),
    ],
)
@pytest.mark.parametrize("order", ["", "the venue's own"])
def test_a_liquidation_closes_the_oldest_lots_whoevers_they_are(
    lots: dict[str, str], change: str, left: dict[str, str], owners: str, order: str
) -> None:
    scene = holding(**lots)
    scene.venue.liquidate("AAPL", D(change), D(90), order=order)
    exits(scene)
    assert own(scene) == {name: D(quantity) for name, quantity in left.items()}
    assert (foreign(scene), told(scene)) == ({}, [owners])
    found = compared(scene)
    assert (kinds(found), found.plan) == ([FindingKind.LIQUIDATION], None)
    (finding,) = found.findings
    side = "sell" if D(change) < 0 else "buy"
    assert (finding.ours, finding.broker, finding.blocking) == (sum(map(D, left.values()), D(0)),) * 2 + (False,)
    assert finding.evidence == (f"{side} {abs(D(change)):f} at 90, 2026-11-16T15:00Z",)


def test_one_in_many_parts_is_told_once_with_what_it_came_to() -> None:
    scene = holding(flow="10")
    for quantity, price in ((D(3), D(91)), (D(2), D(90)), (D(1), D(87))):
        scene.venue.liquidate("AAPL", -quantity, price)
    exits(scene)
    (event,) = scene.told(EventKind.LIQUIDATED.event_type)
    assert (event["quantity"], event["price"], event["parts"]) == ("6", "90", "3")
    assert own(scene) == {"flow": D(4)}
    exits(scene, "open+32m")
    assert len(scene.told(EventKind.LIQUIDATED.event_type)) == 1


def test_a_settlement_closes_lots_too_and_leaves_nothing_for_a_person() -> None:
    scene = holding(flow="3", rotation="5")
    scene.venue.liquidate("AAPL", D(-8), D(90), order="the venue's own", settles=True)
    exits(scene)
    assert (own(scene), foreign(scene), told(scene)) == ({}, {}, [])
    (event,) = scene.told(EventKind.SETTLED.event_type)
    assert (event["strategies"], event["quantity"]) == ("flow, rotation", "8")
    found = compared(scene)
    assert (found.findings, found.plan) == ((), None)


def test_its_loss_is_that_of_the_lots_it_closed() -> None:
    scene = holding(flow="3", rotation="5")
    scene.venue.liquidate("AAPL", D(-6), D(90))
    exits(scene)
    held = scene.ledger.totals().positions
    assert held["flow", "AAPL"].realized_pnl == 3 * (D(90) - 100)
    assert held["rotation", "AAPL"].realized_pnl == 3 * (D(90) - 101)
    (trip,) = scene.ledger.totals().round_trips
    assert (trip.strategy, trip.profit) == ("flow", D(-30))


def test_it_is_given_and_told_once() -> None:
    scene = holding(flow="3", rotation="5")
    scene.venue.liquidate("AAPL", D(-6), D(90))
    for minute in range(3):
        exits(scene, f"open+{31 + minute}m")
        compared(scene)
    assert (own(scene), told(scene)) == ({"rotation": D(2)}, ["flow, rotation"])
    given_back = [owned for owned in scene.ledger.fills() if owned.origin is Origin.GIVEN_BACK]
    assert [(one.strategy, one.fill.signed_quantity) for one in given_back] == [
        (FOREIGN, D(3)), ("flow", D(-3)), (FOREIGN, D(3)), ("rotation", D(-3))
    ]  # fmt: skip


def test_a_later_one_is_given_too() -> None:
    scene = holding(flow="3", rotation="5")
    scene.venue.liquidate("AAPL", D(-2), D(95))
    exits(scene)
    scene.later(60)
    scene.venue.liquidate("AAPL", D(-2), D(90))
    exits(scene, "open+32m")
    assert (own(scene), told(scene)) == ({"rotation": D(4)}, ["flow", "flow, rotation"])


def test_one_that_a_person_has_settled_is_over() -> None:
    scene = holding(flow="10")
    noted(scene, "2")
    scene.venue.liquidate("AAPL", D(-12), D(90))
    exits(scene)
    accepted(scene)
    assert (own(scene), foreign(scene)) == ({}, {})
    scene.later(60)
    again = fill(9, quantity="4", at=scene.venue.now)
    scene.ledger.apply_fills([again], scene.venue.now)
    scene.venue.held["AAPL"], scene.venue.cash = D(4), scene.venue.cash - 400
    scene.later(60)
    scene.venue.liquidate("AAPL", D(-4), D(90))
    exits(scene, "open+33m")
    assert (own(scene), foreign(scene), told(scene)) == ({}, {}, ["", "flow"])


def test_one_through_an_order_of_ours_is_that_orders() -> None:
    scene = holding(flow="3", rotation="5")
    scene.price("AAPL", "90")
    exits(scene)
    orders = {intent.key.strategy: intent for intent in scene.venue.submitted}
    scene.venue.fill(orders["rotation"].client_order_id, "90")
    scene.venue.executions[-1] = replace(scene.venue.executions[-1], liquidation=True)
    scene.venue.liquidate("AAPL", D(-1), D(90))
    exits(scene, "open+32m")
    assert (own(scene), foreign(scene), told(scene)) == ({"flow": D(2)}, {}, ["rotation", "flow"])


def test_it_is_kept_when_a_comparison_has_to_look_twice() -> None:
    scene = holding(flow="10")
    trade_once(scene.world(wanted("MSFT")), call())
    view = scene.venue.view
    scene.venue.view = lambda: replace(view(), orders=())  # type: ignore[method-assign]
    scene.venue.liquidate("AAPL", D(-4), D(90))
    found = compared(scene)
    assert [(one.fill.quantity, one.strategies) for one in found.applied.liquidated] == [(D(4), ("flow",))]
    assert FindingKind.ORDER_LEFT_OUT in kinds(found)


def test_it_stops_being_a_finding_after_four_days() -> None:
    scene = holding(flow="10")
    scene.venue.liquidate("AAPL", D(-4), D(90))
    assert kinds(compared(scene)) == [FindingKind.LIQUIDATION]
    scene.venue.now += timedelta(days=4, seconds=1)
    assert kinds(compared(scene)) == []


def test_nobody_is_asked_for_the_order_behind_it() -> None:
    class Asked(FakeReader):
        def __init__(self, scene: Scene) -> None:
            super().__init__(scene.venue)
            self.names = list[str]()
            self.follower = self.find

        def find(self, venue_id: str) -> Order | None:
            self.names.append(venue_id)
            return None

    scene = holding(flow="10")
    scene.venue.liquidate("AAPL", D(-4), D(90), order="the venue's own")
    reader = Asked(scene)
    take_desk(replace(scene.world(), reader=reader), for_entries=False)
    assert (own(scene), reader.names) == ({"flow": D(6)}, [])


def noted(scene: Scene, quantity: str = "5") -> None:
    """Let a person have noted foreign shares."""
    scene.ledger.acknowledge("AAPL", D(quantity), "mine", EARLIER, origin=Origin.PLAN)
    scene.venue.held["AAPL"] += D(quantity)


def by_hand(scene: Scene) -> None:
    """Let a person have bought five shares."""
    bought = replace(fill(9, quantity="5", strategy=FOREIGN, at=EARLIER).fill, venue_order_id="typed")
    scene.ledger.apply_fills([OwnedFill(FOREIGN, bought)], EARLIER)
    scene.venue.held["AAPL"] += 5
    scene.venue.cash -= 500


def unknown(scene: Scene) -> None:
    """Let the account hold five shares of which the books know nothing."""
    scene.venue.held["AAPL"] += 5


@pytest.mark.parametrize("others", [noted, by_hand, unknown])
def test_where_someone_else_holds_the_symbol_too_a_person_decides(others: object) -> None:
    assert callable(others)
    scene = holding(flow="10")
    others(scene)
    scene.venue.liquidate("AAPL", D(-12), D(90))
    exits(scene)
    exits(scene, "open+32m")
    assert (own(scene), told(scene)) == ({"flow": D(10)}, [""])
    found = compared(scene)
    assert FindingKind.LIQUIDATION in kinds(found)
    assert any(finding.blocking for finding in found.findings)
    settled = accepted(scene, found)
    assert [finding for finding in settled.findings if finding.blocking] == []
    assert sum(own(scene).values()) + sum(foreign(scene).values()) == scene.venue.held["AAPL"]
    exits(scene, "open+33m")
    assert compared(scene).findings == settled.findings


def test_fills_that_are_listed_one_after_the_other_are_given_together() -> None:
    scene = holding(flow="3", rotation="5")
    late = scene.venue.liquidate("AAPL", D(-2), D(95))
    scene.venue.now += timedelta(seconds=1)
    scene.venue.liquidate("AAPL", D(-4), D(90))
    scene.venue.executions.remove(late)
    exits(scene)
    assert (own(scene), told(scene)) == ({"flow": D(3), "rotation": D(5)}, [""])
    scene.venue.executions.append(late)
    exits(scene, "open+32m")
    assert (own(scene), told(scene)) == ({"rotation": D(2)}, ["", "flow"])
    held = scene.ledger.totals().positions
    assert held["flow", "AAPL"].realized_pnl == 2 * (D(95) - 100) + (D(90) - 100)
    assert held["rotation", "AAPL"].realized_pnl == 3 * (D(90) - 101)


def test_a_venue_that_does_not_answer_is_asked_again_in_the_next_pass() -> None:
    scene = holding(flow="10")
    scene.venue.liquidate("AAPL", D(-4), D(90))
    answer = scene.venue.position

    def silent(symbol: str) -> BrokerPosition | None:
        raise TemporaryError("no answer")

    scene.venue.position = silent  # type: ignore[method-assign]
    exits(scene)
    assert (own(scene), foreign(scene)) == ({"flow": D(10)}, {"AAPL": D(-4)})
    scene.venue.position = answer  # type: ignore[method-assign]
    exits(scene, "open+32m")
    assert (own(scene), foreign(scene)) == ({"flow": D(6)}, {})


def test_more_than_ours_was_liquidated_only_if_someone_else_held_it() -> None:
    scene = holding(flow="10")
    scene.venue.liquidate("AAPL", D(-12), D(90))
    exits(scene)
    # The venue says that it holds two short: nobody's lots explain these.
    assert (own(scene), foreign(scene)) == ({}, {"AAPL": D(-2)})
    assert FindingKind.BY_HAND in kinds(compared(scene))


def test_a_position_that_is_liquidated_before_the_books_know_of_it_is_closed_at_once() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    scene.venue.fill(intent.client_order_id, "100")
    scene.venue.liquidate("AAPL", -intent.quantity, D(90))
    exits(scene)
    assert (own(scene), foreign(scene), told(scene)) == ({}, {}, ["flow"])
    assert scene.ledger.totals().positions["flow", "AAPL"].realized_pnl == -10 * intent.quantity


def test_what_protected_a_liquidated_position_is_canceled() -> None:
    scene = Scene(exits=EXITS.model_copy(update={"protection": Protection.VENUE}))
    intent = entered(scene)
    exits(scene)
    assert [order for order in scene.venue.book.values() if order.open_quantity]
    scene.venue.liquidate("AAPL", -intent.quantity, D(90))
    exits(scene, "open+32m")
    assert [order for order in scene.venue.book.values() if order.open_quantity] == []
    exits(scene, "open+33m")
    assert (own(scene), kinds(compared(scene))) == ({}, [FindingKind.LIQUIDATION])


def test_a_dry_run_writes_and_tells_nothing() -> None:
    scene = holding(flow="10")
    scene.venue.liquidate("AAPL", D(-4), D(90))
    evaluate_exits(scene.world(dry_run=True), call(Job.EVALUATE_EXITS))
    assert (own(scene), foreign(scene), told(scene)) == ({"flow": D(10)}, {}, [])


steps = st.lists(
    st.tuples(st.sampled_from(["flow", "rotation", "mine", "liquidated"]), st.integers(1, 9)), min_size=1, max_size=12
)


@given(steps=steps, sign=st.sampled_from([1, -1]))
def test_whatever_is_liquidated_books_and_venue_agree_and_the_oldest_lots_are_gone(
    steps: list[tuple[str, int]], sign: int
) -> None:
    scene, lots = Scene(), list[tuple[str, Decimal]]()
    for place, (what, size) in enumerate(steps):
        scene.venue.now = NOW + timedelta(seconds=place)
        if what != "liquidated":
            lots.append((what, D(size)))
            side = Side.BUY if sign > 0 else Side.SELL
            opened = fill(place, side=side, quantity=str(size), strategy=what, at=scene.venue.now)
            scene.ledger.apply_fills([opened], scene.venue.now)
            scene.venue.held["AAPL"] = scene.venue.held.get("AAPL", D(0)) + sign * size
            scene.venue.cash -= sign * size * 100
            continue
        left = min(D(size), sum((quantity for _, quantity in lots), D(0)))
        if left:
            scene.venue.liquidate("AAPL", -sign * left, D(90))
        for number, (name, quantity) in enumerate(lots):
            part = min(left, quantity)
            lots[number], left = (name, quantity - part), left - part
    compared(scene)
    expected = dict[str, Decimal]()
    for name, quantity in lots:
        expected[name] = expected.get(name, D(0)) + sign * quantity
    assert own(scene) == {name: quantity for name, quantity in expected.items() if quantity}
    assert foreign(scene) == {}
    assert [finding for finding in compared(scene).findings if finding.kind is not FindingKind.LIQUIDATION] == []
