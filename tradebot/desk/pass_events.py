"""Report what people should know about a pass: counter-signals, refusals, stale bars, failed closes.

A condition that lasts for several passes is reported once: the record of the previous pass says whether it is new. An
order's end is reported when the books first see it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Context, Decimal
from operator import attrgetter

from tradebot.gates.displacement import CAPACITY
from tradebot.gates.shared_gates import position_of
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Gate
from tradebot.model.desk import Desk
from tradebot.model.event import EventKind, Severity, SystemEvent
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Fill, Order, OrderClass, OrderStatus
from tradebot.model.position import FOREIGN, Position
from tradebot.model.reasons import MAKING_ROOM, Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Gap, Job, StrategyRefusal
from tradebot.ports.stores import Events, Ledger
from tradebot.ports.world import World
from tradebot.reconciliation.catch_up import CatchUpResult, MovedStop
from tradebot.reconciliation.new_fills import Liquidated, orders_and_intents

CLOSES = frozenset({Purpose.REDUCE, Purpose.CLOSE})
MOST_CLOSES = 3
"""How many orders that close one position may fail before a person is notified."""
DAY = timedelta(days=1)
WEAK = frozenset({Gate.NEEDS, Gate.STRATEGY, Gate.COVERAGE, Gate.SCORE})
"""Gates that a candidate passes if its signal is good enough, whatever the state of the account."""
ROOM = frozenset({*CAPACITY, Gate.DISPLACEMENT})
"""Gates that refuse an entry because a limit leaves no room."""
Key = tuple[str, str, Side]


def emit_pass_events(world: World, desk: Desk, cycle: CycleRecord) -> None:
    """Emit the events of one pass, just before it is recorded; a dry run emits none."""
    if world.dry_run:
        return
    for event in _of_pass(world, desk, cycle):
        world.events.emit(event)


def tell_caught_up(events: Events, ledger: Ledger, caught: CatchUpResult, now: datetime) -> None:
    """Emit the events for what catching up with the venue has changed in the ledger."""
    _tell_unfilled(events, ledger, caught.unfilled, now)
    _tell_moved(events, ledger, caught.moved, now)
    _tell_closed_by_broker(events, caught.liquidated, now)


def _tell_closed_by_broker(events: Events, closed: Iterable[Liquidated], now: datetime) -> None:
    """Emit one event for all fills with which the broker closed a position.

    There may be dozens, each at its own price.
    """
    together = dict[tuple[str, Side, EventKind, tuple[str, ...]], list[Fill]]()
    for fill, strategies in closed:
        kind = EventKind.LIQUIDATED if fill.liquidation else EventKind.SETTLED
        together.setdefault((fill.symbol, fill.side, kind, strategies), []).append(fill)
    for (symbol, side, kind, strategies), fills in together.items():
        quantity = sum((fill.quantity for fill in fills), Decimal(0))
        worth = abs(sum((fill.notional for fill in fills), Decimal(0))) / fills[0].multiplier
        price = Context(prec=12).divide(worth, quantity)
        sold = {"side": side.value, "quantity": f"{quantity:f}", "price": f"{price:f}", "parts": str(len(fills))}
        details = {"strategies": ", ".join(strategies), **sold, "at": fills[-1].at.isoformat()}
        events.emit(kind.at(now, details, symbol))


def _tell_unfilled(events: Events, ledger: Ledger, unfilled: Sequence[Order], now: datetime) -> None:
    """Emit that orders ended with unfilled shares, unless another order replaced them."""
    ended = [order for order in unfilled if order.status is not OrderStatus.REPLACED]
    if not ended:
        return
    recorded = ledger.recorded_intents({order.client_order_id for order in ended})
    canceled = {
        record.intent.target_venue_id
        for record in ledger.recent_intents((now - DAY).date())
        if record.intent.operation is Operation.CANCEL
    }
    positions = ledger.totals().positions
    for order in ended:
        record = recorded.get(order.client_order_id)
        if record is not None:
            position = positions.get((record.intent.key.strategy, order.symbol))
            expected = order.venue_id in canceled or not (position and position.quantity * order.side.sign < 0)
            for event in _of_ended(order, record.intent, now, expected=expected):
                events.emit(event)


def _tell_moved(events: Events, ledger: Ledger, moved: Sequence[MovedStop], now: datetime) -> None:
    if not moved:
        return
    behind = orders_and_intents(ledger, {stop.now.venue_id for stop in moved})
    ours = {(r.intent.target_venue_id, r.intent.stop_price) for r in ledger.recent_intents((now - DAY).date())}
    for before, order in moved:
        owner = behind.owner(order.venue_id)
        # If the venue changes orders in place, a change by the bot may be visible before its reply arrives.
        if owner != FOREIGN and (order.venue_id, order.stop_price) not in ours:
            stops = {"before": f"{before.stop_price:f}", "now": f"{order.stop_price:f}"}
            shares = {"shares_before": f"{before.quantity:f}", "shares_now": f"{order.quantity:f}"}
            details = {"strategy": owner, "order": order.client_order_id, **stops, **shares}
            events.emit(EventKind.STOP_MOVED.at(now, details, order.symbol))


def _of_ended(order: Order, intent: Intent, now: datetime, *, expected: bool) -> Iterator[SystemEvent]:
    """Yield the events for an order's end.

    An exit's end is `expected` if we canceled it, or no shares are left for it.
    """
    cause, unfilled = f"the order ended {order.status.value}", intent.quantity - order.filled_quantity
    details = _unfilled_details(intent, cause, order.client_order_id, unfilled)
    if intent.purpose is Purpose.OPEN and not order.filled_quantity:
        severity = Severity.WARN if order.status is OrderStatus.REJECTED else None
        yield EventKind.MISSED_CANDIDATE.at(now, details, order.symbol, severity=severity)
    # A venue cancels the limit of a pair once the stop has filled.
    stop_filled = intent.order_class is OrderClass.OCO and order.status is OrderStatus.CANCELED
    if intent.purpose in CLOSES and not expected and not stop_filled:
        yield EventKind.CLOSE_FAILED.at(now, details, order.symbol)


def _of_pass(world: World, desk: Desk, cycle: CycleRecord) -> Iterator[SystemEvent]:
    last = {
        (record.candidate.strategy, record.candidate.symbol, record.candidate.purpose): record
        for record in cycle.candidates
    }
    for record in last.values():
        # If the broker refuses an exit in one form, another form of it may still be accepted.
        yield from _refusal_events(desk, record)
    if cycle.job is Job.TRADE_ONCE:
        yield from _blocked_events(desk, cycle)
        yield from _of_entries(world, desk, cycle)
    else:
        yield from _overdue_events(world, desk, cycle)
        yield from _overfill_events(world, desk, cycle)
    yield from _unlisted_events(world, desk, cycle)


def _unlisted_events(world: World, desk: Desk, cycle: CycleRecord) -> Iterator[SystemEvent]:
    """Yield each symbol whose instrument isn't known, unless the previous pass found the same."""
    unknown = [each for each in cycle.refused_strategies if each.decision.reason is Reason.INSTRUMENT_UNKNOWN]
    before = _before(world, cycle) if unknown else None
    for refusal in _newly_refused(unknown, before):
        details = {} if refusal.decision.limit is None else {"held": f"{refusal.decision.limit}"}
        yield EventKind.INSTRUMENT_UNKNOWN.at(desk.now, {"strategy": refusal.strategy, **details}, refusal.symbol)


def _refusal_events(desk: Desk, record: CandidateRecord) -> Iterator[SystemEvent]:
    """Yield the broker's refusals of new orders; refusals to cancel or reprice don't count."""
    candidate, end = record.candidate, record.terminal
    changes = candidate.source in (Operation.CANCEL, Operation.REPLACE)
    if end is None or end.reason is not Reason.VENUE_REJECTED or changes:
        return
    details = _details(candidate, f"the broker refused the order: {end.observed}", record.client_order_id)
    if candidate.purpose is Purpose.OPEN:
        yield EventKind.MISSED_CANDIDATE.at(desk.now, details, candidate.symbol, severity=Severity.WARN)
    elif candidate.purpose in CLOSES:
        yield from _close_failed(desk, candidate.strategy, candidate.symbol, details)


def _close_failed(desk: Desk, strategy: str, symbol: str, details: dict[str, str]) -> Iterator[SystemEvent]:
    """Yield that a close failed, and report a position once several of its closes have failed."""
    yield EventKind.CLOSE_FAILED.at(desk.now, details, symbol)
    position = position_of(desk, (strategy, symbol))
    since = position.opened_at if position else desk.now
    later = (record.intent for record in desk.books.intents if record.intent.at >= since)
    closes = (i for i in later if (i.key.strategy, i.instrument.symbol) == (strategy, symbol) and i.purpose in CLOSES)
    sent = {details["order"], *(intent.client_order_id for intent in closes if intent.makes_order)}
    if len(sent) == MOST_CLOSES:
        yield EventKind.ALL_CLOSES_FAILED.at(desk.now, {**details, "attempts": str(len(sent))}, symbol)


def _overdue_events(world: World, desk: Desk, cycle: CycleRecord) -> Iterator[SystemEvent]:
    """Yield each closing order that has become overdue since the previous exit pass."""
    life = timedelta(seconds=world.rules.limits.exit_life_s)
    due = [(order, intent) for order, intent in _working_closes(desk) if intent.at + life <= desk.now]
    if not due:
        return
    earlier = world.facts.passes(min(intent.at for _, intent in due))
    last = max(
        (cycle_record.at for cycle_record in earlier if cycle_record.job is cycle.job and cycle_record.id != cycle.id),
        default=None,
    )
    for order, intent in due:
        if last is None or last < intent.at + life:
            cause = f"it stayed unfilled for {world.rules.limits.exit_life_s} s"
            details = _unfilled_details(intent, cause, intent.client_order_id, order.open_quantity)
            yield from _close_failed(desk, intent.key.strategy, order.symbol, details)


def _overfill_events(world: World, desk: Desk, cycle: CycleRecord) -> Iterator[SystemEvent]:
    """Yield each position that an order has reversed, once."""
    turned = [position for position in desk.positions if desk.books.terms_of(position).turned]
    before = _before(world, cycle, [position.symbol for position in turned]) if turned else None
    for position in turned:
        if before is None or not any(_closes_excess(record, position) for record in before.candidates):
            details = {"strategy": position.strategy, "shares": f"{abs(position.quantity):f}"}
            yield EventKind.OVERFILLED.at(desk.now, details, position.symbol)


def _closes_excess(record: CandidateRecord, position: Position) -> bool:
    """Return True if an earlier pass knew that this position had reversed."""
    candidate = record.candidate
    same = (candidate.strategy, candidate.symbol) == position.holding and candidate.at >= position.opened_at
    return same and any(decision.reason is Reason.OVERFILLED for decision in record.decisions)


def _working_closes(desk: Desk) -> Iterator[tuple[Order, Intent]]:
    """Yield our closing orders that may still fill, except stops that keep working beside one of them."""
    for order in desk.orders:
        record, may_fill = desk.books.intent_behind(order), order.open_quantity and not order.status.terminal
        if record and record.intent.purpose in CLOSES and may_fill and order.stop_price is None:
            yield order, record.intent


def _blocked_events(desk: Desk, cycle: CycleRecord) -> Iterator[SystemEvent]:
    """Yield one event per reason for which gates refused entries, with its count."""
    entries = (record.terminal for record in cycle.candidates if record.candidate.purpose is Purpose.OPEN)
    refused = Counter((end.gate, end.reason) for end in entries if end is not None and end.gate is not Gate.SEND)
    for (gate, reason), count in refused.most_common():
        yield EventKind.GATE_BLOCKED.at(desk.now, {"reason": str(reason), "gate": str(gate), "count": str(count)})


def _of_entries(world: World, desk: Desk, cycle: CycleRecord) -> Iterator[SystemEvent]:
    """Yield the conditions of this pass that didn't hold in the previous entry pass."""
    counter = {_key(each.candidate): each for each in cycle.candidates if _is_counter(desk, each)}
    crowded = {_key(each.candidate): each for each in cycle.candidates if _lacked_only_room(each)}
    stale = [refusal for refusal in cycle.refused_strategies if refusal.decision.reason is Reason.BARS_STALE]
    if not (counter or crowded or stale):
        return
    before = _before(world, cycle, [symbol for _, symbol, _ in (*counter, *crowded)])
    yield from _counter_signals(desk, counter.values(), before)
    keys = {_key(each.candidate) for each in before.candidates if _lacked_only_room(each)} if before else set()
    for record in (each for key, each in crowded.items() if key not in keys):
        end = record.terminal
        why = f"refused only for lack of room: {end.reason}" if end else ""
        yield EventKind.MISSED_CANDIDATE.at(desk.now, _details(record.candidate, why, None), record.candidate.symbol)
    for refusal in _newly_refused(stale, before):
        decision = refusal.decision
        details = {"strategy": refusal.strategy, "age_s": str(decision.observed), "max_age_s": str(decision.limit)}
        yield EventKind.STALE_BARS.at(desk.now, details, refusal.symbol)


def _counter_signals(
    desk: Desk, counter: Iterable[CandidateRecord], before: CycleRecord | None
) -> Iterator[SystemEvent]:
    opened = {(p.strategy, p.symbol): p.opened_at for p in desk.positions}
    keys: Collection[Key] = ()
    if before:
        keys = {_key(each.candidate) for each in before.candidates if _is_strong(each)}
    for record in counter:
        candidate = record.candidate
        held_then = before is not None and opened[candidate.strategy, candidate.symbol] < before.at
        if not (held_then and _key(candidate) in keys):
            details = _details(
                candidate, f"the strategy wants to {candidate.side.value} but holds the opposite side", None
            )
            yield EventKind.COUNTER_SIGNAL.at(desk.now, details, candidate.symbol)


def _is_counter(desk: Desk, record: CandidateRecord) -> bool:
    """Return True if a strategy wants the opposite side of its own position, with a signal that is good enough."""
    position = position_of(desk, (record.candidate.strategy, record.candidate.symbol))
    return position is not None and Side.of(position.quantity) is not record.candidate.side and _is_strong(record)


def _is_strong(record: CandidateRecord) -> bool:
    candidate = record.candidate
    entry = candidate.purpose is Purpose.OPEN and candidate.want is WantKind.OPEN
    return entry and all(decision.passed for decision in record.decisions if decision.gate in WEAK)


def _lacked_only_room(record: CandidateRecord) -> bool:
    """Return True if only limits on open positions refused an entry, and no position was closed to make room."""
    first = record.terminal
    if record.candidate.purpose is not Purpose.OPEN or first is None or first.gate not in ROOM:
        return False
    failed = (decision for decision in record.decisions if not decision.passed)
    return first.reason not in MAKING_ROOM and all(decision.gate in ROOM for decision in failed)


def _before(world: World, cycle: CycleRecord, symbols: Iterable[str] = ()) -> CycleRecord | None:
    """Return the previous pass of this job, with the reasons for candidates in these symbols."""
    return world.facts.before(cycle.job, cycle.id, sorted({*symbols}))


def _key(candidate: Candidate) -> Key:
    return candidate.strategy, candidate.symbol, candidate.side


def _newly_refused(refused: Iterable[StrategyRefusal], before: CycleRecord | None) -> Iterator[StrategyRefusal]:
    """Yield the refusals that the previous pass didn't have."""
    key = attrgetter("strategy", "symbol", "decision.reason")
    keys = {key(refusal) for refusal in before.refused_strategies} if before else set()
    return (refusal for refusal in refused if key(refusal) not in keys)


def _unfilled_details(intent: Intent, cause: str, order: str, shares: Decimal) -> dict[str, str]:
    return {"strategy": intent.key.strategy, "cause": cause, "order": order, "unfilled": f"{shares:f}"}


def _details(candidate: Candidate, cause: str, order: str | None) -> dict[str, str]:
    score = "" if candidate.score is None else f"{candidate.score:.3f}"
    details = {"strategy": candidate.strategy, "cause": cause, "order": order or "", "score": score}
    return {name: text for name, text in details.items() if text}


def gap_began(gap: Gap, now: datetime, cause: str = "") -> SystemEvent:
    """Build the event that reports the start of a gap in protection; `cause` says why an exit had to replace the
    stop.
    """
    details = {"strategy": gap.strategy, "why": gap.why, "shares": f"{gap.shares:f}", "since": gap.since.isoformat()}
    return EventKind.PROTECTION_GAP.at(now, {**details, **({"cause": cause} if cause else {})}, gap.symbol)
