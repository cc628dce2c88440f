"""A decision: the gate that was asked, its verdict, a stable reason, and the numbers behind it.

Strategies, gates, exits and jobs all return decisions. So `why-no-orders` sums up records and never judges anything a
second time.
"""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.text import noun, plain

Number = Decimal | float | int


UNITS = {unit.code: unit for unit in Unit if unit is not Unit.NONE}
"""Every unit by its code in records."""


class Verdict(StrEnum):
    """The verdict of a gate. UNKNOWN means it couldn't be determined, and refuses an entry just as FAIL does."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Gate(StrEnum):
    """Every gate that may be asked about a candidate, in the order of asking, with the unit of what it compares.

    A gate whose name begins with "own" compares a strategy's own book with its own limits; the gate of the same name
    without it compares the account's book with the account's limits. A gate of a limit that is off isn't asked.
    """

    unit: Unit
    place: int

    def __new__(cls, value: str, unit: Unit = Unit.NONE) -> "Gate":
        """Create a gate from its name and unit; its place in the order of asking is below the gates made before it."""
        gate = str.__new__(cls, value)
        gate._value_, gate.unit, gate.place = value, unit, len(cls.__members__)
        return gate

    JOB = "job"
    NEEDS = "needs", Unit.BARS
    PERMISSION = "permission"
    TRADING_STATE = "trading_state"
    PROMOTION = "promotion"
    SESSION = "session", Unit.SECONDS
    SECOND_WRITER = "second_writer", Unit.ORDERS
    BOOKS_OLD = "books_old", Unit.ORDERS
    VENUE_DRIFT = "venue_drift", Unit.ROWS
    REFUSALS = "refusals", Unit.ORDERS
    UNANSWERED = "unanswered", Unit.ORDERS
    RECONCILED = "reconciled", Unit.SECONDS
    INSTRUMENT = "instrument"
    ROLL = "roll"
    DATA_HEALTH = "data_health", Unit.SYMBOLS
    REGISTRY = "registry"
    FLOW_CONTRACT = "flow_contract", Unit.SHARE_OF_WHOLE
    FLOW_FRESH = "flow_fresh", Unit.SECONDS
    QUOTE_FRESH = "quote_fresh", Unit.SECONDS
    CANDIDATE_FRESH = "candidate_fresh", Unit.SECONDS
    COVERAGE = "coverage", Unit.SHARE_OF_WHOLE
    STRATEGY = "strategy"
    TARGET = "target", Unit.SHARES
    POSITIONED = "positioned", Unit.SHARES
    WORKING = "working"
    UNRESOLVED = "unresolved"
    SCORE = "score"
    SIZE = "size", Unit.SHARES
    PRICE_COLLAR = "price_collar", Unit.SHARE_OF_WHOLE
    SPREAD = "spread", Unit.SHARE_OF_WHOLE
    BASIS = "basis", Unit.SHARE_OF_WHOLE
    SHOCK = "shock", Unit.SECONDS
    LIQUIDITY = "liquidity", Unit.SHARES
    DEPTH = "depth", Unit.SHARES
    DISPLACEMENT = "displacement"
    OPEN_POSITIONS = "open_positions", Unit.POSITIONS
    NEW_ENTRIES = "new_entries", Unit.ENTRIES
    SESSION_ENTRIES = "session_entries", Unit.ENTRIES
    SYMBOL_ENTRIES = "symbol_entries", Unit.ENTRIES
    ORDER_RATE = "order_rate", Unit.ENTRIES
    OWN_OPEN_POSITIONS = "own_open_positions", Unit.POSITIONS
    OWN_NEW_ENTRIES = "own_new_entries", Unit.ENTRIES
    OWN_SESSION_ENTRIES = "own_session_entries", Unit.ENTRIES
    OWN_ORDER_RATE = "own_order_rate", Unit.ENTRIES
    ORDER_NOTIONAL = "order_notional", Unit.USD
    SYMBOL_NOTIONAL = "symbol_notional", Unit.SHARE_OF_WHOLE
    SECTOR_NOTIONAL = "sector_notional", Unit.SHARE_OF_WHOLE
    GROSS_NOTIONAL = "gross_notional", Unit.SHARE_OF_WHOLE
    CONTRACTS = "contracts", Unit.SHARES
    OWN_SYMBOL_NOTIONAL = "own_symbol_notional", Unit.SHARE_OF_WHOLE
    OWN_SECTOR_NOTIONAL = "own_sector_notional", Unit.SHARE_OF_WHOLE
    OWN_GROSS_NOTIONAL = "own_gross_notional", Unit.SHARE_OF_WHOLE
    THEME_NOTIONAL = "theme_notional", Unit.SHARE_OF_WHOLE
    NET_NOTIONAL = "net_notional", Unit.SHARE_OF_WHOLE
    BETA_NOTIONAL = "beta_notional", Unit.SHARE_OF_WHOLE
    CONCENTRATION = "concentration", Unit.SHARE_OF_WHOLE
    OWN_THEME_NOTIONAL = "own_theme_notional", Unit.SHARE_OF_WHOLE
    OWN_NET_NOTIONAL = "own_net_notional", Unit.SHARE_OF_WHOLE
    OWN_BETA_NOTIONAL = "own_beta_notional", Unit.SHARE_OF_WHOLE
    OWN_CONCENTRATION = "own_concentration", Unit.SHARE_OF_WHOLE
    COST = "cost", Unit.SHARE_OF_WHOLE
    COST_OF_STOP = "cost_of_stop", Unit.SHARE_OF_WHOLE
    FUNDING = "funding", Unit.SHARE_OF_WHOLE
    REWARD = "reward", Unit.R
    EDGE = "edge", Unit.SHARE_OF_WHOLE
    RISK = "risk", Unit.SHARE_OF_WHOLE
    STOP_LOSS = "stop_loss", Unit.USD
    OPEN_RISK = "open_risk", Unit.SHARE_OF_WHOLE
    OWN_OPEN_RISK = "own_open_risk", Unit.SHARE_OF_WHOLE
    BUYING_POWER = "buying_power", Unit.USD
    INITIAL_MARGIN = "initial_margin", Unit.SHARE_OF_WHOLE
    FREE_MARGIN = "free_margin", Unit.SHARE_OF_WHOLE
    HELD_MARGIN = "held_margin", Unit.SHARE_OF_WHOLE
    MAINTENANCE_MARGIN = "maintenance_margin", Unit.SHARE_OF_WHOLE
    LIQUIDATION = "liquidation", Unit.SHARE_OF_WHOLE
    DAILY_LOSS = "daily_loss", Unit.SHARE_OF_WHOLE
    OWN_DAILY_LOSS = "own_daily_loss", Unit.SHARE_OF_WHOLE
    DRAWDOWN = "drawdown", Unit.SHARE_OF_WHOLE
    MAX_DRAWDOWN = "max_drawdown", Unit.SHARE_OF_WHOLE
    EQUITY_FLOOR = "equity_floor", Unit.USD
    EXPIRY = "expiry"
    POSITIONS_HELD = "positions_held", Unit.POSITIONS
    LARGEST_POSITION = "largest_position", Unit.SHARE_OF_WHOLE
    LOSS_STREAK = "loss_streak", Unit.ROUND_TRIPS
    OWN_LOSS_STREAK = "own_loss_streak", Unit.ROUND_TRIPS
    COOLDOWN = "cooldown", Unit.SECONDS
    LOSS_COOLDOWN = "loss_cooldown", Unit.SECONDS
    WASH_SALE = "wash_sale", Unit.DAYS
    DUPLICATE = "duplicate", Unit.SECONDS
    APPROVAL = "approval", Unit.SECONDS
    EXIT = "exit", Unit.SHARE_OF_WHOLE
    SEND = "send"


class Decision(Struct, frozen=True):
    """One answer; `observed` and `limit` are in its `unit`, or else in the reason's, or in the gate's without that.

    `age_s` is in seconds. `about` names the filter if a strategy asks several of its own; it is empty for gates. `unit`
    is the code of that filter's unit, so that its numbers can be read when it passes too.
    """

    gate: Gate
    verdict: Verdict
    reason: Reason | None = None
    observed: Number | str | None = None
    limit: Number | str | None = None
    age_s: float | None = None
    about: str = ""
    unit: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASS

    @property
    def oldness_s(self) -> float | None:
        """Return how old the data was, for an answer about its age: `age_s`, or what was observed; None without any."""
        if self.age_s is not None:
            return self.age_s
        return None if isinstance(self.observed, str | None) else float(self.observed)

    @property
    def is_above_zero(self) -> bool | None:
        """Return whether there was anything to compare with the limit, to four decimals; None if there is no number."""
        if isinstance(self.observed, str | None) or isinstance(self.limit, str | None):
            return None
        return plain(self.observed) != "0"

    @property
    def units(self) -> tuple[Unit, Unit]:
        """Return the units of `observed` and of `limit`."""
        return units_of(self.gate, self.reason, self.unit)

    @property
    def distance(self) -> float | None:
        """Return the gap between `observed` and `limit` as a fraction of the limit.

        It is None if one has no number, and for a target that is held exactly, which missed nothing.
        """
        if isinstance(self.observed, str | None) or isinstance(self.limit, str | None):
            return None
        if self.gate is Gate.TARGET and self.observed == self.limit:
            return None
        limit = float(self.limit)
        gap = abs(float(self.observed) - limit)
        return gap / abs(limit) if limit else gap


Decisions = tuple[Decision, ...]


def units_of(gate: Gate, reason: Reason | None, code: str = "") -> tuple[Unit, Unit]:
    """Return the units of a gate's `observed` and `limit`; `code` is that of a strategy's own filter, if it has one."""
    if own := UNITS.get(code):
        return own, own
    return (REASONS[reason].units if reason else None) or (gate.unit, gate.unit)


def compared(decision: Decision) -> str:
    """Return what a gate observed and its limit with their units, as in a sentence: 12.34% against 10.00%."""
    values = zip((decision.observed, decision.limit), decision.units, strict=True)
    return " against ".join(_with_unit(value, unit) for value, unit in values)


def _with_unit(value: Number | str | None, unit: Unit) -> str:
    if isinstance(value, str | None) or unit is Unit.NONE:
        return plain(value)
    return (
        f"{value:.2%}" if unit is Unit.SHARE_OF_WHOLE else f"{plain(value)} {noun(1 if value == 1 else 2, *unit.value)}"
    )


def first_failure(decisions: tuple[Decision, ...]) -> Decision | None:
    """Return the terminal decision (the first one that didn't pass, in the order of asking), or None."""
    for decision in decisions:
        if decision.verdict is not Verdict.PASS:
            return decision
    return None
