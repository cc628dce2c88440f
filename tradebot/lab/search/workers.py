"""Run a study's trials in several processes, and replace one that dies.

The workers are forks of the process that has opened the market, so the market is read once and shared. Each worker
takes its next trial from the study. Workers on different machines share nothing else.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NoReturn

from msgspec import Struct, field

from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.lab.search.study import BEAT_S, Study, worker_of
from tradebot.lab.search.trial import Bench, run_trial
from tradebot.model.sentences import pluralize

STOPS = (signal.SIGINT, signal.SIGTERM)
POLL_S = 0.2
STOP_S = 20.0
"""How long a worker has to end its session when it is told to stop, in seconds."""
MOST_DEATHS = 10
"""After this many consecutive deaths without a finished trial, the cause isn't a single trial."""
LOOK_S = 60.0
"""How often trials are checked for workers that died on other machines."""
CLUSTER_GONE = (
    "see ray status; when the cluster runs again, run the same command again to continue (for a search, add --resume)"
)
Tell = Callable[[Mapping[str, object]], None]
"""Receives a child's messages to its parent: a finished trial, a worker elsewhere, or an error."""


class StudyLocation(Struct, frozen=True):
    """Where a study is stored, and its name."""

    storage: str
    name: str


class _Stop(BaseException):
    """Raised to unwind a worker that was told to stop, or whose parent has gone, at the end of a session."""


class _Worker(Struct):
    """A child process, and the pipe on which it reports finished trials."""

    pid: int
    reads: int
    told: bytes = b""


class Pool(Struct):
    """The workers that run a study's trials: processes on this machine, unless `hand_out` is given.

    `hand_out` runs in a single child process, which reports on the workers on other machines. `count` is then the
    number of those workers.
    """

    bench: Bench
    place: StudyLocation
    count: int
    watch: Callable[[], None]
    keep: Callable[[], None]
    hand_out: Callable[[Pool, Tell], None] | None = None
    workers: list[_Worker] = field(default_factory=list)
    elsewhere: list[list[str | int]] = field(default_factory=list)
    deaths: int = 0

    def run(self) -> None:
        """Run until no trial is left; raise TradebotError for an error that stopped a worker."""
        study = self.study()
        try:
            self._until_done(study)
        finally:
            self._stop()
            for name in [*self.elsewhere, *(worker_of(worker.pid) for worker in self.workers)]:
                study.put_back(name, died=False)
            self.workers.clear()
            self.keep()

    def study(self) -> Study:
        return Study(self.place.storage, self.place.name, self.bench.spaced.space, workers=self.count)

    def _until_done(self, study: Study) -> None:
        study.put_back()
        looked = recovered_s = time.monotonic()
        for _ in range(1 if self.hand_out else min(self.count, max(study.counts().left, 1))):
            self._start()
        while self.workers:
            ready, _, _ = select.select([worker.reads for worker in self.workers], [], [], POLL_S)
            for worker in [worker for worker in self.workers if worker.reads in ready]:
                self._hear(worker, study)
            if time.monotonic() - looked > LOOK_S:
                study.put_back()
                looked = time.monotonic()
            if time.monotonic() - recovered_s > LOOK_S:
                self.keep()
                recovered_s = time.monotonic()

    def _start(self) -> None:
        reads, writes = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # Freeze shared objects, so that garbage collection doesn't copy their pages.
        gc.freeze()
        # A signal that arrives before the worker can handle it waits until then.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        pid = os.fork()
        if not pid:
            os.close(reads)
            _work(self, writes)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        gc.unfreeze()
        os.close(writes)
        self.workers.append(_Worker(pid, reads))

    def _hear(self, worker: _Worker, study: Study) -> None:
        """Handle a worker's message; at its end, find out why it ended."""
        data = os.read(worker.reads, 65_536)
        worker.told += data
        *lines, worker.told = worker.told.split(b"\n")
        for line in lines:
            fields = json.loads(line)
            if "error" in fields:
                raise error_from_fields(fields)
            if "seated" in fields:
                self.elsewhere.append(fields["seated"])
                self.count = fields["of"]
                continue
            self.deaths = 0
            self.watch()
        if not data:
            os.close(worker.reads)
            _, status = os.waitpid(worker.pid, 0)
            self.workers.remove(worker)
            if status:
                self._replace_dead(worker, study)

    def _replace_dead(self, worker: _Worker, study: Study) -> None:
        if self.hand_out:
            raise OperatorError("the connection to the cluster broke", CLUSTER_GONE)
        self.deaths += 1
        study.put_back(worker_of(worker.pid))
        if self.deaths >= MOST_DEATHS:
            raise OperatorError(
                f"{pluralize(self.deaths, 'worker')} died one after another, and no trial was finished",
                "search with --workers 1 and look at what the worker prints; perhaps memory is short",
            )
        if study.counts().left:
            self._start()

    def _stop(self) -> None:
        for worker in self.workers:
            os.kill(worker.pid, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        for worker in self.workers:
            while os.waitpid(worker.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > until:
                    os.kill(worker.pid, signal.SIGKILL)
                time.sleep(0.01)
            os.close(worker.reads)


def _work(pool: Pool, writes: int) -> NoReturn:
    """Run trials in this child until none is left; each report is a line in the pipe."""
    code = 1

    def tell(fields: Mapping[str, object]) -> None:
        os.write(writes, json.dumps(fields).encode() + b"\n")

    try:
        (pool.hand_out or _play_all)(pool, tell)
        code = 0
    except (_Stop, BrokenPipeError):
        # After a broken pipe there is nobody to report to.
        code = 0
    except TradebotError as error:
        tell(error_fields(error))
        code = 0
    finally:
        if code:
            traceback.print_exc()
        # Don't run or flush anything of the parent's a second time.
        os._exit(code)


def error_fields(error: TradebotError) -> dict[str, object]:
    """Return an error as fields for another process."""
    return {"error": error.message, "hint": error.hint, "code": int(error.code)}


def error_from_fields(fields: Mapping[str, Any]) -> TradebotError:
    """Rebuild the error that another process reported."""
    return TradebotError(fields["error"], fields["hint"], code=ExitCode(fields["code"]))


def stop_check() -> Callable[[], bool]:
    """Return a function that returns True once this child should stop, or its parent has ended."""
    parent, stop = os.getppid(), list[int]()

    def note_signal(number: int, frame: FrameType | None) -> None:
        stop.append(number)

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, note_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    return lambda: bool(stop) or os.getppid() != parent


def _play_all(pool: Pool, tell: Tell) -> None:
    is_stopping = stop_check()

    def look() -> None:
        if is_stopping():
            raise _Stop

    study = pool.study()
    while not is_stopping() and (number := play_next(pool.bench, study, look)) is not None:
        tell({"trial": number})


def play_next(bench: Bench, study: Study, look: Callable[[], None]) -> int | None:
    """Run the study's next trial and store its result; return its number, or None if none is left.

    `look` is called after each session, and raises to end a worker that has to stop.
    """
    trial = study.ask()
    if trial is None:
        return None
    beat = time.monotonic()

    def watch() -> None:
        nonlocal beat
        look()
        if time.monotonic() - beat > BEAT_S:
            study.beat(trial)
            beat = time.monotonic()

    done = run_trial(bench, study.values_of(trial), watch)
    study.tell(trial, done.result, done.values, done.why)
    return trial.number


def fitting_workers(wanted: int | None, trials: int) -> int:
    """Return how many workers to use: no more than there are processors and trials, and as many as free memory allows.

    Each worker may need as much memory as this process uses now. A number set by the user is used unchanged.
    """
    if wanted is not None:
        return wanted
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(processors, trials, _by_memory()), 1)


def _by_memory() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as own, open("/proc/meminfo", encoding="ascii") as all_of_it:
            used = int(own.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            free = next(int(line.split()[1]) * 1024 for line in all_of_it if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return sys.maxsize
    return free // used
