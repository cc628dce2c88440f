"""Workers on a cluster play what local ones play; what a killed node was playing is played again."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from tests.commands.learn.policy.test_study import (
    assert_same,
    data_of,
    made_up,
    models_that_nobody_made,
    short_in,
    study,
)
from tests.lab.learning.walking.test_walk import walk_in
from tests.lab.search.test_cluster import DiedError, Ray, children, two_nodes
from tradebot.errors import OperatorError, TradebotError
from tradebot.lab.learning.walking import ray_nodes
from tradebot.lab.learning.walking.ray_nodes import UnitSeat, WalkWork, play_there
from tradebot.lab.learning.walking.walk import UNITS, Walk, WalkTask, run_tasks
from tradebot.lab.search import cluster
from tradebot.lab.search.cluster import code_of, pickle_for_node, program_here

__all__ = ["models_that_nobody_made"]


class Actor:
    """A worker of a made-up cluster that may die with what it is given first."""

    def __init__(self, seat: UnitSeat, dies: bool) -> None:
        self.open = SimpleNamespace(remote=lambda *given: partial(seat.open, *given))
        self.play = SimpleNamespace(remote=lambda *task: self._die if dies else partial(seat.play, *task))

    def _die(self) -> None:
        raise DiedError


def walked(of: Walk, ray: Ray) -> list[int]:
    """Walk on a made-up cluster, and return how many units were told to be finished, each time."""
    said: list[int] = []
    with patch.object(ray_nodes, "connect_ray", lambda: ray), patch.object(ray_nodes, "run_task", made_up):
        run_tasks(of, 1, 0, lambda done, total: said.append(done), play_there)
    return said


def units(of: Walk) -> dict[str, str]:
    return {file.name: file.read_text() for file in (of.folder / UNITS).iterdir()}


def test_cluster_plays_all_of_a_walk_as_local_processes_do_though_workers_die(tmp_path: Path) -> None:
    there, here = (walk_in(tmp_path / name) for name in ("there", "here"))
    assert walked(there, Ray(deaths=2, actor=Actor)) == [*range(9)]
    with patch("tradebot.lab.learning.walking.walk.run_task", made_up):
        run_tasks(here, 1, 1)
    assert units(there) == units(here)
    assert len(units(there)) == 8


def test_cluster_whose_workers_all_die_is_a_sentence_and_so_is_its_end(tmp_path: Path) -> None:
    of = walk_in(tmp_path)
    with (
        patch.object(cluster, "MOST_DEATHS", 2),
        pytest.raises(TradebotError, match="2 workers of the cluster died one after another"),
    ):
        walked(of, Ray(deaths=9, actor=Actor))
    ray = Ray(actor=Actor)
    with (
        patch.object(ray, "wait", lambda *_, **__: os._exit(1)),
        pytest.raises(OperatorError, match="the connection to the cluster broke") as told,
    ):
        walked(of, ray)
    assert "the same command" in told.value.hint


def test_what_a_worker_cannot_do_ends_the_walk_with_its_sentence(tmp_path: Path) -> None:
    def failing(of: Walk, wanted: WalkTask, trials: int) -> None:
        raise OperatorError("nearly all bars went one way", "train on a longer span")

    with (
        patch.object(ray_nodes, "connect_ray", lambda: Ray(actor=Actor)),
        patch.object(ray_nodes, "run_task", failing),
        pytest.raises(TradebotError, match="nearly all bars went one way") as told,
    ):
        run_tasks(walk_in(tmp_path), 1, 0, player=play_there)
    assert told.value.hint == "train on a longer span"


def test_node_without_the_folder_of_the_walk_plays_nothing(tmp_path: Path) -> None:
    of = walk_in(tmp_path)
    work = WalkWork(pickle_for_node(of), 1, code_of(of.plan.settings), "elsewhere", str(tmp_path))
    answer = UnitSeat().open(program_here(), pickle_for_node(work))
    assert f"doesn't have the walk's folder {of.folder}" in answer["error"]
    assert "a drive that every node mounts at the same path" in answer["hint"]


def kill_while_it_plays(raylet: int, units: Path) -> None:
    """Kill a node in the middle of a unit, after the first one was finished somewhere."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        time.sleep(0.05)
        here = children(raylet)
        titles = [Path(f"/proc/{process}/cmdline").read_bytes() for process in here]
        if [*units.glob(f"*/{UNITS}/*.json")] and any(b"UnitSeat.play" in title for title in titles):
            for process in (raylet, *here):
                os.kill(process, signal.SIGKILL)
            return
    raise AssertionError("no unit was played on the second node")


@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.skipif(find_spec("ray") is None, reason="needs ray")
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs ray")
def test_study_on_two_nodes_of_which_one_is_killed_is_the_same_as_a_local_one(tmp_path: Path) -> None:
    there, here = (short_in(tmp_path / name) for name in ("there", "here"))
    with two_nodes() as (environ, raylet):
        program = [sys.executable, "-m", "tradebot", "learn", "policy", "study", *there, "--on", "ray", "--json"]
        with subprocess.Popen(program, env=environ, stdout=subprocess.PIPE, text=True) as studying:
            try:
                kill_while_it_plays(raylet, tmp_path / "there" / "policies")
                out, _ = studying.communicate(timeout=400)
            finally:
                studying.terminate()
    assert studying.returncode == 0, out
    local = [sys.executable, "-m", "tradebot", "learn", "policy", "study", *here]
    assert subprocess.run(local, check=False, capture_output=True).returncode == 0
    assert json.loads(out)["data"] == data_of(study(*there, "--json"))
    assert_same(tmp_path / "there", tmp_path / "here", there, here)
