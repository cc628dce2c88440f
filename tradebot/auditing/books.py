"""The books: orders and their fates, the journal, and what the broker says of all this."""

from datetime import timedelta

from tradebot.auditing.evidence import Broker, Evidence, Silence
from tradebot.auditing.items import Area, Item, Look, State, judged, left_out, span
from tradebot.model.candidate import Purpose
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.order import Order, OrderStatus
from tradebot.text import counted, noun

RECONCILE = "tradebot reconcile"
LATE = timedelta(minutes=3)
"""For so long after its life an order may still be working: the pass that ends it comes a little later."""


LOOKED_UP = timedelta(minutes=5)
"""For so long an order of unknown fate is a matter of the next passes, which look it up; afterwards of a person."""


def silent(place: tuple[Area, str], silence: Silence) -> Item:
    """Return the item of something that only the broker could have told."""
    if silence.on_request:
        return left_out(place, "the broker", silence.why)
    return Item(*place, State.FAIL, "the broker", 0, None, None, silence.why, silence.command)


def nothing(place: tuple[Area, str], what: str, evidence: Evidence) -> Item:
    """Return the item of something that the books do not hold: the broker's word on it is evidence, silence is none."""
    if isinstance(evidence.broker, Broker):
        look = Look("answer of the broker", 1, evidence.broker.view.at)
        return judged(place, look, evidence.moment.now, State.OK, f"no {what}, in the books and at the broker")
    return left_out(place, what, f"the books hold no {what}, and the broker was not asked")


def orders(evidence: Evidence) -> Item:
    """Judge the working orders: too old, of a status that we do not know, or refused by the venue of late."""
    place, total = (Area.ORDERS, "working orders"), sum(evidence.intents.values())
    if not total:
        return nothing(place, "order", evidence)
    old = [order for order, record in evidence.working if record and _overdue(order, record, evidence)]
    odd = [order for order, _ in evidence.working if order.status is OrderStatus.UNKNOWN]
    found = f"{len(evidence.working)} working, {evidence.rejected} refused by the venue"
    found += f"; {len(old)} should have ended: {_ids(old)}" if old else ""
    found += f"; {len(odd)} of a status we do not know: {_ids(odd)}" if odd else ""
    state = State.WARN if old or odd or evidence.rejected else State.OK
    at = max((record.intent.at for _, record in evidence.working if record), default=None)
    command = ("tradebot evaluate-exits" if evidence.moment.is_open else RECONCILE) if old or odd else None
    look = Look("intents", total, at)
    return judged(place, look, evidence.moment.now, state, found, command or "tradebot why-no-orders --since session")


def _overdue(order: Order, record: IntentRecord, evidence: Evidence) -> bool:
    """A day's order ends with its session, whatever its life."""
    limits = evidence.rules.limits
    life_s = limits.entry_life_s if record.intent.purpose is Purpose.OPEN else limits.exit_life_s
    return evidence.moment.now - record.intent.at > timedelta(seconds=life_s) + LATE and not order.status.terminal


def _ids(orders: list[Order]) -> str:
    return ", ".join(f"{order.symbol} {order.client_order_id}" for order in orders[:3])


def unresolved(evidence: Evidence) -> Item:
    """Judge the promises whose fate is unknown: young ones are looked up at each pass, old ones need a person."""
    place, total = (Area.ORDERS, "unresolved intents"), sum(evidence.intents.values())
    if not total:
        return nothing(place, "order", evidence)
    now, waiting = evidence.moment.now, evidence.unresolved
    look = Look("intents", total, max((record.updated_at for record in waiting), default=None))
    if not waiting:
        done = evidence.intents.get(IntentState.ACKED, 0)
        return judged(place, look, now, State.OK, f"each fate is known; {done:,} accepted")
    oldest = min(waiting, key=lambda record: record.intent.at)
    age = now - oldest.intent.at
    found = f"{len(waiting)} of unknown fate, the oldest ({oldest.intent.instrument.symbol}) for "
    found += f"{span(age.total_seconds())}: its symbol takes no order"
    return judged(place, look, now, State.FAIL if age > LOOKED_UP else State.WARN, found, RECONCILE)


def journal(evidence: Evidence) -> Item:
    """Judge the ledger against the journal: each row of money must stand in both, word for word."""
    place, seen = (Area.BOOKS, "ledger against journal"), evidence.journal
    look = Look("rows and records", seen.rows + seen.records)
    now = evidence.moment.now
    if seen.damage:
        found = f"{seen.damage} See docs/RUNBOOK.md, damaged state"
        return judged(place, look, now, State.FAIL, found, "tradebot halt")
    if seen.missing:
        found = f"{seen.missing} of {seen.rows} rows of the ledger are not what the journal says"
        return judged(place, look, now, State.FAIL, f"{found}. See docs/RUNBOOK.md, damaged state", "tradebot halt")
    rows = noun(seen.records, "holds", "hold") + f" all {counted(seen.rows, 'row')}"
    found = f"whole: {counted(seen.records, 'record')} {rows}"
    found += f"; {seen.ahead} were written for a commit that did not come" if seen.ahead else ""
    return judged(place, look, now, State.OK, found)


def backups(evidence: Evidence) -> Item:
    """Judge the backups: each must still be what was written when it was made."""
    place, seen = (Area.BOOKS, "backups"), evidence.backups
    if not seen.kept:
        return left_out(place, "backups", "none was made yet")
    look, now = Look("backups", seen.kept), evidence.moment.now
    if not seen.damaged:
        return judged(place, look, now, State.OK, "each is as it was made")
    name, why = next(iter(seen.damaged.items()))
    found = f"{len(seen.damaged)} cannot be put back as made; {name}: {why}"
    return judged(place, look, now, State.FAIL, found, "tradebot backup")


def broker(evidence: Evidence) -> Item:
    """Judge the ledger against the broker, as a reconcile would find them."""
    place, told = (Area.BOOKS, "ledger against broker"), evidence.broker
    if isinstance(told, Silence):
        return silent(place, told)
    view = told.view
    look = Look("positions, orders, cash", len(view.positions) + len(view.orders) + 1, view.at)
    known = f"; the next pass applies {counted(told.unapplied, 'new fact')}" if told.unapplied else ""
    now = evidence.moment.now
    if view.unreadable:
        found = f"{counted(view.unreadable, 'row')} of the broker can't be read, so entries are shut"
        return judged(place, look, now, State.FAIL, found, RECONCILE)
    if not told.findings:
        return judged(place, look, now, State.OK, f"they agree{known}")
    blocking = sum(finding.blocking for finding in told.findings)
    first = min(told.findings, key=lambda finding: not finding.blocking)
    found = f"{_blocking(blocking, len(told.findings))}; {first.subject}: {first.meaning}{known}"
    return judged(place, look, now, State.FAIL if blocking else State.WARN, found, RECONCILE)


def compared(evidence: Evidence) -> Item:
    """Judge the last recorded comparison: entries rest on it."""
    place, mark = (Area.BOOKS, "last reconcile"), evidence.mark
    if mark is None:
        found = "books and broker were never compared: entries are shut"
        return Item(*place, State.UNKNOWN, "comparisons", 0, None, None, found, RECONCILE)
    look, limit_s = Look("comparison", 1, mark.at), evidence.rules.limits.max_reconcile_age_s
    age_s = (evidence.moment.market_time - mark.at).total_seconds()
    if mark.blocking:
        found = _blocking(mark.blocking, mark.findings)
        return judged(place, look, evidence.moment.now, State.FAIL, found, RECONCILE)
    ahead_s = (mark.at - evidence.moment.now).total_seconds()
    if ahead_s > evidence.rules.limits.max_clock_skew_s:
        found = f"it is dated {span(ahead_s)} later than the market's clock: entries are shut"
        return judged(place, look, evidence.moment.now, State.FAIL, found, RECONCILE)
    if age_s > limit_s:
        found = f"it is older than {span(limit_s)}: entries are shut"
        state = State.FAIL if evidence.moment.is_open else State.WARN
        return judged(place, look, evidence.moment.now, state, found, RECONCILE)
    found = f"{counted(mark.findings, 'finding')}, none blocking"
    return judged(place, look, evidence.moment.now, State.OK, found)


def _blocking(blocking: int, findings: int) -> str:
    """Return how many of the findings keep entries shut: 1 of 2 findings keeps entries shut."""
    return f"{blocking} of {counted(findings, 'finding')} {noun(blocking, 'keeps', 'keep')} entries shut"
