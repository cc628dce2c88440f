"""How a session that a bot traded differs from the same session as a backtest plays it."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.record import Job

NONE = Decimal(0)
IN_FULL = 10_000
"""How many basis points a whole is."""


class ParityCause(StrEnum):
    """Why the bot did otherwise than the backtest of the same session.

    PRICE: it saw other quotes. LATE_DATA: bars that a strategy needs came later than they were due. REVISED_DATA: bars
    have changed since it saw them. FILL_MODEL: the broker answered or filled otherwise than the backtest assumes.
    MISSED_SLOT: nothing ran in a slot of the timetable, or nothing that ended. OURS: nothing outside explains it.
    """

    PRICE = "price"
    LATE_DATA = "late_data"
    REVISED_DATA = "revised_data"
    FILL_MODEL = "fill_model"
    MISSED_SLOT = "missed_slot"
    OURS = "ours"


class What(StrEnum):
    """The kind of difference: in a decision about a candidate, in an order sent, or in its fill."""

    DECISION = "decision"
    ORDER = "order"
    FILL = "fill"


class ParityDifference(Struct, frozen=True):
    """One thing that the bot did otherwise than the backtest, and why; `cost_usd` is above zero if that was worse.

    `live` and `played` say in a few words what either did. A decision costs what its order does, so its own cost is
    zero. An order that only one of both has, or that differs itself, costs what its fills would be worth at the prices
    of the end. `symbol` and `strategy` are empty for what concerns a whole pass.
    """

    what: What
    at: datetime
    job: Job
    slot: str
    strategy: str
    symbol: str
    cause: ParityCause
    live: str
    played: str
    cost_usd: Decimal = NONE
    order: str = ""


class ByCause(Struct, frozen=True):
    """How many decisions, orders and fills differ for one cause, and their cost in USD; negative is a gain."""

    cause: ParityCause
    decisions: int
    orders: int
    fills: int
    cost_usd: Decimal

    def of(self, what: What) -> int:
        return {What.DECISION: self.decisions, What.ORDER: self.orders, What.FILL: self.fills}[what]


class DayParity(Struct, frozen=True):
    """A session beside its backtest: how many things were compared, what differs, and what fills cost beside it.

    `causes` sum up the `differences`, of which stored ones have none. Of the fills that both have, `worse_usd` is how
    much worse the bot's were, and `value_usd` what they are worth; the backtest assumed that an order pays
    `assumed_bps` beyond the quote. `complete` is False for a session that wasn't over yet. It isn't `played` if its
    market can't be: then passes are decided again from what they were given, and fills are compared with the quotes
    that these saw. `costs_usd` is what the bot's own fills cost: fees, and what the backtest assumes beyond the quote.
    It is None if a fee isn't known.
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
    worse_usd: Decimal = NONE
    value_usd: Decimal = NONE
    assumed_bps: Decimal = NONE
    played: bool = True
    costs_usd: Decimal | None = None

    @property
    def cost_usd(self) -> Decimal:
        return sum((cause.cost_usd for cause in self.causes), NONE)

    def count(self, what: What) -> int:
        return sum(cause.of(what) for cause in self.causes)

    @property
    def ours(self) -> int:
        """Return how many differences nothing outside explains."""
        return sum(cause.of(what) for cause in self.causes if cause.cause is ParityCause.OURS for what in What)


def by_cause(differences: Sequence[ParityDifference]) -> tuple[ByCause, ...]:
    """Return what differs in a session by its causes, in the order of these."""
    by_causes = []
    for cause in ParityCause:
        of_cause = [difference for difference in differences if difference.cause is cause]
        if of_cause:
            decisions, orders, fills = (sum(difference.what is what for difference in of_cause) for what in What)
            cost = sum((difference.cost_usd for difference in of_cause), NONE)
            by_causes.append(ByCause(cause, decisions, orders, fills, cost))
    return tuple(by_causes)
