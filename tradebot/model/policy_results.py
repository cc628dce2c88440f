"""What a learned policy did in sessions that its models were not trained on: the evidence that its promotion rests on.

One value is one trained configuration: an agent with its features and settings, trained again for each split of the
sessions and with each of several seeds. It is stored beside the evaluation, with what it was made from.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
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
    if missing := [one for one in BENCHMARKS if one not in of.benchmarks]:
        yield f"it lacks the benchmark {missing[0]}"
    if of.configuration not in {one.configuration for one in of.tried}:
        yield "the configuration isn't among those that were tried"
    elif of.trials < len({one.configuration for one in of.tried}):
        yield f"it counts {of.trials} trials and has the returns of {len(of.tried)}"
    if len({(run.seed, run.path) for run in of.runs}) < len(of.runs):
        yield "a seed is there twice"
    if any(str(run.seed) not in split.model for run in of.runs for split in of.splits):
        yield "a split lacks the model of a seed"
    yield from _series_problems(of)


def _series_problems(of: PolicyResults) -> Iterator[str]:
    series: list[tuple[str, Sequence[float]]] = [(f"benchmark {name}", each) for name, each in of.benchmarks.items()]
    series += [(f"configuration {one.configuration}", one.returns) for one in of.tried]
    for run in of.runs:
        series += [(f"seed {run.seed}", each) for each in (run.returns, run.doubled, run.later)]
    for name, returns in series:
        if len(returns) != len(of.sessions):
            yield f"{name} has {len(returns)} returns of {len(of.sessions)} sessions"
        elif not all(isfinite(each) and each > -1 for each in returns):
            yield f"{name} has a return that isn't a number above -1"
