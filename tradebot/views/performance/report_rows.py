"""Rows of a report's tables about sessions, years, costs, and backtests that were played again."""

from collections.abc import Mapping
from datetime import date

from msgspec import Struct


class Bin(Struct, frozen=True):
    """How many session returns, as fractions, are from `low` on and below `high`."""

    low: float
    high: float
    count: int


class OverTime(Struct, frozen=True):
    """One session of the account: how it was invested, and what it was like in the half year until then.

    `exposure` is long and short together as a fraction of equity, and `held` each symbol's, below zero for a short.
    `volatility`, `sharpe` and `beta` are of the last 126 returns, the first two per year; None if one isn't known.
    """

    session: date
    exposure: float | None
    held: Mapping[str, float]
    volatility: float | None
    sharpe: float | None
    beta: float | None


class Windows(Struct, frozen=True):
    """A figure over all half years of the account, one for each session at which one ended."""

    name: str
    label: str
    lowest: float
    median: float
    highest: float
    last: float
    windows: int


class Holding(Struct, frozen=True):
    """A symbol that was held in some sessions: its average share of equity in these, the furthest one, the last one.

    Shares are fractions, negative for a short. `last` is None if it wasn't held in the last session.
    """

    symbol: str
    sessions: int
    average: float
    furthest: float
    last: float | None


class YearFigures(Struct, frozen=True):
    """One calendar year of the account, as far as the span reaches into it; fractions, and USD.

    Benchmarks are as in `CurvePoint`. `max_drawdown` counts from the year's own peaks. A value is None if it isn't
    known, or if there are too few sessions for it.
    """

    year: int
    sessions: int
    value: float | None
    benchmark: float | None
    benchmark_leveled: float | None
    cash: float
    volatility: float | None
    max_drawdown: float | None
    exposure: float | None
    turnover: float | None
    costs_usd: float


class Cost(Struct, frozen=True):
    """What one kind of cost took, in USD, and as basis points of what was bought and sold.

    `drag` is by how much the growth per year would have been higher without it, as a fraction; None for less than a
    year. `note` says what it rests on.
    """

    name: str
    label: str
    usd: float
    bps: float | None
    drag: float | None
    note: str = ""


class VariantRow(Struct, frozen=True):
    """A backtest that was played again with one thing changed; `cagr_change` is against the backtest as played."""

    kind: str
    name: str
    sessions: int
    trades: int
    total_return: float
    cagr: float | None
    cagr_change: float | None
    max_drawdown: float
    sharpe: float | None


class Band(Struct, frozen=True):
    """The spread of CAGR over so many days of rebalancing; `below_played` of them did worse than the one played."""

    days: int
    lowest: float
    first_quartile: float
    median: float
    third_quartile: float
    highest: float
    below_played: int | None


class Sensitivity(Struct, frozen=True):
    """The backtest as it was played, its variants, and the band over days of rebalancing if there are enough."""

    played: VariantRow
    rows: tuple[VariantRow, ...]
    rebalance_days: tuple[VariantRow, ...]
    band: Band | None
    needed_days: int
