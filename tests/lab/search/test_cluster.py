"""Workers on a cluster play what local ones play; a killed node's trial is played again, and counts once."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from papervenue.market.generator import GeneratedBars
from papervenue.market.sessions import build_calendar
from tests.commands.search.test_search import said_by
from tests.kit.backtest.playing import FEW, bot
from tradebot.adapters.state.evidence import Trial
from tradebot.errors import OperatorError
from tradebot.lab.backtest.results import Results
from tradebot.lab.search import cluster
from tradebot.lab.search.cluster import ClusterWorker, SearchWork, TrialSeat, pickle_for_node, program_here
from tradebot.lab.search.space import read_space
from tradebot.lab.search.study import AGAIN, RESULT, WORKER, Study
from tradebot.lab.search.workers import StudyLocation
from tradebot.venues.alpaca.capabilities import ALPACA

WIDE = FEW.replace("from: 5, to: 9", "from: 5, to: 100").replace("trials: 3", "trials: 16")


class DiedError(Exception):
    """What the made-up cluster raises for a worker that has died."""


class Actor:
    """A worker of a made-up cluster: its methods run when they are asked for their answers."""

    def __init__(self, seat: TrialSeat, dies: bool) -> None:
        self.open = SimpleNamespace(remote=lambda *given: partial(seat.open, *given))
        self.play = SimpleNamespace(remote=lambda: partial(self._die, seat) if dies else partial(seat.play))

    def _die(self, seat: TrialSeat) -> None:
        assert seat._study is not None
        assert seat._study.ask() is not None
        raise DiedError


class Ray:
    """A cluster of two processors in this process, whose first `deaths` workers die with the first trial they take."""

    exceptions = SimpleNamespace(RayError=DiedError)

    def __init__(self, deaths: int = 0, actor: Callable[..., Any] = Actor) -> None:
        self.deaths, self.made, self.actor = deaths, 0, actor

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def put(self, value: bytes) -> bytes:
        return value

    def remote(self, kind: type[ClusterWorker]) -> Any:
        def made() -> Any:
            self.made += 1
            return self.actor(kind(), dies=self.made <= self.deaths)

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=made))

    def wait(self, awaited: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return awaited[:1], awaited[1:]

    def get(self, answer: Any) -> Any:
        return answer()

    def kill(self, actor: Any) -> None:
        """Do nothing: what isn't asked doesn't run."""

    def shutdown(self) -> None:
        """Do nothing."""


def searched(place: tuple[str, ...], ray: Ray) -> Any:
    with (
        patch.object(cluster, "connect_ray", lambda: ray),
        patch("commands.search.find_spec", lambda name: name),
        patch("commands.search.run_study._play_variants", lambda *_: ((), ())),
    ):
        return said_by("search", *place, "--on", "ray", "--json")


def trials_in(state: str) -> Sequence[Trial]:
    return Results(Path(state)).trials("rotation")


def kept(data: Any) -> list[str]:
    """Return the trials of a verdict without their numbers, which depend on who played them."""
    return sorted(json.dumps({**one, "number": 0}, sort_keys=True) for one in data["verdict"]["kept"])


def test_cluster_plays_each_trial_once_as_local_workers_do_though_workers_die(tmp_path: Path) -> None:
    place = bot(tmp_path, 50)
    local = (*place[:-1], str(tmp_path / "local"))
    with patch("commands.search.run_study._play_variants", lambda *_: ((), ())):
        said_by("search", *local, "--workers", "1")
    data = json.loads(searched(place, Ray(deaths=2)).out)["data"]
    assert (data["trials"]["played"], data["trials"]["left"], data["trials"]["given_up"]) == (3, 0, 0)
    assert data["workers"] == 2
    there, here = ({(one.digest, one.sharpe) for one in trials_in(folder[-1])} for folder in (place, local))
    assert there == here
    assert len(there) == len(trials_in(place[-1])) == 3


def test_cluster_whose_workers_all_die_is_a_sentence(tmp_path: Path) -> None:
    with patch.object(cluster, "MOST_DEATHS", 2):
        found = searched(bot(tmp_path, 50), Ray(deaths=9))
    assert (found.code, "2 workers of the cluster died one after another" in found.out) == (2, True)


def test_cluster_that_takes_its_driver_along_is_a_sentence(tmp_path: Path) -> None:
    ray = Ray()
    with patch.object(ray, "wait", lambda *_, **__: os._exit(1)):
        found = searched(bot(tmp_path, 50), ray)
    assert (found.code, "the connection to the cluster broke" in found.out, "--resume" in found.out) == (2, True, True)


def test_node_with_another_program_plays_nothing() -> None:
    answer = TrialSeat().open("tradebot 9.9", b"")
    assert "a different version of tradebot" in answer["error"]
    assert "install the same there" in answer["hint"]


def test_node_of_another_machine_refuses_a_storage_in_a_file() -> None:
    work = SearchWork(b"", StudyLocation("study.journal", "one"), 2, "", {}, "", "elsewhere")
    answer = TrialSeat().open(program_here(), pickle_for_node(work))
    assert "in a file on elsewhere" in answer["error"]
    assert "address of a database" in answer["hint"]


def test_only_an_address_of_a_database_is_reachable_from_everywhere(tmp_path: Path) -> None:
    bench: Any = SimpleNamespace()
    with patch.object(cluster, "replace", lambda bench, **_: 1), patch.object(cluster, "code_of", lambda _: {}):
        bench.plan = SimpleNamespace(settings=None)
        hosts = {
            storage: cluster.work_of(bench, StudyLocation(storage, "one"), 1).host
            for storage in ("/a/study.journal", "sqlite:////a/b.db", "postgresql://a/b")
        }
    assert [bool(host) for host in hosts.values()] == [True, True, False]


def test_generated_market_is_generated_again_elsewhere() -> None:
    source = GeneratedBars(7, build_calendar(date(2026, 1, 5), 3, ALPACA.calendar), trends=False)
    again = pickle.loads(pickle_for_node((source, MappingProxyType({"a": 1}))))  # noqa: S301 - packed here
    assert again[0].bars("AAPL", 1) == source.bars("AAPL", 1)
    assert again[0].bars("AAPL", 1)
    assert again[1] == {"a": 1}


@pytest.mark.parametrize("address", ["local", "ray://127.0.0.1:10001"])
def test_only_the_address_of_a_running_cluster_is_taken(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    with pytest.raises(OperatorError, match="the address of a running cluster"):
        cluster.connect_ray()


@contextmanager
def two_nodes() -> Iterator[tuple[dict[str, str], int]]:
    """Yield the environment that finds a cluster of two nodes, and the process of the second one's raylet."""
    # The names of sockets have to be short.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    own = {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    environ, program = {**os.environ, **own}, [sys.executable, "-m", "tests.lab.search.two_nodes"]
    try:
        with subprocess.Popen(program, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nodes:
            assert nodes.stdout is not None
            address, raylet = nodes.stdout.readline().split()
            yield {**environ, "RAY_ADDRESS": address}, int(raylet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def kill_while_it_plays(raylet: int, place: tuple[str, ...], storage: str) -> int:
    """Kill a node in the middle of a trial, after three were finished; return the process that played it."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        time.sleep(0.05)
        if not Path(storage).exists():
            continue
        trials = Study(storage, "night", read_space(Path(place[0])))._study.get_trials(deepcopy=False)
        playing = [
            one.user_attrs[WORKER][-1] for one in trials if WORKER in one.user_attrs and not one.state.is_finished()
        ]
        here = children(raylet)
        if sum(RESULT in one.user_attrs for one in trials) >= 3 and (mine := {*playing} & {*here}):
            for process in (raylet, *here):
                os.kill(process, signal.SIGKILL)
            return int(mine.pop())
    raise AssertionError("no trial was played on the second node")


@pytest.mark.campaign
@pytest.mark.skipif(find_spec("ray") is None, reason="needs ray")
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs ray")
def test_search_on_two_nodes_of_which_one_is_killed_counts_each_trial_once(tmp_path: Path) -> None:
    place, storage = bot(tmp_path, 400, edge=0.3, space=WIDE), str(tmp_path / "study.journal")
    on_ray = ("--on", "ray", "--json", "--study", "night", "--storage", storage)
    with two_nodes() as (environ, raylet):
        program = [sys.executable, "-m", "tradebot", "search", *place, *on_ray]
        with subprocess.Popen(program, env=environ, stdout=subprocess.PIPE, text=True) as search:
            try:
                killed = kill_while_it_plays(raylet, place, storage)
                out, _ = search.communicate(timeout=240)
            finally:
                search.terminate()
    data = json.loads(out)["data"]
    assert (data["trials"]["played"], data["trials"]["left"], data["trials"]["given_up"]) == (16, 0, 0)
    trials = Study(storage, "night", read_space(Path(place[0])))._study.get_trials()
    again = [one.user_attrs[AGAIN][1] for one in trials if AGAIN in one.user_attrs]
    assert [trials[number].user_attrs[WORKER][-1] for number in again] == [killed]
    counted = trials_in(place[-1])
    assert len({one.digest for one in counted}) == len(counted) == 16
    local = said_by("search", *place[:-1], str(tmp_path / "local"), "--json")
    assert kept(data) == kept(json.loads(local.out)["data"])
