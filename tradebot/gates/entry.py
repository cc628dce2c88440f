"""The gates of an entry that are always asked: each is one predicate over the candidate and the projected book."""

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from functools import cached_property

from msgspec import Struct, field

from tradebot.gates import book as limits_of
from tradebot.gates import halts as halts_of
from tradebot.gates.book import own
from tradebot.gates.common import (
    answer,
    candidate_fresh,
    clocks_agree,
    flow_contract,
    permission_to_enter,
    promotion,
    rested,
    session_open,
    trading_state,
    unquoted,
    unresolved,
    working_for_entry,
)
from tradebot.gates.costs import Plan
from tradebot.gates.registry import enough_healthy
from tradebot.gates.sizing import Size
from tradebot.model.bar import Quote
from tradebot.model.candidate import Candidate, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Book, Desk
from tradebot.model.limits import HaltRules, Limits, OwnRules
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts

NOT_USED = "not used"
"""What a gate observes about a candidate that has no use for it: flow that wasn't read, or a target's score."""


class AccountAsk(Struct, frozen=True, dict=True):
    """What a gate may look at if it judges the account, whatever the candidate."""

    desk: Desk
    book: Book
    limits: Limits
    halts: HaltRules
    promised: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Our ids of the orders that were promised before, by symbol."""

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        registry = self.desk.registry
        of_data = (enough_healthy(registry, self.desk.now),) if registry else ()
        return (*(gate(self) for gate in _OF_ACCOUNT.values()), *of_data)

    @cached_property
    def _strategies(self) -> dict[str, tuple[Book, tuple[Decision, ...]]]:
        # Not what is asked itself: that refers to this, and a circle would stay in memory until it is looked for.
        return {}

    def of(self, strategy: str, rules: OwnRules) -> "StrategyAsk":
        """Return what a gate may look at if it judges one strategy, whatever the candidate."""
        known = self._strategies.get(strategy)
        if known is not None:
            return StrategyAsk(strategy, self, known[0], rules.limits, known[1])
        equity = rules.allotment_fraction * self.book.equity
        asked = StrategyAsk(strategy, self, self.book.own(strategy, equity, self.desk.sectors), rules.limits)
        self._strategies[strategy] = asked.book, asked.decisions
        return asked


class StrategyAsk(Struct, frozen=True, dict=True):
    """What a gate may look at if it judges one strategy: its own book and limits, and what was decided already."""

    name: str
    account: AccountAsk
    book: Book
    limits: Limits
    decided: tuple[Decision, ...] = ()

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        if self.decided:
            return self.decided
        return *promotion(self.account.desk, self.name), *(gate(self) for gate in _OF_STRATEGY.values())


class Ask(Struct, frozen=True):
    """Everything a gate may look at; `quote` and `size` are None if the venue gave no usable quote.

    `plan` is also None if no limit on costs is set.
    """

    strategy: StrategyAsk
    candidate: Candidate
    quote: Quote | None
    size: Size | None
    promised: bool
    plan: Plan | None = None

    @property
    def account(self) -> AccountAsk:
        return self.strategy.account

    @property
    def desk(self) -> Desk:
        return self.strategy.account.desk

    @property
    def book(self) -> Book:
        """Return the account's book with the pass's earlier orders."""
        return self.strategy.account.book

    @property
    def limits(self) -> Limits:
        return self.strategy.limits

    @property
    def facts(self) -> SymbolFacts:
        """Return the symbol's facts; they are empty if nothing was fetched."""
        return self.desk.facts.get(self.candidate.symbol) or SymbolFacts(self.candidate.symbol)

    @property
    def sector(self) -> str | None:
        return self.desk.sectors.get(self.candidate.symbol)


def decisions(ask: Ask) -> list[Decision]:
    """Return the decisions of the gates that are always asked."""
    return [*ask.account.decisions, *ask.strategy.decisions, *[gate(ask) for gate in _OF_CANDIDATE.values()]]


def _session(strategy: StrategyAsk) -> Decision:
    desk = strategy.account.desk
    decision = session_open(desk)
    return clocks_agree(desk.clock_ahead_s, strategy.limits) if decision.passed else decision


def _reconciled(strategy: StrategyAsk) -> Decision:
    """Refuse while books and broker differ, or were compared too long ago."""
    account, limits = strategy.account, strategy.limits
    mark, limit = account.desk.reconcile, limits.max_reconcile_age_s
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
    return _check_age(limits, Gate.RECONCILED, age, limit, (Reason.RECONCILE_STALE, Reason.RECONCILE_FROM_FUTURE))


def _check_age(limits: Limits, gate: Gate, age: float, limit: int, reasons: tuple[Reason, Reason]) -> Decision:
    """Compare an age in seconds with its limit; `reasons` are for "too old" and for "dated in the future"."""
    stale, ahead = reasons
    if age < -limits.max_clock_skew_s:
        return Decision(gate, Verdict.FAIL, ahead, age, 0, age)
    return answer(gate, age <= limit, stale, age, limit, age)


def _flow_contract(ask: Ask) -> Decision:
    """Fail if too many rows are foreign or can't be read, or if a core signal isn't what its source documents."""
    if not ask.candidate.reads_flow:
        return Decision(Gate.FLOW_CONTRACT, Verdict.PASS, None, NOT_USED)
    core = ask.desk.core_drifts.get(ask.candidate.strategy)
    return flow_contract(ask.facts, core, ask.limits.max_foreign_share)


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
        return unquoted(Gate.QUOTE_FRESH, ask.desk.rejected_quotes.get(ask.candidate.symbol))
    age, limit = ask.quote.age_s(ask.desk.now), ask.limits.max_quote_age_s
    return _check_age(ask.limits, Gate.QUOTE_FRESH, age, limit, (Reason.QUOTE_STALE, Reason.QUOTE_FROM_FUTURE))


def _positioned(ask: Ask) -> Decision:
    """Refuse a symbol that someone else holds, or another strategy of ours on the opposite side.

    The same strategy may add to its position only on the way to a target. Nobody enters a coin of which
    another contract is held.
    """
    symbol, candidate = ask.candidate.symbol, ask.candidate
    if symbol in ask.book.foreign:
        return Decision(Gate.POSITIONED, Verdict.FAIL, Reason.FOREIGN_POSITION)
    if symbol in ask.strategy.book.held and not _is_target(ask):
        return Decision(Gate.POSITIONED, Verdict.FAIL, Reason.ALREADY_POSITIONED)
    if other := ask.desk.other_contracts.get(symbol):
        return Decision(Gate.POSITIONED, Verdict.FAIL, Reason.OTHER_CONTRACT, other)
    others = ask.book.opposite(candidate.strategy, symbol, candidate.side)
    return answer(Gate.POSITIONED, not others, Reason.OPPOSITE_SIDE, ", ".join(others) or None)


def _is_target(ask: Ask) -> bool:
    return ask.candidate.want is WantKind.TARGET


def _score(ask: Ask) -> Decision:
    """Refuse a score that is too weak to be worth its cost."""
    if _is_target(ask):
        return Decision(Gate.SCORE, Verdict.PASS, None, NOT_USED)
    if ask.candidate.score is None:
        return Decision(Gate.SCORE, Verdict.UNKNOWN, Reason.SCORE_BELOW_MIN)
    observed, limit = abs(ask.candidate.score), ask.limits.min_score
    return answer(Gate.SCORE, observed >= limit, Reason.SCORE_BELOW_MIN, observed, limit)


def _coverage(ask: Ask) -> Decision:
    observed, limit = ask.candidate.coverage, ask.limits.min_coverage
    if _is_target(ask) or (observed is None and not ask.candidate.reads_flow):
        return Decision(Gate.COVERAGE, Verdict.PASS, None, NOT_USED, limit)
    if observed is None:
        return Decision(Gate.COVERAGE, Verdict.UNKNOWN, Reason.COVERAGE_BELOW_MIN)
    return answer(Gate.COVERAGE, observed >= limit, Reason.COVERAGE_BELOW_MIN, observed, limit)


def _size(ask: Ask) -> Decision:
    if ask.size is None:
        return unpriced(Gate.SIZE)
    minimum = ask.desk.listing_for(ask.candidate.instrument).minimum
    return answer(Gate.SIZE, ask.size.quantity >= minimum, Reason.SIZE_BELOW_ONE, ask.size.quantity, minimum)


def _price_collar(ask: Ask) -> Decision:
    limit = ask.limits.price_collar_fraction
    if ask.quote is None or ask.size is None:
        return unpriced(Gate.PRICE_COLLAR, limit)
    if ask.quote.previous_close is None:
        return Decision(Gate.PRICE_COLLAR, Verdict.UNKNOWN, Reason.PREVIOUS_CLOSE_MISSING, None, limit)
    moved = abs(ask.size.limit_price / ask.quote.previous_close - 1)
    return answer(Gate.PRICE_COLLAR, moved <= limit, Reason.PRICE_MOVED, moved, limit)


def _spread(ask: Ask) -> Decision:
    """Refuse a quote whose spread would cost too much."""
    limit = ask.limits.max_spread_fraction
    if ask.quote is None:
        return unpriced(Gate.SPREAD, limit)
    spread = (ask.quote.ask - ask.quote.bid) / ask.quote.middle
    return answer(Gate.SPREAD, spread <= limit, Reason.SPREAD_TOO_WIDE, spread, limit)


def _new_entries(book: Book, limits: Limits) -> Decision:
    after, limit = len(book.new_entries) + 1, limits.max_new_entries
    return answer(Gate.NEW_ENTRIES, after <= limit, Reason.MAX_NEW_ENTRIES, after, limit)


def _order_notional(ask: Ask) -> Decision:
    if ask.size is None:
        return unpriced(Gate.ORDER_NOTIONAL)
    limits, value = ask.limits, ask.size.notional_usd
    if value < limits.min_order_notional_usd:
        smallest = limits.min_order_notional_usd
        return Decision(Gate.ORDER_NOTIONAL, Verdict.FAIL, Reason.ORDER_NOTIONAL_BELOW_MIN, value, smallest)
    largest = min(limits.max_order_notional_usd, limits.max_order_fraction * ask.strategy.book.equity)
    return answer(Gate.ORDER_NOTIONAL, value <= largest, Reason.ORDER_NOTIONAL_ABOVE_MAX, value, largest)


def _symbol_notional(ask: Ask, book: Book, limits: Limits) -> Decision:
    if ask.size is None:
        return unpriced(Gate.SYMBOL_NOTIONAL, limits.max_symbol_fraction)
    return limits_of.symbol_notional(book, limits, ask.candidate.symbol, ask.size.notional_usd)


def _sector_notional(ask: Ask, book: Book, limits: Limits) -> Decision:
    limit = limits.max_sector_fraction
    if ask.sector is None:
        return Decision(Gate.SECTOR_NOTIONAL, Verdict.UNKNOWN, Reason.SECTOR_UNKNOWN, None, limit)
    if ask.size is None:
        return unpriced(Gate.SECTOR_NOTIONAL, limit)
    return limits_of.sector_notional(book, limits, ask.sector, ask.size.notional_usd)


def _gross_notional(ask: Ask, book: Book, limits: Limits) -> Decision:
    if ask.size is None:
        return unpriced(Gate.GROSS_NOTIONAL, limits.max_gross_fraction)
    return limits_of.gross_notional(book, limits, ask.size.notional_usd)


def _open_positions(ask: Ask, book: Book, limits: Limits) -> Decision:
    return limits_of.open_positions(book, limits, ask.candidate.symbol)


def unpriced(gate: Gate, limit: Decimal | None = None) -> Decision:
    return Decision(gate, Verdict.UNKNOWN, Reason.QUOTE_MISSING, None, limit)


def _buying_power(ask: Ask) -> Decision:
    if ask.size is None:
        return unpriced(Gate.BUYING_POWER)
    lacking = ask.book.margin.lacking(ask.candidate.symbol) if ask.book.margin else None
    if lacking:
        return Decision(Gate.BUYING_POWER, Verdict.UNKNOWN, *lacking)
    need, have = ask.size.margin_usd, ask.book.buying_power
    return answer(Gate.BUYING_POWER, need <= have, Reason.BUYING_POWER_SHORT, need, have)


def _cooldown(ask: Ask) -> Decision:
    """Refuse a symbol for a while after any fill in it, and its own strategy's fill for as long as that wants."""
    symbol, now = ask.candidate.symbol, ask.desk.now
    last, own_last = ask.book.last_fill_at.get(symbol), ask.strategy.book.last_fill_at.get(symbol)
    any_fill = rested(Gate.COOLDOWN, Reason.COOLDOWN, last, now, ask.account.limits.cooldown_s)
    if not any_fill.passed or own_last is None:
        return any_fill
    return rested(Gate.COOLDOWN, Reason.COOLDOWN, own_last, now, ask.limits.cooldown_s)


def _symbol_entries(ask: Ask) -> Decision:
    candidate = ask.candidate
    return limits_of.symbol_entries(ask.book, ask.limits, candidate.strategy, candidate.symbol, candidate.side, more=1)


def _duplicate(ask: Ask) -> Decision:
    if ask.promised:
        return Decision(Gate.DUPLICATE, Verdict.FAIL, Reason.DUPLICATE_INTENT)
    return limits_of.duplicate_order(ask.book, ask.limits, ask.candidate.symbol, ask.candidate.side, ask.desk.now)


BookPredicate = Callable[[Ask, Book, Limits], Decision]


def _of_account(predicate: BookPredicate) -> Callable[[Ask], Decision]:
    """Return the gate that asks a predicate of the account's book and limits."""
    return lambda ask: predicate(ask, ask.book, ask.account.limits)


def _of_strategy(predicate: BookPredicate) -> Callable[[Ask], Decision]:
    """Return the gate that asks the same predicate of the strategy's own book and limits."""
    return lambda ask: own(predicate(ask, ask.strategy.book, ask.limits))


_OF_ACCOUNT: dict[Gate, Callable[[AccountAsk], Decision]] = {
    Gate.PERMISSION: lambda account: permission_to_enter(account.desk),
    Gate.TRADING_STATE: lambda account: trading_state(account.desk),
    Gate.SECOND_WRITER: lambda account: halts_of.second_writer(account.desk),
    Gate.BOOKS_OLD: lambda account: halts_of.books_old(account.desk),
    Gate.VENUE_DRIFT: lambda account: halts_of.venue_drift(account.desk, account.halts),
    Gate.REFUSALS: lambda account: halts_of.refusals(account.desk, account.halts),
    Gate.UNANSWERED: lambda account: halts_of.unanswered(account.desk, account.halts),
    Gate.NEW_ENTRIES: lambda account: _new_entries(account.book, account.limits),
    Gate.SESSION_ENTRIES: lambda account: limits_of.session_entries(account.book, account.limits, more=1),
    Gate.ORDER_RATE: lambda account: limits_of.order_rate(account.book, account.limits, account.desk.now, more=1),
    Gate.DAILY_LOSS: lambda account: limits_of.daily_loss(account.book, account.limits),
    Gate.DRAWDOWN: lambda account: limits_of.drawdown(account.book, account.halts),
}
_OF_STRATEGY: dict[Gate, Callable[[StrategyAsk], Decision]] = {
    Gate.SESSION: _session,
    Gate.RECONCILED: _reconciled,
    Gate.OWN_NEW_ENTRIES: lambda asked: own(_new_entries(asked.book, asked.limits)),
    Gate.OWN_SESSION_ENTRIES: lambda asked: own(limits_of.session_entries(asked.book, asked.limits, more=1)),
    Gate.OWN_ORDER_RATE: lambda asked: own(
        limits_of.order_rate(asked.book, asked.limits, asked.account.desk.now, more=1)
    ),
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
    Gate.OPEN_POSITIONS: _of_account(_open_positions),
    Gate.OWN_OPEN_POSITIONS: _of_strategy(_open_positions),
    Gate.SYMBOL_ENTRIES: _symbol_entries,
    Gate.ORDER_NOTIONAL: _order_notional,
    Gate.SYMBOL_NOTIONAL: _of_account(_symbol_notional),
    Gate.OWN_SYMBOL_NOTIONAL: _of_strategy(_symbol_notional),
    Gate.SECTOR_NOTIONAL: _of_account(_sector_notional),
    Gate.OWN_SECTOR_NOTIONAL: _of_strategy(_sector_notional),
    Gate.GROSS_NOTIONAL: _of_account(_gross_notional),
    Gate.OWN_GROSS_NOTIONAL: _of_strategy(_gross_notional),
    Gate.BUYING_POWER: _buying_power,
    Gate.COOLDOWN: _cooldown,
    Gate.DUPLICATE: _duplicate,
}
