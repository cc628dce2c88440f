"""A strategy's own limits: the predicates that hold for the account, asked of the strategy's own book.

Their decisions have gates and reasons of their own, so that a refusal says whose limit it was.

Its fractions are of its allotment, and the account's limits are the outer wall for the sum. Orders of different
strategies are never netted: two may hold a symbol on the same side, each with its own lots, and an entry against
another strategy's side is refused (OPPOSITE_SIDE).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from tradebot.gates import book as limits_of
from tradebot.gates.book import exposure_monitors
from tradebot.model.decision import Decision, Gate
from tradebot.model.desk import Book
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason

GATES: Mapping[Gate, Gate] = {
    Gate.OPEN_POSITIONS: Gate.OWN_OPEN_POSITIONS,
    Gate.NEW_ENTRIES: Gate.OWN_NEW_ENTRIES,
    Gate.SESSION_ENTRIES: Gate.OWN_SESSION_ENTRIES,
    Gate.ORDER_RATE: Gate.OWN_ORDER_RATE,
    Gate.SYMBOL_NOTIONAL: Gate.OWN_SYMBOL_NOTIONAL,
    Gate.SECTOR_NOTIONAL: Gate.OWN_SECTOR_NOTIONAL,
    Gate.GROSS_NOTIONAL: Gate.OWN_GROSS_NOTIONAL,
    Gate.THEME_NOTIONAL: Gate.OWN_THEME_NOTIONAL,
    Gate.NET_NOTIONAL: Gate.OWN_NET_NOTIONAL,
    Gate.BETA_NOTIONAL: Gate.OWN_BETA_NOTIONAL,
    Gate.CONCENTRATION: Gate.OWN_CONCENTRATION,
    Gate.LOSS_STREAK: Gate.OWN_LOSS_STREAK,
}
"""The account's gates that a strategy also has for itself."""

REASONS: Mapping[Reason, Reason] = {
    Reason.MAX_OPEN_POSITIONS: Reason.OWN_MAX_OPEN_POSITIONS,
    Reason.MAX_NEW_ENTRIES: Reason.OWN_MAX_NEW_ENTRIES,
    Reason.MAX_SESSION_ENTRIES: Reason.OWN_MAX_SESSION_ENTRIES,
    Reason.ORDER_RATE: Reason.OWN_ORDER_RATE,
    Reason.SYMBOL_NOTIONAL_ABOVE_MAX: Reason.OWN_SYMBOL_NOTIONAL_ABOVE_MAX,
    Reason.SECTOR_NOTIONAL_ABOVE_MAX: Reason.OWN_SECTOR_NOTIONAL_ABOVE_MAX,
    Reason.GROSS_NOTIONAL_ABOVE_MAX: Reason.OWN_GROSS_NOTIONAL_ABOVE_MAX,
    Reason.THEME_NOTIONAL_ABOVE_MAX: Reason.OWN_THEME_NOTIONAL_ABOVE_MAX,
    Reason.NET_NOTIONAL_ABOVE_MAX: Reason.OWN_NET_NOTIONAL_ABOVE_MAX,
    Reason.BETA_NOTIONAL_ABOVE_MAX: Reason.OWN_BETA_NOTIONAL_ABOVE_MAX,
    Reason.CONCENTRATION_ABOVE_MAX: Reason.OWN_CONCENTRATION_ABOVE_MAX,
    Reason.LOSS_STREAK: Reason.OWN_LOSS_STREAK,
}
"""The reasons of these gates; any other reason, such as an unknown equity, is the same for both."""


def own(decision: Decision) -> Decision:
    """Return a decision about a strategy's own book under the strategy's own gate and reason."""
    reason = decision.reason and REASONS.get(decision.reason, decision.reason)
    return Decision(GATES[decision.gate], decision.verdict, reason, decision.observed, decision.limit, decision.age_s)


def monitors(book: Book, limits: Limits, now: datetime) -> Iterator[tuple[str, Decision]]:
    """Yield the decision of each limit on a strategy's own book as it is, with the symbol or sector concerned."""
    on_book, on_losses = exposure_monitors(book, limits), limits_of.loss_monitors(book, limits, now)
    for subject, decision in (*on_book, *limits_of.rate_monitors(book, limits), *on_losses):
        if decision.gate in GATES:
            yield subject, own(decision)
