"""Exit positions, by an exit rule or on a person's request."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial

from tradebot.desk.contract_rolls import LEAVING, roll_due, roll_exit_reason
from tradebot.desk.exit_inputs import stop_rests
from tradebot.exits.exit_reasons import ReasonPart
from tradebot.exits.exit_rule import WatchedPosition, exit_price
from tradebot.exits.rules import ExitCall, evaluate_rules
from tradebot.gates.shared_gates import clocks_agree, fail_without_quote
from tradebot.model.bar import SUSPENDED, UNCONFIRMED
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent
from tradebot.model.limits import Protection
from tradebot.model.order import Order, OrderStatus
from tradebot.model.position import Key, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.resting_orders import HoldingKey, Resting, is_protection
from tradebot.model.struct_tools import replace
from tradebot.orders.amendments import AGAIN, cancel_forgotten, cancel_order
from tradebot.orders.close_orders import Records, close, close_one_by_one
from tradebot.orders.order_sender import closing_side
from tradebot.orders.stop_protection import protectable
from tradebot.orders.working_orders import (
    WorkingExits,
    forgotten_exits,
    is_exit,
    may_stay,
    our_working_orders,
)
from tradebot.ports.world import Call, World
from tradebot.reconciliation.unfinished_closes import BY_HAND, unfinished_close


def close_by_rules(world: World, call: Call, desk: Desk, watched: Mapping[Key, WatchedPosition]) -> Records:
    """Evaluate the exit rules of each position, and send the exits that they call for."""
    return close_one_by_one(desk, desk.positions, partial(_close_by_rule, world, call, watched))


def _close_by_rule(
    world: World, call: Call, watched: Mapping[Key, WatchedPosition], desk: Desk, position: Position
) -> Records:
    """Evaluate one position and send its exit. A stale quote closes nothing if a stop rests at the venue."""
    watched_position, quote = watched[position.key], desk.quotes.get(position.symbol)
    if watched_position.kept.turned:
        beyond = Decision(Gate.EXIT, Verdict.PASS, Reason.OVERFILLED, abs(position.quantity))
        return close(world, call, desk, position, ExitCall(beyond, why=(ReasonPart("overfilled"),)), "exit")
    intents = desk.books.intents_by_position.get(position.holding, ())
    if unfinished := unfinished_close(world.ledger, intents, position):
        return _go_on(world, call, desk, position, unfinished)
    ratio = desk.position_ratios.get(position.symbol, Decimal(1))
    clocks = clocks_agree(desk.clock_ahead_s, world.rules.limits)
    rules = world.rules.exits_watching(position, watched_position.kept)
    listing = desk.listing_of(position)
    session = desk.session_of(listing.instrument) if listing else desk.session
    why = evaluate_rules(watched_position, quote, desk.now, rules, desk.state.state, ratio, clocks, session)
    if desk.rejected_quotes.get(position.symbol) == SUSPENDED:
        why = replace(
            why, decision=_suspended_decision(why.decision), unknown=tuple(map(_suspended_decision, why.unknown))
        )
    if not why.decision.passed and (move := roll_due(desk, position)):
        rolled = Decision(Gate.EXIT, Verdict.PASS, Reason.ROLLED, f"until {move.until}", move.into)
        return close(world, call, desk, position, ExitCall(rolled, why=(roll_exit_reason(move),)), LEAVING)
    why = _left_to_venue(world, desk, position, _not_by_doubt(world, desk, position, why, clocks))
    return close(world, call, desk, position, why, "exit")


def _not_by_doubt(world: World, desk: Desk, position: Position, why: ExitCall, clocks: Decision) -> ExitCall:
    """Return UNKNOWN instead of HOLD if nothing confirms the price.

    While a stop rests, an unconfirmed price closes nothing. Neither does an old one if the clocks agree.
    """
    quote, limit = desk.quotes.get(position.symbol), world.rules.limits.max_quote_age_s
    age_s, closes = quote.age_s(desk.now) if quote and clocks.passed else 0.0, why.decision.passed
    doubted = desk.rejected_quotes.get(position.symbol) == UNCONFIRMED
    if (closes and not why.by_price) or not (doubted or (closes and age_s > limit)):
        return why
    if closes and not stop_rests(desk, position):
        return why
    stale = Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.QUOTE_STALE, age_s, limit, age_s)
    return ExitCall(fail_without_quote(Gate.EXIT, UNCONFIRMED) if doubted else stale, unknown=why.unknown)


def _suspended_decision(decision: Decision) -> Decision:
    """Return a decision that lacks a price, with the trading suspension as its reason."""
    lacks = decision.reason is Reason.QUOTE_MISSING
    return replace(decision, reason=Reason.TRADING_SUSPENDED) if lacks else decision


def _go_on(world: World, call: Call, desk: Desk, position: Position, unfinished: Intent) -> Records:
    """Close what an unfinished close left of a position, at the current price."""
    displaced_by = unfinished.displaced_by
    why = ReasonPart("displaced_by", symbol=displaced_by) if displaced_by else BY_HAND
    reason = Reason.STALE_EXIT if displaced_by else Reason.CLOSED_BY_HAND
    decision = Decision(Gate.EXIT, Verdict.PASS, reason, "what an earlier order left")
    return close(world, call, desk, position, ExitCall(decision, why=(why,)), "exit", displaced_by)


def symbols_to_close(exits: Iterable[CandidateRecord]) -> frozenset[str]:
    """Return the symbols for which an exit rule fired."""
    return frozenset(record.candidate.symbol for record in exits if _rule_fired(record))


def positions_to_protect(
    watched: Mapping[Key, WatchedPosition], exits: Iterable[CandidateRecord]
) -> list[WatchedPosition]:
    """Return the positions whose symbols have no exit in this pass: no rule closes anything, and no earlier exit is
    resent.
    """
    leaving = {record.candidate.symbol for record in exits if _is_leaving(record)}
    return [
        watched_position for watched_position in watched.values() if watched_position.position.symbol not in leaving
    ]


def _rule_fired(record: CandidateRecord) -> bool:
    return any(decision.gate is Gate.EXIT and decision.passed for decision in record.decisions)


def _is_leaving(record: CandidateRecord) -> bool:
    refused = record.terminal
    part = record.candidate.purpose is Purpose.REDUCE and refused is not None and refused.gate is Gate.WORKING
    return AGAIN in record.decisions or (_rule_fired(record) and not part)


def _left_to_venue(world: World, desk: Desk, position: Position, why: ExitCall) -> ExitCall:
    """Return the exit rules' result, or that the venue closes the position as its price reached a resting order."""
    if not (why.decision.passed and why.by_price) or world.rules.exits.protection is not Protection.VENUE:
        return why
    side, quote = closing_side(position.quantity), desk.quotes.get(position.symbol)
    rests = desk.resting.get(position.holding, ())
    pairs = tuple(pair for pair in rests if pair.can_trigger and not (pair.exiting or pair.ending))
    covered = sum((pair.quantity for pair in pairs), Decimal(0))
    if quote is None or not covered or covered < protectable(desk, position, side):
        return why
    price, offset = exit_price(position, quote), world.rules.exits.limit_offset_fraction
    stops = [pair.stop.stop_price for pair in pairs if pair.stop and pair.stop.stop_price]
    limits = [pair.limit.limit_price for pair in pairs if pair.limit and pair.limit.limit_price]
    limits += _reached_apart(rests, price, side, covered if why.shares is None else why.shares)
    # How far the price is past each resting order, in the direction that triggers it.
    past_stops = [(stop - price) * -side.sign / stop for stop in stops]
    reached = max((*past_stops, *((price - limit) * -side.sign for limit in limits)), default=None)
    # This far past the stop, the venue should have filled it.
    if reached is None or reached < 0 or max(past_stops, default=Decimal(0)) > offset:
        return why
    remaining = replace(why.decision, verdict=Verdict.FAIL, reason=Reason.LEFT_TO_BROKER)
    return ExitCall(remaining, unknown=why.unknown)


def _reached_apart(rests: Iterable[Resting], price: Decimal, side: Side, shares: Decimal) -> Sequence[Decimal]:
    """Return the prices of separate targets that the price has reached, if they cover all the shares."""
    targets = [(rest.first.limit_price, rest.quantity) for rest in rests if rest.is_target and not rest.ending]
    reached = [(limit, quantity) for limit, quantity in targets if limit and (price - limit) * -side.sign >= 0]
    enough = sum((quantity for _, quantity in reached), Decimal(0)) >= shares
    return [limit for limit, _ in reached] if enough else []


def cancel_blocking_orders(
    world: World, call: Call, desk: Desk, named: Callable[[str], bool]
) -> Iterator[tuple[Order, CandidateRecord]]:
    """Cancel our orders that would get in the way of closing positions: entries, and exits that can't stay."""
    for order, record in our_working_orders(world, desk):
        # We can't close a position the venue hasn't confirmed, so a working exit may be its only protection.
        needless = is_exit(order, record) and order.symbol not in desk.unproven and not may_stay(desk, order, record)
        if named(order.symbol) and (needless or record.intent.purpose is Purpose.OPEN):
            yield order, cancel_order(world, call, desk, order, record, Reason.CLOSED_BY_HAND)
    for order in forgotten_exits(desk):
        if named(order.symbol):
            yield order, cancel_forgotten(world, call, desk, order, Reason.CLOSED_BY_HAND)


def cancel_named_order(world: World, call: Call, desk: Desk, order_id: str) -> Iterator[tuple[Order, CandidateRecord]]:
    """Cancel our working order with this client order id, unless the venue is already canceling it."""
    for order, record in our_working_orders(world, desk):
        if order.client_order_id == order_id and order.status is not OrderStatus.PENDING_CANCEL:
            why = Reason.STOP_CANCELED_BY_HAND if is_protection(order, record) else Reason.CANCELED_BY_HAND
            yield order, cancel_order(world, call, desk, order, record, why)


def close_manually(world: World, call: Call, at_work: WorkingExits, positions: Iterable[Position]) -> Records:
    """Close the shares of these positions that no working exit covers yet."""
    decision = Decision(Gate.EXIT, Verdict.PASS, Reason.CLOSED_BY_HAND, call.by)
    exit_call = ExitCall(decision, why=(BY_HAND,))
    return close_one_by_one(at_work.desk, positions, partial(_close_by_hand, world, call, exit_call, at_work.shares))


def _close_by_hand(
    world: World,
    call: Call,
    exit_call: ExitCall,
    at_work: Mapping[HoldingKey, Decimal],
    desk: Desk,
    position: Position,
) -> Records:
    closing = at_work.get(position.holding)
    remaining = None if closing is None else abs(position.quantity) - closing
    if remaining is not None and remaining <= 0:
        return ()
    return close(world, call, desk, position, replace(exit_call, shares=remaining), "flatten")
