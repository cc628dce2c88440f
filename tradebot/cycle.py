"""What one pass of each job does. The same functions run by hand, on a schedule, in the demo and in tests."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from tradebot.desk.arrivals import note_arrivals
from tradebot.desk.contracts import worst_core_drifts
from tradebot.desk.fetching import EVERYTHING, Fetched, Wanted, fetch_all
from tradebot.desk.gaps import with_gaps
from tradebot.desk.halting import after_send, halt_if_needed
from tradebot.desk.notable import tell
from tradebot.desk.own_slots import finish_judged
from tradebot.desk.proposals import Proposals, begun, propose
from tradebot.desk.scoring import mode_of, recorded
from tradebot.desk.snapshot import take
from tradebot.desk.targets import change_to
from tradebot.desk.watching import watch
from tradebot.exits.held import Held, exit_price
from tradebot.exits.levels import levels
from tradebot.exits.lists import Exits, in_force
from tradebot.exits.rules import ExitCall, judge
from tradebot.exits.why import Part
from tradebot.gates.common import (
    clocks_agree,
    session_open,
    session_open_to_leave,
)
from tradebot.gates.decide import decide
from tradebot.gates.entry import AccountAsk, Ask
from tradebot.gates.execution import entry_price, liquidity
from tradebot.gates.sizing import entry_size, stop_distance
from tradebot.model.bar import ClockReading
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import Desk, Entered
from tradebot.model.execution import Approach, Style
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order
from tradebot.model.position import Key, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Mark, StrategyRefusal
from tradebot.model.resting import Whose
from tradebot.orders.changes import AGAIN, cancel_forgotten, cancel_order, taken_back
from tradebot.orders.closing import NEVER_FILLS, Records, after_closing, close, close_as_wanted, close_one_by_one
from tradebot.orders.displacing import make_room
from tradebot.orders.protecting import left_to_venue, protect
from tradebot.orders.sending import send, submit_intent, wanted_key
from tradebot.orders.working_orders import (
    end_or_reprice,
    forgotten_exits,
    is_exit,
    keep_exits,
    may_stay,
    our_working_orders,
)
from tradebot.ports.world import Call, World
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.sessions import last_session

NEVER_PROMISED = frozenset({Reason.HALTED, Reason.DESK_STALE, Reason.MARKET_CLOSED, Reason.DUPLICATE_INTENT})
"""Reasons at SEND that mean no order was promised, so nothing counts toward the session's entries."""


def fetch_flow(
    world: World, call: Call, clocks: ClockReading, *, only_due: bool = True, wanted: Wanted = EVERYTHING
) -> Fetched:
    """Fetch every flow endpoint that is due, store the good rows, count the rest, and record the pass and its quota."""
    fetched = fetch_all(world, last_session(world.ledger, clocks.now), clocks, only_due=only_due, wanted=wanted)
    cycle = CycleRecord(
        call.cycle_id, call.job, call.session, call.slot, clocks.now, mode_of(world), quota=fetched.quota
    )
    recorded(world, cycle)
    return fetched


def ask(world: World, now: datetime, entries: JobTimes | None = None) -> Proposals:
    """Ask the strategies what they want at `now`. Only what one of them needs is read, and no lock is held.

    With the times of entries, strategies that have a clock of their own are asked only if they are due by it.
    """
    return propose(world, now, entries)


def trade_once(
    world: World,
    call: Call,
    proposed: Proposals,
    sent_before: dict[str, CandidateRecord] | None = None,
    clocks: ClockReading | None = None,
) -> CycleRecord:
    """Close what strategies want to close, then run every gate on every entry and send those that pass.

    The candidates were proposed before the pass began; they are judged on what is read now, and each one sees the desk
    and the book as the earlier ones leave them. `sent_before` collects the orders by our id. A pass that gave way gets
    them back, so that it reports them too. The clocks are read unless the caller has just done so.
    """
    sent_before = {} if sent_before is None else sent_before
    desk = halt_if_needed(world, _take_for_entries(world, proposed, clocks))
    note_arrivals(world, desk)
    refused = _refusal(session_open(desk))
    if refused:
        return recorded(world, _cycle(world, call, desk, (), refused))
    proposed = begun(world, call, proposed, desk.now)
    intents = [record.intent for record in desk.books.intents]
    promised = frozenset(intent.client_order_id for intent in intents)
    entered = _entered_before(call, intents)
    book = replace(desk.book, new_entries=entered) if entered else desk.book
    account = AccountAsk(desk, book, world.rules.limits, world.rules.halts)
    records = list(sent_before.values())
    done = {(record.candidate.strategy, record.candidate.symbol) for record in records}
    for candidate in _sells_first(world, desk, proposed, done):
        account, traded = _trade(world, call, account, candidate, promised)
        account, traded = make_room(world, call, account, traded, proposed.candidates, records)
        records += traded
        sent_before |= {record.client_order_id: record for record in traded if record.client_order_id}
    finish_judged(world, call, proposed.own.asked, records, desk.now)
    cycle = _cycle(world, call, account.desk, tuple(records), refused_strategies=proposed.refused)
    return _conclude(world, desk, replace(cycle, waiting=proposed.own.waiting))


def _take_for_entries(world: World, proposed: Proposals, clocks: ClockReading | None) -> Desk:
    """Return the desk, with what is wrong with the core signals that the strategies read."""
    desk = take(world, with_flow=True, clocks=clocks, symbols=_symbols(world, proposed))
    drifts = worst_core_drifts(world, proposed.reads, desk.now)
    return replace(desk, core_drifts=drifts) if drifts else desk


def _symbols(world: World, proposed: Proposals) -> tuple[str, ...]:
    """Return the symbols that candidates name, in the order of the universe, those of other universes last."""
    named = {candidate.symbol for candidate in proposed.candidates}
    return (*(s for s in world.rules.universe if s in named), *sorted(named - set(world.rules.universe)))


def _entered_before(call: Call, promised: Iterable[Intent]) -> tuple[str, ...]:
    """Return the strategy of each entry of this pass's earlier, interrupted runs; they count toward its limit."""
    earlier = (intent for intent in promised if intent.cycle_id == call.cycle_id)
    return tuple(intent.key.strategy for intent in earlier if _enters(intent))


def _enters(intent: Intent) -> bool:
    return intent.operation is Operation.SUBMIT and intent.purpose is Purpose.OPEN


def _sells_first(world: World, desk: Desk, proposed: Proposals, done: Collection[tuple[str, str]]) -> list[Candidate]:
    """Return the candidates that this pass hasn't sent yet, those that close or reduce before those that open.

    Targets become the changes that reach them.
    """
    left = (candidate for candidate in proposed.candidates if (candidate.strategy, candidate.symbol) not in done)
    changes = [change_to(candidate, desk, world.rules.of(candidate.strategy)) for candidate in left]
    return sorted(changes, key=lambda candidate: candidate.purpose is Purpose.OPEN)


def _ends_at_its_target(candidate: Candidate) -> bool:
    """Return True if there is nothing to trade, so that no gate has to be asked."""
    return any(decision.gate is Gate.TARGET and not decision.passed for decision in candidate.decisions)


def _trade(
    world: World, call: Call, account: AccountAsk, candidate: Candidate, promised: Collection[str]
) -> tuple[AccountAsk, Records]:
    """Judge one candidate and send its orders if it passes; return the account as that leaves it, and the records."""
    if _ends_at_its_target(candidate):
        return account, (CandidateRecord(candidate, candidate.decisions),)
    if candidate.purpose is Purpose.OPEN:
        account, record = _enter(world, call, account, candidate, promised)
        return account, (record,)
    closed = close_as_wanted(world, call, account.desk, candidate)
    desk = after_closing(account.desk, closed)
    book = account.book if desk is account.desk else account.book.with_closing(candidate.symbol)
    return replace(account, desk=desk, book=book), closed


def _enter(
    world: World, call: Call, account: AccountAsk, candidate: Candidate, promised: Collection[str]
) -> tuple[AccountAsk, CandidateRecord]:
    """Run every gate on an entry and send it if all of them pass; an order that may fill counts as filled."""
    desk, book = account.desk, account.book
    own, quote = world.rules.of(candidate.strategy), desk.quotes.get(candidate.symbol)
    strategy = account.of(candidate.strategy, own)
    stop = stop_distance(candidate, world.rules.exits_of(candidate.strategy))
    size = entry_size(candidate, quote, strategy.book, strategy.limits, stop) if quote else None
    collar = size.limit_price if size else None
    key = wanted_key(world, call, desk, candidate)
    depth = liquidity(candidate.side, quote, size.quantity, own.execution) if quote and size else ()
    judged = replace(candidate, decisions=(*candidate.decisions, *depth))
    decisions = decide(Ask(strategy, judged, quote, size, promised=key.client_order_id() in promised))
    if quote is None or size is None or first_failure(decisions):
        return account, CandidateRecord(candidate, decisions, reference_price=collar)
    price = entry_price(candidate.instrument, candidate.side, quote, size.limit_price, own.execution)
    approach = Approach(size.limit_price, desk.now) if own.execution.style is Style.PASSIVE else None
    intent = submit_intent(call, desk, candidate, size.quantity, price, key.leg, approach)
    sent = send(world, desk, intent, decisions)
    record = CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, price)
    entered = Entered(candidate.strategy, candidate.symbol, candidate.side, desk.now)
    if sent.reason not in NEVER_PROMISED:
        book = book.with_order(entered)
    if sent.reason not in NEVER_FILLS:
        book = book.with_entry(entered, size.notional_usd, desk.sectors[candidate.symbol])
    return replace(account, desk=after_send(world, desk, sent), book=book), record


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
    desk = halt_if_needed(world, take(world, with_flow=False, clocks=clocks, watching=True))
    note_arrivals(world, desk)
    refused = _refusal(session_open_to_leave(desk, world.rules.limits))
    if refused:
        return recorded(world, _cycle(world, call, desk, (), refused))
    watched = watch(world, desk)
    exits = close_one_by_one(desk, desk.positions, partial(_apply_exit_rules, world, call, watched))
    symbols_to_close = frozenset(record.candidate.symbol for record in exits if _rule_fired(record))
    changes = end_or_reprice(world, call, desk, symbols_to_close, ended)
    leaving = frozenset(record.candidate.symbol for record in exits if _is_leaving(record))
    kept = [held for held in watched.values() if held.position.symbol not in leaving]
    wanted = {(held.position.strategy, held.position.symbol): levels(held, _rules(world, held)) for held in kept}
    stops = protect(world, call, desk, wanted)
    return _conclude(world, desk, _cycle(world, call, desk, (*exits, *ended.values(), *changes, *stops)))


def flatten(world: World, call: Call, symbols: frozenset[str] | None) -> CycleRecord:
    """Close our positions in the given symbols (None means all of them), and cancel our entries in them.

    An exit that works already goes on, at the price of this moment; so the stop of its pair stays in place too.
    """
    desk = take(world, with_flow=False)
    refused = _refusal(session_open_to_leave(desk, world.rules.limits))
    if refused:
        return recorded(world, _cycle(world, call, desk, (), refused))
    named: Callable[[str], bool] = lambda symbol: symbols is None or symbol in symbols  # noqa: E731
    asked = tuple(_cancel_in_the_way(world, call, desk, named))
    if asked:
        # A canceled order may have filled in the meantime, so read again what is left to close.
        desk = _as_if_canceled(desk, named) if world.dry_run else take(world, with_flow=False)
    cancels = tuple(taken_back(world, desk, record, (order,), desk.orders) for order, record in asked)
    at_work = keep_exits(world, call, desk, named)
    wanted = ExitCall(Decision(Gate.EXIT, Verdict.PASS, Reason.CLOSED_BY_HAND, call.by), why=(Part("closed_by_hand"),))
    held = [position for position in desk.positions if named(position.symbol)]
    closes = close_one_by_one(at_work.desk, held, partial(_flatten_one, world, call, wanted, at_work.shares))
    return _conclude(world, desk, _cycle(world, call, desk, (*cancels, *at_work.records, *closes)))


def _cancel_in_the_way(
    world: World, call: Call, desk: Desk, named: Callable[[str], bool]
) -> Iterator[tuple[Order, CandidateRecord]]:
    """Cancel our orders that would stand in the way of closing positions: entries, and exits that can't stay."""
    for order, record in our_working_orders(world, desk):
        # We can't close a position the venue hasn't confirmed, so a working exit may be its only protection.
        needless = is_exit(order, record) and order.symbol not in desk.unproven and not may_stay(desk, order, record)
        if named(order.symbol) and (needless or record.intent.purpose is Purpose.OPEN):
            yield order, cancel_order(world, call, desk, order, record, Reason.CLOSED_BY_HAND)
    for order in forgotten_exits(desk):
        if named(order.symbol):
            yield order, cancel_forgotten(world, call, desk, order, Reason.CLOSED_BY_HAND)


def _flatten_one(
    world: World, call: Call, asked: ExitCall, at_work: Mapping[Whose, Decimal], desk: Desk, position: Position
) -> Records:
    """Close the shares of a position for which no exit is at work."""
    closing = at_work.get((position.strategy, position.symbol))
    left = None if closing is None else abs(position.quantity) - closing
    if left is not None and left <= 0:
        return ()
    return close(world, call, desk, position, replace(asked, shares=left), "flatten")


def _as_if_canceled(desk: Desk, named: Callable[[str], bool]) -> Desk:
    left = tuple(order for order in desk.book.own_orders if not named(order.symbol))
    return replace(desk, book=replace(desk.book, own_orders=left))


def _refusal(decision: Decision) -> Decision | None:
    """Return the decision that refuses the whole pass because the session is closed, or None if it is open."""
    return None if decision.passed else replace(decision, gate=Gate.JOB)


def _apply_exit_rules(world: World, call: Call, watched: Mapping[Key, Held], desk: Desk, position: Position) -> Records:
    """Decide on one position and send its exit. A stale quote is no veto; it only shows as the decision's age."""
    held, quote = watched[position.key], desk.quotes.get(position.symbol)
    ratio = desk.position_ratios.get(position.symbol, Decimal(1))
    clocks = clocks_agree(desk.clock_ahead_s, world.rules.limits)
    rules = _rules(world, held)
    why = judge(held, quote, desk.now, rules, desk.state.state, ratio, clocks, desk.session)
    return close(world, call, desk, position, left_to_venue(world, desk, position, why), "exit")


def _rules(world: World, held: Held) -> Exits:
    return in_force(world.rules.exits_of(held.position.strategy), held.kept)


def _rule_fired(record: CandidateRecord) -> bool:
    return any(decision.gate is Gate.EXIT and decision.passed for decision in record.decisions)


def _is_leaving(record: CandidateRecord) -> bool:
    """Return True if a lost exit is sent again, or a rule closes all shares, or a part and no order worked for that."""
    refused = record.terminal
    part = record.candidate.purpose is Purpose.REDUCE and refused is not None and refused.gate is Gate.WORKING
    return AGAIN in record.decisions or (_rule_fired(record) and not part)


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
        mode_of(world),
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


def _conclude(world: World, desk: Desk, cycle: CycleRecord) -> CycleRecord:
    """Tell what a person should hear about the pass, then record it."""
    tell(world, desk, cycle)
    return recorded(world, with_gaps(world, desk, cycle))
