"""Limits on an account's margin. Each is a single predicate with two uses: as a gate, on the book with one more order,
and as a monitor, on the book as it is. A paid account has no margin, so nothing is asked there.

What halts the bot is judged by what is held, because an order that may never fill is no reason to call a person.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

from tradebot.gates.book import unknown_equity
from tradebot.gates.common import answer
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Book
from tradebot.model.limits import HaltRules, Limits
from tradebot.model.margin import Margin
from tradebot.model.reasons import Reason


def initial_margin(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare the initial margin of the whole book with its limit, as a share of equity."""
    gate = Gate.INITIAL_MARGIN
    unknown = _unknown(book, margin, gate, limit)
    if unknown:
        return unknown
    part = margin.initial_usd / _equity(book, margin)
    return answer(gate, part <= limit, Reason.MARGIN_ABOVE_MAX, part, limit)


def free_margin(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare the margin that is left for more orders with its limit, as a share of equity.

    It is what the venue says is available, or equity less the initial margin of the whole book, whichever is less.
    """
    gate = Gate.FREE_MARGIN
    unknown = _unknown(book, margin, gate, limit)
    if unknown:
        return unknown
    equity = _equity(book, margin)
    part = min(book.buying_power, equity - margin.initial_usd) / equity
    return answer(gate, part >= limit, Reason.FREE_MARGIN_BELOW_MIN, part, limit)


def maintenance_margin(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare the maintenance margin with the share of equity at which the bot halts; at all of it, the venue acts."""
    gate = Gate.MAINTENANCE_MARGIN
    unknown = _unknown(book, margin, gate, limit)
    if unknown:
        return unknown
    part = margin.maintenance_usd / _equity(book, margin)
    return answer(gate, part < limit, Reason.MARGIN_HALT, part, limit)


def liquidation(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare how far the mark of any position is from its liquidation price with the least distance."""
    gate = Gate.LIQUIDATION
    unknown = _unknown(book, margin, gate, limit)
    if unknown:
        return unknown
    nearest = next(iter(margin.liquidations(book.equity)), None)
    distance = nearest.distance if nearest else None
    return answer(gate, distance is None or distance >= limit, Reason.LIQUIDATION_TOO_NEAR, distance, limit)


class Watched(NamedTuple):
    """A limit that is set, the gate that asks it, and its predicate."""

    gate: Gate
    limit: Decimal
    predicate: Callable[[Book, Margin, Decimal], Decision]


def watched(limits: Limits, halts: HaltRules) -> Iterator[Watched]:
    """Yield the limits on margin that are set."""
    for gate, limit, predicate in (
        (Gate.INITIAL_MARGIN, limits.max_margin_fraction, initial_margin),
        (Gate.FREE_MARGIN, limits.min_free_margin_fraction, free_margin),
        (Gate.MAINTENANCE_MARGIN, halts.margin_fraction, maintenance_margin),
        (Gate.LIQUIDATION, limits.min_liquidation_fraction, liquidation),
    ):
        if limit is not None:
            yield Watched(gate, limit, predicate)


def decisions(book: Book, limits: Limits, halts: HaltRules) -> Iterator[Decision]:
    """Yield the decision of each limit that is set on a book, with all its open orders filled."""
    if book.margin is not None:
        yield from (one.predicate(book, book.margin, one.limit) for one in watched(limits, halts))


def monitors(book: Book, limits: Limits, halts: HaltRules) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each limit on the account's book as it is, with the symbol concerned."""
    for decision in decisions(book, limits, halts):
        if decision.gate is not Gate.MAINTENANCE_MARGIN:
            yield _nearest(book) if decision.gate is Gate.LIQUIDATION else "", decision
    halt = margin_halt(book, halts)
    if halt:
        yield "", halt


def margin_halt(book: Book, halts: HaltRules) -> Decision | None:
    """Compare the maintenance margin of what is held with the share of equity at which the bot halts."""
    if book.margin is None or halts.margin_fraction is None:
        return None
    return maintenance_margin(book, book.margin.as_held, halts.margin_fraction)


def _nearest(book: Book) -> str:
    return next((one.symbol for one in book.margin.liquidations(book.equity)), "") if book.margin else ""


def _equity(book: Book, margin: Margin) -> Decimal:
    """Return the equity that is left once open orders have filled at their worst."""
    return book.equity - margin.loss


def _unknown(book: Book, margin: Margin, gate: Gate, limit: Decimal) -> Decision | None:
    """Return what can't be known, or None if everything can."""
    lacking, left = margin.lacking(), _equity(book, margin)
    if lacking:
        reason, symbols = lacking
        return Decision(gate, Verdict.UNKNOWN, reason, symbols, limit)
    unknown = unknown_equity(book, gate, limit)
    return unknown or (None if left > 0 else Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNKNOWN, left, limit))
