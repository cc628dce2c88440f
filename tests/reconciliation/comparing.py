"""What tests of comparisons share: compare the books with a fake broker, and accept the plan that follows."""

from tests.kit.core.scene import Scene
from tests.kit.core.venue import FakeReader
from tradebot.model.finding import FindingKind
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
