"""A study that several processes and machines share, stored by Optuna in a journal file or in a database.

A worker reports from time to time while it runs a trial. If it hasn't reported for too long, it counts as dead, and its
trial is put back for another worker, under a new number; the old number isn't counted.

A single process may also run a study, one trial after another. It then resumes an unfinished trial, and the same seed
always tries the same values in the same order, however often the process was stopped in between.
"""

from __future__ import annotations

import base64
import fcntl
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from json import JSONDecodeError
from pathlib import Path
from platform import node
from random import Random
from typing import Any

import numpy as np
import optuna
from msgspec import Struct
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from tradebot.errors import OperatorError, word
from tradebot.lab.search.space import SettingRange, Space, TrialCounts, Values, plain_value, round_value
from tradebot.lab.selection.verdict import PlayedTrial

MADE, RESULT, WHY, WORKER, BEAT, SPARE, AGAIN, PLANNED = (
    "made", "result", "why", "worker", "beat", "spare", "again", "planned",
)  # fmt: skip

"""Names of the attributes that a study and its trials store besides values."""

BEAT_S = 30.0

LOST_S = 300.0

"""How often a trial's worker reports, and the silence after which it counts as dead, in seconds."""

UNNAMED_S = 10.0

"""How long a trial may be without a worker's name, which is written right after its start."""

MOST_DEATHS = 3

"""A trial whose workers have died this often isn't run again."""

DATABASE_S = 60

"""How long SQLite waits for another process to finish writing."""


class Result(Struct, frozen=True):
    """The stored results of a trial; `digest` identifies its settings and code."""

    returns: tuple[float, ...]
    trades: int
    longest: int
    gained: float
    best_five: float
    sharpe: float | None
    digest: str


class _FileLock:
    """Keeps two processes from writing a journal at once; the system releases it when its holder dies."""

    def __init__(self, journal: Path) -> None:
        self._journal, self._held = journal, list[int]()

    def acquire(self) -> bool:
        """Take the lock, and remove an incomplete line left by a writer that died."""
        descriptor = os.open(self._journal, os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._held.append(descriptor)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.ftruncate(descriptor, _whole(descriptor, size))
        return True

    def release(self) -> None:
        os.close(self._held.pop())


def _whole(descriptor: int, size: int) -> int:
    """Return the length of a journal's complete lines, in bytes."""
    while size and (newline := os.pread(descriptor, min(size, 65_536), max(size - 65_536, 0)).rfind(b"\n")) < 0:
        size = max(size - 65_536, 0)
    return max(size - 65_536, 0) + newline + 1 if size else 0


@contextmanager
def translate_storage_errors(location: str) -> Iterator[None]:
    """Turn a storage's errors into messages for people, without the storage's address, which may contain a password."""
    shown = f"the storage {location}" if "://" not in location else f"the storage ({location.partition('://')[0]})"
    again = (
        "make the storage reachable again, then continue the study (for a search, add --resume); if the"
        " storage is lost, start a new study"
    )
    try:
        yield
    except (OSError, SQLAlchemyError, StorageInternalError) as error:
        first = str(error.__cause__ or error).splitlines()[0] if "://" not in location else type(error).__name__
        raise OperatorError(f"{shown} can't be reached: {first}", again) from error
    except ImportError as error:
        lacks = f"{shown} needs a package that isn't installed: {error.name}"
        raise OperatorError(lacks, f"pip install {error.name}") from error
    except (JSONDecodeError, UnicodeDecodeError) as error:
        cure = "restore a copy of it, or start a new search under another name with --study"
        raise OperatorError(f"{shown} is damaged: {error}", cure) from error


def open_storage(location: str, *, new: bool) -> BaseStorage:
    """Open a study's storage, which is a file or a database; create a file only for a `new` study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if "://" in location:
        kwargs = {"connect_args": {"timeout": DATABASE_S}} if location.startswith("sqlite") else {}
        return RDBStorage(location, engine_kwargs=kwargs)
    path = Path(location)
    if not new and not path.exists():
        raise OperatorError(f"there is no study yet in {location}", "leave out --resume to begin it")
    if path.suffix in (".db", ".sqlite", ".sqlite3"):
        return RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": DATABASE_S}})
    path.touch()
    return JournalStorage(JournalFileBackend(location, lock_obj=_FileLock(path)))  # type: ignore[arg-type]


def worker_of(pid: int) -> list[str | int]:
    """Return a unique name for a running process: machine, namespace, and pid."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return [node(), space, pid]


def _has_ended(worker: Sequence[str | int]) -> bool:
    """Return True if a worker was a process of this machine that no longer runs."""
    if not worker or [*worker] != worker_of(int(worker[-1])):
        return False
    try:
        os.kill(int(worker[-1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class Study:
    """A study in its storage, together with its inputs and its space."""

    def __init__(self, location: str, name: str, space: Space, *, workers: int = 1, new: bool = False) -> None:
        self.place, self.name, self.space = location, name, space
        self._distributions = {key: _distribution(choices) for key, choices in space.settings.items()}
        with translate_storage_errors(location):
            self._storage = open_storage(location, new=new)
            self._file = os.stat(location).st_ino if "://" not in location else None
            ways = [optuna.study.StudyDirection.MAXIMIZE] * len(space.objectives)
            sampler = sampler_of(space, workers)
            if new and name in optuna.get_all_study_names(self._storage):
                self._forget_unfinished()
            if new:
                self._study = optuna.create_study(
                    storage=self._storage, sampler=sampler, study_name=name, directions=ways
                )
                return
            try:
                self._study = optuna.load_study(storage=self._storage, sampler=sampler, study_name=name)
            except KeyError:
                raise OperatorError(f"{location} has no study {word(name)}", "leave out --resume") from None

    def _forget_unfinished(self) -> None:
        """Delete a study whose creator died before it was complete; raise OperatorError if it is complete."""
        there = optuna.load_study(storage=self._storage, study_name=self.name)
        if MADE in there.user_attrs:
            raise OperatorError(
                f"there is a study {word(self.name)} already", "add --resume to continue it, or give another --study"
            )
        optuna.delete_study(storage=self._storage, study_name=self.name)

    def begin(self, inputs: Mapping[str, Any]) -> None:
        """Record a new study's inputs, and every combination that is known in advance."""
        with self._reaching():
            for values in self.space.grid():
                self._study.enqueue_trial(dict(values), {PLANNED: True})
            self._study.set_user_attr(MADE, dict(inputs))

    @property
    def origin(self) -> Mapping[str, Any] | None:
        """Return the study's inputs; None if its creator died before it had stored all of them."""
        with self._reaching():
            return self._study.user_attrs.get(MADE)

    def require_same(self, now: Mapping[str, Any], changed: Mapping[str, str]) -> None:
        """Raise OperatorError if the study has different inputs, because its trials couldn't be compared with new ones.

        `changed` explains, for each input in the order of comparison, what a difference means.
        """
        was = self.origin
        if was is None:
            raise OperatorError(
                f"the study {self.name} was never completely created", "start a new search: --study with another name"
            )
        for part, meaning in changed.items():
            if was.get(part) != now[part]:
                raise OperatorError(
                    f"the study {self.name} can't continue: {meaning}",
                    "change that back, or start a new search: --study with another name",
                )

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        with translate_storage_errors(self.place), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self._file is not None and os.stat(self.place).st_ino != self._file:
                raise FileNotFoundError(2, "another file has taken its place", self.place)
            yield

    def ask(self) -> Trial | None:
        """Take and return the next trial; None if all trials are finished or taken."""
        with self._reaching():
            waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if not waiting and (not self.space.learns or self._n_taken() >= self.space.total):
                return None
            trial = self._study.ask(self._distributions)
            if self._is_one_too_many(trial):
                trial.set_user_attr(SPARE, True)
                self._study.tell(trial, state=TrialState.FAIL)
                return None
            trial.set_user_attr(WORKER, worker_of(os.getpid()))
            trial.set_user_attr(BEAT, time.time())
            return trial

    def _n_taken(self) -> int:
        return sum(not _is_spare(trial) for trial in self._study.get_trials(deepcopy=False))

    def _is_one_too_many(self, trial: Trial) -> bool:
        """Return True if other processes took the last trials at the same time."""
        if PLANNED in trial.user_attrs or AGAIN in trial.user_attrs:
            return False
        before = [earlier for earlier in self._study.get_trials(deepcopy=False) if earlier.number < trial.number]
        return not self.space.learns or sum(not _is_spare(trial) for trial in before) >= self.space.total

    def values_of(self, trial: Trial | FrozenTrial) -> Values:
        return {name: round_value(value) for name, value in trial.params.items()}

    def beat(self, trial: Trial) -> None:
        with self._reaching():
            trial.set_user_attr(BEAT, time.time())

    def tell(self, trial: Trial, result: Result | None, values: Sequence[float | None], why: str = "") -> None:
        """Store a trial's result. A trial without a value for every objective is left out, with the reason `why`."""
        with self._reaching(), suppress(UpdateFinishedTrialError):
            if result is not None:
                trial.set_user_attr(RESULT, _pack_result(result))
            if why:
                trial.set_user_attr(WHY, why)
            numbers = [value for value in values if value is not None]
            if why or len(numbers) < len(self.space.objectives):
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._study.tell(trial, numbers)

    def put_back(self, worker: Sequence[str | int] | None = None, *, died: bool = True) -> int:
        """Put back a worker's trial, or the trials of all dead workers; return how many.

        Each trial is put back only once, because only one process can end it.
        """
        back = 0
        with self._reaching():
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                current_worker, beat = trial.user_attrs.get(WORKER, []), trial.user_attrs.get(BEAT)
                began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
                silent_s = time.time() - (beat or began)
                lost = silent_s > (LOST_S if current_worker else UNNAMED_S) or _has_ended(current_worker)
                if current_worker == worker if worker is not None else lost:
                    back += self._end(trial, died=died)
            back += self._recover()
        return back

    def _end(self, trial: FrozenTrial, *, died: bool) -> int:
        deaths = trial.user_attrs.get(AGAIN, [0, 0])[0] + died
        gave_up = deaths >= MOST_DEATHS
        with suppress(UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(trial._trial_id, WHY if gave_up else SPARE, _GAVE_UP if gave_up else True)
            if self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL) and not gave_up:
                self._study.enqueue_trial(trial.params, {AGAIN: [deaths, trial.number]})
                return 1
        return 0

    def _recover(self) -> int:
        """Put back trials whose process ended them but died before putting them back."""
        trials = self._study.get_trials(deepcopy=False)
        repeated = {trial.user_attrs[AGAIN][1] for trial in trials if AGAIN in trial.user_attrs}
        lost = [
            trial
            for trial in trials
            if _is_spare(trial) and WORKER in trial.user_attrs and trial.number not in repeated
        ]
        back = 0
        for lost_trial in lost:
            # A process that ends a trial puts it back at once, unless it dies in between.
            ended = lost_trial.datetime_complete
            if ended is not None and time.time() - ended.timestamp() > UNNAMED_S:
                back += 1
                self._study.enqueue_trial(
                    lost_trial.params, {AGAIN: [lost_trial.user_attrs.get(AGAIN, [0, 0])[0], lost_trial.number]}
                )
        return back

    def counts(self) -> TrialCounts:
        with self._reaching():
            trials = [trial for trial in self._study.get_trials(deepcopy=False) if not _is_spare(trial)]
        played = sum(RESULT in trial.user_attrs and trial.state.is_finished() for trial in trials)
        few = sum(trial.state is TrialState.PRUNED and RESULT in trial.user_attrs for trial in trials)
        refused = sum(trial.state is TrialState.PRUNED for trial in trials) - few
        given_up = sum(trial.state is TrialState.FAIL for trial in trials)
        expected = len(trials) if not self.space.learns else max(self.space.total, len(trials))
        return TrialCounts(played, expected - played - refused - given_up, refused, few, given_up)

    def played_trials(self) -> list[PlayedTrial]:
        """Return the finished trials that have every objective; trials with equal values count as one."""
        return [
            PlayedTrial(number, values, result.returns, result.trades, result.longest, result.gained, result.best_five)
            for number, (values, result, state) in self._results().items()
            if state is TrialState.COMPLETE
        ]

    def results(self) -> list[tuple[int, Result]]:
        """Return every finished trial, including those that were left out, because each of them counts as tried."""
        return [(number, result) for number, (_, result, _) in self._results().items()]

    def _results(self) -> Mapping[int, tuple[Values, Result, TrialState]]:
        with self._reaching():
            trials = self._study.get_trials(deepcopy=False)
        by_number: dict[int, tuple[Values, Result, TrialState]] = {}
        digests = set[str]()
        for trial in trials:
            if RESULT in trial.user_attrs and trial.state.is_finished() and not _is_spare(trial):
                result = _unpack_result(trial.user_attrs[RESULT])
                if result.digest not in digests:
                    digests.add(result.digest)
                    by_number[trial.number] = self.values_of(trial), result, trial.state
        return by_number

    def reasons(self) -> Mapping[str, int]:
        """Return the reasons why trials were left out, with the number of trials for each."""
        with self._reaching():
            trials = self._study.get_trials(deepcopy=False)
        counts = dict[str, int]()
        for trial in trials:
            if WHY in trial.user_attrs:
                counts[trial.user_attrs[WHY]] = counts.get(trial.user_attrs[WHY], 0) + 1
        return counts


_GAVE_UP = f"its worker died {MOST_DEATHS} times"


def _is_spare(frozen_trial: FrozenTrial) -> bool:
    """Return True for a trial that doesn't count: another one replaced it, or it was one too many."""
    return bool(frozen_trial.user_attrs.get(SPARE)) and frozen_trial.state is TrialState.FAIL


def _distribution(choices: SettingRange | Sequence[Any]) -> BaseDistribution:
    if not isinstance(choices, SettingRange):
        return CategoricalDistribution([plain_value(value) for value in choices])
    if choices.whole:
        return IntDistribution(int(choices.low), int(choices.high), log=choices.log, step=int(choices.step or 1))
    return FloatDistribution(
        float(choices.low), float(choices.high), log=choices.log, step=float(choices.step) if choices.step else None
    )


def sampler_of(space: Space, workers: int) -> optuna.samplers.BaseSampler:
    """Return the sampler that chooses the trials' values; with a single worker, it uses the space's seed."""
    if not space.learns:
        return optuna.samplers.RandomSampler(seed=space.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Two workers with the same seed would try the same values.
        seed = space.seed if workers == 1 else None
        return optuna.samplers.TPESampler(seed=seed, constant_liar=workers > 1, multivariate=len(space.settings) > 1)


def _pack_result(result: Result) -> dict[str, Any]:
    packed = {name: getattr(result, name) for name in Result.__struct_fields__}
    return {**packed, "returns": base64.b64encode(np.asarray(result.returns, "<f8").tobytes()).decode()}


def _unpack_result(fields: Mapping[str, Any]) -> Result:
    returns = np.frombuffer(base64.b64decode(fields["returns"]), "<f8")
    return Result(**{**fields, "returns": tuple(returns.tolist())})


FIGURES = "figures"


class StudyTrial(Struct, frozen=True):
    """One trial: its number in the study (counted from 1), its values, and its figures or the reason why it was left
    out.
    """

    place: int
    values: Values
    figures: Mapping[str, Any]
    why: str


class SequentialStudy(Study):
    """A study that one process runs at a time; the caller must ensure that no other process uses it."""

    @classmethod
    def open_study(
        cls, location: str, name: str, space: Space, inputs: Mapping[str, Any], changed: Mapping[str, str]
    ) -> SequentialStudy:
        """Open the study of this name: create it, or open the existing one if it has the same inputs.

        Raise OperatorError if the existing study's inputs differ, or if the storage can't be read. `changed` explains
        the differences, as in `require_same`.
        """
        with translate_storage_errors(location):
            is_there = name in optuna.get_all_study_names(open_storage(location, new=True))
        if is_there and (sequential_study := cls(location, name, space)).origin is not None:
            sequential_study.require_same(inputs, changed)
            return sequential_study
        sequential_study = cls(location, name, space, new=True)
        sequential_study.begin(inputs)
        return sequential_study

    def take(self) -> Trial | None:
        """Return the trial to run: an unfinished one, or else the next; None if there are no more."""
        with self._reaching():
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if PLANNED in trial.user_attrs or {*trial.params} == {*self._distributions}:
                    return self._taken_up(trial)
                # The process that drew it died in between. It is drawn again as if for the first time.
                self._storage.set_trial_user_attr(trial._trial_id, SPARE, True)
                self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
            waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if not waiting and (not self.space.learns or self._n_taken() >= self.space.total):
                return None
            self._study.sampler = self._sampler()
            return self._study.ask(self._distributions)

    def _taken_up(self, frozen_trial: FrozenTrial) -> Trial:
        trial = Trial(self._study, frozen_trial._trial_id)
        for name, distribution in self._distributions.items():
            trial._suggest(name, distribution)
        return trial

    def _sampler(self) -> optuna.samplers.BaseSampler:
        """Return a sampler for the next trial alone, so that it doesn't matter how many this process has drawn."""
        seed = Random(f"{self.space.seed} {self._n_taken()}").randrange(2**32)  # noqa: S311 - replayable
        return sampler_of(self.space.model_copy(update={"seed": seed}), 1)

    def keep(self, trial: Trial, value: float, figures: Mapping[str, Any]) -> None:
        """Store the objective and the figures of a finished trial."""
        with self._reaching():
            trial.set_user_attr(FIGURES, dict(figures))
        self.tell(trial, None, [value])

    def in_order(self) -> list[StudyTrial]:
        """Return the finished trials, in order."""
        with self._reaching():
            trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return [
            StudyTrial(index, self.values_of(trial), trial.user_attrs.get(FIGURES, {}), trial.user_attrs.get(WHY, ""))
            for index, trial in enumerate(trials, 1)
        ]
