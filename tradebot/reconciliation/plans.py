"""Plans: what accepting findings would write, based on one view of the broker and valid only for that view."""

import hashlib
from collections.abc import Sequence

from tradebot.model.account import BrokerView
from tradebot.model.finding import Finding, FindingKind, Plan

PLAN_BLOCKERS = frozenset({FindingKind.UNREADABLE, FindingKind.VIEW_UNSTEADY, FindingKind.MISSING_FILL})
"""Findings that rule out any plan: the differences may come from what we couldn't see, and a plan books all cash."""


TAKES_OVER = frozenset({FindingKind.FORGOTTEN, FindingKind.UNKNOWN_PAIR})
"""Findings whose plan makes orders ours that these books never promised."""


def fingerprint(broker: BrokerView) -> str:
    """Return a short digest of what a plan relies on, so that a plan based on an older view can be refused."""
    parts = [str(broker.account.cash)]
    parts += sorted(f"{p.symbol}={p.quantity}" for p in broker.positions)
    parts += sorted(f"{o.client_order_id}={o.filled_quantity}" for o in broker.orders)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def plan_of(findings: Sequence[Finding], broker: BrokerView) -> Plan | None:
    """Return the plan that would make the books agree with the broker, or None if nothing can be written."""
    # While another copy of the bot may be trading, don't take over anything it may have made.
    copied = any(finding.kind is FindingKind.UNKNOWN_ORDER for finding in findings)
    to_settle = tuple(f for f in findings if f.applicable and not (copied and f.kind in TAKES_OVER))
    if not to_settle or any(finding.kind in PLAN_BLOCKERS for finding in findings):
        return None
    mark = fingerprint(broker)
    content = "\n".join(f"{f.kind} {f.subject} {f.ours} {f.broker} {' '.join(f.evidence)}" for f in to_settle)
    digest = hashlib.sha256(f"{mark}\n{content}".encode()).hexdigest()[:8]
    return Plan(f"plan-{digest}", mark, to_settle)
