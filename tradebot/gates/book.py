"""Limits on the whole book. Each one is a single predicate with two uses: as a gate, on the book with one more order,
and as a monitor, on the book as it is.
"""

from collections.abc import Iterator
from decimal import Decimal

from tradebot.gates.common import answer
from tradebot.limits import HaltRules, Limits
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Book
from tradebot.model.reasons import Reason

NOTHING = Decimal(0)

UNEXPLAINED = Decimal("0.25")
"""How far equity may be from cash plus positions, as a share of the larger of the two.

The venue computes one from the other, so the difference should be a few percent at most (fees, and trades between the
two readings). If it is more than a quarter, one of the readings is wrong.
"""


def equity_explained(book: Book) -> bool:
    """Return True if cash and positions roughly add up to the equity.

    A position without a market value may be worth up to twice its cost.
    """
    if book.worth is None:
        return True
    total, unsure = book.worth.total, book.worth.at_cost
    return abs(book.equity - total) <= UNEXPLAINED * max(book.equity, total) + unsure


def open_positions(book: Book, limits: Limits, *more: str) -> Decision:
    """Compare the number of symbols held, or possibly held soon, with its limit; `more` are symbols to open."""
    held, limit = book.open_symbols, limits.max_open_positions
    after = len(held) + len([symbol for symbol in more if symbol not in held])
    return answer(Gate.OPEN_POSITIONS, after <= limit, Reason.MAX_OPEN_POSITIONS, after, limit)


def symbol_notional(book: Book, limits: Limits, symbol: str, more_usd: Decimal = NOTHING) -> Decision:
    """Compare one symbol's share of equity with its limit."""
    value = book.exposure.get(symbol, NOTHING) + more_usd
    limit = limits.max_symbol_fraction
    return _share(book, Gate.SYMBOL_NOTIONAL, Reason.SYMBOL_NOTIONAL_ABOVE_MAX, value, limit)


def sector_notional(book: Book, limits: Limits, sector: str, more_usd: Decimal = NOTHING) -> Decision:
    """Compare one sector's share of equity with its limit."""
    value = book.sector_exposure.get(sector, NOTHING) + more_usd
    limit = limits.max_sector_fraction
    return _share(book, Gate.SECTOR_NOTIONAL, Reason.SECTOR_NOTIONAL_ABOVE_MAX, value, limit)


def gross_notional(book: Book, limits: Limits, more_usd: Decimal = NOTHING) -> Decision:
    """Compare the gross exposure's share of equity with its limit."""
    limit = limits.max_gross_fraction
    return _share(book, Gate.GROSS_NOTIONAL, Reason.GROSS_NOTIONAL_ABOVE_MAX, book.gross + more_usd, limit)


def daily_loss(book: Book, limits: Limits) -> Decision:
    """Compare the day's loss with the limit that closes entries, as a share of the equity the day began with."""
    return _day_loss(book, limits.max_daily_loss_fraction, Reason.DAILY_LOSS_REACHED)


def daily_loss_halt(book: Book, halts: HaltRules) -> Decision:
    """Compare the day's loss with the higher limit that halts the bot."""
    return _day_loss(book, halts.daily_loss_fraction, Reason.DAILY_LOSS_HALT)


def drawdown(book: Book, halts: HaltRules) -> Decision:
    """Compare the drawdown from peak equity with its limit; on the first look the peak is the current equity."""
    limit, peak = halts.drawdown_fraction, book.peak_equity or book.equity
    unknown = _unknown_equity(book, Gate.DRAWDOWN, limit)
    if unknown:
        return unknown
    fallen = max(peak - book.equity, NOTHING) / peak
    return answer(Gate.DRAWDOWN, fallen < limit, Reason.DRAWDOWN_REACHED, fallen, limit)


def monitors(book: Book, limits: Limits, halts: HaltRules) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each limit on the account's book as it is, with the symbol or sector concerned."""
    yield "", daily_loss(book, limits)
    yield "", drawdown(book, halts)
    yield from exposure_monitors(book, limits)


def exposure_monitors(book: Book, limits: Limits) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each limit on what a book holds, the account's or a strategy's own."""
    yield "", gross_notional(book, limits)
    yield "", open_positions(book, limits)
    for symbol in sorted(book.exposure):
        yield symbol, symbol_notional(book, limits, symbol)
    for sector in sorted(book.sector_exposure):
        yield sector, sector_notional(book, limits, sector)


def _day_loss(book: Book, limit: Decimal, reason: Reason) -> Decision:
    unknown = _unknown_equity(book, Gate.DAILY_LOSS, limit)
    if unknown:
        return unknown
    # The base is the equity the day began with: the current equity plus the day's loss.
    began, highest = book.equity + book.day_loss, max(book.peak_equity or book.equity, book.equity)
    if book.peak_equity and began * (1 - UNEXPLAINED) > highest:
        return Decision(Gate.DAILY_LOSS, Verdict.UNKNOWN, Reason.EQUITY_UNEXPLAINED, began, highest)
    loss = book.day_loss / began
    return answer(Gate.DAILY_LOSS, loss < limit, reason, loss, limit)


def _share(book: Book, gate: Gate, reason: Reason, value_usd: Decimal, limit: Decimal) -> Decision:
    """Compare a value with its limit, both as shares of equity so that the numbers are comparable."""
    unknown = _unknown_equity(book, gate, limit)
    if unknown:
        return unknown
    share = value_usd / book.equity
    return answer(gate, share <= limit, reason, share, limit)


def _unknown_equity(book: Book, gate: Gate, limit: Decimal) -> Decision | None:
    """Return why the equity can't be used, or None if it can."""
    if book.equity <= 0:
        return Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNKNOWN, book.equity, limit)
    if book.worth is not None and not equity_explained(book):
        return Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNEXPLAINED, book.equity, book.worth.total)
    return None
