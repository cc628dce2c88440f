"""Trade what strategies want, one candidate after another: each sees the account as the earlier ones leave it.

To make room for a better candidate, the strategy's weakest position is closed and nothing else. The candidate itself is
refused in this pass and judged by a later one like any other, so a killed pass leaves nothing to repair.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tradebot.desk.halting import after_send
from tradebot.exits.kind import Held
from tradebot.exits.lists import levels
from tradebot.exits.rules import ExitCall
from tradebot.exits.why import Part
from tradebot.gates.common import position_of
from tradebot.gates.displacement import CAPACITY, Incumbent, judge, lacks_only_room
from tradebot.gates.entry import AccountAsk
from tradebot.gates.sizing import entry_price
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import Desk, Entered
from tradebot.model.execution import Approach, Style
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, Operation
from tradebot.model.limits import Protection
from tradebot.model.order import OrderClass
from tradebot.model.position import Kept, Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.values import replace
from tradebot.model.venue import Pairs
from tradebot.orders.approving import consent, judged
from tradebot.orders.closing import NEVER_FILLS, Records, afterwards, close, close_as_wanted
from tradebot.orders.protecting import on_tick
from tradebot.orders.sending import closing_side, may_send_again, send, submit_intent, wanted_key
from tradebot.ports.world import Call, World

ONCE_MORE = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, "its close was lost on the way")
UNDER_WAY = Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_PENDING)


def make_room(
    world: World,
    call: Call,
    account: AccountAsk,
    traded: Records,
    proposed: Iterable[Candidate],
    earlier: Sequence[CandidateRecord],
) -> tuple[AccountAsk, Records]:
    """Close a position if only room was missing for a refused entry; return the account and the records after that.

    `proposed` are all candidates of the pass, and `earlier` are the records that it has so far.
    """
    refused = traded[-1]
    candidate, own = refused.candidate, world.rules.of(refused.candidate.strategy)
    if own.displacement is None or not lacks_only_room(candidate, refused.decisions):
        return account, traded
    limit, begun = own.displacement.score_advantage, _closing(candidate.strategy, earlier)
    lost = _lost(world, account.desk, candidate.strategy)
    if lost and lost.symbol not in begun:
        account, again = _close(world, call, account, lost, candidate, ONCE_MORE)
        return account, (*again, _with(refused, (UNDER_WAY,)))
    full = [decision for decision in refused.decisions if decision.gate in CAPACITY and not decision.passed]
    ask, _ = judged(world, call, account, candidate)
    displacement = judge(ask, full, own.displacement, proposed, begun)
    if displacement.weakest is None:
        return account, (_with(refused, displacement.refusals),)
    asked = consent(world, call, ask)
    if asked.decision and asked.withheld:
        return account, (_with(refused, (asked.decision,)),)
    weakest = displacement.weakest
    why = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, weakest.advantage, limit)
    account, closed = _close(world, call, account, weakest.position, candidate, why)
    return account, (*closed, _with(refused, (_started(closed, weakest, limit),)))


def _lost(world: World, desk: Desk, strategy: str) -> Position | None:
    """Return a position whose close, made for another, the venue hasn't known for a while: it is sent once more."""
    for record in desk.books.unresolved:
        intent = record.intent
        closes = intent.displaced_by and intent.operation is Operation.SUBMIT and intent.key.strategy == strategy
        if closes and may_send_again(world, desk, intent):
            return position_of(desk, intent.whose)
    return None


def _closing(strategy: str, earlier: Iterable[CandidateRecord]) -> frozenset[str]:
    """Return the symbols of a strategy's positions that the pass has begun to close for others."""
    begun = (record.candidate for record in earlier if record.candidate.displaced_by)
    return frozenset(candidate.symbol for candidate in begun if candidate.strategy == strategy)


def _close(
    world: World, call: Call, account: AccountAsk, position: Position, candidate: Candidate, why: Decision
) -> tuple[AccountAsk, Records]:
    part = Part("displaced_by", symbol=candidate.symbol)
    exits = ExitCall(why, why=(part,))
    records = close(world, call, account.desk, position, exits, str(part), displaced_by=candidate.symbol)
    return afterwards(account, position.symbol, records), records


def _started(closed: Records, weakest: Incumbent, limit: float) -> Decision:
    """Say whether a close was sent, with the advantage or with what refused it. A lost reply may still be a close."""
    ends = [record.terminal for record in closed if record.candidate.displaced_by]
    if any(end is None or end.reason is Reason.VENUE_UNKNOWN for end in ends):
        return Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_STARTED, weakest.advantage, limit)
    why = next((end.reason for end in reversed(ends) if end), None)
    return Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_FAILED, why)


def _with(refused: CandidateRecord, decisions: Sequence[Decision]) -> CandidateRecord:
    """Return the record with what displacement decided before what it was asked about."""
    before = [each for each in refused.decisions if each.gate.place < Gate.DISPLACEMENT.place]
    return replace(refused, decisions=(*before, *decisions, *refused.decisions[len(before) :]))


NEVER_PROMISED = frozenset({Reason.HALTED, Reason.DESK_STALE, Reason.MARKET_CLOSED, Reason.DUPLICATE_INTENT})
"""Reasons at SEND that mean no order was promised, so nothing counts toward the session's entries."""


def account_of(world: World, call: Call, desk: Desk) -> AccountAsk:
    """Return the account as the pass begins; entries of its earlier, interrupted runs count toward its limit."""
    book, promised = desk.book, defaultdict[str, set[str]](set)
    for intent in (record.intent for record in desk.books.intents):
        promised[intent.instrument.symbol].add(intent.client_order_id)
        if (intent.cycle_id, intent.operation, intent.purpose) == (call.cycle_id, Operation.SUBMIT, Purpose.OPEN):
            book = replace(book, new_entries=(*book.new_entries, intent.key.strategy))
    return AccountAsk(desk, book, world.rules.limits, world.rules.halts, promised)


def trade(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> tuple[AccountAsk, Records]:
    """Judge one candidate and send its orders if it passes; return the account as that leaves it, and the records."""
    if any(decision.gate is Gate.TARGET and not decision.passed for decision in candidate.decisions):
        # There is nothing to trade, so no gate has to be asked.
        return account, (CandidateRecord(candidate, candidate.decisions),)
    if candidate.purpose is Purpose.OPEN:
        account, record = _enter(world, call, account, candidate)
        return account, (record,)
    closed = close_as_wanted(world, call, account.desk, candidate)
    return afterwards(account, candidate.symbol, closed), closed


def _enter(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> tuple[AccountAsk, CandidateRecord]:
    """Run every gate on an entry and send it if all of them pass; an order that may fill counts as filled."""
    desk, book, own = account.desk, account.book, world.rules.of(candidate.strategy)
    ask, decisions = judged(world, call, account, candidate)
    quote, size = ask.quote, ask.size
    if quote is None or size is None or first_failure(decisions):
        return account, CandidateRecord(candidate, decisions, reference_price=size.limit_price if size else None)
    asked = consent(world, call, ask)
    decisions = (*decisions, asked.decision) if asked.decision else decisions
    if asked.withheld:
        return account, CandidateRecord(candidate, decisions, reference_price=size.limit_price)
    listing = desk.listing_for(candidate.instrument)
    price = entry_price(listing, candidate.side, quote, size.limit_price, own.execution)
    if asked.request and price is None:
        # A person said yes to a price, which a market order wouldn't keep.
        price = size.limit_price
    approach = Approach(size.limit_price, desk.now) if own.execution.style is Style.PASSIVE else None
    key = wanted_key(world, call, desk, candidate)
    quantity = size.quantity if asked.quantity is None else min(size.quantity, asked.quantity)
    intent = submit_intent(world, call, desk, candidate, quantity, price, key, approach, asked.request)
    intent = _with_stop(world, listing, intent, size.limit_price)
    sent = send(world, desk, intent, decisions)
    record = CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, price)
    entered = Entered(candidate.strategy, candidate.symbol, candidate.side, desk.now)
    if sent.reason not in NEVER_PROMISED:
        book = book.with_order(entered)
    if sent.reason not in NEVER_FILLS:
        sector = desk.sectors[candidate.symbol]
        book = book.with_entry(entered, size.notional_usd, sector, size.quantity, size.limit_price)
    return replace(account, desk=after_send(world, desk, sent), book=book), record


def _with_stop(world: World, listing: Listing, entry: Intent, price: Decimal) -> Intent:
    """Return an entry with the stop that hangs on it, where the venue has brackets: that of its rules at its price."""
    if world.venue.pairs is not Pairs.BRACKET or world.rules.exits.protection is Protection.BOT:
        return entry
    lot = Lot(entry.quantity * entry.side.sign, price, entry.at)
    position = Position(entry.key.strategy, entry.instrument.symbol, (lot,), Decimal(0), entry.at)
    kept = Kept(stop_loss_fraction=entry.stop_loss_fraction, original_quantity=entry.quantity)
    stop = levels(Held(position, price, kept), world.rules.exits_watching(position, kept)).stop
    if stop is None:
        return entry
    return replace(
        entry, order_class=OrderClass.BRACKET, stop_price=on_tick(listing, stop, closing_side(position.quantity))
    )
