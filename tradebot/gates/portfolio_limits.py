"""Limits on a whole book and on its entries, the account's or a strategy's own.

Each limit is a single predicate with two uses: as a gate, on the book with one more order, and as a monitor, on the
present book. If an optional limit is off, its predicate returns None. Reducing risk is never limited.

A strategy's limits are fractions of its allotment, and the account's limits bound the sum of all strategies. Orders of
different strategies are never netted. Two strategies may have a symbol on the same side, each with its own lots. An
entry on the opposite side of another strategy's is refused (OPPOSITE_SIDE).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from tradebot.gates.gate_declarations import OWN_GATES
from tradebot.gates.shared_gates import answer, check_cooldown
from tradebot.model.account import UNEXPLAINED
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import ExposureRange, RiskBook
from tradebot.model.limits import HaltRules, Limits
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def session_entries(book: RiskBook, limits: Limits, more: int = 0) -> Decision:
    """Compare the number of entries recorded in this session with its limit; `more` entries are added.

    An entry is recorded before it is sent.
    """
    after, limit = len(book.entries) + more, limits.max_session_entries
    return answer(Gate.SESSION_ENTRIES, after <= limit, Reason.MAX_SESSION_ENTRIES, after, limit)


def symbol_entries(book: RiskBook, limits: Limits, strategy: str, symbol: str, side: Side, more: int = 0) -> Decision:
    """Compare how often one strategy entered one side of one symbol in this session with the limit."""
    same = (strategy, symbol, side)
    after = sum((e.strategy, e.symbol, e.side) == same for e in book.entries) + more
    limit = limits.max_symbol_entries
    return answer(Gate.SYMBOL_ENTRIES, after <= limit, Reason.MAX_SYMBOL_ENTRIES, after, limit)


def order_rate(book: RiskBook, limits: Limits, now: datetime, more: int = 0) -> Decision:
    """Compare the number of entries in the last second and in the last minute with their limits; report the first
    failure.
    """
    spans = ((SECOND, limits.max_orders_per_second), (MINUTE, limits.max_orders_per_minute))
    counted = [(sum(now - span < e.at for e in book.entries) + more, limit) for span, limit in spans]
    after, limit = next(((count, limit) for count, limit in counted if count > limit), counted[0])
    return answer(Gate.ORDER_RATE, after <= limit, Reason.ORDER_RATE, after, limit)


def duplicate_order(book: RiskBook, limits: Limits, symbol: str, side: Side, now: datetime) -> Decision:
    """Fail if the same side of the symbol was entered within the window, by any strategy and under any id."""
    last = max((e.at for e in book.entries if (e.symbol, e.side) == (symbol, side)), default=None)
    return check_cooldown(Gate.DUPLICATE, Reason.DUPLICATE_ORDER, last, now, limits.duplicate_window_s)


def rate_monitors(book: RiskBook, limits: Limits, now: datetime) -> Iterator[tuple[str, Decision]]:
    """Yield each limit's decision about the session's entries and the newest round trips, with the symbol concerned.

    The order rate is evaluated at the time of the newest entry; duplicates are evaluated at the time of each entry.
    """
    yield "", session_entries(book, limits)
    if book.entries:
        yield "", order_rate(book, limits, max(e.at for e in book.entries))
    for entered in sorted({replace(e, at=book.entries[0].at) for e in book.entries}, key=str):
        yield entered.symbol, symbol_entries(book, limits, entered.strategy, entered.symbol, entered.side)
    for index, entered in enumerate(book.entries):
        before = replace(book, entries=book.entries[:index])
        yield entered.symbol, duplicate_order(before, limits, entered.symbol, entered.side, entered.at)
    streak = loss_streak(book, limits, now)
    if streak:
        yield "", streak


NOTHING = Decimal(0)


def open_positions(book: RiskBook, limits: Limits, *more: str) -> Decision:
    """Compare the number of open or possible positions with its limit; `more` are symbols to open."""
    held_symbols, limit = book.open_symbols, limits.max_open_positions
    after = len(held_symbols) + len([symbol for symbol in more if symbol not in held_symbols])
    return answer(Gate.OPEN_POSITIONS, after <= limit, Reason.MAX_OPEN_POSITIONS, after, limit)


def symbol_notional(book: RiskBook, limits: Limits, symbol: str, more_usd: Decimal = NOTHING) -> Decision:
    """Compare the exposure in one symbol with its limit, as a share of equity."""
    value = book.exposure.get(symbol, NOTHING) + more_usd
    limit = limits.max_symbol_fraction
    return share(book, Gate.SYMBOL_NOTIONAL, Reason.SYMBOL_NOTIONAL_ABOVE_MAX, value, limit)


def sector_notional(book: RiskBook, limits: Limits, sector: str, more_usd: Decimal = NOTHING) -> Decision:
    """Compare the exposure in one sector with its limit, as a share of equity."""
    value = book.sector_exposure.get(sector, NOTHING) + more_usd
    limit = limits.max_sector_fraction
    return share(book, Gate.SECTOR_NOTIONAL, Reason.SECTOR_NOTIONAL_ABOVE_MAX, value, limit)


def gross_notional(book: RiskBook, limits: Limits, more_usd: Decimal = NOTHING) -> Decision:
    """Compare the gross exposure with its limit, as a share of equity."""
    limit = limits.max_gross_fraction
    return share(book, Gate.GROSS_NOTIONAL, Reason.GROSS_NOTIONAL_ABOVE_MAX, book.gross + more_usd, limit)


def contracts(book: RiskBook, limits: Limits, more: Decimal = NOTHING) -> Decision | None:
    """Compare the number of units in positions and orders, over all symbols, with its limit."""
    limit = limits.max_contracts
    if limit is None:
        return None
    after = book.contracts + more
    return answer(Gate.CONTRACTS, after <= limit, Reason.CONTRACTS_ABOVE_MAX, after, limit)


def theme_of(book: RiskBook, symbol: str) -> str:
    """Return a symbol's theme.

    A symbol without a theme is its own theme; if the configuration lists no themes for the book, the result is empty.
    """
    return book.themes.get(symbol, "") or (symbol if symbol in book.themes else "")


def theme_notional(book: RiskBook, limits: Limits, theme: str) -> Decision | None:
    """Compare the exposure in one theme with its limit, as a share of equity."""
    limit = limits.max_theme_fraction
    if limit is None:
        return None
    value = sum((usd for symbol, usd in book.exposure.items() if theme_of(book, symbol) == theme), NOTHING)
    return share(book, Gate.THEME_NOTIONAL, Reason.THEME_NOTIONAL_ABOVE_MAX, value, limit)


def net_notional(book: RiskBook, limits: Limits) -> Decision | None:
    """Compare longs minus shorts with their limit, as a share of equity on either side.

    Open orders count as filled wherever that makes the result larger.
    """
    limit = limits.max_net_fraction
    if limit is None:
        return None
    value = _farthest(book.spans.values())
    return share(book, Gate.NET_NOTIONAL, Reason.NET_NOTIONAL_ABOVE_MAX, value, limit)


def beta_notional(book: RiskBook, limits: Limits) -> Decision | None:
    """Compare the sum of signed exposure times beta with its limit, as a share of equity.

    Open orders count as filled wherever that makes the result larger. A single symbol without a beta leaves the sum
    unknown.
    """
    limit = limits.max_beta_fraction
    if limit is None:
        return None
    unknown = [symbol for symbol, span in sorted(book.spans.items()) if any(span) and symbol not in book.betas]
    if unknown:
        return Decision(Gate.BETA_NOTIONAL, Verdict.UNKNOWN, Reason.BETA_UNKNOWN, ", ".join(unknown[:3]), limit)
    moved = ((book.betas[symbol], span) for symbol, span in book.spans.items() if any(span))
    value = _farthest(ExposureRange(*sorted((span.lowest * beta, span.highest * beta))) for beta, span in moved)
    return share(book, Gate.BETA_NOTIONAL, Reason.BETA_NOTIONAL_ABOVE_MAX, value, limit)


def concentration(book: RiskBook, limits: Limits) -> Decision | None:
    """Compare the sum of the squares of all positions' fractions of equity with its limit.

    This is the Herfindahl index, ignoring cash: it is 1 if a single position has all the equity, and 0.1 if ten
    positions have a tenth each. Because fractions are of the equity and not of the invested amount, the first position
    of an empty book isn't refused, and no further order ever lowers the sum.
    """
    limit = limits.max_concentration
    if limit is None:
        return None
    # `share()` divides by the equity once more.
    value = sum((usd**2 for usd in book.exposure.values()), NOTHING) / (book.equity or 1)
    return share(book, Gate.CONCENTRATION, Reason.CONCENTRATION_ABOVE_MAX, value, limit)


def stop_loss(limits: Limits, risk_usd: Decimal | None) -> Decision | None:
    """Compare a position's loss at its stop with its limit, in USD."""
    limit = limits.max_stop_loss_usd
    if limit is None:
        return None
    if risk_usd is None:
        return Decision(Gate.STOP_LOSS, Verdict.UNKNOWN, Reason.STOP_UNKNOWN, None, limit)
    return answer(Gate.STOP_LOSS, risk_usd <= limit, Reason.STOP_LOSS_ABOVE_MAX, risk_usd, limit)


def open_risk(book: RiskBook, limits: Limits) -> Decision | None:
    """Compare the loss if every stop is hit with its limit, as a fraction of equity.

    Each position loses the distance from its entry to its stop, or nothing once the stop has moved past the entry. If a
    position has no stop, the sum is unknown. Foreign positions aren't counted.
    """
    limit = limits.max_open_risk_fraction
    if limit is None:
        return None
    bare = sorted({stake.symbol for stake in book.stakes if stake.risk_usd is None})
    if bare:
        return Decision(Gate.OPEN_RISK, Verdict.UNKNOWN, Reason.STOP_UNKNOWN, ", ".join(bare[:3]), limit)
    value = sum((stake.risk_usd or NOTHING for stake in book.stakes), NOTHING)
    return share(book, Gate.OPEN_RISK, Reason.OPEN_RISK_ABOVE_MAX, value, limit)


def max_drawdown(book: RiskBook, limits: Limits) -> Decision | None:
    """Compare the drawdown from peak equity with the limit that blocks entries, which is below the one that halts the
    bot.

    While entries are blocked, only open positions can raise the equity again.
    """
    limit = limits.max_drawdown_fraction
    if limit is None:
        return None
    recovers = book.held or book.foreign
    reason = Reason.DRAWDOWN_CLOSES_ENTRIES if recovers else Reason.DRAWDOWN_STAYS
    return _drawdown(book, Gate.MAX_DRAWDOWN, limit, reason)


def closed_by(book: RiskBook, limits: Limits, now: datetime) -> Iterator[Decision]:
    """Yield the decisions of the account's limits that refuse every entry now."""
    evaluated = (daily_loss(book, limits), max_drawdown(book, limits), equity_floor(book, limits))
    yield from (
        decision for decision in (*evaluated, loss_streak(book, limits, now)) if decision and not decision.passed
    )


def equity_floor(book: RiskBook, limits: Limits) -> Decision | None:
    """Compare the equity with the level below which entries are blocked."""
    return _floor(book, limits.min_equity_usd, Reason.EQUITY_BELOW_FLOOR)


def equity_floor_halt(book: RiskBook, halts: HaltRules) -> Decision | None:
    """Compare the equity with the lower level below which the bot halts."""
    return _floor(book, halts.min_equity_usd, Reason.EQUITY_FLOOR_HALT)


def daily_loss(book: RiskBook, limits: Limits) -> Decision:
    """Compare the day's loss with the limit that blocks entries, as a fraction of the day's starting equity."""
    return _day_loss(book, limits.max_daily_loss_fraction, Reason.DAILY_LOSS_REACHED)


def daily_loss_halt(book: RiskBook, halts: HaltRules) -> Decision:
    """Compare the day's loss with the higher limit that halts the bot."""
    return _day_loss(book, halts.daily_loss_fraction, Reason.DAILY_LOSS_HALT)


def check_drawdown(book: RiskBook, halts: HaltRules) -> Decision:
    """Compare the drawdown from peak equity with its limit; in the first pass the peak is the current equity."""
    return _drawdown(book, Gate.DRAWDOWN, halts.drawdown_fraction, Reason.DRAWDOWN_REACHED)


def monitors(book: RiskBook, limits: Limits, halts: HaltRules) -> Iterator[tuple[str, Decision]]:
    """Yield each limit's decision about the account's present book, with the symbol or sector."""
    yield "", daily_loss(book, limits)
    yield "", check_drawdown(book, halts)
    for decision in (max_drawdown(book, limits), equity_floor(book, limits), contracts(book, limits)):
        if decision:
            yield "", decision
    at_stops = ((stake.symbol, stop_loss(limits, stake.risk_usd)) for stake in book.stakes)
    yield from ((symbol, decision) for symbol, decision in at_stops if decision)
    yield from exposure_monitors(book, limits)


def exposure_monitors(book: RiskBook, limits: Limits) -> Iterator[tuple[str, Decision]]:
    """Yield each limit's decision about a book's exposure; the book may be the account's or a strategy's own."""
    yield "", gross_notional(book, limits)
    yield "", open_positions(book, limits)
    for symbol in sorted(book.exposure):
        yield symbol, symbol_notional(book, limits, symbol)
    for sector in sorted(book.sector_exposure):
        yield sector, sector_notional(book, limits, sector)
    themes = sorted({theme_of(book, symbol) for symbol in book.exposure})
    by_theme = ((theme, theme_notional(book, limits, theme)) for theme in themes)
    of_book = (("", limit(book, limits)) for limit in (net_notional, beta_notional, concentration, open_risk))
    yield from ((subject, decision) for subject, decision in (*by_theme, *of_book) if decision)


def _farthest(spans: Iterable[ExposureRange]) -> Decimal:
    """Return the largest distance from zero that the sum of these ranges may have."""
    lowest, highest = NOTHING, NOTHING
    for span in spans:
        lowest, highest = lowest + span.lowest, highest + span.highest
    return max(abs(lowest), abs(highest))


def _drawdown(book: RiskBook, gate: Gate, limit: Decimal, reason: Reason) -> Decision:
    unknown = unknown_loss(book, gate, limit)
    if unknown:
        return unknown
    peak = book.peak_equity or book.equity
    if peak <= 0:
        return Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNKNOWN, book.equity, limit)
    fallen = max(peak - book.equity, NOTHING) / peak
    return answer(gate, fallen < limit, reason, fallen, limit)


def _floor(book: RiskBook, limit: Decimal | None, reason: Reason) -> Decision | None:
    if limit is None:
        return None
    unknown = unknown_loss(book, Gate.EQUITY_FLOOR, limit)
    return unknown or answer(Gate.EQUITY_FLOOR, book.equity >= limit, reason, book.equity, limit)


def _day_loss(book: RiskBook, limit: Decimal, reason: Reason) -> Decision:
    # The base is the equity at the start of the day: the current equity plus the day's loss.
    unknown = unknown_loss(book, Gate.DAILY_LOSS, limit)
    if unknown or book.equity + book.day_loss <= 0:
        return unknown or Decision(Gate.DAILY_LOSS, Verdict.UNKNOWN, Reason.EQUITY_UNKNOWN, book.equity, limit)
    began, highest = book.equity + book.day_loss, max(book.peak_equity or book.equity, book.equity)
    if book.peak_equity and began * (1 - UNEXPLAINED) > highest:
        return Decision(Gate.DAILY_LOSS, Verdict.UNKNOWN, Reason.EQUITY_UNEXPLAINED, began, highest)
    loss = book.day_loss / began
    return answer(Gate.DAILY_LOSS, loss < limit, reason, loss, limit)


def share(book: RiskBook, gate: Gate, reason: Reason, value_usd: Decimal, limit: Decimal) -> Decision:
    """Compare a value with its limit, both as fractions of equity so that the numbers are comparable."""
    if book.equity <= 0:
        return Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNKNOWN, book.equity, limit)
    unknown = unknown_loss(book, gate, limit)
    if unknown:
        return unknown
    part = value_usd / book.equity
    return answer(gate, part <= limit, reason, part, limit)


def unknown_loss(book: RiskBook, gate: Gate, limit: Decimal) -> Decision | None:
    """Return why no loss can be computed from the equity, or None; the equity can be 0 or less only in a margin
    account.
    """
    if book.equity <= 0 and (book.margin is None or book.worth is None):
        return Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNKNOWN, book.equity, limit)
    if book.worth is not None and not book.worth.explains(book.equity):
        return Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNEXPLAINED, book.equity, book.worth.total)
    return None


DAY = timedelta(days=1)


def loss_streak(book: RiskBook, limits: Limits, now: datetime) -> Decision | None:
    """Compare the number of losing round trips in a row with its limit; pass if the wait after the last loss is over.

    Round trips are the account's or a strategy's, depending on the book. A streak ends with the first round trip that
    didn't lose.
    """
    limit, wait_s = limits.max_loss_streak, limits.loss_streak_wait_s
    if limit is None or wait_s is None:
        return None
    lost = tuple(takewhile(lambda trip: trip.profit < 0, reversed(book.round_trips)))
    waited = (now - lost[0].closed_at).total_seconds() if lost else None
    over = waited is not None and waited >= wait_s
    return answer(Gate.LOSS_STREAK, len(lost) < limit or over, Reason.LOSS_STREAK, len(lost), limit, waited)


def loss_cooldown(book: RiskBook, limits: Limits, symbol: str, now: datetime) -> Decision | None:
    """Compare the time since the last loss in a symbol with how long entries in it must wait after a loss."""
    limit = limits.loss_cooldown_s
    if limit is None:
        return None
    return check_cooldown(Gate.LOSS_COOLDOWN, Reason.LOSS_COOLDOWN, _last_loss(book, symbol), now, limit)


def wash_sale(book: RiskBook, limits: Limits, symbol: str, now: datetime) -> Decision | None:
    """Compare the days since the last loss in a symbol with the window in which buying it again makes a wash sale.

    The source is 26 U.S.C. 1091: a loss isn't deductible if the same stock is bought within 30 days of the sale.
    """
    limit = limits.wash_sale_days
    if limit is None:
        return None
    last = _last_loss(book, symbol)
    days = (now - last) // DAY if last else None
    return answer(Gate.WASH_SALE, days is None or days > limit, Reason.WASH_SALE, days, limit)


def _last_loss(book: RiskBook, symbol: str) -> datetime | None:
    return max((at for (_, lost), at in book.lost_at.items() if lost == symbol), default=None)


OWN_REASONS: Mapping[Reason, Reason] = {
    reason: Reason[f"OWN_{reason.name}"] for reason in Reason if f"OWN_{reason.name}" in Reason.__members__
}
"""The reasons that a strategy's version of these gates has.

Any other, such as an unknown equity, is the same for both.
"""


def as_strategy_limit(decision: Decision) -> Decision:
    """Turn a decision about a strategy's own book into one with the gate and the reason for strategies' limits."""
    reason = decision.reason and OWN_REASONS.get(decision.reason, decision.reason)
    gate = OWN_GATES[decision.gate]
    return Decision(gate, decision.verdict, reason, decision.observed, decision.limit, decision.age_s)


def own_monitors(book: RiskBook, limits: Limits, now: datetime) -> Iterator[tuple[str, Decision]]:
    """Yield each limit's decision about a strategy's own present book, with the symbol or sector."""
    for subject, decision in (*exposure_monitors(book, limits), *rate_monitors(book, limits, now)):
        if decision.gate in OWN_GATES:
            yield subject, as_strategy_limit(decision)
