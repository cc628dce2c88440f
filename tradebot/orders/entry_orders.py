"""Trade what strategies want, one candidate after another; each is evaluated as if earlier orders were filled.

If configured, a person has to approve an entry that every gate has passed. The request is written before anyone is
notified, and the order carries the request's id, so an approval makes exactly one order, even after a crash.

To make room for a better candidate, only the strategy's weakest position is closed, and never before a required
approval. The candidate itself is refused in this pass and evaluated again later, so a killed pass leaves nothing to
repair.
"""

import hashlib
from base64 import b32encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.desk.auto_halt import halt_if_tripped
from tradebot.desk.contract_rolls import SOURCE as MOVED
from tradebot.desk.contract_rolls import owed_roll_entries
from tradebot.desk.proposals import (
    Proposals,
    changes_sides,
    declined_record,
    is_declined,
    leave_target_unchanged,
    pending_changes,
    wants_more,
)
from tradebot.errors import TradebotError
from tradebot.exits.exit_reasons import ReasonPart
from tradebot.exits.exit_rule import WatchedPosition
from tradebot.exits.rules import ExitCall, rule_levels
from tradebot.gates import approval
from tradebot.gates.ask import AccountAsk, Ask
from tradebot.gates.costs import plan_of
from tradebot.gates.displacement import CAPACITY, choose_displaced, lacks_only_room
from tradebot.gates.evaluation import decide
from tradebot.gates.gate_declarations import OWN_GATES
from tradebot.gates.prices import depth, slippage_of
from tradebot.gates.shared_gates import blocks_entries, position_of
from tradebot.gates.sizing import Size, entry_price, entry_size, liquidity, stop_distance
from tradebot.model.candidate import Candidate, Purpose, WantKind
from tradebot.model.decision import Decision, Decisions, Gate, Number, Verdict, first_failure
from tradebot.model.desk import Desk, SessionEntry
from tradebot.model.event import EventKind
from tradebot.model.instrument import Listing
from tradebot.model.intent import Intent, Operation
from tradebot.model.limits import ApprovalRules, Protection
from tradebot.model.order import Approach, OrderClass, Style
from tradebot.model.position import EntryTerms, Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Request
from tradebot.model.venue import Pairs
from tradebot.orders.close_orders import NEVER_FILLS, Records, account_after_close, close, close_as_wanted
from tradebot.orders.order_sender import closing_side, may_send_again, send, submit_intent, wanted_key
from tradebot.orders.stop_protection import round_stop_to_tick
from tradebot.ports.world import Call, World

_ROOM = (
    Gate.OPEN_POSITIONS, Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL, Gate.GROSS_NOTIONAL, Gate.THEME_NOTIONAL,
    Gate.NET_NOTIONAL, Gate.BETA_NOTIONAL, Gate.CONCENTRATION, Gate.OPEN_RISK,
)  # fmt: skip
_MARGIN = (
    *(Gate.BUYING_POWER, Gate.INITIAL_MARGIN, Gate.FREE_MARGIN),
    *(Gate.HELD_MARGIN, Gate.MAINTENANCE_MARGIN, Gate.LIQUIDATION),
)
ROOM = frozenset({*_MARGIN, *_ROOM, *(OWN_GATES[gate] for gate in _ROOM)})
"""The gates that selling another symbol can satisfy for an entry."""


class Consent(NamedTuple):
    """A person's decision on an entry: approval or refusal, the largest quantity, and the id of the request.

    `decision` is None if no approval is needed; only an approval limits the quantity.
    """

    decision: Decision | None = None
    quantity: Decimal | None = None
    request: str = ""

    @property
    def withheld(self) -> bool:
        return self.decision is not None and not self.decision.passed


GateResult = tuple[Ask, Decisions]
"""The gates' inputs for an entry, and their results."""


def evaluate_entry(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> GateResult:
    """Evaluate every gate except depth and approval for an entry; return the gates' input and their decisions.

    The size is None without a usable quote.
    """
    own, quote = world.rules.of(candidate.strategy), account.desk.quotes.get(candidate.symbol)
    strategy = account.of(candidate.strategy, own)
    exits = world.rules.exits_of(candidate.strategy)
    stop = stop_distance(candidate, exits, quote.middle if quote else None)
    book, limits, reserve = strategy.book, strategy.limits, world.venue.short_reserve
    listing = account.desk.listing_for(candidate.instrument)
    fit, room_usd = own.execution.fit_to_room, _tier_room(account, candidate.symbol)
    size = None
    if quote:
        size = entry_size(candidate, listing, quote, book, limits, reserve, stop, fit_to_room=fit, room_usd=room_usd)
    depth = liquidity(candidate.side, quote, size.quantity, own.execution) if quote and size else ()
    shown = replace(candidate, decisions=(*candidate.decisions, *depth)) if depth else candidate
    plan = plan_of(candidate, exits, quote, own) if quote else None
    ask = Ask(strategy, shown, quote, size, _is_recorded(world, call, account, candidate), plan)
    return ask, decide(ask)


def _tier_room(account: AccountAsk, symbol: str) -> Decimal | None:
    """Return how many more USD of a symbol its tier allows, beyond positions and orders; None without a tier."""
    tier = account.desk.tier_of(symbol)
    return None if tier is None else tier.max_notional_usd - account.book.exposure.get(symbol, Decimal(0))


def _is_recorded(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> bool:
    """Return True if the order for this candidate was recorded before."""
    ids = account.recorded_ids.get(candidate.symbol)
    return ids is not None and wanted_key(world, call, account.desk, candidate).client_order_id() in ids


def ask_approval(world: World, call: Call, ask: Ask) -> Consent:
    """Return whether a person approves an entry; request approval if nobody has yet. Shadow mode needs no approval.

    A dry run only reports that approval would be requested.
    """
    candidate, size, desk = ask.candidate, ask.size, ask.desk
    rules = world.rules.of(candidate.strategy).approval
    if rules is None or world.shadow:
        return Consent()
    assert rules.wait_s is not None, "the approval rules set how long a request waits"
    assert size is not None, "an entry without a price is refused before approval is requested"
    wish, approvals = _wish(call, ask, size, rules), world.approvals()
    last = approvals.last(candidate.strategy, candidate.symbol)
    used = last is not None and any(record.intent.approval == last.id for record in desk.books.intents)
    answer = approval.decide_by_approval(wish, last, rules, used=used)
    if answer is None:
        if not world.dry_run:
            approvals.ask(wish)
            world.events.emit(EventKind.APPROVAL_ASKED.at(desk.now, _request_details(wish), wish.symbol))
        return Consent(approval.waiting(0.0, float(rules.wait_s)))
    if not answer.passed or last is None:
        return Consent(answer)
    return Consent(answer, last.quantity, last.id)


def _wish(call: Call, ask: Ask, size: Size, rules: ApprovalRules) -> Request:
    candidate, now = ask.candidate, ask.desk.now
    slot = "" if candidate.slot_session is None else f"{candidate.slot_session.isoformat()} {candidate.slot}"
    content = "\x1f".join((candidate.strategy, candidate.symbol, candidate.side, now.isoformat(), call.cycle_id))
    digest = b32encode(hashlib.sha256(content.encode()).digest()).decode().lower()[:5]
    name = "".join(filter(str.isalnum, candidate.symbol)).lower()[:12]
    return Request(
        id=f"{name}-{digest}",
        strategy=candidate.strategy,
        symbol=candidate.symbol,
        side=candidate.side,
        quantity=size.quantity,
        price=size.limit_price,
        notional_usd=size.notional_usd,
        session=call.session,
        slot=slot,
        asked_at=now,
        expires_at=now + timedelta(seconds=rules.wait_s or 0),
        score=candidate.score,
    )


def _request_details(wish: Request) -> Mapping[str, str]:
    return {
        "id": wish.id,
        "strategy": wish.strategy,
        "side": wish.side.value,
        "quantity": f"{wish.quantity:f}",
        "price": f"{wish.price:f}",
        "worth": f"{wish.notional_usd:f}",
        "until": wish.expires_at.isoformat(),
    }


def candidates_to_trade(
    world: World, call: Call, account: AccountAsk, proposed: Proposals, already: Iterable[CandidateRecord]
) -> Sequence[Candidate]:
    """Return the remaining changes of this pass, closes before entries: the proposals, and the entries that complete
    rolls.
    """
    done = {(record.candidate.strategy, record.candidate.symbol) for record in already}
    pending = [*without_unapproved_swaps(world, call, account, pending_changes(world, account.desk, proposed, done))]

    def records_since(at: datetime) -> Iterator[CandidateRecord]:
        for cycle in world.facts.cycles(job=Job.TRADE_ONCE, since=at):
            yield from cycle.candidates
        yield from (CandidateRecord(candidate, candidate.decisions) for candidate in pending)

    owed = owed_roll_entries(account.desk, call.session, records_since)
    rolls = (entry for entry in owed if (entry.strategy, entry.symbol) not in done)
    return sorted((*rolls, *pending), key=lambda change: change.purpose is Purpose.OPEN)


def without_unapproved_swaps(
    world: World, call: Call, account: AccountAsk, changes: Sequence[Candidate]
) -> Iterable[Candidate]:
    """Leave out sales that pay for purchases of other symbols, until a person has approved all of those purchases.

    A strategy that buys nothing sells to cash, which needs no approval. Neither does closing a position that should
    change sides. What a strategy that may not enter keeps was decided before.
    """
    selling = {change.strategy for change in changes if change.purpose is not Purpose.OPEN and _is_change(change)}
    asking = {
        name
        for name in selling
        if world.rules.of(name).approval and not world.shadow and blocks_entries(account.desk, name) is None
    }
    if not asking:
        return changes
    withheld = dict[str, Reason]()
    for candidate in changes:
        if candidate.strategy in asking and _is_purchase(account.desk, candidate):
            reason = _withheld(world, call, account, candidate)
            if reason and withheld.get(candidate.strategy) is not Reason.APPROVAL_WAITING:
                withheld[candidate.strategy] = reason
    return [
        leave_target_unchanged(change, withheld[change.strategy])
        if change.strategy in withheld
        and change.purpose is not Purpose.OPEN
        and _is_change(change)
        and not changes_sides(change)
        else change
        for change in changes
    ]


def _is_purchase(desk: Desk, candidate: Candidate) -> bool:
    return candidate.purpose is Purpose.OPEN and _is_change(candidate) and wants_more(desk, candidate)


def _withheld(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> Reason | None:
    """Return why a position that would make room for an entry stays; None if the entry is approved."""
    ask, decisions = evaluate_entry(world, call, account, candidate)
    refused = [decision for decision in decisions if not decision.passed]
    if ask.size is None or any(decision.gate not in ROOM for decision in refused) or too_thin(world, ask):
        # No approval is requested for an order that can't be sent; a later pass may be able to send it.
        return Reason.APPROVAL_WAITING
    decision = ask_approval(world, call, ask).decision
    return decision.reason if decision else None


def _is_change(candidate: Candidate) -> bool:
    """Return True for a target that isn't reached yet and may be traded."""
    return candidate.want is WantKind.TARGET and first_failure(candidate.decisions) is None


ONCE_MORE = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, "its close was lost on the way")
UNDER_WAY = Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_PENDING)


def displace_if_full(
    world: World,
    call: Call,
    account: AccountAsk,
    traded: Records,
    proposed: Iterable[Candidate],
    earlier: Sequence[CandidateRecord],
) -> tuple[AccountAsk, Records]:
    """Close a position if a refused entry lacked only room; return the account after that, and the records.

    The close comes before the candidate's own record. `proposed` are all candidates of the pass, and `earlier` are its
    records so far.
    """
    refused = traded[-1]
    candidate, own = refused.candidate, world.rules.of(refused.candidate.strategy)
    if own.displacement is None or not lacks_only_room(candidate, refused.decisions):
        return account, traded
    limit, begun = own.displacement.score_advantage, _closing(candidate.strategy, earlier)
    lost = lost_close(world, account.desk, candidate.strategy)
    if lost and lost.symbol not in begun:
        account, again = close_for(world, call, account, lost, candidate, ONCE_MORE)
        return account, (*again, with_decisions(refused, (UNDER_WAY,)))
    full = [decision for decision in refused.decisions if decision.gate in CAPACITY and not decision.passed]
    ask, _ = evaluate_entry(world, call, account, candidate)
    displacement = choose_displaced(ask, full, own.displacement, proposed, begun)
    if displacement.weakest is None:
        return account, (with_decisions(refused, displacement.refusals),)
    if thin := too_thin(world, ask):
        return account, (with_decisions(refused, (thin,)),)
    consent = ask_approval(world, call, ask)
    if consent.decision and consent.withheld:
        return account, (with_decisions(refused, (consent.decision,)),)
    weakest = displacement.weakest
    why = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, weakest.advantage, limit)
    account, closed = close_for(world, call, account, weakest.position, candidate, why)
    return account, (*closed, with_decisions(refused, (close_started(closed, weakest.advantage, limit),)))


def lost_close(world: World, desk: Desk, strategy: str, symbol: str = "") -> Position | None:
    """Return a position whose displacing close never reached the venue and has to be resent; None if there is none.

    With a symbol, only a close that made room for that symbol counts.
    """
    for record in desk.books.unresolved_intents:
        intent = record.intent
        closes = intent.displaced_by and intent.operation is Operation.SUBMIT and intent.key.strategy == strategy
        if closes and symbol in ("", intent.displaced_by) and may_send_again(world, desk, intent):
            return position_of(desk, intent.holding)
    return None


def _closing(strategy: str, earlier: Iterable[CandidateRecord]) -> frozenset[str]:
    """Return the symbols of a strategy's positions that this pass already closes to make room."""
    begun = (record.candidate for record in earlier if record.candidate.displaced_by)
    return frozenset(candidate.symbol for candidate in begun if candidate.strategy == strategy)


def close_for(
    world: World, call: Call, account: AccountAsk, position: Position, candidate: Candidate, why: Decision
) -> tuple[AccountAsk, Records]:
    """Close a position to make room for a candidate; return the resulting account and the records."""
    part = ReasonPart("displaced_by", symbol=candidate.symbol)
    exits = ExitCall(why, why=(part,))
    records = close(world, call, account.desk, position, exits, str(part), displaced_by=candidate.symbol)
    return account_after_close(account, position.symbol, records), records


def close_started(closed: Records, observed: Number | None, limit: Number) -> Decision:
    """Return the decision on whether a close was sent, with the values compared or the reason why it wasn't.

    If its reply was lost, the close may still have been sent.
    """
    ends = [record.terminal for record in closed if record.candidate.displaced_by]
    if any(end is None or end.reason is Reason.VENUE_UNKNOWN for end in ends):
        return Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_STARTED, observed, limit)
    why = next((end.reason for end in reversed(ends) if end), None)
    return Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_FAILED, why)


def with_decisions(refused: CandidateRecord, decisions: Sequence[Decision]) -> CandidateRecord:
    """Return the record with displacement's decisions inserted in gate order."""
    before = [each for each in refused.decisions if each.gate.place < Gate.DISPLACEMENT.place]
    return replace(refused, decisions=(*before, *decisions, *refused.decisions[len(before) :]))


NEVER_RECORDED = frozenset(
    {Reason.HALTED, Reason.DESK_STALE, Reason.DECISION_LATE, Reason.MARKET_CLOSED, Reason.DUPLICATE_INTENT}
)
"""Reasons at SEND that mean no order was recorded, so nothing counts toward the session's entries."""


def account_before_entries(world: World, call: Call, desk: Desk) -> AccountAsk:
    """Return the account at the start of the pass, counting entries sent by interrupted runs of the same pass."""
    book, recorded_ids = desk.book, defaultdict[str, set[str]](set)
    for intent in (record.intent for record in desk.books.intents):
        recorded_ids[intent.instrument.symbol].add(intent.client_order_id)
        if (intent.cycle_id, intent.operation, intent.purpose) == (call.cycle_id, Operation.SUBMIT, Purpose.OPEN):
            book = replace(book, new_entries=(*book.new_entries, intent.key.strategy))
    return AccountAsk(desk, book, world.rules.limits, world.rules.halts, recorded_ids)


def trade_candidate(
    world: World, call: Call, account: AccountAsk, candidate: Candidate, result: GateResult | None = None
) -> tuple[AccountAsk, Records]:
    """Evaluate one candidate and send its orders if it passes; return the resulting account and the records.

    `result` is the gates' earlier result for this candidate and this same account, if any.
    """
    if any(decision.gate is Gate.TARGET and not decision.passed for decision in candidate.decisions):
        # There is nothing to trade, so no gate is evaluated.
        return account, (CandidateRecord(candidate, candidate.decisions),)
    if is_declined(world, candidate):
        return account, (declined_record(candidate),)
    if candidate.purpose is Purpose.OPEN:
        account, record = _enter(world, call, account, candidate, result)
        return account, (record,)
    closed = close_as_wanted(world, call, account.desk, candidate)
    return account_after_close(account, candidate.symbol, closed), closed


def _enter(
    world: World, call: Call, account: AccountAsk, candidate: Candidate, result: GateResult | None
) -> tuple[AccountAsk, CandidateRecord]:
    """Evaluate every gate for an entry and send it if all pass; count an order that may fill as filled."""
    desk, book, own = account.desk, account.book, world.rules.of(candidate.strategy)
    ask, decisions = result or evaluate_entry(world, call, account, candidate)
    quote, size = ask.quote, ask.size
    if first_failure(decisions) is None:
        decisions = with_depth(world, ask, decisions)
    if quote is None or size is None or first_failure(decisions):
        return account, CandidateRecord(candidate, decisions, reference_price=size.limit_price if size else None)
    consent = ask_approval(world, call, ask)
    decisions = (*decisions, consent.decision) if consent.decision else decisions
    if consent.withheld:
        return account, CandidateRecord(candidate, decisions, reference_price=size.limit_price)
    listing = desk.listing_for(candidate.instrument)
    price = entry_price(listing, candidate.side, quote, size.limit_price, own.execution)
    if consent.request and price is None:
        # A person approved a price, which a market order wouldn't keep.
        price = size.limit_price
    approach = Approach(size.limit_price, desk.now) if own.execution.style is Style.PASSIVE else None
    key = wanted_key(world, call, desk, candidate)
    quantity = size.quantity if consent.quantity is None else min(size.quantity, consent.quantity)
    intent = submit_intent(world, call, desk, candidate, quantity, price, key, approach, consent.request)
    intent = replace(intent, worst_price=size.worst_price)
    # Most entries fill at the best bid or ask, well inside their limit.
    likely = min(quote.ask, size.limit_price) if candidate.side.sign > 0 else max(quote.bid, size.limit_price)
    intent = _with_stop(world, listing, intent, likely)
    # Half of a contract roll must not be dropped because its decision took long.
    sent = send(world, desk, intent, decisions, timed=candidate.source != MOVED)
    record = CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, price)
    entered = SessionEntry(candidate.strategy, candidate.symbol, candidate.side, desk.now)
    if sent.reason not in NEVER_RECORDED:
        book = book.with_order(entered)
    if sent.reason not in NEVER_FILLS:
        sector = desk.sectors[candidate.symbol]
        worst = (size.notional_usd, sector, size.quantity, size.limit_price, size.risk_usd)
        book = book.with_entry(entered, *worst)
    return replace(account, desk=halt_if_tripped(world, desk, sent), book=book), record


def _with_stop(world: World, listing: Listing, entry: Intent, price: Decimal) -> Intent:
    """Return the entry with its rules' stop attached, computed at `price` in USD, if the venue takes bracket orders."""
    if world.venue.pairs is not Pairs.BRACKET or world.rules.exits.protection is Protection.BOT:
        return entry
    lot = Lot(entry.quantity * entry.side.sign, price, entry.at)
    position = Position(entry.key.strategy, entry.instrument.symbol, (lot,), Decimal(0), entry.at)
    entry_terms = EntryTerms(
        stop_loss_fraction=entry.stop_loss_fraction,
        original_quantity=entry.quantity,
        atr_fraction=entry.atr_fraction,
        instrument=listing.instrument,
    )
    exit_levels = rule_levels(
        WatchedPosition(position, price, entry_terms), world.rules.exits_watching(position, entry_terms)
    )
    if exit_levels.stop is None:
        return entry
    stop = round_stop_to_tick(listing, exit_levels.stop, closing_side(position.quantity))
    return replace(entry, order_class=OrderClass.BRACKET, stop_price=stop, why=exit_levels.word)


def with_depth(world: World, ask: Ask, decisions: Decisions) -> Decisions:
    """Return the decisions with the decision on depth inserted; without a depth limit, request nothing.

    Depth is checked last, because that takes a request to the venue: right before a person is asked, before a position
    is closed to make room, or before the order is recorded and sent. An auction also checks its winners before anything
    is sent. Until then the pass may still yield to an exit, because nothing about this entry has been recorded or sent;
    the restarted pass checks the depth again.
    """
    decision = _depth(world, ask)
    if decision is None:
        return decisions
    return tuple(sorted((*decisions, decision), key=lambda decision: decision.gate.place))


def too_thin(world: World, ask: Ask) -> Decision | None:
    """Return why the order book can't fill an entry that only lacks room or approval; None if it can."""
    decision = _depth(world, ask)
    return None if decision is None or decision.passed else decision


def _depth(world: World, ask: Ask) -> Decision | None:
    slippage = slippage_of(ask.limits, ask.desk.tier_of(ask.candidate.symbol))
    if slippage is None:
        return None
    assert ask.quote is not None, "an entry without a price was refused earlier"
    assert ask.size is not None, "an entry with a price has a size"
    try:
        resting = world.market.depth(ask.candidate.symbol)
    except TradebotError:
        resting = None
    return depth(ask.candidate.side, ask.quote, ask.size.quantity, resting, slippage)
