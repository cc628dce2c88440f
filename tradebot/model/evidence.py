"""What a backtest stores besides its books: the trials of its strategy, variants of the run, and interest rates by
date.

A learned policy is promoted for its results in sessions that its models weren't trained on. A `PolicyResults` covers
one configuration: an agent with its features and settings, trained with several seeds for each split of the sessions.
It is stored together with its inputs.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from math import isfinite

from msgspec import Struct

FORMAT = 1

"""The version of the stored format."""

Returns = tuple[float, ...]

"""One return for each judged session, after costs, as a fraction of the equity at the session's start."""


BENCHMARKS = ("buy_and_hold", "rule", "logistic")

"""The benchmarks that a policy must beat, besides having no position."""


class SessionSpan(Struct, frozen=True):
    """The sessions from `first` through `last`."""

    first: date
    last: date


class Split(Struct, frozen=True):
    """The sessions that a model was trained on, and the sessions in which it was evaluated.

    `model` maps each training seed to the SHA-256 of the trained model's files.
    """

    trained: tuple[SessionSpan, ...]
    judged: tuple[SessionSpan, ...]
    model: Mapping[str, str]


class PolicyRun(Struct, frozen=True):
    """The results of a configuration with one seed along one path through the splits; walk-forward has one path.

    `doubled` are the returns with all costs doubled, and `later` the returns with each decision delayed by one bar.
    `trades` are the closed trades.
    """

    seed: int
    path: int
    returns: Returns
    doubled: Returns
    later: Returns
    trades: int


class TriedReturns(Struct, frozen=True):
    """A trained configuration, identified by its digest, and the returns of its median seed."""

    configuration: str
    returns: Returns


class PolicyResults(Struct, frozen=True):
    """The evaluation of one configuration by the same passes that trade, with its benchmarks.

    `name` is its display name, `configuration` the digest of everything it was trained with, and `program` the version
    of tradebot that ran it. `features` are versions by feature and `data` the SHA-256 of each file of market data.
    `calendar` has every session used for training or evaluation, and `sessions` those evaluated, to which all returns
    refer. `tried` are all configurations with known returns, including this one, and `trials` how many were ever
    trained.
    """

    format: int
    name: str
    configuration: str
    program: str
    features: Mapping[str, str]
    data: Mapping[str, str]
    per_year: int
    calendar: tuple[date, ...]
    splits: tuple[Split, ...]
    sessions: tuple[date, ...]
    runs: tuple[PolicyRun, ...]
    benchmarks: Mapping[str, Returns]
    tried: tuple[TriedReturns, ...]
    trials: int


def problems(of: PolicyResults) -> Iterator[str]:
    """Yield each contradiction that makes the results unusable."""
    if of.format != FORMAT:
        yield f"it has format {of.format}, and this version reads {FORMAT}"
        return
    if not of.runs or not of.sessions:
        yield "none of its runs has a session"
    if not 1 <= of.per_year <= 1_000:
        yield f"it has {of.per_year} sessions per year, not 1 to 1,000"
    for what, days in (("its calendar is", of.calendar), ("its judged sessions are", of.sessions)):
        if any(later <= earlier for earlier, later in pairwise(days)):
            yield f"{what} out of order"
    if not set(of.sessions) <= set(of.calendar):
        yield "an evaluated session isn't in the calendar"
    if missing := [benchmark for benchmark in BENCHMARKS if benchmark not in of.benchmarks]:
        yield f"it lacks the benchmark {missing[0]}"
    if of.configuration not in {returns.configuration for returns in of.tried}:
        yield "the configuration isn't among those that were tried"
    elif of.trials < len({returns.configuration for returns in of.tried}):
        yield f"it reports {of.trials} trials but contains the returns of {len(of.tried)} configurations"
    if len({(run.seed, run.path) for run in of.runs}) < len(of.runs):
        yield "a seed appears twice"
    if any(str(run.seed) not in split.model for run in of.runs for split in of.splits):
        yield "a split lacks the model of a seed"
    yield from _series_problems(of)


def _series_problems(of: PolicyResults) -> Iterator[str]:
    series: list[tuple[str, Sequence[float]]] = [(f"benchmark {name}", each) for name, each in of.benchmarks.items()]
    series += [(f"configuration {returns.configuration}", returns.returns) for returns in of.tried]
    for run in of.runs:
        series += [(f"seed {run.seed}", each) for each in (run.returns, run.doubled, run.later)]
    for name, returns in series:
        if len(returns) != len(of.sessions):
            yield f"{name} has {len(returns)} returns of {len(of.sessions)} sessions"
        elif not all(isfinite(each) and each > -1 for each in returns):
            yield f"{name} has a return that isn't a number above -1"


class VariantKind(StrEnum):
    """What was changed in a backtest's rerun."""

    COSTS = "costs"
    DELAY = "delay"
    REBALANCE_DAY = "rebalance day"
    OTHER = "other"


class Variant(Struct, frozen=True):
    """The result of a backtest that was rerun with one change; `name` describes it, such as "costs x2".

    `total_return` and `max_drawdown` are fractions; the drawdown is zero or below. `cagr` is a fraction per year and
    `sharpe` is annualized; they are None if there are too few sessions.
    """

    kind: VariantKind
    name: str
    sessions: int
    trades: int
    total_return: float
    max_drawdown: float
    cagr: float | None = None
    sharpe: float | None = None


class Trials(Struct, frozen=True):
    """How many different settings and code versions of a strategy were backtested, including this one.

    `sharpes` are their annualized Sharpe ratios, where known.
    """

    count: int
    sharpes: tuple[float, ...] = ()


class DatedRate(Struct, frozen=True):
    """An interest rate and the day from which it applies, as a fraction per year: 0.05 is five percent."""

    day: date
    yearly: float


class DayPrice(Struct, frozen=True):
    """The open and the close of a session in USD, adjusted for splits and dividends."""

    day: date
    open: float
    close: float


class BacktestRefusals(Struct, frozen=True):
    """How many of a backtest's candidates were refused for one reason."""

    reason: str
    count: int


class Unrecorded(Struct, frozen=True):
    """What is missing from a backtest's records: every candidate if `recorder` is "none", otherwise the candidates not
    sent.

    `refused` counts the candidates that weren't sent, by reason, most frequent first; it is empty if they weren't
    counted.
    """

    recorder: str
    refused: tuple[BacktestRefusals, ...] = ()


class Evidence(Struct, frozen=True):
    """What a backtest stores besides its books.

    `cash_rates` are sorted by date. Borrowed cash costs `borrowing_yearly` or, if that is None, the cash rate plus
    `borrowing_spread`; both are fractions per year. `benchmark` has SPY's prices in the backtest's market, which isn't
    available later; if empty, `no_benchmark` says why in a sentence. If the benchmark isn't SPY, `benchmark_name` names
    it and `benchmark_how` describes the position in it. `last_prices` are the prices of all symbols at the end, in USD.
    `unrecorded` is None if every candidate was recorded.
    """

    trials: Trials | None = None
    variants: tuple[Variant, ...] = ()
    cash_rates: tuple[DatedRate, ...] = ()
    borrowing_spread: float = 0.0
    borrowing_yearly: float | None = None
    benchmark: tuple[DayPrice, ...] = ()
    no_benchmark: str = ""
    benchmark_name: str = ""
    benchmark_how: str = ""
    last_prices: Mapping[str, Decimal] = {}
    unrecorded: Unrecorded | None = None


NO_EVIDENCE = Evidence()
