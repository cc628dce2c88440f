"""A halt typed at random moments while a process sends: no entry begins after its return, by the exchange's own log."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.faults.entry_sender import LOCKED, UNLOCKED, chance
from tests.kit.bot.folder import PROGRAM
from tradebot.__main__ import main
from tradebot.adapters.ledger.state_history import opened_history
from tradebot.adapters.state import halt_switch, send_lock

ROOT = Path(__file__).parents[2]
ROUNDS = settings().max_examples
"""How many senders are met in all: 20 in the sample, 150 in the campaigns."""
TYPED = ROUNDS // 10
STUCK = max(3, ROUNDS // 15)
DAWDLE_S, LONG_DAWDLE_S = 0.008, 0.1
"""For how long, at most, a sender stands between its last look and its socket."""
AFTERWARDS_S = 0.03
"""How long an entry that should not come is waited for; a sender that is not kept back needs a third of it."""
PATIENCE_S = 20

pytestmark = pytest.mark.sampled


def prepare_bot(folder: Path) -> None:
    """Bring a bot into an open session, with its exchange running and its books compared."""
    for line in ("exchange tick open", "exchange tick 5m", "reconcile"):
        assert main([*line.split(), "--state-dir", str(folder)]) == 0


class Judge:
    """The exchange's log, read from where it was read last."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "exchange" / "log.jsonl"

    def mark(self) -> int:
        return self._log.stat().st_size

    def entries_since(self, mark: int) -> int:
        """Return how many requests for an entry the exchange has taken down since."""
        with self._log.open("rb") as file:
            file.seek(mark)
            requests = [json.loads(line) for line in file if line.startswith(b"{") and line.endswith(b"\n")]
        posts = [r for r in requests if r["event"] == "request" and (r["method"], r["path"]) == ("POST", "/v2/orders")]
        return sum(".OPEN." in r["body"] for r in posts)


@contextmanager
def sending(folder: Path, lock: str = LOCKED, dawdle_s: float = DAWDLE_S) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.faults.entry_sender", str(folder), lock, str(dawdle_s)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def until(happened: Callable[[], object], process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, "the sender ended by itself"
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.001)


def set_going(folder: Path, judge: Judge, process: "subprocess.Popen[bytes]") -> None:
    """End the halt, as `unhalt` writes it, and wait until entries go out."""
    now, mark = datetime.now(UTC), judge.mark()
    with opened_history(folder) as history:
        history.record("ACTIVE", "test", "again", now)
    assert halt_switch.lift(folder, halt_switch.halt_stat(folder))
    halt_switch.arm(folder, "test", now)
    until(lambda: judge.entries_since(mark) > 0, process)


def halt(folder: Path, wait_s: float = send_lock.WAIT_S) -> str | None:
    """Do what the verb does first; return which order it says is in flight."""
    halt_switch.halt(folder, "test", "random", datetime.now(UTC), "REDUCE_ONLY")
    return send_lock.in_flight(folder, wait_s)


def typed_halt(folder: Path) -> tuple[int, dict[str, Any], float]:
    """Type the verb; return its exit code, its data and the seconds that it took."""
    began = time.monotonic()
    command = [str(PROGRAM), "halt", "--json", "--state-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    return done.returncode, json.loads(done.stdout)["data"], time.monotonic() - began


def late_entries(folder: Path, lock: str, rounds: int, dawdle_s: float) -> Iterator[int]:
    """Halt a sender at random moments; yield how many entries came after each return that named none in flight."""
    judge, moments = Judge(folder), chance(rounds)
    with sending(folder, lock, dawdle_s) as process:
        for _ in range(rounds):
            set_going(folder, judge, process)
            time.sleep(moments.uniform(0, 2 * dawdle_s))
            in_flight, mark = halt(folder), judge.mark()
            time.sleep(dawdle_s + AFTERWARDS_S)
            if in_flight is None:
                yield judge.entries_since(mark)


@pytest.mark.parametrize(("rounds", "dawdle_s"), [(3 * ROUNDS // 5, DAWDLE_S), (max(1, ROUNDS // 15), LONG_DAWDLE_S)])
def test_no_entry_begins_after_halt_returns(folder: Path, rounds: int, dawdle_s: float) -> None:
    late = list(late_entries(folder, LOCKED, rounds, dawdle_s))
    assert (sum(late), len(late) > rounds / 2) == (0, True)


def test_judge_finds_late_entries_of_a_sender_without_the_lock(folder: Path) -> None:
    assert any(late_entries(folder, UNLOCKED, 40, LONG_DAWDLE_S))


def test_no_entry_begins_after_a_typed_halt_returns(folder: Path) -> None:
    judge, moments, clean = Judge(folder), chance(TYPED), 0
    with sending(folder) as process:
        for _ in range(TYPED):
            set_going(folder, judge, process)
            time.sleep(moments.uniform(0, 0.015))
            code, data, _ = typed_halt(folder)
            mark = judge.mark()
            time.sleep(AFTERWARDS_S)
            assert judge.entries_since(mark) <= (data["in_flight"] is not None)
            clean += code == 0
    assert clean > TYPED / 2


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def stopped_with_an_order(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    """Stop a sender while it holds the lock."""
    while True:
        stop(process)
        if send_lock.in_flight(folder, 0):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.003)


def test_stopped_sender_sends_only_the_order_that_halt_named(folder: Path) -> None:
    judge, moments, rounds, named = Judge(folder), chance(STUCK), count(1), 0
    with sending(folder) as process:
        # Rounds without an order in flight are judged too, and followed by others until one has shown both.
        while next(rounds) <= STUCK or not named:
            set_going(folder, judge, process)
            time.sleep(moments.uniform(0, 0.015))
            stop(process)
            in_flight = halt(folder, wait_s=0.2)
            mark = judge.mark()
            process.send_signal(signal.SIGCONT)
            assert send_lock.in_flight(folder, PATIENCE_S) is None
            time.sleep(AFTERWARDS_S)
            named += in_flight is not None
            assert judge.entries_since(mark) <= (in_flight is not None)


def test_halt_returns_and_names_the_order_when_a_sender_is_stuck(folder: Path) -> None:
    judge = Judge(folder)
    with sending(folder) as process:
        set_going(folder, judge, process)
        stopped_with_an_order(folder, process)
        code, data, took_s = typed_halt(folder)
        # Two seconds for the send lock, half of one for a ledger that it may hold too, and a start of Python.
        assert (code, took_s < 8) == (5, True), took_s
        assert data["in_flight"].startswith("buy AAPL, tb1.")
        assert f"by process {process.pid} since" in data["in_flight"]
        assert "an order is in flight" in data["orders"]["problem"]
        assert (halt_switch.read(folder).state, halt_switch.is_armed(folder)) == ("REDUCE_ONLY", False)
        process.send_signal(signal.SIGCONT)
        assert send_lock.in_flight(folder, PATIENCE_S) is None
        mark = judge.mark()
        time.sleep(AFTERWARDS_S)
        assert judge.entries_since(mark) == 0


def test_killed_sender_leaves_no_order_in_flight(folder: Path) -> None:
    judge = Judge(folder)
    with sending(folder) as process:
        set_going(folder, judge, process)
        stopped_with_an_order(folder, process)
        process.kill()
        process.wait()
        assert send_lock.in_flight(folder, 0) is None
        assert halt(folder) is None


def test_hand_made_halt_file_stops_entries_once_the_lock_is_free(folder: Path) -> None:
    judge = Judge(folder)
    with sending(folder) as process:
        set_going(folder, judge, process)
        (folder / "HALT").touch()
        assert send_lock.in_flight(folder) is None
        mark = judge.mark()
        time.sleep(AFTERWARDS_S)
        assert judge.entries_since(mark) == 0
