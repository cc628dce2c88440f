"""Evaluate one configuration: train it in each split with each seed, and test it in sessions that are left out.

In a walk-forward evaluation, the sessions left out are the later ones. In combinatorial purged cross-validation, all
sessions are divided into groups, and each split leaves out a few groups, so each group is tested with several models. A
path has one test of each group, so there are as many paths as there are tests of each group.

Finished tasks are saved in the walk's folder, one file per model, so that a stopped walk can continue. Files appear
completely or not at all. Splits and seeds run in several processes. A file names its task and has the hash of its
content, so a changed file or another walk's file doesn't count as a result.
"""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from datetime import date
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from tradebot import __version__
from tradebot.adapters.models.files import load_draft, read_model, write_model
from tradebot.adapters.models.model_folder import SUMS, ModelParts
from tradebot.adapters.models.signing import public_key_text, read_key
from tradebot.adapters.plugins.linux_syscalls import end_with_parent
from tradebot.adapters.state.evidence import read_policy_results, write_policy_results
from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import make_folder, write_durably
from tradebot.adapters.text.canonical import CodecError, json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError, TradebotError
from tradebot.lab.backtest.identity import market_of
from tradebot.lab.learning.training.job import DivergedError, TrainingJob
from tradebot.lab.learning.training.training import TrainingSummary, span_of, train
from tradebot.lab.learning.training.training_rows import SessionRange
from tradebot.lab.learning.walking.evaluation import Hold, JudgedSessions, Signed, evaluate_market, judged_model
from tradebot.lab.learning.walking.splits import WalkSplit, Way, paths_of
from tradebot.lab.performance.returns import sessions_per_year
from tradebot.model import evidence as kept
from tradebot.model.struct_tools import replace
from tradebot.signals.features import features
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.futures_settings import FuturesSettings

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from tradebot.lab.backtest.run import BacktestPlan


def save_result(file: Path, of: str, unit: object) -> None:
    """Save a result together with its task."""
    result = encode(unit)
    write_durably(file, json_text({"of": of, "sha256": _digest(result), "result": result}))


def load_result(file: Path, of: str) -> Any:
    """Load a result's plain values; raise OperatorError if it can't be read, was changed, or belongs to another
    task.
    """
    try:
        document = json.loads(read_plain(file))
        intact = document["sha256"] == _digest(document["result"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unusable(file, "can't be read") from error
    if not intact:
        raise unusable(file, "was changed")
    if document["of"] != of:
        raise unusable(file, "belongs to another walk")
    return document["result"]


def unusable(file: Path, why: str) -> OperatorError:
    """Return the error for a file that can't be used."""
    return OperatorError(f"{file} {why}", f"delete it, and its task runs again: rm {quote(str(file))}")


def _digest(result: Any) -> str:
    return sha256(json_text(result).encode()).hexdigest()


STUDY, UNITS, MODELS, DRAFTS, RESULTS = "study.json", "units", "models", "drafts", "results.json"

LOGISTIC = "logistic"


class Walk(Struct, frozen=True):
    """What a walk needs: a plan with only the policy `name`, a job whose seed is one of `seeds`, and a folder.

    `key` is the file of the private key with which its models are signed. `market` has the dates of all sessions.
    `benchmarks` is the folder of another walk with the same splits, plan and features, whose benchmark results are
    reused.
    """

    plan: BacktestPlan
    name: str
    job: TrainingJob
    seeds: tuple[int, ...]
    splits: tuple[WalkSplit, ...]
    market: tuple[date, ...]
    folder: Path
    key: Path
    benchmarks: Path | None = None


class WalkModel(Struct, frozen=True):
    """The result for one split and one seed: the model, and its returns with and without a delay in each evaluated
    period.

    The model is identified by its name and the SHA-256 of its list of files.
    """

    model: str
    sha256: str
    plain: tuple[JudgedSessions, ...]
    later: tuple[JudgedSessions, ...]


class BenchmarkReturns(Struct, frozen=True):
    """A benchmark's returns in each evaluated period of a split."""

    plain: tuple[JudgedSessions, ...]


class Diverged(Struct, frozen=True):
    """Marks a task in which the agent's weights diverged to NaN."""

    diverged: str


class WalkTask(NamedTuple):
    """One task of a walk: a split, with one of the configuration's seeds or with a benchmark."""

    place: int
    who: int | str

    @property
    def file(self) -> str:
        return f"{self.place}-{self.who}.json"


def folder_of(folder: Path, job: TrainingJob) -> Path:
    """Return the folder of a configuration's walk."""
    return folder / f"{job.agent}-{job.configuration[:8]}"


def play_here(
    of: Walk, remaining: Sequence[WalkTask], trials: int, workers: int, progress: Callable[[int], None]
) -> None:
    """Run these tasks on this machine in `workers` processes; `progress` is called with the number of finished
    tasks.
    """
    # Fork, so that each process has the walk, whose settings can't be pickled; nothing else runs here meanwhile.
    _Forked.walk = of
    processes: Sequence[BaseProcess] = ()
    try:
        with ProcessPoolExecutor(min(workers, len(remaining)), get_context("fork"), _end_with_parent) as pool:
            # Freeze existing objects: collecting DuckDB's in a child without its threads would end the process.
            gc.freeze()
            playing = [pool.submit(_play_forked, task, trials) for task in remaining]
            gc.unfreeze()
            processes = [*pool._processes.values()]
            try:
                for done, each in enumerate(as_completed(playing), 1):
                    each.result()
                    progress(done)
            finally:
                for each in playing:
                    each.cancel()
    except BrokenProcessPool as error:
        # Once one has died, the others are ended with SIGTERM.
        code = next((each.exitcode for each in processes if each.exitcode not in {0, -signal.SIGTERM}), 0)
        why = ", perhaps for lack of memory" if code == -signal.SIGKILL else ""
        what = f"a process of the walk has died with exit code {code}{why}"
        raise OperatorError(what, "run the same command again: it continues") from error


Player = Callable[[Walk, Sequence[WalkTask], int, int, Callable[[int], None]], None]

"""Runs the requested part of a walk, with the number of trials, in several processes."""


def run_tasks(
    of: Walk,
    trials: int,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    player: Player = play_here,
) -> kept.PolicyResults:
    """Run the unfinished tasks, write the results, and return them.

    Raise DivergedError if an agent's weights diverged with one of the seeds. Raise OperatorError if the folder belongs
    to another walk, or if a training fails; finished tasks are kept.
    """
    _begin(of)
    if of.benchmarks is not None:
        _take_benchmarks(of, of.benchmarks)
    wanted = [*_wanted_of(of)]
    remaining = [task for task in wanted if not (of.folder / UNITS / task.file).exists()]
    progress(len(wanted) - len(remaining), len(wanted))
    if remaining:
        player(of, remaining, trials, workers, lambda done: progress(len(wanted) - len(remaining) + done, len(wanted)))
    results = _put_together(of, trials)
    write_policy_results(of.folder / RESULTS, results)
    return results


def _wanted_of(of: Walk) -> Iterator[WalkTask]:
    """Yield the walk's tasks; an untrained benchmark does the same along any path, so it runs along one."""
    first = {index for index, _ in paths_of(of.splits)[0]}
    for index in range(len(of.splits)):
        yield from (WalkTask(index, seed) for seed in of.seeds)
        yield from (WalkTask(index, name) for name in kept.BENCHMARKS if name == LOGISTIC or index in first)


def _identity(of: Walk) -> dict[str, Any]:
    """Return what identifies a walk."""
    available = features()
    return {
        "configuration": of.job.configuration,
        "market": sha256(json_text(market_of(of.plan.spec)).encode()).hexdigest(),
        "program": __version__,
        "features": {name: str(available[name].version) for name in of.job.features},
        "splits": [encode(split) for split in of.splits],
    }


def _result_of(of: Walk, wanted: WalkTask) -> str:
    """Return what identifies a result, by the walk's file; a benchmark's is the same for all configurations."""
    apart = {"configuration"} if wanted.who in kept.BENCHMARKS else set[str]()
    named = {name: value for name, value in json.loads(read_plain(of.folder / STUDY)).items() if name not in apart}
    return sha256(json_text([named, wanted.file]).encode()).hexdigest()


def _begin(of: Walk) -> None:
    """Write the walk's identity; raise OperatorError if its folder has another one."""
    identity, file = _identity(of), of.folder / STUDY
    try:
        document = json.loads(read_plain(file))
    except FileNotFoundError:
        if not (of.folder / UNITS).is_dir():
            make_folder(of.folder / UNITS)
        write_durably(file, json_text(identity))
        return
    except ValueError:
        document = {}
    if different := [name for name in identity if document.get(name) != json.loads(json_text(identity))[name]]:
        raise OperatorError(
            f"{of.folder} contains another walk, with a different {', '.join(different)}",
            "name another folder: --results FOLDER",
        )


def _take_benchmarks(of: Walk, other: Path) -> None:
    for file in [task.file for task in _wanted_of(of) if task.who in kept.BENCHMARKS]:
        there, here = other / UNITS / file, of.folder / UNITS / file
        if there.exists() and not here.exists():
            write_durably(here, read_plain(there).decode())


class _Forked:
    """What a walk's processes inherit from their parent."""

    walk: Walk


def _end_with_parent() -> None:
    # A system without this leaves them running after the parent was killed.
    with suppress(OSError):
        end_with_parent(signal.SIGKILL)


def _play_forked(wanted: WalkTask, trials: int) -> None:
    run_task(_Forked.walk, wanted, trials)


def run_task(of: Walk, wanted: WalkTask, trials: int) -> None:
    """Train and evaluate one model, or evaluate one benchmark, and save the result."""
    task_result: Any
    if wanted.who == "buy_and_hold":
        task_result = BenchmarkReturns(
            _each(of, wanted, lambda within: evaluate_market(of.plan, Hold(of.name), within))
        )
    elif wanted.who == "rule":
        rule = FuturesSettings().model_dump()
        task_result = BenchmarkReturns(
            _each(of, wanted, lambda within: evaluate_market(of.plan, FuturesStrategy(rule), within))
        )
    elif wanted.who == LOGISTIC:
        model = _train_and_sign(of, wanted, TrainingJob(LOGISTIC, 0, 0, {}, of.job.features), trials)
        task_result = BenchmarkReturns(_judged_as_it_is(of, wanted, model))
    else:
        task_result = _unit(of, wanted, trials)
    save_result(of.folder / UNITS / wanted.file, _result_of(of, wanted), task_result)


def _each(of: Walk, wanted: WalkTask, each: Callable[[SessionRange], JudgedSessions]) -> tuple[JudgedSessions, ...]:
    """Run each evaluated period of a split, starting with the initial cash."""
    return tuple(each(SessionRange(span.first, span.last)) for span in of.splits[wanted.place].judged)


def _train_and_sign(of: Walk, wanted: WalkTask, job: TrainingJob, trials: int) -> str:
    """Train a job in a split, sign the model, and return its name among the walk's models."""
    spans = [SessionRange(span.first, span.last) for span in of.splits[wanted.place].trained]
    return train_model(of, f"{wanted.place}-{wanted.who}", job, spans, trials, of.folder / MODELS)


def train_model(
    of: Walk, label: str, job: TrainingJob, spans: Sequence[SessionRange], trials: int, models: Path
) -> str:
    """Train a job on these ranges of sessions, sign the model, store it in a folder of models, and return its name
    there.
    """
    span = span_of(of.plan, of.name, job.features, spans)
    draft = of.folder / DRAFTS / f"{label}-{os.urandom(4).hex()}"
    model = load_draft(train(job, span, draft, TrainingSummary(of.seeds, trials)).place)
    parts = ModelParts(model.card, model.scaling, model.probe, model.graph)
    return write_model(models, parts, read_key(of.key))


def _unit(of: Walk, wanted: WalkTask, trials: int) -> WalkModel | Diverged:
    try:
        model = _train_and_sign(of, wanted, replace(of.job, seed=int(wanted.who)), trials)
    except DivergedError as error:
        return Diverged(error.message)
    digest = sha256((of.folder / MODELS / model / SUMS).read_bytes()).hexdigest()
    plain = _judged_as_it_is(of, wanted, model)
    return WalkModel(model, digest, plain, _judged_as_it_is(of, wanted, model, later=True))


def _judged_as_it_is(of: Walk, wanted: WalkTask, model: str, *, later: bool = False) -> tuple[JudgedSessions, ...]:
    """Evaluate a model in a split with the strategy that it would act for."""
    signed = Signed(of.folder / MODELS, public_key_text(read_key(of.key)))
    return _each(of, wanted, lambda within: judged_model(of.plan, of.name, signed, model, within, later=later))


def _put_together(of: Walk, trials: int) -> kept.PolicyResults:
    """Combine the results of all splits along each path."""
    many, ways = range(len(of.splits)), paths_of(of.splits)
    units = {seed: [_read(of, WalkTask(index, seed), WalkModel) for index in many] for seed in of.seeds}
    sessions = tuple(day for sessions in _along(ways[0], units[of.seeds[0]]) for day in sessions.sessions)
    runs = tuple(_run(seed, path, way, runs) for seed, runs in units.items() for path, way in enumerate(ways))
    splits = tuple(
        kept.Split(split.trained, split.judged, {str(seed): runs[index].sha256 for seed, runs in units.items()})
        for index, split in enumerate(of.splits)
    )
    available, settings = features(), of.plan.settings
    market, files = market_of(of.plan.spec)
    data = dict(files) or {"generated market": sha256(json_text(market).encode()).hexdigest()}
    own = kept.TriedReturns(of.job.configuration, _typical(run.returns for run in runs))
    tried = (own, *(returns for returns in _tried_before(of, sessions) if returns.configuration != own.configuration))
    return kept.PolicyResults(
        format=kept.FORMAT,
        name=of.name,
        configuration=of.job.configuration,
        program=__version__,
        features={name: str(available[name].version) for name in of.job.features},
        data=data,
        per_year=sessions_per_year(settings.day),
        calendar=of.market,
        splits=splits,
        sessions=sessions,
        runs=runs,
        benchmarks={name: _typical(_benchmark(of, name, ways)) for name in kept.BENCHMARKS},
        tried=tried,
        trials=max(trials, len(tried)),
    )


def _along(way: Way, parts: Sequence[WalkModel | BenchmarkReturns], *, later: bool = False) -> list[JudgedSessions]:
    """Return the results of each evaluated period along a path."""
    done = [part.later if later and isinstance(part, WalkModel) else part.plain for part in parts]
    return [done[index][part] for index, part in way]


def _run(seed: int, path: int, way: Way, walk_models: Sequence[WalkModel]) -> kept.PolicyRun:
    plain, later = _along(way, walk_models), _along(way, walk_models, later=True)
    return kept.PolicyRun(
        seed,
        path,
        tuple(each for sessions in plain for each in sessions.returns),
        tuple(each for sessions in plain for each in sessions.doubled),
        tuple(each for sessions in later for each in sessions.returns),
        sum(sessions.trades for sessions in plain),
    )


def _benchmark(of: Walk, name: str, ways: Sequence[Way]) -> Iterator[kept.Returns]:
    """Yield a benchmark's returns along each path."""
    for way in ways if name == LOGISTIC else ways[:1]:
        returns_by_place = {index: _read(of, WalkTask(index, name), BenchmarkReturns) for index, _ in way}
        yield tuple(each for index, part in way for each in returns_by_place[index].plain[part].returns)


def _typical(of: Iterable[kept.Returns]) -> kept.Returns:
    """Return the median series by return, such as the median seed's; of an even number, the worse of the middle two."""
    ordered = sorted(of, key=sum)
    return ordered[(len(ordered) - 1) // 2]


def _tried_before(of: Walk, sessions: Sequence[date]) -> Iterator[kept.TriedReturns]:
    """Yield the configurations of other walks in the same folder that were evaluated in the same sessions."""
    for file in sorted(of.folder.parent.glob(f"*/{RESULTS}")):
        if file.parent != of.folder:
            try:
                results = read_policy_results(file)
            except TradebotError:
                continue
            if results.sessions == tuple(sessions):
                yield kept.TriedReturns(results.configuration, _typical(run.returns for run in results.runs))


def _read(of: Walk, wanted: WalkTask, kind: Any) -> Any:
    file = of.folder / UNITS / wanted.file
    result = load_result(file, _result_of(of, wanted))
    if "diverged" in result:
        raise DivergedError(decode(Diverged, result).diverged)
    try:
        unit = decode(kind, result)
    except CodecError as error:
        raise unusable(file, "can't be read") from error
    if isinstance(unit, WalkModel):
        _require_model(of, unit, file)
    return unit


def _require_model(of: Walk, unit: WalkModel, file: Path) -> None:
    """Raise OperatorError unless a result's model is still there as it was signed."""
    path = of.folder / MODELS / unit.model
    try:
        read_model(of.folder / MODELS, unit.model, public_key_text(read_key(of.key)))
        same = sha256((path / SUMS).read_bytes()).hexdigest() == unit.sha256
    except (OSError, TradebotError):
        same = False
    if not same:
        raise OperatorError(
            f"{path}, the model of {file.name}, was changed after its evaluation",
            f"delete both, and they are created again: rm -rf {quote(str(path))} {quote(str(file))}",
        )
