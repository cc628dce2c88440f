"""A candidate: a proposed change to a position, with its score and the inputs of that score."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.decision import Decision
from tradebot.model.instrument import ONE, Instrument, notional


class ScaleOutLevel(Struct, frozen=True):
    """One level of a scale-out: once the gain reaches `fraction` of the entry price, close `share` of the position.

    The share is a fraction of all shares that the position was opened with.
    """

    fraction: Decimal
    share: Decimal


SHARES = Decimal(100)
"""The number of shares of the underlying per option contract."""


class OptionContract(Struct, frozen=True):
    """An option contract whose alerts point in the direction of an entry.

    `symbol` is its OCC symbol, `net_premium` the sum of those alerts' ask-side minus bid-side premium in USD, positive
    if bullish, and `alerts` are their ids, newest first. All other fields come from the newest alert: `bid` and `ask`
    are in USD per share of the underlying, `volume` and `open_interest` in contracts. `opening` and `sweep` are the
    source's inferences.
    """

    symbol: str
    net_premium: Decimal
    at: datetime
    bid: Decimal | None
    ask: Decimal | None
    volume: int
    open_interest: int
    opening: bool | None
    sweep: bool
    alerts: tuple[str, ...]

    @property
    def spread_fraction(self) -> Decimal | None:
        """Return the spread as a fraction of the midpoint, or None without a quote."""
        if self.bid is None or self.ask is None or not self.bid + self.ask:
            return None
        return (self.ask - self.bid) / ((self.bid + self.ask) / 2)

    @property
    def cost_usd(self) -> Decimal | None:
        """Return the cost of one contract at the ask, or None without an ask."""
        return None if self.ask is None else notional(ONE, self.ask, SHARES)


STRATEGY_SOURCE = "strategy"


class Purpose(StrEnum):
    """The purpose of an order; only OPEN adds risk.

    A PROTECT order rests at the venue until its price is reached, then closes the shares it protects.
    """

    OPEN = "open"
    REDUCE = "reduce"
    CLOSE = "close"
    PROTECT = "protect"


class Side(StrEnum):
    """Buy or sell, as sent to the venue."""

    BUY = "buy"
    SELL = "sell"

    @classmethod
    def of(cls, signed: Decimal | int) -> "Side":
        """Return the side of a signed quantity: buy if it is above zero, otherwise sell."""
        return cls.BUY if signed > 0 else cls.SELL

    @property
    def sign(self) -> int:
        """Return +1 for a buy and -1 for a sell."""
        # Loops over fills call this, and looking up an enum member is slower than comparing its text.
        return 1 if self == "buy" else -1


class WantKind(StrEnum):
    """The type of want that a strategy returned for a candidate."""

    OPEN = "open"
    TARGET = "target"
    REDUCE = "reduce"
    CLOSE = "close"


class Component(Struct, frozen=True):
    """One component of a score: `value` is in -1..1, or None if its data is missing; its weight counts in the total
    either way.
    """

    name: str
    value: float | None
    weight: float
    source: str


class Input(Struct, frozen=True):
    """One number that a score was computed from, in `unit`; `at` is its own time or trading date, if it has one.

    In a formula, `name` is an identifier such as net_usd. `row` is the id of the stored row it was read from, if there
    is exactly one.
    """

    name: str
    value: Decimal | float | int
    unit: str
    at: datetime | date | None = None
    row: str = ""


class ComponentInputs(Struct, frozen=True):
    """A component's formula (over the names of its inputs) and those inputs; `absent` says why it has no value.

    `inferred` names what the formula assumes because the flow source doesn't define it.
    """

    component: str
    formula: str
    values: tuple[Input, ...]
    absent: str | None = None
    inferred: str = ""


class Candidate(Struct, frozen=True):
    """A change proposed by a strategy or an exit rule.

    The score is in -1..1, coverage in 0..1; the quantity is unsigned, and None if the core decides it. `want` is the
    strategy's request; `weight` is the share of its allotment that a target requests. `reads_flow` says whether the
    strategy reads options flow. `stop_loss_fraction` and `profit_target_fraction` are distances from the entry price at
    which to close the position, and `targets` the levels of a scale-out. `atr_fraction` (the average true range at
    entry) and `invalid_fraction` (the distance at which the reason for the trade is gone), both fractions of the entry
    price, are stored for exit rules and the strategy. `why` is the reason to reduce or close: the strategy's own words,
    or the exit rules' composed reason. `slot` is the strategy's own slot, and `slot_session` the session in which it
    starts; if the strategy runs in every pass, they are empty and None. If `displaced_by` names a symbol, the position
    is closed to make room for it. `contracts` are the options behind an entry, `cluster` the setup that its strategy
    names, and `hold_s` the expected holding time in seconds.
    """

    strategy: str
    instrument: Instrument
    side: Side
    purpose: Purpose
    at: datetime
    score: float | None = None
    coverage: float | None = None
    components: tuple[Component, ...] = ()
    quantity: Decimal | None = None
    source: str = STRATEGY_SOURCE
    decisions: tuple[Decision, ...] = ()
    want: WantKind = WantKind.OPEN
    reads_flow: bool = False
    weight: Decimal | None = None
    stop_loss_fraction: Decimal | None = None
    profit_target_fraction: Decimal | None = None
    why: str = ""
    slot: str = ""
    slot_session: date | None = None
    targets: tuple[ScaleOutLevel, ...] = ()
    displaced_by: str = ""
    contracts: tuple[OptionContract, ...] = ()
    atr_fraction: Decimal | None = None
    invalid_fraction: Decimal | None = None
    cluster: str = ""
    hold_s: int | None = None

    @property
    def symbol(self) -> str:
        return self.instrument.symbol


class Submitted(Struct, frozen=True):
    """A submitted entry: its score is in -1..1 with the sign of its side, its coverage in 0..1 or None.

    `at` is the signal's own time, if any. `source` names the system that submitted it, and `strategy` the owner of the
    lots it would open.
    """

    symbol: str
    side: Side
    score: float
    source: str
    strategy: str
    coverage: float | None
    at: datetime | None


class BadLine(Struct, frozen=True):
    """A line (counted from 1) that isn't a valid candidate, with the reason and an excerpt."""

    line: int
    reason: str
    detail: str


class Submission(Struct, frozen=True):
    """The parsed candidates file; each of its lines is a candidate, a duplicate or a bad line. `digest` identifies its
    content.
    """

    lines: int
    candidates: tuple[Submitted, ...]
    duplicates: int
    bad: tuple[BadLine, ...]
    digest: str
