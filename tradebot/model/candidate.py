"""A candidate: a proposed change to a position, with the score behind it and what that was computed from."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.decision import Decision
from tradebot.model.instrument import ONE, Instrument, notional


class ScaleOutLevel(Struct, frozen=True):
    """One level of a scale-out: once the gain reaches `fraction` of the entry price, close `share` of the shares.

    The share is of all shares that the position was opened with, as a fraction.
    """

    fraction: Decimal
    share: Decimal


SHARES = Decimal(100)
"""How many shares of the underlying a contract is about."""


class OptionContract(Struct, frozen=True):
    """An option contract that alerts in the direction of an entry were about.

    `symbol` is its OCC symbol, `net_premium` the sum of those alerts' ask-side minus bid-side premium in USD, positive
    if bullish, and `alerts` are their ids, newest first. The rest is as the newest of them says: `bid` and `ask` are in
    USD per share of the underlying, `volume` and `open_interest` in contracts. `opening` and `sweep` are the source's
    inferences.
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
        """Return what one contract costs at the ask, or None without one."""
        return None if self.ask is None else notional(ONE, self.ask, SHARES)


STRATEGY_SOURCE = "strategy"


class Purpose(StrEnum):
    """What an order is for; only OPEN adds risk.

    An order that protects rests at the venue until its price comes, and closes what it protects.
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
        """Return the side of a signed quantity: a buy above zero."""
        return cls.BUY if signed > 0 else cls.SELL

    @property
    def sign(self) -> int:
        """Return +1 for a buy and -1 for a sell."""
        # Folds over fills ask for it, and looking a member up takes longer than comparing its text.
        return 1 if self == "buy" else -1


class WantKind(StrEnum):
    """The kind of want behind a candidate."""

    OPEN = "open"
    TARGET = "target"
    REDUCE = "reduce"
    CLOSE = "close"


class Component(Struct, frozen=True):
    """One part of a score: `value` is in -1..1, or None if its data is absent; its weight counts either way."""

    name: str
    value: float | None
    weight: float
    source: str


class Input(Struct, frozen=True):
    """One input number, in `unit`; `at` is its own time or trading date, or None if it has neither.

    The `name` of an input of a formula is an identifier, such as net_usd. `row` is the id of the stored row that it was
    read from, if it was read from a single one.
    """

    name: str
    value: Decimal | float | int
    unit: str
    at: datetime | date | None = None
    row: str = ""


class ComponentInputs(Struct, frozen=True):
    """A component's formula (over the names of its inputs) and those inputs; `absent` says why it has no value.

    `inferred` says what of it the source doesn't define.
    """

    component: str
    formula: str
    values: tuple[Input, ...]
    absent: str | None = None
    inferred: str = ""


class Candidate(Struct, frozen=True):
    """A change proposed by a strategy or an exit rule.

    The score is in -1..1, coverage in 0..1; the quantity is unsigned, and None if the core decides it. `want` is what
    the strategy asked for; `weight` is the share of its allotment that a target asks for. `reads_flow` says whether the
    strategy reads options flow. The stop and the target are distances from the entry price at which the position is to
    be closed, and `targets` the levels at which it is to be closed in parts. `atr_fraction` and `invalid_fraction` are
    what the books keep for exit rules and the strategy: the average true range at the entry, and the distance at which
    the reason for the trade is gone, as fractions of the entry price. `why` is the reason to reduce or close: the
    strategy's own words, or the composed reason of the exit rules. `slot` is the strategy's own slot, and
    `slot_session` the session in which that starts; they are empty and None if the strategy is asked in every pass. A
    position with `displaced_by` is closed to make room for that symbol. `contracts` are the options behind an entry,
    `cluster` the kind of situation that its strategy names, and `hold_s` for how many seconds it expects to hold it.
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
    """One submitted entry: a score in -1..1 whose sign matches the side, coverage 0..1 or None.

    `at` is the signal's own time, if any. `source` says where it came from, `strategy` who would own its lots.
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
    """The content of a candidates file: lines = candidates + duplicates + bad lines; `digest` identifies it."""

    lines: int
    candidates: tuple[Submitted, ...]
    duplicates: int
    bad: tuple[BadLine, ...]
    digest: str
