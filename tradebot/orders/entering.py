"""Trade what strategies want, one candidate after another: each sees the account as the earlier ones leave it."""

from collections import defaultdict

from tradebot.desk.halting import after_send
from tradebot.gates.decide import decide
from tradebot.gates.entry import AccountAsk, Ask
from tradebot.gates.sizing import entry_price, entry_size, liquidity, stop_distance
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Gate, first_failure
from tradebot.model.desk import Desk, Entered
from tradebot.model.execution import Approach, Style
from tradebot.model.intent import Operation
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.values import replace
from tradebot.orders.closing import NEVER_FILLS, Records, afterwards, close_as_wanted
from tradebot.orders.sending import send, submit_intent, wanted_key
from tradebot.ports.world import Call, World

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
    desk, book = account.desk, account.book
    own, quote = world.rules.of(candidate.strategy), desk.quotes.get(candidate.symbol)
    strategy = account.of(candidate.strategy, own)
    stop = stop_distance(candidate, world.rules.exits_of(candidate.strategy))
    size = entry_size(candidate, quote, strategy.book, strategy.limits, stop) if quote else None
    depth = liquidity(candidate.side, quote, size.quantity, own.execution) if quote and size else ()
    judged = replace(candidate, decisions=(*candidate.decisions, *depth)) if depth else candidate
    decisions = decide(Ask(strategy, judged, quote, size, promised=_is_promised(world, call, account, candidate)))
    if quote is None or size is None or first_failure(decisions):
        return account, CandidateRecord(candidate, decisions, reference_price=size.limit_price if size else None)
    price = entry_price(candidate.instrument, candidate.side, quote, size.limit_price, own.execution)
    approach = Approach(size.limit_price, desk.now) if own.execution.style is Style.PASSIVE else None
    leg = wanted_key(world, call, desk, candidate).leg
    intent = submit_intent(call, desk, candidate, size.quantity, price, leg, approach)
    sent = send(world, desk, intent, decisions)
    record = CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, price)
    entered = Entered(candidate.strategy, candidate.symbol, candidate.side, desk.now)
    if sent.reason not in NEVER_PROMISED:
        book = book.with_order(entered)
    if sent.reason not in NEVER_FILLS:
        book = book.with_entry(entered, size.notional_usd, desk.sectors[candidate.symbol])
    return replace(account, desk=after_send(world, desk, sent), book=book), record


def _is_promised(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> bool:
    """Return True if the order for this want was promised before. Without any on its symbol, no id has to be made."""
    ids = account.promised.get(candidate.symbol)
    return ids is not None and wanted_key(world, call, account.desk, candidate).client_order_id() in ids
