"""Decide when to close a position: ask its exit rules, those of time first, then those of price."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from tradebot.exits.held import Held, exit_price
from tradebot.exits.kind import PriceRule, TimeRule
from tradebot.exits.lists import Exits
from tradebot.model.bar import Quote
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState


def evaluate(
    held: Held,
    quote: Quote | None,
    now: datetime,
    rules: Exits,
    state: TradingState,
    ratio: Decimal = Decimal(1),
    clocks: Decision | None = None,
) -> Decision:
    """Return PASS with the reason to close, or FAIL with HOLD and the nearest rule.

    Flatten and rules of time need no price. Without a quote, rules of price return UNKNOWN, so that the gap is visible.
    With no rules at all, only flatten closes the position.

    `ratio` is the broker's shares as a multiple of the books'. If it isn't one, there may have been a split, which
    would change every price in the books, or there may not. A price rule then closes the position only if it would do
    so either way. If `clocks` didn't pass, we don't know how old the position is, and only the price rules can close
    it.
    """
    if state is TradingState.FLATTEN:
        return Decision(Gate.EXIT, Verdict.PASS, Reason.FLATTEN, state.value)
    by_time = [rule for rule in rules if isinstance(rule, TimeRule)]
    by_price = [rule for rule in rules if isinstance(rule, PriceRule)]
    timed = clocks is None or clocks.passed
    due = _by_time(held, now, by_time) if timed else None
    if due is not None:
        return due
    if quote is None and by_price:
        return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    decision = _at_quote(held, quote, now, by_price)
    if clocks is not None and by_time and not (timed or decision.passed):
        return replace(clocks, gate=Gate.EXIT, verdict=Verdict.UNKNOWN)
    if ratio == 1 or ratio <= 0 or _at_quote(held, quote, now, by_price, ratio).passed is decision.passed:
        return decision
    return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.SPLIT_UNPROVEN, ratio, 1, decision.age_s)


def met(held: Held, price: Decimal, rules: Exits) -> Reason | None:
    """Return the reason of the first rule of price that closes the position at `price`, in USD; None if none does."""
    decision = _by_price(held, price, [rule for rule in rules if isinstance(rule, PriceRule)], None)
    return decision.reason if decision.passed else None


def _by_time(held: Held, now: datetime, rules: Iterable[TimeRule]) -> Decision | None:
    age_s = (now - held.position.opened_at).total_seconds()
    for rule in rules:
        measure = rule.measure(held, now)
        if measure.closes:
            return Decision(Gate.EXIT, Verdict.PASS, rule.reason, measure.observed, measure.limit, age_s)
    return None


def _at_quote(
    held: Held, quote: Quote | None, now: datetime, rules: Sequence[PriceRule], ratio: Decimal = Decimal(1)
) -> Decision:
    """Judge by the price at which the position could be closed, times `ratio`; without a quote, no rule needs one."""
    if quote is None:
        return Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD)
    return _by_price(held, exit_price(held.position, quote) * ratio, rules, quote.age_s(now))


def _by_price(held: Held, price: Decimal, rules: Sequence[PriceRule], age_s: float | None) -> Decision:
    """Return PASS with the first rule that closes the position at `price`, or HOLD."""
    for rule in rules:
        measure = rule.measure(held, price)
        if measure.closes:
            return Decision(Gate.EXIT, Verdict.PASS, rule.reason, measure.observed, measure.limit, age_s)
    gain = held.gain(price)
    return Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD, gain, _nearest(gain, rules), age_s)


def _nearest(gain: Decimal, rules: Iterable[PriceRule]) -> Decimal | None:
    """Return the nearest gain or loss at which a rule closes, on the side on which the position is now."""
    gains = [rule.gain for rule in rules if rule.gain is not None]
    if gain > 0:
        return min((one for one in gains if one > 0), default=None)
    return max((one for one in gains if one < 0), default=None)
