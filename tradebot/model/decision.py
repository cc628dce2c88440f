"""A decision: who was asked, the verdict, a stable reason, and the numbers behind it."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tradebot.model.reasons import Reason

Number = Decimal | float | int


class Verdict(StrEnum):
    """PASS and FAIL are known; UNKNOWN fails an entry."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Gate(StrEnum):
    """Everyone who may be asked about a candidate, in the fixed order of asking."""

    JOB = "job"
    PERMISSION = "permission"
    TRADING_STATE = "trading_state"
    SESSION = "session"
    SECOND_WRITER = "second_writer"
    BOOKS_OLD = "books_old"
    VENUE_DRIFT = "venue_drift"
    REFUSALS = "refusals"
    UNANSWERED = "unanswered"
    RECONCILED = "reconciled"
    FLOW_CONTRACT = "flow_contract"
    FLOW_FRESH = "flow_fresh"
    QUOTE_FRESH = "quote_fresh"
    COVERAGE = "coverage"
    STRATEGY = "strategy"
    POSITIONED = "positioned"
    WORKING = "working"
    UNRESOLVED = "unresolved"
    SCORE = "score"
    SIZE = "size"
    PRICE_COLLAR = "price_collar"
    SPREAD = "spread"
    OPEN_POSITIONS = "open_positions"
    NEW_ENTRIES = "new_entries"
    SESSION_ENTRIES = "session_entries"
    SYMBOL_ENTRIES = "symbol_entries"
    ORDER_RATE = "order_rate"
    ORDER_NOTIONAL = "order_notional"
    SYMBOL_NOTIONAL = "symbol_notional"
    SECTOR_NOTIONAL = "sector_notional"
    GROSS_NOTIONAL = "gross_notional"
    BUYING_POWER = "buying_power"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    COOLDOWN = "cooldown"
    DUPLICATE = "duplicate"
    EXIT = "exit"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer; `observed` and `limit` are in the unit that the gate's reason states, `age_s` in seconds."""

    gate: Gate
    verdict: Verdict
    reason: Reason | None = None
    observed: Number | str | None = None
    limit: Number | str | None = None
    age_s: float | None = None

    @property
    def passed(self) -> bool:
        """Tell whether this answer lets the candidate go on."""
        return self.verdict is Verdict.PASS

    @property
    def distance(self) -> float | None:
        """Return how far observed is from the limit as a fraction of the limit; None where either is no number."""
        if isinstance(self.observed, str | None) or isinstance(self.limit, str | None):
            return None
        limit = float(self.limit)
        gap = abs(float(self.observed) - limit)
        return gap / abs(limit) if limit else gap


def first_failure(decisions: tuple[Decision, ...]) -> Decision | None:
    """Return the terminal decision, the first that did not pass in the order of asking, or None."""
    return next((decision for decision in decisions if not decision.passed), None)
