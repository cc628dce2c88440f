"""Run a study's trials on the nodes of a Ray cluster. Each node runs the same code as a worker on this machine.

The market is sent to the nodes with the work; the nodes need this program, and access to the study's storage. Ray
starts the workers and reports their deaths. The study alone records the results and which worker runs which trial.
Other kinds of tasks use the same worker table, each with a worker class of its own.
"""

from __future__ import annotations

import copyreg
import os
import pickle
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from platform import node, python_version
from types import MappingProxyType
from typing import Any, Protocol

from msgspec import Struct, field

from tradebot import __version__
from tradebot.adapters.plugins.code_digest import source_digest
from tradebot.adapters.plugins.plugin import code_in_use
from tradebot.app.settings import Settings
from tradebot.errors import OperatorError, TradebotError, word
from tradebot.lab.search.study import Study, worker_of
from tradebot.lab.search.trial import Bench
from tradebot.lab.search.workers import (
    MOST_DEATHS,
    POLL_S,
    Pool,
    StudyLocation,
    Tell,
    error_fields,
    error_from_fields,
    play_next,
    stop_check,
)
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace

WAIT_S = 120.0
"""How long to wait for a node with a free processor while no trial runs."""
CONNECT_S = 60
"""How long Ray may take to connect; it would go on trying for many minutes."""
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0"
"""The environment variable that keeps Ray on this machine's own addresses, on Linux too. Otherwise it listens on all of
them.
"""
ON = "run the same command again to continue (for a search, add --resume)"
START = f"export {LOOPBACK}; ray start --head --include-dashboard false --disable-usage-stats"


class SearchWork(Struct, frozen=True):
    """The inputs of a cluster worker: the encoded bench, the study's location, and what must be the same on each node.

    `folder` is the folder that relative paths start from. `host` is the machine that has the storage's file. It is
    empty for a database, which every node can reach.
    """

    bench: bytes
    place: StudyLocation
    workers: int
    program: str
    code: Mapping[str, str]
    folder: str
    host: str


class ClusterWorker:
    """A worker process on some node; its replies are plain values, so that the caller needs no special types to read
    them.
    """

    def open(self, program: str, work: bytes) -> dict[str, Any]:
        """Prepare to run; return this worker's name, or why it can't run."""
        try:
            require_here(program, program_here(), "a different version of tradebot or Python")
            self.take(pickle.loads(work))  # noqa: S301 - from the driver, whose code a Ray worker runs anyway
        except TradebotError as error:
            return error_fields(error)
        return {"worker": worker_of(os.getpid())}

    def take(self, work: Any) -> None:
        """Accept the work; raise TradebotError if it can't run here."""
        raise NotImplementedError


class TrialSeat(ClusterWorker):
    """A worker that takes its trials from a study."""

    def __init__(self) -> None:
        self._bench: Bench | None = None
        self._study: Study | None = None

    def take(self, work: SearchWork) -> None:
        if work.host not in ("", node()):
            raise OperatorError(
                f"the study is kept in a file on {work.host}, which the node {node()} of the cluster can't reach",
                "give --storage the address of a database, or search without --on ray",
            )
        with suppress(OSError):
            os.chdir(work.folder)
        bench: Bench = pickle.loads(work.bench)  # noqa: S301 - as above
        require_here(work.code, code_of(bench.plan.settings), "different strategy code")
        self._bench = replace(bench, environ=dict(os.environ))
        self._study = Study(work.place.storage, work.place.name, bench.spaced.space, workers=work.workers)

    def play(self) -> dict[str, Any]:
        """Run the next trial; return its number or, if it failed, the fields of the error.

        The number is None if no trial is left.
        """
        assert self._bench is not None, "call open first"
        assert self._study is not None, "call open first"
        try:
            return {"played": play_next(self._bench, self._study, lambda: None)}
        except TradebotError as error:
            return error_fields(error)


def program_here() -> str:
    return f"tradebot {__version__} ({source_digest()}), Python {python_version()}"


def code_of(settings: Settings) -> dict[str, str]:
    chosen = settings.strategies
    return {name: code.digest for name, code in code_in_use(chosen.in_use(), chosen.installed_as()).items()}


def require_here(wanted: object, here: object, what: str) -> None:
    """Raise OperatorError, naming this node, if its value `here` isn't the `wanted` one; `what` describes the value."""
    if wanted != here:
        raise OperatorError(
            f"the node {node()} of the cluster has {what}: {here} instead of {wanted}",
            "install the same there, or take the node out of the cluster (ray stop, on that machine)",
        )


def _proxy(fields: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(fields)


def pickle_for_node(value: object) -> bytes:
    """Pickle a value for a worker on another node."""
    copyreg.pickle(MappingProxyType, lambda mapping_proxy_type: (_proxy, (dict(mapping_proxy_type),)))
    return pickle.dumps(value, protocol=5)


def work_of(bench: Bench, study_location: StudyLocation, workers: int) -> SearchWork:
    """Return the inputs of a worker.

    They don't include the environment variables, because these may contain keys.
    """
    is_file = "://" not in study_location.storage or study_location.storage.startswith("sqlite")
    return SearchWork(
        bench=pickle_for_node(replace(bench, environ={})),
        place=study_location,
        workers=workers,
        program=program_here(),
        code=code_of(bench.plan.settings),
        folder=os.getcwd(),
        host=node() if is_file else "",
    )


def hand_out(pool: Pool, tell: Tell) -> None:
    """Run a study's trials on the cluster until none is left, or until this process is asked to stop."""
    # Ray prints messages of its nodes, and the parent's output may be a document.
    os.dup2(2, 1)
    ray = connect_ray()
    # Ray has installed its own signal handler.
    is_stopping = stop_check()
    try:
        study = pool.study()
        count = pool.count or fitting_there(ray, study.counts().left)
        work = pickle_for_node(work_of(pool.bench, pool.place, count))
        WorkerTable(ray, TrialSeat, count, ray.put(work), _Trials(study), tell).run(is_stopping)
    finally:
        ray.shutdown()


def fitting_there(ray: Any, tasks: int) -> int:
    """Return how many workers to run on a cluster: one per processor, but no more than there are tasks."""
    return max(min(int(ray.cluster_resources().get("CPU", 0)), tasks), 1)


def connect_ray() -> Any:
    """Connect Ray to the cluster that RAY_ADDRESS names, or start one on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray

    address = os.environ.get("RAY_ADDRESS") or "auto"
    if address == "local" or "://" in address:
        raise OperatorError(
            f"RAY_ADDRESS is {word(address)}, but a search needs the address of a running cluster",
            "set it to HOST:PORT, or unset it to use the cluster of this machine",
        )
    # Ray's waits can't be interrupted, so the parent decides what the end of this process means.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(CONNECT_S)
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), CONNECT_S / 2).close()
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except OSError:
        where = "on this machine" if address == "auto" else f"at {word(address)}"
        raise OperatorError(f"no Ray cluster runs {where}", f"{START}; then {ON}, or search without --on ray") from None
    except (RuntimeError, ValueError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise OperatorError(f"the Ray cluster can't be used: {first}", "see ray status") from error
    finally:
        signal.alarm(0)
    return ray


class Tasks(Protocol):
    """The tasks that a worker table hands out."""

    def n_waiting(self) -> int:
        """Return how many tasks wait for a worker."""

    def next(self) -> Sequence[Any] | None:
        """Return the work for the next worker; None if there is none."""

    def requeue(self, worker: Sequence[str | int], task: Sequence[Any]) -> None:
        """Put back the task of a worker that died."""


class _Trials(Struct):
    """The trials of a study, which workers get themselves."""

    study: Study

    def n_waiting(self) -> int:
        return self.study.counts().left

    def next(self) -> Sequence[Any]:
        return ()

    def requeue(self, worker: Sequence[str | int], task: Sequence[Any]) -> None:
        self.study.put_back(worker)


class _Seated(Struct, eq=False):
    """A cluster worker, with Ray's handle to it; it has no name until it is ready, and no task before that."""

    actor: Any
    name: list[str | int] | None = None
    task: Sequence[Any] = ()


class WorkerTable(Struct):
    """The workers of a cluster, each with its pending reply."""

    ray: Any
    seat: type[ClusterWorker]
    count: int
    work: Any
    tasks: Tasks
    tell: Tell
    awaited: dict[Any, _Seated] = field(default_factory=dict)
    deaths: int = 0

    def run(self, is_stopping: Callable[[], bool]) -> None:
        """Run the tasks until none is left; raise TradebotError if a worker fails."""
        heard = time.monotonic()
        for _ in range(self.count):
            self._seat()
        while self.awaited and not is_stopping():
            ready, _ = self.ray.wait([*self.awaited], timeout=POLL_S)
            for answer in ready:
                self._hear(answer)
            if ready or any(seated.name for seated in self.awaited.values()):
                heard = time.monotonic()
            elif not self.tasks.n_waiting():
                break
            elif time.monotonic() - heard > WAIT_S:
                raise OperatorError(
                    f"no node of the Ray cluster has had a free processor for {WAIT_S:.0f} s",
                    f"see ray status; when a processor is free, {ON}",
                )
        for seated in self.awaited.values():
            self.ray.kill(seated.actor)

    def _seat(self) -> None:
        actor = self.ray.remote(self.seat).options(num_cpus=1, max_restarts=0, max_task_retries=0).remote()
        self.awaited[actor.open.remote(program_here(), self.work)] = _Seated(actor)

    def _hear(self, answer: Any) -> None:
        seated = self.awaited.pop(answer)
        try:
            fields = self.ray.get(answer)
        except self.ray.exceptions.RayError as error:
            self._replace_dead(seated, error)
            return
        if "error" in fields:
            raise error_from_fields(fields)
        if "worker" in fields:
            seated.name = fields["worker"]
            self.tell({"seated": seated.name, "of": self.count})
        elif fields["played"] is None:
            self.ray.kill(seated.actor)
            return
        else:
            self.deaths = 0
            self.tell(fields)
        self._ask(seated)

    def _ask(self, seated: _Seated) -> None:
        """Give a worker the next task, or dismiss it."""
        task = self.tasks.next()
        if task is None:
            self.ray.kill(seated.actor)
            return
        seated.task = task
        self.awaited[seated.actor.play.remote(*task)] = seated

    def _replace_dead(self, seated: _Seated, error: Exception) -> None:
        """Put back the task of a worker that died or failed, and start another worker where there is room."""
        self.deaths += 1
        self.ray.kill(seated.actor)
        if seated.name is not None:
            self.tasks.requeue(seated.name, seated.task)
        if self.deaths >= MOST_DEATHS:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise OperatorError(
                f"{pluralize(self.deaths, 'worker')} of the cluster died one after another, and nothing was finished: "
                f"{first}",
                "see ray status; to see what a worker prints, search without --on ray",
            )
        if self.tasks.n_waiting():
            self._seat()
