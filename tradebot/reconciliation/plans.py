"""What accepting findings would write: a plan, made of one view of the broker and good for that view alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from tradebot.model.account import BrokerView
from tradebot.reconciliation.findings import Finding, FindingKind

HALF_KNOWN = frozenset({FindingKind.UNREADABLE, FindingKind.VIEW_UNSTEADY, FindingKind.MISSING_FILL})
"""Findings beside which no plan is made: the differences may be of what was not told, and each plan books all cash."""


def fingerprint(broker: BrokerView) -> str:
    """Return a short digest of what a plan relies on, so that a plan made of an older view is refused."""
    parts = [str(broker.account.cash)]
    parts += sorted(f"{p.symbol}={p.quantity}" for p in broker.positions)
    parts += sorted(f"{o.client_order_id}={o.filled_quantity}" for o in broker.orders)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Plan:
    """What accepting would write: adjustments of the books, made of one view of the broker."""

    id: str
    fingerprint: str
    findings: tuple[Finding, ...]


def plan_of(findings: Sequence[Finding], broker: BrokerView) -> Plan | None:
    """Return the plan that would make the books agree, or None where nothing can be written."""
    # While another copy may be writing, nothing of what it may have made is taken over.
    copied = any(finding.kind is FindingKind.UNKNOWN_ORDER for finding in findings)
    wanted = tuple(f for f in findings if f.applicable and not (copied and f.kind is FindingKind.FORGOTTEN))
    if not wanted or any(finding.kind in HALF_KNOWN for finding in findings):
        return None
    mark = fingerprint(broker)
    content = "\n".join(f"{f.kind} {f.subject} {f.ours} {f.broker} {' '.join(f.evidence)}" for f in wanted)
    digest = hashlib.sha256(f"{mark}\n{content}".encode()).hexdigest()[:8]
    return Plan(f"plan-{digest}", mark, wanted)
