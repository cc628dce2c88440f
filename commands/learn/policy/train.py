"""`tradebot learn policy train`: train an agent with several seeds, and write each model as a draft."""

import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.learn.policy.plan import planned_for
from commands.shared.error_boundary import TerminatedError
from commands.shared.light_helpers import Identity, clean, note
from commands.shared.verb_options import Report, progress_bar
from tradebot.adapters.state.evidence import Trial
from tradebot.errors import ExitCode, OperatorError, TradebotError, word
from tradebot.lab.backtest.results import Results
from tradebot.lab.learning.training.job import AGENTS, TrainingJob, usual_features, validate_job
from tradebot.lab.learning.training.sb3_trainer import require_torch
from tradebot.lab.learning.training.training import TrainingSummary, span_of, train
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from commands.backtest.options import PlannedBacktest
    from commands.backtest.run_options import BacktestOptions
    from tradebot.lab.learning.training.job import Value
    from tradebot.ports.world import Progress

TRAINING = {"mode": "training"}
BAR_US = 300_000_000
SEEDS = 5
"""How many seeds are trained unless somebody says otherwise."""


class UnsignedModel(Struct, frozen=True):
    """A trained model that nobody has signed: its seed, its folder, and how long it took in seconds of wall clock.

    `on_arrays` says that it was trained on arrays that play as the bot does, to the cent; `why` it wasn't if it could.
    """

    seed: int
    folder: str
    took_s: float
    on_arrays: bool
    why: str


class PolicyTrained(Struct, frozen=True):
    """What was trained on which bars. `configuration` is what counts as one trial, of `trials` in all."""

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
    """What the options ask for, besides the market."""

    agent: str
    seeds: int | None
    steps: int | None
    changes: "Sequence[str]"
    without: "Sequence[str]"
    symbol: str | None
    strategy: str
    to: Path


def run(asked: TrainingOptions, wish: "BacktestOptions") -> Report:
    """Train with each seed; OperatorError names what is wrong before any training."""
    jobs = jobs_of(asked)
    job = jobs[0]
    if job.of.steps is not None:
        require_torch(job.agent)
    places = [asked.to / f"{job.agent}-{each.seed}-{job.configuration[:8]}" for each in jobs]
    if taken := [place for place in places if place.exists()]:
        raise OperatorError(f"{taken[0]} is there already", "name another folder: --drafts FOLDER")
    planned = planned_for(wish, asked.symbol, asked.strategy, TRAINING)
    results = Results(planned.folder)
    with progress_bar("reading bars") as said:
        span = span_of(planned.plan, asked.strategy, job.features, said=partial(_counted, said, _bars(planned)))
    # Before it is trained: one that is given up has been tried too.
    results.add_trials([Trial(asked.strategy, job.configuration, f"{job.agent} training", 0, None)])
    told = TrainingSummary(tuple(each.seed for each in jobs), len(results.trials(asked.strategy)))
    drafts = list[UnsignedModel]()
    for text in _noted(asked, jobs):
        note(text)
    try:
        for each, place in zip(jobs, places, strict=True):
            began = time.monotonic()
            with progress_bar(f"training {each.agent}, seed {each.seed} of {len(jobs)}") as step:
                made = train(each, span, place, told, partial(_counted, step, each.steps))
            drafts.append(
                UnsignedModel(each.seed, str(place), round(time.monotonic() - began, 1), made.on_arrays, made.why)
            )
    except (KeyboardInterrupt, TerminatedError) as signalled:
        if not drafts:
            raise
        raise _cut_short(signalled, drafts, len(jobs), asked.to) from signalled
    first, last = span.rows[0].at.date(), span.rows[-1].at.date()
    data = PolicyTrained(
        job.agent, job.configuration, told.trials, planned.plan.settings.universe[0],
        len(job.features), len(span.rows), first, last, tuple(drafts),
    )  # fmt: skip
    return Report("learn-policy-train", data, _render, whose=Identity("sandbox", planned.plan.settings.venue))


def _cut_short(signalled: BaseException, drafts: "Sequence[UnsignedModel]", seeds: int, to: Path) -> TradebotError:
    """Return the error for training that was stopped after some of its seeds."""
    code = ExitCode.TERMINATED if isinstance(signalled, TerminatedError) else ExitCode.INTERRUPTED
    done = f"Stopped after {len(drafts)} of {pluralize(seeds, 'seed')}. Their drafts are kept in {clean(str(to))}"
    return TradebotError(done, "to train all of them: the same command with another folder, --drafts FOLDER", code=code)


def _noted(asked: TrainingOptions, jobs: "Sequence[TrainingJob]") -> "Iterator[str]":
    """Yield what is trained otherwise than asked for."""
    job = jobs[0]
    if len(jobs) < (asked.seeds or 1):
        yield f"{job.agent} learns the same from any seed, so it is trained once"
    if asked.steps is not None and job.steps != asked.steps:
        yield f"Training for {job.steps:,} steps in place of {asked.steps:,}: whole parts of n_steps"


def _bars(planned: "PlannedBacktest") -> int:
    """Return how many bars the market has at which a policy may be asked."""
    return sum(session.close_us - session.open_us for session in planned.market.calendar.market) // BAR_US


def _counted(said: "Progress", of: int, done: int) -> None:
    said(done, of)


def jobs_of(asked: TrainingOptions) -> "Sequence[TrainingJob]":
    """Return a job for each seed; OperatorError naming what is wrong with them."""
    if asked.agent not in AGENTS:
        raise OperatorError(f"there is no agent {word(asked.agent)}", f"name one of these: {', '.join(AGENTS)}")
    usual = usual_features()
    if wrong := [name for name in asked.without if name not in usual]:
        raise OperatorError(f"{word(wrong[0])} is none of the features that are learned from", "leave it out")
    if asked.steps is not None and AGENTS[asked.agent].steps is None:
        raise OperatorError(f"{asked.agent} learns from the bars alone, and has no steps", "leave --steps out")
    names = tuple(name for name in usual if name not in asked.without)
    steps = asked.steps if asked.steps is not None else AGENTS[asked.agent].steps or 0
    changes = dict(_change(one) for one in asked.changes)
    # An agent that learns the same from any seed is trained once.
    seeds = range(1, ((asked.seeds or SEEDS) if AGENTS[asked.agent].steps else 1) + 1)
    return [validate_job(TrainingJob(asked.agent, seed, steps, changes, names)) for seed in seeds]


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
        console.print(f"Trained on the road, which takes longer than on arrays: {clean(why)}", markup=False)
    elif data.drafts[0].on_arrays:
        console.print("Trained on arrays, which played drawn actions as the bot itself does, to the cent")
    console.print(f"Configuration {data.configuration[:16]}, one of {pluralize(data.trials, 'trial')} so far")
    console.print("What it earns isn't known: sessions that it wasn't trained on have to say that.")
    console.print(f"Next: tradebot model sign {clean(data.drafts[0].folder)} --key FILE --to models", markup=False)
