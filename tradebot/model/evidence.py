"""What a backtest leaves beside its books: trials of its strategy, other ways to play it, rates by date.

A learned policy's promotion rests on what it did in sessions that its models were not trained on. One value is one
trained configuration: an agent with its features and settings, trained again for each split of the sessions and with
each of several seeds. It is stored beside the evaluation, with what it was made from.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from math import isfinite

from msgspec import Struct

FORMAT = 1

"""The version of the stored form."""

Returns = tuple[float, ...]

"""One return for each judged session, as a fraction of the equity at its start, after costs."""


BENCHMARKS = ("buy_and_hold", "rule", "logistic")

"""What a policy must be better than, besides holding nothing."""


class SessionSpan(Struct, frozen=True):
    """The sessions from one to another, both included."""

    first: date
    last: date


class Split(Struct, frozen=True):
    """The sessions that a model was fitted on, with everything that belongs to it, and those that it was judged in.

    `model` is the SHA-256 of the model's files, by the seed that it was trained with.
    """

    trained: tuple[SessionSpan, ...]
    judged: tuple[SessionSpan, ...]
    model: Mapping[str, str]


class PolicyRun(Struct, frozen=True):
    """What a configuration earned with one seed, along one path through the splits; walking forward, there is one path.

    `doubled` are the returns with all costs doubled, and `later` those with each decision one bar later. `trades` are
    the closed ones.
    """

    seed: int
    path: int
    returns: Returns
    doubled: Returns
    later: Returns
    trades: int


class TriedReturns(Struct, frozen=True):
    """A configuration that was trained, by its digest, with the returns of the run of its median seed."""

    configuration: str
    returns: Returns


class PolicyResults(Struct, frozen=True):
    """The evaluation of one configuration by the same passes that trade, with what it is compared with.

    `name` is what people call it, `configuration` the digest of everything that it was trained with, and `program` the
    version of tradebot that played it. `features` are versions by feature and `data` the SHA-256 of each file of market
    data. `calendar` has every session that was trained on or judged, and `sessions` the judged ones, which all returns
    are of. `tried` are all configurations with known returns, this one included, and `trials` how many were ever
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
    """Yield what contradicts itself in results, so that nothing can be concluded from them."""
    if of.format != FORMAT:
        yield f"it has format {of.format}, and this version reads {FORMAT}"
        return
    if not of.runs or not of.sessions:
        yield "it has no run of any session"
    if not 1 <= of.per_year <= 1_000:
        yield f"a year has {of.per_year} sessions"
    for what, days in (("its calendar is", of.calendar), ("its judged sessions are", of.sessions)):
        if any(later <= earlier for earlier, later in pairwise(days)):
            yield f"{what} out of order"
    if not set(of.sessions) <= set(of.calendar):
        yield "a judged session isn't in the calendar"
    if missing := [benchmark for benchmark in BENCHMARKS if benchmark not in of.benchmarks]:
        yield f"it lacks the benchmark {missing[0]}"
    if of.configuration not in {returns.configuration for returns in of.tried}:
        yield "the configuration isn't among those that were tried"
    elif of.trials < len({returns.configuration for returns in of.tried}):
        yield f"it counts {of.trials} trials and has the returns of {len(of.tried)}"
    if len({(run.seed, run.path) for run in of.runs}) < len(of.runs):
        yield "a seed is there twice"
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
    """What was changed to play a backtest again."""

    COSTS = "costs"
    DELAY = "delay"
    REBALANCE_DAY = "rebalance day"
    OTHER = "other"


class Variant(Struct, frozen=True):
    """The result of a backtest that was played again with one thing changed; `name` says what, such as "costs x2".

    `total_return` and `max_drawdown` are fractions, the latter zero or below. `cagr` is a fraction per year and
    `sharpe` per year too; they are None if there are too few sessions.
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
    """How many different settings and versions of the code of a strategy were played, this one included.

    `sharpes` are their Sharpe ratios per year, as far as they are known.
    """

    count: int
    sharpes: tuple[float, ...] = ()


class DatedRate(Struct, frozen=True):
    """What money costs from a day on, as a fraction per year: 0.05 is five percent."""

    day: date
    yearly: float


class DayPrice(Struct, frozen=True):
    """The open and the close of a session in USD, adjusted for splits and dividends."""

    day: date
    open: float
    close: float


class BacktestRefusals(Struct, frozen=True):
    """How many candidates of a backtest ended for a reason."""

    reason: str
    count: int


class Unrecorded(Struct, frozen=True):
    """What the records of a backtest lack: with a `recorder` of none all candidates, otherwise those not sent.

    `refused` counts the candidates that weren't sent, the most frequent reason first; with none, nobody counted.
    """

    recorder: str
    refused: tuple[BacktestRefusals, ...] = ()


class Evidence(Struct, frozen=True):
    """What is known about a backtest besides its books.

    `cash_rates` are sorted by date. Borrowed cash costs `borrowing_yearly` or, if that is None, `borrowing_spread` more
    than they say; both are fractions per year.
    `benchmark` are the prices of SPY in the market that was played, because nothing serves that market afterwards;
    without any, `no_benchmark` says why in a sentence. Where it isn't SPY, `benchmark_name` says what it is and
    `benchmark_how` how that is held. `last_prices` are those of all symbols at the end, in USD, if somebody asks for
    them later. `unrecorded` is None if every candidate was recorded.
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
