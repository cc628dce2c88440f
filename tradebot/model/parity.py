"""How a session that a bot traded differs from a backtest of the same session."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.record import Job

ZERO = Decimal(0)
IN_FULL = 10_000
"""How many basis points make up the whole."""


class ParityCause(StrEnum):
    """Why the bot acted differently from the backtest of the same session.

    PRICE: the bot saw other quotes. LATE_DATA: bars that a strategy needs came later than they were due. REVISED_DATA:
    bars have changed since the bot saw them. FILL_MODEL: the broker answered or filled differently from the backtest's
    model. MISSED_SLOT: nothing ran, or nothing finished, in a slot of the timetable. OURS: no outside cause explains
    it.
    """

    PRICE = "price"
    LATE_DATA = "late_data"
    REVISED_DATA = "revised_data"
    FILL_MODEL = "fill_model"
    MISSED_SLOT = "missed_slot"
    OURS = "ours"


class DifferenceType(StrEnum):
    """The type of difference: in a decision about a candidate, in an order sent, or in its fill."""

    DECISION = "decision"
    ORDER = "order"
    FILL = "fill"


class ParityDifference(Struct, frozen=True):
    """One difference between the bot and the backtest, and its cause; `cost_usd` is positive if the bot did worse.

    `live` and `played` describe in a few words what the bot and the backtest did. The cost of a decision is counted
    with its order, so the decision's own cost is zero. For an order that only one side has, or that differs, the cost
    is the value of its fills at the final prices. `symbol` and `strategy` are empty for a whole pass.
    """

    what: DifferenceType
    at: datetime
    job: Job
    slot: str
    strategy: str
    symbol: str
    cause: ParityCause
    live: str
    played: str
    cost_usd: Decimal = ZERO
    order: str = ""


class ByCause(Struct, frozen=True):
    """The number of differing decisions, orders and fills by cause, and their cost in USD; negative is a gain."""

    cause: ParityCause
    decisions: int
    orders: int
    fills: int
    cost_usd: Decimal

    def of(self, what: DifferenceType) -> int:
        return {
            DifferenceType.DECISION: self.decisions,
            DifferenceType.ORDER: self.orders,
            DifferenceType.FILL: self.fills,
        }[what]


class DayParity(Struct, frozen=True):
    """A session compared with its backtest: the number of comparisons, the differences, and the cost of fills.

    `causes` summarize the `differences`, which aren't stored. For fills on both sides, `worse_usd` is how much worse
    the bot's fills were, and `value_usd` their notional; the backtest assumed that an order pays `assumed_bps` beyond
    the quote. `complete` is False for a session that wasn't over yet. `played` is False if the session's market can't
    be simulated. Its passes are then decided again from their recorded inputs, and its fills are compared with the
    recorded quotes. `costs_usd` is the cost of the bot's own fills: fees, plus the slippage that the backtest assumes;
    None if a fee isn't known.
    """

    session: date
    version: str
    complete: bool
    passes: int
    decisions: int
    orders: int
    fills: int
    causes: tuple[ByCause, ...] = ()
    differences: tuple[ParityDifference, ...] = ()
    worse_usd: Decimal = ZERO
    value_usd: Decimal = ZERO
    assumed_bps: Decimal = ZERO
    played: bool = True
    costs_usd: Decimal | None = None

    @property
    def cost_usd(self) -> Decimal:
        return sum((cause.cost_usd for cause in self.causes), ZERO)

    def count(self, what: DifferenceType) -> int:
        return sum(cause.of(what) for cause in self.causes)

    @property
    def ours(self) -> int:
        """Return how many differences have no outside cause."""
        return sum(
            cause.of(what) for cause in self.causes if cause.cause is ParityCause.OURS for what in DifferenceType
        )


def group_by_cause(differences: Sequence[ParityDifference]) -> tuple[ByCause, ...]:
    """Summarize a session's differences by cause, in the order of the causes."""
    by_causes = []
    for cause in ParityCause:
        of_cause = [difference for difference in differences if difference.cause is cause]
        if of_cause:
            decisions, orders, fills = (
                sum(difference.what is what for difference in of_cause) for what in DifferenceType
            )
            cost = sum((difference.cost_usd for difference in of_cause), ZERO)
            by_causes.append(ByCause(cause, decisions, orders, fills, cost))
    return tuple(by_causes)
