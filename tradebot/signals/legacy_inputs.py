"""What the earlier bot's score read, as values; signals/legacy.py computes it."""

from dataclasses import dataclass
from typing import NamedTuple


class Flow(NamedTuple):
    """Option flow: direction +1, -1 or 0, and conviction, normally 0 to 1."""

    direction: int = 0
    conviction: float = 0.0


class DarkPool(NamedTuple):
    """Off-exchange trades: direction +1, -1 or 0, and unsigned premium in USD."""

    direction: int = 0
    premium_usd: float = 0.0


class Insider(NamedTuple):
    """Insiders' trades: direction, a signed modifier, numbers of buying and selling trades, and their value in USD."""

    direction: int = 0
    conviction_modifier: float = 0.0
    buys: int = 0
    sells: int = 0
    value_usd: float = 0.0


class Staircase(NamedTuple):
    """Rising conviction: how many steps, and the mean rise of one."""

    steps: int
    slope: float


class Congress(NamedTuple):
    """Trades of members of Congress: recent ones, buys, sells, and a fraction added when they agree with flow."""

    trades: int
    buys: int
    sells: int
    boost: float


class ShortInterest(NamedTuple):
    """Short interest in percent of the float, days to cover, and fails to deliver in shares."""

    float_pct: float
    days_to_cover: float
    fails_shares: float
    squeeze_flag: bool


class Tide(NamedTuple):
    """The market's net call and net put premium in USD."""

    call_premium_usd: float
    put_premium_usd: float


class Calendar(NamedTuple):
    """Days to the earnings report (negative when past, None if unknown), an FDA event, and economic events nearby."""

    earnings_in_days: float | None
    fda_event: bool
    economic_events: int


class Gamma(NamedTuple):
    """Dealers' gamma exposure, signed, and whether a squeeze is set up."""

    exposure: float
    squeeze_flag: bool


class Fails(NamedTuple):
    """Fails to deliver in shares, and whether they press."""

    shares: float
    pressure_flag: bool


class OpenInterest(NamedTuple):
    """The net change of open interest in contracts, and its direction as labelled."""

    net_change_contracts: float
    direction: int


class Etf(NamedTuple):
    """The direction of fund flows, and whether the market is risk-on."""

    direction: int
    risk_on: bool


class Squeeze(NamedTuple):
    """The number of squeeze signals, and whether their potential is high."""

    signals: int
    high_flag: bool


NO_FLOW, NO_PRINTS, NO_TRADES = Flow(), DarkPool(), Insider()


@dataclass(frozen=True, slots=True)
class LegacyInputs:
    """What the earlier score read; what is absent is None or as given here."""

    flow: Flow = NO_FLOW
    dark_pool: DarkPool = NO_PRINTS
    insider: Insider = NO_TRADES
    iv_term_skew: float = 0.0
    smile_slope: float = 0.0
    toxicity: float = 0.0
    event_alignment: float = 0.0
    freshness: float = 1.0
    staircase: Staircase | None = None
    burst_updates_per_minute: float | None = None
    sweep_immediate: bool = False
    whale_conviction: float | None = None
    regime: str = "neutral"
    congress: Congress | None = None
    short_interest: ShortInterest | None = None
    tide: Tide | None = None
    calendar: Calendar | None = None
    gamma: Gamma | None = None
    fails: Fails | None = None
    iv_rank: float = 50.0
    open_interest: OpenInterest | None = None
    etf: Etf | None = None
    squeeze: Squeeze | None = None
