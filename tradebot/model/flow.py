"""Facts about options flow, normalized; money is Decimal, times are aware UTC, dates are New York trading dates."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tradebot.model.instrument import Right

REQUESTS_PER_MINUTE = 90
"""How many requests we send to the source in the long run; its smallest plan allows 120."""


class Endpoint(StrEnum):
    """The flow endpoints that the strategy reads."""

    FLOW_ALERTS = "flow_alerts"
    DARK_POOL = "dark_pool"
    MARKET_TIDE = "market_tide"
    GREEK_EXPOSURE = "greek_exposure"
    IV_RANK = "iv_rank"
    OI_CHANGE = "oi_change"

    @property
    def market_wide(self) -> bool:
        """Return True if one reply covers all symbols."""
        return self is Endpoint.MARKET_TIDE


class Direction(StrEnum):
    """Which way a fact leans."""

    BULLISH = "bullish"
    BEARISH = "bearish"
    NEUTRAL = "neutral"

    @property
    def sign(self) -> int:
        """Return +1, -1 or 0."""
        if self is Direction.NEUTRAL:
            return 0
        return 1 if self is Direction.BULLISH else -1


@dataclass(frozen=True, slots=True)
class FlowAlert:
    """One rule-based alert on a run of option trades; premiums in USD, open interest and volume in contracts."""

    id: str
    symbol: str
    at: datetime
    right: Right
    strike: Decimal
    expiry: date
    premium: Decimal
    ask_premium: Decimal
    bid_premium: Decimal
    volume: int
    open_interest: int
    has_sweep: bool
    has_floor: bool
    has_multileg: bool

    @property
    def direction(self) -> Direction:
        """Return bullish for bought calls and sold puts, bearish for the reverse, neutral if the sides tie."""
        if self.ask_premium == self.bid_premium:
            return Direction.NEUTRAL
        bought = self.ask_premium > self.bid_premium
        return Direction.BULLISH if bought == (self.right is Right.CALL) else Direction.BEARISH

    @property
    def net_premium(self) -> Decimal:
        """Return ask-side minus bid-side premium in USD, signed so that positive is bullish."""
        net = self.ask_premium - self.bid_premium
        return net if self.right is Right.CALL else -net


@dataclass(frozen=True, slots=True)
class DarkPoolPrint:
    """One off-exchange trade; premium is price x size in USD."""

    id: str
    symbol: str
    at: datetime
    price: Decimal
    size: int
    premium: Decimal
    bid: Decimal
    ask: Decimal

    @property
    def direction(self) -> Direction:
        """Return bullish above the midpoint of the quote, bearish below it, neutral on it."""
        above_bid, below_ask = self.price - self.bid, self.ask - self.price
        if above_bid == below_ask:
            return Direction.NEUTRAL
        return Direction.BULLISH if above_bid > below_ask else Direction.BEARISH


@dataclass(frozen=True, slots=True)
class TideTick:
    """Market-wide net option premium in USD, cumulative over the session and signed."""

    id: str
    at: datetime
    net_call_premium: Decimal
    net_put_premium: Decimal
    net_volume: int

    @property
    def net_premium(self) -> Decimal:
        """Return call minus put premium in USD; positive is bullish."""
        return self.net_call_premium - self.net_put_premium


@dataclass(frozen=True, slots=True)
class GreekExposure:
    """Dealer gamma of one symbol at the end of one session; the source reports put gamma as negative."""

    id: str
    symbol: str
    date: date
    call_gamma: Decimal
    put_gamma: Decimal

    @property
    def gex(self) -> Decimal:
        """Return gamma exposure, call plus put."""
        return self.call_gamma + self.put_gamma


@dataclass(frozen=True, slots=True)
class IvRank:
    """Implied volatility ranked within its past year: `rank` is 0 to 100, `volatility` a fraction."""

    id: str
    symbol: str
    date: date
    rank: Decimal
    volatility: Decimal


@dataclass(frozen=True, slots=True)
class OiChange:
    """Overnight change in the open interest of one option symbol, in contracts."""

    id: str
    symbol: str
    date: date
    option_symbol: str
    right: Right
    change: int


Fact = FlowAlert | DarkPoolPrint | TideTick | GreekExposure | IvRank | OiChange


class SignedPrint(NamedTuple):
    """The part of a dark-pool print that decisions read: premium in USD, and +1 bullish, -1 bearish or 0 neutral."""

    at: datetime
    premium_usd: float
    sign: int


class SessionGex(NamedTuple):
    """The part of a greek exposure that decisions read: dealers' gamma, call plus put, at the end of one session."""

    date: date
    gex: float


class SignedOiChange(NamedTuple):
    """The part of an open-interest change that decisions read: contracts, negated for a put."""

    date: date
    contracts: int


LeanFact = FlowAlert | SignedPrint | TideTick | SessionGex | IvRank | SignedOiChange


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was counted and dropped, with the reason and a short excerpt."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls the source says we've used, and our allowance; None if it didn't say."""

    used_today: int | None
    daily_limit: int | None
    left_this_minute: int | None


@dataclass(frozen=True, slots=True)
class FlowPage:
    """One reply from a flow source, with its rows as they came: JSON objects, or whatever was there instead.

    `told_at` is when the source says it answered; only the embedded exchange, whose time isn't ours, does so.
    """

    endpoint: Endpoint
    symbol: str | None
    rows: tuple[object, ...]
    quota: Quota
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """One normalized reply: what was received, what was kept, and what was dropped and why."""

    endpoint: Endpoint
    symbol: str | None
    at: datetime
    received: int
    facts: tuple[Fact, ...]
    foreign: int
    duplicates: int
    rejected: tuple[RejectedRow, ...]
