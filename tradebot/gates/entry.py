"""The gates that every entry must pass; each checks one condition on the candidate and on the book with the entry
added.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from tradebot.gates import portfolio_limits as limits_of
from tradebot.gates.ask import ACCOUNT, CANDIDATE, STRATEGY, Ask, StrategyAsk, fail_unpriced
from tradebot.gates.gate_declarations import (
    CLOSING,
    FITTED,
    LARGER,
    NEW_DATA,
    NEXT_PASS,
    NEXT_SESSION,
    OWN_GATES,
    QUIET,
    ROOM,
    SMALLER,
    STOPS,
    STYLE,
    GateSettings,
    own_reads,
)
from tradebot.gates.portfolio_limits import as_strategy_limit
from tradebot.gates.shared_gates import (
    answer,
    candidate_fresh,
    check_cooldown,
    check_unresolved,
    clocks_agree,
    fail_without_quote,
    flow_contract,
    instrument_known,
    instrument_open,
    liquid_now,
    permission_to_enter,
    promotion,
    session_open,
    trading_state,
    working_for_entry,
)
from tradebot.model.candidate import WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import RiskBook
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

BooksQuestion = Callable[[RiskBook, Limits, datetime], Decision | None]
EntryQuestion = Callable[[Ask, RiskBook, Limits], Decision | None]
BookPredicate = Callable[[RiskBook, Limits], Decision | None]
DAILY_LOSS = GateSettings(
    {"max_daily_loss_fraction": "a smaller loss, or the next session"},
    halts={"daily_loss_fraction": "the next session, then unhalt"},
)


def _of_books(gate: Gate, reads: GateSettings) -> Callable[[BooksQuestion], BooksQuestion]:
    """Declare the same gate for the account's book and limits, and for the strategy's own."""

    def declare(question: BooksQuestion) -> BooksQuestion:
        def of_own(strategy_ask: StrategyAsk) -> Decision | None:
            decision = question(strategy_ask.book, strategy_ask.limits, strategy_ask.account.desk.now)
            return decision and as_strategy_limit(decision)

        ACCOUNT.gate(gate, reads)(lambda account: question(account.book, account.limits, account.desk.now))
        STRATEGY.gate(OWN_GATES[gate], own_reads(reads))(of_own)
        return question

    return declare


def _on_books(gate: Gate, reads: GateSettings) -> Callable[[EntryQuestion], EntryQuestion]:
    """Declare the same two gates where the answer depends on the candidate too."""

    def declare(question: EntryQuestion) -> EntryQuestion:
        def of_own(ask: Ask) -> Decision | None:
            decision = question(ask, ask.strategy.book, ask.limits)
            return decision and as_strategy_limit(decision)

        CANDIDATE.gate(gate, reads)(lambda ask: question(ask, ask.book, ask.account.limits))
        CANDIDATE.gate(OWN_GATES[gate], own_reads(reads))(of_own)
        return question

    return declare


NOT_USED = "not used"
"""The observed value where a check doesn't apply, such as for flow that wasn't read, or a target's score."""


@STRATEGY.gate(
    Gate.SESSION,
    GateSettings(
        {"liquid_hours_only": "the broker's liquid hours"},
        own={"max_clock_disagreement_s": "clocks that agree"},
    ),
)
def _session(strategy: StrategyAsk) -> Decision:
    desk = strategy.account.desk
    decision = session_open(desk)
    return clocks_agree(desk.clock_ahead_s, strategy.limits) if decision.passed else decision


@STRATEGY.gate(Gate.RECONCILED, GateSettings(own={"max_reconcile_age_s": "reconcile", "max_clock_skew_s": ""}))
def _require_reconciled(strategy: StrategyAsk) -> Decision:
    """Refuse while books and broker differ, or if they were compared too long ago."""
    account, limits = strategy.account, strategy.limits
    mark, limit = account.desk.reconcile, limits.max_reconcile_age_s
    if account.desk.unreadable or account.desk.untraced_fills:
        missing = account.desk.unreadable + account.desk.untraced_fills
        return Decision(Gate.RECONCILED, Verdict.UNKNOWN, Reason.VIEW_INCOMPLETE, missing, 0)
    if not account.desk.steady:
        return Decision(Gate.RECONCILED, Verdict.UNKNOWN, Reason.VIEW_UNSTEADY)
    if account.desk.differences:
        first, *others = account.desk.differences
        detail = f"{first.symbol}: broker {first.broker:f}, books {first.books:f}"
        more = f", and {len(others)} more" if others else ""
        return Decision(Gate.RECONCILED, Verdict.FAIL, Reason.POSITIONS_DIFFER, f"{detail}{more}")
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


@CANDIDATE.gate(Gate.FLOW_CONTRACT, GateSettings(own={"max_foreign_share": NEW_DATA}))
def _flow_contract(ask: Ask) -> Decision:
    """Fail if too many rows are foreign or can't be read, or if a core signal isn't what its source documents."""
    if not ask.candidate.reads_flow:
        return Decision(Gate.FLOW_CONTRACT, Verdict.PASS, None, NOT_USED)
    core = ask.desk.core_drifts.get(ask.candidate.strategy)
    return flow_contract(ask.facts, core, ask.limits.max_foreign_share)


@CANDIDATE.gate(Gate.FLOW_FRESH, GateSettings(own={"max_flow_age_s": NEW_DATA, "max_clock_skew_s": ""}))
def _flow_fresh(ask: Ask) -> Decision:
    if not ask.candidate.reads_flow:
        return Decision(Gate.FLOW_FRESH, Verdict.PASS, None, NOT_USED)
    fetched, limit = ask.facts.alerts_fetched_at, ask.limits.max_flow_age_s
    if fetched is None:
        return Decision(Gate.FLOW_FRESH, Verdict.UNKNOWN, Reason.FLOW_MISSING)
    age = (ask.desk.now - fetched).total_seconds()
    return _check_age(ask.limits, Gate.FLOW_FRESH, age, limit, (Reason.FLOW_STALE, Reason.FLOW_FROM_FUTURE))


@CANDIDATE.gate(
    Gate.QUOTE_FRESH,
    GateSettings(
        own={"max_quote_age_s": NEW_DATA, "max_clock_skew_s": NEW_DATA},
        fixed={"price_jump_fraction": "a second reading of the price"},
    ),
)
def _quote_fresh(ask: Ask) -> Decision:
    if ask.quote is None:
        return fail_without_quote(Gate.QUOTE_FRESH, ask.desk.rejected_quotes.get(ask.candidate.symbol))
    age, limit = ask.quote.age_s(ask.desk.now), ask.limits.max_quote_age_s
    return _check_age(ask.limits, Gate.QUOTE_FRESH, age, limit, (Reason.QUOTE_STALE, Reason.QUOTE_FROM_FUTURE))


@CANDIDATE.gate(Gate.POSITIONED)
def _require_free_symbol(ask: Ask) -> Decision:
    """Refuse a symbol that someone else has a position in, or another strategy of ours on the opposite side.

    The same strategy may add to its position only on the way to a target. Nobody enters a coin if there is a position
    in another contract on it.
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


@CANDIDATE.gate(Gate.SCORE, GateSettings(own={"min_score": "a stronger score"}))
def _score(ask: Ask) -> Decision:
    """Refuse a score that is too weak to be worth its cost."""
    if _is_target(ask):
        return Decision(Gate.SCORE, Verdict.PASS, None, NOT_USED)
    if ask.candidate.score is None:
        return Decision(Gate.SCORE, Verdict.UNKNOWN, Reason.SCORE_BELOW_MIN)
    observed, limit = abs(ask.candidate.score), ask.limits.min_score
    return answer(Gate.SCORE, observed >= limit, Reason.SCORE_BELOW_MIN, observed, limit)


@CANDIDATE.gate(Gate.COVERAGE, GateSettings(own={"min_coverage": NEW_DATA}))
def _coverage(ask: Ask) -> Decision:
    observed, limit = ask.candidate.coverage, ask.limits.min_coverage
    if _is_target(ask) or (observed is None and not ask.candidate.reads_flow):
        return Decision(Gate.COVERAGE, Verdict.PASS, None, NOT_USED, limit)
    if observed is None:
        return Decision(Gate.COVERAGE, Verdict.UNKNOWN, Reason.COVERAGE_BELOW_MIN)
    return answer(Gate.COVERAGE, observed >= limit, Reason.COVERAGE_BELOW_MIN, observed, limit)


@CANDIDATE.gate(Gate.SIZE, GateSettings(fixed={"max_order_contracts": FITTED}, sized=LARGER))
def _size(ask: Ask) -> Decision:
    if ask.size is None:
        return fail_unpriced(Gate.SIZE)
    minimum = ask.desk.listing_for(ask.candidate.instrument).minimum
    return answer(Gate.SIZE, ask.size.quantity >= minimum, Reason.SIZE_BELOW_ONE, ask.size.quantity, minimum)


@CANDIDATE.gate(
    Gate.PRICE_COLLAR,
    GateSettings(
        own={"price_collar_fraction": "a price nearer to the previous close", "limit_offset_fraction": ""},
        execution=(STYLE,),
    ),
)
def _price_collar(ask: Ask) -> Decision:
    limit = ask.limits.price_collar_fraction
    if ask.quote is None or ask.size is None:
        return fail_unpriced(Gate.PRICE_COLLAR, limit)
    if ask.quote.previous_close is None:
        return Decision(Gate.PRICE_COLLAR, Verdict.UNKNOWN, Reason.PREVIOUS_CLOSE_MISSING, None, limit)
    moved = abs(ask.size.limit_price / ask.quote.previous_close - 1)
    return answer(Gate.PRICE_COLLAR, moved <= limit, Reason.PRICE_MOVED, moved, limit)


@CANDIDATE.gate(Gate.SPREAD, GateSettings(own={"max_spread_fraction": "a narrower spread"}))
def _spread(ask: Ask) -> Decision:
    """Refuse a quote whose spread would cost too much."""
    limit = ask.limits.max_spread_fraction
    if ask.quote is None:
        return fail_unpriced(Gate.SPREAD, limit)
    spread = (ask.quote.ask - ask.quote.bid) / ask.quote.middle
    return answer(Gate.SPREAD, spread <= limit, Reason.SPREAD_TOO_WIDE, spread, limit)


@_of_books(Gate.NEW_ENTRIES, GateSettings({"max_new_entries": NEXT_PASS}))
def _new_entries(book: RiskBook, limits: Limits, now: datetime) -> Decision:
    after, limit = len(book.new_entries) + 1, limits.max_new_entries
    return answer(Gate.NEW_ENTRIES, after <= limit, Reason.MAX_NEW_ENTRIES, after, limit)


@CANDIDATE.gate(
    Gate.ORDER_NOTIONAL,
    GateSettings(
        own={"min_order_notional_usd": "a larger order"},
        fixed={"max_order_fraction": FITTED, "max_order_notional_usd": FITTED},
        sized=LARGER,
    ),
)
def _order_notional(ask: Ask) -> Decision:
    if ask.size is None:
        return fail_unpriced(Gate.ORDER_NOTIONAL)
    limits, value = ask.limits, ask.size.notional_usd
    if value < limits.min_order_notional_usd:
        smallest = limits.min_order_notional_usd
        return Decision(Gate.ORDER_NOTIONAL, Verdict.FAIL, Reason.ORDER_NOTIONAL_BELOW_MIN, value, smallest)
    largest = min(limits.max_order_notional_usd, limits.max_order_fraction * ask.strategy.book.equity)
    return answer(Gate.ORDER_NOTIONAL, value <= largest, Reason.ORDER_NOTIONAL_ABOVE_MAX, value, largest)


@_on_books(Gate.SYMBOL_NOTIONAL, GateSettings({"max_symbol_fraction": CLOSING}, sized=SMALLER))
def _symbol_notional(ask: Ask, book: RiskBook, limits: Limits) -> Decision:
    if ask.size is None:
        return fail_unpriced(Gate.SYMBOL_NOTIONAL, limits.max_symbol_fraction)
    return limits_of.symbol_notional(book, limits, ask.candidate.symbol, ask.size.notional_usd)


@_on_books(Gate.SECTOR_NOTIONAL, GateSettings({"max_sector_fraction": CLOSING}, sized=SMALLER))
def _sector_notional(ask: Ask, book: RiskBook, limits: Limits) -> Decision:
    limit = limits.max_sector_fraction
    if ask.sector is None:
        return Decision(Gate.SECTOR_NOTIONAL, Verdict.UNKNOWN, Reason.SECTOR_UNKNOWN, None, limit)
    if ask.size is None:
        return fail_unpriced(Gate.SECTOR_NOTIONAL, limit)
    return limits_of.sector_notional(book, limits, ask.sector, ask.size.notional_usd)


@_on_books(Gate.GROSS_NOTIONAL, GateSettings({"max_gross_fraction": CLOSING}, sized=SMALLER))
def _gross_notional(ask: Ask, book: RiskBook, limits: Limits) -> Decision:
    if ask.size is None:
        return fail_unpriced(Gate.GROSS_NOTIONAL, limits.max_gross_fraction)
    return limits_of.gross_notional(book, limits, ask.size.notional_usd)


@_on_books(Gate.OPEN_POSITIONS, GateSettings({"max_open_positions": CLOSING}, displacement=ROOM))
def _open_positions(ask: Ask, book: RiskBook, limits: Limits) -> Decision:
    return limits_of.open_positions(book, limits, ask.candidate.symbol)


@CANDIDATE.gate(Gate.BUYING_POWER, GateSettings(sized=SMALLER))
def _buying_power(ask: Ask) -> Decision:
    if ask.size is None:
        return fail_unpriced(Gate.BUYING_POWER)
    lacking = ask.book.margin.lacking(ask.candidate.symbol) if ask.book.margin else None
    if lacking:
        return Decision(Gate.BUYING_POWER, Verdict.UNKNOWN, *lacking)
    need, have = ask.size.margin_usd, ask.book.buying_power
    return answer(Gate.BUYING_POWER, need <= have, Reason.BUYING_POWER_SHORT, need, have)


@CANDIDATE.gate(Gate.COOLDOWN, GateSettings(own={"cooldown_s": QUIET}))
def _cooldown(ask: Ask) -> Decision:
    """Refuse a symbol for a while after any fill in it, and as long as its strategy requires after its own fill."""
    symbol, now = ask.candidate.symbol, ask.desk.now
    last, own_last = ask.book.last_fill_at.get(symbol), ask.strategy.book.last_fill_at.get(symbol)
    any_fill = check_cooldown(Gate.COOLDOWN, Reason.COOLDOWN, last, now, ask.account.limits.cooldown_s)
    if not any_fill.passed or own_last is None:
        return any_fill
    return check_cooldown(Gate.COOLDOWN, Reason.COOLDOWN, own_last, now, ask.limits.cooldown_s)


@CANDIDATE.gate(Gate.SYMBOL_ENTRIES, GateSettings(own={"max_symbol_entries": NEXT_SESSION}))
def _symbol_entries(ask: Ask) -> Decision:
    candidate = ask.candidate
    return limits_of.symbol_entries(ask.book, ask.limits, candidate.strategy, candidate.symbol, candidate.side, more=1)


@CANDIDATE.gate(Gate.DUPLICATE, GateSettings(own={"duplicate_window_s": QUIET}))
def _duplicate(ask: Ask) -> Decision:
    if ask.is_recorded:
        return Decision(Gate.DUPLICATE, Verdict.FAIL, Reason.DUPLICATE_INTENT)
    return limits_of.duplicate_order(ask.book, ask.limits, ask.candidate.symbol, ask.candidate.side, ask.desk.now)


ACCOUNT.gate(Gate.PERMISSION)(lambda account: permission_to_enter(account.desk))
ACCOUNT.gate(Gate.TRADING_STATE)(lambda account: trading_state(account.desk))
STRATEGY.gate(Gate.PROMOTION)(lambda ask: promotion(ask.account.desk, ask.name))
CANDIDATE.gate(Gate.INSTRUMENT)(lambda ask: instrument_known(ask.desk, ask.candidate.symbol))
CANDIDATE.also(Gate.SESSION)(lambda ask: instrument_open(ask.desk, ask.candidate.instrument))
CANDIDATE.also(Gate.SESSION)(lambda ask: liquid_now(ask.desk, ask.candidate.symbol, ask.account.limits))
CANDIDATE.gate(Gate.CANDIDATE_FRESH, GateSettings(own={"max_candidate_age_s": NEXT_PASS, "max_clock_skew_s": ""}))(
    lambda ask: candidate_fresh(ask.candidate, ask.desk.now, ask.limits)
)
CANDIDATE.gate(Gate.WORKING)(lambda ask: working_for_entry(ask.desk, ask.book, ask.candidate.symbol))
CANDIDATE.gate(Gate.UNRESOLVED)(lambda ask: check_unresolved(ask.book, ask.candidate.symbol))


@CANDIDATE.gate(
    Gate.RISK,
    GateSettings(
        own={"max_risk_fraction": "orders are sized to fit; an entry without a stop needs one"},
        exits=STOPS,
        sized=SMALLER,
    ),
)
def _risk(ask: Ask) -> Decision | None:
    """Compare the entry's loss at its stop with its limit, as a fraction of the strategy's equity."""
    limit = ask.limits.max_risk_fraction
    if limit is None:
        return None
    if ask.size is None:
        return fail_unpriced(Gate.RISK, limit)
    if ask.size.risk_usd is None:
        return Decision(Gate.RISK, Verdict.UNKNOWN, Reason.STOP_UNKNOWN, None, limit)
    return limits_of.share(ask.strategy.book, Gate.RISK, Reason.RISK_ABOVE_MAX, ask.size.risk_usd, limit)


@CANDIDATE.gate(Gate.CONTRACTS, GateSettings({"max_contracts": CLOSING}, sized=SMALLER))
def _contracts(ask: Ask) -> Decision | None:
    """Compare the number of units in the account, including this entry's, with its limit."""
    limits = ask.account.limits
    if limits.max_contracts is not None and ask.size is None:
        return replace(fail_unpriced(Gate.CONTRACTS), limit=limits.max_contracts)
    return limits_of.contracts(ask.book, limits, ask.size.quantity if ask.size else Decimal(0))


@CANDIDATE.gate(
    Gate.STOP_LOSS,
    GateSettings(
        own={"max_stop_loss_usd": "orders are sized to fit; an entry without a stop needs one"},
        exits=STOPS,
        sized=SMALLER,
    ),
)
def _stop_loss(ask: Ask) -> Decision | None:
    """Compare the entry's loss at its stop with its limit, in USD."""
    if ask.limits.max_stop_loss_usd is not None and ask.size is None:
        return fail_unpriced(Gate.STOP_LOSS, ask.limits.max_stop_loss_usd)
    return limits_of.stop_loss(ask.limits, ask.size.risk_usd if ask.size else None)


@CANDIDATE.gate(Gate.OWN_DAILY_LOSS, own_reads(DAILY_LOSS))
def _own_daily_loss(ask: Ask) -> Decision | None:
    """Compare the strategy's own loss of this session with its own limit, if that is below the account's."""
    limit = ask.limits.max_daily_loss_fraction
    if limit >= ask.account.limits.max_daily_loss_fraction:
        return None
    result = ask.book.day_results.get(ask.candidate.strategy, Decimal(0))
    if result is None:
        return fail_unpriced(Gate.OWN_DAILY_LOSS, limit)
    # The peak equity is the account's, so it doesn't give the strategy's equity at the start of the day.
    lost = replace(ask.strategy.book, day_loss=max(-result, Decimal(0)), peak_equity=None)
    return as_strategy_limit(limits_of.daily_loss(lost, ask.limits))


@CANDIDATE.gate(Gate.LOSS_COOLDOWN, GateSettings(own={"loss_cooldown_s": QUIET}))
def _loss_cooldown(ask: Ask) -> Decision | None:
    """Refuse a symbol for a while after any loss in it, and as long as its strategy requires after its own loss."""
    symbol, now = ask.candidate.symbol, ask.desk.now
    any_loss = limits_of.loss_cooldown(ask.book, ask.account.limits, symbol, now)
    if any_loss and not any_loss.passed:
        return any_loss
    return limits_of.loss_cooldown(ask.strategy.book, ask.limits, symbol, now)


@_on_books(Gate.THEME_NOTIONAL, GateSettings({"max_theme_fraction": CLOSING}, sized=SMALLER))
def _theme(ask: Ask, book: RiskBook, limits: Limits) -> Decision | None:
    limit, symbol = limits.max_theme_fraction, ask.candidate.symbol
    if limit is None:
        return None
    if symbol not in ask.book.themes:
        return Decision(Gate.THEME_NOTIONAL, Verdict.UNKNOWN, Reason.THEME_UNKNOWN, None, limit)
    after = ask.after(book)
    if after is None:
        return fail_unpriced(Gate.THEME_NOTIONAL, limit)
    return limits_of.theme_notional(after, limits, limits_of.theme_of(after, symbol))


def _on_whole_books(gate: Gate, predicate: BookPredicate, limit: str, clears: str, exits: tuple[str, ...] = ()) -> None:
    """Declare the gates of an optional limit, the account's and a strategy's, on the book after the entry."""

    @_on_books(gate, GateSettings({limit: clears}, exits=exits, sized=SMALLER))
    def evaluate(ask: Ask, book: RiskBook, limits: Limits) -> Decision | None:
        most = getattr(limits, limit)
        if most is None:
            return None
        after = ask.after(book)
        return predicate(after, limits) if after else fail_unpriced(gate, most)


_on_whole_books(
    Gate.NET_NOTIONAL, limits_of.net_notional, "max_net_fraction", "closing positions, or entries on the other side"
)
_on_whole_books(
    Gate.BETA_NOTIONAL, limits_of.beta_notional, "max_beta_fraction", "closing positions, or entries that offset them"
)
_on_whole_books(Gate.CONCENTRATION, limits_of.concentration, "max_concentration", CLOSING)
_on_whole_books(
    Gate.OPEN_RISK, limits_of.open_risk, "max_open_risk_fraction",
    "closing positions, or stops that move toward profit", STOPS,
)  # fmt: skip


_of_books(Gate.SESSION_ENTRIES, GateSettings({"max_session_entries": NEXT_SESSION}))(
    lambda book, limits, _: limits_of.session_entries(book, limits, more=1)
)
_of_books(Gate.ORDER_RATE, GateSettings({"max_orders_per_second": QUIET, "max_orders_per_minute": QUIET}))(
    lambda book, limits, now: limits_of.order_rate(book, limits, now, more=1)
)
ACCOUNT.gate(Gate.DAILY_LOSS, DAILY_LOSS)(lambda account: limits_of.daily_loss(account.book, account.limits))
ACCOUNT.gate(
    Gate.MAX_DRAWDOWN, GateSettings({"max_drawdown_fraction": "positions that recover, or a person who raises it"})
)(lambda account: limits_of.max_drawdown(account.book, account.limits))
ACCOUNT.gate(
    Gate.EQUITY_FLOOR,
    GateSettings(
        {"min_equity_usd": "positions that recover, a deposit, or a person who lowers it"},
        halts={"min_equity_usd": "equity above the floor or a lower floor, then unhalt"},
    ),
)(
    lambda account: (
        limits_of.equity_floor(account.book, account.limits) or limits_of.equity_floor_halt(account.book, account.halts)
    )
)
_of_books(
    Gate.LOSS_STREAK,
    GateSettings({
        "max_loss_streak": "loss_streak_wait_s after the last loss, or a person who raises it",
        "loss_streak_wait_s": QUIET,
    }),
)(limits_of.loss_streak)  # fmt: skip
CANDIDATE.gate(Gate.WASH_SALE, GateSettings({"wash_sale_days": QUIET}))(
    lambda ask: limits_of.wash_sale(ask.book, ask.account.limits, ask.candidate.symbol, ask.desk.now)
)
