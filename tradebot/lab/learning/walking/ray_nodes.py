"""Train and evaluate a walk's models on the nodes of a Ray cluster, with the same code as on a single machine.

The plan is sent to the nodes with each task. The nodes write results to the walk's folder and read the signing key, so
both must have the same path on every node, for example on a network drive.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from contextlib import suppress
from hashlib import sha256
from multiprocessing import get_context
from platform import node
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tradebot.adapters.state.safe_open import read_plain
from tradebot.errors import OperatorError, TradebotError
from tradebot.lab.learning.walking.walk import STUDY, Walk, WalkTask, run_task
from tradebot.lab.search.cluster import (
    ClusterWorker,
    WorkerTable,
    code_of,
    connect_ray,
    fitting_there,
    pickle_for_node,
    require_here,
)
from tradebot.lab.search.workers import CLUSTER_GONE, error_fields, error_from_fields, stop_check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection


class WalkWork(Struct, frozen=True):
    """What a cluster worker gets: the encoded walk, the number of trials, and what must be the same on each node.

    `identity` is the SHA-256 of the file that identifies the walk in its folder. Relative paths start at `folder`.
    """

    walk: bytes
    trials: int
    code: Mapping[str, str]
    identity: str
    folder: str


class UnitSeat(ClusterWorker):
    """A worker that trains and evaluates the models assigned to it."""

    def __init__(self) -> None:
        self._of: tuple[Walk, int] | None = None

    def take(self, work: WalkWork) -> None:
        with suppress(OSError):
            os.chdir(work.folder)
        walk: Walk = pickle.loads(work.walk)  # noqa: S301 - from the driver, whose code a Ray worker runs anyway
        require_here(work.code, code_of(walk.plan.settings), "different strategy code")
        if _identity_in(walk) != work.identity:
            raise OperatorError(
                f"the node {node()} of the cluster doesn't have the walk's folder {walk.folder}",
                "keep --results on a drive that every node mounts at the same path, or leave out --on ray",
            )
        self._of = walk, work.trials

    def play(self, index: int, who: int | str) -> dict[str, Any]:
        """Run one task; return the file of its result, or the error."""
        assert self._of is not None, "call take first"
        wanted = WalkTask(index, who)
        try:
            run_task(self._of[0], wanted, self._of[1])
        except TradebotError as error:
            return error_fields(error)
        return {"played": wanted.file}


def _identity_in(walk: Walk) -> str:
    """Return the SHA-256 of the file that identifies the walk in its folder; empty if it is missing."""
    try:
        return sha256(read_plain(walk.folder / STUDY)).hexdigest()
    except OSError:
        return ""


class _Units(Struct):
    """The tasks of a walk that are still to be done."""

    waiting: list[WalkTask]

    def n_waiting(self) -> int:
        return len(self.waiting)

    def next(self) -> Sequence[Any] | None:
        return self.waiting.pop(0) if self.waiting else None

    def requeue(self, worker: Sequence[str | int], task: Sequence[Any]) -> None:
        if task:
            self.waiting.insert(0, WalkTask(*task))


def play_there(
    of: Walk, remaining: Sequence[WalkTask], trials: int, workers: int, progress: Callable[[int], None]
) -> None:
    """Run tasks on the cluster, with `workers` workers or as many as fit; `progress` is called with the number
    finished.

    Raise OperatorError if there is no cluster, if a node can't run the work, or if a training fails.
    """
    work = WalkWork(pickle_for_node(of), trials, code_of(of.plan.settings), _identity_in(of), os.getcwd())
    context = get_context("fork")
    reads, writes = context.Pipe(duplex=False)
    sys.stdout.flush()
    sys.stderr.flush()
    # Ray's waits can't be interrupted, so it gets a process of its own.
    child = context.Process(target=_hand_out, args=(work, remaining, workers, writes))
    child.start()
    writes.close()
    try:
        _listen(reads, len(remaining), progress)
    finally:
        child.terminate()
        child.join()


def _listen(reads: Connection, wanted: int, progress: Callable[[int], None]) -> None:
    done = 0
    while done < wanted:
        try:
            fields = reads.recv()
        except EOFError:
            raise OperatorError("the connection to the cluster broke", CLUSTER_GONE) from None
        if "error" in fields:
            raise error_from_fields(fields)
        if "played" in fields:
            done += 1
            progress(done)


def _hand_out(work: WalkWork, remaining: Sequence[WalkTask], workers: int, writes: Connection) -> None:
    """Run the tasks on the cluster in this process; progress goes into the pipe."""
    # A signal before Ray has started ends it at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Ray prints messages of its nodes, and the parent's output may be a document.
    os.dup2(2, 1)
    try:
        ray = connect_ray()
        try:
            count = workers or fitting_there(ray, len(remaining))
            WorkerTable(ray, UnitSeat, count, ray.put(pickle_for_node(work)), _Units([*remaining]), writes.send).run(
                stop_check()
            )
        finally:
            ray.shutdown()
    except TradebotError as error:
        writes.send(error_fields(error))
