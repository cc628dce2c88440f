"""A position that closed while nobody looked ends at the price of its forgotten order, until a statement proves one."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene
from tests.kit.rows import make_intent
from tests.kit.values import NOW, VENUE_DAY, ago
from tests.reconciliation.comparing import accepted, compared, kinds, margined, trade
from tradebot.model.candidate import Purpose, Side
from tradebot.model.finding import FindingKind
from tradebot.model.order import Executed, Fee, Fill, OrderStatus, OrderType, Reply, WriteOutcome
from tradebot.model.position import Origin
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.statements import FromStatement, book_statement
from tradebot.views.trades.lots import lots_of

D = Decimal
STOP, TARGET = "90", "130"


def closed_unseen(realized: int) -> Scene:
    """Return books that hold four, of which the venue holds none any more: it made a profit of them."""
    scene, venue = margined()
    trade(scene, venue, "open+5m", Side.BUY, 4, "100")
    venue.tell_fees()
    assert compared(scene).findings == ()
    for name, stop, limit in (("stop", D(STOP), None), ("target", None, D(TARGET))):
        made, kind = make_intent(name), OrderType.STOP if stop else OrderType.LIMIT
        key = replace(made.key, side=Side.SELL, role=Purpose.PROTECT)
        intent = replace(made, side=Side.SELL, quantity=D(4), purpose=Purpose.PROTECT, key=key)
        scene.ledger.promise(replace(intent, order_type=kind, stop_price=stop, limit_price=limit), ())
        order = venue.rest(intent.client_order_id, "AAPL", intent)
        order = replace(order, order_type=kind, stop_price=stop, limit_price=limit, status=OrderStatus.ENDED)
        scene.ledger.settle(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), NOW)
    venue.book.clear()
    venue.held, venue.cash = {}, venue.cash + realized
    return scene


def gained(scene: Scene) -> list[tuple[str, Decimal]]:
    """Return what each order is known to have gained."""
    return [(lot.origin.value, lot.gross_usd) for lot in lots_of(scene.ledger.fills()).closed]


@pytest.mark.parametrize(
    ("realized", "price"),
    # Fees, and a stop that slipped, leave it nearest to the stop or to the target, fifty dollars a point.
    [(-2020, STOP), (-2600, STOP), (5900, TARGET)],
)
def test_exit_that_nobody_saw_is_at_the_price_of_its_order_and_not_at_cost(realized: int, price: str) -> None:
    scene = closed_unseen(realized)
    found = compared(scene)
    assert kinds(found) == [FindingKind.CLOSED_UNSEEN, FindingKind.CASH]
    assert f"sell 4 at {price}" in found.findings[0].evidence[0]
    assert accepted(scene, found).findings == ()
    assert gained(scene) == [("assumed", (D(price) - 100) * 4 * 50)]
    (lot,) = lots_of(scene.ledger.fills()).closed
    assert lot.exit_order, "so its rule and its risk are known"


@pytest.mark.parametrize("after_plan", [False, True])
def test_statement_takes_the_place_of_what_was_assumed(after_plan: bool) -> None:
    scene = closed_unseen(-2020)
    if after_plan:
        accepted(scene)
    order = next(one for one in scene.ledger.orders() if one.stop_price)
    price, fee = D("89.95"), Fee(D(10))
    made = Fill("exec", "", "AAPL", Side.SELL, D(4), price, ago(30), D(50), fee)
    told = [Executed(made, order.client_order_id), Executed(replace(made, activity_id="other"), "by hand")]
    for booked in (1, 0):
        view = compared(scene).view
        found = book_statement(scene.ledger, told, view, NOW, VENUE_DAY)
        assert found == FromStatement(booked)
        assert compared(scene).findings == ()
    assert [gross for _, gross in gained(scene)] == [D("-2010.00")]
    filled = next(one for one in scene.ledger.orders() if one.venue_id == order.venue_id)
    assert (filled.status, filled.filled_average_price) == (OrderStatus.FILLED, price)
    assumed = [one for one in scene.ledger.fills() if one.origin is Origin.ASSUMED]
    assert len(assumed) == after_plan


def test_statement_whose_executions_the_broker_contradicts_is_left_out() -> None:
    scene = closed_unseen(-2020)
    order = next(one for one in scene.ledger.orders() if one.stop_price)
    made = Fill("exec", "", "AAPL", Side.SELL, D(3), D(90), ago(30), D(50), Fee(D(10)))
    view = compared(scene).view
    told = [Executed(made, order.client_order_id)]
    assert book_statement(scene.ledger, told, view, NOW, VENUE_DAY) == FromStatement(0, 1)
    assert gained(scene) == []
