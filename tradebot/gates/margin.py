"""Limits on an account's margin. Each is a single predicate with two uses: as a gate, on the book with one more order,
and as a monitor, on the book as it is. A paid account has no margin, so nothing is asked there.

What halts the bot is judged by what is held, because an order that may never fill is no reason to call a person.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from operator import ge, le, lt

from tradebot.gates.book import unknown_loss
from tradebot.gates.common import answer
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Book
from tradebot.model.limits import HaltRules, Limits
from tradebot.model.margin import Margin
from tradebot.model.reasons import Reason

Predicate = Callable[[Book, Margin, Decimal], Decision]
HALTING = frozenset({Gate.HELD_MARGIN, Gate.MAINTENANCE_MARGIN})
"""The gates whose limits halt the bot."""
NOTHING_LEFT = "no equity left"
"""What is seen where nothing can be a share of the equity any more: no margin is enough then."""


def initial_margin(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare the initial margin of the whole book with its limit, as a share of equity."""
    gate, reason = Gate.INITIAL_MARGIN, Reason.MARGIN_ABOVE_MAX
    return _judged(book, margin, limit, gate, reason, le, lambda equity: margin.initial_usd / equity)


def free_margin(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare the margin that is left for more orders with its limit, as a share of equity.

    It is what the venue says is available, or equity less the initial margin of the whole book, whichever is less.
    """
    gate, reason = Gate.FREE_MARGIN, Reason.FREE_MARGIN_BELOW_MIN
    have, used = book.buying_power, margin.initial_usd
    return _judged(book, margin, limit, gate, reason, ge, lambda equity: min(have, equity - used) / equity)


def held_margin(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare the initial margin with the share of equity at which the bot halts."""
    gate, reason = Gate.HELD_MARGIN, Reason.MARGIN_HALT
    return _judged(book, margin, limit, gate, reason, lt, lambda equity: margin.initial_usd / equity)


def maintenance_margin(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare the maintenance margin with the share of equity at which the bot halts; at all of it, the venue acts."""
    gate, reason = Gate.MAINTENANCE_MARGIN, Reason.MAINTENANCE_HALT
    return _judged(book, margin, limit, gate, reason, lt, lambda equity: margin.maintenance_usd / equity)


def liquidation(book: Book, margin: Margin, limit: Decimal) -> Decision:
    """Compare how far the mark of any position is from its liquidation price with the least distance."""
    gate, reason = Gate.LIQUIDATION, Reason.LIQUIDATION_TOO_NEAR
    nearest = (one.distance for one in margin.liquidations(book.equity))
    return _judged(book, margin, limit, gate, reason, ge, lambda _: next(nearest, None))


def watched(limits: Limits, halts: HaltRules) -> Iterator[tuple[Gate, Decimal, Predicate]]:
    """Yield the limits on margin that are set, each with the gate that asks it and its predicate."""
    for gate, limit, predicate in (
        (Gate.INITIAL_MARGIN, limits.max_margin_fraction, initial_margin),
        (Gate.FREE_MARGIN, limits.min_free_margin_fraction, free_margin),
        (Gate.LIQUIDATION, limits.min_liquidation_fraction, liquidation),
        (Gate.HELD_MARGIN, halts.margin_fraction, held_margin),
        (Gate.MAINTENANCE_MARGIN, halts.maintenance_fraction, maintenance_margin),
    ):
        if limit is not None:
            yield gate, limit, predicate


def monitors(book: Book, limits: Limits, halts: HaltRules) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each limit on the account's book as it is, with the symbol concerned."""
    if book.margin is None:
        return
    nearest = next((one.symbol for one in book.margin.liquidations(book.equity)), "")
    for gate, limit, predicate in watched(limits, halts):
        margin = book.margin.as_held if gate in HALTING else book.margin
        yield nearest if gate is Gate.LIQUIDATION else "", predicate(book, margin, limit)


def margin_halt(book: Book, halts: HaltRules) -> Decision | None:
    """Compare the initial margin of what is held with the share of equity at which the bot halts."""
    limit = halts.margin_fraction
    return None if book.margin is None or limit is None else held_margin(book, book.margin.as_held, limit)


def maintenance_halt(book: Book, halts: HaltRules) -> Decision | None:
    """Compare the maintenance margin of what is held with the share of equity at which the bot halts."""
    limit = halts.maintenance_fraction
    return None if book.margin is None or limit is None else maintenance_margin(book, book.margin.as_held, limit)


def _judged(
    book: Book,
    margin: Margin,
    limit: Decimal,
    gate: Gate,
    reason: Reason,
    fits: Callable[[Decimal, Decimal], bool],
    measure: Callable[[Decimal], Decimal | None],
) -> Decision:
    """Compare a measure of the equity that open orders leave with its limit, if all that it follows from is known."""
    lacking, equity = margin.lacking(), book.equity - margin.loss
    if lacking:
        return Decision(gate, Verdict.UNKNOWN, *lacking, limit)
    unknown = unknown_loss(book, gate, limit)
    if unknown is None and book.equity <= 0:
        return Decision(gate, Verdict.FAIL, reason, NOTHING_LEFT, limit)
    if unknown or equity <= 0:
        return unknown or Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNKNOWN, equity, limit)
    found = measure(equity)
    return answer(gate, found is None or fits(found, limit), reason, found, limit)
