"""Close positions, or parts of them: for an exit rule, a strategy, or a person.

Two owners may have positions in the same symbol; together they never close more than the broker's position. An exit
waits for an order of another strategy only if the two would trade with each other.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from tradebot.desk.contract_rolls import begins_move, with_entry_terms
from tradebot.exits.exit_reasons import compose
from tradebot.exits.rules import ExitCall
from tradebot.gates.ask import AccountAsk
from tradebot.gates.shared_gates import (
    broker_contradicts,
    candidate_fresh,
    check_still_held,
    closable_quantity,
    instrument_open,
    permission,
    position_of,
    session_open,
    unresolved_for_exit,
    working_for_exit,
)
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Decisions, Gate, Verdict, first_failure
from tradebot.model.desk import Desk
from tradebot.model.instrument import whole_lots
from tradebot.model.intent import JOINS, Intent, IntentKey, IntentRecord, IntentState, Operation
from tradebot.model.order import Order
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import EXITING, CandidateRecord
from tradebot.model.resting_orders import Resting
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Edit, Pairs
from tradebot.orders.amendments import (
    AGAIN,
    EXITS,
    CancelResult,
    cancel_and_prove,
    exit_candidate,
    exit_is_refused,
    exit_pair,
    exit_price,
    exit_through,
    joinable_stop_id,
    price_through,
    require_quote,
    tell_gap,
)
from tradebot.orders.order_sender import (
    MOST_LEGS,
    closing_side,
    may_send_again,
    send,
    send_again,
    sent_at,
    submit_intent,
    submit_key,
    wanted_key,
)
from tradebot.orders.stop_protection import protect_again
from tradebot.ports.world import Call, World

Records = tuple[CandidateRecord, ...]

REFUSED = "the broker doesn't let the limit of a pair go through the market"
NO_PRICE = "there was no quote, or none on the near side of the stop"
ASKED_FOR = frozenset({Reason.FLATTEN, Reason.CLOSED_BY_HAND})
"""Reasons that mean a person wants the position closed, even if the venue no longer lists it."""

TOO_LATE = frozenset({Reason.DESK_STALE, Reason.DECISION_LATE, Reason.SENDING_LATE, Reason.MARKET_CLOSED})
NEVER_FILLS = TOO_LATE | {Reason.VENUE_REJECTED, Reason.HALTED}
"""Reasons at SEND that rule out a fill, so the next candidate sees the same exposure.

A lost reply may still be a fill.
"""


def close_one_by_one(desk: Desk, positions: Iterable[Position], close: Callable[[Desk, Position], Records]) -> Records:
    """Close positions one after another, each based on the quantities that the previous orders leave at the broker."""
    records = list[CandidateRecord]()
    for position in positions:
        closed = close(desk, position)
        records += closed
        desk = desk_after_close(desk, closed)
    return tuple(records)


def desk_after_close(desk: Desk, records: Iterable[CandidateRecord]) -> Desk:
    """Return the desk as if these exits were filled, including exits that may have been sent."""
    for record in records:
        candidate, last = record.candidate, record.decisions[-1]
        exits = last.gate is Gate.SEND and last.reason not in NEVER_FILLS and candidate.source != Operation.CANCEL
        if exits and candidate.purpose is not Purpose.PROTECT:
            desk = desk.with_filled(candidate.symbol, quantity_of(candidate) * candidate.side.sign)
    return desk


def account_after_close(account: AccountAsk, symbol: str, closed: Records) -> AccountAsk:
    """Return the account after these closes.

    If a close may have been sent, the symbol counts as having a working order.
    """
    desk = desk_after_close(account.desk, closed)
    book = account.book if desk is account.desk else account.book.with_closing(symbol)
    return replace(account, desk=desk, book=book)


def close(
    world: World, call: Call, desk: Desk, position: Position, why: ExitCall, source: str, displaced_by: str = ""
) -> Records:
    """Send the orders that close all or part of a listed position, if `why` and the exit gates pass.

    `displaced_by` is the symbol of the candidate that the close makes room for, if any.
    """
    if why.decision.reason in ASKED_FOR and broker_contradicts(desk, position.symbol):
        desk = _as_claimed(world, desk, position)
    listing, shares = desk.listing_of(position), closable_quantity(desk, position.symbol, position.quantity)
    if listing is None:
        return ()
    as_booked = (
        why.decision.reason in ASKED_FOR and world.venue.reduce_only and broker_contradicts(desk, position.symbol)
    )
    shares = abs(position.quantity) if as_booked else shares
    candidate = Candidate(
        strategy=position.strategy,
        instrument=listing.instrument,
        side=closing_side(position.quantity),
        purpose=Purpose.CLOSE if why.shares is None else Purpose.REDUCE,
        at=desk.now,
        quantity=shares if why.shares is None else min(why.shares, shares),
        source=source,
        why=compose(why.why) if why.why else "",
        displaced_by=displaced_by,
    )
    if begins_move(desk, candidate):
        candidate = with_entry_terms(candidate, desk.books.terms_of(position))
    # A rule's missing input explains why the position stays open, and must not prevent another rule from closing it.
    unknown = () if why.decision.passed else (each for each in why.unknown if each != why.decision)
    return _send_closing(world, call, desk, position, candidate, (why.decision, *unknown), as_booked=as_booked)


def _as_claimed(world: World, desk: Desk, position: Position) -> Desk:
    """Return the desk with a position as large as its listed stops, if the venue reserves shares for them.

    Such a venue accepts a stop only for shares that it has, and nobody can sell them before the stop ends. So the stops
    prove the shares, whatever the list of positions says, and an exit for them can't open a position.
    """
    side = closing_side(position.quantity)
    rests = desk.resting.get(position.holding, ()) if world.venue.pairs is Pairs.NATIVE else ()
    stops = [rest for rest in rests if rest.can_trigger and not rest.exiting and rest.first.side is side]
    claimed = min(sum((stop.quantity for stop in stops), Decimal(0)), abs(position.quantity))
    if not claimed or position.symbol in desk.omitted_orders:
        return desk
    net = {**desk.net, position.symbol: claimed.copy_sign(position.quantity)}
    ratios = {symbol: ratio for symbol, ratio in desk.position_ratios.items() if symbol != position.symbol}
    return replace(desk, net=net, unproven=desk.unproven - {position.symbol}, position_ratios=ratios)


def close_as_wanted(world: World, call: Call, desk: Desk, candidate: Candidate) -> Records:
    """Send the orders that close or reduce a position as its strategy wants, if the exit gates pass."""
    position = position_of(desk, (candidate.strategy, candidate.symbol))
    if position is None or closing_side(position.quantity) is not candidate.side:
        held_quantity = position.quantity if position else Decimal(0)
        closed = Decision(Gate.POSITIONED, Verdict.FAIL, Reason.ALREADY_CLOSED, held_quantity, candidate.quantity)
        return (CandidateRecord(candidate, (*candidate.decisions, closed)),)
    assert candidate.quantity is not None, "a strategy's close must have a quantity"
    if not candidate.quantity:
        minimum = desk.listing_for(candidate.instrument).minimum
        none = Decision(Gate.SIZE, Verdict.FAIL, Reason.SIZE_BELOW_ONE, candidate.quantity, minimum)
        return (CandidateRecord(candidate, (*candidate.decisions, none)),)
    quantity = min(candidate.quantity, closable_quantity(desk, position.symbol, position.quantity))
    decision = Decision(Gate.STRATEGY, Verdict.PASS, Reason.STRATEGY_CLOSES, candidate.why or None)
    fresh = candidate_fresh(candidate, desk.now, world.rules.of(candidate.strategy).limits)
    wanted = replace(candidate, quantity=quantity)
    return _send_closing(world, call, desk, position, wanted, (fresh, *candidate.decisions, decision))


def _send_closing(
    world: World,
    call: Call,
    desk: Desk,
    position: Position,
    candidate: Candidate,
    earlier: Decisions,
    *,
    as_booked: bool = False,
) -> Records:
    """Send closing orders if `earlier` decisions and the exit gates pass; keep a fraction that the venue refused."""
    lost = _lost_exit(world, desk, position)
    # The close was decided in an earlier pass, so a lost exit is resent whatever the rules say now. No other order is
    # sent.
    earlier = earlier if not (lost and first_failure(earlier)) else ()
    candidate, fraction = without_refused_fraction(call, desk, candidate)
    # The venue may be closed for this instrument while the pass goes on for another.
    hours = instrument_open(desk, candidate.instrument) or (None if desk.clock.is_open else session_open(desk))
    decisions = (
        permission(desk),
        *earlier,
        *([hours] if hours else []),
        check_still_held(desk, position.symbol, position.quantity, as_booked=as_booked),
        *fraction,
        *require_quote(world, desk, candidate),
        working_for_exit(desk.book, position.strategy, position.symbol, candidate.side),
        AGAIN if lost else unresolved_for_exit(desk.books, position.strategy, position.symbol),
    )
    if lost and not first_failure(decisions):
        again = replace(candidate, quantity=lost.quantity)
        repriced = _at_this_price(world, desk, again, lost)
        sent = send_again(world, desk, repriced)
        return (CandidateRecord(again, (*decisions, sent), lost.client_order_id, repriced.limit_price),)
    if first_failure(decisions):
        return (CandidateRecord(candidate, decisions),)
    return tuple(_exits(world, call, desk, candidate, decisions))


def _exits(
    world: World, call: Call, desk: Desk, candidate: Candidate, decisions: Decisions
) -> Iterator[CandidateRecord]:
    """Close unprotected shares first, then the shares of each pair, the newest first."""
    # Reduce-only orders reserve no shares, so an exit can work beside them. They end once the shares are gone.
    resting = () if world.venue.reduce_only else desk.resting.get((candidate.strategy, candidate.symbol), ())
    rests = [rest for rest in resting if not rest.exiting and rest.first.side is candidate.side]
    targets, pairs = ([rest for rest in rests if rest.is_target is apart] for apart in (True, False))
    ended = tuple(_end_targets(world, call, desk, candidate, targets))
    yield from (released.record for _, released in ended)
    if any(released.left != target.quantity for target, released in ended):
        # Shares that one of these targets filled meanwhile can't be closed again.
        yield _waits(candidate, decisions)
        return
    remaining, covered = quantity_of(candidate), sum((pair.quantity for pair in pairs), Decimal(0))
    free = min(remaining, max(_closable_quantity(desk, candidate) - covered, Decimal(0)) if pairs else remaining)
    if free:
        key = wanted_key(world, call, desk, candidate)
        yield submit_whole(world, call, desk, replace(candidate, quantity=free), decisions, key)
    remaining -= free
    for number, pair in reversed(tuple(enumerate(pairs))):
        if remaining == pair.quantity and (stop := joinable_stop_id(world, pair)):
            yield _joining(world, call, desk, replace(candidate, quantity=remaining), decisions, stop)
            remaining = Decimal(0)
        if remaining > 0:
            part = replace(candidate, quantity=min(remaining, pair.quantity))
            remaining -= quantity_of(part)
            # What this exit and its pair may use: the position less the rest of the exit and the shares of the other
            # pairs.
            own = _closable_quantity(desk, candidate) - (quantity_of(candidate) - quantity_of(part))
            own -= sum((other.quantity for other in pairs[:number]), Decimal(0))
            if pair.ending:
                yield _waits(part, decisions)
            else:
                yield from _close_protected(world, call, desk, part, decisions, pair, own)


def _joining(
    world: World, call: Call, desk: Desk, candidate: Candidate, decisions: Decisions, stop: str
) -> CandidateRecord:
    """Send an exit that joins the stop's group, so that one fill cancels the other and the shares stay covered."""
    key = replace(submit_key(call, desk, candidate), leg=JOINS, target=stop)
    return submit_whole(world, call, desk, candidate, decisions, key)


def _waits(candidate: Candidate, decisions: Decisions) -> CandidateRecord:
    """Return the record of an exit that waits until the broker confirms that the order reserving its shares ended."""
    return CandidateRecord(candidate, (*decisions, Decision(Gate.WORKING, Verdict.FAIL, Reason.SHARES_HELD)))


def _closable_quantity(desk: Desk, candidate: Candidate) -> Decimal:
    position = position_of(desk, (candidate.strategy, candidate.symbol))
    return closable_quantity(desk, candidate.symbol, position.quantity) if position else Decimal(0)


def _end_targets(
    world: World, call: Call, desk: Desk, candidate: Candidate, targets: Iterable[Resting]
) -> Iterator[tuple[Resting, CancelResult]]:
    """Cancel the nearest targets that could close an exit's shares again; yield each with its cancel's result."""
    nearest = sorted(targets, key=lambda target: -(target.first.limit_price or 0) * candidate.side.sign)
    excess = sum((target.quantity for target in nearest), quantity_of(candidate)) - _closable_quantity(desk, candidate)
    for target in nearest:
        if excess <= 0:
            return
        excess -= target.quantity
        released = cancel_and_prove(world, call, desk, target, Reason.STOP_SPARE)
        yield target, released
        if released.left != target.quantity:
            return


def _close_protected(
    world: World, call: Call, desk: Desk, candidate: Candidate, decisions: Decisions, pair: Resting, own: Decimal
) -> Iterator[CandidateRecord]:
    """Close a pair's shares by repricing its limit, or by canceling it first; `own` shares may stay covered."""
    price = price_through(world, desk, candidate, pair)
    obstacle = _obstacle(world, desk, candidate, pair)
    if obstacle is None and price is not None:
        record = exit_through(world, call, desk, candidate, pair, price, decisions)
        yield record
        if not is_refused(record):
            return
        obstacle, price = REFUSED, None
    # Don't let an entry pass yield to exits while the shares have neither a stop nor an exit.
    with world.undisturbed():
        cause = obstacle or NO_PRICE
        records = tuple(_close_in_its_place(world, call, desk, candidate, decisions, pair, cause, own=own))
        yield from records
    # The broker may accept repricing again by now, and as the pair couldn't be canceled, no other way is left.
    if obstacle is REFUSED and price is not None and is_refused(records[0]):
        yield exit_through(world, call, desk, candidate, pair, price, decisions)


def exit_anew(
    world: World, call: Call, desk: Desk, order: Order, record: IntentRecord, why: Reason
) -> Iterator[CandidateRecord]:
    """Cancel an exit that can't be repriced, together with its pair if it has one, and send a new exit."""
    allowed, candidate = permission(desk), exit_candidate(desk, order, record)
    decisions = (allowed, Decision(Gate.EXIT, allowed.verdict, why), *require_quote(world, desk, candidate))
    if first_failure(decisions):
        yield CandidateRecord(candidate, decisions)
    else:
        pair, cause = exit_pair(desk, order, record), "the broker refused another price for the exit"
        with world.undisturbed():
            yield from _close_in_its_place(world, call, desk, candidate, decisions, pair, cause, why)


def _close_in_its_place(
    world: World,
    call: Call,
    desk: Desk,
    candidate: Candidate,
    decisions: Decisions,
    pair: Resting,
    cause: str,
    why: Reason = Reason.EXIT_NEEDS_SHARES,
    own: Decimal | None = None,
) -> Iterator[CandidateRecord]:
    """Cancel the order that reserves the shares, send an exit for them, and place the stop again for the rest."""
    released = cancel_and_prove(world, call, desk, pair, why)
    yield released.record
    if released.record.terminal is None and pair.can_trigger:
        tell_gap(world, desk, pair, EXITING, cause)
    if released.left is None:
        yield _waits(candidate, decisions)
    if not released.left:
        return
    closing = replace(candidate, quantity=min(quantity_of(candidate), released.left))
    if pair.record.intent.key.joins:
        # The exit being replaced was in a stop's group, and that stop still rests.
        stops = [rest for rest in desk.resting.get(pair.record.intent.holding, ()) if not rest.is_target]
        stop = next((joinable_stop_id(world, stop) for stop in stops if stop.quantity == closing.quantity), "")
        if stops:
            yield _joining(world, call, desk, closing, decisions, stop) if stop else _waits(closing, decisions)
            return
    # One pass may cancel several pairs of a position, and each needs an exit with its own id.
    key = replace(submit_key(call, desk, closing), leg=EXITS, target=pair.first.venue_id)
    closed = submit_whole(world, call, desk, closing, decisions, key)
    yield closed
    remaining = released.left if own is None else min(released.left, own)
    unprotected = remaining - (Decimal(0) if is_refused(closed) else quantity_of(closing))
    if unprotected > 0 and (pair.stop or pair.record.intent.protects):
        yield protect_again(world, call, desk, pair, unprotected)


def _obstacle(world: World, desk: Desk, candidate: Candidate, pair: Resting) -> str | None:
    """Return why a pair's shares can't be closed by repricing its limit, or None if they can."""
    if world.venue.edit is Edit.NONE:
        return "the venue doesn't let an order change its price"
    if pair.limit is None:
        return "it is a plain stop, which holds the shares"
    if pair.limit.filled_quantity:
        return "its limit was partly filled, and a broker may start such an order over"
    if pair.quantity != quantity_of(candidate):
        return "only a part of its shares is to be closed"
    return REFUSED if exit_is_refused(desk.books) else None


def _lost_exit(world: World, desk: Desk, position: Position) -> Intent | None:
    """Return an exit that was lost before it reached the venue and has to be resent.

    Return None if there is none, or if resending it could close more than is held.
    """
    for record in desk.books.unresolved_intents:
        intent = record.intent
        # A lost change to a working exit is resent by `working_orders` instead.
        closes = intent.operation is Operation.SUBMIT or (intent.operation is Operation.REPLACE and intent.rests)
        closes = closes and intent.purpose is not Purpose.OPEN and not intent.protects
        if closes and intent.holding == position.holding and may_send_again(world, desk, intent):
            return intent if world.venue.reduce_only or _is_still_there(desk, position, intent) else None
    return None


def _at_this_price(world: World, desk: Desk, candidate: Candidate, lost: Intent) -> Intent:
    """Return a lost exit with a current limit price; a lost change of an order is returned unchanged."""
    price = exit_price(world, desk, candidate)
    if price in (None, lost.limit_price) or lost.limit_price is None or lost.operation is not Operation.SUBMIT:
        return lost
    return sent_at(replace(lost, limit_price=price), desk)


def _is_still_there(desk: Desk, position: Position, lost: Intent) -> bool:
    """Return True if the shares of a lost exit are still held, or the pair that it was to reprice still rests."""
    if lost.operation is Operation.SUBMIT:
        held_quantity = closable_quantity(desk, position.symbol, position.quantity)
        return held_quantity >= lost.quantity and lost.side is closing_side(position.quantity)
    pairs = desk.resting.get(position.holding, ())
    return any(pair.limit is not None and pair.limit.venue_id == lost.target_venue_id for pair in pairs)


def is_refused(record: CandidateRecord) -> bool:
    return record.decisions[-1].reason is Reason.VENUE_REJECTED


def submit_whole(
    world: World, call: Call, desk: Desk, candidate: Candidate, decisions: Decisions, key: IntentKey
) -> CandidateRecord:
    """Send a closing order; if the venue refuses a fraction of a share, send one for the whole shares."""
    whole = whole_lots(candidate.instrument, quantity_of(candidate))
    record = _submit(world, call, desk, candidate, decisions, key)
    if is_refused(record) and 0 < whole < quantity_of(candidate):
        key = replace(key, leg=key.leg + MOST_LEGS)
        return _submit(world, call, desk, replace(candidate, quantity=whole), decisions, key)
    return record


def _submit(
    world: World, call: Call, desk: Desk, candidate: Candidate, decisions: Decisions, key: IntentKey
) -> CandidateRecord:
    """Send a closing order with a limit beyond the best bid or ask, or a market order if there is no quote."""
    price = exit_price(world, desk, candidate)
    intent = submit_intent(world, call, desk, candidate, quantity_of(candidate), price, key)
    return CandidateRecord(candidate, (*decisions, send(world, desk, intent, decisions)), intent.client_order_id, price)


def without_refused_fraction(call: Call, desk: Desk, candidate: Candidate) -> tuple[Candidate, Decisions]:
    """Reduce the candidate to whole shares if the venue refused a fraction of a share today.

    If no whole shares are left, add a refusal to the decisions.
    """
    quantity, listing = quantity_of(candidate), desk.listings.get(candidate.symbol)
    whole, least = whole_lots(candidate.instrument, quantity), listing.minimum if listing else candidate.instrument.lot
    # A quantity below the venue's smallest order counts as a fraction.
    whole = whole if whole >= least else Decimal(0)
    if whole == quantity:
        return candidate, ()
    rejected = (r.intent for r in desk.books.intents_of_session(call.session) if r.state is IntentState.REJECTED)
    closing = (i for i in rejected if i.purpose is not Purpose.OPEN and i.instrument == candidate.instrument)
    if not any(intent.quantity % intent.instrument.lot or intent.quantity < least for intent in closing):
        return candidate, ()
    none = Decision(Gate.SIZE, Verdict.FAIL, Reason.FRACTION_REFUSED, quantity, least)
    return replace(candidate, quantity=whole or quantity), () if whole else (none,)


def quantity_of(candidate: Candidate) -> Decimal:
    assert candidate.quantity is not None, "every exit has a quantity"
    return candidate.quantity
