"""Walk forward with one configuration: train it in each split with each seed, and judge it in the sessions after.

What is finished is kept in the walk's folder, a file for each model, so that a walk that was stopped goes on. Nothing
is there before it is whole. Splits and seeds are played in several processes.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
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
from tradebot.adapters.models.folder import SUMS, Parts
from tradebot.adapters.models.reading import draft_of
from tradebot.adapters.models.signing import public_of, read_key
from tradebot.adapters.models.writing import write_model
from tradebot.adapters.plugins.kernel import end_with_parent
from tradebot.adapters.state.plain_files import read_plain
from tradebot.adapters.state.policy_results import read_policy_results
from tradebot.adapters.state.state_folder import make_folder, write_durably
from tradebot.adapters.text.canonical import CodecError, json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.app.backtest.identity import market_of
from tradebot.app.learning.training.job import DivergedError, Job
from tradebot.app.learning.training.rows import Within
from tradebot.app.learning.training.training import Told, span_of, train
from tradebot.app.learning.walking.judging import Hold, Judged, Signed, judged, judged_model
from tradebot.errors import OperatorError, TradebotError
from tradebot.model import policy_results as kept
from tradebot.model.values import replace
from tradebot.signals.features import features
from tradebot.strategies.futures import FuturesStrategy
from tradebot.strategies.futures_settings import FuturesSettings
from tradebot.views.performance.returns import sessions_per_year
from tradebot.views.selection.splits import rolling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradebot.app.backtest.run import Plan

STUDY, UNITS, MODELS, DRAFTS, RESULTS = "study.json", "units", "models", "drafts", "results.json"
LOGISTIC = "logistic"


class Split(Struct, frozen=True):
    """The sessions that models are trained on, and those that they are judged in, from one to another."""

    first: date
    last: date
    judged_first: date
    judged_last: date


class Walk(Struct, frozen=True):
    """What is walked: a plan with the policy `name` alone, a job whose seed is one of `seeds`, and where it is kept.

    `key` is the file of the private key that its models are signed with. `market` has the dates of all sessions.
    `benchmarks` is the folder of another walk in the same splits of the same plan and on the same features: what is
    there needn't be played again.
    """

    plan: Plan
    name: str
    job: Job
    seeds: tuple[int, ...]
    splits: tuple[Split, ...]
    market: tuple[date, ...]
    folder: Path
    key: Path
    benchmarks: Path | None = None


class Unit(Struct, frozen=True):
    """A model of a split and a seed, the SHA-256 of its list of files, and what it did as it is and a bar later."""

    model: str
    sha256: str
    plain: Judged
    later: Judged


class Diverged(Struct, frozen=True):
    """What stands in place of a unit whose agent has learned weights that are no numbers."""

    diverged: str


class Wanted(NamedTuple):
    """Something to play: a seed of the configuration or a benchmark, in a split."""

    place: int
    who: int | str

    @property
    def file(self) -> str:
        return f"{self.place}-{self.who}.json"


def folder_of(folder: Path, job: Job) -> Path:
    """Return where a configuration is walked."""
    return folder / f"{job.agent}-{job.configuration[:8]}"


def splits_of(plan: Plan, market: Sequence[date]) -> tuple[Split, ...]:
    """Return the splits of these sessions by the settings under promotion.splits; OperatorError if there are none."""
    rules = plan.settings.promotion.splits
    found = tuple(
        Split(market[one.inside[0]], market[one.inside[-1]], market[one.outside[0]], market[one.outside[-1]])
        for one in rolling(rules, market)
    )
    if not found:
        raise OperatorError(
            f"{len(market)} sessions have no month to judge after {rules.train_months} months to train on",
            "give a longer market, or set promotion.splits.train_months",
        )
    return found


def play_here(of: Walk, left: Sequence[Wanted], trials: int, workers: int, said: Callable[[int], None]) -> None:
    """Play in so many processes of this machine; `said` is told how many are played so far."""
    # Forked, so that each process has the walk, whose settings can't be sent; nothing else runs here meanwhile.
    _Forked.walk = of
    with ProcessPoolExecutor(min(workers, len(left)), get_context("fork"), _end_with_parent) as pool:
        playing = [pool.submit(_play_forked, one, trials) for one in left]
        try:
            for done, each in enumerate(as_completed(playing), 1):
                each.result()
                said(done)
        except BrokenProcessPool as error:
            raise OperatorError(
                "a process of the walk has died, perhaps for lack of memory", "run the same command: it goes on"
            ) from error
        finally:
            for each in playing:
                each.cancel()


Player = Callable[[Walk, Sequence[Wanted], int, int, Callable[[int], None]], None]
"""Plays what is wanted of a walk, with the number of trials, in so many processes."""


def walk(
    of: Walk,
    trials: int,
    workers: int,
    said: Callable[[int, int], None] = lambda done, total: None,
    player: Player = play_here,
) -> kept.PolicyResults:
    """Play what isn't finished, write the results beside it, and return them.

    DivergedError if an agent learned nothing that is a number with one of the seeds. OperatorError if the folder is
    that of another walk, or something can't be trained; what is done is kept.
    """
    _begin(of)
    if of.benchmarks is not None:
        _take_benchmarks(of, of.benchmarks)
    everyone: tuple[int | str, ...] = (*of.seeds, *kept.BENCHMARKS)
    wanted = [Wanted(place, who) for place in range(len(of.splits)) for who in everyone]
    left = [one for one in wanted if not (of.folder / UNITS / one.file).exists()]
    said(len(wanted) - len(left), len(wanted))
    if left:
        player(of, left, trials, workers, lambda done: said(len(wanted) - len(left) + done, len(wanted)))
    results = _put_together(of, trials)
    write_durably(of.folder / RESULTS, json_text(encode(results)))
    return results


def _begin(of: Walk) -> None:
    """Note what the walk is of; OperatorError if its folder is another one's."""
    known = features()
    identity = {
        "configuration": of.job.configuration,
        "market": sha256(json_text(market_of(of.plan.spec)).encode()).hexdigest(),
        "program": __version__,
        "features": {name: str(known[name].version) for name in of.job.features},
        "splits": [encode(one) for one in of.splits],
    }
    file = of.folder / STUDY
    try:
        found = json.loads(read_plain(file))
    except FileNotFoundError:
        if not (of.folder / UNITS).is_dir():
            make_folder(of.folder / UNITS)
        write_durably(file, json_text(identity))
        return
    except ValueError:
        found = {}
    if different := [name for name in identity if found.get(name) != json.loads(json_text(identity))[name]]:
        raise OperatorError(
            f"{of.folder} is of another walk: {', '.join(different)} differ", "name another folder: --results FOLDER"
        )


def _take_benchmarks(of: Walk, other: Path) -> None:
    files = [Wanted(place, name).file for place in range(len(of.splits)) for name in kept.BENCHMARKS]
    for file in files:
        there, here = other / UNITS / file, of.folder / UNITS / file
        if there.exists() and not here.exists():
            write_durably(here, read_plain(there).decode())


class _Forked:
    """What the processes of a walk have from their parent."""

    walk: Walk


def _end_with_parent() -> None:
    # A system that can't do this leaves them to the person who killed their parent.
    with suppress(OSError):
        end_with_parent(signal.SIGKILL)


def _play_forked(wanted: Wanted, trials: int) -> None:
    play(_Forked.walk, wanted, trials)


def play(of: Walk, wanted: Wanted, trials: int) -> None:
    """Train and judge one model, or judge one benchmark, and keep what came of it."""
    split = of.splits[wanted.place]
    within = Within(split.judged_first, split.judged_last)
    if wanted.who == "buy_and_hold":
        found: Any = judged(of.plan, Hold(of.name), within)
    elif wanted.who == "rule":
        rule = FuturesSettings().model_dump()
        found = judged(of.plan, FuturesStrategy(rule), within)
    elif wanted.who == LOGISTIC:
        found = _judged_as_it_is(of, wanted, _trained(of, wanted, Job(LOGISTIC, 0, 0, {}, of.job.features), trials))
    else:
        found = _unit(of, wanted, trials)
    write_durably(of.folder / UNITS / wanted.file, json_text(encode(found)))


def _trained(of: Walk, wanted: Wanted, job: Job, trials: int) -> str:
    """Train a job in a split, sign what came of it, and return its name among the walk's models."""
    split = of.splits[wanted.place]
    span = span_of(of.plan, of.name, job.features, Within(split.first, split.last))
    draft = of.folder / DRAFTS / f"{wanted.place}-{wanted.who}-{os.urandom(4).hex()}"
    model = draft_of(train(job, span, draft, Told(of.seeds, trials)))
    parts = Parts(model.card, model.scaling, model.probe, model.graph)
    return write_model(of.folder / MODELS, parts, read_key(of.key))


def _unit(of: Walk, wanted: Wanted, trials: int) -> Unit | Diverged:
    try:
        model = _trained(of, wanted, replace(of.job, seed=int(wanted.who)), trials)
    except DivergedError as error:
        return Diverged(error.message)
    digest = sha256((of.folder / MODELS / model / SUMS).read_bytes()).hexdigest()
    plain = _judged_as_it_is(of, wanted, model)
    return Unit(model, digest, plain, _judged_as_it_is(of, wanted, model, later=True))


def _judged_as_it_is(of: Walk, wanted: Wanted, model: str, *, later: bool = False) -> Judged:
    """Judge a model in a split, by the strategy that it would act for."""
    split, signed = of.splits[wanted.place], Signed(of.folder / MODELS, public_of(read_key(of.key)))
    within = Within(split.judged_first, split.judged_last)
    return judged_model(of.plan, of.name, signed, model, within, later=later)


def _put_together(of: Walk, trials: int) -> kept.PolicyResults:
    """Return the results of all splits, one after another."""
    many = range(len(of.splits))
    units = {seed: [_read(of, Wanted(place, seed), Unit) for place in many] for seed in of.seeds}
    benchmarks = {name: [_read(of, Wanted(place, name), Judged) for place in many] for name in kept.BENCHMARKS}
    sessions = tuple(day for one in units[of.seeds[0]] for day in one.plain.sessions)
    runs = tuple(
        kept.Run(
            seed,
            0,
            tuple(each for one in found for each in one.plain.returns),
            tuple(each for one in found for each in one.plain.doubled),
            tuple(each for one in found for each in one.later.returns),
            sum(one.plain.trades for one in found),
        )
        for seed, found in units.items()
    )
    spans = [(kept.Span(one.first, one.last), kept.Span(one.judged_first, one.judged_last)) for one in of.splits]
    splits = tuple(
        kept.Split((trained,), (shown,), {str(seed): found[place].sha256 for seed, found in units.items()})
        for place, (trained, shown) in enumerate(spans)
    )
    known, settings = features(), of.plan.settings
    market, files = market_of(of.plan.spec)
    data = dict(files) or {"generated market": sha256(json_text(market).encode()).hexdigest()}
    returns = {name: tuple(each for one in found for each in one.returns) for name, found in benchmarks.items()}
    own = kept.TriedReturns(of.job.configuration, _typical(runs))
    tried = (own, *(one for one in _tried_before(of, sessions) if one.configuration != own.configuration))
    return kept.PolicyResults(
        format=kept.FORMAT,
        name=of.name,
        configuration=of.job.configuration,
        program=__version__,
        features={name: str(known[name].version) for name in of.job.features},
        data=data,
        per_year=sessions_per_year(settings.day),
        calendar=of.market,
        splits=splits,
        sessions=sessions,
        runs=runs,
        benchmarks=returns,
        tried=tried,
        trials=max(trials, len(tried)),
    )


def _typical(runs: Sequence[kept.Run]) -> kept.Returns:
    """Return the returns of the seed in the middle by what it earned; of an even number, the worse of both."""
    ordered = sorted(runs, key=lambda run: sum(run.returns))
    return ordered[(len(ordered) - 1) // 2].returns


def _tried_before(of: Walk, sessions: Sequence[date]) -> Iterator[kept.TriedReturns]:
    """Yield the configurations of other walks beside this one that were judged in the same sessions."""
    for file in sorted(of.folder.parent.glob(f"*/{RESULTS}")):
        if file.parent != of.folder:
            try:
                found = read_policy_results(file)
            except TradebotError:
                continue
            if found.sessions == tuple(sessions):
                yield kept.TriedReturns(found.configuration, _typical(found.runs))


def _read(of: Walk, wanted: Wanted, kind: Any) -> Any:
    file = of.folder / UNITS / wanted.file
    try:
        found = json.loads(read_plain(file))
        if isinstance(found, dict) and "diverged" in found:
            raise DivergedError(decode(Diverged, found).diverged)
        return decode(kind, found)
    except (OSError, ValueError, CodecError) as error:
        raise OperatorError(
            f"{file} can't be read: {error}", f"it is played again once it is gone: rm {quote(str(file))}"
        ) from error
