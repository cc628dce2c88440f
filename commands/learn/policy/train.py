"""`tradebot learn policy train`: train an agent with several seeds, and write each model as a draft."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commands.backtest.options import PlannedBacktest, plan_backtest, settings_of
from commands.backtest.run_options import BacktestOptions
from commands.learn.policy.shadow import WalkPostponed, put_in_shadow, shadow_occupied
from commands.promote.report import PoliciesJudged, judged_by
from commands.promote.report import render_policies as render
from commands.shared.error_boundary import TerminatedError
from commands.shared.light_helpers import Identity, clean, note
from commands.shared.verb_options import Report, progress_bar
from tradebot.adapters.models.signing import read_key, require_extra
from tradebot.adapters.state.evidence import Trial
from tradebot.app.venues import driver_for
from tradebot.errors import ExitCode, OperatorError, TradebotError, word
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.results import Results
from tradebot.lab.learning.environment import TIMETABLE
from tradebot.lab.learning.training.job import AGENTS, TrainingJob, usual_features, validate_job
from tradebot.lab.learning.training.sb3_trainer import require_torch
from tradebot.lab.learning.training.training import TrainingSummary, span_of, train
from tradebot.lab.learning.walking.splits import WalkSplit, paths_of, splits_of
from tradebot.lab.learning.walking.walk import RESULTS, Walk, folder_of, run_tasks
from tradebot.lab.selection.policies import PolicyFigures
from tradebot.lab.selection.splits import SplitMethod
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.lab.learning.training.job import Value
    from tradebot.model.evidence import SessionSpan
    from tradebot.ports.world import Progress

FILL, SPREAD = "next-open", "spread_bps"
"""The default fill model (at the next minute's open, a tick worse), and the cost that is 0 unless an option sets it."""


def planned_for(
    wish: BacktestOptions, symbol: str | None, strategy: str, section: Mapping[str, Any]
) -> PlannedBacktest:
    """Plan a backtest in which only this strategy trades, on one futures root, and open its market.

    The strategy keeps its configured settings, except for those that `section` overrides. Gaps in a file of bars are
    reported, as in a backtest. Raise OperatorError if the venue has no contracts that expire, or if the root is
    ambiguous.
    """
    costs = wish.costs if any(cost.startswith(SPREAD) for cost in wish.costs) else (*wish.costs, f"{SPREAD}=0")
    # A root that is named goes before those of the profile.
    wish = replace(wish, fill=wish.fill or FILL, costs=costs, symbols=symbol or wish.symbols)
    settings = settings_of(wish)
    if not driver_for(settings.venue).months:
        raise OperatorError(
            f"policies learn to trade futures, but {settings.venue} has none", "add --profile policy, or --venue ibkr"
        )
    root = _root(settings.universe)
    off = {name: None for name in settings.strategies.in_use() if name != strategy}
    over = {
        "universe": [root],
        "strategies": {**off, strategy: dict(section)},
        "timetable": {str(job): times for job, times in TIMETABLE.items()},
    }
    planned = plan_backtest(replace(wish, over=over))
    for what, bars in (("rows left out", planned.market.unused), ("bars missing", planned.market.lacking)):
        if bars:
            note(f"{what}: {clean(bars)}")
    return planned


def _root(universe: "list[str]") -> str:
    if len(universe) == 1:
        return universe[0]
    raise OperatorError(
        f"a policy is trained on one contract, but the universe has {len(universe)}",
        f"name one: --symbol {universe[0]}",
    )


TRAINING = {"mode": "training"}
BAR_US = 300_000_000
SEEDS = 5
"""The default number of seeds."""


class UnsignedModel(Struct, frozen=True):
    """A trained, unsigned model: its seed, its folder, and its training time in seconds.

    `on_arrays` is True if it was trained with the vectorized backtest, which matches the bot to the cent; `why`
    explains why that wasn't possible.
    """

    seed: int
    folder: str
    took_s: float
    on_arrays: bool
    why: str


class PolicyTrained(Struct, frozen=True):
    """The models that a training wrote as drafts, and the bars that it used.

    `configuration` identifies the configuration, which counts as one trial; `trials` is the number counted so far.
    """

    agent: str
    configuration: str
    trials: int
    symbol: str
    features: int
    bars: int
    first: date
    last: date
    drafts: tuple[UnsignedModel, ...]


class TrainingOptions(Struct, frozen=True):
    """The training options, besides the market."""

    agent: str
    seeds: int | None
    steps: int | None
    changes: "Sequence[str]"
    without: "Sequence[str]"
    symbol: str | None
    strategy: str
    to: Path


def run(options: TrainingOptions, wish: "BacktestOptions") -> Report:
    """Train with each seed; raise OperatorError, before any training, for invalid input."""
    jobs = jobs_of(options)
    job = jobs[0]
    if job.of.steps is not None:
        require_torch(job.agent)
    places = [options.to / f"{job.agent}-{each.seed}-{job.configuration[:8]}" for each in jobs]
    if taken := [path for path in places if path.exists()]:
        raise OperatorError(f"{taken[0]} already exists", "name another folder: --drafts FOLDER")
    planned = planned_for(wish, options.symbol, options.strategy, TRAINING)
    results = Results(planned.folder)
    with progress_bar("reading bars") as progress:
        span = span_of(
            planned.plan, options.strategy, job.features, progress=partial(_show_progress, progress, _bars(planned))
        )
    # Count the trial before training, because an abandoned one counts too.
    results.add_trials([Trial(options.strategy, job.configuration, f"{job.agent} training", 0, None)])
    training_summary = TrainingSummary(tuple(each.seed for each in jobs), len(results.trials(options.strategy)))
    drafts = list[UnsignedModel]()
    for text in _training_notes(options, jobs):
        note(text)
    try:
        for each, folder in zip(jobs, places, strict=True):
            began = time.monotonic()
            with progress_bar(f"training {each.agent}, seed {each.seed} of {len(jobs)}") as step:
                trained = train(each, span, folder, training_summary, partial(_show_progress, step, each.steps))
            drafts.append(
                UnsignedModel(
                    each.seed, str(folder), round(time.monotonic() - began, 1), trained.on_arrays, trained.why
                )
            )
    except (KeyboardInterrupt, TerminatedError) as signalled:
        if not drafts:
            raise
        raise _cut_short(signalled, drafts, len(jobs), options.to) from signalled
    first, last = span.rows[0].at.date(), span.rows[-1].at.date()
    data = PolicyTrained(
        job.agent, job.configuration, training_summary.trials, planned.plan.settings.universe[0],
        len(job.features), len(span.rows), first, last, tuple(drafts),
    )  # fmt: skip
    return Report("learn-policy-train", data, _render, bot_identity=Identity("sandbox", planned.plan.settings.venue))


def _cut_short(signalled: BaseException, drafts: "Sequence[UnsignedModel]", seeds: int, to: Path) -> TradebotError:
    """Return the error for training that was stopped after some of its seeds."""
    code = ExitCode.TERMINATED if isinstance(signalled, TerminatedError) else ExitCode.INTERRUPTED
    done = f"Stopped after {len(drafts)} of {pluralize(seeds, 'seed')}. Their drafts are kept in {clean(str(to))}"
    return TradebotError(
        done, "to train all of them, run the same command with another folder: --drafts FOLDER", code=code
    )


def _training_notes(training_options: TrainingOptions, jobs: "Sequence[TrainingJob]") -> "Iterator[str]":
    """Yield how the training differs from what was requested."""
    job = jobs[0]
    if len(jobs) < (training_options.seeds or 1):
        yield f"{job.agent} learns the same with any seed, so it is trained only once"
    if training_options.steps is not None and job.steps != training_options.steps:
        yield f"Training for {job.steps:,} steps instead of {training_options.steps:,}: a multiple of n_steps"


def _bars(planned: "PlannedBacktest") -> int:
    """Return how many bars the market has at which a policy may be run."""
    return sum(session.close_us - session.open_us for session in planned.market.calendar.market) // BAR_US


def _show_progress(progress: "Progress", of: int, done: int) -> None:
    progress(done, of)


def jobs_of(options: TrainingOptions) -> "Sequence[TrainingJob]":
    """Return a job for each seed; raise OperatorError for invalid options."""
    if options.agent not in AGENTS:
        raise OperatorError(f"there is no agent {word(options.agent)}", f"name one of these: {', '.join(AGENTS)}")
    usual = usual_features()
    if wrong := [name for name in options.without if name not in usual]:
        raise OperatorError(f"{word(wrong[0])} isn't a feature that policies can learn from", "leave it out")
    if options.steps is not None and AGENTS[options.agent].steps is None:
        raise OperatorError(f"{options.agent} isn't trained in steps", "leave --steps out")
    names = tuple(name for name in usual if name not in options.without)
    steps = options.steps if options.steps is not None else AGENTS[options.agent].steps or 0
    changes = dict(_change(change) for change in options.changes)
    # An agent that learns the same from any seed is trained once.
    seeds = range(1, ((options.seeds or SEEDS) if AGENTS[options.agent].steps else 1) + 1)
    return [validate_job(TrainingJob(options.agent, seed, steps, changes, names)) for seed in seeds]


def _change(text: str) -> "tuple[str, Value]":
    name, _, value = text.partition("=")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    raise OperatorError(f"--set {word(text)} sets nothing", "write --set NAME=NUMBER, for example gamma=0.95")


def _render(console: "Console", data: PolicyTrained) -> None:
    console.print(
        f"Trained {clean(data.agent)} on {data.bars:,} bars of {clean(data.symbol)} with {data.features} features, "
        f"from {data.first} to {data.last}",
        markup=False,
    )
    for draft in data.drafts:
        console.print(f"  seed {draft.seed}: {clean(draft.folder)} ({draft.took_s:g} s)", markup=False)
    if why := next((draft.why for draft in data.drafts if draft.why), None):
        console.print(f"Trained with the event-driven engine, the slower one: {clean(why)}", markup=False)
    elif data.drafts[0].on_arrays:
        console.print("Trained with the vectorized engine, which matched the bot to the cent on random actions")
    console.print(f"Configuration {data.configuration[:16]}, one of {pluralize(data.trials, 'trial')} so far")
    console.print("The profit isn't known yet: only sessions that weren't used for training can show it.")
    console.print(f"Next: tradebot model sign {clean(data.drafts[0].folder)} --key FILE --to models", markup=False)


TITLES = {"walk-forward": "walking forward", "cpcv": "cross-validating"}


class SpanRow(Struct, frozen=True):
    """A range of sessions, including the first and the last one."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"from {self.first} to {self.last}"


class SplitRow(Struct, frozen=True):
    """The periods of sessions for training and for evaluation."""

    trained: tuple[SpanRow, ...]
    judged: tuple[SpanRow, ...]


class PolicyWalked(Struct, frozen=True):
    """The result of a walk: its splits and the paths through them, its seeds, its results file, and the evaluation.

    `in_shadow` is the model that was trained on the newest sessions and put into shadow; empty if none was.
    """

    agent: str
    configuration: str
    seeds: tuple[int, ...]
    paths: int
    splits: tuple[SplitRow, ...]
    file: str
    judged: PoliciesJudged
    in_shadow: str = ""


class WalkOptions(Struct, frozen=True):
    """A walk's folder, the key that signs its models, its number of processes, and how its sessions are split.

    With `shadow`, a policy that passes is put into shadow.
    """

    to: Path
    key: Path
    workers: int | None
    by: str
    shadow: bool = False


class WalkInputs(Struct, frozen=True):
    """The inputs of a walk: the plan and its market, a job for each seed, and the splits of the market's dates."""

    planned: "PlannedBacktest"
    jobs: "Sequence[TrainingJob]"
    splits: "tuple[WalkSplit, ...]"
    days: tuple[date, ...]

    def walk(self, options: TrainingOptions, how: WalkOptions, job: "TrainingJob", folder: Path) -> "Walk":
        """Return the walk that trains and tests a job on these inputs, and stores its files in a folder."""
        seeds = tuple(each.seed for each in self.jobs)
        return Walk(self.planned.plan, options.strategy, job, seeds, self.splits, self.days, folder, how.key.absolute())


def ground_of(options: TrainingOptions, how: WalkOptions, wish: "BacktestOptions") -> WalkInputs:
    """Return the data and settings of a walk; raise OperatorError, before any training, for invalid input."""
    require_extra("judging models")
    read_key(how.key)
    jobs = jobs_of(options)
    if jobs[0].of.steps is not None:
        require_torch(jobs[0].agent)
    planned = planned_for(wish, options.symbol, options.strategy, TRAINING)
    days = tuple(session_of(session).date for session in planned.market.calendar.market)
    return WalkInputs(planned, jobs, splits_of(planned.plan, days, SplitMethod(how.by)), days)


def run_walk(options: TrainingOptions, how: WalkOptions, wish: "BacktestOptions") -> Report:
    """Run a walk, or resume a stopped one; exit 10 unless the policy passes.

    With `shadow`, a policy that passes is trained again on the newest sessions, and the new model replaces the one in
    shadow. If the model in shadow is still being judged, nothing is trained, and the exit code is 0.
    """
    if how.shadow and (why := shadow_occupied(options.strategy, how.key, wish)):
        return Report("learn-policy-walk", WalkPostponed(options.strategy, why), _render_postponed)
    ground = ground_of(options, how, wish)
    job, plan = ground.jobs[0], ground.planned.plan
    of = ground.walk(options, how, job, folder_of(how.to.absolute(), job))
    results = Results(ground.planned.folder)
    # Count the trial before training, because an abandoned one counts too.
    results.add_trials([Trial(options.strategy, job.configuration, f"{job.agent} {TITLES[how.by]}", 0, None)])
    trials = len(results.trials(options.strategy))
    with progress_bar(f"{TITLES[how.by]}, {pluralize(len(of.splits), 'split')}") as progress:
        policy_results = run_tasks(of, trials, how.workers or len(os.sched_getaffinity(0)), progress)
    judged = judged_by(plan.settings.promotion, [(policy_results, trials, True)])
    in_shadow = ""
    if how.shadow and any(row.passes for row in judged.policies):
        seed = PolicyFigures(policy_results, trials, plan.settings.promotion.splits).typical.seed
        in_shadow = put_in_shadow(of, replace(job, seed=seed), trials, how.key, wish)
    rows = tuple(SplitRow(_rows(split.trained), _rows(split.judged)) for split in of.splits)
    paths = len(paths_of(of.splits))
    data = PolicyWalked(
        job.agent, job.configuration, of.seeds, paths, rows, str(of.folder / RESULTS), judged, in_shadow
    )
    code = ExitCode.DONE if any(row.passes for row in judged.policies) else ExitCode.FINDINGS
    return Report("learn-policy-walk", data, _render_walk, code, Identity("sandbox", plan.settings.venue))


def _render_walk(out: "Console", data: PolicyWalked) -> None:
    trained = f"{pluralize(len(data.splits), 'split')}, {pluralize(len(data.seeds), 'seed')} each"
    how = "Walked forward" if data.paths == 1 else f"Cross-validated along {data.paths} paths"
    out.print(f"{how} with {data.agent}: {trained}")
    for row in _split_texts(data.splits):
        out.print(f"  {row}", markup=False)
    render(out, data.judged)
    out.print(f"Kept: {data.file}", markup=False)
    if data.in_shadow:
        out.print(f"Model {data.in_shadow}, trained on the newest sessions, is in shadow from the next pass on.")
        out.print(
            "Next: tradebot promote shows what the model still lacks, measured on sessions that it wasn't trained on"
        )
        return
    out.print("To trade with a policy, create a bot: tradebot init --profile policy", markup=False)
    out.print(f"Next: tradebot promote --results {data.file}", markup=False)


def _render_postponed(out: "Console", data: WalkPostponed) -> None:
    out.print(f"Nothing is trained: {clean(data.why)}", markup=False)
    out.print(f"Next: tradebot promote {data.strategy}", markup=False)


def _split_texts(splits: Sequence[SplitRow], most: int = 6) -> list[str]:
    """Return the splits as text, of many the first and the last ones."""
    rows = [f"trained {_spans_text(row.trained)}, judged {_spans_text(row.judged)}" for row in splits]
    half = most // 2
    return rows if len(rows) <= most else [*rows[:half], f"… {len(rows) - most} more", *rows[-half:]]


def _rows(spans: "Sequence[SessionSpan]") -> tuple[SpanRow, ...]:
    return tuple(SpanRow(span.first, span.last) for span in spans)


def _spans_text(spans: Sequence[SpanRow]) -> str:
    return ", ".join(map(str, spans))
