"""The registry: which coins may be traded, at which tier, and whether their data can be trusted.

This module has the registry's values and settings. `signals.registry` decides, `desk.registry` fetches and stores,
`gates.registry` checks entries, and `app.rules` makes the coins of the last discovery the universe.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from msgspec import Struct, field
from pydantic import AfterValidator, Field

from tradebot.model.limits import Fraction, Frozen, Seconds, Tighter, Usd
from tradebot.model.series import width_of


class Tier(StrEnum):
    """How much of a coin may be traded; A is for the most liquid ones."""

    A = "A"
    B = "B"
    C = "C"


def height(tier: Tier | None) -> int:
    """Return the rank of a tier: 3 for A, 0 for a coin below all tiers."""
    return 0 if tier is None else len(Tier) - [*Tier].index(tier)


class CoinHealth(StrEnum):
    """Whether the data of a coin can be trusted, which also determines how often it is checked."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    SUSPENDED = "SUSPENDED"


class DataCheck(StrEnum):
    """The checks of a coin's data."""

    QUOTE = "quote"
    SPREAD = "spread"
    VOLUME = "volume"
    CANDLES = "candles"
    NEWEST = "newest"


def _intraday(timeframe: str) -> str:
    if width_of(timeframe) is None:
        raise ValueError("use candles of minutes or hours, such as 4Hour")
    return timeframe


class TierRules(Frozen):
    """The requirements for a tier, and what the tier allows.

    Volume is of 24 hours in USD, the spread is a fraction of the midpoint, and the price is the midpoint in USD.
    `min_price` is None if any price will do.
    """

    min_volume_usd: Annotated[Decimal, Field(gt=0, le=10**12), Tighter.HIGHER]
    max_spread_fraction: Annotated[Fraction, Tighter.LOWER]
    min_price: Annotated[Decimal | None, Field(gt=0), Tighter.HIGHER]
    max_leverage: Annotated[Decimal, Field(ge=1, le=100), Tighter.LOWER]
    max_notional_usd: Annotated[Usd, Tighter.LOWER]
    slippage_fraction: Annotated[Fraction, Tighter.LOWER]


class Tiers(Frozen):
    """The rules of each tier."""

    a: TierRules
    b: TierRules
    c: TierRules

    def of(self, tier: Tier) -> TierRules:
        """Return the rules of one tier."""
        return {Tier.A: self.a, Tier.B: self.b, Tier.C: self.c}[tier]


class DataHealthRules(Frozen):
    """The checks of a coin's data, and what happens to a coin that fails them.

    A DEGRADED coin is checked in every `degraded_every`-th entry pass only. Entries pause while fewer coins are healthy
    than `min_healthy` (or the number of coins, if smaller), or than `min_healthy_fraction` of the coins.
    """

    max_spread_fraction: Annotated[Fraction, Tighter.LOWER]
    min_volume_usd: Annotated[Decimal, Field(ge=0, le=10**12), Tighter.HIGHER]
    candles: Annotated[str, AfterValidator(_intraday), Tighter.SAME]
    min_candles: Annotated[int, Field(ge=1, le=10_000), Tighter.HIGHER]
    max_late_s: Annotated[Seconds, Tighter.LOWER]
    failures: Annotated[int, Field(ge=1, le=100), Tighter.LOWER]
    passes: Annotated[int, Field(ge=1, le=100), Tighter.HIGHER]
    degraded_every: Annotated[int, Field(ge=1, le=1000), Tighter.SAME]
    suspend_after_s: Annotated[Seconds, Tighter.LOWER]
    probe_s: Annotated[Seconds, Tighter.SAME]
    min_healthy: Annotated[int, Field(ge=1, le=5000), Tighter.HIGHER]
    min_healthy_fraction: Annotated[Fraction, Tighter.HIGHER]

    def needed_count(self, coins: int) -> int:
        """Return how many of the coins must be healthy for entries to be allowed."""
        share = -(-self.min_healthy_fraction * coins // 1)
        return max(min(self.min_healthy, coins), int(share))


class RegistryRules(Frozen):
    """Which coins may be traded, and at which tier. `pinned` are always in the highest one.

    `candidate_symbols` replace the universe; None if the universe says what may be traded. With `discovery`, the
    venue's list is used instead, once it has been read for the first time.
    """

    candidate_symbols: Annotated[list[str] | None, Field(min_length=1, max_length=5000), Tighter.FEWER]
    enabled: Annotated[bool, Tighter.HIGHER]
    discovery: Annotated[bool, Tighter.LOWER]
    pinned: Annotated[list[str], Tighter.FEWER]
    refresh_s: Annotated[Seconds, Tighter.LOWER]
    rise_after_s: Annotated[Seconds, Tighter.HIGHER]
    max_age_s: Annotated[Seconds, Tighter.LOWER]
    tiers: Tiers
    health: DataHealthRules

    def contradictions(self) -> Iterator[str]:
        """Yield a message for each pair of settings that don't fit together."""
        if self.max_age_s <= self.refresh_s:
            yield (
                f"registry.max_age_s {self.max_age_s} is not above registry.refresh_s {self.refresh_s}: every coin "
                "would be refused before its tier is evaluated again"
            )
        if self.discovery and self.candidate_symbols is not None:
            yield (
                "registry.discovery trades what the venue lists, and registry.candidate_symbols names what may be "
                "traded: remove one of the two"
            )
        if self.discovery and not self.enabled:
            yield "registry.discovery needs registry.enabled: coins that nobody named would be traded without a tier"
        for (upper, high), (lower, low) in pairwise((tier, self.tiers.of(tier)) for tier in Tier):
            for name in ("max_leverage", "max_notional_usd", "min_volume_usd"):
                more, less = getattr(high, name), getattr(low, name)
                if more < less:
                    yield (
                        f"registry.tiers: {name} {more} of {upper} is below {less} of {lower}: a less liquid coin "
                        "would be trusted more"
                    )


NO_VOLUME = "no volume of 24 hours"
"""The remark on a coin with unknown volume."""


class Figures(Struct, frozen=True):
    """The latest figures of a coin: 24-hour volume in USD, spread as a fraction of the midpoint, and the midpoint.

    An unknown figure is None, and `why` says why there is no usable quote.
    """

    volume_usd: Decimal | None = None
    spread_fraction: Decimal | None = None
    price: Decimal | None = None
    why: str = ""


class Rank(Struct, frozen=True):
    """A coin's tier (None if it is below all tiers), the time when it entered that tier, and its latest figures.

    `measured_at` is the last time at which all figures were known, or None. The coin is eligible only if they are
    `known` now. `rising_to` is a higher tier that it has qualified for since `rising_since` but not yet reached.
    """

    tier: Tier | None
    known: bool
    figures: Figures
    since: datetime
    measured_at: datetime | None = None
    rising_to: Tier | None = None
    rising_since: datetime | None = None


class Failed(Struct, frozen=True):
    """One failed check of a coin's data: what was observed, or None, and the limit."""

    check: DataCheck
    observed: Decimal | None
    limit: Decimal | None


class DataState(Struct, frozen=True):
    """The health of a coin's data, since when, and when it was last checked.

    `failures` and `passes` count consecutive checks with that result since the last change. `skipped` counts the passes
    since the last check. `failed` says what failed in the last check. If the candles passed, they aren't read again
    before `candles_until`, when the next candle is due; it is None if they failed.
    """

    health: CoinHealth
    since: datetime
    looked_at: datetime
    failures: int = 0
    passes: int = 0
    skipped: int = 0
    failed: tuple[Failed, ...] = ()
    candles_until: datetime | None = None


class Coin(Struct, frozen=True):
    """The registry's state of one symbol."""

    symbol: str
    rank: Rank
    data: DataState


class Registry(Struct, frozen=True):
    """The state of each symbol that may be traded, and the rules applied to it.

    `symbols` are all that may be traded; `coins` are those examined so far.
    """

    rules: RegistryRules
    symbols: Sequence[str]
    coins: Mapping[str, Coin] = field(default_factory=dict)

    def tier_of(self, symbol: str, now: datetime) -> TierRules | None:
        """Return what the tier of an eligible symbol allows; None if it has no known tier."""
        coin = self.coins.get(symbol)
        if coin is None or not self.is_current(coin, now) or not coin.rank.known or coin.rank.tier is None:
            return None
        return self.rules.tiers.of(coin.rank.tier)

    def is_current(self, coin: Coin, now: datetime) -> bool:
        """Return True if a coin's tier and data were checked recently enough to count."""
        return all(age <= self.rules.max_age_s for age in self.ages_s(coin, now))

    def ages_s(self, coin: Coin, now: datetime) -> tuple[float, float]:
        """Return the ages in seconds of a coin's tier measurement and its data check."""
        measured = coin.rank.measured_at or coin.rank.since
        return (now - measured).total_seconds(), (now - coin.data.looked_at).total_seconds()

    def healthy(self, now: datetime) -> int:
        """Return how many of the symbols have healthy data; symbols of an earlier universe don't count."""
        coins = (self.coins.get(symbol) for symbol in self.symbols)
        return sum(
            coin is not None and self.is_current(coin, now) and coin.data.health is CoinHealth.HEALTHY for coin in coins
        )


UNSORTED = "unsorted"
"""The sector of a coin without one in the configuration. All such coins share one limit."""


class DiscoveredContract(Struct, frozen=True):
    """One contract that discovery knows, and since when; the tier that its figures reach; and why it isn't traded.

    `why` is empty if the contract is traded. `listed` is True while the venue lists it.
    """

    symbol: str
    since: datetime
    listed: bool = True
    tier: Tier | None = None
    figures: Figures = Figures()
    why: str = ""


class Discovery(Struct, frozen=True):
    """All contracts by symbol, as of the last accepted list; `at` is None if no list was ever accepted.

    `problem` says why the last list was rejected, or is empty. Lists have been too short since `short_since`.
    """

    found: tuple[DiscoveredContract, ...] = ()
    at: datetime | None = None
    problem: str = ""
    short_since: datetime | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols that are traded."""
        return tuple(coin.symbol for coin in self.found if not coin.why)

    @property
    def listed_count(self) -> int:
        """Return how many of the contracts the venue lists."""
        return sum(coin.listed for coin in self.found)
