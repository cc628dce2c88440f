"""The orders that close shares: their prices, whole lots and fractions, one request each."""

from decimal import Decimal

from tradebot.gates.sizing import marketable_limit
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.instrument import whole_lots
from tradebot.model.intent import IntentKey, IntentState
from tradebot.model.order import OrderType
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.values import replace
from tradebot.orders.sending import MOST_LEGS, send, submit_intent
from tradebot.ports.world import Call, World


def is_refused(record: CandidateRecord) -> bool:
    return record.decisions[-1].reason is Reason.VENUE_REJECTED


def submit_whole(
    world: World, call: Call, desk: Desk, candidate: Candidate, decisions: tuple[Decision, ...], key: IntentKey
) -> CandidateRecord:
    """Send a closing order; if the venue refuses a fraction of a share, send one for the whole shares."""
    whole, record = _whole(candidate), _submit(world, call, desk, candidate, decisions, key)
    if is_refused(record) and 0 < whole < quantity_of(candidate):
        key = replace(key, leg=key.leg + MOST_LEGS)
        return _submit(world, call, desk, replace(candidate, quantity=whole), decisions, key)
    return record


def _submit(
    world: World, call: Call, desk: Desk, candidate: Candidate, decisions: tuple[Decision, ...], key: IntentKey
) -> CandidateRecord:
    """Send a closing order past the best bid or ask, or a market order if there is no quote."""
    price = exit_price(world, desk, candidate)
    intent = submit_intent(world, call, desk, candidate, quantity_of(candidate), price, key)
    return CandidateRecord(candidate, (*decisions, send(world, desk, intent, decisions)), intent.client_order_id, price)


def quoted(world: World, desk: Desk, candidate: Candidate) -> tuple[Decision, ...]:
    """Refuse an exit without a quote if the venue takes no market order, before anything is canceled for it."""
    if OrderType.MARKET in world.venue.order_types or candidate.symbol in desk.quotes:
        return ()
    return (Decision(Gate.QUOTE_FRESH, Verdict.UNKNOWN, Reason.QUOTE_MISSING),)


def exit_price(world: World, desk: Desk, candidate: Candidate) -> Decimal | None:
    """Return a limit price in USD at which an exit fills now; None without a quote."""
    quote, offset = desk.quotes.get(candidate.symbol), world.rules.exits.limit_offset_fraction
    listing = desk.listing_for(candidate.instrument)
    return marketable_limit(listing, candidate.side, quote, offset) if quote else None


def without_refused_fraction(call: Call, desk: Desk, candidate: Candidate) -> tuple[Candidate, tuple[Decision, ...]]:
    """Return the candidate in whole shares if the venue refused a fraction today, and a refusal if that leaves none.

    Less than the smallest order counts as a fraction.
    """
    quantity, whole, listing = quantity_of(candidate), _whole(candidate), desk.listings.get(candidate.symbol)
    least = listing.minimum if listing else candidate.instrument.lot
    whole = whole if whole >= least else Decimal(0)
    if whole == quantity:
        return candidate, ()
    rejected = (r.intent for r in desk.books.promised_in(call.session) if r.state is IntentState.REJECTED)
    closing = (i for i in rejected if i.purpose is not Purpose.OPEN and i.instrument == candidate.instrument)
    if not any(intent.quantity % intent.instrument.lot or intent.quantity < least for intent in closing):
        return candidate, ()
    none = Decision(Gate.SIZE, Verdict.FAIL, Reason.FRACTION_REFUSED, quantity, least)
    return replace(candidate, quantity=whole or quantity), () if whole else (none,)


def quantity_of(candidate: Candidate) -> Decimal:
    assert candidate.quantity is not None, "an exit knows its quantity"
    return candidate.quantity


def _whole(candidate: Candidate) -> Decimal:
    return whole_lots(candidate.instrument, quantity_of(candidate))
