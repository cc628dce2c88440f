"""Evaluate a learned policy's results in sessions on which it wasn't trained, and whether they exceed noise.

The median over the seeds counts, never the best seed. A seed with several paths counts with the median of its paths.
Hansen's test compares the policy with each benchmark. It uses the daily returns of all configurations that were ever
tried, scaled to equal volatility. If the returns of some configurations are unknown, p is multiplied by the number of
all configurations divided by the number of known ones.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cached_property, partial
from statistics import median, median_low

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.lab.performance.chance import Resampling, best_by_chance, sharpe_spans
from tradebot.lab.performance.statistics import (
    max_drawdown,
    moments_of_returns,
    probabilistic_sharpe,
    sharpe_error,
    total_return,
)
from tradebot.lab.selection.conditions import Comparator, ConditionCheck
from tradebot.lab.selection.multiple_testing import superiority
from tradebot.lab.selection.objectives import measure_objective
from tradebot.lab.selection.splits import SessionCut, SplitMethod, of_policies, paths
from tradebot.model.evidence import BENCHMARKS, PolicyResults, PolicyRun, SessionSpan
from tradebot.model.parity import DayParity
from tradebot.model.promotion import PolicyRules, SplitRules

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
BLOCK = 10
DRAWS = Resampling(resamples=10_000, mean_block=BLOCK)
FEWEST_RESAMPLES, MOST_RESAMPLES = 2_000, 100_000
FLAT = "flat"
"""The benchmark without any position."""
AGAINST = (FLAT, *BENCHMARKS)
NO_RESULTS = "no evaluation: name its file in strategies.NAME.evaluation"
STILL = "its returns don't vary"
NO_REPLAY = "no session on paper was compared with its replay: tradebot parity"


class RunFigures(Struct, frozen=True):
    """The results of one seed along one path.

    `low` and `high` are the 95% interval of the annualized Sharpe ratio; all three are None if the returns don't vary.
    `doubled` is the total return with costs doubled, and `later` the total return with each decision one bar later.
    """

    seed: int
    path: int
    total_return: float
    sharpe: float | None
    low: float | None
    high: float | None
    drawdown: float
    doubled: float
    later: float
    trades: int


class BenchmarkFigures(Struct, frozen=True):
    """A benchmark's results in the same sessions.

    `p` is Hansen's p-value of all configurations against the benchmark; a small one is good.
    """

    name: str
    total_return: float
    sharpe: float | None
    low: float | None
    high: float | None
    drawdown: float
    p: float | None


class PolicyFigures(Struct, frozen=True, dict=True):
    """Figures of a policy's results, each computed on first use; `trials` is how many configurations were ever
    tried.
    """

    results: PolicyResults
    trials: int
    splits: SplitRules

    @cached_property
    def returns(self) -> Numbers:
        """Return a matrix with a row for each session and a column for each run."""
        return np.array([run.returns for run in self.results.runs]).T

    @cached_property
    def sharpes(self) -> list[float | None]:
        return measure_objective("sharpe", self.returns, self.results.per_year)

    @cached_property
    def spans(self) -> Numbers:
        return sharpe_spans(self.returns, self.results.per_year, DRAWS)

    @cached_property
    def typical(self) -> PolicyRun:
        """Return the run with the median Sharpe ratio; with an even number of runs, the worse of the middle two.

        An undefined ratio counts as zero.
        """
        sharpes = [sharpe if sharpe is not None else 0.0 for sharpe in self.sharpes]
        return self.results.runs[sharpes.index(median_low(sharpes))]

    def by_seed(self, values: Sequence[float]) -> list[float]:
        """Return a figure for each seed: the median over the seed's paths."""
        seeds = dict.fromkeys(run.seed for run in self.results.runs)
        pairs = [*zip(self.results.runs, values, strict=True)]
        return [median(value for run, value in pairs if run.seed == seed) for seed in seeds]

    def middle(self, of: Callable[[PolicyRun], float]) -> float:
        """Return the median over seeds of a figure that each run has."""
        return median(self.by_seed([of(run) for run in self.results.runs]))

    @cached_property
    def positive(self) -> float:
        """Return the share of seeds with a gain."""
        earned = self.by_seed([total_return(run.returns) for run in self.results.runs])
        return sum(amount > 0 for amount in earned) / len(earned)

    @cached_property
    def deepest(self) -> float:
        return max(-max_drawdown(run.returns) for run in self.results.runs)

    @cached_property
    def deflated_ratio(self) -> float | None:
        """Return the probability that the median seed's true Sharpe ratio is above the best ratio that luck alone would
        give.

        Return None if a run has no Sharpe ratio.
        """
        if None in self.sharpes:
            return None
        return self.middle(lambda run: _deflate(run.returns, self.trials))

    @cached_property
    def low(self) -> float | None:
        """Return the lower end of the 95% interval of the annualized Sharpe ratio, as the median over seeds.

        Return None if a run has no Sharpe ratio.
        """
        return None if None in self.sharpes else median(self.by_seed(self.spans[0].tolist()))

    @cached_property
    def all_configurations(self) -> Numbers:
        """Return the returns of all known configurations, scaled to equal volatility.

        This configuration is represented by its typical run.
        """
        columns = {returns.configuration: returns.returns for returns in self.results.tried}
        columns[self.results.configuration] = self.typical.returns
        return _at_equal_volatility(np.array([*columns.values()]).T)

    def p(self, name: str) -> float | None:
        """Return Hansen's p-value of all configurations against a benchmark; None if the returns don't vary."""
        if name not in self._known_p:
            self._known_p[name] = self._superior(name)
        return self._known_p[name]

    @cached_property
    def _known_p(self) -> dict[str, float | None]:
        return {}

    def _superior(self, name: str) -> float | None:
        against = 0.0 if name == FLAT else _at_equal_volatility(np.array([self.results.benchmarks[name]]).T)
        times = max(self.trials / self.all_configurations.shape[1], 1.0)
        resamples = min(max(FEWEST_RESAMPLES, round(40 * times)), MOST_RESAMPLES)
        test = superiority(self.all_configurations - against, Resampling(resamples=resamples, mean_block=BLOCK))
        return None if test is None else min(test.spa * times, 1.0)

    @cached_property
    def judging(self) -> "PolicyEvaluation":
        return _judging(self.results, self.splits)

    @cached_property
    def whole_seeds(self) -> int:
        """Return how many seeds have a run along each path."""
        counts = Counter(run.seed for run in self.results.runs)
        return sum(count == self.judging.paths for count in counts.values())

    def runs(self) -> Iterator[RunFigures]:
        for index, run in enumerate(self.results.runs):
            sharpe, ends = self.sharpes[index], self.spans[:, index].tolist()
            low, high = (None, None) if sharpe is None else ends
            yield RunFigures(
                run.seed, run.path, total_return(run.returns), sharpe, low, high, max_drawdown(run.returns),
                total_return(run.doubled), total_return(run.later), run.trades,
            )  # fmt: skip

    def benchmarks(self) -> Iterator[BenchmarkFigures]:
        yield BenchmarkFigures(FLAT, 0.0, None, None, None, 0.0, self.p(FLAT))
        per_year = self.results.per_year
        for name in BENCHMARKS:
            column = np.array([self.results.benchmarks[name]]).T
            (sharpe,) = measure_objective("sharpe", column, per_year)
            low, high = (None, None) if sharpe is None else sharpe_spans(column, per_year, DRAWS)[:, 0].tolist()
            returns = self.results.benchmarks[name]
            earned, deepest = total_return(returns), max_drawdown(returns)
            yield BenchmarkFigures(name, earned, sharpe, low, high, deepest, self.p(name))


def _deflate(returns: Sequence[float], trials: int) -> float:
    moments = moments_of_returns(returns)
    # Use the spread of one trial by chance: the spread of all trials would count some trials' skill as luck.
    probability = moments and probabilistic_sharpe(moments, best_by_chance(trials, sharpe_error(moments)))
    return probability if probability is not None else 0.0


def _at_equal_volatility(returns: Numbers) -> Numbers:
    deviations = returns.std(axis=0)
    scaled: Numbers = np.divide(returns, deviations, out=np.zeros_like(returns), where=deviations > 0)
    return scaled


class PolicyEvaluation(Struct, frozen=True):
    """How sessions were evaluated: how many of them a model may have seen, and how many runs each seed must have.

    A session counts as seen if no model evaluates it. It also counts as seen if its model was trained on a session that
    the splits keep out of that model's training, such as one in the embargo.
    """

    seen: int
    paths: int


def _judging(of: PolicyResults, rules: SplitRules) -> PolicyEvaluation:
    allowed = dict[bytes, list[Places]]()
    for split in of_policies(rules, of.calendar):
        allowed.setdefault(split.outside.tobytes(), []).append(split.inside)
    days = np.array([day.toordinal() for day in of.calendar], dtype=np.int64)
    times, is_seen = np.zeros(len(days), dtype=np.int64), np.zeros(len(days), dtype=np.bool_)
    for part in of.splits:
        outside, inside = _places(days, part.judged), _places(days, part.trained)
        times[outside] += 1
        if not any(np.isin(inside, each).all() for each in allowed.get(outside.tobytes(), ())):
            is_seen[outside] = True
    judged = np.isin(days, [day.toordinal() for day in of.sessions])
    needed = (
        1
        if times.max(initial=0) <= 1
        else len(paths(SessionCut(SplitMethod.CROSS_VALIDATION, rules.groups, rules.judged)))
    )
    return PolicyEvaluation(int((judged & (is_seen | (times != needed))).sum()), needed)


def _places(days: Places, spans: Sequence[SessionSpan]) -> Places:
    mask = np.zeros(len(days), dtype=np.bool_)
    for span in spans:
        mask |= (days >= span.first.toordinal()) & (days <= span.last.toordinal())
    return np.flatnonzero(mask)


def policy_conditions(
    of: PolicyFigures | str, rules: PolicyRules, replays: Sequence[float] = ()
) -> Iterator[ConditionCheck]:
    """Yield a rung's conditions for a learned policy, those that take long to check last; yield nothing if the rung has
    none.

    If the policy has no results, `of` is a text that says why. `replays` says how much each paper session differed from
    its replay, as returned by `off_replay`.
    """
    if not rules.asks:
        return
    rows: list[_Row] = [("policy_seen", 0, Comparator.AT_MOST, lambda figures: figures.judging.seen), *_of_runs(rules)]
    rows += (
        (
            f"policy_spa_{name}",
            rules.spa_p,
            Comparator.AT_MOST,
            partial(lambda name, condition: condition.p(name), name),
        )
        for name in AGAINST
    )
    for name, bound, must, figure in rows:
        if bound is not None:
            after = partial(_figure, of, figure)
            yield ConditionCheck(name, float(bound), after, of if isinstance(of, str) else STILL, must)
    if rules.replay_sessions is not None:
        after = partial(_within, replays, float(rules.replay_costs))
        yield ConditionCheck(
            "policy_replay_sessions", float(rules.replay_sessions), after, NO_REPLAY, Comparator.AT_LEAST
        )


_Row = tuple[str, Decimal | int | None, Comparator, Callable[[PolicyFigures], float | None]]


def _of_runs(rules: PolicyRules) -> Iterator[_Row]:
    yield "policy_sessions", rules.sessions, Comparator.AT_LEAST, lambda figures: len(figures.results.sessions)
    yield "policy_trades", rules.trades, Comparator.AT_LEAST, lambda figures: figures.middle(lambda run: run.trades)
    yield "policy_seeds", rules.seeds, Comparator.AT_LEAST, lambda figures: figures.whole_seeds
    yield "policy_seeds_positive", rules.seeds_positive, Comparator.AT_LEAST, lambda figures: figures.positive
    doubled, later = (lambda run: total_return(run.doubled)), (lambda run: total_return(run.later))
    yield "policy_doubled", rules.left_above, Comparator.ABOVE, lambda figures: figures.middle(doubled)
    yield "policy_later", rules.left_above, Comparator.ABOVE, lambda figures: figures.middle(later)
    yield "policy_drawdown", rules.drawdown, Comparator.AT_MOST, lambda figures: figures.deepest
    yield "policy_deflated_sharpe", rules.deflated_sharpe, Comparator.AT_LEAST, lambda figures: figures.deflated_ratio
    yield "policy_sharpe_low", rules.sharpe_low, Comparator.ABOVE, lambda figures: figures.low


def _figure(of: PolicyFigures | str, figure: Callable[[PolicyFigures], float | None], more: int) -> float | None:
    """Return a figure of a policy's results; None without results.

    It is the same for any number of `more` sessions, because those would need another evaluation.
    """
    return None if isinstance(of, str) else figure(of)


def _within(replays: Sequence[float], share: float, more: int) -> float | None:
    return sum(replay < share for replay in replays) + more if replays else None


def off_replay(days: Sequence[DayParity]) -> tuple[float, ...]:
    """Return how much each session differs from its replay, as a share of the session's costs.

    A session that wasn't over, or whose costs are zero or unknown, is left out.
    """
    pairs = ((abs(float(day.cost_usd)), float(day.costs_usd or 0)) for day in days if day.complete)
    return tuple(apart / costs for apart, costs in pairs if costs > 0)


def some_pass(trials: int, error: float = 0.05) -> float:
    """Return the probability that at least one of several independent trials without skill passes a test."""
    return float(1 - (1 - error) ** trials)


def sentence(lacking: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return one sentence that says which policies pass.

    Each policy is given with the names of the conditions that it fails.
    """
    passing = [name for name, failed in lacking if not failed]
    if passing:
        others = len(lacking) - len(passing)
        rest = f"; {others} of {len(lacking)} don't" if others else ""
        passes = "passes" if len(passing) == 1 else "pass"
        return f"{', '.join(passing)} {passes}: every condition is met{rest}."
    failed = "; ".join(f"{name} lacks {', '.join(names)}" for name, names in lacking)
    return f"None passes: {failed}."
