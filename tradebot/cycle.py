"""What one pass of each job does. The same functions run by hand, on a schedule, in the demo and in tests."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from tradebot.desk.fetching import EVERYTHING, Fetched, Wanted, fetch_all
from tradebot.desk.halting import after_send, halt_if_needed
from tradebot.desk.proposals import Proposals, propose
from tradebot.desk.snapshot import take
from tradebot.exits.held import Held, best_price, exit_price
from tradebot.exits.lists import in_force
from tradebot.exits.rules import evaluate
from tradebot.gates.common import (
    clocks_agree,
    closable,
    permission,
    session_open,
    session_open_to_leave,
    still_held,
    unresolved,
    working,
)
from tradebot.gates.entry import AccountAsk, Ask, decide
from tradebot.gates.sizing import entry_size, marketable_limit
from tradebot.model.bar import ClockReading, VenueClock
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import Desk, Entered
from tradebot.model.instrument import Instrument
from tradebot.model.intent import Intent, Operation
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Mark, StrategyRefusal
from tradebot.model.trading import mode_name
from tradebot.orders.sending import EXIT_LOOKUP, closing_side, send, send_again, submit_intent
from tradebot.orders.working_orders import AGAIN, cancel_order, end_or_reprice, our_working_orders
from tradebot.ports.world import Call, World
from tradebot.timetable.sessions import last_session

NEVER_FILLS = frozenset({Reason.VENUE_REJECTED, Reason.HALTED, Reason.DESK_STALE, Reason.MARKET_CLOSED})
"""Reasons at SEND that rule out a fill, so the next candidate sees the same book. A lost reply may still be a fill."""

NEVER_PROMISED = frozenset({Reason.HALTED, Reason.DESK_STALE, Reason.MARKET_CLOSED, Reason.DUPLICATE_INTENT})
"""Reasons at SEND that mean no order was promised, so nothing counts toward the session's entries."""


def fetch_flow(
    world: World, call: Call, clocks: ClockReading, *, only_due: bool = True, wanted: Wanted = EVERYTHING
) -> Fetched:
    """Fetch every flow endpoint that is due, store the good rows, count the rest, and record the pass and its quota."""
    fetched = fetch_all(world, last_session(world.ledger, clocks.now), clocks, only_due=only_due, wanted=wanted)
    cycle = CycleRecord(call.cycle_id, call.job, call.session, call.slot, clocks.now, _mode(world), quota=fetched.quota)
    _record(world, cycle)
    return fetched


def ask(world: World, now: datetime) -> Proposals:
    """Ask the strategies what they want at `now`. Only what one of them needs is read, and no lock is held."""
    return propose(world, now)


def score(world: World, call: Call, clock: VenueClock) -> CycleRecord:
    """Score the universe from the facts known now and record the result, without placing any orders."""
    proposed = ask(world, clock.now)
    records = tuple(CandidateRecord(candidate, candidate.decisions) for candidate in proposed.candidates)
    cycle = CycleRecord(call.cycle_id, call.job, call.session, call.slot, clock.now, _mode(world), records)
    return _record(world, replace(cycle, refused_strategies=proposed.refused))


def trade_once(
    world: World,
    call: Call,
    proposed: Proposals,
    sent_before: dict[str, CandidateRecord] | None = None,
    clocks: ClockReading | None = None,
) -> CycleRecord:
    """Run every gate on every candidate and send those that pass, updating the book after each order.

    The candidates were proposed before the pass began; the gates judge them on what is read now. `sent_before` collects
    the orders by our id. A pass that gave way gets them back, so that it reports them too. The clocks are read unless
    the caller has just done so.
    """
    sent_before = {} if sent_before is None else sent_before
    desk = halt_if_needed(world, take(world, with_flow=True, clocks=clocks))
    refused = _refusal(session_open(desk))
    if refused:
        return _record(world, _cycle(world, call, desk, (), refused))
    # If an earlier run of this pass was interrupted, the entries it sent count toward this pass's limit.
    promised = {record.intent.client_order_id: record.intent for record in desk.books.promised_in(call.session)}
    earlier = (i for i in promised.values() if i.cycle_id == call.cycle_id and i.operation is Operation.SUBMIT)
    already = tuple(intent.key.strategy for intent in earlier)
    account = AccountAsk(desk, replace(desk.book, new_entries=already), world.rules.limits, world.rules.halts)
    records = list(sent_before.values())
    for candidate in proposed.candidates:
        desk, book = account.desk, account.book
        quote, strategy = (
            desk.quotes.get(candidate.symbol),
            account.of(candidate.strategy, world.rules.of(candidate.strategy)),
        )
        size = entry_size(candidate, quote, strategy.book, strategy.limits) if quote else None
        price = size.limit_price if size else None
        intent = submit_intent(call, desk, candidate, size.quantity if size else Decimal(0), price)
        if intent.client_order_id in sent_before:
            continue
        decisions = decide(Ask(strategy, candidate, quote, size, promised=intent.client_order_id in promised))
        if size is None or first_failure(decisions):
            records.append(CandidateRecord(candidate, decisions, reference_price=price))
            continue
        sent = send(world, desk, intent, decisions)
        records.append(CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, price))
        sent_before[intent.client_order_id] = records[-1]
        entered = Entered(candidate.strategy, candidate.symbol, candidate.side, desk.now)
        if sent.reason not in NEVER_PROMISED:
            book = book.with_order(entered)
        if sent.reason not in NEVER_FILLS:
            book = book.with_entry(entered, size.notional_usd, desk.sectors[candidate.symbol])
        account = replace(account, desk=after_send(world, desk, sent), book=book)
    return _record(world, _cycle(world, call, account.desk, tuple(records), refused_strategies=proposed.refused))


def evaluate_exits(
    world: World,
    call: Call,
    ended: Mapping[str, CandidateRecord] | None = None,
    clocks: ClockReading | None = None,
) -> CycleRecord:
    """Close positions when an exit rule says so, and cancel or reprice working orders that are stale or not allowed.

    `ended` holds the entries that were canceled before this pass began, by the venue's order id, so that the pass
    reports them too. The clocks are read unless the caller has just done so.
    """
    ended = ended or {}
    desk = halt_if_needed(world, take(world, with_flow=False, clocks=clocks))
    refused = _refusal(session_open_to_leave(desk, world.rules.limits))
    if refused:
        return _record(world, _cycle(world, call, desk, (), refused))
    exits = _close_one_by_one(desk, desk.positions, partial(_apply_exit_rules, world, call))
    symbols_to_close = frozenset(record.candidate.symbol for record in exits if _rule_fired(record))
    changes = end_or_reprice(world, call, desk, symbols_to_close, ended)
    return _record(world, _cycle(world, call, desk, (*exits, *ended.values(), *changes)))


def flatten(world: World, call: Call, symbols: frozenset[str] | None) -> CycleRecord:
    """Cancel our working orders on the given symbols (None means all of them), then close our positions in them."""
    desk = take(world, with_flow=False)
    refused = _refusal(session_open_to_leave(desk, world.rules.limits))
    if refused:
        return _record(world, _cycle(world, call, desk, (), refused))
    named = ((order, record) for order, record in our_working_orders(world, desk) if _named(symbols, order.symbol))
    # We can't close a position the venue hasn't confirmed, so a working exit may be its only protection.
    working_orders = [
        (order, record)
        for order, record in named
        if record.intent.purpose is Purpose.OPEN or order.symbol not in desk.unproven
    ]
    why = Reason.CLOSED_BY_HAND
    cancels = tuple(cancel_order(world, call, desk, order, record, why) for order, record in working_orders)
    if cancels:
        # A canceled order may have filled in the meantime, so read again what is left to close.
        desk = _as_if_canceled(desk, symbols) if world.dry_run else take(world, with_flow=False)
    asked = Decision(Gate.EXIT, Verdict.PASS, why, call.by)
    held = [position for position in desk.positions if _named(symbols, position.symbol)]
    closes = _close_one_by_one(
        desk, held, lambda left, position: _send_close(world, call, left, position, asked, "flatten")
    )
    return _record(world, _cycle(world, call, desk, cancels + closes))


def _named(symbols: frozenset[str] | None, symbol: str) -> bool:
    return symbols is None or symbol in symbols


def _as_if_canceled(desk: Desk, symbols: frozenset[str] | None) -> Desk:
    left = frozenset(symbol for symbol in desk.book.own_working if not _named(symbols, symbol))
    return replace(desk, book=replace(desk.book, own_working=left))


def _refusal(decision: Decision) -> Decision | None:
    """Return the decision that refuses the whole pass because the session is closed, or None if it is open."""
    return None if decision.passed else replace(decision, gate=Gate.JOB)


def _close_one_by_one(
    desk: Desk, positions: Iterable[Position], close: Callable[[Desk, Position], CandidateRecord]
) -> tuple[CandidateRecord, ...]:
    """Close positions one after another, each based on what the previous orders leave at the broker.

    Two owners may hold the same symbol while the broker holds less than their sum, so two orders must not close the
    same shares.
    """
    records = []
    for position in positions:
        record = close(desk, position)
        records.append(record)
        desk = _after_closing(desk, record)
    return tuple(records)


def _after_closing(desk: Desk, record: CandidateRecord) -> Desk:
    """Return the desk as if this record's order were filled, if an order may have gone out."""
    candidate, last = record.candidate, record.decisions[-1]
    if last.gate is not Gate.SEND or last.reason in NEVER_FILLS:
        return desk
    assert candidate.quantity is not None, "an exit knows its quantity"
    return desk.with_filled(candidate.symbol, candidate.quantity * candidate.side.sign)


def _apply_exit_rules(world: World, call: Call, desk: Desk, position: Position) -> CandidateRecord:
    """Decide on one position and send its exit. A stale quote is no veto; it only shows as the decision's age."""
    quote = desk.quotes.get(position.symbol)
    kept = desk.books.kept_of(position)
    ratio = desk.position_ratios.get(position.symbol, Decimal(1))
    # After a split, say, the price is for other shares than we bought, so it can't be the best price so far.
    best = best_price(position, quote if ratio == 1 else None, kept.best)
    if not world.dry_run and best != kept.best and ratio == 1:
        world.ledger.put_high_water(position.strategy, position.symbol, position.opened_at, best)
    clocks = clocks_agree(desk.clock_ahead_s, world.rules.limits)
    rules = in_force(world.rules.exits_of(position.strategy), kept)
    why = evaluate(Held(position, best), quote, desk.now, rules, desk.state.state, ratio, clocks)
    return _send_close(world, call, desk, position, why, "exit")


def _send_close(
    world: World, call: Call, desk: Desk, position: Position, why: Decision, source: str
) -> CandidateRecord:
    """Send the order that closes a position if `why` and the exit gates pass."""
    quote, candidate = desk.quotes.get(position.symbol), _closing_candidate(desk, position, source)
    lost = _lost_exit(desk, position)
    decisions = (
        permission(desk),
        why,
        still_held(desk, position.symbol, position.quantity),
        working(desk.book.own_working, position.symbol),
        AGAIN if lost else unresolved(desk.book, position.symbol),
    )
    if first_failure(decisions):
        return CandidateRecord(candidate, decisions)
    if lost:
        again = replace(candidate, quantity=lost.quantity)
        sent = send_again(world, desk, lost)
        return CandidateRecord(again, (*decisions, sent), lost.client_order_id, lost.limit_price)
    offset = world.rules.exits.limit_offset_fraction
    price = marketable_limit(candidate.instrument, candidate.side, quote, offset) if quote else None
    quantity = closable(desk, position.symbol, position.quantity)
    intent = submit_intent(call, desk, candidate, quantity, price)
    return CandidateRecord(candidate, (*decisions, send(world, desk, intent, decisions)), intent.client_order_id, price)


def _lost_exit(desk: Desk, position: Position) -> Intent | None:
    """Return an exit the venue has not known for a while, if its whole quantity is still there to close."""
    for record in desk.books.unresolved:
        intent = record.intent
        closes = intent.operation is Operation.SUBMIT and intent.purpose is Purpose.CLOSE
        same = (intent.key.strategy, intent.key.symbol) == (position.strategy, position.symbol)
        # A date in the future means the venue's clock was ahead then; that doesn't make the order younger.
        if closes and same and abs(desk.now - intent.at) >= EXIT_LOOKUP:
            still_closable = closable(desk, position.symbol, position.quantity) >= intent.quantity
            return intent if still_closable else None
    return None


def _closing_candidate(desk: Desk, position: Position, source: str) -> Candidate:
    return Candidate(
        strategy=position.strategy,
        instrument=Instrument(position.symbol),
        side=closing_side(position.quantity),
        purpose=Purpose.CLOSE,
        at=desk.now,
        quantity=closable(desk, position.symbol, position.quantity),
        source=source,
    )


def _rule_fired(record: CandidateRecord) -> bool:
    return any(decision.gate is Gate.EXIT and decision.passed for decision in record.decisions)


def _mode(world: World) -> str:
    return mode_name(world.rules.mode, shadow=world.shadow)


def _cycle(
    world: World,
    call: Call,
    desk: Desk,
    records: tuple[CandidateRecord, ...],
    refused: Decision | None = None,
    refused_strategies: tuple[StrategyRefusal, ...] = (),
) -> CycleRecord:
    return CycleRecord(
        call.cycle_id,
        call.job,
        call.session,
        call.slot,
        desk.now,
        _mode(world),
        records,
        refused,
        world.dry_run,
        desk.account.equity,
        _marks(desk),
        refused_strategies=refused_strategies,
    )


def _marks(desk: Desk) -> tuple[Mark, ...]:
    quoted = ((position, desk.quotes.get(position.symbol)) for position in desk.positions)
    return tuple(Mark(p.symbol, exit_price(p, quote)) for p, quote in quoted if quote)


def _record(world: World, cycle: CycleRecord) -> CycleRecord:
    """Record the pass so that it can be explained later; a dry run records nothing."""
    if not world.dry_run:
        world.facts.record(cycle)
    return cycle
