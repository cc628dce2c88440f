"""Define the content of a performance report: figures with their intervals, the curve, months, drawdowns, trades."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.lab.performance.sensitivity import Sensitivity
from tradebot.lab.performance.statistics import Bin
from tradebot.views.trades.pnl import ProfitPart


class Block(StrEnum):
    """Blocks of the report, each with its own assumptions."""

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
    """The unit of a figure. A FRACTION of 0.05 means five percent, and YEARLY means a fraction per year."""

    FRACTION = "fraction"
    YEARLY = "fraction per year"
    RATIO = "ratio"
    SESSIONS = "sessions"
    USD = "USD"
    SECONDS = "seconds"


class Figure(Struct, frozen=True):
    """One number of the report, or why it is missing.

    `name` is for programs and `label` for people. The value comes from `observations` observations of the kind `of`,
    such as returns, trades, or wins and losses. It is None if there are fewer than `needed`, or if it is undefined;
    `note` then says why. `low` and `high` bound its 95% interval; None without an interval.
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
    """The account's equity at the end of a session, or when its books were opened (`is_start`), with comparisons.

    `transfers_usd` is what the owner moved in (positive) or out since the previous point. The indexes begin at 1 and
    show growth without transfers: `index` is for the account, `benchmark` for the benchmark, and `cash` for cash.
    `benchmark_leveled` is for a mix of benchmark and cash that has the account's exposure in each session. Indexes are
    None where unknown. `drawdown` is how far the account is below its highest index so far, as a fraction from -1 to 0.
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
    """A figure of the account next to the benchmark's figure; `of` names the figure."""

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
    """A year's return as a fraction, and the returns of its months, January first; None for a month without a
    return.
    """

    year: int
    value: float | None
    benchmark: float | None
    months: tuple[MonthReturn, ...]


class Cost(Struct, frozen=True):
    """One kind of cost, in USD and in basis points of traded value.

    `drag` is how much higher the yearly growth would have been without this cost, as a fraction; None for less than a
    year. `note` says how it was determined.
    """

    name: str
    label: str
    usd: float
    bps: float | None
    drag: float | None
    note: str = ""


class TradingCosts(Struct, frozen=True):
    """Trading costs by kind. `before` and `after` are the CAGR before and after all of these costs; None for less than
    a year.
    """

    rows: tuple[Cost, ...]
    total: Cost
    before: Figure
    after: Figure


class Chance(Struct, frozen=True):
    """Figures with intervals from resampling the session returns, in blocks of `mean_block` on average.

    `level` is the fraction of the `resamples` that lie within an interval, and `seed` is the random seed.
    """

    resamples: int
    mean_block: int
    seed: int
    level: float
    figures: tuple[Figure, ...]


class Selected(Struct, frozen=True):
    """The Sharpe ratio after accounting for selection, because this strategy is the best of `trials` trials.

    `known` is the number of trials whose Sharpe ratio is known. `best_by_chance` is the annualized ratio to expect from
    the best trial if there is no skill at all, and `deflated` is the probability that the true ratio is above that.
    """

    trials: int
    known: int
    best_by_chance: Figure
    deflated: Figure


class Drawdown(Struct, frozen=True):
    """A fall of equity from a peak to its lowest value before recovery, without transfers; `depth` is a negative
    fraction.

    `from_session` is the session of the peak. `recovered` is the first session in which equity was at or above the peak
    again; None if it is still below. `sessions` is the number of sessions from the peak until then, or to the last
    session.
    """

    depth: float
    from_session: date
    trough: date
    recovered: date | None
    sessions: int


class SpanEarnings(Struct, frozen=True, omit_defaults=True):
    """The account's profit between its value at the start and at the end of the period, in USD, to the cent.

    `profit_usd` is the change in the account's value without transfers, according to the broker's equity if a pass read
    it. It is the sum of realized, open, fees, dividends, interest, funding and other (costs are negative), plus
    `difference_usd`, which the books don't explain. The values are None for a part of the account, or if nothing is
    known.
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
    """The contribution of one strategy, symbol or reason; `trades` counts the closed round trips."""

    trades: int


class ProfitCut(Struct, frozen=True):
    """The whole profit, broken down by strategy, symbol, exit reason, and so on; the rows add up to `total_usd`.

    `by` is the value of `tradebot pnl --by`, and `label` is for people.
    """

    by: str
    label: str
    rows: tuple[CutRow, ...]
    total_usd: Decimal


class RefusedTradesProfit(Struct, frozen=True):
    """What the trades that one strategy's gates refused would have earned until the close, net of the benchmark.

    `sentence` describes it. Amounts in USD assume `stake_usd` in each trade; the 95% interval is None if there are too
    few sessions.
    """

    strategy: str
    trades: int
    sessions: int
    usd: float
    low_usd: float | None
    high_usd: float | None
    stake_usd: int
    sentence: str


# Frozen rows take three times as long to create, and there is one per trade.
class ReportedTrade(Struct):
    """One round trip, or an open position; then `closed_at` is None, and the amounts are for the shares closed so far.

    `id` is its name in `tradebot trades`. `fees_usd` is the trade's part of the fees on its days (charges are
    negative), and `net_usd` is the gross profit plus that part. `fraction` is the profit before fees as a fraction of
    the closed shares' cost, and `r` the net profit as a multiple of the initial risk; None if unknown.
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
    """One session of the account: its exposure, and its statistics over the preceding half year.

    `exposure` is long plus short as a fraction of equity, and `held` is each symbol's exposure, negative for a short.
    `volatility`, `sharpe` and `beta` are computed from the last 126 returns, the first two annualized; None if unknown.
    """

    session: date
    exposure: float | None
    held: Mapping[str, float]
    volatility: float | None
    sharpe: float | None
    beta: float | None


class Windows(Struct, frozen=True):
    """How one figure is distributed over the account's half-year windows; one window ends with each session."""

    name: str
    label: str
    lowest: float
    median: float
    highest: float
    last: float
    windows: int


class AverageHolding(Struct, frozen=True):
    """A symbol that had a position in some sessions: its average, largest and last value, as fractions of equity.

    The fractions are negative for a short. `last` is None if there was no position in the last session.
    """

    symbol: str
    sessions: int
    average: float
    furthest: float
    last: float | None


class YearFigures(Struct, frozen=True):
    """The account's figures for a calendar year, or for the part of it within the period, as fractions and in USD.

    Benchmarks are the same as in `CurvePoint`. `max_drawdown` is measured from peaks within the year. A value is None
    if unknown, or if there are too few sessions for it.
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


class ExtendedReport(Struct, frozen=True):
    """The parts of a report that only longer accounts and backtests have; each is empty or None if there is too little
    data.

    `rolling` has figures over all one-year windows. `cautions` are warnings that no figure shows, for example that
    there are few trades. `tails` describe extreme sessions, and `against` the relation to the benchmark.
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

    `label` distinguishes the accounts in one report. `missing` lists the period's sessions without a recorded end; the
    next return then covers them too. `returns` has figures about the account's returns, and `activity` figures about
    its trading. `comparisons` shows some of them next to the same figures for the benchmark and cash. `unknown`
    describes what isn't known, and how much data would be needed. `luck` says whether the result can be distinguished
    from luck. `assumptions` has the assumptions behind each block of the report. `interrupted` is True for a backtest
    that was stopped before its last session.
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
    further: ExtendedReport
    activity: tuple[Figure, ...]
    trade_figures: tuple[Figure, ...]
    trades: tuple[ReportedTrade, ...]
    cuts: tuple[ProfitCut, ...]
    refusals: tuple[RefusedTradesProfit, ...]
    unknown: tuple[str, ...]
    assumptions: Mapping[Block, tuple[str, ...]]
    luck: tuple[str, ...] = ()
    interrupted: bool = False


class PerformanceReport(Struct, frozen=True):
    """A report on one account, or on two side by side, and the period and trades that it covers.

    With a `strategy` or a `symbol`, profit, trades and attribution cover only that strategy or symbol; everything else
    covers the whole account.
    """

    at: datetime | None
    from_date: date | None
    to_date: date | None
    strategy: str | None
    symbol: str | None
    accounts: tuple[AccountReport, ...]
