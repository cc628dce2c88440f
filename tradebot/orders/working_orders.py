"""Manage our working orders: find those that have been open too long, and cancel or reprice them.

A replace reprices an exit in one step, so a position is never without its exit in between. A passive entry is also
replaced each time it moves closer to the other side of the spread. An order is replaced at most once. So if the reply
to a replace was lost, the same replace is sent again until its result is found, or until the order has ended. If the
venue refuses to replace an exit, the exit is canceled with its pair, and another one goes out in the same pass; if that
fails too, the stop is placed again. Fills follow the chain of replaces, whoever made them. An entry that someone else
repriced still ends like our other entries, and an exit that someone else repriced keeps its new price.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import NamedTuple

from tradebot.gates.shared_gates import closable_quantity, position_of, promotion
from tradebot.gates.sizing import last_step_due, quote_to_step_by, stepped_price
from tradebot.model.bar import VenueClock
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.intent import IntentRecord, Operation, is_our_order_id
from tradebot.model.order import LastStep, Order, Style
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.resting_orders import HoldingKey
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.model.venue import Edit, Pairs
from tradebot.orders.amendments import (
    cancel_order,
    change_candidate,
    change_of,
    exit_candidate,
    exit_pair,
    price_through,
    send_change,
)
from tradebot.orders.close_orders import exit_anew
from tradebot.orders.order_sender import ON_ITS_WAY, cancel_at_once, cancel_intent, closing_side, replace_intent
from tradebot.ports.world import Call, World
from tradebot.reconciliation.catch_up import omitted_orders

LEAVING = frozenset({Reason.STALE_EXIT, Reason.CLOSED_BY_HAND})
"""Reasons to reprice a working exit so that it fills now."""

Due = tuple[Order, IntentRecord, Reason]


class OrderChange(Enum):
    """What a pass does to an exit that has been open too long, or to a passive entry whose price is due to change."""

    NONE = auto()
    REPRICE = auto()
    ANEW = auto()
    END = auto()


def cancel_working_entries(world: World, call: Call, clock: VenueClock) -> Mapping[str, CandidateRecord]:
    """Cancel our entries that the venue lists; return each record by the venue's order id.

    A halt does this before it reads the books, because reading large books takes seconds and a cancel only reduces
    risk. It reads and adds single ledger rows, and changes no row whose integrity hasn't been verified. Any order that
    needs more is left to the following pass.
    """
    if world.orders is None or not (world.permission.open and clock.is_open):
        return {}
    view, records = world.reader.view(), dict[str, CandidateRecord]()
    if view.account.number != world.ledger.account_number or view.account.blocked:
        return {}
    recorded = world.ledger.recorded_intents({order.client_order_id for order in view.orders})
    unresolved = world.ledger.intents(unresolved=True)
    for order in view.orders:
        record = recorded.get(order.client_order_id)
        if record and record.intent.purpose is Purpose.OPEN and not change_of(order, unresolved, Operation.CANCEL):
            key, of = record.intent.key, record.intent.instrument
            new_intent = cancel_intent(call, key.account, clock.now, order, of, key.strategy, Purpose.OPEN)
            decisions = (Decision(Gate.EXIT, Verdict.PASS, Reason.HALTED),)
            sent = cancel_at_once(world, new_intent, decisions)
            if sent:
                candidate = change_candidate(new_intent, Purpose.REDUCE, clock.now, order.open_quantity)
                records[order.venue_id] = CandidateRecord(candidate, (*decisions, sent), new_intent.client_order_id)
    return records


def cancel_or_reprice(
    world: World, call: Call, desk: Desk, symbols_to_close: frozenset[str], ended: Container[str] = ()
) -> tuple[CandidateRecord, ...]:
    """Cancel or reprice our working orders that are due. `symbols_to_close` are those for which an exit rule fired.

    Orders whose venue id is in `ended` were just canceled and are left alone, even if they are still listed.
    """
    records = list[CandidateRecord]()
    for due in (due for due in _due(world, desk, symbols_to_close) if due[0].venue_id not in ended):
        outcomes = tuple(_end_or_reprice_one(world, call, desk, due, at_any=due[0].symbol in symbols_to_close))
        records.extend(outcomes)
        desk = _desk_afterwards(desk, due, outcomes)
    return tuple(records)


class WorkingExits(NamedTuple):
    """The working exits that a pass keeps for positions that a person closes.

    `desk` is the desk as if these exits were filled. `shares` is how many shares of each position they close, unsigned.
    """

    desk: Desk
    records: tuple[CandidateRecord, ...]
    shares: Mapping[HoldingKey, Decimal]


def is_exit(order: Order, record: IntentRecord) -> bool:
    """Return True if one of our orders closes a position now, rather than at a stop or a target."""
    return not (record.intent.purpose is Purpose.OPEN or record.intent.protects or order.stop_price is not None)


def may_stay(desk: Desk, order: Order, record: IntentRecord) -> bool:
    """Return True if a working exit may stay when a person closes its position.

    The limit of a pair may stay even if it doesn't cover all shares, because canceling it would drop the stop.
    """
    if change_of(order, desk.books.unresolved_intents, Operation.CANCEL) or not _is_covered(desk, order, record):
        return False
    position = position_of(desk, (record.intent.key.strategy, order.symbol))
    assert position is not None, "an exit covers a position"
    return record.intent.rests or order.open_quantity >= closable_quantity(desk, order.symbol, position.quantity)


def reprice_working_exits(world: World, call: Call, desk: Desk, named: Callable[[str], bool]) -> WorkingExits:
    """Reprice the exits that may stay, so that they fill now; leave those whose price is already good enough."""
    records, shares = list[CandidateRecord](), defaultdict[HoldingKey, Decimal](Decimal)
    for order, record in our_working_orders(world, desk):
        leaves = named(order.symbol) and is_exit(order, record) and not _is_followed(desk.books, order)
        if leaves and order.symbol not in desk.unproven and may_stay(desk, order, record):
            due = (order, record, Reason.CLOSED_BY_HAND)
            outcomes = tuple(_end_or_reprice_one(world, call, desk, due, at_any=True))
            records += outcomes or (_left_alone(desk, order, record),)
            shares[record.intent.key.strategy, order.symbol] += order.open_quantity
            desk = _desk_afterwards(desk, due, outcomes)
    others = tuple(own for own in desk.book.own_orders if (own.strategy, own.symbol) not in shares)
    return WorkingExits(replace(desk, book=replace(desk.book, own_orders=others)), tuple(records), shares)


def _left_alone(desk: Desk, order: Order, record: IntentRecord) -> CandidateRecord:
    decision = Decision(Gate.EXIT, Verdict.PASS, Reason.CLOSED_BY_HAND)
    works = Decision(Gate.WORKING, Verdict.FAIL, Reason.EXIT_WORKING)
    return CandidateRecord(exit_candidate(desk, order, record), (decision, works), order.client_order_id)


def our_working_orders(world: World, desk: Desk) -> Iterator[tuple[Order, IntentRecord]]:
    """Yield our working orders, each with the intent behind it; orders resent in this pass come last.

    If someone else replaced an order of ours at the venue, the replacement has a new id, but it is still ours.
    """
    # Only requests without an outcome are resent. This check runs before the caller sends anything else.
    resent = tuple(_sent_again(world, desk)) if desk.books.unresolved_intents else ()
    behind = ((order, desk.books.intent_behind(order)) for order in desk.orders)
    yield from ((order, record) for order, record in behind if record is not None)
    yield from resent


def _sent_again(world: World, desk: Desk) -> Iterator[tuple[Order, IntentRecord]]:
    """Yield the resent orders that reached the venue after the desk was taken, in their current state."""
    working = omitted_orders(world.ledger.orders(working=True), desk.orders)
    recorded = world.ledger.recorded_intents({order.client_order_id for order in working})
    for order in working:
        record = recorded.get(order.client_order_id)
        if record is not None and record.intent.at < desk.now <= record.updated_at:
            # The reply to a submit may show the order before it can be replaced, so fetch it again.
            yield world.reader.order(order.client_order_id) or order, record


def _due(world: World, desk: Desk, symbols_to_close: frozenset[str]) -> Iterator[Due]:
    """Yield our working orders that must be canceled or repriced now, each with the reason."""
    limits = world.rules.limits
    for order, record in our_working_orders(world, desk):
        # A date in the future means the venue's clock was ahead then; that doesn't make the order younger.
        age = abs(desk.now - record.intent.at)
        lost = change_of(order, desk.books.unresolved_intents, Operation.CANCEL)
        if record.intent.protects and (not lost or world.venue.pairs is not Pairs.NATIVE):
            # Protection rests until it triggers, or its position is gone. Where the venue takes no pairs, an exit may
            # need its shares.
            continue
        if lost:
            yield order, record, Reason.INTENT_UNRESOLVED
        elif record.intent.purpose is not Purpose.OPEN and _has_reversed(desk, order, record):
            yield order, record, Reason.OVERFILLED
        elif record.intent.purpose is not Purpose.OPEN:
            # An exit that arrived late still has its price from when it was decided.
            late = record.updated_at >= desk.now > record.intent.at
            # If a person gave an exit its price, keep that price.
            ours = order.client_order_id == record.intent.client_order_id
            if ours and order.open_quantity and (late or age >= timedelta(seconds=limits.exit_life_s)):
                yield order, record, Reason.STALE_EXIT
        elif order.venue_id in desk.canceled:
            # Its end isn't reported yet; if the venue lists it again, it is canceled again.
            continue
        elif desk.state.state is not TradingState.ACTIVE:
            yield order, record, Reason.HALTED
        elif refusal := _refused_promotion(desk, record):
            yield order, record, refusal
        elif _age_of(desk, record) >= timedelta(seconds=limits.entry_life_s) or order.symbol in symbols_to_close:
            yield order, record, Reason.STALE_ENTRY
        elif _may_step(world, desk, order, record):
            yield order, record, Reason.ENTRY_STEP


def _refused_promotion(desk: Desk, record: IntentRecord) -> Reason | None:
    """Return why the strategy of a working entry may not enter any more, such as DEMOTED; None if it may."""
    decision = promotion(desk, record.intent.key.strategy)
    return None if decision is None or decision.verdict is Verdict.PASS else decision.reason


def _has_reversed(desk: Desk, order: Order, record: IntentRecord) -> bool:
    """Return True if the position has reversed since this exit was sent, so that the exit would add to it."""
    position = position_of(desk, (record.intent.key.strategy, order.symbol))
    if position is None or closing_side(position.quantity) is order.side:
        return False
    return desk.books.terms_of(position).turned


def _age_of(desk: Desk, record: IntentRecord) -> timedelta:
    """Return how long an entry has been open, counted from its first order if it was repriced."""
    begun = record.intent.approach.begun if record.intent.approach else record.intent.at
    return abs(desk.now - begun)


def _may_step(world: World, desk: Desk, order: Order, record: IntentRecord) -> bool:
    """Return True if a passive entry's price has to be moved now, or if the outcome of its last move is unknown."""
    intent, execution = record.intent, world.rules.of(record.intent.key.strategy).execution
    if intent.approach is None or execution.style is not Style.PASSIVE:
        return False
    if order.client_order_id != intent.client_order_id or order.status in ON_ITS_WAY or _is_followed(desk.books, order):
        return False
    made_after_s = (intent.at - intent.approach.begun).total_seconds()
    patient = desk.now - intent.at >= timedelta(seconds=execution.patience_s)
    lost = change_of(order, desk.books.unresolved_intents, Operation.REPLACE)
    return bool(lost) or (patient and not last_step_due(execution, made_after_s))


def _end_or_reprice_one(world: World, call: Call, desk: Desk, due: Due, *, at_any: bool) -> Iterator[CandidateRecord]:
    """Reprice a stale exit so that it fills, let a passive entry step, and cancel any other order that is due.

    If the venue refuses the new price, an entry is canceled, and an exit is replaced by another one. `at_any` means
    that the exit is wanted at any price.
    """
    order, record, why = due
    change, price, refused = OrderChange.END, None, OrderChange.END
    if why in LEAVING:
        candidate, pair = exit_candidate(desk, order, record), exit_pair(desk, order, record)
        price, refused = price_through(world, desk, candidate, pair), OrderChange.ANEW
        change = _decide_exit(world, desk, order, record, price, at_any=at_any)
    elif why is Reason.ENTRY_STEP:
        change, price = _decide_step(world, desk, order, record)
    if change is OrderChange.REPRICE and world.venue.edit is Edit.NONE:
        change = refused if why in LEAVING else OrderChange.NONE
    if change is OrderChange.REPRICE:
        assert price is not None, "repricing needs a price"
        repriced = _reprice(world, call, desk, due, price)
        yield repriced
        change = refused if repriced.decisions[-1].reason is Reason.VENUE_REJECTED else OrderChange.NONE
    if change is OrderChange.ANEW:
        yield from exit_anew(world, call, desk, order, record, why)
    elif change is OrderChange.END:
        yield cancel_order(world, call, desk, order, record, why)


def _decide_exit(
    world: World, desk: Desk, order: Order, record: IntentRecord, price: Decimal | None, *, at_any: bool
) -> OrderChange:
    """Decide what to do with an exit that should fill at `price` in USD; without one, keep it unless `at_any`."""
    # The venue's list of positions may be wrong, and this order may be the only protection.
    if order.symbol in desk.unproven:
        return OrderChange.NONE
    if not _is_covered(desk, order, record):
        return OrderChange.END
    if order.status in ON_ITS_WAY:
        life = timedelta(seconds=world.rules.limits.exit_life_s)
        return OrderChange.NONE if desk.now - (order.updated_at or record.intent.at) < life else OrderChange.ANEW
    if _is_followed(desk.books, order):
        return OrderChange.NONE
    if price is None:
        return OrderChange.ANEW if at_any and order.limit_price is not None else OrderChange.NONE
    return OrderChange.NONE if order.limit_price in (None, price) else OrderChange.REPRICE


def _decide_step(world: World, desk: Desk, order: Order, record: IntentRecord) -> tuple[OrderChange, Decimal | None]:
    """Decide what to do with a passive entry, and at which price; repeat an unresolved step unchanged."""
    own, approach = world.rules.of(record.intent.key.strategy), record.intent.approach
    previous = order.limit_price or record.intent.limit_price
    assert approach is not None, "a passive entry must have a collar"
    assert previous is not None, "a passive entry must have a price"
    if change_of(order, desk.books.unresolved_intents, Operation.REPLACE):
        return OrderChange.REPRICE, previous
    waited_s = (desk.now - approach.begun).total_seconds()
    if own.execution.last_step is LastStep.CANCEL and last_step_due(own.execution, waited_s):
        return OrderChange.END, None
    quote = quote_to_step_by(desk.quotes.get(order.symbol), desk.now, own.limits)
    if quote is None:
        return OrderChange.NONE, None
    listing, offset = desk.listing_for(record.intent.instrument), own.limits.limit_offset_fraction
    collar, execution = approach.collar, own.execution
    price = stepped_price(
        listing, order.side, quote, execution, waited_s, previous=previous, collar=collar, offset=offset
    )
    return (OrderChange.NONE if price == previous else OrderChange.REPRICE), price


def _desk_afterwards(desk: Desk, due: Due, outcomes: Sequence[CandidateRecord]) -> Desk:
    """Return the desk as if a repriced exit were filled, so that the next exit only closes the remaining shares."""
    order, _, why = due
    ended = bool(outcomes) and outcomes[-1].candidate.source == Operation.CANCEL and outcomes[-1].terminal is None
    only_listed = not outcomes and _is_followed(desk.books, order)
    if why not in LEAVING or ended or only_listed:
        return desk
    return desk.with_filled(order.symbol, order.open_quantity * order.side.sign)


def _is_covered(desk: Desk, order: Order, record: IntentRecord) -> bool:
    """Return True if our position still has at least as many shares as an exit may close."""
    position = position_of(desk, (record.intent.key.strategy, order.symbol))
    if position is None or closing_side(position.quantity) is not order.side:
        return False
    return closable_quantity(desk, order.symbol, position.quantity) >= order.open_quantity


def _reprice(world: World, call: Call, desk: Desk, due: Due, price: Decimal) -> CandidateRecord:
    """Replace an order with one at another price, or repeat an unresolved replace unchanged."""
    order, record, why = due
    # The order still works, so each replace of it with a known outcome has failed.
    new_intent = replace_intent(call, desk, order, record.intent, price, len(_resolved_replacements(desk.books, order)))
    return send_change(world, desk, order, new_intent, why)


def forgotten_exits(desk: Desk) -> Iterator[Order]:
    """Yield orders that carry our ids and would close our positions, but are missing from the restored books.

    Orders in unlisted symbols stay, because nothing could be sent to replace them.
    """
    # Nothing could be sent to replace orders in unlisted symbols, so they stay.
    listed = (position for position in desk.positions if position.symbol in desk.listings)
    sides = {(position.symbol, closing_side(position.quantity)) for position in listed}
    for order in desk.orders:
        forgotten = is_our_order_id(order.client_order_id) and desk.books.intent_behind(order) is None
        if forgotten and (order.symbol, order.side) in sides and order.symbol not in desk.unproven:
            yield order


def _resolved_replacements(books: Books, order: Order) -> list[IntentRecord]:
    recorded = (record for record in books.intents if record.intent.operation is Operation.REPLACE)
    return [r for r in recorded if r.intent.target_venue_id == order.venue_id and not r.state.is_unresolved]


def _is_followed(books: Books, order: Order) -> bool:
    """Return True if this order's replacement already works, and the venue merely still lists this one."""
    followers = {record.intent.client_order_id for record in _resolved_replacements(books, order)}
    return any(working.client_order_id in followers for working in books.working)
