"""Flow alerts and replies of the flow source; money is Decimal, times are aware UTC, dates are New York dates."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from msgspec import Struct

from tradebot.model.fact_kind import ContractFinding, Fact, SymbolFact
from tradebot.model.instrument import Right


class StreamRows(Struct, frozen=True):
    """The rows received over a stream since the last poll, oldest first, unparsed.

    `joined` counts how often the channel was joined: between two joins, rows may have been missed. `up` says whether it
    is joined now, and `problem` why it isn't, in plain words. `lost` counts the rows dropped because they weren't
    polled in time.
    """

    rows: tuple[object, ...]
    joined: int
    up: bool
    lost: int = 0
    problem: str = ""


FLOW_ALERTS = "flow_alerts"
"""The kind of fact by which entries check whether flow is fresh. It is fetched wherever any kind is needed."""


NEWS = "news"
"""The kind of fact with headlines, which may come from another source than the flow."""


class FlowAlert(SymbolFact, frozen=True, dict=True):
    """One rule-based alert on a run of option trades; premiums in USD, open interest and volume in contracts.

    `contract` is the option's OCC symbol; `price`, `bid` and `ask` are in USD per share of the underlying. `size` and
    `trades` are the contracts and trades behind the alert. `opening` and `has_sweep` are inferred by the source, which
    doesn't define them. `iv` is a fraction. None means that the source didn't say.
    """

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
    contract: str = ""
    price: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    size: int | None = None
    trades: int | None = None
    opening: bool | None = None
    issue_type: str | None = None
    underlying_price: Decimal | None = None
    rule: str = ""
    next_earnings: date | None = None
    iv: float | None = None

    @property
    def net_premium(self) -> Decimal:
        """Return ask-side minus bid-side premium in USD, signed so that positive is bullish."""
        net = self.ask_premium - self.bid_premium
        return net if self.right is Right.CALL else -net

    # Many components read these values of an alert, so each is computed once.
    @cached_property
    def sign(self) -> int:
        """Return +1 (bullish) for bought calls and sold puts, -1 for the reverse, 0 if the sides tie."""
        ask, bid = self.ask_premium, self.bid_premium
        if ask == bid:
            return 0
        return 1 if (ask > bid) == (self.right is Right.CALL) else -1

    @cached_property
    def usd(self) -> float:
        return float(self.premium)

    @cached_property
    def net_usd(self) -> float:
        return float(self.net_premium)


Filters = Mapping[str, Any]
"""Which alerts count: the filters that are set, by the source's own parameter names (strategies/filter_settings.py)."""


class FlowWindow(NamedTuple):
    """The flow strategy's settings for which alerts count toward the direction of flow, and how they are scaled.

    A symbol's premium is divided by `scale_share` of its trailing daily premium. The trailing premium is known only if
    at least `min_sessions` earlier sessions are known.
    """

    lookback: timedelta
    filters: Filters
    scale_share: float
    min_sessions: int


class RejectedRow(Struct, frozen=True):
    """A row that was counted but not used, with the reason and a short excerpt."""

    reason: str
    detail: str


class Quota(Struct, frozen=True):
    """How many calls the source says we've made, and our quota; None if it didn't say."""

    used_today: int | None
    daily_limit: int | None
    left_this_minute: int | None


class Allowance(Struct, frozen=True):
    """The source's plan: the calls it allows per minute and per day, and the share of a day's calls that we leave
    unused.

    The day begins at 20:00 in New York.
    """

    per_minute: int
    per_day: int
    reserve_fraction: float = 0.0

    @property
    def rate(self) -> float:
        """Return the average number of calls a minute that the bot allows itself.

        The rate and the burst together use at most 14/15 of the plan's allowance in any minute, so that the bot stays
        within it even if some calls arrive late.
        """
        return self.per_minute * 5 / 6

    @property
    def burst(self) -> float:
        """Return how many calls we may make at once after a pause."""
        return self.per_minute / 10

    @property
    def planned_a_day(self) -> int:
        """Return how many calls a day the timetable may make."""
        return int(self.per_day * (1 - self.reserve_fraction))


class FlowPage(Struct, frozen=True):
    """One reply from a flow source, with its rows unparsed: JSON objects, or any other values that the reply contained.

    `told_at` is the reply's time by the source's own clock. Only the embedded exchange sets it, because its time is
    simulated. `status` and `body` are the raw reply, for archiving; a page that was rebuilt from stored rows has no
    body.
    """

    endpoint: str
    symbol: str | None
    rows: tuple[object, ...]
    quota: Quota
    told_at: datetime | None = None
    status: int = 200
    body: bytes = b""


class Intake(Struct, frozen=True):
    """The result of normalizing one reply: rows received, facts kept, and rows dropped with the reason.

    `findings` say how its rows differ from the source's documentation; `nulls` count the null values by field. They are
    None if the rows weren't checked, because their form isn't documented.
    """

    endpoint: str
    symbol: str | None
    at: datetime
    received: int
    facts: tuple[Fact, ...]
    foreign: int
    duplicates: int
    rejected: tuple[RejectedRow, ...]
    findings: tuple[ContractFinding, ...] = ()
    nulls: Mapping[str, int] | None = None
