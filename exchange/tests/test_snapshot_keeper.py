"""Snapshots are written by a child process while an exchange serves, and at its end; kills lose nothing."""

import fcntl
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import pytest

from exchange.tests.kit.app import KEYS, World, open_world
from exchange.tests.kit.ring import state_of, without_snapshot
from papervenue import process
from papervenue.chance import random_stream
from papervenue.exchange import open_exchange
from papervenue.snapshot import keeper
from papervenue.snapshot.keeper import Keeper
from papervenue.snapshot.state import read_snapshot
from papervenue.state import SNAPSHOT_FILE

NewFolder = Callable[[], Path]
KILLS = max(hypothesis.settings().max_examples // 16, 1)
OFTEN = """
import sys
from papervenue import __main__
from papervenue.snapshot import keeper
keeper.MOST_LINES = 10
sys.exit(__main__.main())
"""
"""Serves like ever, but for snapshots that follow each other as fast as they can."""


@pytest.fixture
def folder(new_folder: NewFolder) -> Path:
    return new_folder()


@pytest.fixture
def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(keeper, "MOST_LINES", 20)
    world = open_world(folder, to="open")
    world.exchange.commit()
    return world


class Stopwatch:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def lines_kept(folder: Path) -> int:
    snapshot = read_snapshot(folder)
    return snapshot.log.lines if snapshot else 0


def work(world: World, orders: int = 10) -> None:
    for _ in range(orders):
        world.order("AAPL", "buy", 1)


def is_writing(kept: Keeper) -> bool:
    return kept._child is not None


def wait_for_child(kept: Keeper) -> None:
    """Go on as the server does until the child that writes has ended."""
    until_s = time.monotonic() + 60
    while is_writing(kept):
        assert time.monotonic() < until_s
        kept.consider()
        time.sleep(0.005)


def test_keeper_writes_a_snapshot_after_many_lines(world: World, folder: Path) -> None:
    kept = Keeper(world.exchange, folder, Stopwatch())
    kept.consider()
    assert not is_writing(kept)
    work(world)
    lines = world.exchange.log.count
    kept.consider()
    work(world, 3)
    wait_for_child(kept)
    assert lines_kept(folder) == lines < world.exchange.log.count
    assert open_exchange(folder).log.known_lines == lines
    kept.consider()
    assert not is_writing(kept)


def test_keeper_writes_a_snapshot_after_a_minute_however_few_the_lines(world: World, folder: Path) -> None:
    now_s = Stopwatch()
    kept = Keeper(world.exchange, folder, now_s)
    now_s.s = 61.0
    kept.consider()
    wait_for_child(kept)
    assert lines_kept(folder) == world.exchange.log.count
    now_s.s = 200.0
    kept.consider()
    assert not is_writing(kept)


def test_keeper_rests_as_long_as_writing_took(world: World, folder: Path) -> None:
    now_s = Stopwatch()
    kept = Keeper(world.exchange, folder, now_s)
    work(world)
    kept.consider()
    now_s.s = 5.0
    wait_for_child(kept)
    work(world)
    now_s.s = 9.9
    kept.consider()
    assert not is_writing(kept)
    now_s.s = 10.1
    kept.consider()
    assert is_writing(kept)
    wait_for_child(kept)


def test_keeper_writes_no_snapshot_while_state_is_not_in_the_log(world: World, folder: Path) -> None:
    kept = Keeper(world.exchange, folder, Stopwatch())
    work(world)
    exchange = world.exchange
    exchange.note("waiting", {})
    kept.consider()
    assert not is_writing(kept)
    exchange.commit()
    world.ask(
        "POST",
        "/exchange/v1/faults",
        b'[{"name": "a", "when": {"request": "account", "nth": 9}, "what": {"status": 503}}]',
    )
    world.get("/v2/account")
    assert not exchange.at_rest
    kept.consider()
    assert not is_writing(kept)
    exchange.commit()
    exchange.engine.advance(exchange.engine.now_us + 1)
    kept.consider()
    assert not is_writing(kept)
    exchange.note("told", {})
    exchange.commit()
    kept.consider()
    wait_for_child(kept)
    assert lines_kept(folder) == exchange.log.count


def test_keeper_tries_again_later_when_a_snapshot_cannot_be_written(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = Stopwatch()
    kept = Keeper(world.exchange, folder, now_s)
    (folder / SNAPSHOT_FILE).mkdir()
    work(world)
    kept.consider()
    wait_for_child(kept)
    kept.consider()
    assert not is_writing(kept)
    kept.finish()
    assert "snapshot: not written" in capsys.readouterr().err
    (folder / SNAPSHOT_FILE).rmdir()
    now_s.s = 61.0
    kept.consider()
    wait_for_child(kept)
    assert lines_kept(folder) == world.exchange.log.count


def test_keeper_leaves_no_draft_of_a_killed_process_or_of_a_full_disk(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def full(file: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            # The log of what was just done may still be on its way to the disk.
            return sync(file)
        raise OSError(28, "No space left on device")

    draft_of_a_killed_process = folder / f"{SNAPSHOT_FILE}.0123456789abcdef.tmp"
    draft_of_a_killed_process.write_bytes(b"half of")
    kept = Keeper(world.exchange, folder, Stopwatch())
    assert not draft_of_a_killed_process.exists()
    work(world)
    monkeypatch.setattr(os, "fsync", full)
    kept.consider()
    wait_for_child(kept)
    assert not [*folder.glob(f"{SNAPSHOT_FILE}*")]
    kept.finish()
    assert not [*folder.glob(f"{SNAPSHOT_FILE}*")]


def test_finish_writes_everything_without_waiting_for_a_child(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Keeper(world.exchange, folder, Stopwatch())
    work(world)
    with monkeypatch.context() as patched:
        patched.setattr(keeper, "write_snapshot", lambda *_: time.sleep(60))
        kept.consider()
    work(world, 2)
    began = time.monotonic()
    kept.finish()
    assert time.monotonic() - began < 30
    assert lines_kept(folder) == world.exchange.log.count
    written = (folder / SNAPSHOT_FILE).stat().st_mtime_ns
    Keeper(open_exchange(folder), folder, Stopwatch()).finish()
    assert (folder / SNAPSHOT_FILE).stat().st_mtime_ns == written


def test_writing_child_holds_neither_lock_nor_signal_handlers_of_its_parent(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Keeper(world.exchange, folder, Stopwatch())
    work(world)
    monkeypatch.setattr(keeper, "write_snapshot", lambda *_: time.sleep(60))
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    lock = (folder / "lock").open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    kept.consider()
    signal.signal(signal.SIGTERM, before)
    child = kept._child
    assert child is not None
    lock.close()
    until_s = time.monotonic() + 60
    with (folder / "lock").open("wb") as again:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            assert time.monotonic() < until_s
    os.kill(child, 0)
    os.kill(child, signal.SIGTERM)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM


@contextmanager
def served(folder: Path, *program: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve a folder by its own process, killed at the end if it is still there."""
    with subprocess.Popen([sys.executable, *program, "--state", folder], stderr=subprocess.PIPE) as running:
        try:
            until_s = time.monotonic() + 60
            while (holder := process.running_endpoint(folder)) is None:
                assert time.monotonic() < until_s
                assert running.poll() is None, running.stderr and running.stderr.read()
                time.sleep(0.01)
            yield running, urlsplit(holder.url).netloc
        finally:
            running.kill()


def order_until(address: str, end_s: float) -> int:
    """Send orders to a server until it is time, and return how many."""
    connection, sent = http.client.HTTPConnection(address, timeout=60), 0
    body = '{"symbol":"AAPL","qty":"1","side":"buy","type":"market","time_in_force":"day"}'
    while time.monotonic() < end_s:
        connection.request("POST", "/v2/orders", body, KEYS)
        assert connection.getresponse().read()
        sent += 1
        if sent % 20 == 0:
            connection.request("POST", "/exchange/v1/tick", '{"seconds": 60}', KEYS)
            connection.getresponse().read()
    connection.close()
    return sent


def same_without_snapshot(folder: Path, copy: Path) -> None:
    """Assert that a start with the snapshot is a start without it; the lines that a kill has cut are made again."""
    exchange, other = open_exchange(folder), open_exchange(without_snapshot(folder, copy))
    assert len(exchange.engine.main.orders) > 0
    assert (state_of(exchange), exchange.log.path.read_bytes()) == (state_of(other), other.log.path.read_bytes())


@pytest.mark.sampled
def test_kills_while_snapshots_are_written_lose_nothing(folder: Path, tmp_path: Path) -> None:
    chance, used = random_stream("kills", 11), 0
    for number in range(KILLS):
        with served(folder, "-c", OFTEN) as (running, address):
            if number == 0:
                process.ask(folder, "POST", "/exchange/v1/tick", {"to": "open"})
            assert order_until(address, time.monotonic() + chance.uniform(0.05, 0.5))
            running.kill()
        same_without_snapshot(folder, tmp_path / f"copy-{number}")
        used += open_exchange(folder).log.known_lines > 0
    assert used >= KILLS - 1
