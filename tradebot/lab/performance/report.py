"""What a report of performance says: figures with their intervals, the curve, months, drawdowns, trades."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.lab.performance.sensitivity import Sensitivity
from tradebot.lab.performance.statistics import Bin
from tradebot.views.trades.pnl import ProfitPart


class Block(StrEnum):
    """A part of the report, which has its own assumptions."""

    EARNED = "earned"
    CURVE = "curve"
    RETURNS = "returns"
    MONTHS = "months"
    YEARS = "years"
    DRAWDOWNS = "drawdowns"
    ROLLING = "rolling"
    WINDOWS = "windows"
    TAILS = "tails"
    AGAINST = "against"
    HOLDINGS = "holdings"
    COSTS = "costs"
    CHANCE = "chance"
    SENSITIVITY = "sensitivity"
    ACTIVITY = "activity"
    TRADES = "trades"
    ATTRIBUTION = "attribution"
    REFUSALS = "refusals"


class FigureUnit(StrEnum):
    """The unit of a figure. FRACTION: 0.05 is five percent. A YEARLY fraction is per year."""

    FRACTION = "fraction"
    YEARLY = "fraction per year"
    RATIO = "ratio"
    SESSIONS = "sessions"
    USD = "USD"
    SECONDS = "seconds"


class Figure(Struct, frozen=True):
    """One number of the report, or why there is none.

    `name` is for programs and `label` for people. The value comes from so many `observations` of a kind (`of`: returns,
    trades, wins and losses); it is None if there are fewer than `needed`, or if it has no value, and then `note` says
    why. `low` and `high` bound its 95% interval; they are None if it has none.
    """

    name: str
    label: str
    unit: FigureUnit
    value: float | None
    observations: int
    needed: int
    of: str
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def lacks(self) -> int:
        return max(self.needed - self.observations, 0)


class CurvePoint(Struct, frozen=True):
    """The account at the end of a session, or at the start of its books (`is_start`), with what to compare it with.

    `transfers_usd` were moved in (positive) or out since the point before. The indexes begin at 1 and show growth
    without transfers: `index` of the account, `benchmark` of the benchmark alone, `benchmark_leveled` of the benchmark
    with the account's exposure of each session and the rest in cash, `cash` of cash. They are None where they aren't
    known. `drawdown` is how far the account is below its highest index so far, as a fraction from -1 to 0.
    """

    session: date
    at: datetime
    is_start: bool
    equity_usd: Decimal
    transfers_usd: Decimal
    index: float
    drawdown: float
    benchmark: float | None
    benchmark_leveled: float | None
    cash: float


class Comparison(Struct, frozen=True):
    """A figure of the account next to the benchmark's; `of` names the figure."""

    of: str
    account: Figure
    benchmark: Figure
    benchmark_leveled: Figure
    cash: Figure


class MonthReturn(Struct, frozen=True):
    """The return of one month as a fraction, and the number of sessions in it; None without sessions."""

    year: int
    month: int
    value: float | None
    sessions: int
    benchmark: float | None


class Year(Struct, frozen=True):
    """The return of one year as a fraction, and of its months, January first; None for a month without a return."""

    year: int
    value: float | None
    benchmark: float | None
    months: tuple[MonthReturn, ...]


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


class TradingCosts(Struct, frozen=True):
    """Trading costs by kind. `before` and `after` are CAGR without and with all of them, None below one year."""

    rows: tuple[Cost, ...]
    total: Cost
    before: Figure
    after: Figure


class Chance(Struct, frozen=True):
    """Figures with intervals from so many resamples of the session returns, in blocks of `mean_block` on average.

    `level` is the share of the resamples within an interval, and `seed` that of the draw.
    """

    resamples: int
    mean_block: int
    seed: int
    level: float
    figures: tuple[Figure, ...]


class Selected(Struct, frozen=True):
    """What is left of the Sharpe ratio if this strategy is the best of so many trials.

    The Sharpe ratios of `known` trials are known. `best_by_chance` is the ratio per year to expect of the best trial
    without any skill, and `deflated` the chance that the true ratio is above that.
    """

    trials: int
    known: int
    best_by_chance: Figure
    deflated: Figure


class Drawdown(Struct, frozen=True):
    """A fall from a highest equity to a lowest, without transfers; `depth` is a fraction below zero.

    `from_session` is the session of the peak. `recovered` is the first session at or above the peak again, or None if
    it is still below. `sessions` counts those from the peak until then.
    """

    depth: float
    from_session: date
    trough: date
    recovered: date | None
    sessions: int


class SpanEarnings(Struct, frozen=True, omit_defaults=True):
    """What the account earned between its value at the start and at the end of the span, in USD, to the cent.

    `profit_usd` is the change of its value without transfers, by the broker's equity where a pass saw that. It is
    realized + open + fees + dividends + interest + funding + other, each signed (what is paid is negative), and
    `difference_usd`, which the books don't have. The values are None for a part of the account, or if nothing is known.
    """

    start_usd: Decimal | None
    end_usd: Decimal | None
    transfers_usd: Decimal
    profit_usd: Decimal
    realized_usd: Decimal
    open_usd: Decimal
    fees_usd: Decimal
    dividends_usd: Decimal
    interest_usd: Decimal
    other_usd: Decimal
    funding_usd: Decimal = Decimal(0)
    difference_usd: Decimal = Decimal(0)


class CutRow(ProfitPart, frozen=True, omit_defaults=True, kw_only=True):
    """What one strategy, symbol or reason contributed; `trades` counts the round trips that ended."""

    trades: int


class ProfitCut(Struct, frozen=True):
    """The whole profit, divided by strategy, symbol, exit reason …; the rows add up to `total_usd`.

    `by` is the word of `tradebot pnl --by`, and `label` is for people.
    """

    by: str
    label: str
    rows: tuple[CutRow, ...]
    total_usd: Decimal


class RefusalsWorth(Struct, frozen=True):
    """What the trades that one strategy's gates refused would have made until the close, net of the benchmark.

    `sentence` says it in words. The USD are with `stake_usd` in each trade; the interval is 95%, and None if there are
    too few sessions.
    """

    strategy: str
    trades: int
    sessions: int
    usd: float
    low_usd: float | None
    high_usd: float | None
    stake_usd: int
    sentence: str


# Making a frozen row takes three times as long, and there are as many as trades.
class ReportedTrade(Struct):
    """One round trip, or a position that is still open (`closed_at` is None and the amounts are of what is closed).

    `id` is its name for `tradebot trades`. `fees_usd` is its share of the days' fees (a charge is negative), and
    `net_usd` is the gross with it. `fraction` is the profit before fees as a fraction of what was paid for the closed
    shares, and `r` the net profit as a multiple of the initial risk; None if it isn't known.
    """

    id: str
    strategy: str
    symbol: str
    side: str
    opened_at: datetime
    closed_at: datetime | None
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal | None
    gross_usd: Decimal
    fees_usd: Decimal
    net_usd: Decimal
    fraction: float | None
    r: float | None
    reasons: tuple[str, ...]
    entry_score: float | None


class SessionExposure(Struct, frozen=True):
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


class AverageHolding(Struct, frozen=True):
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


class Further(Struct, frozen=True):
    """What only longer accounts and backtests have to say; each part is empty or None if there is nothing.

    `rolling` are figures of all spans of a year, and `cautions` say in sentences what no figure shows, such as how few
    trades there are. `tails` say how far single sessions went, and `against` how they went with the benchmark.
    """

    by_year: tuple[YearFigures, ...]
    rolling: tuple[Figure, ...]
    costs: TradingCosts | None
    chance: Chance | None
    selected: Selected | None
    sensitivity: Sensitivity | None
    cautions: tuple[str, ...]
    tails: tuple[Figure, ...] = ()
    histogram: tuple[Bin, ...] = ()
    against: tuple[Figure, ...] = ()
    over_time: tuple[SessionExposure, ...] = ()
    windows: tuple[Windows, ...] = ()
    holdings: tuple[AverageHolding, ...] = ()


class AccountReport(Struct, frozen=True):
    """The performance of one account's books.

    `label` tells accounts of one report apart. `missing` are sessions of the span whose end nobody saw; the next return
    then covers them too. `returns` are figures of the account's returns, and `activity` those of its trading; the
    `comparisons` set some of them beside the benchmark and cash. `unknown` says in sentences what isn't known, and how
    much it takes. `luck` says in sentences whether the result can be told from luck. `assumptions` stand under each
    block. `interrupted` is True of a backtest that was stopped before its last session.
    """

    label: str
    account: str
    mode: str
    from_session: date | None
    to_session: date | None
    sessions: int
    missing: tuple[date, ...]
    benchmark: str | None
    earned: SpanEarnings
    curve: tuple[CurvePoint, ...]
    returns: tuple[Figure, ...]
    comparisons: tuple[Comparison, ...]
    years: tuple[Year, ...]
    drawdowns: tuple[Drawdown, ...]
    further: Further
    activity: tuple[Figure, ...]
    trade_figures: tuple[Figure, ...]
    trades: tuple[ReportedTrade, ...]
    cuts: tuple[ProfitCut, ...]
    refusals: tuple[RefusalsWorth, ...]
    unknown: tuple[str, ...]
    assumptions: Mapping[Block, tuple[str, ...]]
    luck: tuple[str, ...] = ()
    interrupted: bool = False


class PerformanceReport(Struct, frozen=True):
    """A report of one account, or of two side by side, with what was asked for.

    With a `strategy` or a `symbol`, profit, trades and attribution are only theirs; the rest is the whole account's.
    """

    at: datetime | None
    from_date: date | None
    to_date: date | None
    strategy: str | None
    symbol: str | None
    accounts: tuple[AccountReport, ...]
