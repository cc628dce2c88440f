"""The gates of an entry: each is one predicate over the candidate and the projected book, and all of them are asked."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from operator import attrgetter

from tradebot.gates import book as limits_of
from tradebot.gates import halts as halts_of
from tradebot.gates import rates
from tradebot.gates.common import (
    answer,
    candidate_fresh,
    clocks_agree,
    permission_to_enter,
    session_open,
    trading_state,
    unresolved,
    working_for_entry,
)
from tradebot.gates.sizing import Size
from tradebot.limits import HaltRules, Limits
from tradebot.model.bar import Quote
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Book, Desk, Entered
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts

NOT_USED = "not used"
"""What a flow-data gate observes about a candidate that wasn't made from flow."""


@dataclass(frozen=True)
class AccountAsk:
    """What a gate may look at if it judges the account, whatever the candidate."""

    desk: Desk
    book: Book
    limits: Limits
    halts: HaltRules

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Return the decisions of these gates, which are the same for every candidate and so are computed only once."""
        return tuple(gate(self) for gate in _OF_ACCOUNT.values())


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything a gate may look at; `quote` and `size` are None if the venue gave no usable quote."""

    account: AccountAsk
    candidate: Candidate
    quote: Quote | None
    size: Size | None
    promised: bool

    @property
    def desk(self) -> Desk:
        """Return what was read when the pass began."""
        return self.account.desk

    @property
    def book(self) -> Book:
        """Return the book with the pass's earlier orders."""
        return self.account.book

    @property
    def limits(self) -> Limits:
        """Return the configured limits."""
        return self.account.limits

    @property
    def facts(self) -> SymbolFacts:
        """Return the symbol's facts; they are empty if nothing was fetched."""
        return self.desk.facts.get(self.candidate.symbol) or SymbolFacts(self.candidate.symbol)

    @property
    def sector(self) -> str | None:
        """Return the symbol's configured sector, or None."""
        return self.desk.sectors.get(self.candidate.symbol)


def decide(ask: Ask) -> tuple[Decision, ...]:
    """Return the decisions of every gate, merged with the candidate's own, in the fixed order of asking."""
    # The sort is stable, so a strategy's decision comes before the gate's own and never replaces it.
    answers = (*ask.candidate.decisions, *ask.account.decisions, *(gate(ask) for gate in _OF_CANDIDATE.values()))
    return tuple(sorted(answers, key=_PLACE))


def _session(account: AccountAsk) -> Decision:
    decision = session_open(account.desk)
    return clocks_agree(account.desk.clock_ahead_s, account.limits) if decision.passed else decision


def _reconciled(account: AccountAsk) -> Decision:
    """Refuse while books and broker differ, or were compared too long ago."""
    mark, limit = account.desk.reconcile, account.limits.max_reconcile_age_s
    if account.desk.unreadable or account.desk.untraced_fills:
        missing = account.desk.unreadable + account.desk.untraced_fills
        return Decision(Gate.RECONCILED, Verdict.UNKNOWN, Reason.VIEW_INCOMPLETE, missing, 0)
    if not account.desk.steady:
        return Decision(Gate.RECONCILED, Verdict.UNKNOWN, Reason.VIEW_UNSTEADY)
    if account.desk.differences:
        first, *others = account.desk.differences
        found = f"{first.symbol}: broker {first.broker:f}, books {first.books:f}"
        more = f", and {len(others)} more" if others else ""
        return Decision(Gate.RECONCILED, Verdict.FAIL, Reason.POSITIONS_DIFFER, f"{found}{more}")
    if mark is None:
        return Decision(Gate.RECONCILED, Verdict.UNKNOWN, Reason.NOT_RECONCILED)
    if mark.blocking:
        return Decision(Gate.RECONCILED, Verdict.FAIL, Reason.RECONCILE_FINDINGS, mark.blocking, 0)
    age = (account.desk.now - mark.at).total_seconds()
    return _check_age(
        account.limits, Gate.RECONCILED, age, limit, (Reason.RECONCILE_STALE, Reason.RECONCILE_FROM_FUTURE)
    )


def _check_age(limits: Limits, gate: Gate, age: float, limit: int, reasons: tuple[Reason, Reason]) -> Decision:
    """Compare an age in seconds with its limit; `reasons` are for "too old" and for "dated in the future"."""
    stale, ahead = reasons
    if age < -limits.max_clock_skew_s:
        return Decision(gate, Verdict.FAIL, ahead, age, 0, age)
    return answer(gate, age <= limit, stale, age, limit, age)


def _flow_contract(ask: Ask) -> Decision:
    """Fail if too many rows belong to other tickers or can't be read: the reply isn't what we asked for."""
    if not ask.candidate.reads_flow:
        return Decision(Gate.FLOW_CONTRACT, Verdict.PASS, None, NOT_USED)
    facts, limit = ask.facts, ask.limits.max_foreign_share
    if not facts.received:
        return Decision(Gate.FLOW_CONTRACT, Verdict.PASS, None, 0, limit)
    share = Decimal(facts.foreign + facts.rejected) / facts.received
    return answer(Gate.FLOW_CONTRACT, share <= limit, Reason.FLOW_CONTRACT_FAILED, share, limit)


def _flow_fresh(ask: Ask) -> Decision:
    if not ask.candidate.reads_flow:
        return Decision(Gate.FLOW_FRESH, Verdict.PASS, None, NOT_USED)
    fetched, limit = ask.facts.alerts_fetched_at, ask.limits.max_flow_age_s
    if fetched is None:
        return Decision(Gate.FLOW_FRESH, Verdict.UNKNOWN, Reason.FLOW_MISSING)
    age = (ask.desk.now - fetched).total_seconds()
    return _check_age(ask.limits, Gate.FLOW_FRESH, age, limit, (Reason.FLOW_STALE, Reason.FLOW_FROM_FUTURE))


def _quote_fresh(ask: Ask) -> Decision:
    if ask.quote is None:
        why = ask.desk.rejected_quotes.get(ask.candidate.symbol)
        return Decision(Gate.QUOTE_FRESH, Verdict.UNKNOWN, Reason.QUOTE_MISSING, why)
    age, limit = ask.quote.age_s(ask.desk.now), ask.limits.max_quote_age_s
    return _check_age(ask.limits, Gate.QUOTE_FRESH, age, limit, (Reason.QUOTE_STALE, Reason.QUOTE_FROM_FUTURE))


def _positioned(ask: Ask) -> Decision:
    symbol = ask.candidate.symbol
    if symbol in ask.book.foreign:
        return Decision(Gate.POSITIONED, Verdict.FAIL, Reason.FOREIGN_POSITION)
    return answer(Gate.POSITIONED, symbol not in ask.book.held, Reason.ALREADY_POSITIONED)


def _score(ask: Ask) -> Decision:
    """Refuse a score that is too weak to be worth its cost."""
    if ask.candidate.score is None:
        return Decision(Gate.SCORE, Verdict.UNKNOWN, Reason.SCORE_BELOW_MIN)
    observed, limit = abs(ask.candidate.score), ask.limits.min_score
    return answer(Gate.SCORE, observed >= limit, Reason.SCORE_BELOW_MIN, observed, limit)


def _coverage(ask: Ask) -> Decision:
    observed, limit = ask.candidate.coverage, ask.limits.min_coverage
    if observed is None and not ask.candidate.reads_flow:
        return Decision(Gate.COVERAGE, Verdict.PASS, None, NOT_USED, limit)
    if observed is None:
        return Decision(Gate.COVERAGE, Verdict.UNKNOWN, Reason.COVERAGE_BELOW_MIN)
    return answer(Gate.COVERAGE, observed >= limit, Reason.COVERAGE_BELOW_MIN, observed, limit)


def _size(ask: Ask) -> Decision:
    if ask.size is None:
        return Decision(Gate.SIZE, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    lot = ask.candidate.instrument.lot
    return answer(Gate.SIZE, ask.size.quantity >= lot, Reason.SIZE_BELOW_ONE, ask.size.quantity, lot)


def _price_collar(ask: Ask) -> Decision:
    limit = ask.limits.price_collar_fraction
    if ask.quote is None or ask.size is None:
        return Decision(Gate.PRICE_COLLAR, Verdict.UNKNOWN, Reason.QUOTE_MISSING, None, limit)
    if ask.quote.previous_close is None:
        return Decision(Gate.PRICE_COLLAR, Verdict.UNKNOWN, Reason.PREVIOUS_CLOSE_MISSING, None, limit)
    moved = abs(ask.size.limit_price / ask.quote.previous_close - 1)
    return answer(Gate.PRICE_COLLAR, moved <= limit, Reason.PRICE_MOVED, moved, limit)


def _spread(ask: Ask) -> Decision:
    """Refuse a quote whose spread would cost too much."""
    limit = ask.limits.max_spread_fraction
    if ask.quote is None:
        return Decision(Gate.SPREAD, Verdict.UNKNOWN, Reason.QUOTE_MISSING, None, limit)
    spread = (ask.quote.ask - ask.quote.bid) / ask.quote.middle
    return answer(Gate.SPREAD, spread <= limit, Reason.SPREAD_TOO_WIDE, spread, limit)


def _new_entries(account: AccountAsk) -> Decision:
    after, limit = account.book.new_entries + 1, account.limits.max_new_entries
    return answer(Gate.NEW_ENTRIES, after <= limit, Reason.MAX_NEW_ENTRIES, after, limit)


def _order_notional(ask: Ask) -> Decision:
    if ask.size is None:
        return Decision(Gate.ORDER_NOTIONAL, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    limits, value = ask.limits, ask.size.notional_usd
    if value < limits.min_order_notional_usd:
        smallest = limits.min_order_notional_usd
        return Decision(Gate.ORDER_NOTIONAL, Verdict.FAIL, Reason.ORDER_NOTIONAL_BELOW_MIN, value, smallest)
    largest = min(limits.max_order_notional_usd, limits.max_order_fraction * ask.book.equity)
    return answer(Gate.ORDER_NOTIONAL, value <= largest, Reason.ORDER_NOTIONAL_ABOVE_MAX, value, largest)


def _symbol_notional(ask: Ask) -> Decision:
    if ask.size is None:
        return _unpriced(Gate.SYMBOL_NOTIONAL, ask.limits.max_symbol_fraction)
    return limits_of.symbol_notional(ask.book, ask.limits, ask.candidate.symbol, ask.size.notional_usd)


def _sector_notional(ask: Ask) -> Decision:
    limit = ask.limits.max_sector_fraction
    if ask.sector is None:
        return Decision(Gate.SECTOR_NOTIONAL, Verdict.UNKNOWN, Reason.SECTOR_UNKNOWN, None, limit)
    if ask.size is None:
        return _unpriced(Gate.SECTOR_NOTIONAL, limit)
    return limits_of.sector_notional(ask.book, ask.limits, ask.sector, ask.size.notional_usd)


def _gross_notional(ask: Ask) -> Decision:
    if ask.size is None:
        return _unpriced(Gate.GROSS_NOTIONAL, ask.limits.max_gross_fraction)
    return limits_of.gross_notional(ask.book, ask.limits, ask.size.notional_usd)


def _unpriced(gate: Gate, limit: Decimal) -> Decision:
    return Decision(gate, Verdict.UNKNOWN, Reason.QUOTE_MISSING, None, limit)


def _buying_power(ask: Ask) -> Decision:
    if ask.size is None:
        return Decision(Gate.BUYING_POWER, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    need, have = ask.size.margin_usd, ask.book.buying_power
    return answer(Gate.BUYING_POWER, need <= have, Reason.BUYING_POWER_SHORT, need, have)


def _cooldown(ask: Ask) -> Decision:
    """Refuse a symbol for a while after any fill in it."""
    last, limit = ask.book.last_fill_at.get(ask.candidate.symbol), ask.limits.cooldown_s
    if last is None:
        return Decision(Gate.COOLDOWN, Verdict.PASS, None, None, limit)
    waited = (ask.desk.now - last).total_seconds()
    return answer(Gate.COOLDOWN, waited >= limit, Reason.COOLDOWN, waited, limit, waited)


def _symbol_entries(ask: Ask) -> Decision:
    entered = Entered(ask.candidate.strategy, ask.candidate.symbol, ask.candidate.side, ask.desk.now)
    return rates.symbol_entries(ask.book, ask.limits, entered, more=1)


def _duplicate(ask: Ask) -> Decision:
    if ask.promised:
        return Decision(Gate.DUPLICATE, Verdict.FAIL, Reason.DUPLICATE_INTENT)
    return rates.duplicate_order(ask.book, ask.limits, ask.candidate.symbol, ask.candidate.side, ask.desk.now)


_OF_ACCOUNT: dict[Gate, Callable[[AccountAsk], Decision]] = {
    Gate.PERMISSION: lambda account: permission_to_enter(account.desk),
    Gate.TRADING_STATE: lambda account: trading_state(account.desk),
    Gate.SESSION: _session,
    Gate.SECOND_WRITER: lambda account: halts_of.second_writer(account.desk),
    Gate.BOOKS_OLD: lambda account: halts_of.books_old(account.desk),
    Gate.VENUE_DRIFT: lambda account: halts_of.venue_drift(account.desk, account.halts),
    Gate.REFUSALS: lambda account: halts_of.refusals(account.desk, account.halts),
    Gate.UNANSWERED: lambda account: halts_of.unanswered(account.desk, account.halts),
    Gate.RECONCILED: _reconciled,
    Gate.OPEN_POSITIONS: lambda account: limits_of.open_positions(account.book, account.limits, more=1),
    Gate.NEW_ENTRIES: _new_entries,
    Gate.SESSION_ENTRIES: lambda account: rates.session_entries(account.book, account.limits, more=1),
    Gate.ORDER_RATE: lambda account: rates.order_rate(account.book, account.limits, account.desk.now, more=1),
    Gate.DAILY_LOSS: lambda account: limits_of.daily_loss(account.book, account.limits),
    Gate.DRAWDOWN: lambda account: limits_of.drawdown(account.book, account.halts),
}
_OF_CANDIDATE: dict[Gate, Callable[[Ask], Decision]] = {
    Gate.FLOW_CONTRACT: _flow_contract,
    Gate.FLOW_FRESH: _flow_fresh,
    Gate.QUOTE_FRESH: _quote_fresh,
    Gate.CANDIDATE_FRESH: lambda ask: candidate_fresh(ask.candidate, ask.desk.now, ask.limits),
    Gate.COVERAGE: _coverage,
    Gate.POSITIONED: _positioned,
    Gate.WORKING: lambda ask: working_for_entry(ask.desk, ask.book, ask.candidate.symbol),
    Gate.UNRESOLVED: lambda ask: unresolved(ask.book, ask.candidate.symbol),
    Gate.SCORE: _score,
    Gate.SIZE: _size,
    Gate.PRICE_COLLAR: _price_collar,
    Gate.SPREAD: _spread,
    Gate.SYMBOL_ENTRIES: _symbol_entries,
    Gate.ORDER_NOTIONAL: _order_notional,
    Gate.SYMBOL_NOTIONAL: _symbol_notional,
    Gate.SECTOR_NOTIONAL: _sector_notional,
    Gate.GROSS_NOTIONAL: _gross_notional,
    Gate.BUYING_POWER: _buying_power,
    Gate.COOLDOWN: _cooldown,
    Gate.DUPLICATE: _duplicate,
}
_PLACE = attrgetter("gate.place")
