"""Limits on an account's margin.

Each is a single predicate with two uses: as a gate, on the book with one more order, and as a monitor, on the present
book. A cash account has no margin, so these are skipped there. The rules that halt the bot count only positions,
because an order that may never fill is no reason to call a person.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from operator import ge, le, lt
from typing import NamedTuple

from tradebot.gates.ask import CANDIDATE, Ask, fail_unpriced
from tradebot.gates.gate_declarations import CLOSING, SMALLER, GateSettings
from tradebot.gates.portfolio_limits import unknown_loss
from tradebot.gates.shared_gates import answer
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import RiskBook
from tradebot.model.limits import HaltRules, Limits
from tradebot.model.margin import Margin
from tradebot.model.reasons import Reason

Predicate = Callable[[RiskBook, Margin, Decimal], Decision]
HALTING = frozenset({Gate.HELD_MARGIN, Gate.MAINTENANCE_MARGIN})
"""The gates whose limits halt the bot."""
NOTHING_LEFT = "no equity left"
"""The observed value if equity isn't positive, so that no margin is enough."""


class _Watched(NamedTuple):
    gate: Gate
    limit: Callable[[Limits, HaltRules], Decimal | None]
    predicate: Predicate


_WATCHED: list[_Watched] = []


def _on_margin(
    gate: Gate, reads: GateSettings, limit: Callable[[Limits, HaltRules], Decimal | None]
) -> Callable[[Predicate], Predicate]:
    """Declare a gate for a limit on the account's margin after the entry; it makes no decision in a cash account."""

    def declare(predicate: Predicate) -> Predicate:
        _WATCHED.append(_Watched(gate, limit, predicate))

        @CANDIDATE.gate(gate, reads)
        def decide(ask: Ask) -> Decision | None:
            limit_value = limit(ask.account.limits, ask.account.halts)
            if ask.book.margin is None or limit_value is None:
                return None
            after = ask.after(ask.book)
            return (
                predicate(after, after.margin, limit_value)
                if after and after.margin
                else fail_unpriced(gate, limit_value)
            )

        return predicate

    return declare


@_on_margin(
    Gate.INITIAL_MARGIN,
    GateSettings({"max_margin_fraction": CLOSING}, sized=SMALLER),
    lambda limits, _: limits.max_margin_fraction,
)
def initial_margin(book: RiskBook, margin: Margin, limit: Decimal) -> Decision:
    """Compare the initial margin of the whole book with its limit, as a share of equity."""
    gate, reason = Gate.INITIAL_MARGIN, Reason.MARGIN_ABOVE_MAX
    return _judge_margin(book, margin, limit, gate, reason, le, lambda equity: margin.initial_usd / equity)


@_on_margin(
    Gate.FREE_MARGIN,
    GateSettings({"min_free_margin_fraction": "closing positions, or a deposit"}, sized=SMALLER),
    lambda limits, _: limits.min_free_margin_fraction,
)
def free_margin(book: RiskBook, margin: Margin, limit: Decimal) -> Decision:
    """Compare the margin available for more orders with its limit, as a fraction of equity.

    It is the venue's available margin, or equity minus the initial margin of the whole book, whichever is less.
    """
    gate, reason = Gate.FREE_MARGIN, Reason.FREE_MARGIN_BELOW_MIN
    have, used = book.buying_power, margin.initial_usd
    return _judge_margin(book, margin, limit, gate, reason, ge, lambda equity: min(have, equity - used) / equity)


@_on_margin(
    Gate.HELD_MARGIN,
    GateSettings(halts={"margin_fraction": "closing positions or a deposit, then unhalt"}, sized=SMALLER),
    lambda _, halts: halts.margin_fraction,
)
def held_margin(book: RiskBook, margin: Margin, limit: Decimal) -> Decision:
    """Compare the initial margin with the fraction of equity at which the bot halts."""
    gate, reason = Gate.HELD_MARGIN, Reason.MARGIN_HALT
    return _judge_margin(book, margin, limit, gate, reason, lt, lambda equity: margin.initial_usd / equity)


@_on_margin(
    Gate.MAINTENANCE_MARGIN,
    GateSettings(halts={"maintenance_fraction": "closing positions or a deposit, then unhalt"}, sized=SMALLER),
    lambda _, halts: halts.maintenance_fraction,
)
def maintenance_margin(book: RiskBook, margin: Margin, limit: Decimal) -> Decision:
    """Compare maintenance margin with the share of equity that halts the bot; at 100 %, the venue liquidates."""
    gate, reason = Gate.MAINTENANCE_MARGIN, Reason.MAINTENANCE_HALT
    return _judge_margin(book, margin, limit, gate, reason, lt, lambda equity: margin.maintenance_usd / equity)


@_on_margin(
    Gate.LIQUIDATION,
    GateSettings({"min_liquidation_fraction": "closing positions, prices that recover, or a deposit"}, sized=SMALLER),
    lambda limits, _: limits.min_liquidation_fraction,
)
def liquidation(book: RiskBook, margin: Margin, limit: Decimal) -> Decision:
    """Compare every position's distance from its mark to its liquidation price with the minimum."""
    gate, reason = Gate.LIQUIDATION, Reason.LIQUIDATION_TOO_NEAR
    nearest = (liquidation.distance for liquidation in margin.liquidations(book.equity))
    return _judge_margin(book, margin, limit, gate, reason, ge, lambda _: next(nearest, None))


def monitors(book: RiskBook, limits: Limits, halts: HaltRules) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each margin limit that is set about the account's present book; none for a cash account.

    Each decision comes with a symbol: for the distance to liquidation, that of the position nearest to it, otherwise an
    empty one.
    """
    if book.margin is None:
        return
    nearest = next((liquidation.symbol for liquidation in book.margin.liquidations(book.equity)), "")
    for gate, limit_of, predicate in _WATCHED:
        margin, limit = book.margin.without_orders if gate in HALTING else book.margin, limit_of(limits, halts)
        if limit is not None:
            yield nearest if gate is Gate.LIQUIDATION else "", predicate(book, margin, limit)


def margin_halt(book: RiskBook, halts: HaltRules) -> Decision | None:
    """Compare the initial margin of positions with the share of equity at which the bot halts."""
    limit = halts.margin_fraction
    return None if book.margin is None or limit is None else held_margin(book, book.margin.without_orders, limit)


def maintenance_halt(book: RiskBook, halts: HaltRules) -> Decision | None:
    """Compare the maintenance margin of positions with the share of equity at which the bot halts."""
    limit = halts.maintenance_fraction
    return None if book.margin is None or limit is None else maintenance_margin(book, book.margin.without_orders, limit)


def _judge_margin(
    book: RiskBook,
    margin: Margin,
    limit: Decimal,
    gate: Gate,
    reason: Reason,
    fits: Callable[[Decimal, Decimal], bool],
    measure: Callable[[Decimal], Decimal | None],
) -> Decision:
    """Compare a measure of the margin with its limit, if all its inputs are known."""
    lacking, equity = margin.lacking(), book.equity - margin.loss
    if lacking:
        return Decision(gate, Verdict.UNKNOWN, *lacking, limit)
    unknown = unknown_loss(book, gate, limit)
    if unknown is None and book.equity <= 0:
        return Decision(gate, Verdict.FAIL, reason, NOTHING_LEFT, limit)
    if unknown or equity <= 0:
        return unknown or Decision(gate, Verdict.UNKNOWN, Reason.EQUITY_UNKNOWN, equity, limit)
    measured = measure(equity)
    return answer(gate, measured is None or fits(measured, limit), reason, measured, limit)
