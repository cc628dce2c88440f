"""Turn a target into the change that reaches it: what the strategy holds now against what it wants to hold."""

from dataclasses import replace
from decimal import Decimal

from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.instrument import notional, whole_lots
from tradebot.model.limits import OwnRules
from tradebot.model.reasons import Reason

NONE = Decimal(0)
REBALANCE = "rebalance"
"""Why shares are closed that a target has no place for, in the grammar of `exits.why`."""


def change_to(candidate: Candidate, desk: Desk, own: OwnRules) -> Candidate:
    """Return a target as an order to open, reduce or close, with the decision that says why; other wants as they are.

    A target on the other side of what is held closes that first; the rest follows once it is closed. A change smaller
    than the tolerance counts as none. What left the strategy's universe is only reduced or closed.
    """
    if candidate.want is not WantKind.TARGET:
        return candidate
    held = held_by(desk, candidate.strategy, candidate.symbol)
    wanted = _wanted_shares(candidate, desk, own)
    if wanted is None:
        why = desk.rejected_quotes.get(candidate.symbol)
        unpriced = Decision(Gate.TARGET, Verdict.UNKNOWN, Reason.QUOTE_MISSING, why)
        return replace(candidate, decisions=(*candidate.decisions, unpriced))
    if _is_reached(candidate, desk, own, held, wanted):
        reached = Decision(Gate.TARGET, Verdict.FAIL, Reason.TARGET_REACHED, held, wanted)
        return replace(candidate, quantity=abs(wanted - held), decisions=(*candidate.decisions, reached))
    side, purpose, quantity = _step(held, wanted)
    if purpose is not Purpose.CLOSE:
        quantity = whole_lots(candidate.instrument, quantity)
    decision = Decision(Gate.TARGET, Verdict.PASS, None, held, wanted)
    if purpose is Purpose.OPEN and candidate.symbol not in own.universe:
        decision = Decision(Gate.TARGET, Verdict.FAIL, Reason.OUTSIDE_UNIVERSE, held, wanted)
    why = candidate.why if purpose is Purpose.OPEN else REBALANCE
    decisions = (*candidate.decisions, decision)
    return replace(candidate, side=side, purpose=purpose, quantity=quantity, decisions=decisions, why=why)


def held_by(desk: Desk, strategy: str, symbol: str) -> Decimal:
    """Return the signed shares that one strategy holds."""
    held = (p.quantity for p in desk.positions if (p.strategy, p.symbol) == (strategy, symbol))
    return next(held, NONE)


def _wanted_shares(candidate: Candidate, desk: Desk, own: OwnRules) -> Decimal | None:
    """Return the wanted signed shares in whole lots, or None if only a quote could tell.

    A weight is of the allotment's equity, at the quote's midpoint. Both are rounded toward zero.
    """
    if candidate.weight is None:
        assert candidate.quantity is not None, "a target has a weight or a quantity"
        return whole_lots(candidate.instrument, candidate.quantity)
    if not candidate.weight:
        return NONE
    quote = desk.quotes.get(candidate.symbol)
    if quote is None:
        return None
    value = candidate.weight * own.allotment_fraction * desk.book.equity
    return whole_lots(candidate.instrument, value / notional(candidate.instrument, Decimal(1), quote.middle))


def _is_reached(candidate: Candidate, desk: Desk, own: OwnRules, held: Decimal, wanted: Decimal) -> bool:
    """Return True if nothing is left to do; a position that isn't wanted at all is closed however small it is."""
    change = abs(wanted - held)
    if not wanted:
        return not change
    if change < candidate.instrument.lot:
        return True
    if candidate.weight is None:
        return False
    quote = desk.quotes.get(candidate.symbol)
    assert quote is not None, "a weight was turned into shares at a quote"
    tolerance = own.limits.target_tolerance_fraction * own.allotment_fraction * desk.book.equity
    return notional(candidate.instrument, change, quote.middle) < tolerance


def _step(held: Decimal, wanted: Decimal) -> tuple[Side, Purpose, Decimal]:
    """Return the side, purpose and unsigned shares of the next order toward what is wanted."""
    if held and held * wanted <= 0:
        return _closing_side(held), Purpose.CLOSE, abs(held)
    if abs(wanted) < abs(held):
        return _closing_side(held), Purpose.REDUCE, abs(held - wanted)
    return (Side.BUY if wanted > 0 else Side.SELL), Purpose.OPEN, abs(wanted - held)


def _closing_side(held: Decimal) -> Side:
    return Side.SELL if held > 0 else Side.BUY
