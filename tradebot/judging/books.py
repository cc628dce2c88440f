"""Judge the books beside what they are compared with: the broker, the journal, and the life of each order."""

from datetime import timedelta

from tradebot.judging.evidence import Broker, Trading, Unread
from tradebot.judging.judgment import Judgment, Look, State, looked, skipped
from tradebot.judging.passes import RECONCILE, RECOVER
from tradebot.model.candidate import Purpose
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Order, OrderStatus
from tradebot.model.text import counted

LATE = timedelta(minutes=3)
"""How long an order may keep working past its life, because the pass that cancels it comes a little later."""


def silent(name: str, why: Unread | None) -> Judgment:
    """Return the judgment about something that only the broker could have answered; None if it wasn't asked."""
    if why is None:
        return skipped(name, "skipped: --offline", "the broker")
    return Judgment(name, State.FAILED, "the broker", 0, why.why, why.next or "tradebot doctor")


def nothing(name: str, what: str, evidence: Trading) -> Judgment:
    """Return the judgment about something the books don't have: it is OK only if the broker confirms it."""
    if isinstance(evidence.broker, Broker):
        look = Look("reply from the broker", 1, evidence.broker.clock.now)
        return looked(name, look, evidence.moment.now, State.OK, f"no {what}, in the books and at the broker")
    return skipped(name, f"the books hold no {what}, and the broker wasn't asked", what)


def orders(evidence: Trading) -> Judgment:
    """Judge the orders: working too long, with a status we don't know, or recently rejected by the venue."""
    name, total = "working orders", sum(evidence.intents.values())
    if not total:
        return nothing(name, "order", evidence)
    old = [order for order, record in evidence.working if record and _overdue(order, record, evidence)]
    odd = [order for order, _ in evidence.working if order.status is OrderStatus.UNKNOWN]
    found = f"{len(evidence.working)} working, {evidence.rejected} rejected by the broker"
    found += f"; {len(old)} should have ended: {_ids(old)}" if old else ""
    found += f"; {len(odd)} with a status we don't know: {_ids(odd)}" if odd else ""
    state = State.DEGRADED if old or odd or evidence.rejected else State.OK
    at = max((record.intent.at for _, record in evidence.working if record), default=None)
    command = ("tradebot evaluate-exits" if evidence.moment.is_open else RECONCILE) if old or odd else ""
    look = Look("intents", total, at)
    return looked(name, look, evidence.moment.now, state, found, command or "tradebot why-no-orders --since session")


def _overdue(order: Order, record: IntentRecord, evidence: Trading) -> bool:
    """Return True if the order has outlived its life and the pass that should have ended it.

    What protects a position rests until it acts or the position is closed.
    """
    if record.intent.protects:
        return False
    limits = evidence.rules.limits
    life_s = limits.entry_life_s if record.intent.purpose is Purpose.OPEN else limits.exit_life_s
    return evidence.moment.now - record.intent.at > timedelta(seconds=life_s) + LATE and not order.status.terminal


def _ids(orders: list[Order]) -> str:
    return ", ".join(f"{order.symbol} {order.client_order_id}" for order in orders[:3])


def broker(evidence: Trading) -> Judgment:
    """Compare the ledger with the broker, as a reconcile would."""
    name, answer = "ledger against broker", evidence.broker
    if not isinstance(answer, Broker):
        return silent(name, answer)
    view = answer.view
    look = Look("positions, orders, cash", len(view.positions) + len(view.orders) + 1, answer.clock.now)
    known = f"; {counted(answer.unapplied, 'new fact')} to apply in the next pass" if answer.unapplied else ""
    now = evidence.moment.now
    if view.unreadable:
        found = f"{view.unreadable} of the broker's rows can't be read: entries are closed"
        return looked(name, look, now, State.FAILED, found, RECONCILE)
    if not answer.findings:
        return looked(name, look, now, State.OK, f"they agree{known}")
    blocking = sum(finding.blocking for finding in answer.findings)
    first = min(answer.findings, key=lambda finding: not finding.blocking)
    found = f"{counted(len(answer.findings), 'difference')}, {blocking} blocking entries; "
    found += f"{first.subject}: {first.meaning}{known}"
    return looked(name, look, now, State.FAILED if blocking else State.DEGRADED, found, RECONCILE)


def rows(evidence: Trading) -> Judgment:
    """Compare the ledger with the journal: every money row must be in both and identical."""
    name, seen = "money rows", evidence.rows
    if isinstance(seen, Unread):
        return Judgment(name, State.FAILED, "rows and records", 0, seen.why, seen.next)
    look, now = Look("rows and records", seen.rows + seen.records), evidence.moment.now
    if seen.missing:
        found = f"{seen.missing} of {counted(seen.rows, 'ledger row')} don't match the journal"
        return looked(name, look, now, State.FAILED, found, RECOVER)
    found = f"{counted(seen.records, 'record')} cover all {counted(seen.rows, 'row')}"
    found += f"; {counted(seen.ahead, 'record')} written for a commit that never happened" if seen.ahead else ""
    return looked(name, look, now, State.OK, found)
