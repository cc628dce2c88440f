"""`tradebot learn policy walk`: train in some sessions, judge in others, and on, until a promotion could rest on it."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.learn.policy.plan import planned_for
from commands.learn.policy.train import TRAINING, TrainingOptions, jobs_of
from commands.promote.report import PoliciesJudged, judged_by
from commands.promote.report import render_policies as render
from commands.shared.light_helpers import Identity
from commands.shared.verb_options import Report, progress_bar
from tradebot.adapters.models.signing import read_key, require_extra
from tradebot.adapters.state.evidence import Trial
from tradebot.errors import ExitCode
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.results import Results
from tradebot.lab.learning.training.sb3_trainer import require_torch
from tradebot.lab.learning.walking.splits import paths_of, splits_of
from tradebot.lab.learning.walking.walk import RESULTS, Walk, folder_of, walk
from tradebot.lab.selection.splits import By
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from commands.backtest.options import PlannedBacktest
    from commands.backtest.run_options import BacktestOptions
    from tradebot.lab.learning.training.job import TrainingJob
    from tradebot.lab.learning.walking.splits import WalkSplit
    from tradebot.model.evidence import SessionSpan

TITLES = {"walk-forward": "walking forward", "cpcv": "cross-validating"}


class SpanRow(Struct, frozen=True):
    """Sessions from one to another, both included."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"from {self.first} to {self.last}"


class SplitRow(Struct, frozen=True):
    """The spans of sessions that models were trained on, and those that they were judged in."""

    trained: tuple[SpanRow, ...]
    judged: tuple[SpanRow, ...]


class PolicyWalked(Struct, frozen=True):
    """A walk: its splits, how many paths there are through them, the seeds, the file of its results, their worth."""

    agent: str
    configuration: str
    seeds: tuple[int, ...]
    paths: int
    splits: tuple[SplitRow, ...]
    file: str
    judged: PoliciesJudged


class WalkOptions(Struct, frozen=True):
    """Where a walk is kept, which key signs its models, in how many processes it is played, and how it is split."""

    to: Path
    key: Path
    workers: int | None
    by: str


class WalkInputs(Struct, frozen=True):
    """What is walked on: the plan and its market, a job for each seed, and the splits of the market's dates."""

    planned: "PlannedBacktest"
    jobs: "Sequence[TrainingJob]"
    splits: "tuple[WalkSplit, ...]"
    days: tuple[date, ...]

    def walk(self, asked: TrainingOptions, how: WalkOptions, job: "TrainingJob", folder: Path) -> "Walk":
        """Return the walk of a job in a folder."""
        seeds = tuple(each.seed for each in self.jobs)
        return Walk(self.planned.plan, asked.strategy, job, seeds, self.splits, self.days, folder, how.key.absolute())


def ground_of(asked: TrainingOptions, how: WalkOptions, wish: "BacktestOptions") -> WalkInputs:
    """Return the data and settings of a walk; OperatorError names what is wrong before any training."""
    require_extra("judging models")
    read_key(how.key)
    jobs = jobs_of(asked)
    if jobs[0].of.steps is not None:
        require_torch(jobs[0].agent)
    planned = planned_for(wish, asked.symbol, asked.strategy, TRAINING)
    days = tuple(session_of(session).date for session in planned.market.calendar.market)
    return WalkInputs(planned, jobs, splits_of(planned.plan, days, By(how.by)), days)


def run(asked: TrainingOptions, how: WalkOptions, wish: "BacktestOptions") -> Report:
    """Walk, or go on with a walk that was stopped; exit 10 unless the policy passes."""
    ground = ground_of(asked, how, wish)
    job, plan = ground.jobs[0], ground.planned.plan
    of = ground.walk(asked, how, job, folder_of(how.to.absolute(), job))
    results = Results(ground.planned.folder)
    # Before it is trained: one that is given up has been tried too.
    results.add_trials([Trial(asked.strategy, job.configuration, f"{job.agent} {TITLES[how.by]}", 0, None)])
    trials = len(results.trials(asked.strategy))
    with progress_bar(f"{TITLES[how.by]}, {pluralize(len(of.splits), 'split')}") as said:
        found = walk(of, trials, how.workers or len(os.sched_getaffinity(0)), said)
    judged = judged_by(plan.settings.promotion, [(found, trials, True)])
    rows = tuple(SplitRow(_rows(one.trained), _rows(one.judged)) for one in of.splits)
    paths = len(paths_of(of.splits))
    data = PolicyWalked(job.agent, job.configuration, of.seeds, paths, rows, str(of.folder / RESULTS), judged)
    code = ExitCode.DONE if any(row.passes for row in judged.policies) else ExitCode.FINDINGS
    return Report("learn-policy-walk", data, _render, code, Identity("sandbox", plan.settings.venue))


def _render(out: "Console", data: PolicyWalked) -> None:
    trained = f"{pluralize(len(data.splits), 'split')}, {pluralize(len(data.seeds), 'seed')} each"
    how = "Walked forward" if data.paths == 1 else f"Cross-validated along {data.paths} paths"
    out.print(f"{how} with {data.agent}: {trained}")
    for row in _shown(data.splits):
        out.print(f"  {row}", markup=False)
    render(out, data.judged)
    out.print(f"Kept: {data.file}", markup=False)
    out.print("A bot is asked next; tradebot init --profile policy makes one.", markup=False)
    out.print(f"Next: tradebot promote --results {data.file}", markup=False)


def _shown(splits: Sequence[SplitRow], most: int = 6) -> list[str]:
    """Return the splits as text, of many the first and the last ones."""
    rows = [f"trained {_told(one.trained)}, judged {_told(one.judged)}" for one in splits]
    half = most // 2
    return rows if len(rows) <= most else [*rows[:half], f"… {len(rows) - most} more", *rows[-half:]]


def _rows(spans: "Sequence[SessionSpan]") -> tuple[SpanRow, ...]:
    return tuple(SpanRow(span.first, span.last) for span in spans)


def _told(spans: Sequence[SpanRow]) -> str:
    return ", ".join(map(str, spans))
