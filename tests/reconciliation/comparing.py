"""What tests of comparisons share: compare the books with a fake broker, and accept the plan that follows."""

from decimal import Decimal

from tests.kit.core.scene import Scene
from tests.kit.core.venue import FakeReader, MarginedVenue
from tests.kit.rows import make_intent
from tests.kit.values import ACCOUNT, CASH, NOW, SESSION, ago
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.candidate import Side
from tradebot.model.finding import FindingKind
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ReconcileMark
from tradebot.model.venue import Settlement
from tradebot.reconciliation.reconcile import Reconciled, apply_plan, reconcile


def compared(scene: Scene) -> Reconciled:
    return reconcile(FakeReader(scene.venue), scene.ledger)


def kinds(found: Reconciled) -> list[FindingKind]:
    return [finding.kind for finding in found.findings]


def accepted(scene: Scene, found: Reconciled | None = None) -> Reconciled:
    """Accept the plan of a comparison, of a new one unless it is given; return the comparison after it."""
    plan = (found or compared(scene)).plan
    assert plan is not None, "there is something that a plan settles"
    return apply_plan(FakeReader(scene.venue), scene.ledger, plan, "ada")


def margined() -> tuple[Scene, MarginedVenue]:
    """Return a scene at a venue of contracts, with the books of a margined account."""
    venue, ledger = MarginedVenue(SESSION, NOW, CASH), MemoryLedger(ACCOUNT)
    scene = Scene(venue=venue)
    scene.ledger = ledger
    ledger.open_books(CASH, ago(600), Settlement.MARGINED)
    ledger.put_sessions([SESSION])
    ledger.mark_reconciled(ReconcileMark(ago(60), 0, 0))
    return scene, venue


def trade(scene: Scene, venue: MarginedVenue, name: str, side: Side, quantity: int, price: str) -> None:
    """Let an order of a strategy fill, as the venue reports it."""
    made = make_intent(name)
    intent = replace(made, side=side, quantity=Decimal(quantity), key=replace(made.key, side=side))
    scene.ledger.record_intent(intent, ())
    order = venue.rest(intent.client_order_id, "AAPL", intent)
    scene.ledger.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), NOW)
    venue.fill(intent.client_order_id, price)
