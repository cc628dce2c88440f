"""The names of all reasons and their causes. Their meanings are in the table in `reasons`."""

from dataclasses import dataclass
from enum import StrEnum, auto

from tradebot.model.units import Unit


class Cause(StrEnum):
    """Why nothing was traded: the bot is BROKEN, a rule BLOCKED the trade, it was IDLE by design, or we can't tell."""

    BROKEN = "broken"
    BLOCKED = "blocked"
    IDLE = "idle by design"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Stable names: a code never changes its meaning, so old records stay readable."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return name

    CUT_SHORT = auto()
    VENUE_UNREACHABLE = auto()
    KEYS_REFUSED = auto()
    PASS_FAILED = auto()
    MARKET_CLOSED = auto()
    SLOT_TAKEN = auto()
    OUTSIDE_TIMETABLE = auto()
    SLOT_MISSED = auto()
    SLOT_UNFINISHED = auto()
    GAVE_WAY = auto()
    CALENDAR_DISAGREES = auto()
    CLOCKS_DISAGREE = auto()
    STATE_ON_NETWORK = auto()
    ORDER_GATE_CLOSED = auto()
    LIVE_MODE_UNSAID = auto()
    LIVE_ACCOUNT_UNSAID = auto()
    LIVE_NOT_ARMED = auto()
    LIVE_ARMING_EXPIRED = auto()
    SHADOW_LIFTED = auto()
    CONFIG_LOOSENED = auto()
    CONFIG_NOT_ACCEPTED = auto()
    CONFIG_UNREADABLE = auto()
    DRY_RUN = auto()
    SHADOW = auto()
    ACCOUNT_BLOCKED = auto()
    HALTED = auto()
    STATE_UNREADABLE = auto()
    PASS_FAULT = auto()
    NOT_RECONCILED = auto()
    RECONCILE_STALE = auto()
    RECONCILE_FROM_FUTURE = auto()
    RECONCILE_FINDINGS = auto()
    VIEW_INCOMPLETE = auto()
    VIEW_UNSTEADY = auto()
    POSITIONS_DIFFER = auto()
    FLOW_CONTRACT_FAILED = auto()
    FLOW_MISSING = auto()
    FLOW_STALE = auto()
    FLOW_FROM_FUTURE = auto()
    QUOTE_MISSING = auto()
    PREVIOUS_CLOSE_MISSING = auto()
    QUOTE_STALE = auto()
    QUOTE_FROM_FUTURE = auto()
    NO_DIRECTION = auto()
    LONG_ONLY = auto()
    CANDIDATE_STALE = auto()
    CANDIDATE_EXPIRED = auto()
    CLUSTER_TOO_SMALL = auto()
    STRATEGY_DECLINED = auto()
    BARS_MISSING = auto()
    BARS_UNAVAILABLE = auto()
    BARS_TOO_MANY = auto()
    STRATEGY_FAILED = auto()
    STRATEGY_TIMEOUT = auto()
    STRATEGY_INVALID = auto()
    STRATEGY_TOO_MANY = auto()
    TARGET_REACHED = auto()
    OUTSIDE_UNIVERSE = auto()
    ALREADY_CLOSED = auto()
    ALREADY_POSITIONED = auto()
    FOREIGN_POSITION = auto()
    OPPOSITE_SIDE = auto()
    POSITION_GONE = auto()
    POSITION_UNPROVEN = auto()
    SPLIT_UNPROVEN = auto()
    ORDER_WORKING = auto()
    ORDER_LEFT_OUT = auto()
    INTENT_UNRESOLVED = auto()
    SCORE_BELOW_MIN = auto()
    COVERAGE_BELOW_MIN = auto()
    SIZE_BELOW_ONE = auto()
    PRICE_MOVED = auto()
    SPREAD_TOO_WIDE = auto()
    MAX_OPEN_POSITIONS = auto()
    MAX_NEW_ENTRIES = auto()
    MAX_SESSION_ENTRIES = auto()
    MAX_SYMBOL_ENTRIES = auto()
    ORDER_RATE = auto()
    ORDER_NOTIONAL_ABOVE_MAX = auto()
    ORDER_NOTIONAL_BELOW_MIN = auto()
    SYMBOL_NOTIONAL_ABOVE_MAX = auto()
    SECTOR_NOTIONAL_ABOVE_MAX = auto()
    SECTOR_UNKNOWN = auto()
    GROSS_NOTIONAL_ABOVE_MAX = auto()
    OWN_MAX_OPEN_POSITIONS = auto()
    OWN_MAX_NEW_ENTRIES = auto()
    OWN_MAX_SESSION_ENTRIES = auto()
    OWN_ORDER_RATE = auto()
    OWN_SYMBOL_NOTIONAL_ABOVE_MAX = auto()
    OWN_SECTOR_NOTIONAL_ABOVE_MAX = auto()
    OWN_GROSS_NOTIONAL_ABOVE_MAX = auto()
    BUYING_POWER_SHORT = auto()
    EQUITY_UNKNOWN = auto()
    EQUITY_UNEXPLAINED = auto()
    DAILY_LOSS_REACHED = auto()
    DAILY_LOSS_HALT = auto()
    DRAWDOWN_REACHED = auto()
    REJECT_STORM = auto()
    UNKNOWN_STORM = auto()
    SECOND_WRITER = auto()
    BOOKS_OLD = auto()
    VENUE_DRIFT = auto()
    COOLDOWN = auto()
    DUPLICATE_INTENT = auto()
    DUPLICATE_ORDER = auto()
    DESK_STALE = auto()
    SENT = auto()
    VENUE_REJECTED = auto()
    VENUE_UNKNOWN = auto()
    STOP_LOSS = auto()
    TRAILING_STOP = auto()
    PROFIT_TARGET = auto()
    TIME_EXIT = auto()
    STRATEGY_CLOSES = auto()
    FRACTION_REFUSED = auto()
    FLATTEN = auto()
    CLOSED_BY_HAND = auto()
    HOLD = auto()
    STALE_ENTRY = auto()
    STALE_EXIT = auto()
    STOP_MISSING = auto()
    STOP_TIGHTENED = auto()
    STOP_NEEDLESS = auto()
    EXIT_NEEDS_SHARES = auto()
    LEFT_TO_BROKER = auto()


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason: its cause, what it means, and what to do about it.

    `units` are the units of `observed` and `limit` if they differ from the gate's.
    """

    cause: Cause
    meaning: str
    remedy: str
    units: tuple[Unit, Unit] | None = None


def row(cause: Cause, meaning: str, remedy: str, unit: Unit | None = None, limit: Unit | None = None) -> ReasonRow:
    """Return one row of the table; the limit is in the same unit unless it has another."""
    return ReasonRow(cause, meaning, remedy, (unit, limit or unit) if unit else None)
