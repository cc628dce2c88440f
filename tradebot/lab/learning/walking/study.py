"""Search for good configurations of an agent: each is evaluated walk-forward, and its results guide the choice of the
next.

As in a search of settings, the first half of the evaluated sessions is for choosing. A configuration's score is the
annualized Sharpe ratio in that half, as the median over its seeds. The second half is for testing: neither the sampler
nor the ranking sees it. Between the two halves, the sessions of the embargo (promotion.splits) are left out. `promote`
uses all evaluated sessions, and counts every configuration.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct, structs

from tradebot.adapters.state.evidence import Trial
from tradebot.errors import ConfigurationError, OperatorError, word
from tradebot.lab.learning.training.job import DivergedError, TrainingJob, validate_job
from tradebot.lab.learning.walking.walk import Player, Walk, folder_of, run_tasks
from tradebot.lab.performance.statistics import total_return
from tradebot.lab.search.space import Space, Values, round_value
from tradebot.lab.selection.objectives import measure_objective
from tradebot.lab.selection.splits import training_sessions
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import date

    from numpy.typing import NDArray

    from tradebot.lab.backtest.results import Results
    from tradebot.lab.learning.walking.splits import WalkSplit
    from tradebot.lab.search.study import SequentialStudy
    from tradebot.model.evidence import PolicyResults
    from tradebot.ports.world import Progress

FEWEST = 2
"""The number of sessions needed for a Sharpe ratio."""


class VariedSettings(Struct, frozen=True):
    """The settings of a job's agent that a search varies.

    The job's `steps` aren't rounded yet. `source` is the file with the search space.
    """

    job: TrainingJob
    steps: int
    space: Space
    source: str

    def with_values(self, values: Values) -> TrainingJob:
        """Return the job with these settings; raise ConfigurationError if the agent can't be trained with them."""
        settings = {**self.job.settings, **{name: round_value(value) for name, value in values.items()}}
        try:
            return validate_job(replace(self.job, steps=self.steps, settings=settings))
        except OperatorError as error:
            raise ConfigurationError(f"{error.message} ({self.source})", error.hint) from error

    def require_settings(self) -> None:
        """Raise ConfigurationError if the search space names a setting that the agent lacks, or that the job sets
        itself.
        """
        for name in self.space.settings:
            if name not in self.job.of.settings:
                raise ConfigurationError(
                    f"{self.job.agent} has no setting {word(name)} ({self.source})",
                    f"name some of these: {', '.join(self.job.of.settings)}",
                )
            if name in self.job.settings:
                raise ConfigurationError(
                    f"{name} is both varied by {self.source} and set by an option", f"leave out --set {name}"
                )


class WalkSearch(Struct, frozen=True):
    """A search over walk-forward evaluations: the varied settings, and the walk for each job."""

    varied: VariedSettings
    walk: Walk

    def walk_of(self, job: TrainingJob) -> Walk:
        """Return the walk of a job."""
        return replace(self.walk, job=job, folder=folder_of(self.walk.folder, job))


class ConfigurationFigures(Struct, frozen=True):
    """A configuration's results: its annualized Sharpe ratio (the median over its seeds) in the two halves of the
    sessions.

    The halves are the sessions for choosing and those held out for testing. `positive` counts how many of the `seeds`
    had a gain in the sessions for choosing. `trades` is the number of closed trades in all sessions, as the median over
    seeds. A seed whose returns don't vary counts as 0.
    """

    sharpe: float
    held_out: float
    positive: int
    seeds: int
    trades: float


def judged_in(splits: Sequence[WalkSplit], market: Sequence[date]) -> Sequence[date]:
    """Return the sessions of the market that these splits evaluate."""
    spans = [span for split in splits for span in split.judged]
    return [day for day in market if any(span.first <= day <= span.last for span in spans)]


def choosing(sessions: int, embargo: int) -> int:
    """Return how many of the evaluated sessions are for choosing; raise OperatorError if they are too few for a Sharpe
    ratio.
    """
    count = training_sessions(sessions) - embargo
    if count < FEWEST:
        raise OperatorError(
            f"only {pluralize(sessions, 'judged session')}, which is too few: the settings are chosen by the"
            f" first half of them, except for {pluralize(embargo, 'session')} at its end",
            f"give a longer market: a study needs {2 * (FEWEST + embargo)} judged sessions",
        )
    return count


def figures_of(results: PolicyResults, embargo: int) -> ConfigurationFigures:
    """Compute the figures of a configuration from its results."""
    returns, end = np.array([run.returns for run in results.runs]).T, choosing(len(results.sessions), embargo)
    chosen, held_out = returns[:end], returns[training_sessions(len(returns)) :]
    return ConfigurationFigures(
        _middle(chosen, results.per_year),
        _middle(held_out, results.per_year),
        sum(total_return(column) > 0 for column in chosen.T.tolist()),
        len(results.runs),
        median(run.trades for run in results.runs),
    )


def _middle(returns: NDArray[np.float64], per_year: int) -> float:
    return float(median(value or 0.0 for value in measure_objective("sharpe", returns, per_year)))


def search(
    of: WalkSearch,
    study: SequentialStudy,
    results: Results,
    how: tuple[Player, int],
    progress_of: Callable[[int], AbstractContextManager[Progress]],
) -> None:
    """Evaluate one configuration after another until none is left, and save each finished one.

    Each configuration counts as one trial before it is trained. `how` has the function that runs the tasks, and the
    number of workers. `progress_of` shows the progress of the trial with a given index.
    """
    while (trial := study.take()) is not None:
        figures = _evaluate_values(of, study, study.values_of(trial), results, how, progress_of)
        if isinstance(figures, str):
            study.tell(trial, None, [], figures)
        else:
            study.keep(trial, figures.sharpe, structs.asdict(figures))


def _evaluate_values(
    of: WalkSearch,
    study: SequentialStudy,
    values: Values,
    results: Results,
    how: tuple[Player, int],
    progress_of: Callable[[int], AbstractContextManager[Progress]],
) -> ConfigurationFigures | str:
    """Return a configuration's score, or why it is left out."""
    try:
        job = of.varied.with_values(values)
    except ConfigurationError as refused:
        return refused.message
    before = study.in_order()
    walks = [of.walk_of(of.varied.with_values(trial.values)).folder for trial in before if not trial.why]
    results.add_trials([Trial(of.walk.name, job.configuration, f"{job.agent} study {study.name}", 0, None)])
    with progress_of(len(before) + 1) as progress:
        try:
            walked = run_walks(replace(of.walk_of(job), benchmarks=next(iter(walks), None)), results, how, progress)
        except DivergedError as error:
            return error.message
    return figures_of(walked, of.walk.plan.settings.promotion.splits.embargo_sessions)


def run_walks(
    of: Walk,
    results: Results,
    how: tuple[Player, int],
    progress: Progress = lambda done, total: None,
) -> PolicyResults:
    """Run a walk's unfinished tasks; the results include how many configurations were evaluated so far."""
    player, workers = how
    return run_tasks(of, len(results.trials(of.name)), workers, progress, player)


class Ranked(Struct, frozen=True):
    """An evaluated configuration: its trial number, its values, and its figures."""

    place: int
    job: TrainingJob
    values: Mapping[str, Any]
    figures: ConfigurationFigures


def rank_configurations(of: WalkSearch, study: SequentialStudy) -> list[Ranked]:
    """Rank the configurations, best first; if two are equally good, the earlier one comes first."""
    by_key = dict[str, Ranked]()
    for tried in study.in_order():
        if not tried.why:
            job = of.varied.with_values(tried.values)
            by_key.setdefault(
                job.configuration, Ranked(tried.place, job, tried.values, ConfigurationFigures(**tried.figures))
            )
    return sorted(by_key.values(), key=lambda ranked: (-ranked.figures.sharpe, ranked.place))
