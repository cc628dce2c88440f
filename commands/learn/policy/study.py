"""`tradebot learn policy study`: search over configurations of one agent, with a walk-forward test of each."""

import os
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commands.learn.policy.train import TrainingOptions, WalkOptions, ground_of, jobs_of
from commands.search import require_extras
from commands.search.study_options import WorkerLocation
from commands.shared.error_boundary import TerminatedError
from commands.shared.light_helpers import Identity, clean
from commands.shared.tables import Table, number, sentence
from commands.shared.verb_options import Report, progress_bar
from tradebot.adapters.state.state_folder import make_folder
from tradebot.adapters.state.state_locks import hold
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.errors import ConfigurationError, ExitCode, OperatorError, TradebotError, word
from tradebot.lab.backtest.identity import identity_of, market_of
from tradebot.lab.backtest.results import NAME, Results
from tradebot.lab.learning.training.job import AGENTS
from tradebot.lab.learning.walking.ray_nodes import play_there
from tradebot.lab.learning.walking.study import (
    VariedSettings,
    WalkSearch,
    choosing,
    judged_in,
    rank_configurations,
    run_walks,
    search,
)
from tradebot.lab.learning.walking.walk import RESULTS, Player, play_here
from tradebot.lab.search.space import check, read_space
from tradebot.lab.search.study import SequentialStudy
from tradebot.lab.selection.splits import training_sessions
from tradebot.model.sentences import pluralize
from tradebot.signals.features import features

if TYPE_CHECKING:
    from rich.console import Console

    from commands.backtest.run_options import BacktestOptions

SHOWN = 10
"""How many trials are shown; the document has all of them."""
LINES = frozenset({"settings", "sampler", "trials", "seed"})
"""The entries that the space of a policy study may have."""
CHANGED = {
    "versions": "it was made by another version of tradebot or of a strategy's package",
    "agent": "it has a different agent, --set, --steps or --seeds",
    "features": "it has different features",
    "space": "it has a different space",
    "market": "it has a different market, or splits it differently",
    "everything": "it has different settings",
}


class StudyRequest(Struct, frozen=True):
    """A study's own options: its space, its number of trials, its name, and where it runs.

    The options for walking forward are separate.
    """

    space: Path
    trials: int | None
    name: str | None
    on: WorkerLocation


class Sessions(Struct, frozen=True):
    """A range of sessions: the first date, the last date, and the number of sessions."""

    first: date
    last: date
    sessions: int


class PolicyTried(Struct, frozen=True):
    """A configuration: its rank and its number among the trials, its changed settings, and its results.

    `sharpe` is the median seed's annual Sharpe ratio in the selection sessions, and `held_out` the same in the held-out
    sessions. `positive` counts the seeds with a profit in the selection sessions. `trades` is the median number of
    trades per seed in all sessions.
    """

    rank: int
    trial: int
    configuration: str
    settings: Mapping[str, Any]
    sharpe: float
    held_out: float
    positive: int
    seeds: int
    trades: float
    file: str


class PolicyStudied(Struct, frozen=True):
    """A study: its journal, the selection and held-out sessions, and its configurations, best first.

    `trials` is the number of different configurations in the study; `left_out` counts the untrained ones by reason.
    `counted` is the number of all configurations that were ever trained.
    """

    agent: str
    name: str
    journal: str
    sampler: str
    trials: int
    counted: int
    splits: int
    chosen: Sessions
    held_out: Sessions
    left_out: Mapping[str, int]
    tried: tuple[PolicyTried, ...]


def run(options: TrainingOptions, wanted: StudyRequest, how: WalkOptions, wish: "BacktestOptions") -> Report:
    """Run a new search, or resume a stopped study; raise OperatorError, before any training, for invalid input."""
    require_extras(wanted.on)
    varied = _varied_settings(options, wanted)
    name, folder = _name(wanted, options), how.to.absolute()
    ground = ground_of(options, how, wish)
    of = WalkSearch(varied, ground.walk(options, how, varied.job, folder))
    chosen, held_out = _spans(of)
    results = Results(ground.planned.folder)
    if not folder.is_dir():
        make_folder(folder)
    with hold(folder, "learn policy study", 0.0, f"{name}.lock"):
        study = _study(of, folder / f"{name}.journal", name)
        tried = _play_remaining(of, study, results, _player(how, wanted.on))
    data = PolicyStudied(
        options.agent, name, study.place, varied.space.sampler, len(study.in_order()),
        len(results.trials(options.strategy)), len(of.walk.splits), chosen, held_out, study.reasons(), tried,
    )  # fmt: skip
    return Report("learn-policy-study", data, _render, bot_identity=Identity("sandbox", of.walk.plan.settings.venue))


def _name(wanted: StudyRequest, training_options: TrainingOptions) -> str:
    name = wanted.name or training_options.agent
    if not NAME.fullmatch(name):
        raise OperatorError(
            f"a study can't be called {word(name)}", "use letters, digits, dots, dashes and underscores"
        )
    return name


def _varied_settings(options: TrainingOptions, wanted: StudyRequest) -> "VariedSettings":
    """Return the settings to vary; raise ConfigurationError naming an entry of the space that a study doesn't allow."""
    space, source = read_space(wanted.space), clean(str(wanted.space))
    if other := sorted(space.model_fields_set - LINES):
        raise ConfigurationError(
            f"{source}: {other[0]} has no effect in a study of policies, which ranks trials by the median Sharpe ratio",
            f"remove that line; such a space may have: {', '.join(sorted(LINES))}",
        )
    if wanted.trials is not None:
        space = space.model_copy(update={"trials": wanted.trials})
    job = jobs_of(options)[0]
    varied = VariedSettings(
        job, options.steps if options.steps is not None else AGENTS[job.agent].steps or 0, space, source
    )
    varied.require_settings()
    check(varied)
    return varied


def _spans(of: "WalkSearch") -> tuple[Sessions, Sessions]:
    """Return the evaluated sessions that choose, and the held-out ones."""
    days = judged_in(of.walk.splits, of.walk.market)
    chosen = days[: choosing(len(days), of.walk.plan.settings.promotion.splits.embargo_sessions)]
    held_out = days[training_sessions(len(days)) :]
    return Sessions(chosen[0], chosen[-1], len(chosen)), Sessions(held_out[0], held_out[-1], len(held_out))


def _study(of: "WalkSearch", journal: Path, name: str) -> "SequentialStudy":
    """Return the study, a new one or the existing one; raise OperatorError if the existing one has other inputs."""

    def digest(*parts: object) -> str:
        return sha256(json_text([*parts]).encode()).hexdigest()

    walk, job, available = of.walk, of.walk.job, features()
    identity, space = identity_of(walk.plan), of.varied.space
    inputs = {
        "versions": dict(identity.versions),
        "agent": digest(job.agent, job.card_summary, of.varied.steps, walk.seeds),
        "features": {name: str(available[name].version) for name in job.features},
        "space": digest(space.model_dump(mode="json")),
        "market": digest(market_of(walk.plan.spec), [encode(split) for split in walk.splits]),
        "everything": identity.fingerprint,
    }
    return SequentialStudy.open_study(str(journal), name, space, inputs, CHANGED)


def _player(how: WalkOptions, on: WorkerLocation) -> "tuple[Player, int]":
    """Return the function that runs trials, and the number of workers; 0 leaves the number to the Ray cluster."""
    if on is not WorkerLocation.RAY:
        return play_here, how.workers or len(os.sched_getaffinity(0))

    return play_there, how.workers or 0


def _play_remaining(
    of: "WalkSearch", study: "SequentialStudy", results: "Results", how: "tuple[Player, int]"
) -> tuple[PolicyTried, ...]:
    """Play the remaining trials, and return the configurations, best first."""
    total = study.space.total
    try:
        search(of, study, results, how, lambda trial: progress_bar(f"trial {trial} of {total}"))
        ranking = rank_configurations(of, study)
        if ranking:
            # Only now are all the others known, to compare the best one with.
            run_walks(of.walk_of(ranking[0].job), results, how)
    except (KeyboardInterrupt, TerminatedError) as signalled:
        code = ExitCode.TERMINATED if isinstance(signalled, TerminatedError) else ExitCode.INTERRUPTED
        done = f"{pluralize(len(study.in_order()), 'trial')} of {total:,}"
        raise TradebotError(
            f"Stopped after {done}. They are stored.", "to continue, run the same command", code=code
        ) from signalled
    return tuple(
        PolicyTried(
            rank, top.place, top.job.configuration, top.values, top.figures.sharpe, top.figures.held_out,
            top.figures.positive, top.figures.seeds, top.figures.trades, str(of.walk_of(top.job).folder / RESULTS),
        )
        for rank, top in enumerate(ranking, 1)
    )  # fmt: skip


def _render(out: "Console", data: PolicyStudied) -> None:
    trials, splits = pluralize(data.trials, "trial"), pluralize(data.splits, "split")
    out.print(
        f"Study {clean(data.name)} of {data.agent}: {data.sampler}, {trials}, walked forward in {splits}", markup=False
    )
    out.print(f"  chosen in {_span(data.chosen)}; held out: {_span(data.held_out)}", markup=False)
    for why, count in data.left_out.items():
        out.print(f"Left out: {pluralize(count, 'trial')}, {clean(why)}", markup=False)
    if not data.tried:
        out.print("Nothing was trained.")
        return
    columns = ("rank", "trial", "Sharpe", "held out", "seeds positive", "trades")
    table = Table(*map(number, columns), sentence("settings"))
    for row in data.tried[:SHOWN]:
        positive = f"{row.positive} of {row.seeds}"
        table.row(
            str(row.rank), str(row.trial), f"{row.sharpe:.2f}", f"{row.held_out:.2f}", positive, f"{row.trades:,.0f}",
            clean(", ".join(f"{name}={value}" for name, value in row.settings.items())),
        )  # fmt: skip
    out.print(table)
    if len(data.tried) > SHOWN:
        out.print(f"and {len(data.tried) - SHOWN:,} more with --json")
    out.print(f"{pluralize(data.counted, 'configuration')} trained so far; promote counts all of them.")
    out.print(f"Kept: {data.journal}", markup=False)
    out.print("To trade with a policy, create a bot: tradebot init --profile policy", markup=False)
    out.print(f"Next: tradebot promote --results {data.tried[0].file}", markup=False)


def _span(of: Sessions) -> str:
    return f"{pluralize(of.sessions, 'session')} from {of.first} to {of.last}"
