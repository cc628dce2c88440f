"""Audit the books: orders and what happened to them, the journal, the backups, and how they compare with the broker."""

from datetime import timedelta

from tradebot.auditing.evidence import Broker, Evidence, Silence
from tradebot.auditing.items import Area, Item, Look, State, judged, left_out, span
from tradebot.model.candidate import Purpose
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.order import Order, OrderStatus
from tradebot.text import counted, noun

RECONCILE = "tradebot reconcile"
LATE = timedelta(minutes=3)
"""How long an order may keep working past its life, because the pass that cancels it comes a little later."""


LOOKED_UP = timedelta(minutes=5)
"""How long the passes keep looking up an order with an unknown outcome before a person is needed."""


def silent(place: tuple[Area, str], silence: Silence) -> Item:
    """Return the item for something that only the broker could have answered."""
    if silence.on_request:
        return left_out(place, "the broker", silence.why)
    return Item(*place, State.FAIL, "the broker", 0, None, None, silence.why, silence.command)


def nothing(place: tuple[Area, str], what: str, evidence: Evidence) -> Item:
    """Return the item for something the books don't have: it is OK only if the broker confirms it."""
    if isinstance(evidence.broker, Broker):
        look = Look("reply from the broker", 1, evidence.broker.clock.now)
        return judged(place, look, evidence.moment.now, State.OK, f"no {what}, in the books and at the broker")
    return left_out(place, what, f"the books hold no {what}, and the broker wasn't asked")


def orders(evidence: Evidence) -> Item:
    """Judge the orders: working too long, with a status we don't know, or recently rejected by the venue."""
    place, total = (Area.ORDERS, "working orders"), sum(evidence.intents.values())
    if not total:
        return nothing(place, "order", evidence)
    old = [order for order, record in evidence.working if record and _overdue(order, record, evidence)]
    odd = [order for order, _ in evidence.working if order.status is OrderStatus.UNKNOWN]
    found = f"{len(evidence.working)} working, {evidence.rejected} rejected by the broker"
    found += f"; {len(old)} should have ended: {_ids(old)}" if old else ""
    found += f"; {len(odd)} with a status we don't know: {_ids(odd)}" if odd else ""
    state = State.WARN if old or odd or evidence.rejected else State.OK
    at = max((record.intent.at for _, record in evidence.working if record), default=None)
    command = ("tradebot evaluate-exits" if evidence.moment.is_open else RECONCILE) if old or odd else None
    look = Look("intents", total, at)
    return judged(place, look, evidence.moment.now, state, found, command or "tradebot why-no-orders --since session")


def _overdue(order: Order, record: IntentRecord, evidence: Evidence) -> bool:
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


def unresolved(evidence: Evidence) -> Item:
    """Judge the intents with an unknown outcome: each pass looks up recent ones, old ones need a person."""
    place, total = (Area.ORDERS, "unresolved intents"), sum(evidence.intents.values())
    if not total:
        return nothing(place, "order", evidence)
    now, waiting = evidence.moment.now, evidence.unresolved
    look = Look("intents", total, max((record.updated_at for record in waiting), default=None))
    if not waiting:
        done = evidence.intents.get(IntentState.ACKED, 0)
        return judged(place, look, now, State.OK, f"none unresolved; {done:,} accepted")
    oldest = min(waiting, key=lambda record: record.intent.at)
    age = now - oldest.intent.at
    found = f"{len(waiting)} with an unknown outcome, the oldest ({oldest.intent.instrument.symbol}) for "
    found += f"{span(age.total_seconds())}: its symbol takes no order"
    return judged(place, look, now, State.FAIL if age > LOOKED_UP else State.WARN, found, RECONCILE)


def journal(evidence: Evidence) -> Item:
    """Compare the ledger with the journal: every money row must be in both and identical."""
    place, seen = (Area.BOOKS, "ledger against journal"), evidence.journal
    look = Look("rows and records", seen.rows + seen.records)
    now = evidence.moment.now
    if seen.damage:
        found = f'{seen.damage} See "Damaged state" in docs/RUNBOOK.md'
        return judged(place, look, now, State.FAIL, found, "tradebot halt")
    if seen.missing:
        found = f"{seen.missing} of {seen.rows} ledger rows don't match the journal. "
        found += 'See "Damaged state" in docs/RUNBOOK.md'
        return judged(place, look, now, State.FAIL, found, "tradebot halt")
    found = f"intact: {seen.records:,} records cover all {seen.rows:,} rows"
    found += f"; {counted(seen.ahead, 'record')} written for a commit that never happened" if seen.ahead else ""
    return judged(place, look, now, State.OK, found)


def backups(evidence: Evidence) -> Item:
    """Judge the backups: each must still be exactly what was written."""
    place, seen = (Area.BOOKS, "backups"), evidence.backups
    if not seen.kept:
        return left_out(place, "backups", "none has been made yet")
    look, now = Look("backups", seen.kept), evidence.moment.now
    if not seen.damaged:
        return judged(place, look, now, State.OK, "all are intact")
    name, why = next(iter(seen.damaged.items()))
    found = f"{len(seen.damaged)} can't be restored intact; {name}: {why}"
    return judged(place, look, now, State.FAIL, found, "tradebot backup")


def broker(evidence: Evidence) -> Item:
    """Compare the ledger with the broker, as a reconcile would."""
    place, answer = (Area.BOOKS, "ledger against broker"), evidence.broker
    if isinstance(answer, Silence):
        return silent(place, answer)
    view = answer.view
    look = Look("positions, orders, cash", len(view.positions) + len(view.orders) + 1, answer.clock.now)
    known = f"; {counted(answer.unapplied, 'new fact')} to apply in the next pass" if answer.unapplied else ""
    now = evidence.moment.now
    if view.unreadable:
        found = f"{view.unreadable} of the broker's rows can't be read: entries are closed"
        return judged(place, look, now, State.FAIL, found, RECONCILE)
    if not answer.findings:
        return judged(place, look, now, State.OK, f"they agree{known}")
    blocking = sum(finding.blocking for finding in answer.findings)
    first = min(answer.findings, key=lambda finding: not finding.blocking)
    found = f"{counted(len(answer.findings), 'difference')}, {blocking} blocking entries; "
    found += f"{first.subject}: {first.meaning}{known}"
    return judged(place, look, now, State.FAIL if blocking else State.WARN, found, RECONCILE)


def compared(evidence: Evidence) -> Item:
    """Judge the last recorded comparison with the broker, which entries depend on."""
    place, mark = (Area.BOOKS, "last reconcile"), evidence.mark
    if mark is None:
        found = "books and broker have never been compared: entries are closed"
        return Item(*place, State.UNKNOWN, "comparisons", 0, None, None, found, RECONCILE)
    look, limit_s = Look("comparison", 1, mark.at), evidence.rules.tightest.max_reconcile_age_s
    age_s = (evidence.moment.market_time - mark.at).total_seconds()
    if mark.blocking:
        found = f"{counted(mark.findings, 'finding')}, {mark.blocking} blocking entries"
        return judged(place, look, evidence.moment.now, State.FAIL, found, RECONCILE)
    ahead_s = (mark.at - evidence.moment.now).total_seconds()
    if ahead_s > evidence.rules.limits.max_clock_skew_s:
        found = f"it is dated {span(ahead_s)} later than the market's clock: entries are closed"
        return judged(place, look, evidence.moment.now, State.FAIL, found, RECONCILE)
    if age_s > limit_s:
        found = f"it is older than {span(limit_s)}: entries are closed"
        state = State.FAIL if evidence.moment.is_open else State.WARN
        return judged(place, look, evidence.moment.now, state, found, RECONCILE)
    found = f"{counted(mark.findings, 'finding')}, none blocking entries"
    return judged(place, look, evidence.moment.now, State.OK, found)


def _blocking(blocking: int, findings: int) -> str:
    """Return how many of the findings keep entries closed: 1 of 2 findings keeps entries closed."""
    return f"{blocking} of {counted(findings, 'finding')} {noun(blocking, 'keeps', 'keep')} entries closed"
