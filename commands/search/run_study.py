"""Create or resume a study, run its trials, and evaluate them."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from commands.backtest.run_backtest import plan_from_first_ready_day
from commands.backtest.run_options import BacktestOptions
from commands.search.report import Searched
from commands.search.study_options import StudyOptions, WorkerLocation
from commands.shared.error_boundary import TerminatedError
from commands.shared.light_helpers import clean
from commands.shared.verb_options import console, progress_bar
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.adapters.state.evidence import Trial
from tradebot.adapters.state.state_folder import BACKTESTS, cannot_write, make_folder
from tradebot.adapters.text.canonical import json_text
from tradebot.errors import ExitCode, OperatorError, TradebotError, word
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.identity import FINGERPRINT_CHARACTERS, RunIdentity, identity_of
from tradebot.lab.backtest.results import NAME, Results
from tradebot.lab.backtest.setup import loaded_strategies
from tradebot.lab.backtest.variants import harder_variants
from tradebot.lab.backtest.variants import run_variant as play_variant
from tradebot.lab.performance.returns import sessions_per_year
from tradebot.lab.search.cluster import hand_out
from tradebot.lab.search.space import SpaceChecked, Spaced, TrialCounts, Values, check, read_space
from tradebot.lab.search.study import Study
from tradebot.lab.search.trial import Bench, buy_and_hold_returns
from tradebot.lab.search.workers import Pool, StudyLocation, fitting_workers
from tradebot.lab.selection.verdict import (
    ComparedTrial,
    SearchConclusion,
    SearchQuestion,
    SearchVerdict,
    best_of,
    has_enough_sessions,
    judge_search,
    rank_trials,
)
from tradebot.model.evidence import Variant
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace

SEARCHES = "searches"
JOURNAL = ".journal"


class SearchInputs(Struct, frozen=True):
    """The inputs of a search: everything except its trials."""

    bench: Bench
    identity: RunIdentity
    checked: SpaceChecked
    name: str
    place: StudyLocation
    results: Results

    on: WorkerLocation

    def pool(self, workers: int, watch: Callable[[], None], keep: Callable[[], None]) -> Pool:
        if self.on is not WorkerLocation.RAY:
            return Pool(self.bench, self.place, workers, watch, keep)

        return Pool(self.bench, self.place, workers, watch, keep, hand_out)


def search(file: Path, wish: BacktestOptions, how: StudyOptions) -> Searched:
    """Run the missing trials of a space, and evaluate all of them; with `only_check`, run none.

    Raises TradebotError with the code of the signal if it was stopped; finished trials are stored.
    """
    inputs = study_inputs(file, wish, how)
    space = inputs.bench.spaced.space
    # How many fit on a cluster is known once it is there.
    workers = fitting_workers(how.workers, space.total) if how.on is not WorkerLocation.RAY else how.workers or 0
    if how.only_check:
        return _build_result(inputs, file, workers, 0.0, TrialCounts(0, space.total, 0, 0, 0), 0, {}, None)
    study = study_of(inputs, workers, resume=how.resume)
    started = time.monotonic()
    try:
        workers = _play(inputs, study, workers)
    except (KeyboardInterrupt, TerminatedError) as signalled:
        code = ExitCode.TERMINATED if isinstance(signalled, TerminatedError) else ExitCode.INTERRUPTED
        done = f"{pluralize(study.counts().played, 'trial')} of {space.total:,}"
        so_far = _best_so_far(_ranked_trials(inputs, study), space.objectives[0])
        raise TradebotError(
            f"Stopped after {done}. They are stored.{so_far}",
            "to continue, run the same command with --resume",
            code=code,
        ) from signalled
    elapsed_s = time.monotonic() - started
    longest = max((trial.longest for trial in study.played_trials()), default=0)
    judged = _judge_study(inputs, study)
    result = _build_result(inputs, file, workers, elapsed_s, study.counts(), longest, study.reasons(), judged)
    return result if judged else replace(result, unjudged=_ranked_trials(inputs, study))


def _ranked_trials(inputs: SearchInputs, study: Study) -> tuple[ComparedTrial, ...]:
    bench = inputs.bench
    per_year = sessions_per_year(bench.plan.settings.day)
    return rank_trials(study.played_trials(), bench.spaced.space.objectives[0], per_year)


def _best_so_far(ranked: Sequence[ComparedTrial], objective: str) -> str:
    if not ranked:
        return ""
    first = ranked[0]
    values = ", ".join(f"{name}={value}" for name, value in first.values.items())
    return f" The best so far, in all sessions: {values} ({objective} {first.inside:.2f}, {first.trades:,} trades)."


def study_inputs(file: Path, wish: BacktestOptions, how: StudyOptions) -> SearchInputs:
    """Return the inputs of a search, with its space checked and its market opened."""
    space = read_space(file)
    plan, _ = plan_from_first_ready_day(wish)
    quiet = replace(plan.plan, level=RecordLevel.NONE)
    spaced = Spaced(space, quiet.settings, clean(str(file)))
    checked = check(spaced)
    identity, results = identity_of(quiet), Results(plan.folder)
    name = (
        how.study
        or f"{file.stem[:40]}-{_digest([identity.fingerprint, _space_fingerprint(file)])[:FINGERPRINT_CHARACTERS]}"
    )
    if not NAME.fullmatch(name):
        raise OperatorError(
            f"a study can't be called {word(name)}", "use letters, digits, dots, dashes and underscores"
        )
    storage = how.storage or str(results.folder / SEARCHES / f"{name}{JOURNAL}")
    bench = Bench(quiet, plan.market, plan.folder, os.environ, spaced)
    return SearchInputs(bench, identity, checked, name, StudyLocation(storage, name), results, how.on)


def _digest(value: object) -> str:
    return sha256(json_text(value).encode()).hexdigest()


def _space_fingerprint(file: Path) -> str:
    """Return the fingerprint of a space's content, ignoring comments and the file's location."""
    return _digest(read_space(file).model_dump(mode="json"))


def study_of(inputs: SearchInputs, workers: int, *, resume: bool) -> Study:
    """Return the study to run: a new one, or with `resume` the existing one, if its inputs are the same."""
    study_location, space = inputs.place, inputs.bench.spaced.space
    wanted = _facts(inputs)
    if not resume:
        if "://" not in study_location.storage and not Path(study_location.storage).exists():
            _make_room(Path(study_location.storage).parent)
        study = Study(study_location.storage, study_location.name, space, workers=workers, new=True)
        study.begin(wanted)
        return study
    study = Study(study_location.storage, study_location.name, space, workers=workers)
    study.require_same(wanted, _CHANGED)
    return study


def _make_room(folder: Path) -> None:
    try:
        if not folder.parent.is_dir() and folder.parent.name == BACKTESTS:
            make_folder(folder.parent)
        if not folder.is_dir():
            make_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _facts(search_inputs: SearchInputs) -> Mapping[str, Any]:
    """Return a study's inputs, grouped by what a person may have changed."""
    identity = search_inputs.identity
    return {
        "versions": dict(identity.versions),
        "code": {name: code.digest for name, code in identity.code.items()},
        "files": {file.name: file.sha256 for file in identity.data},
        "space": _digest(search_inputs.bench.spaced.space.model_dump(mode="json")),
        "everything": identity.fingerprint,
    }


_CHANGED = {
    "versions": "it was made by another version of tradebot or of a strategy's package",
    "files": "it has a different market file (its SHA-256 differs)",
    "code": "a strategy's code has changed since",
    "space": "it has a different space",
    "everything": "it has different settings, or a different market",
}


def _play(search_inputs: SearchInputs, study: Study, workers: int) -> int:
    """Play the remaining trials, and return how many workers there were."""
    done, total = study.counts(), search_inputs.bench.spaced.space.total

    def keep() -> None:
        search_inputs.results.add_trials(_trials(search_inputs, study))

    keep()
    if not done.left:
        return workers
    with _progress(total - done.left, total) as tell:
        pool = search_inputs.pool(workers, tell, keep)
        pool.run()
    return pool.count


def _trials(inputs: SearchInputs, study: Study) -> Sequence[Trial]:
    """Return every trial that was played as the store counts it, so that nothing is counted twice."""
    code = {name: code.digest for name, code in inputs.identity.code.items()}
    return [
        Trial(strategy, result.digest, f"{inputs.name} {number}", len(result.returns), result.sharpe, code[strategy])
        for number, result in study.results()
        for strategy in code
    ]


@contextmanager
def _progress(before: int, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function that draws finished trials with rate and remaining time, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (TextColumn("searching"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    started, done = time.monotonic(), before
    with Progress(*columns, TimeRemainingColumn(), console=console(err=True), transient=True) as drawn:
        task = drawn.add_task("searching", total=total, completed=before, rate="")

        def tell() -> None:
            nonlocal done
            done += 1
            rate = 60 * (done - before) / (time.monotonic() - started)
            drawn.update(task, completed=done, rate=f"{rate:,.1f} trials/min")

        yield tell


def _judge_study(search_inputs: SearchInputs, study: Study) -> SearchVerdict | None:
    tried, space = study.played_trials(), search_inputs.bench.spaced.space
    code = search_inputs.identity.code
    counted = {trial.digest for name in code for trial in search_inputs.results.trials(name, {code[name].digest})}
    per_year = sessions_per_year(search_inputs.bench.plan.settings.day)
    plan, market = search_inputs.bench.plan, search_inputs.bench.market
    holding = buy_and_hold_returns(market, plan.settings.universe)
    question = SearchQuestion(
        space.objectives[0], per_year, space.ranges, space.cut, space.learns, len(counted), holding
    )
    if len(tried) < 2 or (best := best_of(tried, question)) is None:
        return None
    if not has_enough_sessions(tried, question):
        return None
    return judge_search(tried, question, *_play_variants(search_inputs, tried[best].values))


def _play_variants(search_inputs: SearchInputs, values: Values) -> tuple[Sequence[Variant], Sequence[str]]:
    """Play the best trial with its costs doubled and a session later; return also why either isn't played."""
    bench = search_inputs.bench
    plan = replace(bench.plan, settings=bench.spaced.with_values(values))
    with loaded_strategies(plan.settings, bench.folder, bench.environ) as strategies:
        plan_variants = harder_variants(plan, strategies)
    variants, sessions = list[Variant](), len(bench.market.calendar.market)
    with progress_bar("playing variants of the best trial") as tell:
        for index, change in enumerate(plan_variants.changes):

            def watch(done: int, before: int = index * sessions) -> None:
                tell(before + done, len(plan_variants.changes) * sessions)

            with loaded_strategies(change.plan.settings, bench.folder, bench.environ) as strategies:
                variants.append(play_variant(change, strategies, bench.market, watch))
    return variants, plan_variants.left_out


def _set(values: Values) -> Iterator[str]:
    for name, value in values.items():
        yield f"tradebot config set {name} {json_text(value)}"


def _build_result(
    inputs: SearchInputs,
    file: Path,
    workers: int,
    elapsed_s: float,
    counts: TrialCounts,
    longest: int,
    reasons: Mapping[str, int],
    judged: SearchVerdict | None,
) -> Searched:
    space, sessions = inputs.bench.spaced.space, [*map(session_of, inputs.bench.market.calendar.market)]
    return Searched(
        name=inputs.name,
        venue=inputs.bench.plan.settings.venue,
        storage=inputs.place.storage if "://" not in inputs.place.storage else inputs.place.storage.partition("://")[0],
        space=clean(str(file)),
        sampler=space.sampler,
        objectives=space.objectives,
        sessions=len(sessions),
        first_session=sessions[0].date,
        last_session=sessions[-1].date,
        workers=workers,
        elapsed_s=elapsed_s,
        checked=inputs.checked,
        trials=counts,
        longest=longest,
        left_out=reasons,
        verdict=judged,
        commands=tuple(_set(judged.best.values)) if judged and judged.found is SearchConclusion.EDGE else (),
    )
