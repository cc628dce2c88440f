"""Protect positions at the venue: place pairs for uncovered shares, tighten stops, and cancel unneeded orders.

The stop of a pair only ever moves toward profit. While a request about protection is unresolved, no other one is sent
for the position. Only a stop that can trigger protects. If a pair has no such stop, its limit is canceled, and once
that is proven, a new pair is placed. Shares that fill later get pairs of their own, and with several targets, each
target has a pair for its part of the shares. If the venue reports a different position than the books prove, only a
pair may be placed for it, because the venue accepts a pair only for shares that are in the account.

`protection: venue` leaves stops and targets to the venue while it covers all whole shares. If the price runs past a
stop by `exits.limit_offset_fraction`, the venue should have filled it, and the bot closes the position. With `both`,
the bot doesn't wait for that; with `bot`, no protection rests at the venue. A halt leaves protection in place.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tradebot.exits.exit_rule import WatchedPosition
from tradebot.exits.rules import ExitLevels, rule_levels
from tradebot.gates.shared_gates import broker_contradicts, closable_quantity, permission
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, first_failure
from tradebot.model.desk import Desk
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, Operation
from tradebot.model.limits import Protection
from tradebot.model.order import OrderClass, OrderType
from tradebot.model.position import ADOPTED, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.resting_orders import Resting
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Pairs
from tradebot.orders.amendments import (
    AGAIN,
    cancel_and_prove,
    cancel_order,
    change_candidate,
    class_to_try,
    edit_intent,
)
from tradebot.orders.order_sender import (
    closing_side,
    free_leg,
    may_send_again,
    send,
    send_again,
    submit_intent,
    submit_key,
)
from tradebot.ports.world import Call, World

DEFAULT_TARGET_MULTIPLE = Decimal(2)
"""Without a target rule, a pair's target is the price times this factor, or divided by it for a short."""

Part = tuple[Decimal, Decimal, str]
"""A target's price in USD, its resting shares, unsigned, and the name of its rule in composed reasons."""

DEFAULT_TARGET_NAME = "profit_target"
"""The name of the distant target that is sent without a rule."""


def protect(world: World, call: Call, desk: Desk, staying: Iterable[WatchedPosition]) -> Iterator[CandidateRecord]:
    """Place stops and targets at the levels of the exit rules, or move them there; yield the record of each step.

    `staying` are the positions to protect: those that no rule closes now, including those whose close is left to their
    own stop or target at the venue.
    """
    levels_by_holding = {
        watched.position.holding: rule_levels(watched, world.rules.exits_watching(watched.position, watched.kept))
        for watched in staying
    }
    position_by_holding = {position.holding: position for position in desk.positions}
    bot_watches_alone = world.rules.exits.protection not in (Protection.VENUE, Protection.BOTH)
    for holding, pairs in desk.resting.items():
        for pair in pairs if bot_watches_alone else _surplus_pairs(desk, position_by_holding.get(holding), pairs):
            # Leave a pair alone if an exit is using its limit, or if it is already being canceled.
            if not (pair.exiting or pair.ending):
                yield cancel_order(world, call, desk, pair.first, pair.record, Reason.STOP_NEEDLESS)
    if bot_watches_alone:
        return
    for holding, exit_levels in levels_by_holding.items():
        position = position_by_holding[holding]
        listing = desk.listing_of(position)
        if exit_levels.stop is not None and listing and position.strategy != ADOPTED:
            yield from _protect_position(
                world, call, desk, position, listing, exit_levels, desk.resting.get(holding, ())
            )


def _surplus_pairs(desk: Desk, position: Position | None, pairs: tuple[Resting, ...]) -> Iterator[Resting]:
    """Yield protection for shares that are proven to be gone, the newest first."""
    symbol = pairs[0].first.symbol
    if (
        symbol in desk.unproven
        or symbol in desk.awaited
        or (position and desk.position_ratios.get(symbol, Decimal(1)) != 1)
    ):
        return
    if position:
        # Doubted pairs may be gone, so they don't count as covering shares that the position still has.
        pairs = tuple(pair for pair in pairs if not pair.doubted)
    excess = sum((pair.quantity for pair in pairs), Decimal(0))
    excess -= protectable(desk, position, pairs[0].first.side) if pairs else 0
    for pair in reversed(pairs):
        if excess > 0 and not (pair.exiting or pair.ending):
            excess -= pair.quantity
            yield pair


def protectable(desk: Desk, position: Position | None, side: Side) -> Decimal:
    """Return how many shares an order on this side may close, unsigned, in whole lots if the lot is known."""
    if position is None or closing_side(position.quantity) is not side:
        return Decimal(0)
    listing, shares = desk.listing_of(position), closable_quantity(desk, position.symbol, position.quantity)
    return listing.whole_lots(shares) if listing else shares


def _protect_position(
    world: World,
    call: Call,
    desk: Desk,
    position: Position,
    listing: Listing,
    wanted: ExitLevels,
    pairs: Sequence[Resting],
) -> Iterator[CandidateRecord]:
    """Tighten or cancel the pairs that rest for a position, then cover its uncovered shares.

    While an earlier request about protection is unresolved, nothing new is placed; that request may only be resent.
    """
    unsettled = _unsettled_request(desk, position)
    if unsettled:
        if may_send_again(world, desk, unsettled) and _may_resend(desk, position, unsettled, pairs):
            yield send_once_more(world, desk, unsettled)
        return
    contradicted = broker_contradicts(desk, position.symbol)
    agrees = desk.position_ratios.get(position.symbol, Decimal(1)) == 1 and not contradicted
    if not (agrees or contradicted or _has_fewer_shares(desk, position, wanted)):
        # The rules' price is per share before an adjustment, such as a split, that isn't booked yet.
        return
    side = closing_side(position.quantity)
    stop = round_stop_to_tick(listing, wanted.stop or Decimal(0), side)
    covered, resting = shares_being_closed(desk, position), list[Resting]()
    for pair in pairs:
        record, freed = _adjust_pair(world, call, desk, position, pair, wanted.word, stop) if agrees else (None, None)
        if record:
            yield record
        resting += [pair] if freed is None else []
        # A second pair beside a doubted one is harmless: if the doubted one works, the venue has no shares left for it.
        covered += 0 if pair.doubted else pair.quantity - (freed or 0)
    held_quantity = abs(position.quantity) if contradicted else protectable(desk, position, side)
    uncovered = listing.whole_lots(held_quantity - covered)
    kind = class_to_try(desk.books, position.holding)
    if kind is OrderClass.OCO and _too_near_for_pair(world, desk, position, stop):
        kind = OrderClass.SIMPLE
    if uncovered <= 0 or kind is None or (contradicted and kind is not OrderClass.OCO):
        return

    def place_protection(kind: OrderClass, price: Decimal, shares: Decimal, target_rule: str) -> CandidateRecord:
        rules, of = "+".join(filter(None, (target_rule, wanted.word))), listing.instrument
        candidate = Candidate(position.strategy, of, side, Purpose.PROTECT, desk.now, quantity=shares, why=rules)
        intent = resting_intent(world, call, desk, candidate, kind, price, stop)
        return send_to_rest(world, desk, intent, Reason.STOP_MISSING, shares)

    if kind is not OrderClass.OCO:
        yield place_protection(kind, stop, uncovered, "")
        return
    for target, shares, target_rule in _uncovered_parts(desk, position, listing, wanted, resting, uncovered):
        record = place_protection(kind, target, shares, target_rule)
        yield record
        if record.decisions[-1].reason is Reason.VENUE_REJECTED:
            if not contradicted:
                # If the venue refused this pair, protect all remaining shares with a single stop.
                yield place_protection(OrderClass.SIMPLE, stop, uncovered, "")
            return
        uncovered -= shares


def _has_fewer_shares(desk: Desk, position: Position, wanted: ExitLevels) -> bool:
    """Return True if the broker has only a part of a position's shares, and the market is within the rules' prices.

    After a split that reduces shares, the price would be far beyond the nearest target, or beyond the stop of a short.
    """
    quote, ratio = desk.quotes.get(position.symbol), desk.position_ratios.get(position.symbol, Decimal(1))
    if quote is None or wanted.stop is None or not wanted.targets or not 0 < ratio < 1:
        return False
    ends = (wanted.stop, wanted.targets[0].price)
    return min(ends) < quote.bid <= quote.ask < max(ends)


def _adjust_pair(
    world: World, call: Call, desk: Desk, position: Position, pair: Resting, word: str, stop: Decimal
) -> tuple[CandidateRecord | None, Decimal | None]:
    """Cancel a lapsed pair, or tighten a pair's stop; return the record, and the quantity that the cancel freed.

    The record is None if nothing was due; the quantity is None unless the end of a canceled pair is proven.
    """
    if pair.is_lapsed and class_to_try(desk.books, position.holding) is not None:
        return cancel_and_prove(world, call, desk, pair, Reason.STOP_LAPSED)
    needs_tightening = _needs_tightening(
        pair, stop, closing_side(position.quantity), world.rules.exits.stop_step_fraction
    )
    if needs_tightening and pair.stop and not (pair.limit and _too_near_for_pair(world, desk, position, stop)):
        original = pair.record.intent
        shares = pair.stop.quantity or original.quantity
        moved = edit_intent(call, desk, original, pair.stop, shares, stop, word)
        return send_to_rest(world, desk, moved, Reason.STOP_TIGHTENED, stop), None
    return None, None


def _too_near_for_pair(world: World, desk: Desk, position: Position, stop: Decimal) -> bool:
    """Return True if the market is so close to this stop that the venue would refuse a pair with it."""
    quote, away = desk.quotes.get(position.symbol), 1 if position.quantity > 0 else -1
    prices = (quote.bid, quote.ask, quote.last) if quote else ()
    return any((price - stop) * away < world.venue.pair_distance for price in prices)


def _unsettled_request(desk: Desk, position: Position) -> Intent | None:
    """Return this position's unresolved request about protection; None if there is none."""
    protecting = (record.intent for record in desk.books.unresolved_intents if record.intent.protects)
    return next((intent for intent in protecting if intent.holding == position.holding), None)


def shares_being_closed(desk: Desk, position: Position) -> Decimal:
    """Return how many of the position's shares working exits may still close, unsigned."""
    exits = (position.strategy, position.symbol, closing_side(position.quantity))
    own = (order for order in desk.book.own_orders if (order.strategy, order.symbol, order.side) == exits)
    return sum((order.shares for order in own), Decimal(0))


def _may_resend(desk: Desk, position: Position, request: Intent, pairs: Sequence[Resting]) -> bool:
    """Return True if a request may be resent: the order that it changes rests, or its shares are uncovered."""
    if request.operation is not Operation.SUBMIT:
        resting_ids = {order.venue_id for pair in pairs for order in (pair.limit, pair.stop) if order}
        return request.target_venue_id in resting_ids
    covered = sum((pair.quantity for pair in pairs), Decimal(0))
    return request.quantity <= protectable(desk, position, request.side) - covered


def _needs_tightening(pair: Resting, stop: Decimal, side: Side, step: Decimal) -> bool:
    """Return True if a pair's stop is looser than it should be by more than `step`."""
    now = pair.stop.stop_price if pair.stop else None
    if pair.exiting or pair.ending or now is None or not pair.can_trigger:
        return False
    return (stop - now) * -side.sign > now * step


def round_stop_to_tick(listing: Listing, price: Decimal, side: Side) -> Decimal:
    """Round a stop price to the tick, away from profit: down for a sell stop, up for a buy stop."""
    return listing.on_tick(price, ROUND_FLOOR if side is Side.SELL else ROUND_CEILING)


def round_target_to_tick(listing: Listing, price: Decimal, side: Side, entered: Decimal) -> Decimal:
    """Round a target's price to the tick, toward the entry, so that it fills no later than its rule would close.

    If that would leave no profit, because the tick is large compared with the price, round it the other way.
    """
    at = round_stop_to_tick(listing, price, side)
    if (entered - at) * side.sign > 0:
        return at
    return listing.on_tick(price, ROUND_CEILING if side is Side.SELL else ROUND_FLOOR)


def _uncovered_parts(
    desk: Desk, position: Position, listing: Listing, levels: ExitLevels, pairs: Sequence[Resting], shares: Decimal
) -> Iterator[Part]:
    """Yield the targets of unprotected shares, the nearest first; the last one takes all remaining shares."""
    for part in missing_targets(desk, position, listing, levels, pairs, shares):
        shares -= part[1]
        yield part
    if shares:
        side, entered = closing_side(position.quantity), position.average_price
        yield round_target_to_tick(listing, _far(desk, position), side, entered), shares, DEFAULT_TARGET_NAME


def missing_targets(
    desk: Desk, position: Position, listing: Listing, levels: ExitLevels, pairs: Sequence[Resting], shares: Decimal
) -> Iterator[Part]:
    """Yield the missing targets, on the tick, nearest first, for at most `shares` shares.

    Shares that a working exit closes are taken from the nearest targets, since reaching them caused the exit. A part
    that is smaller than the venue's smallest order gets no target.
    """
    side, closing = closing_side(position.quantity), shares_being_closed(desk, position)
    there = [(pair.limit.limit_price, pair.quantity) for pair in pairs if pair.limit]
    for price, planned, word in levels.targets:
        at = round_target_to_tick(listing, price, side, position.average_price)
        resting_there = sum((quantity for limit, quantity in there if limit == at), Decimal(0))
        reached = min(closing, planned)
        closing -= reached
        still_planned = listing.whole_lots(planned - reached)
        part = min(shares, max(still_planned - resting_there, Decimal(0)))
        if part >= listing.minimum:
            shares -= part
            yield at, part, word


def _far(desk: Desk, position: Position) -> Decimal:
    """Return a price in USD that the market will hardly reach, for the target of a pair without a target rule."""
    quote = desk.quotes.get(position.symbol)
    prices: Sequence[Decimal] = (position.average_price, *((quote.middle,) if quote else ()))
    return max(prices) * DEFAULT_TARGET_MULTIPLE if position.quantity > 0 else min(prices) / DEFAULT_TARGET_MULTIPLE


def protect_again(world: World, call: Call, desk: Desk, pair: Resting, shares: Decimal) -> CandidateRecord:
    """Place canceled protection again, at the same prices, for the shares that an exit left open."""
    original = pair.record.intent
    stop = (pair.stop.stop_price if pair.stop else None) or original.stop_price
    # If the pair's limit was already repriced as an exit, place only its stop again.
    target = None if pair.exiting else (pair.limit.limit_price if pair.limit else None) or original.limit_price
    assert stop is not None, "protection has a stop"
    in_pairs = target is not None and world.venue.pairs is Pairs.NATIVE
    side, kind = pair.first.side, OrderClass.OCO if in_pairs else OrderClass.SIMPLE
    strategy, instrument = original.key.strategy, original.instrument
    candidate = Candidate(strategy, instrument, side, Purpose.PROTECT, desk.now, quantity=shares, why=original.why)
    return send_to_rest(
        world,
        desk,
        resting_intent(world, call, desk, candidate, kind, target or stop, stop),
        Reason.STOP_MISSING,
        shares,
    )


def resting_intent(
    world: World, call: Call, desk: Desk, candidate: Candidate, kind: OrderClass, target: Decimal, stop: Decimal
) -> Intent:
    """Build the request for a pair or a single stop; each order of a pass has a different leg number.

    Its `why` names the rule of its target, if it has one, and then the rule of its stop.
    """
    assert candidate.quantity is not None, "protection has a quantity"
    key, pair = free_leg(world, submit_key(call, desk, candidate)), kind is OrderClass.OCO
    intent = submit_intent(world, call, desk, candidate, candidate.quantity, target if pair else None, key)
    return replace(
        intent,
        order_type=OrderType.LIMIT if pair else OrderType.STOP,
        time_in_force=world.venue.resting_life,
        stop_price=stop,
        order_class=kind,
        # This order isn't meant to fill at the current price.
        decision_mid=None,
        send_mid=None,
        send_mid_at=None,
    )


def send_to_rest(world: World, desk: Desk, intent: Intent, why: Reason, amount: Decimal) -> CandidateRecord:
    allowed = permission(desk)
    decisions = (allowed, Decision(Gate.EXIT, allowed.verdict, why, amount))
    candidate = change_candidate(intent, Purpose.PROTECT, intent.at, intent.quantity)
    if first_failure(decisions):
        return CandidateRecord(candidate, decisions)
    sent = send(world, desk, intent, decisions)
    return CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, intent.stop_price)


def send_once_more(world: World, desk: Desk, lost: Intent) -> CandidateRecord:
    decisions = (permission(desk), AGAIN)
    candidate = change_candidate(lost, Purpose.PROTECT, lost.at, lost.quantity)
    if first_failure(decisions):
        return CandidateRecord(candidate, decisions)
    sent = send_again(world, desk, lost)
    return CandidateRecord(candidate, (*decisions, sent), lost.client_order_id, lost.stop_price)
