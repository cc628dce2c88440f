"""Decide when to close a position: stop, trailing stop, profit target, time. A gain is positive on either side."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from tradebot.limits import ExitRules
from tradebot.model.bar import Quote
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState


@dataclass(frozen=True, slots=True)
class Held:
    """A position with the best price since it was opened: the highest for a long, the lowest for a short."""

    position: Position
    best: Decimal

    def gain(self, price: Decimal) -> Decimal:
        """Return the gain at `price` as a fraction of the average entry price."""
        entry = self.position.average_price
        return (price - entry) / entry * self.direction

    def pullback(self, price: Decimal) -> Decimal:
        """Return how far `price` has pulled back from the best price, as a fraction of the best price."""
        return (self.best - price) / self.best * self.direction

    @property
    def direction(self) -> int:
        """Return +1 for a long and -1 for a short."""
        return 1 if self.position.quantity > 0 else -1


def exit_price(position: Position, quote: Quote) -> Decimal:
    """Return the price at which the position could be closed now: the bid for a long, the ask for a short."""
    return quote.bid if position.quantity > 0 else quote.ask


def best_price(position: Position, quote: Quote | None, stored: Decimal | None) -> Decimal:
    """Return the best price so far, starting at the entry price; it only ever moves in the position's favor."""
    known = stored if stored is not None else position.average_price
    if quote is None:
        return known
    price = exit_price(position, quote)
    return max(known, price) if position.quantity > 0 else min(known, price)


def evaluate(
    held: Held,
    quote: Quote | None,
    now: datetime,
    rules: ExitRules,
    state: TradingState,
    ratio: Decimal = Decimal(1),
    clocks: Decision | None = None,
) -> Decision:
    """Return PASS with the reason to close, or FAIL with HOLD and the nearest rule.

    Flatten and time exits need no price. Without a quote, the price rules return UNKNOWN, so that the gap is visible.

    `ratio` is the broker's shares as a multiple of the books'. If it isn't one, there may have been a split, which
    would change every price in the books, or there may not. A price rule then closes the position only if it would do
    so either way. If `clocks` didn't pass, we don't know how old the position is, and only the price rules can close
    it.
    """
    age = (now - held.position.opened_at).total_seconds()
    if state is TradingState.FLATTEN:
        return Decision(Gate.EXIT, Verdict.PASS, Reason.FLATTEN, state.value)
    timed = clocks is None or clocks.passed
    if timed and age >= rules.time_exit_s:
        return Decision(Gate.EXIT, Verdict.PASS, Reason.TIME_EXIT, age, rules.time_exit_s, age)
    if quote is None:
        return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    price = exit_price(held.position, quote)
    decision = _by_price(held, price, rules, quote.age_s(now))
    if clocks is not None and not (timed or decision.passed):
        return replace(clocks, gate=Gate.EXIT, verdict=Verdict.UNKNOWN)
    if ratio == 1 or ratio <= 0 or _by_price(held, price * ratio, rules, 0).passed is decision.passed:
        return decision
    return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.SPLIT_UNPROVEN, ratio, 1, quote.age_s(now))


def _by_price(held: Held, price: Decimal, rules: ExitRules, age_s: float) -> Decision:
    gain, pullback = held.gain(price), held.pullback(price)
    armed = held.gain(held.best) >= rules.trailing_arm_fraction
    if gain <= -rules.stop_loss_fraction:
        return Decision(Gate.EXIT, Verdict.PASS, Reason.STOP_LOSS, gain, -rules.stop_loss_fraction, age_s)
    if gain >= rules.profit_target_fraction:
        return Decision(Gate.EXIT, Verdict.PASS, Reason.PROFIT_TARGET, gain, rules.profit_target_fraction, age_s)
    if armed and pullback >= rules.trailing_stop_fraction:
        return Decision(Gate.EXIT, Verdict.PASS, Reason.TRAILING_STOP, pullback, rules.trailing_stop_fraction, age_s)
    nearest = rules.profit_target_fraction if gain > 0 else -rules.stop_loss_fraction
    return Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD, gain, nearest, age_s)
