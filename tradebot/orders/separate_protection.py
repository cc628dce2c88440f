"""Protect positions with separate orders: stops for all whole shares, and targets from exit rules.

After one of them fills, a pass shrinks or cancels the others until they fit the position again. Each pass starts from
the orders that rest at that time, so it may be interrupted anywhere. A position has at most one unresolved request for
its stops, and one for its targets.

If the venue edits orders, changing a stop takes one request. Otherwise, with reduce-only orders, a new stop is placed
first, and the old one is canceled once it rests. If the venue can do neither, two stops could reverse the position. So
the old stop is canceled first, and the gap is reported.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial

from tradebot.errors import TemporaryError
from tradebot.exits.exit_rule import WatchedPosition, exit_price
from tradebot.exits.rules import ExitLevels, rule_levels
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Verdict
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent, IntentRecord, IntentState, Operation
from tradebot.model.limits import Protection
from tradebot.model.order import OrderClass, OrderStatus, OrderType
from tradebot.model.position import ADOPTED, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.resting_orders import HoldingKey, Resting
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Edit
from tradebot.orders.amendments import RETRY, SOON, cancel_and_prove, cancel_order, edit_intent, tell_gap
from tradebot.orders.order_sender import LOOKS, closing_side, may_send_again
from tradebot.orders.protection_plan import (
    ZERO,
    ProtectionState,
    ProtectionStep,
    is_busy,
    merge_stops,
    price_of,
    stop_steps,
    target_steps,
    total_shares,
)
from tradebot.orders.stop_protection import (
    missing_targets,
    protectable,
    resting_intent,
    send_once_more,
    send_to_rest,
    shares_being_closed,
)
from tradebot.orders.target_moves import at_due_price, due_prices, may_place, target_moves
from tradebot.ports.world import Call, World
from tradebot.reconciliation.new_fills import seen_fills

REFUSALS = 2
"""How many refusals in a row of a stop, or a target, make requests pause."""
MAX_STOPS_IN_DOUBT = 2
"""How many stops may be sent for the same shares while the venue's sources disagree about the earlier ones."""
NO_EDITS = "the broker can't change a stop, and two of them could turn the position around"


def protect_separately(
    world: World, call: Call, desk: Desk, watched: Iterable[WatchedPosition], staying: Iterable[WatchedPosition]
) -> Iterator[CandidateRecord]:
    """Fit stops to all whole shares, with targets from exit rules, and yield the record of each step.

    `staying` are the positions that aren't being closed. Positions that are being closed are covered too, but they get
    no targets, and a new stop only if it can't get in the way of the exit.
    """
    if world.rules.exits.protection is Protection.BOT:
        for rest in (rest for rests in desk.resting.values() for rest in rests if not rest.ending):
            yield cancel_order(world, call, desk, rest.first, rest.record, Reason.STOP_NEEDLESS)
        return
    # The requests that this pass has sent so far may be unresolved too.
    unresolved_records = world.ledger.intents(unresolved=True)
    unresolved = tuple(record.intent for record in unresolved_records)
    long_unresolved = tuple(_long_unresolved_requests(desk, unresolved_records))
    wanted_levels = dict(_wanted_levels(world, desk, watched, staying, long_unresolved))
    for protection in _protection_states(world, desk, wanted_levels):
        if not protection.shares:
            # The position is gone, so these orders could only open one; cancel them even if a request is unresolved.
            for rest in (*protection.stops, *protection.targets):
                yield cancel_order(world, call, desk, rest.first, rest.record, Reason.STOP_SPARE)
            continue
        own = [intent for intent in unresolved if intent.protects and _concerns(intent, protection)]
        unresolved_stop = next((intent for intent in reversed(own) if not intent.is_target), None)
        unresolved_target = next((intent for intent in reversed(own) if intent.is_target), None)
        for fit, unresolved_request in ((_fit_stops, unresolved_stop), (_fit_targets, unresolved_target)):
            if unresolved_request is None:
                records = tuple(fit(world, call, desk, protection))
            else:
                records = tuple(_resend_or_trim(world, call, desk, protection, unresolved_request))
            yield from records
            # Targets wait until the outcome of every request for a stop is known.
            if unresolved_request is not None or not all(map(_has_outcome, records)):
                break


def _wanted_levels(
    world: World,
    desk: Desk,
    watched: Iterable[WatchedPosition],
    staying_positions: Iterable[WatchedPosition],
    long_unresolved: Sequence[Intent],
) -> Iterator[tuple[HoldingKey, ExitLevels]]:
    """Yield where the stops and targets of positions should be; a person's own positions have none."""
    staying = {watched.position.holding for watched in staying_positions}
    for watched_position in (position for position in watched if position.position.strategy != ADOPTED):
        exit_levels = rule_levels(
            watched_position, world.rules.exits_watching(watched_position.position, watched_position.kept)
        )
        is_given_up = any(_exits_of(long_unresolved, watched_position.position))
        if exit_levels.stop is not None and watched_position.position.holding in staying:
            yield watched_position.position.holding, exit_levels
        elif (
            exit_levels.stop
            and (is_given_up or world.venue.reduce_only)
            and not _is_passed(desk, watched_position, exit_levels.stop)
        ):
            yield watched_position.position.holding, replace(exit_levels, targets=())


def _long_unresolved_requests(desk: Desk, unresolved: Iterable[IntentRecord]) -> Iterator[Intent]:
    """Yield requests that have been unresolved for so long that the shares needn't wait for them any longer.

    A request that this pass resent after a long pause is left to the next pass, which looks it up.
    """
    paused = {r.intent.client_order_id for r in desk.books.unresolved_intents if abs(desk.now - r.updated_at) >= RETRY}
    for record in unresolved:
        sent_now = record.updated_at >= desk.now and record.intent.client_order_id in paused
        if abs(desk.now - record.intent.at) >= RETRY and not sent_now:
            yield record.intent


def _exits_of(unresolved: Iterable[Intent], position: Position) -> Iterator[Intent]:
    """Yield the position's exits among unresolved requests; they may be working."""
    for intent in unresolved:
        exits = intent.purpose is not Purpose.OPEN and not intent.protects and intent.operation is Operation.SUBMIT
        if exits and intent.holding == position.holding and intent.side is closing_side(position.quantity):
            yield intent


def _is_passed(desk: Desk, watched: WatchedPosition, stop: Decimal) -> bool:
    """Return True if the price is already past a stop, so that it would trigger at once and fill at any price."""
    quote = desk.quotes.get(watched.position.symbol)
    return quote is not None and (stop - exit_price(watched.position, quote)) * watched.direction >= 0


def _protection_states(world: World, desk: Desk, wanted: Mapping[HoldingKey, ExitLevels]) -> Iterator[ProtectionState]:
    """Yield the protection of each position and of each closed one with orders left; skip unproven quantities."""
    position_by_holding, entered = (
        {position.holding: position for position in desk.positions},
        frozenset(_symbols_perhaps_entered(desk)),
    )
    for holding in dict.fromkeys((*desk.resting, *wanted)):
        position, rests = position_by_holding.get(holding), desk.resting.get(holding, ())
        # Even if the list of positions lags, reduce-only orders can't open anything.
        agreed = holding[1] not in desk.unproven and desk.position_ratios.get(holding[1], Decimal(1)) == 1
        if not (agreed or (position and world.venue.reduce_only)):
            continue
        if position is None and (holding[1] in desk.awaited or holding[1] in entered):
            continue
        listing = desk.listing_of(position) if position else None
        closing = closing_side(position.quantity) if position else None
        for side in dict.fromkeys((*(rest.first.side for rest in rests), *((closing,) if closing else ()))):
            own = [rest for rest in rests if rest.first.side is side]
            stops, targets = ([rest for rest in own if rest.is_target is target] for target in (False, True))
            position_to_close = position if side is closing else None
            doubted = [stop for stop in stops if stop.doubted]
            if position_to_close and world.venue.reduce_only and len(doubted) < MAX_STOPS_IN_DOUBT:
                stops = [stop for stop in stops if not stop.doubted]
            yield ProtectionState(
                holding,
                side,
                _shares(world, desk, position_to_close) if position_to_close else ZERO,
                tuple(stop for stop in stops if not _is_ending(desk, stop)),
                tuple(target for target in targets if not _is_ending(desk, target)),
                position_to_close,
                wanted.get(holding) if position_to_close and listing else None,
                ZERO if world.venue.reduce_only else total_shares(stop for stop in stops if _is_ending(desk, stop)),
                listing,
            )


def _symbols_perhaps_entered(desk: Desk) -> Iterator[str]:
    """Yield the symbols in which an entry must have filled, by the venue's positions, though no fill was reported yet.

    The stop attached to the entry protects what it has bought.
    """
    yield from (owned.fill.symbol for owned in seen_fills(desk.books, desk.omitted_orders, desk.net))
    booked = desk.books.quantities()
    for intent in (record.intent for record in desk.books.unresolved_intents if record.intent.makes_order):
        symbol = intent.instrument.symbol
        shown = desk.net.get(symbol, ZERO) - booked.get(symbol, ZERO)
        if intent.purpose is Purpose.OPEN and shown * intent.side.sign > 0:
            yield symbol


def _is_ending(desk: Desk, rest: Resting) -> bool:
    """Return True if a cancel was accepted and the order isn't listed any more, though its end isn't proven yet.

    If it counted as resting, the stops would look like too many, and a working one would be canceled instead.
    """
    return rest.ending or rest.first.venue_id in desk.canceled


def _shares(world: World, desk: Desk, position: Position) -> Decimal:
    """Return how many whole shares the resting orders should cover."""
    side, listing = closing_side(position.quantity), desk.listing_of(position)
    remaining = protectable(desk, position, side)
    unsure = position.symbol in desk.unproven or any(
        difference.symbol == position.symbol for difference in desk.differences
    )
    if unsure and world.venue.reduce_only:
        # The reported quantity may be too small, and a reduce-only order can't close more than the venue has.
        remaining = abs(position.quantity)
    if not world.venue.reduce_only:
        # Exclude the shares of working exits, and for a while those of exits that may be working.
        exits = _exits_of((record.intent for record in desk.books.unresolved_intents), position)
        may = (intent.quantity for intent in exits if abs(desk.now - intent.at) < RETRY and not intent.key.joins)
        remaining -= shares_being_closed(desk, position) - _shares_in_group(desk, position) + sum(may, ZERO)
    return max(listing.whole_lots(remaining) if listing else remaining, ZERO)


def _shares_in_group(desk: Desk, position: Position) -> Decimal:
    """Return the shares of working exits that are in a stop's group; the stop may cover them too."""
    side, shares = closing_side(position.quantity), ZERO
    for order in (order for order in desk.orders if (order.symbol, order.side) == (position.symbol, side)):
        behind = desk.books.intent_behind(order)
        if behind and behind.intent.key.joins and behind.intent.holding == position.holding:
            shares += order.open_quantity
    return shares


def _concerns(intent: Intent, protection: ProtectionState) -> bool:
    return (intent.holding, intent.side) == (protection.holding, protection.side)


def _has_outcome(record: CandidateRecord) -> bool:
    return record.decisions[-1].verdict is not Verdict.UNKNOWN


def _fit_stops(world: World, call: Call, desk: Desk, protection: ProtectionState) -> Iterator[CandidateRecord]:
    """Carry out the steps that fit the stops to the position, until a request is unresolved."""
    for stop in (stop for stop in protection.stops if stop.is_lapsed):
        released = cancel_and_prove(world, call, desk, stop, Reason.STOP_LAPSED)
        yield released.record
        # Both orders might close the same shares, so leave this to the next pass, once the outcome is known.
        if not _has_outcome(released.record) or (released.left != stop.quantity and not world.venue.reduce_only):
            return
    protection = protection._replace(stops=tuple(stop for stop in protection.stops if not stop.is_lapsed))
    refused = _was_refused(desk, protection, is_target=False)
    steps = tuple(stop_steps(protection, world.rules.exits.stop_step_fraction))
    if refused:
        steps = tuple(step for step in steps if not step.shares or (step.old and _can_edit(world, desk, step.old)))
    elif world.venue.reduce_only:
        steps = merge_stops(protection, steps)
    yield from _until_unresolved(_carry_out(world, call, desk, protection, step) for step in steps)


def _until_unresolved(steps: Iterable[Iterable[CandidateRecord]]) -> Iterator[CandidateRecord]:
    """Yield the record of each step in order, until a request is unresolved."""
    for records in map(tuple, steps):
        yield from records
        if not all(map(_has_outcome, records)):
            return


def _resend_or_trim(
    world: World, call: Call, desk: Desk, protection: ProtectionState, request: Intent
) -> Iterator[CandidateRecord]:
    """Resend an unresolved request about stops or targets once that is safe; until then, cancel surplus orders.

    If resending a change would leave shares without a stop, place a stop for them first.
    """
    rests = protection.targets if request.is_target else protection.stops
    remaining = protection.shares - total_shares(rests) + _shares_lost_if_applied(rests, request)
    if (
        remaining > 0
        and world.venue.reduce_only
        and request.operation is not Operation.SUBMIT
        and not request.is_target
    ):
        # Shares that the resent request would leave without a stop get one first.
        if protection.stop is not None and not _was_refused(desk, protection, is_target=False):
            yield _place_order(
                world, call, desk, protection, ProtectionStep(Reason.STOP_MISSING, remaining, protection.stop)
            )
    elif _may_resend(world, desk, protection, rests, request):
        yield send_once_more(world, desk, request)
    elif request.operation is Operation.SUBMIT:
        of_stops = (step for step in stop_steps(protection, world.rules.exits.stop_step_fraction) if not step.shares)
        for rest in (step.old for step in (target_steps(protection) if request.is_target else of_stops) if step.old):
            yield cancel_order(world, call, desk, rest.first, rest.record, Reason.STOP_SPARE)


def _shares_lost_if_applied(rests: Iterable[Resting], request: Intent) -> Decimal:
    """Return how many shares an order would lose if an unresolved change to it took effect after all."""
    old = next((rest for rest in rests if rest.first.venue_id == request.target_venue_id), None)
    if old is None:
        return ZERO
    stays = request.quantity - old.first.filled_quantity if request.operation is Operation.REPLACE else ZERO
    return max(old.quantity - stays, ZERO)


def _may_resend(
    world: World, desk: Desk, protection: ProtectionState, rests: Sequence[Resting], request: Intent
) -> bool:
    """Return True if an unresolved request may be resent: its order rests, or the shares it is for are unprotected."""
    if not may_send_again(world, desk, request):
        return False
    if request.operation is not Operation.SUBMIT:
        return request.target_venue_id in {rest.first.venue_id for rest in rests}
    if protection.levels is None:
        return False
    bare = protection.shares - total_shares(rests)
    too_large = not request.is_target and (
        protection.shares > 0 if world.venue.reduce_only else bare > 0 and abs(desk.now - request.at) >= RETRY
    )
    return request.quantity <= bare or too_large


def _was_refused(desk: Desk, protection: ProtectionState, *, is_target: bool) -> bool:
    """Return True if the venue recently refused the last two stops, or the last two targets.

    A position without a stop waits less long than one without a target.
    """
    last = desk.books.newest_protection(protection.holding, protection.side, is_target=is_target)[:REFUSALS]
    if len(last) < REFUSALS or any(r.state is not IntentState.REJECTED for r in last):
        return False
    return desk.books.at - last[0].updated_at < (RETRY if is_target else SOON)


def _carry_out(
    world: World, call: Call, desk: Desk, protection: ProtectionState, step: ProtectionStep
) -> Iterator[CandidateRecord]:
    """Cancel, place or change one stop, or change or cancel a target, in the way that the venue supports."""
    if step.old is None:
        yield _place_order(world, call, desk, protection, step)
    elif not step.shares:
        yield cancel_order(world, call, desk, step.old.first, step.old.record, step.why)
    elif step.shares <= step.old.quantity and _can_edit(world, desk, step.old):
        yield _edit(world, call, desk, protection, step, step.old)
    elif world.venue.reduce_only:
        yield from _place_before_cancel(world, call, desk, protection, step)
    else:
        # Don't let an entry pass yield to exits while the shares have no stop.
        with world.undisturbed():
            records = tuple(_cancel_before_place(world, call, desk, protection, step, step.old))
        yield from records


def _place_before_cancel(
    world: World, call: Call, desk: Desk, protection: ProtectionState, step: ProtectionStep
) -> Iterator[CandidateRecord]:
    """Place an order, and once it rests, cancel those it replaces; if it is refused, cover only missing shares."""
    olds = (*filter(None, (step.old,)), *step.others)
    placed, missing = _place_order(world, call, desk, protection, step), step.shares - total_shares(olds)
    yield placed
    if placed.decisions[-1].reason is Reason.VENUE_REJECTED and olds and missing > 0:
        yield _place_order(world, call, desk, protection, step._replace(shares=missing))
    elif olds and _is_resting(world, placed):
        yield from _until_unresolved(
            (cancel_order(world, call, desk, o.first, o.record, Reason.STOP_SPARE),) for o in olds
        )


def _can_edit(world: World, desk: Desk, old: Resting) -> bool:
    """Return True if the venue edits orders, and hasn't refused to edit this one."""
    if world.venue.edit is Edit.NONE:
        return False
    return old.first.venue_id not in desk.books.refused_edits


def _cancel_before_place(
    world: World, call: Call, desk: Desk, protection: ProtectionState, step: ProtectionStep, old: Resting
) -> Iterator[CandidateRecord]:
    """Cancel a stop and place its replacement, or the same stop again if that is refused."""
    released = cancel_and_prove(world, call, desk, old, step.why)
    yield released.record
    if released.record.terminal is None and old.can_trigger:
        tell_gap(world, desk, old, OrderStatus.CANCELED, NO_EDITS)
    # The next pass sees the shares that it filled meanwhile.
    if released.left != old.quantity:
        return
    placed = _place_order(world, call, desk, protection, step)
    yield placed
    before = old.stop.stop_price if old.stop else None
    if placed.decisions[-1].reason is Reason.VENUE_REJECTED and before not in (None, step.price):
        yield _place_order(world, call, desk, protection, step._replace(price=before))


def _place_order(
    world: World, call: Call, desk: Desk, protection: ProtectionState, step: ProtectionStep
) -> CandidateRecord:
    """Place a stop, or the target of a rule, and return its record."""
    old = step.old.record.intent if step.old else None
    of = protection.listing.instrument if protection.listing else old.instrument if old else None
    assert of is not None, "the instrument of an order to place must be known"
    why = (
        step.word
        if step.word is not None
        else (protection.levels.word if protection.levels else old.why if old else "")
    )
    candidate = Candidate(
        protection.holding[0], of, protection.side, Purpose.PROTECT, desk.now, quantity=step.shares, why=why
    )
    intent = resting_intent(world, call, desk, candidate, OrderClass.SIMPLE, step.price, step.price)
    if step.why is Reason.TARGET_MISSING:
        intent = replace(intent, order_type=OrderType.LIMIT, limit_price=step.price, stop_price=None)
    return send_to_rest(world, desk, intent, step.why, _recorded_amount(step))


def _recorded_amount(step: ProtectionStep) -> Decimal:
    """Return the amount that a step's record shows: the new price of an order that moves, else its shares."""
    return step.price if step.why in (Reason.STOP_TIGHTENED, Reason.TARGET_MOVED) else step.shares


def _edit(
    world: World, call: Call, desk: Desk, protection: ProtectionState, step: ProtectionStep, old: Resting
) -> CandidateRecord:
    """Request that an order's quantity and price are changed; return the record of that."""
    order, original = old.first, old.record.intent
    why = protection.levels.word if step.why is Reason.STOP_TIGHTENED and protection.levels else original.why
    # The quantity in the request includes the shares that the order has filled.
    intent = edit_intent(call, desk, original, order, order.filled_quantity + step.shares, step.price, why)
    return send_to_rest(world, desk, intent, step.why, _recorded_amount(step))


def _is_resting(world: World, placed: CandidateRecord) -> bool:
    """Return True if the venue acknowledges a stop that was just placed, so that it can trigger from now on."""
    if placed.terminal is not None or placed.client_order_id is None:
        return False
    with suppress(TemporaryError):
        for _ in range(LOOKS):
            order = world.reader.order(placed.client_order_id)
            if order is not None and order.status.can_trigger:
                return True
    return False


def _fit_targets(world: World, call: Call, desk: Desk, protection: ProtectionState) -> Iterator[CandidateRecord]:
    """Carry out the steps that fit the targets to the position, until a request is unresolved."""
    steps = tuple(target_steps(protection))
    # If a target can't be changed, the next pass places its remaining shares again.
    fitted = (
        step if step.old and _can_edit(world, desk, step.old) else ProtectionStep(Reason.STOP_SPARE, old=step.old)
        for step in steps
    )
    yield from _until_unresolved(_carry_out(world, call, desk, protection, step) for step in fitted)
    only_reduce = world.venue.reduce_only
    # A target placed beside an unconfirmed stop would be in no group with it, and both could fill.
    unseen = any(stop.doubted for stop in protection.stops) and not only_reduce
    if steps or unseen or _was_refused(desk, protection, is_target=True):
        return
    moved = tuple(target_moves(desk, protection, partial(_can_edit, world, desk), reduce_only=only_reduce))
    yield from _until_unresolved(_move_target(world, call, desk, protection, step) for step in moved)
    if not moved:
        yield from _until_unresolved(
            _place_before_cancel(world, call, desk, protection, step) for step in _new_targets(world, desk, protection)
        )


def _move_target(
    world: World, call: Call, desk: Desk, protection: ProtectionState, step: ProtectionStep
) -> Iterator[CandidateRecord]:
    """Change or cancel a target, or place one beside the targets that it replaces."""
    return (_carry_out if step.old else _place_before_cancel)(world, call, desk, protection, step)


def _new_targets(world: World, desk: Desk, protection: ProtectionState) -> Iterator[ProtectionStep]:
    prices = due_prices(protection)
    if not prices or protection.position is None or protection.levels is None or protection.listing is None:
        return
    only_reduce = world.venue.reduce_only
    closing = shares_being_closed(desk, protection.position) if only_reduce else ZERO
    rests = [
        rest
        for rest in desk.resting.get(protection.holding, ())
        if rest.is_target and rest.first.side is protection.side
    ]
    room = max(protection.shares - closing - total_shares(rests), ZERO)
    meant = [at_due_price(protection, rest, prices, settled=False) for rest in rests]
    for at, part, word in missing_targets(
        desk, protection.position, protection.listing, protection.levels, meant, room
    ):
        there = (rest for rest, resting in zip(rests, meant, strict=True) if price_of(resting) == at)
        old = [rest for rest in there if only_reduce and not (rest.ending or is_busy(rest))]
        if old or may_place(world.rules.exits, desk, protection, at):
            yield ProtectionStep(Reason.TARGET_MISSING, part + total_shares(old), at, None, tuple(old), word)
